"""Children of the worker, and what they can learn of it."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from bot.worker.processes import kill_marked, marked_processes, start_child

ENV = {"PATH": os.environ["PATH"]}


async def test_wait_ends_while_a_grandchild_holds_the_pipes() -> None:
    child = await start_child(["sh", "-c", "sleep 600 & echo $!; exit 4"], env={**ENV, "CODETASK_RUN": "pipes"})
    grandchild = int(await child.stdout.readline())
    async with asyncio.timeout(10):
        assert await child.wait() == 4
    os.kill(grandchild, signal.SIGKILL)
    child.close()


async def test_a_missing_program_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        await start_child(["/nonexistent/program"], env=ENV)


async def test_only_processes_with_the_exact_mark_are_killed() -> None:
    mine = await start_child(["sleep", "600"], env={**ENV, "CODETASK_RUN": "exact"})
    other = await start_child(["sleep", "600"], env={**ENV, "CODETASK_RUN": "exact-2"})
    assert marked_processes("exact") == [mine.pid]
    assert await kill_marked("exact") == []
    assert await mine.wait() == -signal.SIGKILL
    assert other.returncode is None
    other.kill()
    await other.wait()
    mine.close()
    other.close()


async def test_a_supervisor_that_hides_its_memory_cannot_be_read_and_still_starts_sandboxes() -> None:
    """In a process of its own, since it cannot be undone."""
    program = (
        "import asyncio, os, sys\n"
        "from bot.worker.processes import hide_own_memory, start_child\n"
        "from bot.worker.sandbox import choose_sandbox\n"
        "from bot.ports import SandboxRefused\n"
        "async def main():\n"
        "    child = await start_child(['sh', '-c', 'cat /proc/$PPID/environ || echo refused'], env=dict(os.environ))\n"
        "    out = await child.stdout.read(); await child.stderr.read(); await child.wait()\n"
        "    print('canary' in out.decode('latin-1'))\n"
        "    if 'sandbox' in sys.argv: print(isinstance(await choose_sandbox('auto'), SandboxRefused))\n"
        "if 'hide' in sys.argv: hide_own_memory()\n"
        "asyncio.run(main())\n"
    )

    async def answers(*words: str) -> list[str]:
        env = {**ENV, "SECRET_TOKEN": "canary", "PYTHONPATH": os.fspath(Path(__file__).parents[2])}
        child = await start_child([sys.executable, "-c", program, *words], env={**os.environ, **env})
        out, err = await child.stdout.read(), await child.stderr.read()
        assert await child.wait() == 0, err.decode()
        return out.decode().split()

    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    assert await answers() == ["True"]
    assert await answers("hide") == ["False"]
    assert await answers("hide", "sandbox") == ["False", "False"]
