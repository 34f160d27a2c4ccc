"""Commands at 50 per second on each platform: from the platform's send to the ack it gets, and to the durable row.

The app runs whole in its own process (the real SDK on the platform's simulator, SQLite, relay, scheduler, web); the
commands file real code tasks whose cards are posted meanwhile. The simulator takes the time of send and ack on its side
of the wire: Slack and Discord slash commands, and on Lark, which has none, messages that mention the bot.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.app_under_test import app_on
from benchmarks.figure import Figure, p50_p99
from platforms.registry import create_simulator

TARGET_MS = 100.0
PER_SECOND = 50.0
LIMIT_MS = 3_000.0
"""What all three platforms allow for an ack."""
PEOPLE = ("ana", "bo", "cy")


@dataclass(frozen=True, slots=True)
class Typed:
    """One command on its way: its natural key, and when it was sent and acked (monotonic seconds, None while not)."""

    key: str
    sent: Callable[[], float]
    latency_ms: Callable[[], float | None]


def _slack(simulator: Any, who: str, text: str) -> Typed:
    sent = simulator.runs_command(who, f"/codetask {text}")
    key = f"{simulator.app_id}:c:{sent.trigger_id}"
    return Typed(key, lambda: sent.attempts[0].sent, lambda: sent.latency_ms)


def _discord(simulator: Any, who: str, text: str) -> Typed:
    sent = simulator.runs_command(who, "/codetask new", {"text": text})
    return Typed(f"{simulator.app_id}:c:{sent.id}", lambda: sent.sent, lambda: sent.latency_ms)


def _lark(simulator: Any, who: str, text: str) -> Typed:
    said = simulator.user_mentions(who, text)
    (sent,) = simulator.deliveries_of(said)
    key = f"{simulator.app_id}:m:{said.id}"
    return Typed(key, lambda: sent.attempts[0].sent, lambda: sent.latency_ms)


TYPISTS: dict[str, Callable[[Any, str, str], Typed]] = {"slack": _slack, "discord": _discord, "lark": _lark}


def run(quick: bool = False) -> list[Figure]:
    return [figure for name in TYPISTS for figure in asyncio.run(_measure(name, 5 if quick else 750))]


async def _measure(name: str, count: int) -> list[Figure]:
    simulator: Any = create_simulator(name)
    simulator.start()
    try:
        with app_on(simulator) as app:
            await _type(simulator, name, 1)  # the first command pays for what is loaded late
            typed = await _type(simulator, name, count)
            noted = await asyncio.to_thread(app.end)
        if noted["filed"] != count + 1:
            raise AssertionError(f"{noted['filed']} code tasks came of {count + 1} commands on {name}")
        lasted = noted["handled_at"] - typed[0].sent()
        figures = _figures(name, typed, noted["durable"])
        return [*figures, Figure(f"{name}_filed_per_s", round(count / lasted, 1), "/s", higher=True)]
    finally:
        simulator.stop()


async def _type(simulator: Any, name: str, count: int) -> list[Typed]:
    """Types `count` commands at that rate, whatever the app does, and waits for their acks."""
    began = time.monotonic()
    typed: list[Typed] = []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
        text = f"Add page number {number} of {count} to the report of the month"
        typed.append(TYPISTS[name](simulator, PEOPLE[number % len(PEOPLE)], text))
    await simulator.wait_for(lambda: all(one.latency_ms() is not None for one in typed), 60)
    return typed


def _figures(name: str, typed: list[Typed], durable: dict[str, float]) -> list[Figure]:
    rows = [(durable[one.key] - one.sent()) * 1000 for one in typed]
    acks = [one.latency_ms() or 0.0 for one in typed]
    limit = {"peer": "the platform's limit for an ack", "peer_value": LIMIT_MS}
    return p50_p99(f"{name}_ack", acks, TARGET_MS, **limit) + p50_p99(f"{name}_row", rows, TARGET_MS)
