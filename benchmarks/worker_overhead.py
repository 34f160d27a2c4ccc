"""What the worker adds around agent and tests: a whole run in a repository of 2,000 files whose mirror is warm.

The agent adds one line and the tests are `true`, so all of the time is ours: claim, fetch, checkout, compare, gate,
commit, test checkout, push, pull request in the local forge, and the sandbox starts between them. In bubblewrap; root,
whom the sandbox refuses, measures as an ordinary user through `tools/as-user`.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.figure import Figure, from_record, percentile
from benchmarks.work import bench_settings, file_task
from bot.app import App, open_app, open_worker, run_parts
from bot.core.tasks import Stage
from bot.store import Transaction

TARGET_S = 1.5
FILES = 2_000
ROOT = Path(__file__).resolve().parents[1]
AGENT = ("/bin/sh", "-c", "echo changed >> package_0/module_0.py")


def run(quick: bool = False) -> list[Figure]:
    files, runs = (20, 1) if quick else (FILES, 7)
    if os.geteuid() == 0 and not quick:
        return _as_user(files, runs)
    return asyncio.run(_measure(files, runs, "none" if quick else "bubblewrap"))


def _as_user(files: int, runs: int) -> list[Figure]:
    command = [str(ROOT / "tools/as-user"), sys.executable, "-m", "benchmarks.worker_overhead", str(files), str(runs)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return [from_record(record) for record in json.loads(done.stdout.splitlines()[-1])]


async def _measure(files: int, runs: int, sandbox: str) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="codetask-bench-") as name:
        folder = Path(name)
        settings = bench_settings(
            codetask_data=folder / "data",
            repos={"app": {"url": make_repository(folder, files).as_uri(), "forge": "local"}},
            default_agent="command",
            agent_command=AGENT,
            test_command="true",
            sandbox=sandbox,
            allow_unsandboxed_push=sandbox == "none",
            features=(),
        )
        async with AsyncExitStack() as stack:
            app = await stack.enter_async_context(open_app(settings, with_platforms=False))
            worker = await open_worker(app, stack)
            stop = asyncio.Event()
            parts = asyncio.create_task(run_parts(app, stop, worker, True))
            await _one(app)  # fills the mirror
            times = [await _one(app) for _ in range(runs)]
            stop.set()
            await parts
    note = f"{files} files, sandbox {sandbox}"
    return [
        Figure("worker_overhead_s", round(percentile(times, 0.5), 3), "s", TARGET_S, note=f"median; {note}"),
        Figure("worker_overhead_max_s", round(max(times), 3), "s", note=f"slowest of {runs}; {note}"),
    ]


async def _one(app: App) -> float:
    """Seconds from filing a code task to its review."""
    began = time.perf_counter()
    task_id = await app.store.run(_file)
    while True:
        seen = app.store.version("task")
        task = await app.store.run(lambda tx: tx.tasks.get(task_id), read=True)
        if task is not None and task.stage is Stage.REVIEW:
            return time.perf_counter() - began
        if task is None or task.stage is Stage.FAILED or task.attempt > 1:
            raise AssertionError(f"the run failed: {task.error if task else 'gone'}")
        await app.store.changed("task", seen, 10)


def _file(tx: Transaction) -> int:
    return file_task(tx, repo="app", agent="command").id or 0


def make_repository(folder: Path, files: int) -> Path:
    """A bare repository with that many Python files of a realistic size, 40 to a package."""
    source, bare = folder / "source", folder / "app.git"
    for number in range(files):
        path = source / f"package_{number // 40}" / f"module_{number % 40}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (f"def function_{number}_{line}(value):\n    return value + {line}\n" for line in range(40))
        path.write_text("\n\n".join(lines))
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for command in (
        ["init", "-q", "-b", "main", str(source)],
        ["-C", str(source), "add", "-A"],
        ["-C", str(source), *identity, "commit", "-q", "-m", "Start"],
        ["clone", "-q", "--bare", str(source), str(bare)],
    ):
        subprocess.run(["git", *command], check=True, capture_output=True)
    return bare


if __name__ == "__main__":
    found = asyncio.run(_measure(int(sys.argv[1]), int(sys.argv[2]), "bubblewrap"))
    print(json.dumps([figure.record() for figure in found]))
