"""How late follow-ups start: from the due time to the moment when the commit that claimed them is durable.

One real process fires them. The claim of a prompt also queues its run, that of a reminder also renders and enqueues its
post; spread over 30 s they take turns, and of the bursts one is all prompts and one all reminders. The loads run on an
APScheduler job store and on PgQueuer too, whose clock stops when their job's function begins.
"""

from collections.abc import Sequence
from datetime import timedelta

from benchmarks import followup_flatness, followup_peers
from benchmarks.figure import Figure, percentile
from benchmarks.followup_load import Late, Load, on_store
from benchmarks.stores import Unavailable, postgres_server, postgres_url, sqlite_url
from bot.core.followups import FollowUpKind

TITLES = ("", "_burst", "_burst_reminders")
TARGETS_MS = {"sqlite": (10.0, 50.0, None), "postgres": (40.0, 150.0, None)}
"""The p99 of each load."""


def loads(quick: bool) -> tuple[Load, Load, Load]:
    """Spread, a burst of prompts, a burst of reminders."""
    second = timedelta(seconds=1)
    spread = Load(30, second, second) if quick else Load(10_000, 30 * second, 6 * second)
    burst = Load(30 if quick else 1_000, timedelta(0), second if quick else 3 * second, (FollowUpKind.AGENT,))
    return spread, burst, Load(burst.count, burst.spread, burst.lead, (FollowUpKind.MESSAGE,))


def run(quick: bool = False) -> list[Figure]:
    found = loads(quick)
    ours: list[Late] = []
    for load in found:
        with sqlite_url() as url:
            ours.append(on_store(url, load))
    figures = _figures("sqlite", ours, followup_peers.apscheduler(*found[:2]))
    try:
        with postgres_server() as server:
            ours = []
            for load in found:
                with postgres_url(server) as url:
                    ours.append(on_store(url, load))
            theirs = [] if quick else followup_peers.pgqueuer(server, *found[:2])
            figures += _figures("postgres", ours, theirs)
    except Unavailable as why:
        print(f"SKIPPED followup_lateness_postgres: {why}")
    return [*figures, *followup_flatness.run(quick)]


def _figures(store: str, ours: Sequence[Late], theirs: Sequence[Late]) -> list[Figure]:
    """p50 and p99 of each load; a peer's bursts are all of one kind, so both of ours stand beside it."""
    found: list[Figure] = []
    peers = [*theirs, *theirs[1:]] or [None] * len(ours)
    for title, mine, target, peer in zip(TITLES, ours, TARGETS_MS[store], peers, strict=True):
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            value = round(percentile(mine.milliseconds, share), 2)
            beside = round(percentile(peer.milliseconds, share), 2) if peer is not None else None
            found.append(
                Figure(
                    f"followup_lateness_{store}{title}_{name}_ms",
                    value,
                    "ms",
                    target if name == "p99" else None,
                    peer=peer.name if peer is not None else "",
                    peer_value=beside,
                    load=mine.load,
                    stolen=mine.stolen,
                    note=f"{len(mine.milliseconds)} follow-ups, {mine.cpu_seconds:.1f} s of CPU",
                )
            )
    return found
