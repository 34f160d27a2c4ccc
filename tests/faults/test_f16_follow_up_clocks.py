"""F16, follow-ups: several processes fire from one database while they are killed, frozen, cut off from PostgreSQL and
told a wrong time. Each follow-up fires once, never before its time by the clock that decides, none is forgotten."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

import pytest

from bot.core.followups import FollowUpKind
from bot.store import StoreDown
from storage.engine import Database
from storage.transaction import Tx
from tests.faults.conftest import Urls, migrated
from tests.faults.process import CLOCK, Nursery, Proc
from tests.faults.site import SHORT, as_env
from tests.postgres_server import PostgresServer
from tests.storage.conformance.followups import put

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]

T = TypeVar("T")
SCHEDULERS: Final = 3
FOLLOW_UPS, FOLLOW_UPS_LONG = 60, 2_000
SKEWED, JUMPED = 20, 20
SPREAD, SPREAD_LONG = timedelta(seconds=5), timedelta(seconds=180)
JUMPS: Final = (0, 3_600, -3_600)
"""Seconds by which the clocks of the processes are wrong."""
LATE_MAX: Final = timedelta(seconds=15)
"""What the design allows, time in which nobody could work excluded."""
WRONG: Final = """
SELECT f.id, f.state, f.attempt FROM follow_up f WHERE f.state NOT IN ('running', 'success') OR f.attempt <> 1
  OR f.triggered_at < f.due_at
  OR (SELECT count(*) FROM run r WHERE r.follow_up_id = f.id) <> CASE f.kind WHEN 'agent' THEN 1 ELSE 0 END
  OR (SELECT count(*) FROM outbox o WHERE o.thread_id = f.thread_id) <> CASE f.kind WHEN 'agent' THEN 0 ELSE 1 END
