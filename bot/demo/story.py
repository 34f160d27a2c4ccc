"""The story: ana asks in each chat, a pull request comes back in the thread, it is merged, the card says so, and a
follow-up answers in the thread a few seconds later. Then a wish that nobody typed as a command does the same
(`passing.py`).

All chats play at once. Every step has a deadline. A step that does not happen raises `MissingStep`, which names it and
what was seen instead.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from bot.core.followups import ENDED, FollowUpState
from bot.core.tasks import CodeTask
from bot.demo.channel import Channel, Shown
from bot.demo.passing import play_in_passing
from bot.demo.stage import BUILT_IN, Stage
from bot.demo.steps import BUILT_IN_S, QUICK_S, MissingStep, breathe, merge, reaches_review, until
from bot.demo.terminal import settle
from bot.store import FollowUpFilter, Move, TaskFilter

REQUESTS: Final[Mapping[str, str]] = {
    "slack": "Add CSV export of invoices to the report",
    "discord": "Greet customers with Welcome in the letter",
    "lark": "Note in the project that invoices are due after 30 days",
}
SDKS: Final[Mapping[str, str]] = {"slack": "slack-bolt", "discord": "discord.py", "lark": "lark-oapi"}
OWN_REQUEST: Final = "Add a line to NOTES.md saying that Codetask was tried here"
PATCH_REQUEST: Final = "Note in NOTES.md that Codetask was tried here.\nNOTES.md\n```\nCodetask was tried here.\n```"
STEPS: Final = ("Writing the change", "Running tests", "Waiting for review")
"""What a card says a code task is at, in order, when there is time to look."""
LATER: Final = "look whether the change is there"
LATER_S: Final = 5


async def play(stage: Stage) -> None:
    """Plays the whole story. Returns when all of it happened; raises `MissingStep` otherwise."""
    for channel in stage.channels:
        step = f"Codetask connects to {channel.title}"
        await until(stage, channel, step, lambda channel=channel: channel.connected, QUICK_S)
    _open_curtain(stage)
    await breathe(stage)
    # A repository of one's own gets one code task: three agents on it would be three bills.
    playing = stage.channels if stage.options.repo is None else stage.channels[:1]
    try:
        async with asyncio.TaskGroup() as group:
            for number, channel in enumerate(playing):
                group.create_task(_play(stage, channel, number))
    except ExceptionGroup as several:
        raise _first(several) from several
    if stage.options.repo is None and len(playing) > 1:
        await play_in_passing(stage, playing)
    stage.terminal.catch_up()
    stage.terminal.tell(f"\n{what_was_real(stage)}")


def _first(several: ExceptionGroup[Exception]) -> Exception:
    found = several.exceptions[0]
    return _first(found) if isinstance(found, ExceptionGroup) else found


async def _play(stage: Stage, channel: Channel, number: int) -> None:
    for _ in range(number):
        await breathe(stage)
    looks = set[str]()
    looking = asyncio.create_task(_look(channel, looks))
    try:
        task = await _asks(stage, channel)
        task = await reaches_review(stage, task)
        await until(stage, channel, "the card says it waits for review", lambda: _is_at(channel, STEPS[-1]), QUICK_S)
        reply = await until(
            stage, channel, "the pull request's link in the thread", lambda: _link(channel, task), QUICK_S
        )
        await breathe(stage)
        await settle(channel, 0.3, 3.0)
        stage.terminal.catch_up()
        if reply is None or "@ana" not in reply.text.lower():
            raise MissingStep(f"the reply with the link mentions ana ({channel.title}). It says: {reply}")
        await merge(stage, task)
        await until(stage, channel, "the card says merged", lambda: _is_merged(channel), QUICK_S)
        await _follows_up(stage, channel)
        await _check_all(stage, channel, task, looks)
        await settle(channel, 0.3, 3.0)
    finally:
        looking.cancel()


async def _look(channel: Channel, looks: set[str]) -> None:
    """Keeps every step that the card was seen at."""
    seen = -1
    while True:
        card = _card(channel)
        looks.add(card.step if card else "")
        try:
            await channel.wait_for(lambda seen=seen: channel.count() != seen, 1.0)
        except TimeoutError:
            continue
        seen = channel.count()


def request_of(stage: Stage, channel: Channel) -> str:
    """What ana asks for."""
    options = stage.options
    if options.request:
        return options.request
    if options.repo is None:
        return REQUESTS[channel.name]
    return PATCH_REQUEST if options.agent == "patch" else OWN_REQUEST


def what_was_real(stage: Stage) -> str:
    """What a person may believe of what they saw."""
    agent = stage.app.settings.default_agent
    acted = {
        "demo": "The demo agent follows a script: no model was asked.",
        "patch": "The agent `patch` applies what a request carries: no model was asked.",
    }.get(agent, f"The agent was your own: {agent}.")
    names = _listed([channel.title for channel in stage.channels])
    sdks = _listed(
        [{"slack": "slack-bolt", "discord": "discord.py", "lark": "lark-oapi"}[c.name] for c in stage.channels]
    )
    return (
        f"That was real: {sdks} over loopback sockets, SQLite, git, the tests, the pull requests and their merge in "
        f"the local forge. {names} {'was' if len(stage.channels) == 1 else 'were'} simulated. {acted}"
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _open_curtain(stage: Stage) -> None:
    settings = stage.app.settings
    name = "The sample project" if stage.options.repo is None else "A copy of your repository"
    sandbox = "in a sandbox" if settings.sandbox != "none" else "without a sandbox"
    names = _listed([channel.title for channel in stage.channels])
    stage.terminal.narrate(f"A simulated {names} on this machine. {name}: {stage.bare}. Agents run {sandbox}.")
    if stage.remark and not stage.options.quiet:
        stage.terminal.tell(stage.remark, style="dim")


async def _asks(stage: Stage, channel: Channel) -> CodeTask:
    channel.says("ana", f"{channel.door} {request_of(stage, channel)}")
    await until(stage, channel, f"the card in {channel.title}", lambda: _card(channel), QUICK_S)
    tasks = await stage.app.store.run(lambda tx: tx.tasks.list(TaskFilter()), read=True)
    found = next((task for task in tasks if task.requester_platform == channel.name), None)
    if found is None:
        raise MissingStep("the code task is stored")
    return found


async def _follows_up(stage: Stage, channel: Channel) -> None:
    """ana sets a follow-up in the thread and walks away; it answers there by itself."""
    card = _card(channel)
    if card is None or "followups" not in stage.app.settings.features:
        raise MissingStep(f"a thread for the follow-up in {channel.title}")
    await breathe(stage)
    door = channel.door if channel.door.startswith("@") else "!codetask"  # no slash commands in Slack's threads
    channel.says("ana", f"{door} later in {LATER_S} seconds {LATER}", card.thread or card.id)
    limit = BUILT_IN_S if stage.app.settings.default_agent in BUILT_IN else 60 * stage.app.settings.follow_up_minutes
    await _until_answered(stage, channel, limit)
    thread = {card.id, card.thread} - {""}

    def answered() -> Shown | None:
        said = [shown for shown in channel.shown() if shown.thread in thread and shown.key == "codetask"]
        return next((one for one in said[::-1] if "@ana" in one.text.lower() and not one.buttons), None)

    await until(stage, channel, "the follow-up's answer in the thread", answered, QUICK_S)


async def _until_answered(stage: Stage, channel: Channel, seconds: float) -> None:
    """Waits until the follow-up that was set in the channel is over."""
    store, loop = stage.app.store, asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        seen = store.version("task")
        found = await store.run(lambda tx: tx.followups.list(FollowUpFilter()), read=True)
        mine = next((one for one in found if one.platform == channel.name), None)
        if mine is not None and mine.state is FollowUpState.SUCCESS:
            return
        if mine is not None and mine.state in ENDED:
            raise MissingStep(f"the follow-up answers. It is {mine.state.value}: {mine.error or mine.failure_reason}")
        if loop.time() > end or stage.parts.done():
            raise MissingStep(
                f"the follow-up answers (waited {seconds:.0f} s; it is {mine.state if mine else 'unset'})"
            )
        await store.changed("task", seen, min(1.0, max(0.05, end - loop.time())))


async def _check_all(stage: Stage, channel: Channel, task: CodeTask, looks: set[str]) -> None:
    """The stages were all walked, in order, and nothing was said that the platform does not know."""
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
        for step in STEPS:
            if step not in looks:
                raise MissingStep(f"the card in {channel.title} shows: {step}. It showed: {sorted(looks)}")
    if channel.surprises:
        raise MissingStep(f"only what {channel.title} knows is sent. Also sent: {channel.surprises[0]}")


def _card(channel: Channel) -> Shown | None:
    """The first message with a plan in the channel."""
    return next((shown for shown in channel.shown() if shown.key == "codetask" and shown.has_plan), None)


def _is_at(channel: Channel, step: str) -> bool:
    card = _card(channel)
    return card is not None and card.step == step


def _is_merged(channel: Channel) -> bool:
    """Whether the card has no step left and says who merged."""
    card = _card(channel)
    return card is not None and not card.step and "merged" in card.text


def _link(channel: Channel, task: CodeTask) -> Shown | None:
    card = _card(channel)
    if card is None or not task.pr_url:
        return None
    thread = {card.id, card.thread} - {""}
    replies = [shown for shown in channel.shown() if shown.thread in thread and shown.id != card.id]
    return next((m for m in replies if m.key == "codetask" and any(b.href == task.pr_url for b in m.buttons)), None)
