"""The simulated Lark as a `Channel`: its stored cards and texts read into parts, in the reader's language."""

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any, Final, TypeVar

from bot.demo.channel import Button, Buttons, Frame, Language, Line, Part, Plan, Reaction, Rule, Shown, Word, note
from bot.demo.forms import Form
from bot.demo.marks import gather_steps, is_web, link, read_inline, read_lines, styled
from platforms.lark.simulator import Happening, LarkSimulator, StoredMessage, Whisper

T = TypeVar("T")
Json = dict[str, Any]
_LOCALES: Final = {"en": "en_us", "zh": "zh_cn"}
_MARKS: Final = re.compile(
    r"`(?P<code>[^`\n]+)`|<at\s+(?:user_)?id=[\"']?(?P<at>[\w-]+)[\"']?\s*(?:/>|>[^<\n]*</at>)"
    r"|<font[^<>\n]*>(?P<font>[^<\n]*)</font>|\[(?P<label>[^\[\]\n]+)\]\((?P<url>https?://[^)\s]+)\)"
    r"|\*\*(?P<bold>[^*\n]+)\*\*|(?<!\*)\*(?P<italic>[^*\n]+)\*(?!\*)|~~(?P<strike>[^~\n]+)~~"
)
_KEY: Final = re.compile(r"@_(?:user_\d+|all)")
_ADDRESS: Final = re.compile(r"https?://[^\s<>]+")
_STARTS: Final = {"# ": "title", "## ": "title", "> ": "quote", "- ": "bullet"}
EMOJI_NAMES: Final = {"👍": "THUMBSUP", "👀": "GLANCE", "✅": "CheckMark"}
_EMOJI: Final = {name: emoji for emoji, name in EMOJI_NAMES.items()} | {"DONE": "✅", "OK": "👌", "CrossMark": "❌"}


