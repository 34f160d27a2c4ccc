"""The simulated Slack as a `Channel`: its stored Block Kit and mrkdwn read into parts."""

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any, Final, TypeVar

from bot.demo.channel import (
    Button,
    Buttons,
    Language,
    Line,
    Mark,
    Part,
    Plan,
    Reaction,
    Rule,
    Shown,
    Step,
    Word,
    note,
)
from bot.demo.forms import Form, open_form, read_view
from bot.demo.marks import is_web, link, read_inline, read_lines, styled
from platforms.slack.simulator import Delivery, Happening, SlackSimulator, StoredMessage, View, Whisper

T = TypeVar("T")
Json = dict[str, Any]
_MARKS: Final = re.compile(
    r"`(?P<code>[^`\n]+)`|<(?P<token>[^<>\n]+)>"
    r"|(?<![\w*])\*(?P<bold>[^*\n]+)\*(?![\w*])|(?<![\w_])_(?P<italic>[^_\n]+)_(?![\w_])"
    r"|(?<![\w~])~(?P<strike>[^~\n]+)~(?![\w~])"
)
_STARTS: Final = {"&gt; ": "quote", "> ": "quote", "• ": "bullet"}
_STATES: Final[Mapping[str, Mark]] = {"complete": "done", "in_progress": "active", "error": "failed"}
EMOJI_NAMES: Final = {"👍": "+1", "👀": "eyes", "✅": "white_check_mark", "💡": "bulb", "🤖": "robot_face", "❌": "x"}
_EMOJI: Final = {name: emoji for emoji, name in EMOJI_NAMES.items()} | {"thumbsup": "👍"}


