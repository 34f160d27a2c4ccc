"""The simulated Discord as a `Channel`: its stored components and markdown read into parts."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, TypeVar

from bot.demo.channel import Button, Buttons, Frame, Language, Line, Part, Plan, Reaction, Rule, Shown, Word, note
from bot.demo.forms import Form, open_form, read_modal
from bot.demo.marks import gather_steps, is_web, link, read_inline, read_lines, styled
from bot.demo.slash import read_slash
from platforms.discord.simulator import Channel as Room
from platforms.discord.simulator import DiscordSimulator, Happening, Interaction, StoredMessage, Whisper
from platforms.discord.simulator import Form as Modal

T = TypeVar("T")
Json = dict[str, Any]
ROW, BUTTON, SECTION, TEXT, SEPARATOR, CONTAINER = 1, 2, 9, 10, 14, 17
_LOOKS: Final = {1: "primary", 3: "primary", 4: "danger"}
_MARKS: Final = re.compile(
    r"\\(?P<escaped>[^\w\s])|`(?P<code>[^`\n]+)`"
    r"|<@[!&]?(?P<user>\d+)>|<#(?P<room>\d+)>|<t:(?P<time>\d{1,11})(?::(?P<shape>[a-zA-Z]))?>"
    r"|\[(?P<label>(?:\\.|[^\[\]\\\n])+)\]\(<?(?P<url>https?://[^)>\s]+)>?\)|<?(?P<bare>https?://[^\s<>]+)>?"
    r"|\*\*(?P<bold>(?:\\.|[^*\\\n])+)\*\*|(?<!\*)\*(?P<italic>(?:\\.|[^*\\\n])+)\*(?!\*)"
    r"|~~(?P<strike>(?:\\.|[^~\\\n])+)~~"
)
_ESCAPED: Final = re.compile(r"\\([^\w\s])")
_STARTS: Final = {"### ": "title", "## ": "title", "# ": "title", "-# ": "foot", "> ": "quote", "- ": "bullet"}
_NAMES: Final = {"👍": "thumbs up", "👀": "eyes", "✅": "check mark"}


class DiscordChannel:
    """`#general` of the simulated server, with the threads opened in it."""

    name = "discord"
    title = "Discord"
    room = "general"
    door = "/codetask"
    menu: Mapping[str, str] = MappingProxyType({"File as code task": "File as code task"})

    def __init__(self, simulator: DiscordSimulator) -> None:
        self.simulator = simulator
        self.settings: Mapping[str, Any] = {
            "discord_token": simulator.bot_token,
            "codetask_discord_api_url": simulator.api_url,
            "codetask_discord_gateway_url": str(simulator.gateway_url),
        }
        self._sent: dict[str, Interaction] = {}
        """Form id -> how it was sent."""

    # --- What there is to see -----------------------------------------------------------------------------------------

    def shown(self, language: Language = "en") -> list[Shown]:
        simulator = self.simulator
        roots = {m.thread: m for m in [*simulator.messages, *simulator.whispers] if m.thread}
        topics = {thread.id: thread for thread in simulator.threads}
        found = [self._message(m, roots, topics) for m in simulator.messages if not m.deleted]
        found += [self._message(w, roots, topics) for w in simulator.whispers if not w.deleted]
        found += [n for at, h in enumerate(simulator.happenings) if (n := self._note(at, h)) is not None]
        return sorted(found, key=lambda shown: shown.at)

    def _message(self, message: StoredMessage, roots: Mapping[str, StoredMessage], topics: Mapping[str, Room]) -> Shown:
        who, key = self._person(message.user)
        root = roots.get(message.channel)
        to, label = self._reader(message)
        return Shown(
            id=message.id,
            at=message.at,
            who=who,
            key=key,
            parts=tuple(read_message(message, self.simulator.names)),
            thread=root.id if root is not None else "",
            to=to,
            label=label,
            edited=message.edited_at is not None and key != "codetask",
            reactions=tuple(
                Reaction(name, _NAMES.get(name, "emoji"), tuple(self._person(user)[1] for user in by))
                for name, by in message.reactions.items()
            ),
            topic=topics[message.thread].name if message.thread in topics else "",
        )

    def _reader(self, message: StoredMessage) -> tuple[str, str]:
        """The one person who sees it ("" for everyone), and why."""
        if isinstance(message, Whisper):
            return self._person(message.to)[1], "Only you can see this"
        room = self.simulator.channel(message.channel)
        if not room.is_direct:
            return "", ""
        keys = [self._person(user)[1] for user in room.members]
        return next((key for key in keys if key != "codetask"), ""), "Direct message"

    def _note(self, at: int, happening: Happening) -> Shown | None:
        who, key = self._person(happening.user)
        say = {"command": "used {}", "clicked": "pressed {}"}.get(happening.kind)
        if happening.text in self.menu:
            say = "used {}"
        return note(f"note-{at}", happening.at, who, key, say.format(happening.text)) if say else None

    def _person(self, user: str) -> tuple[str, str]:
        """The name shown and the short key of a user id."""
        if user == self.simulator.bot_user_id:
            return "Codetask", "codetask"
        found = self.simulator.user(user)
        return found.global_name, found.name

    # --- What a person does -------------------------------------------------------------------------------------------

    def says(self, person: str, text: str, thread: str = "") -> None:
        simulator = self.simulator
        place: Room | str = self.room
        if thread:
            root = self._find(thread)
            found = simulator.thread_of(root)
            place = simulator.starts_thread(person, root, _topic(root)) if found is None else found
        if text.startswith("/"):
            command, options = read_slash(text, simulator.commands)
            simulator.runs_command(person, command, options, place)
        else:
            simulator.user_says(person, text, place)

    def presses(self, person: str, message: str, press: str) -> None:
        self.simulator.clicks(person, self._find(message), press)

    def reacts(self, person: str, message: str, emoji: str, on: bool) -> None:
        self.simulator.reacts(person, self._find(message), emoji, on=on)

    def picks(self, person: str, message: str, name: str) -> None:
        self.simulator.uses_menu(person, self._find(message), name)

    def _find(self, message: str) -> StoredMessage:
        for stored in [*self.simulator.messages, *self.simulator.whispers]:
            if stored.id == message and not stored.deleted:
                return stored
        raise LookupError("That message is no longer there.")

    # --- Forms --------------------------------------------------------------------------------------------------------

    def forms(self) -> list[Form]:
        return [
            read_modal(modal.body, identity, self._person(modal.user)[1], busy=self._waits(identity))
            for identity, modal in self._modals().items()
            if modal.open or self._waits(identity)
        ]

    def submits(self, person: str, form: str, values: Mapping[str, str]) -> None:
        open_form(self.forms(), person, form).check(values)
        self._sent[form] = self.simulator.submits_form(person, self._modals()[form], values)

    def closes(self, person: str, form: str) -> None:
        open_form(self.forms(), person, form)
        self.simulator.user_closes_form(person, self._modals()[form])

    def _modals(self) -> dict[str, Modal]:
        return {f"form-{at}": modal for at, modal in enumerate(self.simulator.forms)}

    def _waits(self, form: str) -> bool:
        """Whether it was sent and the bot has not answered: Discord shows it until then."""
        return form in self._sent and self._sent[form].state == "pending"

    # --- The rest -----------------------------------------------------------------------------------------------------

    def count(self) -> int:
        simulator = self.simulator
        lists = (simulator.happenings, simulator.reactions, simulator.edits, simulator.whispers, simulator.messages)
        said = sum(len(found) for found in (*lists, simulator.threads))
        modals = self._modals()
        return said + sum(1 + (not modal.open) + 2 * (not self._waits(name)) for name, modal in modals.items())

    async def wait_for(self, predicate: Callable[[], T], seconds: float) -> T:
        return await self.simulator.wait_for(predicate, seconds)

    @property
    def connected(self) -> bool:
        return self.simulator.ready and bool(self.simulator.commands)

    @property
    def surprises(self) -> Sequence[Any]:
        return self.simulator.surprises


def open_discord(stack: ExitStack) -> DiscordChannel:
    """A simulated Discord that runs until the stack is closed."""
    return DiscordChannel(stack.enter_context(DiscordSimulator()))


def _topic(root: StoredMessage) -> str:
    return " ".join(root.text.split())[:60] or "Thread"


# --- Components and markdown ------------------------------------------------------------------------------------------


def read_message(message: StoredMessage, names: Mapping[str, str]) -> Iterator[Part]:
    """The parts of a message: its text, then its components."""
    yield from read_markdown(message.text, names)
    for component in message.components:
        yield from _component(component, names)


def read_markdown(text: str, names: Mapping[str, str]) -> Iterator[Part]:
    """The parts of a text in Discord's dialect."""
    starts: Mapping[str, Any] = _STARTS
    return gather_steps(read_lines(text, lambda line: _inline(line, names), str, starts))


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _inline(text: str, names: Mapping[str, str]) -> tuple[Word, ...]:
    def say(match: re.Match[str]) -> tuple[Word, ...] | None:
        if found := match["escaped"]:
            return (Word(found),)
        if found := match["code"]:
            return (Word(found, "code"),)
        if found := match["user"]:
            return (Word("@" + names.get(found, "someone"), "mention"),)
        if found := match["room"]:
            return (Word("#" + names.get(found, "somewhere"), "mention"),)
        if found := match["time"]:
            at = datetime.fromtimestamp(int(found), UTC)
            return (Word(f"{at:%H:%M} UTC", "time", at=at.isoformat()),)
        if found := match["url"]:
            return link(_plain(match["label"]), found)
        if found := match["bare"]:
            return link(found, found)
        style = next(style for style in ("bold", "italic", "strike") if match[style])
        return styled(_inline(match[style], names), style)

    return _joined(read_inline(text, _MARKS, say, _plain))


