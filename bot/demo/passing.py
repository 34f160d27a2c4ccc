"""The second scene: what somebody wishes for in passing becomes a code task, and the same wish in other chats joins it.

Nobody types a command for the wish itself. ana switches the suggestions on; a colleague wonders aloud in one chat, ana
presses [File as code task] below the line that Codetask adds; in the other chats she presses [Same as CT-4].
"""

from collections.abc import Mapping, Sequence
from typing import Final

from bot.core.tasks import CodeTask
from bot.demo.channel import Button, Channel, Shown
from bot.demo.stage import Stage
from bot.demo.steps import MissingStep, breathe, merge, reaches_review, until
from bot.demo.terminal import settle
from bot.store import TaskFilter

TURN_ON: Final = "settings intake suggest"
WISHES: Final[Mapping[str, str]] = {
    "slack": "could we get a reminder letter for overdue invoices? customers keep forgetting to pay",
    "discord": "it would be great to have a reminder letter for overdue invoices",
    "lark": "please add a reminder letter for overdue invoices, I write them by hand every week",
}
ECHO: Final = "true, that happens every month"
"""Somebody else speaks: then a wish is over and is judged at once, and not when a minute and a half have passed."""
QUICK_S: Final = 15.0


async def play_in_passing(stage: Stage, channels: Sequence[Channel]) -> None:
    """Plays the scene in the first chat and lets the others join. Raises `MissingStep`."""
    first, *others = channels
    for channel in channels:
        channel.says("ana", f"{channel.door} {TURN_ON}")
        await until(stage, channel, "the note that suggestions are on", lambda c=channel: _notice(c), QUICK_S)
    await breathe(stage)
    line = await _wishes(stage, first)
    await _presses(stage, first, line, "file")
    task = await _filed(stage, first)
    await until(stage, first, f"the card of {task.ref}", lambda: _card_of(first, task), QUICK_S)
    for channel in others:
        await breathe(stage)
        line = await _wishes(stage, channel)
        await _presses(stage, channel, line, "same")
        await until(stage, channel, f"joining {task.ref}", lambda c=channel: _joined(c, task), QUICK_S)
    task = await reaches_review(stage, task)
    for channel in others:
        await until(stage, channel, "the link for those who joined", lambda c=channel: _told(c, task), QUICK_S)
    await breathe(stage)
    await merge(stage, task)
    for channel in others:
        await until(stage, channel, "the merge for those who joined", lambda c=channel: _merged(c, task), QUICK_S)
    for channel in channels:
        await settle(channel, 0.3, 3.0)


async def _wishes(stage: Stage, channel: Channel) -> Shown:
    """bo wonders aloud and cy agrees; the line that Codetask adds."""
    channel.says("bo", WISHES[channel.name])
    await breathe(stage)
    channel.says("cy", ECHO)
    return await until(stage, channel, "the suggestion below the wish", lambda: _suggestion(channel), QUICK_S)


async def _presses(stage: Stage, channel: Channel, line: Shown, verb: str) -> None:
    await breathe(stage)
    button = _button(line, verb)
    if button is None:
        raise MissingStep(f"a button to {verb} below the suggestion in {channel.title}. It says: {line.text}")
    channel.presses("ana", line.id, button.press)


async def _filed(stage: Stage, channel: Channel) -> CodeTask:
    async def newest() -> CodeTask | None:
        tasks = await stage.app.store.run(lambda tx: tx.tasks.list(TaskFilter(limit=5)), read=True)
        return next((task for task in tasks if task.source == "suggestion"), None)

    await until(stage, channel, "the suggestion says that it is filed", lambda: _is_filed(channel), QUICK_S)
    task = await newest()
    if task is None:
        raise MissingStep("the suggestion is filed as a code task")
    return task


def _notice(channel: Channel) -> Shown | None:
    return next((one for one in _said(channel) if "suggest" in one.text.lower() and "settings" in one.text), None)


def _suggestion(channel: Channel) -> Shown | None:
    return next((one for one in _said(channel) if _button(one, "not_request") and _button(one, "file")), None)


def _is_filed(channel: Channel) -> bool:
    return any(_button(one, "not_request") and not _button(one, "file") for one in _said(channel))


def _card_of(channel: Channel, task: CodeTask) -> Shown | None:
    return next((one for one in _said(channel) if one.has_plan and task.ref in one.text), None)


def _joined(channel: Channel, task: CodeTask) -> Shown | None:
    return next((one for one in _said(channel) if task.ref in one.text and _button(one, "different")), None)


def _told(channel: Channel, task: CodeTask) -> Shown | None:
    return next((one for one in _said(channel) if any(button.href == task.pr_url for button in one.buttons)), None)


def _merged(channel: Channel, task: CodeTask) -> Shown | None:
    told = (one for one in _said(channel) if task.ref in one.text and not one.has_plan)
    return next((one for one in told if "merged" in one.text.lower()), None)


def _said(channel: Channel) -> list[Shown]:
    return [one for one in channel.shown() if one.key == "codetask" and not one.to]


def _button(shown: Shown, verb: str) -> Button | None:
    return next((button for button in shown.buttons if f"codetask:{verb}:" in button.press), None)