class SlackChannel:
    """`#general` of the simulated workspace."""

    name = "slack"
    title = "Slack"
    room = "general"
    door = "/codetask"
    menu: Mapping[str, str] = MappingProxyType({"codetask_file": "File as code task"})

    def __init__(self, simulator: SlackSimulator) -> None:
        self.simulator = simulator
        self.settings: Mapping[str, Any] = {
            "slack_bot_token": simulator.bot_token,
            "slack_app_token": simulator.app_token,
            "codetask_slack_api_url": simulator.api_url,
        }
        self._sent: dict[str, Delivery] = {}
        """View id -> the form as it was sent last."""

    # --- What there is to see -----------------------------------------------------------------------------------------

    def shown(self, language: Language = "en") -> list[Shown]:
        simulator = self.simulator
        rooms = {channel.id: channel for channel in map(simulator.channel, (self.room,))}
        found = [self._message(m) for m in simulator.messages if not m.deleted and m.channel in rooms]
        found += [self._direct(m) for m in simulator.messages if not m.deleted and m.channel not in rooms]
        found += [self._whisper(at, w) for at, w in enumerate(simulator.whispers) if w.shown]
        found += [n for at, h in enumerate(simulator.happenings) if (n := self._note(at, h)) is not None]
        return sorted(found, key=lambda shown: shown.at)

    def _message(self, message: StoredMessage) -> Shown:
        who, key = self._person(message.user)
        return Shown(
            id=message.ts,
            at=message.at,
            who=who,
            key=key,
            parts=tuple(read_blocks(message.blocks, message.text, self.simulator.names)),
            thread=message.root if message.is_reply else "",
            edited=message.edited is not None and message.bot_id is None,
            reactions=tuple(
                Reaction(_EMOJI.get(name, f":{name}:"), name.replace("_", " "), tuple(self._person(u)[1] for u in by))
                for name, by in message.reactions.items()
            ),
        )

    def _direct(self, message: StoredMessage) -> Shown:
        """A message of the person's direct messages with the bot, shown where they look."""
        members = [self._person(user)[1] for user in self.simulator.channel(message.channel).members]
        to = next((key for key in members if key != "codetask"), "")
        who, key = self._person(message.user)
        parts = tuple(read_blocks(message.blocks, message.text, self.simulator.names))
        return Shown(message.ts, message.at, who, key, parts, to=to, label="Direct message")

    def _whisper(self, at: int, whisper: Whisper) -> Shown:
        who, key = ("Slackbot", "slackbot") if whisper.via == "slackbot" else ("Codetask", "codetask")
        return Shown(
            id=f"whisper-{at}",
            at=whisper.at,
            who=who,
            key=key,
            parts=tuple(read_blocks(whisper.blocks, whisper.text, self.simulator.names)),
            thread=whisper.thread_ts or "",
            to=self._person(whisper.user)[1],
            label="Only visible to you",
        )

    def _note(self, at: int, happening: Happening) -> Shown | None:
        who, key = self._person(happening.user)
        say = {"command": "typed {}", "clicked": "pressed {}"}.get(happening.kind)
        if happening.text in self.menu:
            say = "used {}"
        text = self.menu.get(happening.text, happening.text)
        return note(f"note-{at}", happening.at, who, key, say.format(text)) if say else None

    def _person(self, user: str) -> tuple[str, str]:
        """The name shown and the short key of a user id."""
        if user == self.simulator.bot_user_id:
            return "Codetask", "codetask"
        found = self.simulator.user(user)
        return found.real_name, found.name

    # --- What a person does -------------------------------------------------------------------------------------------

    def says(self, person: str, text: str, thread: str = "") -> None:
        root = self._find(thread) if thread else None
        root_ts = None if root is None else root.thread_ts or root.ts
        if text.startswith("/"):
            self.simulator.runs_command(person, text, self.room, thread_ts=root_ts)
        else:
            self.simulator.user_says(person, text, self.room, thread_ts=root_ts)

    def presses(self, person: str, message: str, press: str) -> None:
        self.simulator.clicks(person, self._find(message), press)

    def reacts(self, person: str, message: str, emoji: str, on: bool) -> None:
        found = self._find(message)
        if isinstance(found, Whisper):
            raise LookupError("Nobody can react to a private message.")
        self.simulator.reacts(person, found, EMOJI_NAMES[emoji], on=on)

    def picks(self, person: str, message: str, name: str) -> None:
        found = self._find(message)
        if isinstance(found, Whisper):
            raise LookupError("A private message has no menu.")
        self.simulator.uses_shortcut(person, found, name)

    def _find(self, message: str) -> StoredMessage | Whisper:
        simulator = self.simulator
        if message.startswith("whisper-"):
            whispers = {f"whisper-{at}": whisper for at, whisper in enumerate(simulator.whispers)}
            if message in whispers:
                return whispers[message]
        for stored in simulator.messages:
            if stored.ts == message and not stored.deleted:
                return stored
        raise LookupError("That message is no longer there.")

    # --- Forms --------------------------------------------------------------------------------------------------------

    def forms(self) -> list[Form]:
        return [self._form(view) for view in self._modals() if view.open or self._waits(view)]

    def submits(self, person: str, form: str, values: Mapping[str, str]) -> None:
        open_form(self.forms(), person, form).check(values)
        self._sent[form] = self.simulator.submits_form(person, self._modal(form), values)

    def closes(self, person: str, form: str) -> None:
        open_form(self.forms(), person, form)
        self.simulator.user_closes_form(person, self._modal(form))

    def _form(self, view: View) -> Form:
        sent = self._sent.get(view.id)
        errors = json.loads(sent.error) if sent is not None and view.open and sent.error.startswith("{") else {}
        to, problem = self._person(view.user)[1], " ".join(map(str, errors.values()))
        return read_view(view.body, view.id, to, busy=self._waits(view), problem=problem)

    def _waits(self, view: View) -> bool:
        """Whether it was sent and the bot has not answered: Slack shows it until then."""
        sent = self._sent.get(view.id)
        return sent is not None and not view.open and sent.state in ("pending", "waiting")

    def _modals(self) -> list[View]:
        return [view for view in self.simulator.views if view.body["type"] == "modal"]

    def _modal(self, form: str) -> View:
        return next(view for view in self._modals() if view.id == form)

    # --- The rest -----------------------------------------------------------------------------------------------------

    def count(self) -> int:
        simulator = self.simulator
        lists = (simulator.happenings, simulator.reactions, simulator.edits, simulator.whispers)
        return sum(len(found) for found in lists) + sum(self._marks(view) for view in self._modals())

    def _marks(self, view: View) -> int:
        return 1 + (not view.open) + 2 * (not self._waits(view))

    async def wait_for(self, predicate: Callable[[], T], seconds: float) -> T:
        return await self.simulator.wait_for(predicate, seconds)

    @property
    def connected(self) -> bool:
        return bool(self.simulator.connections)

    @property
    def surprises(self) -> Sequence[Any]:
        return self.simulator.surprises


def open_slack(stack: ExitStack) -> SlackChannel:
    """A simulated Slack that runs until the stack is closed."""
    return SlackChannel(stack.enter_context(SlackSimulator()))


# --- Block Kit --------------------------------------------------------------------------------------------------------


def read_blocks(blocks: Sequence[Json], text: str, names: Mapping[str, str]) -> Iterator[Part]:
    """The parts of a message: of its blocks where it has any, else of its text."""
    if not blocks:
        yield from read_mrkdwn(text, names)
    for place, block in enumerate(blocks):
        yield from _block(block, names, first=place == 0 and len(blocks) > 1)


def read_mrkdwn(text: str, names: Mapping[str, str]) -> Iterator[Part]:
    """The parts of a text in Slack's dialect."""
    starts: Mapping[str, Any] = _STARTS
    return read_lines(text, lambda line: _inline(line, names), html.unescape, starts)


