"""The story: ana asks in #general, a pull request comes back in the thread, it is merged, the card says so.

Every step has a deadline. A step that does not happen raises `MissingStep`, which names it and what was seen instead.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from bot.core.tasks import CodeTask
from bot.core.tasks import Stage as TaskStage
from bot.demo.stage import BUILT_IN, Stage
from bot.demo.terminal import settle
from bot.ports import PullRequest
from bot.store import Move, TaskFilter
from platforms.slack.simulator import StoredMessage

T = TypeVar("T")
REQUEST: Final = "Add CSV export of invoices to the report"
OWN_REQUEST: Final = "Add a line to NOTES.md saying that Codetask was tried here"
PATCH_REQUEST: Final = "Note in NOTES.md that Codetask was tried here.\nNOTES.md\n```\nCodetask was tried here.\n```"
QUICK_S: Final = 15.0
BUILT_IN_S: Final = 90.0
BREATH_S: Final = 1.2
"""A pause between scenes, so that a person can read."""


class MissingStep(Exception):
    """A step of the story did not happen. The text names it."""


async def play(stage: Stage) -> None:
    """Plays the whole story. Returns when all of it happened; raises `MissingStep` otherwise."""
    terminal, simulator = stage.terminal, stage.simulator
    await _until(stage, "Codetask connects to Slack", lambda: bool(simulator.connections), QUICK_S)
    _open_curtain(stage)
    await _breathe(stage)
    task = await _asks(stage)
    task = await _works(stage, task)
    reply = await _until(stage, "the pull request's link in the thread", lambda: _link(stage, task), QUICK_S)
    await _breathe(stage)
    await settle(simulator, 0.3, 3.0)
    terminal.catch_up()
    if "@ana" not in simulator.render_text(reply):
        raise MissingStep("the reply with the link mentions ana")
    await _merges(stage, task)
    await _check_all(stage, task)
    await settle(simulator, 0.3, 3.0)
    terminal.catch_up()
    terminal.tell(f"\n{what_was_real(stage)}")


def request_of(stage: Stage) -> str:
    """What ana types after `/codetask`."""
    options = stage.options
    if options.request:
        return options.request
    if options.repo is None:
        return REQUEST
    return PATCH_REQUEST if options.agent == "patch" else OWN_REQUEST


def what_was_real(stage: Stage) -> str:
    """What a person may believe of what they saw."""
    agent = stage.app.settings.default_agent
    acted = {
        "demo": "The demo agent follows a script: no model was asked.",
        "patch": "The agent `patch` applies what a request carries: no model was asked.",
    }.get(agent, f"The agent was your own: {agent}.")
    return (
        "That was real: slack-bolt over loopback sockets, SQLite, git, the tests, the pull request and its merge in "
        f"the local forge. Slack itself was simulated. {acted}"
    )


def _open_curtain(stage: Stage) -> None:
    settings = stage.app.settings
    name = "The sample project" if stage.options.repo is None else "A copy of your repository"
    sandbox = "in a sandbox" if settings.sandbox != "none" else "without a sandbox"
    stage.terminal.narrate(f"A simulated Slack on this machine. {name}: {stage.bare}. Agents run {sandbox}.")
    if stage.remark and not stage.options.quiet:
        stage.terminal.tell(stage.remark, style="dim")


async def _asks(stage: Stage) -> CodeTask:
    simulator = stage.simulator
    delivery = simulator.runs_command("ana", f"/codetask {request_of(stage)}")
    await _until(stage, "Slack's command is acknowledged within 3 s", lambda: delivery.acked, 4.0)
    await _until(stage, "the card in #general", lambda: _card(stage), QUICK_S)
    tasks = await stage.app.store.run(lambda tx: tx.tasks.list(TaskFilter()), read=True)
    if not tasks:
        raise MissingStep("the code task is stored")
    return tasks[0]


async def _works(stage: Stage, task: CodeTask) -> CodeTask:
    limit = BUILT_IN_S
    if task.agent not in BUILT_IN:
        settings = stage.app.settings
        limit = 60 * (settings.agent_minutes + settings.setup_minutes + settings.test_minutes + 1)
    ended = {TaskStage.REVIEW, TaskStage.FAILED}
    task = await _until_stage(stage, task, ended, "the code task reaches review", limit)
    if task.stage is not TaskStage.REVIEW:
        raise MissingStep(f"the code task reaches review. It failed: {task.error or task.failure_reason}")
    await _until(stage, "the card says it waits for review", lambda: _says(stage, "Review"), QUICK_S)
    return task


async def _merges(stage: Stage, task: CodeTask) -> None:
    number = task.pr_number
    if number is None:
        raise MissingStep("the pull request has a number")
    diff = await stage.forge.diff(stage.repo, number)
    stage.terminal.narrate(f"Pull request {number} in the local forge: {task.branch} → {task.base}")
    stage.terminal.show_diff(diff if isinstance(diff, str) else "")
    await _breathe(stage)
    stage.terminal.narrate(f"ana merges pull request {number}")
    merged = await stage.forge.merge(stage.repo, number, "ana")
    if not isinstance(merged, PullRequest) or merged.state != "merged":
        raise MissingStep(f"the pull request is merged. The forge said: {merged}")
    await _until_stage(stage, task, {TaskStage.MERGED}, "the merge is noticed", QUICK_S)
    await _until(stage, "the card says merged", lambda: _says(stage, "Merged"), QUICK_S)


async def _check_all(stage: Stage, task: CodeTask) -> None:
    """The stages were all walked, in order, and nothing was said that Slack does not know."""
    moves: Sequence[Move] = await stage.app.store.run(lambda tx: tx.tasks.history(task.id or 0), read=True)
    walked = [move.to_stage.value for move in moves]
    wanted = ["queued", "running", "testing", "review", "merged"]
    if task.tests_passed is None and stage.options.repo is not None:
        wanted.remove("testing")
    if walked != wanted:
        raise MissingStep(f"the stages {', '.join(wanted)}. Walked: {', '.join(walked)}")
    if stage.options.repo is None and not task.tests_passed:
        raise MissingStep("the tests pass")
    if stage.options.repo is None and stage.paced:
        for word in ("Queued", "Running", "Testing", "Review", "Merged"):
            if not _said(stage, word):
                raise MissingStep(f"the card shows {word}")
    if stage.simulator.surprises:
        raise MissingStep(f"only what Slack knows is sent. Also sent: {stage.simulator.surprises[0]}")


def _card(stage: Stage) -> StoredMessage | None:
    return next((message for message in stage.simulator.sent if not message.is_reply), None)


def _says(stage: Stage, shown: str) -> bool:
    """Whether the card shows this stage now. Its notification text begins `CT-1 Review...`."""
    card = _card(stage)
    return card is not None and _opens_with(card.text, shown)


def _said(stage: Stage, shown: str) -> bool:
    card = _card(stage)
    return card is not None and any(_opens_with(version.text, shown) for version in card.history)


def _opens_with(text: str, shown: str) -> bool:
    words = text.replace(",", " ").replace(":", " ").split()
    return len(words) > 1 and words[1] == shown


def _link(stage: Stage, task: CodeTask) -> StoredMessage | None:
    card = _card(stage)
    if card is None or not task.pr_url:
        return None
    replies = stage.simulator.thread(card)[1:]
    return next((m for m in replies if task.pr_url in stage.simulator.render_text(m)), None)


async def _breathe(stage: Stage) -> None:
    if stage.paced:
        await asyncio.sleep(BREATH_S)


async def _until(stage: Stage, step: str, happened: Callable[[], T], seconds: float) -> T:
    """What `happened` returns once it is truthy; gives up early when a part of Codetask ended by itself."""
    try:
        await stage.simulator.wait_for(lambda: happened() or stage.parts.done(), seconds)
    except TimeoutError as late:
        raise MissingStep(f"{step} (waited {seconds:.0f} s; {late})") from late
    if not (found := happened()):
        raise MissingStep(f"{step} (a part of Codetask ended by itself: {stage.parts.result()})")
    return found


async def _until_stage(stage: Stage, task: CodeTask, wanted: set[TaskStage], step: str, seconds: float) -> CodeTask:
    store, loop = stage.app.store, asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        seen = store.version("outbox")
        now = await store.run(lambda tx: tx.tasks.get(task.id or 0), read=True)
        if now is not None and now.stage in wanted:
            return now
        if loop.time() > end or stage.parts.done():
            raise MissingStep(f"{step} (waited {seconds:.0f} s; it is {now.stage.value if now else 'gone'})")
        await store.changed("outbox", seen, min(1.0, max(0.05, end - loop.time())))