class LarkChannel:
    """The group `general` of the simulated tenant."""

    name = "lark"
    title = "Lark"
    room = "general"
    door = "@codetask"
    menu: Mapping[str, str] = MappingProxyType({})

    def __init__(self, simulator: LarkSimulator) -> None:
        self.simulator = simulator
        self.settings: Mapping[str, Any] = {
            "lark_app_id": simulator.app_id,
            "lark_app_secret": simulator.app_secret,
            "codetask_lark_api_url": simulator.api_url,
            # A group has no owners or admins that Lark would tell an app of.
            "admins": (f"lark:{simulator.user('ana').id}",),
        }

    # --- What there is to see -----------------------------------------------------------------------------------------

    def shown(self, language: Language = "en") -> list[Shown]:
        simulator = self.simulator
        found = [self._message(m, language) for m in simulator.messages if not m.deleted]
        found += [self._toast(at, w, language) for at, w in enumerate(simulator.whispers) if w.via == "toast"]
        found += [n for at, h in enumerate(simulator.happenings) if (n := self._note(at, h)) is not None]
        return sorted(found, key=lambda shown: shown.at)

    def _message(self, message: StoredMessage, language: Language) -> Shown:
        who, key = self._person(message.user)
        chat = self.simulator.channel(message.chat)
        to = ""
        if chat.kind == "p2p":
            to = next((k for k in (self._person(user)[1] for user in chat.members) if k != "codetask"), "")
        return Shown(
            id=message.id,
            at=message.at,
            who=who,
            key=key,
            parts=tuple(read_message(message, language, self._names())),
            thread=message.root if message.is_reply else "",
            to=to,
            label="Direct message" if to else "",
            edited=message.updated_at is not None and key != "codetask",
            reactions=tuple(
                Reaction(_EMOJI.get(name, f"[{name}]"), name.lower(), tuple(self._person(user)[1] for user in by))
                for name, by in message.reactions.items()
                if by
            ),
        )

    def _toast(self, at: int, whisper: Whisper, language: Language) -> Shown:
        text = whisper.texts.get(_LOCALES[language]) or whisper.texts.get(language) or whisper.text
        parts = (Line((Word(text),)),)
        to = self._person(whisper.user)[1]
        return Shown(f"toast-{at}", whisper.at, "Codetask", "codetask", parts, to=to, label="Toast, only you see it")

    def _note(self, at: int, happening: Happening) -> Shown | None:
        who, key = self._person(happening.user)
        say = {"clicked": "pressed {}"}.get(happening.kind)
        return note(f"note-{at}", happening.at, who, key, say.format(happening.text)) if say else None

    def _person(self, user: str) -> tuple[str, str]:
        """The name shown and the short key of an open id."""
        if user == self.simulator.bot_open_id:
            return "Codetask", "codetask"
        found = self.simulator.user(user)
        return found.real_name, found.name

    def _names(self) -> Mapping[str, str]:
        return self.simulator.names

    # --- What a person does -------------------------------------------------------------------------------------------

    def says(self, person: str, text: str, thread: str = "") -> None:
        root = self._find(thread) if thread else None
        self.simulator.user_says(person, text, self.room, thread=root)

    def presses(self, person: str, message: str, press: str) -> None:
        self.simulator.clicks(person, self._find(message), press)

    def reacts(self, person: str, message: str, emoji: str, on: bool) -> None:
        self.simulator.reacts(person, self._find(message), EMOJI_NAMES[emoji], on=on)

    def picks(self, person: str, message: str, name: str) -> None:
        raise LookupError("Lark's messages have no menu for apps here.")

    def forms(self) -> list[Form]:
        return []

    def submits(self, person: str, form: str, values: Mapping[str, str]) -> None:
        raise LookupError("That form is closed.")

    def closes(self, person: str, form: str) -> None:
        raise LookupError("That form is closed.")

    def _find(self, message: str) -> StoredMessage:
        for stored in self.simulator.messages:
            if stored.id == message and not stored.deleted:
                return stored
        raise LookupError("That message is no longer there.")

    # --- The rest -----------------------------------------------------------------------------------------------------

    def count(self) -> int:
        simulator = self.simulator
        lists = (simulator.happenings, simulator.reactions, simulator.edits, simulator.whispers, simulator.messages)
        return sum(len(found) for found in lists)

    async def wait_for(self, predicate: Callable[[], T], seconds: float) -> T:
        return await self.simulator.wait_for(predicate, seconds)

    @property
    def connected(self) -> bool:
        return bool(self.simulator.connections)

    @property
    def surprises(self) -> Sequence[Any]:
        return self.simulator.surprises


def open_lark(stack: ExitStack) -> LarkChannel:
    """A simulated Lark that runs until the stack is closed."""
    simulator = stack.enter_context(LarkSimulator())
    simulator.grant_scope()  # hears all messages of a group, which suggestions need
    return LarkChannel(simulator)


# --- Cards and texts --------------------------------------------------------------------------------------------------


def read_message(message: StoredMessage, language: Language, names: Mapping[str, str]) -> Iterator[Part]:
    """The parts of a message: a card in this language, or what someone typed."""
    if message.msg_type == "interactive":
        yield from read_card(message.body, language, names)
        return
    for line in _typed(message).split("\n"):
        yield Line(_with_mentions(line, {m["key"]: names.get(m["id"], m["name"]) for m in message.mentions}))


def read_markdown(text: str, names: Mapping[str, str]) -> Iterator[Part]:
    """The parts of a card's markdown."""
    starts: Mapping[str, Any] = _STARTS
    return gather_steps(read_lines(text, lambda line: _inline(line, names), html.unescape, starts))


def _typed(message: StoredMessage) -> str:
    body = message.body
    if message.msg_type != "post":
        return str(body.get("text", ""))
    content = body if "content" in body else next(iter(body.values()), {})
    lines = [
        "".join(str(part.get("text") or part.get("user_id") or "") for part in line) for line in content["content"]
    ]
    return "\n".join(lines)


