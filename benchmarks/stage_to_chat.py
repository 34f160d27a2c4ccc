"""From a stage change to the call that edits its card, when no rate limit or pace holds it up.

The clock starts in the app's process with the last line before the commit, and stops when the simulator has the call.
"""

import asyncio
import time

from benchmarks.app_under_test import app_on
from benchmarks.figure import POLL, POLL_P99_MS, Figure, p50_p99
from platforms.slack.simulator import Call, SlackSimulator

TARGET_MS = 100.0
CHANNELS = 8
STAGES = 3


def run(quick: bool = False) -> list[Figure]:
    return asyncio.run(_measure(1 if quick else CHANNELS, 1 if quick else 6))


async def _measure(channels: int, rounds: int) -> list[Figure]:
    with SlackSimulator() as simulator:
        ids = [simulator.add_channel(f"team-{number}").id for number in range(channels)]
        places = [{"platform": "slack", "workspace_id": simulator.team_id, "channel_id": i} for i in ids]
        with app_on(simulator, channels=places, rounds=rounds) as app:
            await asyncio.to_thread(app.said)
            calls = simulator.calls("chat.update")
            noted = await asyncio.to_thread(app.end)
        times = _latencies(noted["committed"], noted["cards"], calls, simulator)
    return p50_p99("stage_to_chat", times, TARGET_MS, peer=POLL, peer_value=POLL_P99_MS)


def _latencies(
    committed: dict[str, list[float]], cards: dict[str, str], calls: list[Call], simulator: SlackSimulator
) -> list[float]:
    """Milliseconds from each commit to its edit. Each card has one edit per stage, in the same order."""
    offset = time.monotonic() - simulator.clock.now().timestamp()
    edits: dict[str, list[float]] = {}
    for call in calls:
        edits.setdefault(str(call.arguments["ts"]), []).append(call.at.timestamp() + offset)
    times: list[float] = []
    for ref, commits in committed.items():
        seen = edits.get(cards[ref], [])
        if len(seen) != len(commits):
            raise AssertionError(f"{ref}: {len(commits)} stage changes, {len(seen)} edits")
        times += [(edit - commit) * 1000 for commit, edit in zip(commits, seen, strict=True)]
    return times
