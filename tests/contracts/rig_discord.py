"""The suite's rig for Discord.

Discord acks interactions only: a message counts as acked here once the application has stored it, which is what an ack
means elsewhere. It redelivers nothing by itself; `redeliver` sends a message again as a resumed session would.
"""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from bot.core.cards import Content
from bot.core.inbound import Door, Event, Gap, Person, ThreadRef
from bot.ports import Clock, Platform
from bot.settings import Settings
from platforms.discord.adapter import DiscordPlatform
from platforms.discord.cards import render
from platforms.discord.custom_ids import DISMISS, is_question
from platforms.discord.dialect import ZWSP
from platforms.discord.inbound import Me, read
from platforms.discord.simulator import DiscordSimulator, Interaction, StoredMessage, Whisper, buttons, plain_text
from platforms.discord.simulator.catalog import MAX_SHOWN
from platforms.discord.simulator.kit import component_problems, shown_text
from tests.contracts.replica import Replica
from tests.contracts.rig import (
    DEADLINE,
    BadSetup,
    Call,
    Edited,
    FaultKind,
    Post,
    Request,
    Rig,
    Said,
    Sent,
    Whispered,
    standing,
)
from tests.contracts.sent_discord import Asked, Closed, Confirmed, Stored, Witnessed
from tests.platforms.discord import payloads
from tests.platforms.discord.rig import HEARTBEAT, QUICK

T = TypeVar("T")
METHODS: Mapping[Call, tuple[str, ...]] = {
    "post": ("create_message",),
    "edit": ("update_message",),
    "react": ("add_my_message_reaction",),
    "whisper": ("create_dm",),
    "private_answer": ("update_original_webhook_message", "execute_webhook"),
    "history": ("list_messages",),
    "read": ("get_message",),
    "check": ("get_my_user",),
    "any": ("*",),
}
FAULTS: Mapping[FaultKind, Mapping[str, Any]] = {
    "busy": {"status": 429},
    "down": {"status": 503},
    "lost_answer": {"drop_after_commit": True},
    "gone": {"error": 10008},
    "thread_gone": {"error": 10003},
    "channel_gone": {"error": 10003},
    "not_allowed": {"error": 50013},
    "auth": {"status": 401},
}
IN_GUILD: frozenset[FaultKind] = frozenset({"thread_gone", "channel_gone", "not_allowed"})
"""Faults of one place: they spare direct messages."""
TAKEN = "On it."
ESCAPED = re.compile(r"\\([^\w\s])")
USER = re.compile(r"<@!?(\d+)>")
MASS = re.compile(r"@(?:everyone|here)", re.IGNORECASE)
LINK = re.compile(r"(?<!\\)(https?://[^)>\s]+)")
STEP = re.compile(r"step \d+(?= of )")
VERBS = {"status": "id", "show": "id", "cancel": "id", "logs": "id", "list": "which", "help": "verb"}


