"""F8: no disk is left. A worker whose workspaces lie on a full disk of 64 MiB claims nothing and recovers by itself; a
run that fills the disk is told so; a database that cannot grow loses nothing."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa

from bot.core.tasks import FailureReason, Stage
from bot.store import StoreDown
from storage.engine import Database
from tests.faults.conftest import Urls
from tests.faults.process import ROOT, Nursery
from tests.faults.site import REQUEST, Site, site

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

NAMESPACES: Final = ("unshare", "--user", "--map-root-user", "--mount")
MOUNT: Final = 'mount -t tmpfs -o size=64m,mode=700 none "$WORKSPACE_ROOT" && exec "$@"'
AGENT: Final = """
case "$(cat)" in
*everything*) dd if=/dev/zero of=big bs=1M count=100 || exit 1 ;;
*) echo done > done.txt ;;
esac
"""
MIB: Final = 1024 * 1024


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    """A small disk of one's own needs a mount namespace, as the sandbox does."""
    try:
        subprocess.run([*NAMESPACES, "true"], check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.CalledProcessError) as why:
        pytest.skip(f"no small disk can be mounted here: {why}")


class SmallDisk:
    """`codetask up` with its workspaces on a file system of 64 MiB."""

    def __init__(self, place: Site, child: asyncio.subprocess.Process, log: Path) -> None:
        self.place, self._child, self._log = place, child, log
        self.balloon = Path(f"/proc/{child.pid}/root{place.env['WORKSPACE_ROOT']}/balloon")

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    async def says(self, words: str, seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            while words not in self.said:
                assert self._child.returncode is None, self.said[-3000:]
                await self.place.store.changed("task", self.place.store.version("task"), 0.05)

    def fill(self, size: int) -> None:
        self.balloon.write_bytes(b"\0" * size)

    async def doctor(self) -> dict[str, dict[str, Any]]:
        """What `codetask doctor` finds on that disk, by the name of the check."""
        enter = ["nsenter", "--preserve-credentials", "--user", "--mount", "--target", str(self._child.pid)]
        asked = await asyncio.create_subprocess_exec(
            *enter,
            *(sys.executable, "-m", "bot.cli", "doctor", "--json"),
            cwd=ROOT,
            env=self.place.env,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await asyncio.wait_for(asked.communicate(), 60)
        assert asked.returncode == 1
        return {finding["check"]: finding for finding in json.loads(said)["items"]}

    async def end(self) -> int:
        if self._child.returncode is None:
            self._child.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self._child.wait(), 60)


@asynccontextmanager
async def small_disk(folder: Path, nursery: Nursery, url: str) -> AsyncIterator[SmallDisk]:
    (folder / "small").mkdir()
    async with site(folder, nursery, url, workspace_root=folder / "small", filers="*") as place:
        (folder / "agent.sh").write_text(AGENT)
        log = folder / "logs" / "up.log"
        with log.open("wb") as out:
            child = await asyncio.create_subprocess_exec(
                *(*NAMESPACES, "sh", "-c", MOUNT, "sh", sys.executable, "-m", "bot.cli", "up"),
                cwd=ROOT,
                env={**place.env, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        disk = SmallDisk(place, child, log)
        try:
            await place.connected()
            yield disk
            assert await disk.end() == 0, disk.said[-3000:]
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()


@pytest.mark.long
async def test_a_short_disk_stops_claims_and_a_full_one_is_named(
    tmp_path: Path, nursery: Nursery, sqlite_urls: Urls
) -> None:
    async with small_disk(tmp_path, nursery, sqlite_urls(1)[0]) as disk:
        place = disk.place
        disk.fill(60 * MIB)
        await disk.says("claiming_stopped")
        assert "4 MiB free" in disk.said
        place.slack.runs_command("ana", f"/codetask {REQUEST}")
        await place.until(lambda task: task.stage is Stage.QUEUED)
        found = (await disk.doctor())["workspaces"]
        assert found["level"] == "fail"
        assert "workers start no run" in found["says"]
        task = await place.task()
        assert task is not None
        assert (task.stage, task.attempt) == (Stage.QUEUED, 0), "claimed with no disk"
        disk.balloon.unlink()
        await disk.says("claiming_goes_on")
        await place.reaches(Stage.REVIEW)

        place.slack.runs_command("ana", "/codetask Write everything there is into one file")
        full = await place.until(lambda task: task.stage is Stage.FAILED, 2)
        assert (full.failure_reason, full.attempt) == (FailureReason.CONFIG, 3)
        assert "disk is full" in (full.error or "")
        place.slack.runs_command("ana", f"/codetask {REQUEST} once more")
        await place.reaches(Stage.REVIEW, 3)
        await place.settled()
        assert sorted(os.listdir(disk.balloon.parent)) == ["mirrors"], "something stayed on the disk"


@contextmanager
def limited(store: Database, pages: int) -> Iterator[None]:
    """The database file may not grow beyond so many pages: SQLite answers SQLITE_FULL, as on a full disk."""

    def limit(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}").close()

    sa.event.listen(store.engine, "checkout", limit)
    try:
        yield
    finally:
        sa.event.remove(store.engine, "checkout", limit)


async def test_a_full_database_keeps_what_it_has(sqlite_urls: Urls) -> None:
    url = sqlite_urls(1)[0]
    store = Database(url)
    try:
        size, kept = 2 * MIB // 4096, 0
        with limited(store, size):
            with pytest.raises(StoreDown):
                for number in range(10_000):
                    await store.run(lambda tx, n=number: tx.people.audit("test", "fill", str(n), {"x": "y" * 2000}))  # type: ignore[misc]
                    kept += 1
            assert await _audited(store) == kept, "a row that was stored can be read"
            with pytest.raises(StoreDown):
                await store.run(lambda tx: tx.people.audit("test", "fill", "more", {"x": "y" * 8000}))
        assert kept > 100
        with store.engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count={2**31}")
            assert connection.exec_driver_sql("PRAGMA quick_check").scalar() == "ok"
        await store.run(lambda tx: tx.people.audit("test", "fill", "after", {}))
        assert await _audited(store) == kept + 1
    finally:
        await store.close()


async def _audited(store: Database) -> int:
    count = sa.text("SELECT count(*) FROM audit WHERE action = 'fill'")
    return await store.run(lambda tx: tx.session.connection().execute(count).scalar_one(), read=True)
