"""F18, scaled: an agent or a test that fills the disk, floods its output, hides files, forks without end, asks for all
memory or looks for a network. The limit is named, the worker lives."""

import asyncio
import os
import resource
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from bot.core.tasks import CodeTask, FailureReason, Stage
from tests.journeys.town import NAME, OWNER, Town, town
from tests.simulators.github.repositories import make_bare
from tests.worker.git_world import FILES
from tests.worker.test_stages import Case, ended, put, settings

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]

RAM: Final = 64 * 1024
"""KiB that the worker may grow by."""
AGENT: Final = """
prompt=$(cat)
case "$prompt" in
*case:bytes*) dd if=/dev/zero of=big bs=1M count=40 2>/dev/null; sleep 60 ;;
*case:files*) mkdir many; cd many; seq 3000 | xargs touch; sleep 60 ;;
*case:flood*) head -c 80000000 /dev/zero | tr '\\0' 'x' | fold -w 4000; echo x > done.txt ;;
*case:fifo*) mkfifo pipe; echo x > done.txt ;;
*case:closed*) mkdir shut; echo x > shut/in; chmod 000 shut; echo x > done.txt ;;
*case:deep*) p=deepdeepdeepdeepdeepdeep; for n in $(seq 150); do mkdir $p; cd $p; done; echo x > x ;;
*case:testfill*) echo x > fill.txt ;;
esac
"""


def chosen(folder: Path) -> dict[str, Any]:
    make_bare(folder / "shop.git", "main", FILES)
    more = {"max_attempts": 2, "max_runs": 1, "agent_minutes": 0.5, "workspace_max_mb": 20, "workspace_max_files": 2000}
    fill = "if test -f fill.txt; then dd if=/dev/zero of=big bs=1M count=40; sleep 60; fi"
    made = settings(folder, f"sqlite:///{folder}/db", **more, test_command=fill, keep_failed=0)
    (folder / "agent.sh").write_text(AGENT)
    return made


async def result(place: Town, word: str) -> CodeTask:
    task = await ended(place, put(place, Case(word, Stage.FAILED)))
    await place.slack.wait_for(lambda: place.worker.busy == 0, 30)
    return task


@pytest.mark.long
async def test_the_limit_is_named_and_not_tried_again(tmp_path: Path) -> None:
    async with town(tmp_path, **chosen(tmp_path)) as place:
        await result(place, "fifo")  # whatever a first run loads is not what a flood costs
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for word, named in (("bytes", "more than 20 MiB"), ("files", "more than 2000 files"), ("flood", "more output")):
            task = await result(place, word)
            assert (task.stage, task.failure_reason) == (Stage.FAILED, FailureReason.AGENT_FAILED), word
            assert named in (task.error or ""), task.error
            assert task.attempt == 1, f"{word}: tried again"
            assert place.runs_left() == [], word
        full = await result(place, "testfill")
        assert (full.stage, full.tests_passed, full.pr_draft) == (Stage.REVIEW, False, True), full.error
        assert "20 MiB" in (full.test_tail or "")
        log = await place.log(4)
        assert len(log) < 6 * 1024 * 1024
        after = await result(place, "fifo")
        assert after.stage in (Stage.REVIEW, Stage.FAILED)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < RAM


async def test_odd_files_do_not_stay(tmp_path: Path) -> None:
    async with town(tmp_path, **chosen(tmp_path)) as place:
        for word in ("fifo", "closed", "deep"):
            task = await result(place, word)
            assert task.stage is Stage.REVIEW or task.failure_reason in (
                FailureReason.REFUSED,
                FailureReason.NO_CHANGES,
            ), f"{word}: {task.failure_reason} {task.error}"
            assert place.runs_left() == [], word


NAP: Final = "sleep 61.75"
INSIDE: Final = f"""
prompt=$(cat)
case "$prompt" in
*case:forks*)
    (n=0; while [ $n -lt 400 ]; do {NAP} & n=$((n+1)); done; wait)
    exec python3 -c 'import time; time.sleep(1.5); exit(2)' ;;
*case:memory*) python3 -c 'bytearray(1 << 50)' ;;
*case:network*) python3 -c "$LOOK" ;;
esac
"""
LOOK: Final = """
import socket, sys
for host, port in (("127.0.0.1", PORT), ("1.1.1.1", 53), ("169.254.169.254", 80)):
    with socket.socket() as way:
        way.settimeout(2)
        print(host, way.connect_ex((host, port)) == 0, file=open("seen.txt", "a"))
try:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).sendto(b"8" * 8, ("1.1.1.1", 0))
    print("ping True", file=open("seen.txt", "a"))
except OSError:
    print("ping False", file=open("seen.txt", "a"))
"""


def napping() -> int:
    """Processes of the fork bomb that live now."""
    return sum(_argv(entry) == NAP.encode() for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _argv(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").strip()
    except OSError:
        return b""


@pytest.mark.sandbox
async def test_the_real_sandbox_holds_forks_memory_and_the_network(tmp_path: Path) -> None:
    """Total memory needs a cgroup, which is not at hand everywhere: here a single absurd wish for memory is refused."""
    if os.geteuid() == 0 or shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is missing, or refuses root: run through tools/as-user")
    fence: dict[str, Any] = {"sandbox": "bubblewrap", "allow_unsandboxed_push": False, "test_command": "none"}
    with open_door() as port:
        script = INSIDE.replace("$LOOK", LOOK.replace("PORT", str(port)).replace('"', '\\"'))
        made = {**chosen(tmp_path), **fence, "agent_command": ("sh", "-c", script)}
        async with town(tmp_path, **made) as place:
            peak = asyncio.create_task(_peak(place))
            task = await result(place, "forks")
            peak.cancel()
            most, slowest = await peak
            assert (task.failure_reason, task.attempt) == (FailureReason.AGENT_FAILED, 1)
            assert "the limit of 256 processes" in (task.error or ""), task.error
            assert 200 <= most <= 256, "the bomb was held"
            assert slowest < 1, "the worker answered all the while"
            assert napping() == 0

            task = await result(place, "memory")
            assert task.failure_reason is FailureReason.AGENT_FAILED
            assert "the limit of memory" in (task.error or ""), task.error

            task = await result(place, "network")
            assert task.stage is Stage.REVIEW, task.error
            seen = file_of(place, task.branch or "", "seen.txt")
            assert seen == "127.0.0.1 False\n1.1.1.1 False\n169.254.169.254 False\nping False\n"
            assert place.runs_left() == []


async def _peak(place: Town) -> tuple[int, float]:
    """The most processes of the bomb, and the longest time the loop did not answer, until it is cancelled."""
    most, slowest, loop = 0, 0.0, asyncio.get_running_loop()
    try:
        while True:
            most, asked = max(most, napping()), loop.time()
            await place.app.store.changed("task", place.app.store.version("task"), 0.02)
            slowest = max(slowest, loop.time() - asked - 0.02)
    except asyncio.CancelledError:
        return most, slowest


@contextmanager
def open_door() -> Iterator[int]:
    """A port of this machine's loopback that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def file_of(place: Town, branch: str, path: str) -> str:
    """A file of a branch on the forge."""
    bare = place.github.repositories[f"{OWNER}/{NAME}"].path
    argv = ["git", f"--git-dir={bare}", "show", f"{branch}:{path}"]
    return subprocess.run(argv, capture_output=True, check=True, text=True).stdout