def _with_mentions(line: str, keys: Mapping[str, str]) -> tuple[Word, ...]:
    marks = re.compile(f"{_KEY.pattern}|{_ADDRESS.pattern}")

    def say(match: re.Match[str]) -> tuple[Word, ...]:
        if match[0].startswith("@"):
            return (Word("@" + keys.get(match[0], "all"), "mention"),)
        return link(match[0], match[0])

    return read_inline(line, marks, say, str)


def read_card(card: Json, language: Language, names: Mapping[str, str]) -> Iterator[Part]:
    """The parts of a card in one language."""
    parts = tuple(_elements(card.get("body", {}).get("elements", []), language, names))
    header = card.get("header")
    if header is None:
        # Without a header it is a plain answer, framed only by the bubble.
        yield from parts
        return
    has_plan = any(isinstance(part, Plan) for part in parts)
    first = next((place for place, part in enumerate(parts) if not isinstance(part, Line)), 0) if has_plan else 0
    shown = tuple(
        Line(part.words, "meta") if place < first and isinstance(part, Line) else part
        for place, part in enumerate(parts)
    )
    title = html.unescape(localized(header.get("title"), language))
    yield Frame(shown, colour=str(header.get("template", "blue")), title=(Word(title),))


def localized(part: Json | None, language: Language) -> str:
    """A text of a card in one language: its own where the card has it."""
    if not part:
        return ""
    texts = part.get("i18n_content") or {}
    return str(texts.get(_LOCALES[language]) or part.get("content") or "")


def _elements(elements: Sequence[Json], language: Language, names: Mapping[str, str]) -> Iterator[Part]:
    for element in elements:
        match element["tag"]:
            case "markdown":
                small = element.get("text_size") == "notation"
                for part in read_markdown(localized(element, language).strip("\u200b"), names):
                    yield Line(part.words, "foot") if small and isinstance(part, Line) else part
            case "div":
                yield Line((Word(localized(element.get("text"), language)),))
            case "hr":
                yield Rule()
            case "button":
                yield Buttons((_button(element, language),))
            case "column_set":
                yield from _columns(element, language, names)
            case other:
                yield Line((Word(f"[{other}]"),))


def _columns(element: Json, language: Language, names: Mapping[str, str]) -> Iterator[Part]:
    inner = [child for column in element["columns"] for child in column.get("elements", [])]
    shown = tuple(_button(child, language) for child in inner if child["tag"] == "button")
    if shown:
        yield Buttons(shown)
    yield from _elements([child for child in inner if child["tag"] != "button"], language, names)


def _button(element: Json, language: Language) -> Button:
    label = localized(element.get("text"), language)
    press = url = ""
    for behavior in element.get("behaviors", []):
        if behavior["type"] == "callback":
            press = next((str(value) for value in _values(behavior["value"])), "")
        else:
            url = str(behavior["default_url"])
    look: Any = {"primary": "primary", "danger": "danger"}.get(str(element.get("type")), "default")
    return Button(
        label=label,
        name=localized(element.get("hover_tips"), language) or label,
        press="" if is_web(url) else press,
        href=url if is_web(url) else "",
        look=look,
        confirm=localized((element.get("confirm") or {}).get("text"), language),
    )


def _values(value: Any) -> Iterator[str]:
    """What a press sends back, as the simulator finds a button by it."""
    yield from (str(found) for found in (value.values() if isinstance(value, dict) else [value]))


def _inline(text: str, names: Mapping[str, str]) -> tuple[Word, ...]:
    def say(match: re.Match[str]) -> tuple[Word, ...] | None:
        if found := match["code"]:
            return (Word(found, "code"),)
        if found := match["at"]:
            return (Word("@" + names.get(found, found), "mention"),)
        if found := match["url"]:
            return link(html.unescape(match["label"]), found)
        if (found := match["font"]) is not None:
            return _inline(found, names)
        style = next(style for style in ("bold", "italic", "strike") if match[style])
        return styled(_inline(match[style], names), style)

    return read_inline(text, _MARKS, say, html.unescape)
