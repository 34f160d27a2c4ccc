"""After the story: a prompt where one types as a person in the channel. Lines become what that person does in Slack."""

import asyncio
import os
import re
import sys
import threading
from dataclasses import dataclass
from typing import Final, Literal, assert_never

from bot.demo.stage import Stage
from bot.demo.terminal import buttons_in, settle
from bot.ports import PullRequest

HELP: Final = """\
Type what a person would type in #general:
  /codetask Greet customers with Welcome   file a code task
  /codetask list                           see what is there (also: show 1, status 1, logs 1, help)
  thread 1: @codetask status               speak in a thread (also: !codetask ...)
  press Cancel                             press a button (press Cancel in 2: in thread 2)
  merge 2, diff 2                          merge or see pull request 2
  as bo: /codetask list all                be someone else; `as bo` stays so (bo and cy may only look)
  help, quit"""
PROMPT: Final = "{who} in #general> "
PEOPLE: Final = ("ana", "bo", "cy", "gus")
_THREAD: Final = re.compile(r"thread\s+(\d+)\s*:\s*(.+)", re.I | re.S)
_AS: Final = re.compile(r"as\s+@?(\w+)\s*(?::\s*(.*))?", re.I | re.S)
_PRESS: Final = re.compile(r"press\s+\[?(.+?)\]?(?:\s+in\s+(?:thread\s+)?(\d+))?", re.I)
_PULL: Final = re.compile(r"(merge|diff)\s+#?(\d+)", re.I)


@dataclass(frozen=True, slots=True)
class Says:
    """Words in the channel, or in a thread."""

    text: str
    thread: int | None = None


@dataclass(frozen=True, slots=True)
class Slash:
    """A slash command in the channel, or (refused by Slack) in a thread."""

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
class Word:
    """A word to the demo itself."""

    word: Literal["help", "quit", "nothing"]


Typed = Says | Slash | Press | Pull | Person | Word


def read_line(line: str, thread: int | None = None) -> Typed:
    """What a typed line means. Anything that is nothing else is said in the channel."""
    text = line.strip()
    if not text:
        return Word("nothing")
    if text.lower() in ("quit", "exit", "q"):
        return Word("quit")
    if text.lower() in ("help", "?"):
        return Word("help")
    if text.startswith("/"):
        return Slash(text, thread)
    if thread is None and (found := _AS.fullmatch(text)):
        return Person(found[1].lower(), (found[2] or "").strip())
    if thread is None and (found := _THREAD.fullmatch(text)):
        inner = read_line(found[2], int(found[1]))
        return inner if isinstance(inner, Says | Slash) else Says(found[2].strip(), int(found[1]))
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


async def converse(stage: Stage) -> None:
    """Reads and plays lines until `quit` or the end of the input."""
    terminal, who = stage.terminal, "ana"
    terminal.tell("\nNow it is yours: type as a person in #general. `help` shows what you can do, `quit` ends.")
    lines = Lines(sys.stdin.fileno())
    interactive = sys.stdin.isatty()
    while True:
        terminal.catch_up()
        terminal.ask(PROMPT.format(who=who))
        line = await lines.next()
        terminal.answered()
        if line is None:
            terminal.tell("")
            return
        if not interactive:
            terminal.tell(line)
        typed = read_line(line)
        if isinstance(typed, Person) and not typed.line:
            who = typed.name if typed.name in PEOPLE else who
            if typed.name not in PEOPLE:
                terminal.tell(f"There is no {typed.name} here. People: {', '.join(PEOPLE)}.")
            continue
        if isinstance(typed, Word) and typed.word == "quit":
            return
        await _play(stage, who, typed)
        await settle(stage.simulator, 1.0 if interactive else 3.0, 60.0)


async def _play(stage: Stage, who: str, typed: Typed) -> None:
    terminal = stage.terminal
    try:
        match typed:
            case Word("help"):
                terminal.tell(HELP)
            case Word():
                pass
            case Person(name, line):
                if name in PEOPLE:
                    await _play(stage, name, read_line(line))
                else:
                    terminal.tell(f"There is no {name} here. People: {', '.join(PEOPLE)}.")
            case Says(text, thread):
                channel, root = _place(stage, thread)
                stage.simulator.user_says(who, text, channel, thread_ts=root)
            case Slash(line, thread):
                channel, root = _place(stage, thread)
                stage.simulator.runs_command(who, line, channel, thread_ts=root)
            case Press(label, thread):
                _press(stage, who, label, thread)
            case Pull(verb, number):
                await _pull(stage, who, verb, number)
            case _:
                assert_never(typed)
    except LookupError as missing:
        terminal.tell(str(missing).strip("'\""))


def _place(stage: Stage, thread: int | None) -> tuple[str, str | None]:
    if thread is None:
        return "general", None
    found = stage.terminal.threads.root(thread)
    if found is None:
        raise LookupError(f"There is no thread {thread}. Threads so far: {len(stage.terminal.threads)}.")
    return found


def _press(stage: Stage, who: str, label: str, thread: int | None) -> None:
    simulator = stage.simulator
    if thread is None:
        me = simulator.user(who).id
        whispers = [whisper for whisper in simulator.whispers if whisper.user == me]
        shown = sorted([*simulator.sent, *whispers], key=lambda message: message.ts)
    else:
        shown = simulator.thread_at(*_place(stage, thread))  # type: ignore[arg-type]
    target = buttons_in(shown, label)
    if target is None:
        raise LookupError(f"No message shows a button [{label}].")
    simulator.clicks(who, target, label)


async def _pull(stage: Stage, who: str, verb: str, number: int) -> None:
    terminal = stage.terminal
    if verb == "diff":
        diff = await stage.forge.diff(stage.repo, number)
        if isinstance(diff, str):
            terminal.show_diff(diff)
        else:
            terminal.tell(getattr(diff, "say", str(diff)))
        return
    merged = await stage.forge.merge(stage.repo, number, who)
    if isinstance(merged, PullRequest):
        terminal.tell(f"Pull request {number} is merged. The card follows within 2 s.")
    else:
        terminal.tell(getattr(merged, "say", str(merged)))
