"""What happens in the simulated channel, drawn in the terminal as it happens: who said what, in which thread."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.text import Text

from platforms.slack.simulator import Happening, SlackSimulator, StoredMessage, Whisper, buttons

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
_STEP: Final = re.compile(r"^  ([✓●○✗]) (.*)$")
_BUTTONS: Final = re.compile(r"^(\[[^\[\]]+\] ?)+$")
_STYLES: Final[Mapping[str, str]] = {"✓": "green", "●": "bold yellow", "○": "dim", "✗": "bold red"}
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

    def __init__(self, simulator: SlackSimulator, console: Console, *, quiet: bool = False) -> None:
        self.console = console
        self.threads = Threads()
        self._simulator = simulator
        self._quiet = quiet
        self._seen = 0
        self._whispers = 0
        self._shown: dict[tuple[str, str], str] = {}
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

    # --- What happens in the channel ----------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Draws until cancelled."""
        while True:
            try:
                await self._simulator.wait_for(lambda: len(self._simulator.happenings) > self._seen, 3600.0)
            except TimeoutError:
                continue
            self.catch_up()

    def catch_up(self) -> None:
        """Draws what happened since the last look."""
        happenings = self._simulator.happenings[self._seen :]
        self._seen += len(happenings)
        for happening in happenings:
            drawn = self._draw(happening)
            if drawn is not None and not self._quiet:
                self._print(drawn)

    @property
    def seen(self) -> int:
        """How many happenings were drawn."""
        return self._seen

    def _draw(self, happening: Happening) -> RenderableType | None:
        names = self._simulator.names
        ours = happening.user == self._simulator.bot_user_id
        who = "Codetask" if ours else names.get(happening.user, happening.user)
        match happening.kind:
            case "command":
                return self._speech(happening, who, happening.text)
            case "clicked":
                return self._speech(happening, who, f"presses [{happening.text}]")
            case "said" | "edited" if happening.message is not None:
                return self._message(happening, happening.message, who)
            case "whispered":
                return self._whisper(who)
            case "deleted":
                return self._speech(happening, who, "(message deleted)")
            case "reacted":
                return self._speech(happening, who, f"reacts with {happening.text}")
            case "refused":
                return self._speech(happening, who, f"(Slack showed an error: {happening.text})")
            case _:
                return None

    def _message(self, happening: Happening, message: StoredMessage, who: str) -> RenderableType | None:
        text = self._simulator.render_text(message)
        key = (message.channel, message.ts)
        if self._shown.get(key) == text:
            return None
        again = key in self._shown
        self._shown[key] = text
        ours = message.bot_id is not None
        thread = ""
        if ours or message.is_reply:
            thread = f"thread {self.threads.number(message.channel, message.root)}"
        what = "Codetask" + (" updates the card" if again else "") if ours else who
        where = self._where(message.channel, thread if message.is_reply or again else "", thread)
        return self._block(happening.at, where, what, text, card=ours and not message.is_reply)

    def _whisper(self, who: str) -> RenderableType | None:
        whispers = self._simulator.whispers
        if self._whispers >= len(whispers):
            return None
        whisper: Whisper = whispers[self._whispers]
        self._whispers += 1
        text = self._simulator.render_text(whisper)
        thread = f"thread {self.threads.number(whisper.channel, whisper.thread_ts)}" if whisper.thread_ts else ""
        speaker = "Slack" if whisper.via == "slackbot" else "Codetask"
        return self._block(whisper.at, self._where(whisper.channel, thread, ""), f"{speaker}, only to {who}", text)

    def _speech(self, happening: Happening, who: str, text: str) -> RenderableType:
        where = self._where(happening.channel, "", "")
        return self._block(happening.at, where, who, text)

    def _where(self, channel: str, inside: str, root: str) -> str:
        name = self._simulator.names.get(channel, "")
        place = f"#{name}" if name else "direct message"
        if inside:
            return f"{place} › {inside}"
        return f"{place} · {root}" if root else place

    def _block(self, at: datetime, where: str, who: str, text: str, *, card: bool = False) -> RenderableType:
        style = _PEOPLE.get(who, "bold green")
        head = Text.assemble("\n", (f"{at:%H:%M:%S}", "dim"), "  ", (who, style), "  ", (where, "dim"))
        margin = Text.assemble(INDENT, ("┃ ", "cyan")) if card else Text(INDENT)
        room = max(self.console.width - len(margin), 20)
        wrapped = [row for line in _compact(text) for row in line.wrap(self.console, room)]
        return Group(head, *(Text.assemble(margin, row) for row in wrapped))

    def _print(self, what: RenderableType) -> None:
        if self._prompt and self.console.is_terminal:
            self.console.file.write("\r\x1b[K")
        elif self._prompt:
            self.console.print()
        self.console.print(what, soft_wrap=False)
        if self._prompt:
            self.ask(self._prompt)


def _compact(text: str) -> Iterator[Text]:
    """The lines of a message with all steps of a card on one line, without the line that repeats the present step."""
    lines = text.splitlines()
    steps = [found for line in lines if (found := _STEP.match(line))]
    labels = {step[2].split(" · ")[0] for step in steps}
    drawn = False
    for line in lines:
        if not _STEP.match(line):
            if line not in labels:
                yield _line(line)
        elif not drawn:
            drawn = True
            yield Text("  ").join(Text(f"{step[1]} {step[2]}", style=_STYLES[step[1]]) for step in steps)


def _line(line: str) -> Text:
    if _BUTTONS.match(line):
        return Text(line, style="bold blue")
    if line.startswith("*") and line.endswith("*") and len(line) > 2:
        return Text(line[1:-1], style="bold")
    return Text(line)


def make_console(*, width: int | None = None) -> Console:
    """The console of the demo: plain text when it is not a terminal or NO_COLOR is set."""
    console = Console(highlight=False, soft_wrap=False, width=width)
    if not console.is_terminal and width is None:
        console.width = WIDTH
    return console


async def settle(simulator: SlackSimulator, seconds: float, longest: float) -> None:
    """Returns once nothing happened for `seconds`, at the latest after `longest`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + longest
    while loop.time() < end:
        count = len(simulator.happenings)
        try:
            await simulator.wait_for(lambda count=count: len(simulator.happenings) > count, seconds)
        except TimeoutError:
            return


def buttons_in(messages: Iterable[StoredMessage | Whisper], label: str) -> StoredMessage | Whisper | None:
    """The latest of the messages that shows a button of this label (any case)."""
    wanted = label.strip("[]").casefold()
    for message in reversed(list(messages)):
        if any(button.label.casefold() == wanted for button in buttons(message)):
            return message
    return None