def _joined(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """Neighbouring plain words as one: every escaped character came as a word of its own."""
    found: list[Word] = []
    for word in words:
        if found and word.style == found[-1].style == "plain":
            found[-1] = Word(found[-1].text + word.text)
        else:
            found.append(word)
    return tuple(found)


def _component(component: Json, names: Mapping[str, str]) -> Iterator[Part]:
    match component["type"]:
        case 17:  # container
            parts = [part for child in component["components"] for part in _component(child, names)]
            accent = component.get("accent_color")
            yield Frame(tuple(_headed(parts)), accent="" if accent is None else f"#{accent:06x}")
        case 10:  # text display
            yield from read_markdown(str(component["content"]), names)
        case 14:  # separator
            if component.get("divider", True):
                yield Rule()
        case 1:  # row
            shown = tuple(_button(child) for child in component["components"] if child["type"] == BUTTON)
            if shown:
                yield Buttons(shown)
        case 9:  # section
            for child in [*component["components"], component["accessory"]]:
                yield from _component(child, names)
        case 2:  # a button beside a section
            yield Buttons((_button(component),))
        case other:
            yield Line((Word(f"[component {other}]"),))


def _headed(parts: Sequence[Part]) -> Iterator[Part]:
    """A card begins with its title in bold; the lines up to the steps say what it is about."""
    head = True
    for place, part in enumerate(parts):
        head = head and isinstance(part, Line) and part.role == "text"
        if isinstance(part, Line) and place == 0 and head and all(word.style == "bold" for word in part.words):
            yield Line(tuple(Word(word.text) for word in part.words), "title")
        elif isinstance(part, Line) and head and any(isinstance(later, Plan) for later in parts):
            yield Line(part.words, "meta")
        else:
            yield part


def _button(told: Json) -> Button:
    label = str(told.get("label") or (told.get("emoji") or {}).get("name") or "…")
    url = str(told.get("url") or "")
    look: Any = "primary" if is_web(url) else _LOOKS.get(told["style"], "default")
    return Button(label, label, str(told.get("custom_id") or ""), url if is_web(url) else "", look)
