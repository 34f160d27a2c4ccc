"""What happens in the simulated channels, drawn in the terminal as it happens: who said what, in which thread."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Console, Group
from rich.text import Text

from bot.core.hygiene import clean
from bot.demo.channel import Buttons, Channel, Code, Line, Part, Plan, Rule, Shown, Step, flat, line_text, step_text

WIDTH: Final = 100
DIFF_LINES: Final = 24
INDENT: Final = " " * 10
_DIFF_STYLES: Final = (
    ("+++", "bold"),
    ("---", "bold"),
    ("diff ", "bold"),
    ("@@", "cyan"),
    ("+", "green"),
    ("-", "red"),
)
_STYLES: Final[Mapping[str, str]] = {"done": "green", "active": "bold yellow", "pending": "dim", "failed": "bold red"}
_PEOPLE: Final[Mapping[str, str]] = {"ana": "bold magenta", "bo": "bold blue", "cy": "bold cyan"}


class Threads:
    """Numbers threads in the order in which they are first seen, so that a person can name one."""

    def __init__(self) -> None:
        self._roots: list[tuple[str, str]] = []

    def number(self, channel: str, root: str) -> int:
        if (channel, root) not in self._roots:
            self._roots.append((channel, root))
        return self._roots.index((channel, root)) + 1

    def root(self, number: int) -> tuple[str, str] | None:
        """Channel and root of a thread, or None when there is no such number."""
        return self._roots[number - 1] if 0 < number <= len(self._roots) else None

    def __len__(self) -> int:
        return len(self._roots)


class Terminal:
    """Draws on a console; readable without colour and when piped. `quiet` draws nothing but what `tell` is given."""

    def __init__(self, channels: Sequence[Channel], console: Console, *, quiet: bool = False) -> None:
        self.console = console
        self.threads = Threads()
        self._channels = channels
        self._quiet = quiet
        self._shown: dict[tuple[str, str], Shown] = {}
        self._counts: dict[str, int] = {}
        self._prompt = ""

    # --- What the demo itself says ------------------------------------------------------------------------------------

    def tell(self, text: str, style: str = "") -> None:
        """A line of the demo itself, also when quiet."""
        self._print(Text(text, style=style))

    def narrate(self, text: str) -> None:
        """A line between the scenes."""
        if not self._quiet:
            self._print(Text(f"\n── {text}", style="bold"))

    def show_diff(self, diff: str) -> None:
        """The beginning of a pull request's diff."""
        if self._quiet:
            return
        lines = diff.splitlines()
        for line in lines[:DIFF_LINES]:
            style = next((style for start, style in _DIFF_STYLES if line.startswith(start)), "")
            self._print(Text(f"{INDENT}{line}", style=style, no_wrap=True, overflow="ellipsis"))
        if len(lines) > DIFF_LINES:
            self._print(Text(f"{INDENT}... and {len(lines) - DIFF_LINES} lines more", style="dim"))

    def ask(self, prompt: str) -> None:
        """Shows the prompt; what happens meanwhile is drawn above a fresh one."""
        self._prompt = prompt
        self.console.print(Text(prompt, style="bold"), end="")
        self.console.file.flush()

    def answered(self) -> None:
        """A line was typed: the prompt is gone."""
        self._prompt = ""

    # --- What happens in the channels ---------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Draws until cancelled."""
        async with asyncio.TaskGroup() as group:
            for channel in self._channels:
                group.create_task(self._watch(channel))

    def catch_up(self) -> None:
        """Draws what happened since the last look."""
        for channel in self._channels:
            self._draw(channel)

    async def _watch(self, channel: Channel) -> None:
        while True:
            try:
                await channel.wait_for(lambda: channel.count() != self._counts.get(channel.name), 3600.0)
            except TimeoutError:
                continue
            self._draw(channel)

    def _draw(self, channel: Channel) -> None:
        self._counts[channel.name] = channel.count()
        for shown in channel.shown():
            key = (channel.name, shown.id)
            before = self._shown.get(key)
            self._shown[key] = shown
            if not self._quiet and (before is None or before.text != shown.text):
                self._print(self._block(channel, shown, again=before is not None))
            if not self._quiet and before is not None:
                for line in _new_reactions(before, shown):
                    self._print(self._head(channel, shown, line))

    def _block(self, channel: Channel, shown: Shown, *, again: bool) -> Group:
        ours = shown.key == "codetask"
        name = shown.who if ours or shown.key == "slackbot" else shown.key
        if again:
            name += " updates the card" if ours else " edits"
        if shown.to:
            name += f", only to {shown.to}"
        if shown.kind == "note":
            return self._head(channel, shown, f"{name} {clean(line_text(_words(shown.parts)))}")
        head = self._head(channel, shown, name, again=again)
        margin = Text.assemble(INDENT, ("┃ ", "cyan")) if ours and not shown.to and again else Text(INDENT)
        room = max(self.console.width - len(margin), 20)
        wrapped = [row for line in _lines(shown.parts) for row in line.wrap(self.console, room)]
        return Group(head, *(Text.assemble(margin, row) for row in wrapped))

    def _head(self, channel: Channel, shown: Shown, who: str, *, again: bool = False) -> Group:
        style = _PEOPLE.get(shown.key, "bold green")
        where = self._where(channel, shown, again)
        at = datetime.now(UTC) if again else shown.at
        return Group(Text.assemble("\n", (f"{at:%H:%M:%S}", "dim"), "  ", (who, style), "  ", (where, "dim")))

    def _where(self, channel: Channel, shown: Shown, again: bool) -> str:
        place = f"{channel.title} #{channel.room}"
        if shown.label == "Direct message":
            return f"{channel.title}, direct message"
        if shown.thread:
            return f"{place} › thread {self.threads.number(channel.name, shown.thread)}"
        if shown.key == "codetask" and not shown.to:
            number = self.threads.number(channel.name, shown.id)
            return f"{place} › thread {number}" if again else f"{place} · thread {number}"
        return place

    def _print(self, what: Text | Group) -> None:
        if self._prompt and self.console.is_terminal:
            self.console.file.write("\r\x1b[K")
        elif self._prompt:
            self.console.print()
        self.console.print(what, soft_wrap=False)
        if self._prompt:
            self.ask(self._prompt)


