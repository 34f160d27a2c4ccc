"""After the story: a prompt where one types as a person in a channel. Lines become what that person does there."""

import asyncio
import os
import re
import sys
import threading
from dataclasses import dataclass
from typing import Final, Literal, assert_never

from bot.demo.channel import PEOPLE, Channel
from bot.demo.pull_page import merge_pull
from bot.demo.stage import Stage
from bot.demo.terminal import message_with, settle
from bot.ports import PullRequest
from bot.store import Transaction

HELP: Final = """\
Type what a person would type in #general:
  /codetask Note who approves refunds      file a code task (in Lark: @codetask Note ...)
  /codetask list                           see what is there (also: show 1, status 1, logs 1, help)
  thread 1: @codetask status               speak in a thread (also: !codetask ...)
  press Cancel                             press a button (press Cancel in 2: in thread 2)
  merge 2, diff 2                          merge or see pull request 2
  as bo: /codetask list all                be someone else; `as bo` stays so (bo and cy may only look)
  in lark                                  go to another chat: {chats}
  page                                     a fresh address of the page in the browser
  help, quit"""
PROMPT: Final = "{who} in {title} #{room}> "
PATIENCE_S: Final = 60.0
"""How long the prompt waits for what a line leads to, at most."""
QUIET_S: Final = 0.7
MERGE_SEEN_S: Final = 3.0
"""A merge is noticed within 2 s (`reconcile_seconds` of the demo)."""
_THREAD: Final = re.compile(r"thread\s+(\d+)\s*:\s*(.+)", re.I | re.S)
_AS: Final = re.compile(r"as\s+@?(\w+)\s*(?::\s*(.*))?", re.I | re.S)
_PRESS: Final = re.compile(r"press\s+\[?(.+?)\]?(?:\s+in\s+(?:thread\s+)?(\d+))?", re.I)
_IN: Final = re.compile(r"in\s+#?(slack|discord|lark)", re.I)
_PULL: Final = re.compile(r"(merge|diff)\s+#?(\d+)", re.I)


@dataclass(frozen=True, slots=True)
class Says:
    """Words in the channel, or in a thread."""

    text: str
    thread: int | None = None


@dataclass(frozen=True, slots=True)
class Slash:
    """A slash command in the channel, or in a thread (which Slack refuses)."""

    line: str
    thread: int | None = None


@dataclass(frozen=True, slots=True)
class Press:
    label: str
    thread: int | None = None


@dataclass(frozen=True, slots=True)
class Pull:
    verb: Literal["merge", "diff"]
    number: int


@dataclass(frozen=True, slots=True)
class Person:
    """Someone else speaks: once when `line` is given, else from now on."""

    name: str
    line: str = ""


@dataclass(frozen=True, slots=True)
class Chat:
    """The next lines are for another platform."""

    name: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word to the demo itself."""

    word: Literal["help", "quit", "page", "nothing"]


Typed = Says | Slash | Press | Pull | Person | Chat | Word


def read_line(line: str, thread: int | None = None) -> Typed:
    """What a typed line means. Anything that is nothing else is said in the channel."""
    text = line.strip()
    if not text:
        return Word("nothing")
    if text.lower() in ("quit", "exit", "q"):
        return Word("quit")
    if text.lower() in ("help", "?"):
        return Word("help")
    if text.lower() == "page" and thread is None:
        return Word("page")
    if text.startswith("/"):
        return Slash(text, thread)
    if thread is None and (found := _AS.fullmatch(text)):
        return Person(found[1].lower(), (found[2] or "").strip())
    if thread is None and (found := _THREAD.fullmatch(text)):
        inner = read_line(found[2], int(found[1]))
        return inner if isinstance(inner, Says | Slash) else Says(found[2].strip(), int(found[1]))
    if thread is None and (found := _IN.fullmatch(text)):
        return Chat(found[1].lower())
    if found := _PRESS.fullmatch(text):
        return Press(found[1].strip(), int(found[2]) if found[2] else thread)
    if found := _PULL.fullmatch(text):
        return Pull("merge" if found[1].lower() == "merge" else "diff", int(found[2]))
    return Says(text, thread)


class Lines:
    """The lines of standard input, read in a thread of its own; None at its end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        threading.Thread(target=self._read, name="demo-input", daemon=True).start()

    async def next(self) -> str | None:
        return await self._lines.get()

    def _read(self) -> None:
        left = b""
        while True:
            try:
                chunk = os.read(self._descriptor, 4096)
            except OSError:
                chunk = b""
            *whole, left = (left + chunk).split(b"\n")
            if not chunk and left:
                whole.append(left)
            for line in whole:
                self._put(line.decode("utf-8", "replace"))
            if not chunk:
                self._put(None)
                return

    def _put(self, line: str | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._lines.put_nowait, line)