class DiscordRig(Rig):
    """`DiscordSimulator`, the real adapter and the application."""

    platform_name: ClassVar[str] = "discord"
    doors: ClassVar[frozenset[Door]] = frozenset({"slash", "mention", "bang", "shortcut"})
    webhook = False
    sdk_modules: ClassVar[tuple[str, ...]] = ("discord",)
    extra: ClassVar[str] = "codetask[discord]"
    auth_code: ClassVar[str] = "invalid_auth"

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.simulator = DiscordSimulator(seed=11, heartbeat=HEARTBEAT)
        self.simulator.start()
        self.stored: dict[str, list[float]] = {}
        self._said: dict[str, Stored] = {}
        self._asked: list[Interaction] = []
        self._confirming: list[asyncio.Task[Interaction]] = []

    # --- The application ----------------------------------------------------------------------------------------------

    def credentials(self) -> dict[str, Any]:
        return {
            "discord_token": self.simulator.bot_token,
            "codetask_discord_api_url": self.simulator.api_url,
            "codetask_discord_gateway_url": str(self.simulator.gateway_url),
        }

    def make_platform(self, settings: Settings) -> Platform:
        platform = Witnessed(settings.chat["discord"], self.simulator.clock, QUICK)
        platform.seen, platform.changed = self._seen, self.simulator._changes.notify
        return platform

    def _seen(self, event: Event) -> None:
        if isinstance(event, Gap):  # what an earlier session did not bring is read back, past the adapter's inbox
            for one in self._said.values():
                if one.session < self.simulator.identifies:
                    one.forget()
        data = event.raw.get("d")
        id = (data.get("id") or data.get("message_id")) if isinstance(data, dict) else None
        if isinstance(id, str):
            name = str(event.raw.get("t"))
            key = id if name in ("MESSAGE_CREATE", "CHANNEL_UPDATE") else f"{name}:{id}"
            self.stored.setdefault(key, []).append(time.monotonic())
        self.simulator._changes.notify()

    @property
    def clock(self) -> Clock:
        return self.simulator.clock

    async def start(self, *, connected: bool = True, **changes: Any) -> Replica:
        replica = await super().start(connected=False, **changes)
        if not connected:
            return replica
        await self.until(lambda: replica.ended or replica.platform.health().state in ("ready", "standby"))
        if not self._listens and not replica.ended:  # a killed process still holds the lease
            await self.advance(timedelta(seconds=31))
            await self.until(lambda: replica.ended or self._listens)
        return replica

    @property
    def _listens(self) -> bool:
        return any(one.platform.health().state == "ready" for one in self.replicas)

    async def stop(self, replica: Replica | None = None) -> None:
        await super().stop(replica)
        if self.replicas:
            await self.until(lambda: self._listens)

    async def close(self) -> None:
        for task in self._confirming:
            task.cancel()
        await asyncio.gather(*self._confirming, return_exceptions=True)
        await super().close()
        self.simulator.stop()

    # --- People -------------------------------------------------------------------------------------------------------

    def person(self, who: str) -> Person:
        user = self.simulator.user(who)
        return Person(platform="discord", workspace_id=self.simulator.guild_id, id=user.id, name=user.name)

    def place(self, where: str, root: str | None = None) -> ThreadRef:
        channel = self.simulator.channel(where).id
        return ThreadRef(platform="discord", workspace_id=self.simulator.guild_id, channel_id=channel, root=root)

    def stranger(self, kind: Literal["bot", "webhook", "guest", "external"]) -> str:
        traits: dict[str, Any] = {
            "bot": {"bot": True},
            "webhook": {"bot": True},
            "guest": {"member_flags": 16},
            "external": {"stranger": True},
        }[kind]
        return self.simulator.add_user(f"some-{kind}", **traits).name

    def _where(self, who: str, where: str, thread: str | None) -> Any:
        if thread is None:
            return where
        root = next(one for one in self.simulator.messages if one.id == thread)
        return self.simulator.thread_of(root) or self.simulator.starts_thread(who, root)

    def _told(self, say: Callable[[], StoredMessage]) -> Said:
        expected, session = self._hears, self.simulator.identifies  # as it is before: the next session comes any moment
        message = say()
        channel = self.simulator.channel(message.channel)
        self._said[message.id] = Stored(self.stored, message.id, session, expected=expected)
        name = self.simulator.names[channel.parent_id] if channel.is_thread and channel.parent_id else channel.name
        return Said(message.id, name, channel.id if channel.is_thread else message.id, message)

    @property
    def _hears(self) -> bool:
        """Whether a session is there that gets to know of what is said now."""
        return any(one.session is not None and not one.deaf and not one.blackhole for one in self.simulator.connections)

    def say(self, who: str, text: str, where: str = "general", thread: str | None = None) -> Said:
        with self._inside(who):
            return self._told(lambda: self.simulator.user_says(who, text, self._where(who, where, thread)))

    def mention(self, who: str, text: str, where: str = "general", thread: str | None = None) -> Said:
        with self._inside(who):
            return self._told(lambda: self.simulator.user_mentions(who, text, self._where(who, where, thread)))

    @contextlib.contextmanager
    def _inside(self, who: str) -> Iterator[None]:
        """An external person on Discord is one who wrote something and left."""
        user = self.simulator.user(who)
        outside, user.stranger = user.stranger, False
        try:
            yield
        finally:
            user.stranger = outside

    def direct(self, who: str, text: str) -> Said:
        return self._told(lambda: self.simulator.user_says(who, text, self.simulator.direct(who)))

    def _ask(self, interaction: Interaction) -> Asked:
        self._asked.append(interaction)
        return Asked(interaction)

    def command(self, who: str, text: str, where: str = "general") -> Asked:
        """As a person picks it from Discord's list: a verb with its option, or `new` with the text."""
        word, _, rest = text.partition(" ")
        verb = word if word in VERBS and " " not in rest else "new"
        options = {"text": text} if verb == "new" else {VERBS[verb]: rest} if rest else {}
        return self._ask(self.simulator.runs_command(who, f"/codetask {verb}", options, where))

    def shortcut(self, who: str, said: Said) -> Asked:
        return self._ask(self.simulator.uses_menu(who, said.native, "File as code task"))

    def follow_up(self, who: str, when: str, text: str, where: str = "general") -> Asked:
        return self._ask(self.simulator.runs_command(who, "/followup", {"when": when, "text": text}, where))

    def later(self, who: str, said: Said) -> Asked:
        return self._ask(self.simulator.uses_menu(who, said.native, "Follow up later"))

    def press(self, who: str, what: Post | Whispered, label: str) -> Asked:
        message: StoredMessage = what.native
        asked = self._ask(self.simulator.clicks(who, message, label))
        if not any(one.label == label and is_question(one.custom_id) for one in buttons(message)):
            return asked
        task = asyncio.get_running_loop().create_task(self._confirm(who, asked.native))
        self._confirming.append(task)
        return Confirmed(asked.native, task)

    async def _confirm(self, who: str, asked: Interaction) -> Interaction:
        question = await self.until(lambda: asked.whisper)
        yes = next(one for one in buttons(question) if one.custom_id != DISMISS)
        confirmed = self.simulator.clicks(who, question, yes.label)
        self._asked.append(confirmed)
        return confirmed

    def _expect(self, name: str, id: str) -> None:
        """Something is on its way that is no message."""
        key = f"{name}:{id}"
        if key in self._said and self._hears:
            self._said[key].again()
        else:
            self._said[key] = Stored(self.stored, key, self.simulator.identifies, expected=self._hears)

    def react(self, who: str, said: Said, emoji: str) -> None:
        self._expect("MESSAGE_REACTION_ADD", said.id)
        self.simulator.reacts(who, said.native, {"memo": "📝", "eyes": "👀", "bulb": "💡"}.get(emoji, emoji))

    def edit(self, said: Said, text: str) -> None:
        self._expect("MESSAGE_UPDATE", said.id)
        self.simulator.user_edits(said.native, text)

    def delete(self, said: Said) -> None:
        self._expect("MESSAGE_DELETE", said.id)
        self.simulator.user_deletes(said.native)

    def delete_post(self, post: Post) -> None:
        self.simulator.user_deletes(next(one for one in self.simulator.sent if one.id == post.id))

    def unfurl(self, said: Said) -> None:
        self.simulator.unfurl(said.native)

    def add_bot(self, where: str) -> None:
        channel = self.simulator.channel(where).id
        self._said[channel] = Stored(self.stored, channel, self.simulator.identifies, expected=self._hears)
        self.simulator.adds_bot(where)

    async def open_form(self, who: str, what: Post | Whispered, label: str) -> Any:
        asked = self.press(who, what, label)
        await self.acked(asked)
        assert asked.native.form is not None
        return asked.native.form

    def form_opens_with(self, form: Any) -> list[str]:
        return [str(label["component"].get("value", "")) for label in form.body["components"]]

    def submit_form(self, who: str, form: Any, values: Mapping[str, str]) -> Asked:
        return self._ask(self.simulator.submits_form(who, form, values))

    def close_form(self, who: str, form: Any) -> Sent:
        return Closed()

    def types_choice(self, who: str, name: str, text: str) -> Asked:
        lines: dict[str, tuple[str, dict[str, str]]] = {"id": ("/codetask show", {}), "when": ("/followup", {})}
        line, given = lines.get(name, ("/codetask new", {"text": "x"}))
        return Asked(self.simulator.types_choice(who, line, name, text, options=given))

    def choices_of(self, sent: Sent) -> list[str] | None:
        assert isinstance(sent, Asked)
        return [str(one["value"]) for one in sent.native.choices] if sent.acked else None

    # --- The platform -------------------------------------------------------------------------------------------------

    def deliveries(self, said: Said) -> list[Sent]:
        return [self._said[said.id]]

    def redeliver(self, what: Said | Sent, times: int = 1) -> list[Sent]:
        assert isinstance(what, Said), "Discord sends no interaction twice"
        message: StoredMessage = what.native
        stored = self._said[message.id]
        stored.forget()
        for _ in range(times):
            if self._hears:
                stored.again()
            self.simulator.redeliver(message)
        return [stored]

    def raw(self, payload: Mapping[str, Any]) -> Sent:
        kept = payload["t"] == "MESSAGE_CREATE"
        sent = Stored(self.stored, str(payload["d"].get("id")), self.simulator.identifies, expected=kept)
        self.simulator.delivers(payload["t"], payload["d"])
        return sent

    def unknown_event(self) -> Mapping[str, Any]:
        return {"t": "SPARKLE_ADDED", "d": {"channel_id": self.place("general").channel_id, "sparkle": "1"}}

    def unreadable_event(self) -> Mapping[str, Any]:
        self.serial += 1
        told = payloads.message("!codetask no sender", id=f"13000000000000{self.serial:05}")
        data = {name: value for name, value in told.items() if name != "author"}
        return self._mine({"t": "MESSAGE_CREATE", "d": data})

    def samples(self) -> Sequence[Mapping[str, Any]]:
        return [self._mine(payload) for payload, _ in payloads.EVERY_KIND]

    def _mine(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        text = json.dumps(payload)
        mine = {payloads.APP: self.simulator.app_id, payloads.GUILD: self.simulator.guild_id}
        mine |= {payloads.DEV: self.place("dev").channel_id, payloads.ANA: self.simulator.user("ana").id}
        mine |= {payloads.BO: self.simulator.user("bo").id}
        for old, new in mine.items():
            text = text.replace(old, new)
        found: dict[str, Any] = json.loads(text)
        return found

    async def inject(self, replica: Replica, payload: Any) -> bool:
        platform = replica.platform
        assert isinstance(platform, DiscordPlatform)
        known = payload if isinstance(payload, dict) else {}
        taken = await platform.intake.dispatch({"t": known.get("t"), "d": known.get("d")})
        del self.simulator._api.calls[:-200]  # what the simulator remembers is not the bot's memory
        return taken

    def drop(self, how: Literal["clean", "abort", "blackhole", "server", "session"]) -> None:
        if how == "server":  # the server ends the session: a new one hears nothing of what was before
            self.simulator.invalidate_session()
        elif how == "session":  # RECONNECT: the session is resumed
            self.simulator.server_says_reconnect()
        else:
            self.simulator.drop_connection(how)

    def go_deaf(self, *, forever: bool = False) -> None:
        self.simulator.go_deaf(new_connections_too=forever)

    def move_clock(self, by: timedelta) -> None:
        self.simulator.advance(by)

    def fail(self, call: Call, kind: FaultKind, *, after: float = 1, times: int | None = 1) -> None:
        fault = dict(FAULTS[kind])
        if kind == "busy":
            fault["retry_after"] = after
        for method in METHODS[call]:
            place = "@guild" if kind in IN_GUILD else ""
            self.simulator.fail_next(method + place, times=times, **fault)

    def heal(self) -> None:
        self.simulator.heal()

    def revoke(self) -> None:
        self.simulator.revoke_token()

    def limit_edits(self, window: timedelta) -> None:
        assert window == timedelta(hours=1), "Discord's own"
        self.simulator.old_edits = 0

    def bad_setups(self) -> Sequence[BadSetup]:
        def nothing() -> None:
            return

        def setting(name: str, change: Mapping[str, Any], says: str) -> BadSetup:
            return BadSetup(name, change, nothing, nothing, says)

        endpoint = self.simulator.set_interactions_endpoint
        return [
            setting("wrong token", {"discord_token": "wrong"}, "DISCORD_TOKEN"),
            setting("plain http", {"codetask_discord_api_url": "http://discord.com/api/v10"}, "https://"),
            setting("plain ws", {"codetask_discord_gateway_url": "ws://gateway.discord.gg/"}, "wss://"),
            setting("wrong domain", {"codetask_discord_api_url": "http://127.0.0.1:9/api"}, "could not be reached"),
            BadSetup("endpoint", {}, lambda: endpoint("https://x.example/"), lambda: endpoint(None), "Interactions"),
        ]

    def requests(self) -> Sequence[Request]:
        return [Request(f"closed {n}", {}, b"{}", 404) for n in range(40)]

    # --- What is there to see -----------------------------------------------------------------------------------------

    async def until(self, found: Callable[[], T], timeout: float = DEADLINE) -> T:
        return await self.simulator.wait_for(found, timeout)

    @property
    def all_posts(self) -> list[Post]:
        return [self._post(one) for one in self.simulator.sent if not one.deleted and not self._is_private(one)]

    def _is_private(self, message: StoredMessage) -> bool:
        """A direct message that is no card: said where a whisper could not be."""
        card = bool(message.components) and message.components[0]["type"] == 17
        return self.simulator.channel(message.channel).is_direct and not card

    def _post(self, message: StoredMessage) -> Post:
        channel = self.simulator.channel(message.channel)
        name = self.simulator.names[channel.parent_id] if channel.is_thread and channel.parent_id else channel.name
        root = channel.id if channel.is_thread else None
        labels = tuple(button.label for button in buttons(message))
        seen = StoredMessage(**{**message.__dict__, "components": json.loads(json.dumps(message.components))})
        return Post(message.id, name, root, self._text(message), labels, message.at, seen)

    def _text(self, message: StoredMessage) -> str:
        return readable(self.simulator.render_text(message))

    @property
    def edits(self) -> list[Edited]:
        found = [one for one in self.simulator.edits if not isinstance(one.message, Whisper)]
        return [Edited(one.message.id, one.at, headline(readable(shown_text(one.components)))) for one in found]

    @property
    def whispers(self) -> list[Whispered]:
        shown = [one for one in self.simulator.whispers if not self._is_dialog(one)]
        direct = [one for one in self.simulator.sent if self._is_private(one)]
        found = [self._whisper(one, one.to) for one in shown]
        return found + [self._whisper(one, self._partner(one)) for one in direct]

    def _partner(self, message: StoredMessage) -> str:
        members = self.simulator.channel(message.channel).members
        return next(one for one in members if one != self.simulator.bot_user_id)

    def _is_dialog(self, one: Whisper) -> bool:
        """Not an answer: the line that stands until there is one, or a question before a press counts."""
        asks = any(button.custom_id == DISMISS for button in buttons(one))
        return one.deleted or asks or self._text(one) == TAKEN

    def _whisper(self, one: StoredMessage, to: str) -> Whispered:
        names = self.simulator.names
        return Whispered(names[to], names[one.channel], self._text(one), one)

    @property
    def marks(self) -> list[tuple[str, str]]:
        mine = self.simulator.bot_user_id
        return standing((one.message, one.name, one.added) for one in self.simulator.reactions if one.user == mine)

    def calls(self, call: Call) -> list[datetime]:
        return [one.at for one in self.simulator.calls() if METHODS[call] == ("*",) or one.method in METHODS[call]]

    @property
    def surprises(self) -> list[Any]:
        return list(self.simulator.surprises)

    @property
    def connections(self) -> int:
        return len(self.simulator.connections)

    @property
    def connections_opened(self) -> int:
        return self.simulator.connections_opened

    @property
    def in_flight(self) -> bool:
        waiting = any(one.state == "pending" for one in self._asked)
        confirming = any(not task.done() for task in self._confirming)
        unheard = any(not one.acked for one in self._said.values())
        return waiting or confirming or (self._hears and unheard)

    def pings(self, post: Post) -> set[str]:
        message: StoredMessage = post.native
        raw = message.text + shown_text(message.components)
        named = {self.simulator.names.get(who, who) for who in USER.findall(raw)}
        named |= {self.simulator.names[who] for who in message.pinged}
        return named | ({"everyone"} if MASS.search(raw) or message.mention_everyone else set())

    def links(self, post: Post) -> set[str]:
        message: StoredMessage = post.native
        return set(LINK.findall(message.text + shown_text(message.components)))

    def problems(self, content: Content) -> list[str]:
        found: list[str] = []
        for page in render(content):
            found += [str(one) for one in component_problems(page.components, v2=True)]
            found += [] if shown_text(page.components).strip() else ["no text"]
        return found

    def shown(self, content: Content) -> str:
        return "\n".join(plain_text(drawn(page.components), self.simulator.names) for page in render(content))

    def pieces(self, content: Content) -> list[tuple[str, int]]:
        return [(shown_text(page.components), MAX_SHOWN) for page in render(content)]

    def fixtures(self) -> Sequence[tuple[Mapping[str, Any], str | None]]:
        kinds = [kind for _, kind in payloads.EVERY_KIND]
        return list(zip(self.samples(), kinds, strict=True))

    def read(self, payload: Mapping[str, Any]) -> Event | None:
        return read(payload, Me(self.simulator.app_id, self.simulator.bot_user_id), self.clock.now())


def readable(text: str) -> str:
    """Text without the marks that only keep other marks from counting."""
    return ESCAPED.sub(r"\1", text).replace(ZWSP, "")


def headline(text: str) -> str:
    """The step in the text of a card that tells of one, for the item that counts them; else the text."""
    found = STEP.search(text)
    return found[0] if found else text


def drawn(components: Sequence[Mapping[str, Any]]) -> str:
    """Components as lines, buttons in brackets."""
    lines: list[str] = []
    for one in components:
        if one["type"] == 10:
            lines.append(one["content"])
        elif one["type"] == 2:
            lines.append(f"[{one['label']}]")
        else:
            lines.append(drawn(one.get("components", ())))
    return "\n".join(line for line in lines if line)
