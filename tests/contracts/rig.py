"""What the contract suite asks of a platform's rig: neutral verbs for people and faults, neutral readers for the chat.

A rig joins a platform's simulator, its real adapter and the real application over a real store. A new platform brings
one file with a subclass of `Rig` and one row in rigs.py. Where a platform has no such thing (a slash command in Lark)
the rig leaves its door out of `doors` and the items go round it.
"""

import abc
import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from bot.core.cards import Content
from bot.core.inbound import Door, Event, Person, ThreadRef
from bot.ports import Clock, Platform
from bot.settings import Settings
from platforms.registry import load_settings
from tests.contracts.replica import Replica

T = TypeVar("T")
Call = Literal["post", "edit", "react", "whisper", "private_answer", "history", "read", "check", "any"]
"""What the bot asks of a platform, whatever the platform's own names are."""
FaultKind = Literal["busy", "down", "lost_answer", "gone", "thread_gone", "channel_gone", "not_allowed", "auth"]
LOOKS_SAME = re.compile(r"Filed as CT-\d+\. It looks like")
DEADLINE = 30.0
"""Seconds until a test gives up waiting (ours). Nothing waits that long unless it is broken or the machine is."""
REPOSITORY = {"url": "file:///srv/invoices.git", "forge": "none"}


@dataclass(frozen=True)
class Said:
    """A person's message. `root` is the id of the message its thread hangs on (its own when it starts one)."""

    id: str
    channel: str
    root: str
    native: Any = field(repr=False, compare=False, default=None)


@dataclass(frozen=True)
class Post:
    """A message of the bot as it looks now. `root` is None for a message that is no reply."""

    id: str
    channel: str
    root: str | None
    text: str
    buttons: tuple[str, ...]
    at: datetime
    native: Any = field(repr=False, compare=False, default=None)


@dataclass(frozen=True)
class Edited:
    """One change of a post by the bot."""

    id: str
    at: datetime
    text: str


@dataclass(frozen=True)
class Whispered:
    """Something shown to one person only. `root`: the message whose thread it stands in, where the platform says so."""

    to: str
    channel: str
    text: str
    native: Any = field(repr=False, compare=False, default=None)
    root: str | None = None


class Sent(abc.ABC):
    """Something on its way to the bot."""

    @property
    @abc.abstractmethod
    def acked(self) -> bool: ...

    @property
    @abc.abstractmethod
    def acked_at(self) -> float | None:
        """Monotonic seconds of the (last) ack."""

    @property
    @abc.abstractmethod
    def latencies(self) -> Sequence[float]:
        """Seconds from sending to ack of every attempt that was acked."""

    @property
    @abc.abstractmethod
    def attempts(self) -> int: ...


@dataclass(frozen=True)
class BadSetup:
    """A wrong configuration and the words that the refusal must contain."""

    name: str
    change: Mapping[str, Any]
    prepare: Callable[[], None]
    repair: Callable[[], None]
    says: str


@dataclass(frozen=True)
class Request:
    """A webhook request and the status it must get."""

    name: str
    headers: Mapping[str, str]
    body: bytes
    status: int


def standing(changes: Iterable[tuple[str, str, bool]]) -> list[tuple[str, str]]:
    """What is left of reactions that were added (True) and taken away, each (message id, emoji)."""
    left: dict[tuple[str, str], None] = {}
    for message, emoji, added in changes:
        if added:
            left[message, emoji] = None
        else:
            left.pop((message, emoji), None)
    return list(left)