def _inline(text: str, names: Mapping[str, str]) -> tuple[Word, ...]:
    def say(match: re.Match[str]) -> tuple[Word, ...] | None:
        if code := match["code"]:
            return (Word(html.unescape(code), "code"),)
        if token := match["token"]:
            return _token(token, names)
        style = str(match.lastgroup)
        return styled(_inline(match[style], names), style)

    return read_inline(text, _MARKS, say, html.unescape)


def _token(token: str, names: Mapping[str, str]) -> tuple[Word, ...]:
    target, _, label = (html.unescape(part) for part in token.partition("|"))
    if target[:1] in "@#":
        return (Word(target[0] + (label or names.get(target[1:], target[1:])), "mention"),)
    if target.startswith("!date^"):
        return (Word(label),)
    if target.startswith("!"):
        return (Word("@" + (label or target[1:]), "mention"),)
    return link(label, target)


def _block(block: Json, names: Mapping[str, str], *, first: bool) -> Iterator[Part]:
    match block.get("type"):
        case "section":
            lines = list(_text_parts(block, names))
            yield from _headed(lines) if first else lines
            yield from _buttons([block.get("accessory") or {}])
        case "header":
            yield Line((Word(str(block["text"]["text"])),), "title")
        case "markdown":
            yield Line((Word(str(block["text"])),))
        case "context":
            for element in block["elements"]:
                words = _inline(str(element.get("text") or element.get("alt_text") or ""), names)
                yield Line(words, "foot")
        case "actions":
            yield from _buttons(block["elements"])
        case "divider":
            yield Rule()
        case "plan":
            yield Plan(str(block["title"]), tuple(_step(task, names) for task in block.get("tasks", [])))
        case "rich_text":
            for section in block["elements"]:
                yield from _rich_lines(section, names)
        case other:
            yield Line((Word(f"[{other}]"),))


def _headed(lines: Sequence[Part]) -> Iterator[Part]:
    """The first section of a card: a bold line is its title, the lines after it say what it is about."""
    head = lines[0] if lines else None
    if not isinstance(head, Line) or any(word.style != "bold" for word in head.words):
        yield from lines
        return
    yield Line(tuple(Word(word.text) for word in head.words), "title")
    for line in lines[1:]:
        yield Line(line.words, "meta") if isinstance(line, Line) else line


def _text_parts(block: Json, names: Mapping[str, str]) -> Iterator[Part]:
    for piece in [block.get("text"), *block.get("fields", [])]:
        if piece and piece.get("type") == "mrkdwn":
            yield from read_mrkdwn(str(piece["text"]), names)
        elif piece:
            yield Line((Word(str(piece["text"])),))


def _buttons(elements: Sequence[Json]) -> Iterator[Buttons]:
    shown = tuple(_button(element) for element in elements if element.get("type") == "button")
    if shown:
        yield Buttons(shown)


def _button(element: Json) -> Button:
    label, url = str(element["text"]["text"]), str(element.get("url", ""))
    confirm = element.get("confirm") or {}
    return Button(
        label=label,
        name=str(element.get("accessibility_label") or label),
        press="" if is_web(url) else str(element.get("action_id", "")),
        href=url if is_web(url) else "",
        look=element.get("style", "default"),
        confirm=str(confirm.get("text", {}).get("text", "")),
    )


def _step(task: Json, names: Mapping[str, str]) -> Step:
    details = " · ".join(
        word.text
        for field in ("details", "output")
        for section in (task.get(field) or {}).get("elements", [])
        for word in _rich(section, names)
    )
    return Step(_STATES.get(str(task["status"]), "pending"), str(task["title"]), details)


def _rich_lines(section: Json, names: Mapping[str, str]) -> Iterator[Line]:
    """A typed message as Slack's client shows it, one part per line."""
    line: list[Word] = []
    for word in _rich(section, names):
        first, *rest = word.text.split("\n")
        line.append(Word(first, word.style, word.href))
        for more in rest:
            yield Line(tuple(line))
            line = [Word(more, word.style, word.href)]
    yield Line(tuple(line))


def _rich(section: Json, names: Mapping[str, str]) -> Iterator[Word]:
    for element in section.get("elements", []):
        match element.get("type"):
            case "text":
                yield Word(str(element["text"]), "code" if (element.get("style") or {}).get("code") else "plain")
            case "link":
                yield from link(str(element.get("text") or ""), str(element["url"]))
            case "user":
                yield Word("@" + names.get(str(element["user_id"]), "someone"), "mention")
            case "channel":
                yield Word("#" + names.get(str(element["channel_id"]), "somewhere"), "mention")
            case "emoji":
                yield Word(_EMOJI.get(str(element["name"]), f":{element['name']}:"))
            case "broadcast":
                yield Word(f"@{element['range']}", "mention")
            case _:
                yield from _rich(element, names)