def _new_reactions(before: Shown, now: Shown) -> Iterator[str]:
    known = {(reaction.emoji, who) for reaction in before.reactions for who in reaction.by}
    for reaction in now.reactions:
        for who in reaction.by:
            if (reaction.emoji, who) not in known:
                yield f"{'Codetask' if who == 'codetask' else who} reacts with {reaction.emoji}"


def _words(parts: Sequence[Part]) -> tuple:
    return tuple(word for part in parts if isinstance(part, Line) for word in part.words)


def _lines(parts: Sequence[Part]) -> Iterator[Text]:
    """The lines of a message, with all steps of a card on one line."""
    for part in flat(parts):
        match part:
            case Line(words, role):
                text = {"bullet": "• ", "quote": "> "}.get(role, "") + line_text(words)
                yield Text(clean(text), style="bold" if role == "title" else "")
            case Code(text):
                yield from (Text(clean(line)) for line in text.splitlines())
            case Rule():
                yield Text("─" * 20, style="dim")
            case Plan(_, steps):
                yield Text("  ").join(_step(step) for step in steps)
            case Buttons(buttons):
                yield Text(" ".join(f"[{button.label}]" for button in buttons), style="bold blue")
            case _:
                pass


def _step(step: Step) -> Text:
    return Text(clean(step_text(step)), style=_STYLES[step.mark])


def make_console(*, width: int | None = None) -> Console:
    """The console of the demo: plain text when it is not a terminal or NO_COLOR is set."""
    console = Console(highlight=False, soft_wrap=False, width=width)
    if not console.is_terminal and width is None:
        console.width = WIDTH
    return console


async def settle(channel: Channel, seconds: float, longest: float) -> None:
    """Returns once nothing happened in a channel for `seconds`, at the latest after `longest`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + longest
    while loop.time() < end:
        count = channel.count()
        try:
            await channel.wait_for(lambda count=count: channel.count() != count, seconds)
        except TimeoutError:
            return


def message_with(shown: Sequence[Shown], label: str) -> tuple[str, str] | None:
    """The latest of the messages that shows a button of this label (any case): its id, and what to press."""
    wanted = label.strip("[]").casefold()
    for message in reversed(shown):
        for button in message.buttons:
            if button.press and button.label.casefold() == wanted:
                return message.id, button.press
    return None
