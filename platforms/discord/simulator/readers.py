"""The readers: what the platform saw, in typed lists that are safe to read from any thread."""

from collections.abc import Callable
from typing import Any, TypeVar

from platforms.discord.simulator import catalog
from platforms.discord.simulator.api import Api, Call
from platforms.discord.simulator.gateway import Connection, Gateway
from platforms.discord.simulator.interactions import Interaction, Interactions
from platforms.discord.simulator.render import render_text
from platforms.discord.simulator.state import Channel, Edit, Form, Happening, Reacted, StoredMessage, Whisper, World
from platforms.simulation import Changes, Surprise

T = TypeVar("T")
_SYSTEM = (18, 21)
"""Message types Discord writes itself around threads."""


class Readers:
    """Snapshots of what happened, oldest first, and waiting for it."""

    _world: World
    _changes: Changes
    _gateway: Gateway
    _api: Api
    _interactions: Interactions

    async def wait_for(self, predicate: Callable[[], T], timeout: float = 5.0) -> T:
        """The first truthy value of `predicate`; TimeoutError, with what was seen instead, after `timeout` seconds."""
        return await self._changes.wait_for(predicate, timeout, self._summary)

    @property
    def messages(self) -> list[StoredMessage]:
        """Everything said by anyone, also what was deleted; not whispers, not Discord's own notices."""
        found = list(self._world.messages.values())
        return [m for m in found if not isinstance(m, Whisper) and m.type not in _SYSTEM and not _loading(m)]

    @property
    def sent(self) -> list[StoredMessage]:
        """The bot's messages that others can see."""
        return [m for m in self.messages if m.user == self._world.bot.id]

    @property
    def edits(self) -> list[Edit]:
        """Each change the bot made to a message of its own, also to whispers."""
        return list(self._world.edits)

    @property
    def whispers(self) -> list[Whisper]:
        """The ephemeral answers."""
        return [m for m in list(self._world.messages.values()) if isinstance(m, Whisper) and not _loading(m)]

    @property
    def reactions(self) -> list[Reacted]:
        return list(self._world.reactions)

    @property
    def forms(self) -> list[Form]:
        """The modals shown so far."""
        return list(self._world.forms)

    @property
    def threads(self) -> list[Channel]:
        """All threads that are there."""
        return [c for c in list(self._world.channels.values()) if c.is_thread and not c.deleted]

    def thread_of(self, message: StoredMessage) -> Channel | None:
        """The thread started from a message, or the one it was said in."""
        found = self._world.channel(message.thread or message.channel)
        return found if found is not None and found.is_thread else None

    def thread(self, message: StoredMessage) -> list[StoredMessage]:
        """The message a thread was started from and what was said in it; the message alone when there is no thread."""
        thread = self.thread_of(message)
        if thread is None:
            return [message]
        root = self._world.messages.get(thread.id)
        return ([root] if root is not None else []) + self.said_in(thread)

    def said_in(self, channel: Channel | str) -> list[StoredMessage]:
        """What was said in a channel or thread and is still there."""
        place = self._world.find_channel(channel)
        return [m for m in self._world.in_channel(place.id) if m.type not in _SYSTEM and not _loading(m)]

    def pings(self, message: StoredMessage) -> frozenset[str]:
        """The names of those a message really notified."""
        return frozenset(self._world.users[u].name for u in message.pinged)

    @property
    def interactions(self) -> list[Interaction]:
        """Everything people asked of the app by command, menu, button or form, and autocompletions."""
        return list(self._interactions.all)

    @property
    def acks(self) -> list[Interaction]:
        """The interactions the app answered in time."""
        return [i for i in self.interactions if i.acked]

    def calls(self, method: str | None = None) -> list[Call]:
        """The requests to the REST API, of one operation (its OpenAPI id) or all."""
        return [call for call in list(self._api.calls) if method in (None, call.method)]

    @property
    def connections(self) -> list[Connection]:
        """The open gateway sockets."""
        return self._gateway.live

    @property
    def connections_opened(self) -> int:
        return self._gateway.opened

    @property
    def identifies(self) -> int:
        """How many new sessions were asked for."""
        return self._gateway.identifies

    @property
    def resumes(self) -> int:
        """How often a living session was resumed."""
        return sum(session.resumed for session in list(self._gateway.sessions.values()))

    @property
    def close_codes(self) -> list[int]:
        """The codes the gateway closed sockets with."""
        return list(self._gateway.close_codes)

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The payloads the living gateway sessions were sent, of one event (`MESSAGE_CREATE`) or all."""
        frames = [frame for session in list(self._gateway.sessions.values()) for frame in list(session.log)]
        return [frame["d"] for frame in frames if name in (None, frame["t"])]

    @property
    def ready(self) -> bool:
        """Whether a socket is open that said who it is."""
        return any(c.session is not None for c in self.connections)

    @property
    def commands(self) -> list[dict[str, Any]]:
        """The registered commands."""
        return list(self._world.commands)

    @property
    def happenings(self) -> list[Happening]:
        """The story so far, for the demo."""
        return list(self._world.happenings)

    @property
    def surprises(self) -> list[Surprise]:
        """What the app sent that Discord does not know. Should be empty at the end of every test."""
        return list(self._world.surprises)

    @property
    def names(self) -> dict[str, str]:
        """User, role and channel ids -> names."""
        users = {user.id: user.name for user in list(self._world.users.values())}
        roles = {role.id: role.name for role in list(self._world.roles.values())}
        return roles | {c.id: c.name for c in list(self._world.channels.values())} | users

    def render_text(self, message: StoredMessage) -> str:
        """A message as a person reads it, with names for ids."""
        return render_text(message, self.names)

    def _summary(self) -> str:
        calls = [f"{c.method}{f' -> {c.code} {c.error}' if c.error else ''}" for c in self.calls()[-8:]]
        sent = [self.render_text(m)[:80] for m in self.sent[-3:]]
        states = [f"{i.name}: {i.state}" for i in self.interactions[-5:]]
        return f"last calls {calls}, last sent {sent}, interactions {states}, sockets {len(self.connections)}"


def _loading(message: StoredMessage) -> bool:
    return bool(message.flags & catalog.LOADING)
