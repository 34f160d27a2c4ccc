"""Commands beside 200 ordinary messages a second in a channel where intake suggests: what the commands' acks cost.

The app runs whole in its own process, on Slack. Three people talk, so each message cuts off the one before it and is
judged at once: as many items are judged as messages come in. Before and while they talk, commands are typed in another
channel; both acks are taken on the simulator's side of the wire.
"""

import asyncio
import time
from typing import Any

from benchmarks.app_under_test import app_on
from benchmarks.chat_ack import PEOPLE, TARGET_MS, Typed, _slack
from benchmarks.figure import Figure, p50_p99, percentile
from platforms.registry import create_simulator

MESSAGES_PER_SECOND = 200
COMMANDS_PER_SECOND = 10
CHATTER = (
    "I will be ten minutes late for the meeting, please start without me",
    "the deployment of yesterday evening looks fine so far, nothing in the logs",
    "has anybody seen the new coffee machine on the third floor yet?",
    "lunch at half past twelve, the usual place, everyone is welcome",
    "我今天下午要去看牙医，有事明天再说吧",
    "moved the stand-up to 10:15 because of the all-hands meeting",
)


def run(quick: bool = False) -> list[Figure]:
    return asyncio.run(_measure(1 if quick else 15))


async def _measure(seconds: int) -> list[Figure]:
    simulator: Any = create_simulator("slack")
    simulator.start()
    try:
        with app_on(simulator) as app:
            await _acked(simulator, [simulator.runs_command("ana", "/codetask settings intake suggest", channel="dev")])
            alone = await _type(simulator, seconds, 0)
            beside = await _type(simulator, seconds, MESSAGES_PER_SECOND)
            noted = await asyncio.to_thread(app.end)
    finally:
        simulator.stop()
    if noted["filed"] != len(alone) + len(beside):
        raise AssertionError(f"{noted['filed']} code tasks came of {len(alone) + len(beside)} commands")
    quiet, busy = ([one.latency_ms() or 0.0 for one in typed] for typed in (alone, beside))
    peer = {"peer": "the same without chatter", "peer_value": round(percentile(quiet, 0.99), 2)}
    return p50_p99("intake_chatter_ack", busy, TARGET_MS, **peer)


async def _type(simulator: Any, seconds: int, messages: int) -> list[Typed]:
    """Types commands at their rate while people talk at theirs, whatever the app does, and waits for all acks."""
    typed: list[Typed] = []
    said: list[Any] = []

    async def talk() -> None:
        began = time.monotonic()
        for number in range(messages * seconds):
            await asyncio.sleep(max(0.0, began + number / messages - time.monotonic()))
            text = f"{CHATTER[number % len(CHATTER)]} ({number})"
            said.append(simulator.user_says(PEOPLE[number % len(PEOPLE)], text, channel="dev"))

    async def command() -> None:
        began = time.monotonic()
        for number in range(COMMANDS_PER_SECOND * seconds):
            await asyncio.sleep(max(0.0, began + number / COMMANDS_PER_SECOND - time.monotonic()))
            text = f"Add page number {number} of {messages} to the report of the month"
            typed.append(_slack(simulator, PEOPLE[number % len(PEOPLE)], text))

    await asyncio.gather(talk(), command())
    await simulator.wait_for(lambda: all(one.latency_ms() is not None for one in typed), 60)
    heard = [delivery for message in said for delivery in simulator.deliveries_of(message)]
    await _acked(simulator, heard)
    return typed


async def _acked(simulator: Any, deliveries: list[Any]) -> None:
    await simulator.wait_for(lambda: all(one.latency_ms is not None for one in deliveries), 60)
