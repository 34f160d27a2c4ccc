"""Slash commands at 50 per second: from Slack's send to the ack it gets, and to the durable row.

The app runs whole in its own process (real slack-bolt over Socket Mode, SQLite, relay, scheduler, web); the commands
file real code tasks whose cards are posted meanwhile. The simulator takes the time of send and ack on its side of the
wire.
"""

import asyncio
import time

from benchmarks.app_under_test import app_on
from benchmarks.figure import Figure, p50_p99
from platforms.slack.simulator import Delivery, SlackSimulator

TARGET_MS = 100.0
PER_SECOND = 50.0
SLACK_LIMIT_MS = 3_000.0
PEOPLE = ("ana", "bo", "cy")


def run(quick: bool = False) -> list[Figure]:
    return asyncio.run(_measure(5 if quick else 750, PER_SECOND))


async def _measure(count: int, per_second: float) -> list[Figure]:
    with SlackSimulator() as simulator, app_on(simulator) as app:
        await simulator.wait_for(lambda: simulator.connections, 20)
        await _send(simulator, 1, per_second)  # the first command pays for what is loaded late
        deliveries = await _send(simulator, count, per_second)
        noted = await asyncio.to_thread(app.end)
        if noted["filed"] != count + 1:
            raise AssertionError(f"{noted['filed']} code tasks came of {count + 1} commands")
        lasted = noted["handled_at"] - deliveries[0].attempts[0].sent
        figures = _figures(deliveries, noted["durable"], simulator.app_id)
        return [*figures, Figure("slack_filed_per_s", round(count / lasted, 1), "/s", higher=True)]


async def _send(simulator: SlackSimulator, count: int, per_second: float) -> list[Delivery]:
    """Types `count` commands at that rate, whatever the app does, and waits for their acks."""
    began = time.monotonic()
    deliveries: list[Delivery] = []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
        line = f"/codetask Add page number {number} to the report of the month"
        deliveries.append(simulator.runs_command(PEOPLE[number % len(PEOPLE)], line))
    await simulator.wait_for(lambda: all(d.over for d in deliveries), 60)
    return deliveries


def _figures(deliveries: list[Delivery], durable: dict[str, float], app_id: str) -> list[Figure]:
    lost = [d for d in deliveries if d.latency_ms is None]
    if lost:
        raise AssertionError(f"{len(lost)} of {len(deliveries)} commands got no ack: {lost[0].error}")
    rows = [(durable[f"{app_id}:c:{d.trigger_id}"] - d.attempts[0].sent) * 1000 for d in deliveries]
    acks = [d.latency_ms or 0.0 for d in deliveries]
    limit = {"peer": "Slack's limit for an ack", "peer_value": SLACK_LIMIT_MS}
    return p50_p99("slack_ack", acks, TARGET_MS, **limit) + p50_p99("slack_row", rows, TARGET_MS)
