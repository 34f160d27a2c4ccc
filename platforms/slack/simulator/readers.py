"""The readers: what the platform saw, in typed lists that are safe to read from any thread."""

from collections.abc import Callable
from typing import TypeVar

from platforms.simulation import Changes, Surprise
from platforms.slack.simulator.delivery import Courier, Delivery
from platforms.slack.simulator.render import Shown, render_text
from platforms.slack.simulator.sockets import Connection, Sockets
from platforms.slack.simulator.state import Activity, Edit, Happening, Reacted, StoredMessage, View, Whisper, World
from platforms.slack.simulator.surfaces import Surfaces
from platforms.slack.simulator.webapi import Call, WebApi

T = TypeVar("T")


class Readers:
    """Snapshots of what happened, oldest first, and waiting for it."""

    _world: World
    _changes: Changes
    _courier: Courier
    _sockets: Sockets
    _api: WebApi
    _surfaces: Surfaces

    async def wait_for(self, predicate: Callable[[], T], timeout: float = 5.0) -> T:
        """The first truthy value of `predicate`; TimeoutError, with what was seen instead, after `timeout` seconds."""
        return await self._changes.wait_for(predicate, timeout, self._summary)

    @property
    def messages(self) -> list[StoredMessage]:
        """Everything said by anyone, also what was deleted."""
        return list(self._world.messages.values())

    @property
    def sent(self) -> list[StoredMessage]:
        """The bot's messages."""
        return [m for m in self.messages if m.user == self._world.bot.id]

    @property
    def edits(self) -> list[Edit]:
        """Each change the bot made to a message of its own."""
        return list(self._world.edits)

    @property
    def whispers(self) -> list[Whisper]:
        return list(self._world.whispers)

    @property
    def reactions(self) -> list[Reacted]:
        return list(self._world.reactions)

    @property
    def activities(self) -> list[Activity]:
        return list(self._world.activities)

    @property
    def views(self) -> list[View]:
        """The forms and home tabs shown so far."""
        return list(self._world.views.values())

    @property
    def threads(self) -> dict[tuple[str, str], list[StoredMessage]]:
        """(channel, root ts) -> root and replies, for every message that has replies."""
        roots = dict.fromkeys((m.channel, m.root) for m in self.messages if m.is_reply)
        return {key: self.thread_at(*key) for key in roots}

    def thread(self, message: StoredMessage) -> list[StoredMessage]:
        """The root and the replies of the thread a message is in or would start."""
        return self.thread_at(message.channel, message.root)

    def thread_at(self, channel: str, root: str) -> list[StoredMessage]:
        first = self._world.message(channel, root)
        return ([first] if first else []) + self._world.replies(channel, root)

    def activity(self, message: StoredMessage) -> str:
        """The status line shown under a thread now."""
        return self._surfaces.activity(message.channel, message.root)

    @property
    def deliveries(self) -> list[Delivery]:
        """Everything sent to the app."""
        return list(self._courier.deliveries)

    def deliveries_of(self, message: StoredMessage) -> list[Delivery]:
        """The events that told the app of a message."""
        return [d for d in self.deliveries if d.message_ts == message.ts and d.channel == message.channel]

    @property
    def acks(self) -> list[Delivery]:
        """What the app acknowledged."""
        return [d for d in self.deliveries if d.acked]

    def calls(self, method: str | None = None) -> list[Call]:
        """The requests to the web API (`response_url` counts as a method), of one method or all."""
        return [call for call in list(self._api.calls) if method in (None, call.method)]

    @property
    def connections(self) -> list[Connection]:
        """The open sockets."""
        return self._sockets.live

    @property
    def connections_opened(self) -> int:
        """How many sockets were opened so far."""
        return self._sockets.opened

    @property
    def happenings(self) -> list[Happening]:
        """The story so far, for a terminal."""
        return list(self._world.happenings)

    @property
    def surprises(self) -> list[Surprise]:
        """What the app sent that Slack does not know. Should be empty at the end of every test."""
        return list(self._world.surprises)

    @property
    def names(self) -> dict[str, str]:
        """User and channel ids -> names."""
        users = {user.id: user.name for user in list(self._world.users.values())}
        return users | {channel.id: channel.name for channel in list(self._world.channels.values())}

    def render_text(self, message: Shown) -> str:
        """A message as a person reads it, with names for ids."""
        return render_text(message, self.names)

    def _summary(self) -> str:
        calls = [f"{c.method}{f' -> {c.error}' if c.error else ''}" for c in self.calls()[-8:]]
        sent = [self.render_text(m)[:80] for m in self.sent[-3:]]
        states = [f"{d.name}: {d.state}" for d in self.deliveries[-5:]]
        return f"last calls {calls}, last sent {sent}, deliveries {states}, sockets {len(self.connections)}"
