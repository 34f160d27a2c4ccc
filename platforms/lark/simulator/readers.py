"""The readers: what the platform saw, in typed lists that are safe to read from any thread."""

from collections.abc import Callable
from typing import TypeVar

from platforms.lark.simulator.api import Api, Call
from platforms.lark.simulator.delivery import Courier, Delivery
from platforms.lark.simulator.render import ButtonSeen, buttons, render_text
from platforms.lark.simulator.sockets import Connection, Sockets
from platforms.lark.simulator.state import Edit, Happening, Language, Reacted, StoredMessage, User, Whisper, World
from platforms.simulation import Changes, Surprise

T = TypeVar("T")


class Readers:
    """Snapshots of what happened, oldest first, and waiting for it."""

    _world: World
    _changes: Changes
    _courier: Courier
    _sockets: Sockets
    _api: Api

    async def wait_for(self, predicate: Callable[[], T], timeout: float = 5.0) -> T:
        """The first truthy value of `predicate`; TimeoutError, with what was seen instead, after `timeout` seconds."""
        return await self._changes.wait_for(predicate, timeout, self._summary)

    @property
    def messages(self) -> list[StoredMessage]:
        """Everything said by anyone, also what was recalled."""
        return list(self._world.messages.values())

    @property
    def sent(self) -> list[StoredMessage]:
        """The bot's messages, those to one person included."""
        return [m for m in self.messages if m.user == self._world.bot.id]

    @property
    def edits(self) -> list[Edit]:
        """Each change of a card; `via` says by whom."""
        return list(self._world.edits)

    @property
    def whispers(self) -> list[Whisper]:
        """Toasts, and messages to one person."""
        return list(self._world.whispers)

    @property
    def reactions(self) -> list[Reacted]:
        return list(self._world.reactions)

    @property
    def threads(self) -> dict[str, list[StoredMessage]]:
        """Thread id -> its messages by time, the root first."""
        ids = dict.fromkeys(m.thread_id for m in self.messages if m.thread_id)
        return {thread: self.thread_at(thread) for thread in ids if thread}

    def thread(self, message: StoredMessage) -> list[StoredMessage]:
        """The root and the replies of the thread a message is in; only itself when it is in none."""
        return self.thread_at(message.thread_id) if message.thread_id else [message]

    def thread_at(self, thread_id: str) -> list[StoredMessage]:
        found = [m for m in self.messages if m.thread_id == thread_id and not m.deleted]
        return sorted(found, key=lambda message: (message.is_reply, message.at))

    def replies(self, message: StoredMessage) -> list[StoredMessage]:
        """Every answer to a message, inside a thread or not."""
        return self._world.chain(message.root)

    @property
    def deliveries(self) -> list[Delivery]:
        """Everything sent to the app."""
        return list(self._courier.deliveries)

    def deliveries_of(self, message: StoredMessage) -> list[Delivery]:
        """The events that told the app of a message."""
        return [d for d in self.deliveries if d.message_id == message.id and d.kind == "event"]

    @property
    def acks(self) -> list[Delivery]:
        """What the app acknowledged; each with `attempts`, `acked_at`, `latencies`."""
        return [d for d in self.deliveries if d.acked]

    def calls(self, method: str | None = None) -> list[Call]:
        """The requests to the API, of one method (`message.create`...) or all. Names: `catalog.ENDPOINTS`."""
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
        """The story so far, for the demo."""
        return list(self._world.happenings)

    @property
    def surprises(self) -> list[Surprise]:
        """What the app sent that Lark does not know. Should be empty at the end of every test."""
        return list(self._world.surprises)

    @property
    def names(self) -> dict[str, str]:
        """Open ids and chat ids -> names."""
        users = {user.id: user.name for user in list(self._world.users.values())}
        return users | {chat.id: chat.name for chat in list(self._world.chats.values())}

    def render_text(self, message: StoredMessage, viewer: Language | User = "en") -> str:
        """A message as a person with this language, or this person, reads it, with names for ids."""
        return render_text(message, self._language(viewer), self.names)

    def buttons(self, message: StoredMessage, viewer: Language | User = "en") -> list[ButtonSeen]:
        """The buttons of a card as this person sees them."""
        return buttons(message, self._language(viewer))

    @staticmethod
    def _language(viewer: Language | User) -> str:
        return viewer.language if isinstance(viewer, User) else viewer

    def _summary(self) -> str:
        calls = [f"{c.method}{f' -> {c.error}' if c.error else ''}" for c in self.calls()[-8:]]
        sent = [self.render_text(m)[:80] for m in self.sent[-3:]]
        states = [f"{d.name}: {d.state}" for d in self.deliveries[-5:]]
        return f"last calls {calls}, last sent {sent}, deliveries {states}, sockets {len(self.connections)}"
