"""What the scenes of the demo are made of: waiting for something to be seen, and the steps that several scenes take."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from bot.core.tasks import CodeTask
from bot.core.tasks import Stage as TaskStage
from bot.demo.channel import Channel
from bot.demo.pull_page import merge_pull
from bot.demo.stage import BUILT_IN, Stage
from bot.ports import PullRequest

T = TypeVar("T")
QUICK_S: Final = 15.0
BUILT_IN_S: Final = 90.0
BREATH_S: Final = 1.2
"""A pause between scenes, so that a person can read."""


class MissingStep(Exception):
    """A step of the story did not happen. The text names it."""


async def breathe(stage: Stage) -> None:
    """Lets a person read, unless the demo is played fast."""
    if stage.paced:
        await asyncio.sleep(BREATH_S)


async def until(stage: Stage, channel: Channel, step: str, happened: Callable[[], T | None], seconds: float) -> T:
    """What `happened` returns once it is truthy; gives up early when a part of Codetask ended by itself."""
    try:
        await channel.wait_for(lambda: happened() or stage.parts.done(), seconds)
    except TimeoutError as late:
        raise MissingStep(f"{step} (waited {seconds:.0f} s; {late})") from late
    if not (found := happened()):
        raise MissingStep(f"{step} (a part of Codetask ended by itself: {stage.parts.result()})")
    return found


async def until_stage(stage: Stage, task: CodeTask, wanted: set[TaskStage], step: str, seconds: float) -> CodeTask:
    """The code task once it is in one of the stages."""
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


async def reaches_review(stage: Stage, task: CodeTask) -> CodeTask:
    """The code task once its pull request is open."""
    limit = BUILT_IN_S
    if task.agent not in BUILT_IN:
        settings = stage.app.settings
        limit = 60 * (settings.agent_minutes + settings.setup_minutes + settings.test_minutes + 1)
    task = await until_stage(stage, task, {TaskStage.REVIEW, TaskStage.FAILED}, "the code task reaches review", limit)
    if task.stage is not TaskStage.REVIEW:
        raise MissingStep(f"the code task reaches review. It failed: {task.error or task.failure_reason}")
    return task


async def merge(stage: Stage, task: CodeTask) -> None:
    """Shows the diff, merges as ana, and waits until the merge is noticed."""
    number = task.pr_number
    if number is None:
        raise MissingStep("the pull request has a number")
    diff = await stage.forge.diff(stage.repo, number)
    stage.terminal.narrate(f"Pull request {number} in the local forge: {task.branch} → {task.base}")
    stage.terminal.show_diff(diff if isinstance(diff, str) else "")
    await breathe(stage)
    stage.terminal.narrate(f"ana merges pull request {number}")
    merged = await merge_pull(stage.forge, stage.repo, number, "ana")
    if not isinstance(merged, PullRequest) or merged.state != "merged":
        raise MissingStep(f"the pull request is merged. The forge said: {merged}")
    await until_stage(stage, task, {TaskStage.MERGED}, "the merge is noticed", QUICK_S)
