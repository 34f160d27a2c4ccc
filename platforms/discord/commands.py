"""Commands, messages and all other events: stored, then answered. Nothing is done here but read, persist, answer.

`Intake.dispatch` is the one way in. Whatever goes wrong, no exception reaches the SDK: it would end the connection.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from bot.core.inbound import Event, ThreadRef, Unreadable
from bot.core.texts import Texts
from bot.failpoints import failpoint
from bot.ports import AuthFailed, Clock, Retry, Unsendable
from platforms.discord.api import Api
from platforms.discord.cards import EPHEMERAL, Rendered, line
from platforms.discord.inbound import Me, read, unreadable
from platforms.discord.places import Places
from platforms.intake import Keeper, ref_of

log: Final = structlog.get_logger(__name__)

KEEP_TRYING: Final = timedelta(seconds=60)
"""How long a message that cannot be stored is tried again: Discord never sends it twice. Then the channel is read."""
ANSWER, DEFER_UPDATE, UPDATE = 4, 6, 7
COMPONENT: Final = 3
"""The kind of an interaction that a press is."""
ALREADY_ANSWERED: Final = "40060"
MAX_TAKEN: Final = 500
HEARD: Final = frozenset(
    {
        "MESSAGE_CREATE",
        "MESSAGE_UPDATE",
        "MESSAGE_DELETE",
        "MESSAGE_DELETE_BULK",
        "MESSAGE_REACTION_ADD",
        "MESSAGE_REACTION_REMOVE",
        "INTERACTION_CREATE",
    }
)
"""Events that people cause; they prove that the connection is not deaf."""
KEPT: Final = HEARD | {"GUILD_CREATE", "GUILD_DELETE", "CHANNEL_UPDATE", "CHANNEL_CREATE", "CHANNEL_DELETE"}
_ID: Final = re.compile(r"\d{15,20}", re.ASCII)

Json = Mapping[str, Any]
Interact = Callable[["Intake", Json], Awaitable[bool]]


def whispered(shown: Rendered) -> dict[str, Any]:
    """The body of an answer that only the person sees."""
    return shown.payload(flags=EPHEMERAL)


def texts_for(raw: Json) -> Texts:
    """The texts in the language of the person's own Discord."""
    locale = raw.get("locale")
    return Texts.load(locale if isinstance(locale, str) else "en")