async def converse(stage: Stage) -> bool:
    """Reads and plays lines until `quit` (True) or the end of the input (False)."""
    terminal, who, channel = stage.terminal, "ana", stage.channels[0]
    terminal.tell("\nNow it is yours: type as a person in #general. `help` shows what you can do, `quit` ends.")
    lines = Lines(sys.stdin.fileno())
    interactive = sys.stdin.isatty()
    while True:
        terminal.catch_up()
        terminal.ask(PROMPT.format(who=who, title=channel.title, room=channel.room))
        line = await lines.next()
        terminal.answered()
        if line is None:
            terminal.tell("")
            return False
        if not interactive:
            terminal.tell(line)
        typed = read_line(line)
        match typed:
            case Person(name, "") if name in PEOPLE:
                who = name
            case Chat(name) if any(other.name == name for other in stage.channels):
                channel = next(other for other in stage.channels if other.name == name)
            case Word("quit"):
                return True
            case _:
                await _play(stage, channel, who, typed)
                await (settle(channel, 1.0, PATIENCE_S) if interactive else _rest(stage, channel, typed))


async def _rest(stage: Stage, channel: Channel, typed: Typed) -> None:
    """For lines that nobody watches: returns once all that a line led to is done, or after `PATIENCE_S`."""
    if isinstance(typed, Word):
        return
    end = asyncio.get_running_loop().time() + PATIENCE_S
    await settle(channel, MERGE_SEEN_S if isinstance(typed, Pull) else QUIET_S, PATIENCE_S)
    while asyncio.get_running_loop().time() < end and await stage.app.store.run(_is_busy, read=True):
        await settle(channel, QUIET_S, PATIENCE_S)


def _is_busy(tx: Transaction) -> bool:
    runs, deliveries = tx.figures.runs(), tx.figures.deliveries()
    open_runs = runs.get("queued", 0) + runs.get("active", 0)
    return bool(tx.figures.unhandled() or open_runs or deliveries.get("pending", 0) + deliveries.get("sending", 0))


async def stay(stage: Stage) -> None:
    """For an open page whose terminal takes no input: goes on until the demo is ended."""
    stage.terminal.tell("\nNow it is yours, on the page. Ctrl-C ends the demo.")
    await asyncio.wait({stage.parts})


async def _play(stage: Stage, channel: Channel, who: str, typed: Typed) -> None:
    terminal = stage.terminal
    try:
        match typed:
            case Word("help"):
                terminal.tell(HELP.format(chats=", ".join(other.name for other in stage.channels)))
            case Word("page"):
                terminal.tell(stage.pages.door.address)
            case Word():
                pass
            case Chat(name):
                terminal.tell(f"There is no {name} here.")
            case Person(name, line):
                if name not in PEOPLE:
                    raise LookupError(f"There is no {name} here. People: {', '.join(PEOPLE)}.")
                await _play(stage, channel, name, read_line(line))
            case Says(text, thread) | Slash(text, thread):
                where, root = _place(stage, channel, thread)
                where.says(who, text, root)
            case Press(label, thread):
                _press(stage, channel, who, label, thread)
            case Pull(verb, number):
                await _pull(stage, who, verb, number)
            case _:
                assert_never(typed)
    except LookupError as missing:
        terminal.tell(str(missing).strip("'\""))


def _place(stage: Stage, channel: Channel, thread: int | None) -> tuple[Channel, str]:
    """The channel, and the root of a thread ("" for none)."""
    if thread is None:
        return channel, ""
    found = stage.terminal.threads.root(thread)
    if found is None:
        raise LookupError(f"There is no thread {thread}. Threads so far: {len(stage.terminal.threads)}.")
    return next(other for other in stage.channels if other.name == found[0]), found[1]


def _press(stage: Stage, channel: Channel, who: str, label: str, thread: int | None) -> None:
    where, root = _place(stage, channel, thread)
    shown = [m for m in where.shown() if m.to in ("", who) and (not root or root in (m.id, m.thread))]
    target = message_with(shown, label)
    if target is None:
        raise LookupError(f"No message shows a button [{label}].")
    where.presses(who, *target)


async def _pull(stage: Stage, who: str, verb: str, number: int) -> None:
    terminal = stage.terminal
    if verb == "diff":
        diff = await stage.forge.diff(stage.repo, number)
        if isinstance(diff, str):
            terminal.show_diff(diff)
        else:
            terminal.tell(getattr(diff, "say", str(diff)))
        return
    merged = await merge_pull(stage.forge, stage.repo, number, who)
    if isinstance(merged, PullRequest):
        terminal.tell(f"Pull request {number} is merged. The card follows within 2 s.")
    else:
        terminal.tell(getattr(merged, "say", str(merged)))