class Rig(abc.ABC):
    """One platform with the application on it. Use `async with`, then `start`."""

    platform_name: ClassVar[str]
    doors: ClassVar[frozenset[Door]]
    webhook: bool
    """Whether events come by HTTP."""
    sdk_modules: ClassVar[tuple[str, ...]]
    extra: ClassVar[str]
    auth_code: ClassVar[str]
    """What the platform calls refused credentials."""
    completes: ClassVar[bool] = True
    """Whether fields have completions."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.replicas: list[Replica] = []
        self.serial = 0

    # --- The application ----------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def credentials(self) -> dict[str, Any]:
        """Settings that reach the simulator."""

    @abc.abstractmethod
    def make_platform(self, settings: Settings) -> Platform:
        """The real adapter with short intervals."""

    @property
    @abc.abstractmethod
    def clock(self) -> Clock: ...

    def settings(self, **changes: Any) -> Settings:
        known: dict[str, Any] = {
            "codetask_data": self.data,
            "repos": {"invoices": REPOSITORY},
            "default_agent": "demo",
            "sandbox": "none",
            "features": ("codetasks",),
            "filers": ("*",),
            "sweep_seconds": 3600,
            "reconcile_seconds": 3600,
        }
        return load_settings(**{**known, **self.credentials(), **changes})

    async def start(self, *, connected: bool = True, **changes: Any) -> Replica:
        """One more replica of the application over the same store; returns when it hears the platform."""
        self.serial += 1
        replica = Replica(self.settings(**changes), self.make_platform, self.clock)
        await replica.open()
        self.replicas.append(replica)
        await self.attach(replica)
        replica.run()
        if connected:
            await self.until(lambda: replica.ended or replica.platform.health().state == "ready")
        return replica

    async def attach(self, replica: Replica) -> None:
        """Lets the platform's webhooks reach a replica (HTTP transports)."""
        return

    def use_webhook(self, port: int | str) -> None:
        """Sends webhooks to this local port from now on (HTTP transports)."""
        raise AssertionError("this transport has no webhooks")

    @property
    def app(self) -> Replica:
        """The newest replica that runs."""
        return self.replicas[-1]

    async def stop(self, replica: Replica | None = None) -> None:
        """Ends a replica in good order, within the five seconds it is allowed."""
        chosen = replica or self.app
        await chosen.stop()
        self.replicas.remove(chosen)

    async def crash(self) -> None:
        """Ends the newest replica without any order."""
        await self.replicas.pop().crash()

    async def restart(self, **changes: Any) -> Replica:
        await self.stop()
        return await self.start(**changes)

    async def close(self) -> None:
        while self.replicas:
            await self.crash()

    # --- People -------------------------------------------------------------------------------------------------------
    # `ana` is an owner, `bo` and `cy` are members. Rooms: `general`, `dev` (the bot is in), `lounge` (it is not).

    @abc.abstractmethod
    def person(self, who: str) -> Person: ...

    @abc.abstractmethod
    def place(self, where: str, root: str | None = None) -> ThreadRef: ...

    @abc.abstractmethod
    def stranger(self, kind: Literal["bot", "webhook", "guest", "external"]) -> str:
        """A new person of that kind in `general`; returns the name."""

    @abc.abstractmethod
    def say(self, who: str, text: str, where: str = "general", thread: str | None = None) -> Said: ...

    @abc.abstractmethod
    def mention(self, who: str, text: str, where: str = "general", thread: str | None = None) -> Said: ...

    @abc.abstractmethod
    def direct(self, who: str, text: str) -> Said: ...

    @abc.abstractmethod
    def command(self, who: str, text: str, where: str = "general") -> Sent:
        """`/codetask <text>`; platforms without slash commands use their own closest door."""

    @abc.abstractmethod
    def shortcut(self, who: str, said: Said) -> Sent: ...

    @abc.abstractmethod
    def follow_up(self, who: str, when: str, text: str, where: str = "general") -> Sent:
        """`/followup <when> <text>`; platforms without slash commands use their own closest door."""

    @abc.abstractmethod
    def later(self, who: str, said: Said) -> Sent:
        """ "Follow up later" on a message, where `doors` has the shortcut."""

    @abc.abstractmethod
    def press(self, who: str, what: Post | Whispered, label: str) -> Sent: ...

    @abc.abstractmethod
    def react(self, who: str, said: Said, emoji: str) -> None: ...

    @abc.abstractmethod
    def edit(self, said: Said, text: str) -> None: ...

    @abc.abstractmethod
    def delete(self, said: Said) -> None: ...

    @abc.abstractmethod
    def delete_post(self, post: Post) -> None:
        """An admin deletes a message of the bot."""

    @abc.abstractmethod
    def unfurl(self, said: Said) -> None:
        """The platform adds a preview to a message, which some report as an edit."""

    @abc.abstractmethod
    def add_bot(self, where: str) -> None: ...

    @abc.abstractmethod
    async def open_form(self, who: str, what: Post | Whispered, label: str) -> Any:
        """Presses a button that has a form; the form that opens, None where the platform has no forms."""

    @abc.abstractmethod
    def form_opens_with(self, form: Any) -> list[str]:
        """What the fields of a form hold when it opens."""

    @abc.abstractmethod
    def submit_form(self, who: str, form: Any, values: Mapping[str, str]) -> Sent: ...

    @abc.abstractmethod
    def close_form(self, who: str, form: Any) -> Sent: ...

    @abc.abstractmethod
    def types_choice(self, who: str, name: str, text: str) -> Sent:
        """Types into a field with completions."""

    @abc.abstractmethod
    def choices_of(self, sent: Sent) -> list[str] | None:
        """The completions that came back; None while none did."""

    # --- The platform -------------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def deliveries(self, said: Said) -> list[Sent]:
        """The events that told the bot of a message."""

    @abc.abstractmethod
    def redeliver(self, what: Said | Sent, times: int = 1) -> list[Sent]: ...

    @abc.abstractmethod
    def raw(self, payload: Mapping[str, Any]) -> Sent:
        """Delivers any payload as an event."""

    @abc.abstractmethod
    def unknown_event(self) -> Mapping[str, Any]:
        """A well-formed event of a type that nobody knows."""

    @abc.abstractmethod
    def unreadable_event(self) -> Mapping[str, Any]:
        """An event of a known type that lacks what it must have."""

    @abc.abstractmethod
    def samples(self) -> Sequence[Mapping[str, Any]]:
        """One payload of every kind, as material for mutations."""

    @abc.abstractmethod
    async def inject(self, replica: Replica, payload: Any) -> bool:
        """Hands a payload to the adapter as its transport would; whether it was acked. Raises what the SDK sees."""

    @abc.abstractmethod
    def drop(self, how: Literal["clean", "abort", "blackhole", "server", "session"]) -> None: ...

    @abc.abstractmethod
    def go_deaf(self, *, forever: bool = False) -> None: ...

    @abc.abstractmethod
    def move_clock(self, by: timedelta) -> None: ...

    @abc.abstractmethod
    def fail(self, call: Call, kind: FaultKind, *, after: float = 1, times: int | None = 1) -> None:
        """Faults for the next calls; `times` None: until `heal`. `after`: seconds of Retry-After for `busy`."""

    @abc.abstractmethod
    def heal(self) -> None: ...

    @abc.abstractmethod
    def revoke(self) -> None:
        """The bot's credentials are taken away."""

    @abc.abstractmethod
    def limit_edits(self, window: timedelta) -> None: ...

    @abc.abstractmethod
    def bad_setups(self) -> Sequence[BadSetup]: ...

    @abc.abstractmethod
    def requests(self) -> Sequence[Request]:
        """Forty and more webhook requests, good and forged."""

    # --- What is there to see -----------------------------------------------------------------------------------------

    @abc.abstractmethod
    async def until(self, found: Callable[[], T], timeout: float = DEADLINE) -> T:
        """The first truthy value; looked at again after everything that happens on the platform."""

    @property
    @abc.abstractmethod
    def all_posts(self) -> list[Post]: ...

    @property
    def posts(self) -> list[Post]:
        """The bot's messages, but for the lines about code tasks that look the same: the suite says nearly the same
        all the time, and what is similar is no matter of platforms."""
        return [post for post in self.all_posts if not LOOKS_SAME.search(post.text)]

    @property
    @abc.abstractmethod
    def edits(self) -> list[Edited]: ...

    @property
    @abc.abstractmethod
    def whispers(self) -> list[Whispered]: ...

    @property
    @abc.abstractmethod
    def marks(self) -> list[tuple[str, str]]:
        """(message id, emoji) of the bot's reactions that are there now."""

    @abc.abstractmethod
    def calls(self, call: Call) -> list[datetime]:
        """When the bot made such calls, also those that failed."""

    @property
    @abc.abstractmethod
    def surprises(self) -> list[Any]:
        """What the bot sent that the platform does not know."""

    @property
    @abc.abstractmethod
    def connections(self) -> int: ...

    @property
    @abc.abstractmethod
    def connections_opened(self) -> int: ...

    @property
    @abc.abstractmethod
    def in_flight(self) -> bool:
        """Whether something waits for the bot's ack."""

    @abc.abstractmethod
    def pings(self, post: Post) -> set[str]:
        """Everyone a message notifies: people by name, and `everyone` for mass mentions. Read from the raw payload."""

    @abc.abstractmethod
    def links(self, post: Post) -> set[str]:
        """Addresses that are live links in a message."""

    @abc.abstractmethod
    def problems(self, content: Content) -> list[str]:
        """What the platform's published rules say against the rendering of some content; empty when it is fine."""

    @abc.abstractmethod
    def shown(self, content: Content) -> str:
        """The rendering of some content as a person reads it."""

    @abc.abstractmethod
    def pieces(self, content: Content) -> list[tuple[str, int]]:
        """The text parts of a rendering, each with the platform's limit for it."""

    @abc.abstractmethod
    def fixtures(self) -> Sequence[tuple[Mapping[str, Any], str | None]]:
        """Recorded payloads, each with the kind of event it must become (None: nothing)."""

    @abc.abstractmethod
    def read(self, payload: Mapping[str, Any]) -> Event | None:
        """The adapter's own reading of a payload."""

    # --- Made of the above --------------------------------------------------------------------------------------------

    def file(self, who: str, text: str, where: str = "general") -> Said:
        """Files a code task in a thread of its own, by the door that every platform has."""
        return self.mention(who, text, where)

    async def advance(self, by: timedelta) -> None:
        """Moves the clock; what falls due in the platform and in the application happens.

        What is being sent gets its answer first: a send takes milliseconds, not the minutes that pass here."""
        for replica in self.replicas:
            await replica.finish_sending()
        self.move_clock(by)
        for replica in self.replicas:
            await replica.poke()

    async def settle(self, timeout: float = DEADLINE, step: timedelta = timedelta(seconds=0.5)) -> None:
        """Returns when everything delivered is acked and handled and everything to be said is said.

        Moves the clock in small steps, so that paced deliveries need no real waiting."""
        async with asyncio.timeout(timeout):
            while self.in_flight or await self.app.unfinished():
                await self.app.wait_for_change(0.02)
                if not self.in_flight:
                    await self.advance(step)

    async def backfill(self) -> None:
        """The five-minute look at what was missed, now."""
        await self.advance(timedelta(minutes=6))
        scheduler = self.app.app.scheduler
        await scheduler.reconcile()
        await asyncio.gather(*scheduler._looking)

    async def acked(self, *sent: Sent) -> None:
        await self.until(lambda: all(one.acked for one in sent))

    async def card(self, ref: str) -> Post:
        """The card of a code task, once it is there."""
        return await self.until(lambda: next((post for post in self.posts if f"{ref} " in post.text), None))
