"""A house in a process of its own, to be killed: `python -m tests.worker.house_process FOLDER DATABASE_URL`."""

import asyncio
import sys
from pathlib import Path

from tests.worker.house import house


async def _stay(folder: Path, url: str) -> None:
    async with house(folder, url, lease_seconds=2, heartbeat_seconds=0.5):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_stay(Path(sys.argv[1]), sys.argv[2]))
