"""Getting events and callbacks to the app: one attempt after another until it is acknowledged or the ladder ends."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from platforms.lark.simulator.catalog import ACK_WINDOW, RETRY_DELAYS
from platforms.lark.simulator.state import World
from platforms.simulation import Timer, Timers

Json = dict[str, Any]
Kind = Literal["event", "callback"]
State = Literal["pending", "acked", "waiting", "lost", "refused", "swallowed"]


@dataclass
class Attempt:
    """One try. `sent` and `answered` are monotonic seconds; `outcome` is empty while it is under way."""

    number: int
    at: datetime
    sent: float
    transport_id: str = ""
    answered: float | None = None
    status: int | None = None
    outcome: Literal["", "acked", "timeout", "refused", "connection_failed", "late"] = ""
    over: bool = False
    timer: Timer | None = None

    @property
    def latency_ms(self) -> float | None:
        """Milliseconds from sending to the answer, over the wire; None without one."""
        return None if self.answered is None else (self.answered - self.sent) * 1000


@dataclass
class Delivery:
    """One payload on its way to the app, and what became of it.

    `state`: pending (an attempt is under way), waiting (for the next attempt), acked, lost (ladder ended, or a button
    press that was not answered: see `error`), refused (the person's client said no), swallowed (a deaf connection).
    `answer`: the data of the ack, read.
    """

    kind: Kind
    payload: Json
    name: str
    user: str = ""
    chat: str = ""
    message_id: str = ""
    frame_type: Literal["event", "card"] = "event"
    state: State = "pending"
    error: str = ""
    answer: Any = None
    attempts: list[Attempt] = field(default_factory=list)
    answered: Callable[["Delivery", Any], None] | None = None
    ended: Callable[["Delivery"], None] | None = None

    @property
    def event_id(self) -> str:
        header = self.payload.get("header")
        return str(header.get("event_id", "")) if isinstance(header, dict) else ""

    @property
    def acked(self) -> bool:
        return self.state == "acked"

    @property
    def acked_at(self) -> float | None:
        """When the ack arrived, in monotonic seconds."""
        return next((a.answered for a in self.attempts if a.outcome == "acked"), None)

    @property
    def over(self) -> bool:
        """Nothing more will happen by itself."""
        return self.state not in ("pending", "waiting")

    @property
    def latencies(self) -> list[float]:
        """Milliseconds of each answered attempt."""
        return [a.latency_ms for a in self.attempts if a.latency_ms is not None]

    @property
    def latency_ms(self) -> float | None:
        """Milliseconds from sending the payload to its first ack; None without one."""
        return next((a.latency_ms for a in self.attempts if a.outcome in ("acked", "late")), None)


class Courier:
    """Sends deliveries over whatever transport the app uses. All methods run on the simulator's loop."""

    def __init__(self, world: World, timers: Timers) -> None:
        self.world = world
        self.timers = timers
        self.deliveries: list[Delivery] = []
        self.send: Callable[[Delivery, Attempt], None] | None = None
        """Set to the transport in use: starts one attempt; calls `answer` or `fail` later."""

    def dispatch(self, delivery: Delivery) -> Delivery:
        """Starts delivering."""
        self.deliveries.append(delivery)
        self._attempt(delivery, 0)
        self.world.changed()
        return delivery

    def again(self, delivery: Delivery) -> None:
        """Delivers the same payload once more, whatever became of it before."""
        self._attempt(delivery, len(delivery.attempts))

    def answer(self, delivery: Delivery, attempt: Attempt, body: Any, status: int) -> None:
        """The app answered an attempt; a status other than 2xx is a failure."""
        if attempt.answered is not None:
            self.world.surprise(delivery.name, "acknowledged twice")
            return
        attempt.answered = time.monotonic()
        if status // 100 != 2:
            self.fail(delivery, attempt, "refused", status)
            return
        attempt.status = status
        if attempt.over:
            attempt.outcome = "late"
            self.world.changed()
            return
        self._end(attempt, "acked")
        delivery.answer = body
        if delivery.answered is not None:
            delivery.answered(delivery, body)
        delivery.state = "acked"
        self._over(delivery)

    def fail(self, delivery: Delivery, attempt: Attempt, outcome: Any, status: int | None = None) -> None:
        """An attempt did not get through."""
        if attempt.over:
            return
        attempt.status = status
        self._end(attempt, outcome)
        if delivery.kind == "callback":
            delivery.state, delivery.error = "lost", outcome
            self.world.tell("refused", delivery.chat, delivery.user, f"{delivery.name}: {outcome}")
            self._over(delivery)
        elif delivery.state != "acked":
            self._schedule(delivery, attempt.number, outcome)
        self.world.changed()

    def swallow(self, delivery: Delivery, attempt: Attempt) -> None:
        """A deaf connection took it: nobody will answer and the platform believes it delivered."""
        self._end(attempt, "")
        delivery.state = "swallowed"
        self._over(delivery)

    def _over(self, delivery: Delivery) -> None:
        if delivery.ended is not None:
            delivery.ended(delivery)
            delivery.ended = None
        self.world.changed()

    def _schedule(self, delivery: Delivery, number: int, outcome: str) -> None:
        if number >= len(RETRY_DELAYS):
            delivery.state, delivery.error = "lost", outcome
            return
        delivery.state = "waiting"
        self.timers.after(RETRY_DELAYS[number], lambda: self._attempt(delivery, number + 1))

    def _attempt(self, delivery: Delivery, number: int) -> None:
        attempt = Attempt(number, self.world.clock.now(), time.monotonic(), self.world.ids.uuid())
        delivery.attempts.append(attempt)
        delivery.state = "pending" if delivery.state != "acked" else "acked"
        attempt.timer = self.timers.after(ACK_WINDOW, lambda: self.fail(delivery, attempt, "timeout"))
        if self.send is None:
            self.fail(delivery, attempt, "connection_failed")
        else:
            self.send(delivery, attempt)

    def _end(self, attempt: Attempt, outcome: Any) -> None:
        attempt.over = True
        attempt.outcome = outcome
        if attempt.timer is not None:
            attempt.timer.cancel()