class Intake(Keeper[Me]):
    """Stores what Discord delivers, message by message for a minute, and answers interactions."""

    def __init__(self, clock: Clock, api: Api, interact: Interact) -> None:
        super().__init__(clock)
        self.api = api
        self.places = Places()
        self.last_message = 0
        """The id of the newest message that was heard."""
        self.lost_since: datetime | None = None
        """From when on messages could not be stored; the supervision makes a `Gap` of it."""
        self.unanswered: dict[str, asyncio.Event] = {}
        """Tokens of interactions whose first answer is not sent yet; set once it is."""
        self.heard: dict[str, None] = {}
        """Tokens of the interactions that this process answers."""
        self.taken: dict[str, tuple[str, bool]] = {}
        """Tokens that were answered with "On it." only: the channel, and whether it was a press on a line."""
        self._interact = interact
        self._behind: dict[str, asyncio.Event] = {}
        """Channels of which something is not stored yet: what comes next waits, so that order is kept."""

    # --- The way in ---------------------------------------------------------------------------------------------------

    def hear(self, name: str, data: Any) -> None:
        """Takes in one gateway event as it comes off the wire."""
        if not isinstance(data, Mapping):
            return
        try:
            joined = self.places.ready(data) or [] if name == "READY" else self.places.learn(name, data)
        except Exception as error:  # what the cache cannot read costs a look-up later, nothing else
            log.warning("place_not_read", kind=name, error=type(error).__name__)
            joined = []
        if name == "MESSAGE_DELETE_BULK":
            ids = data.get("ids")
            for id in ids if isinstance(ids, list) else []:
                self.spawn(self.dispatch({"t": "MESSAGE_DELETE", "d": {**data, "id": id}}))
        elif name == "GUILD_CREATE" or (name.startswith(("CHANNEL_", "GUILD_ROLE_", "GUILD_MEMBER_")) and joined):
            for channel in joined:
                told = {"t": "CHANNEL_UPDATE", "joined": channel, "d": {"id": channel, "guild_id": _guild(name, data)}}
                self.spawn(self.dispatch(self._dated(told)))
        elif name in KEPT and name != "CHANNEL_CREATE" and name != "CHANNEL_UPDATE":
            self.spawn(self.dispatch({"t": name, "d": data} if name in HEARD else self._dated({"t": name, "d": data})))

    def _dated(self, payload: dict[str, Any]) -> dict[str, Any]:
        """With the instant it came: what may happen again has no id of its own."""
        return {**payload, "at": self._clock.now().isoformat()}

    async def dispatch(self, payload: Json) -> bool:
        """Reads and stores one payload. False when it could not be stored in time. Never raises."""
        if self.me is None or self.inbox is None:
            return False
        name, data = payload.get("t"), payload.get("d")
        if isinstance(name, str) and name in HEARD:
            self.last_inbound_at = self._clock.now()
            self._note_message(data)
        try:
            if name == "INTERACTION_CREATE" and isinstance(data, Mapping):
                return await self._interacted(data)
            return await self._message(payload, data)
        except Exception as error:  # nobody above could do better
            log.exception("event_not_read", error=type(error).__name__)
            return await self.accept(unreadable(payload, type(error).__name__, self.me, self._clock.now())) is None

    async def _interacted(self, raw: Json) -> bool:
        """Whoever answers privately meanwhile waits: before the first answer Discord does not know the token."""
        token = str(raw.get("token"))
        self.heard = {**dict(list(self.heard.items())[-MAX_TAKEN:]), token: None}
        answered = self.unanswered[token] = asyncio.Event()
        try:
            return await self._interact(self, raw)
        finally:
            answered.set()
            self.unanswered.pop(token, None)

    async def _message(self, payload: Json, data: Any) -> bool:
        """Stores what is not an interaction, again and again for a minute: Discord does not send it twice."""
        began = asyncio.get_running_loop().time()
        channel = str(data.get("channel_id")) if isinstance(data, Mapping) else ""
        waits = channel in self._behind or self._needs_look_up(data)
        if not waits and await self._kept(payload, data):
            return True
        before, done = self._behind.get(channel), asyncio.Event()
        self._behind[channel] = done
        try:
            if before is not None:
                await before.wait()
            return await self._keep_trying(payload, data, began)
        finally:
            done.set()
            if self._behind.get(channel) is done:
                del self._behind[channel]

    async def _keep_trying(self, payload: Json, data: Any, began: float) -> bool:
        pause = 0.25
        while not await self._kept(payload, data):
            if asyncio.get_running_loop().time() - began > KEEP_TRYING.total_seconds():
                self._missed(self._clock.now() - KEEP_TRYING * 2)
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
        return True

    async def _kept(self, payload: Json, data: Any) -> bool:
        """Whether it is stored now, or nothing that is kept."""
        event = await self._read(payload, data)
        return event is None or (not isinstance(event, Retry) and await self.accept(event) is None)

    async def _read(self, payload: Json, data: Any) -> Event | Retry | None:
        place = await self._place(data) if isinstance(data, Mapping) else {}
        if isinstance(place, Retry):
            return place
        assert self.me is not None, "checked by dispatch"
        self._note_channel(place, data)
        locale = self.places.language_of(data.get("guild_id")) if isinstance(data, Mapping) else None
        return read({**payload, "place": {**place, "locale": locale}}, self.me, self._clock.now())

    async def _place(self, data: Json) -> Json | Retry:
        """Where the event's channel is: Discord does not say it with a message."""
        channel = data.get("channel_id")
        if not self._needs_look_up(data):
            return self.places.place_of(channel) or {} if data.get("guild_id") else {}
        found = await self.api.call("GET", "/channels/{channel_id}", channel_id=channel, patience=3.0)
        if isinstance(found, Retry):
            return found
        if isinstance(found, AuthFailed):
            return Retry(timedelta(seconds=1), why=found.why)  # says nothing about the channel
        return self.places.remember(found if isinstance(found, Mapping) else {"id": channel})

    def _needs_look_up(self, data: Any) -> bool:
        channel = data.get("channel_id") if isinstance(data, Mapping) and data.get("guild_id") else None
        return isinstance(channel, str) and bool(_ID.fullmatch(channel)) and self.places.place_of(channel) is None

    async def place_of(self, channel: str, guild: str) -> Json | Retry:
        """The place of a channel of a server, looked up where it is not known."""
        return await self._place({"channel_id": channel, "guild_id": guild})

    def _note_channel(self, place: Json, data: Any) -> None:
        channel = data.get("channel_id") if isinstance(data, Mapping) else None
        parent = place.get("parent_id") if place.get("type") in (10, 11, 12) else None
        for id in (parent, channel):
            if isinstance(id, str) and data.get("guild_id"):
                self.note_channel(id)

    def _note_message(self, data: Any) -> None:
        id = data.get("id") if isinstance(data, Mapping) and "content" in data else None
        if isinstance(id, str) and _ID.fullmatch(id):
            self.last_message = max(self.last_message, int(id))

    def _missed(self, since: datetime) -> None:
        self.lost_since = min(since, self.lost_since or since)
        log.error("messages_missed", since=since.isoformat())

    # --- Answers ------------------------------------------------------------------------------------------------------

    async def interaction(self, raw: Json) -> Event | None:
        """The event of an interaction. Its channel comes with it, so nothing is looked up."""
        assert self.me is not None, "checked by dispatch"
        channel = raw.get("channel")
        place = self.places.remember(channel) if isinstance(channel, Mapping) and channel.get("id") else {}
        self._note_channel(place, raw)
        return read({"t": "INTERACTION_CREATE", "d": raw, "place": place}, self.me, self._clock.now())

    async def answer(self, raw: Json, kind: int, data: dict[str, Any] | None = None) -> bool:
        """The one answer to an interaction; False when Discord did not take it. Not repeated."""
        id, token = raw.get("id"), raw.get("token")
        if not isinstance(id, str) or not isinstance(token, str) or not _ID.fullmatch(id):
            return False
        trouble = await self.api.answer(id, token, kind, data)
        failpoint("inbox.acked")
        if isinstance(trouble, Unsendable) and trouble.why == ALREADY_ANSWERED:
            trouble = None  # by a first try of this request that looked failed, or by another process
        if trouble is not None:
            log.info("answer_lost", trouble=type(trouble).__name__, why=getattr(trouble, "why", ""))
        return trouble is None

    async def say(self, raw: Json, text: str) -> bool:
        """Answers an interaction with one line that only the person sees."""
        return await self.answer(raw, ANSWER, whispered(line(text)))

    async def take(self, raw: Json) -> bool:
        """Says "On it.": on a press in the place of the line that was pressed, else as a line of its own."""
        shown, pressed = line(texts_for(raw).say("discord.taken")), raw.get("type") == COMPONENT
        sent = await self.answer(raw, UPDATE if pressed else ANSWER, shown.payload() if pressed else whispered(shown))
        if sent:
            kept = list(self.taken.items())[-MAX_TAKEN:]
            self.taken = {**dict(kept), raw["token"]: (str(raw.get("channel_id")), pressed)}
        return sent

    def settle(self, place: ThreadRef, edited: bool = False) -> None:
        """Takes "On it." away where a card now says so. Of whom it is does not matter: later answers follow anew."""
        if self.taken or self.unanswered:
            self.spawn(self._settled({place.channel_id, place.native}, edited))

    async def _settled(self, here: set[str | None], edited: bool) -> None:
        for answered in list(self.unanswered.values()):
            await answered.wait()  # a card may be there before its "On it."
        for token, (channel, pressed) in list(self.taken.items()):
            if channel in here and (pressed or not edited) and self.taken.pop(token, None) is not None:
                await self.api.delete_answer(self.me.app_id if self.me else "", token)

    async def drain(self, limit: timedelta) -> bool:
        done = await super().drain(limit)
        if not done:
            self._missed(self._clock.now() - KEEP_TRYING)
        return done


def _guild(name: str, data: Json) -> Any:
    return data.get("id") if name == "GUILD_CREATE" else data.get("guild_id")


async def commanded(intake: Intake, raw: Json) -> bool:
    """A slash command or message menu entry: stored, then answered in private within three seconds."""
    event = await intake.interaction(raw)
    texts = texts_for(raw)
    lost = await intake.accept(event) if event is not None else None
    if lost:
        await intake.say(raw, texts.say("error.infrastructure", ref=f"`{lost}`"))
    elif event is None or isinstance(event, Unreadable):
        ref = event.ref if event else ref_of(str(raw.get("id")))
        await intake.say(raw, texts.say("error.unreadable", ref=f"`{ref}`"))
    else:
        await intake.take(raw)
    return lost is None