"""


@dataclass
class Fleet:
    """Processes without a chat or a worker on one database: they fire follow-ups, and nothing else."""

    folder: Path
    nursery: Nursery
    url: str
    store: Database
    procs: list[Proc] = field(default_factory=list)
    started: int = 0

    def start(self, clock: Path | None = None) -> Proc:
        settings = {
            "codetask_data": self.folder / f"data{self.started}",
            "codetask_config": self.folder / "none.toml",
            "database_url": self.url,
            "git_repo_url": "https://git.example/app.git",
            "features": ("followups",),
            "filers": "*",
            "agent_command": ("cat",),
            "default_agent": "command",
            **SHORT,
        }
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), **as_env(settings)}
        if clock is not None:
            env[CLOCK] = str(clock)
        proc = self.nursery.start(env, "serve", self.folder / f"{self.started}.log")
        self.started += 1
        self.procs.append(proc)
        return proc

    async def patiently(self, unit: Callable[[Tx], T]) -> T:
        """Runs a unit however often the database goes away."""
        async with asyncio.timeout(60):
            while True:
                try:
                    return await self.store.run(unit)
                except StoreDown:
                    await self.pause(0.1)

    async def pause(self, seconds: float) -> None:
        """Lets so much time pass, or less when a follow-up is fired."""
        await self.store.changed("task", self.store.version("task"), seconds)

    async def pass_by(self, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        while (left := until - asyncio.get_running_loop().time()) > 0:
            await self.pause(left)

    async def all_fired(self, timeout: float) -> None:
        """Waits until none is pending; then each was fired once."""
        try:
            async with asyncio.timeout(timeout):
                while await self.patiently(_pending):
                    await self.pause(0.2)
        except TimeoutError:
            raise AssertionError(f"still pending: {await self.patiently(_pending)}\n{self.logs}") from None
        assert await self.patiently(lambda tx: list(tx.listed(WRONG))) == []

    @property
    def logs(self) -> str:
        return "\n".join(f"--- {proc.log.name}\n{proc.said[-1500:]}" for proc in self.procs)


def _pending(tx: Tx) -> int:
    return tx.scalar("SELECT count(*) FROM follow_up WHERE state = 'pending'")


@asynccontextmanager
async def fleet(folder: Path, nursery: Nursery, url: str) -> AsyncIterator[Fleet]:
    """In that folder, which must be there."""
    store = Database(url)
    ships = Fleet(folder, nursery, url, store)
    try:
        yield ships
    finally:
        for proc in ships.procs:
            await proc.kill()
        await store.close()


def fill(count: int, spread: timedelta, lead: timedelta) -> Callable[[Tx], None]:
    """Prompts and reminders in turn, each in a thread of its own."""

    def unit(tx: Tx) -> None:
        for n in range(count):
            kind = (FollowUpKind.AGENT, FollowUpKind.MESSAGE)[n % 2]
            put(tx, root=f"{n}.0", kind=kind, due_at=tx.now + lead + spread * n / count)

    return unit


async def harass(
    ships: Fleet, server: PostgresServer, clocks: Sequence[Path], draw: random.Random, rounds: int
) -> Counter[str]:
    """Kills and freezes at random, restarts the server, and lets the clocks of the processes jump."""
    done: Counter[str] = Counter()
    live = [ships.start(clock) for clock in clocks]
    acts = ("kill", "freeze", "crash", "jump")
    for number in range(rounds):
        await ships.pass_by(draw.uniform(0.2, 0.8))
        act = acts[number % len(acts)]
        which = draw.randrange(len(live))
        match act:
            case "kill":
                await live[which].kill()
                live[which] = ships.start(clocks[which])
            case "freeze":
                live[which].freeze()
                await ships.pass_by(draw.uniform(0.2, 1.0))
                live[which].thaw()
            case "crash":
                await asyncio.to_thread(server.crash)
            case _:
                clocks[which].write_text(str(draw.choice(JUMPS)))
        done[act] += 1
    return done


async def test_three_schedulers_on_one_postgres_fire_each_follow_up_once(
    tmp_path: Path, nursery: Nursery, own_server: PostgresServer, long_run: bool
) -> None:
    draw = random.Random(16)
    count, spread = (FOLLOW_UPS_LONG, SPREAD_LONG) if long_run else (FOLLOW_UPS, SPREAD)
    clocks = [tmp_path / f"clock{n}" for n in range(SCHEDULERS)]
    for clock, jump in zip(clocks, JUMPS, strict=True):
        clock.write_text(str(jump))
    async with fleet(tmp_path, nursery, migrated(own_server)) as ships:
        await ships.patiently(fill(count, spread, timedelta(seconds=1)))
        done = await harass(ships, own_server, clocks, draw, 150 if long_run else 6)
        await ships.all_fired(60 + (spread.total_seconds() if long_run else 0))
        assert set(done) == {"kill", "freeze", "crash", "jump"}
        ends = [await proc.stop() for proc in ships.procs if not proc.exited.done()]
        assert ends == [0] * SCHEDULERS, ships.logs


async def test_wrong_clocks_of_processes_neither_hasten_nor_hold_up(
    tmp_path: Path, nursery: Nursery, postgres_urls: Urls
) -> None:
    """The database's clock decides. A process that is an hour ahead does not look for work without a pause either."""
    for jump in JUMPS[1:]:
        clock = tmp_path / f"clock{jump}"
        clock.write_text(str(jump))
        async with fleet(tmp_path, nursery, postgres_urls(1)[0]) as ships:
            proc = ships.start(clock)
            await ships.patiently(fill(SKEWED, timedelta(seconds=1), timedelta(seconds=2)))
            await ships.all_fired(30)
            late = await ships.patiently(_latest)
            assert late <= LATE_MAX, late
            assert await proc.stop() == 0, proc.said[-2000:]


async def test_a_clock_that_jumps_fires_each_follow_up_once(
    tmp_path: Path, nursery: Nursery, sqlite_urls: Urls
) -> None:
    """On SQLite the process's clock decides: an hour forward what is due then fires soon, an hour back it fires not
    again, and what is set afterwards is on time."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    async with fleet(tmp_path, nursery, sqlite_urls(1)[0]) as ships:
        proc = ships.start(clock)
        await ships.patiently(fill(JUMPED // 2, timedelta(0), timedelta(hours=1, seconds=-5)))
        await ships.pass_by(1.5)
        assert await ships.patiently(_pending) == JUMPED // 2
        clock.write_text("3600")
        await ships.all_fired(LATE_MAX.total_seconds())
        clock.write_text("-3600")
        hour = timedelta(hours=1)
        await ships.patiently(lambda tx: [put(tx, root=f"late{n}", due_at=tx.now - hour) for n in range(JUMPED // 2)])
        await ships.all_fired(LATE_MAX.total_seconds())
        assert await proc.stop() == 0, proc.said[-2000:]


def _latest(tx: Tx) -> timedelta:
    rows = tx.listed("SELECT due_at, triggered_at FROM follow_up")
    return max(triggered - due for due, triggered in rows)
