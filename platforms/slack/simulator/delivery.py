"""Getting payloads to the app: one attempt after another until it is acknowledged or the ladder ends."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from platforms.simulation import Timer, Timers
from platforms.slack.simulator.catalog import ACK_WINDOW, RETRY_DELAYS
from platforms.slack.simulator.state import World

Json = dict[str, Any]
Kind = Literal["events_api", "slash_commands", "interactive"]
State = Literal["pending", "acked", "waiting", "lost", "refused", "swallowed"]


@dataclass
class Attempt:
    """One try. `sent` and `answered` are monotonic seconds; `outcome` is empty while it is under way."""

    number: int
    at: datetime
    sent: float
    envelope_id: str = ""
    answered: float | None = None
    status: int | None = None
    outcome: Literal["", "acked", "timeout", "http_error", "connection_failed", "late"] = ""
    over: bool = False
    timer: Timer | None = None


@dataclass
class Delivery:
    """One payload on its way to the app, and what became of it.

    `state`: pending (an attempt is under way), waiting (for the next attempt), acked, lost (ladder ended), refused (the
    person's client or the platform said no: see `error`), swallowed (a deaf connection took it).
    """

    kind: Kind
    payload: Json
    name: str
    user: str = ""
    channel: str = ""
    state: State = "pending"
    error: str = ""
    ack_body: Any = None
    attempts: list[Attempt] = field(default_factory=list)
    trigger_id: str = ""
    response_url: str = ""
    message_ts: str = ""
    answered: Callable[["Delivery", Any], None] | None = None

    @property
    def event_id(self) -> str:
        return str(self.payload.get("event_id", ""))

    @property
    def acked(self) -> bool:
        return self.state == "acked"

    @property
    def over(self) -> bool:
        """Nothing more will happen by itself."""
        return self.state not in ("pending", "waiting")

    @property
    def latency_ms(self) -> float | None:
        """Milliseconds from sending the payload to receiving its ack, over the wire; None without an ack."""
        for attempt in self.attempts:
            if attempt.answered is not None and attempt.outcome in ("acked", "late"):
                return (attempt.answered - attempt.sent) * 1000
        return None


class Courier:
    """Sends deliveries over whatever transport the app uses. All methods run on the simulator's loop."""

    def __init__(self, world: World, timers: Timers) -> None:
        self.world = world
        self.timers = timers
        self.deliveries: list[Delivery] = []
        self.send: Callable[[Delivery, Attempt, str], None] | None = None
        """Set to the transport in use: starts one attempt; calls `answer` or `fail` later."""

    def dispatch(self, delivery: Delivery) -> Delivery:
        """Starts delivering."""
        self.deliveries.append(delivery)
        self._attempt(delivery, 0, "")
        self.world.changed()
        return delivery

    def again(self, delivery: Delivery, reason: str = "http_timeout") -> None:
        """Delivers the same payload once more, whatever became of it before."""
        self._attempt(delivery, len(delivery.attempts), reason)

    def answer(self, delivery: Delivery, attempt: Attempt, body: Any, status: int | None = None) -> None:
        """The app acknowledged an attempt."""
        if attempt.answered is not None:
            self.world.surprise(delivery.name, "acknowledged twice")
            return
        attempt.answered = time.monotonic()
        attempt.status = status
        if attempt.over:
            attempt.outcome = "late"
            self.world.changed()
            return
        self._end(attempt, "acked")
        delivery.ack_body = body
        if delivery.answered is not None:
            delivery.answered(delivery, body)
        delivery.state = "acked"
        self.world.changed()

    def fail(self, delivery: Delivery, attempt: Attempt, outcome: Any, status: int | None = None) -> None:
        """An attempt did not get through."""
        if attempt.over:
            return
        attempt.status = status
        self._end(attempt, outcome)
        if delivery.kind != "events_api":
            delivery.state = "lost"
            delivery.error = "operation_timeout" if outcome == "timeout" else "dispatch_failed"
            self.world.tell("refused", delivery.channel, delivery.user, f"{delivery.name}: {delivery.error}")
        elif delivery.state != "acked":
            self._schedule(delivery, attempt.number, outcome)
        self.world.changed()

    def swallow(self, delivery: Delivery, attempt: Attempt) -> None:
        """A deaf connection took it: nobody will answer and the platform believes it delivered."""
        self._end(attempt, "")
        delivery.state = "swallowed"
        self.world.changed()

    def _schedule(self, delivery: Delivery, number: int, outcome: str) -> None:
        if number >= len(RETRY_DELAYS):
            delivery.state = "lost"
            delivery.error = outcome
            return
        delivery.state = "waiting"
        reason = {"timeout": "http_timeout"}.get(outcome, outcome)
        self.timers.after(RETRY_DELAYS[number], lambda: self._attempt(delivery, number + 1, reason))

    def _attempt(self, delivery: Delivery, number: int, reason: str) -> None:
        attempt = Attempt(number, self.world.clock.now(), time.monotonic(), self.world.ids.uuid())
        delivery.attempts.append(attempt)
        delivery.state = "pending" if delivery.state != "acked" else "acked"
        attempt.timer = self.timers.after(ACK_WINDOW, lambda: self.fail(delivery, attempt, "timeout"))
        if self.send is None:
            self.fail(delivery, attempt, "connection_failed")
        else:
            self.send(delivery, attempt, reason)

    def _end(self, attempt: Attempt, outcome: Any) -> None:
        attempt.over = True
        attempt.outcome = outcome
        if attempt.timer is not None:
            attempt.timer.cancel()
