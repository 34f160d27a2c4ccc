"""The disk watch sees large files, many small ones and deep folders."""

import asyncio
from datetime import timedelta
from pathlib import Path

from bot.worker.disk import DiskLimits, measure, watch_disk
from tests.worker.git_world import make_deep

SOON = timedelta(milliseconds=1)


async def test_large_files_and_many_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 300_000)
    assert await watch_disk(tmp_path, DiskLimits(total_bytes=200_000, every=SOON)) == "bytes"
    assert await watch_disk(tmp_path, DiskLimits(entries=1, every=SOON)) == "files"


async def test_it_waits_until_a_limit_is_broken(tmp_path: Path) -> None:
    watching = asyncio.create_task(watch_disk(tmp_path, DiskLimits(entries=20, every=SOON)))
    for number in range(10):
        (tmp_path / f"f{number}").touch()
    assert (await measure(tmp_path)).entries == 11
    assert not watching.done()
    for number in range(10, 30):
        (tmp_path / f"f{number}").touch()
    async with asyncio.timeout(20):
        assert await watching == "files"


async def test_paths_longer_than_the_limit_are_counted(tmp_path: Path) -> None:
    make_deep(tmp_path, 30)
    assert (await measure(tmp_path)).entries == 31


async def test_a_missing_folder_is_empty(tmp_path: Path) -> None:
    use = await measure(tmp_path / "none")
    assert (use.total_bytes, use.entries) == (0, 0)
