"""A house in a process of its own, to be killed.

`python -m tests.worker.house_process FOLDER DATABASE_URL [REPOSITORY]`
"""

import asyncio
import sys
from pathlib import Path

from tests.worker.house import house
from tests.worker.review import shop


async def _stay(folder: Path, url: str, bare: str = "") -> None:
    repos = {"shop": shop(Path(bare))} if bare else {}
    async with house(folder, url, repos=repos, lease_seconds=2, heartbeat_seconds=0.5):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_stay(Path(sys.argv[1]), *sys.argv[2:]))
