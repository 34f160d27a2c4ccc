"""The fence itself: what a process behind it sees, and what the traps of bubblewrap must not let through."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bot.ports import Bind, Limits, Sandbox, SandboxRefused, SandboxSpec
from bot.worker.sandbox import choose_sandbox
from bot.worker.sandbox.bubblewrap import BubblewrapSandbox
from bot.worker.sandbox.refusals import explain_start

pytestmark = pytest.mark.sandbox


async def output(sandbox: Sandbox, script: str, spec: SandboxSpec) -> str:
    process = await sandbox.start(["sh", "-c", script], spec)
    process.stdin.close()
    out = await process.stdout.read()
    await process.wait()
    await process.kill()
    return out.decode()


async def test_no_option_or_host_path_shows_in_the_first_process(bubblewrap: BubblewrapSandbox, work: Path) -> None:
    spec = SandboxSpec(run="r", env={"RUN_TOKEN": "tok-canary"}, binds=[Bind(work, "/ws", writable=True)])
    seen = await output(bubblewrap, "tr '\\0' '\\n' < /proc/1/cmdline; ls -l /proc/self/fd /proc/1/fd", spec)
    assert "tok-canary" not in seen
    assert os.fspath(work) not in seen


async def test_binds_are_read_only_unless_said(bubblewrap: BubblewrapSandbox, work: Path, tmp_path: Path) -> None:
    (tmp_path / "shown").mkdir()
    spec = SandboxSpec(run="r", binds=[Bind(work, "/ws", writable=True), Bind(tmp_path / "shown", "/shown")])
    seen = await output(bubblewrap, "touch /ws/a && echo yes; touch /shown/a 2>/dev/null || echo no", spec)
    assert seen.split() == ["yes", "no"]


async def test_tools_appear_at_their_own_path_and_cannot_be_changed(work: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("bubblewrap refuses root: run through tools/as-user")
    tool = tmp_path / "tools" / "bin" / "greet"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\necho greeted\n")
    tool.chmod(0o755)
    sandbox = BubblewrapSandbox([tmp_path / "tools"])
    spec = SandboxSpec(run="r", binds=[Bind(work, "/ws", writable=True)])
    assert sandbox.inside(spec, tool) == os.fspath(tool)
    seen = await output(sandbox, f"{tool}; echo x >> {tool} || echo refused", spec)
    assert seen.split() == ["greeted", "refused"]


async def test_process_limits_of_two_sandboxes_do_not_add_up(bubblewrap: BubblewrapSandbox, work: Path) -> None:
    spec = SandboxSpec(run="r", binds=[Bind(work, "/ws")], limits=Limits(processes=40))
    script = "i=0; while [ $i -lt 25 ]; do sleep 600 & i=$((i+1)); done; echo up; wait"
    first = await bubblewrap.start(["sh", "-c", script], spec)
    second = await bubblewrap.start(["sh", "-c", script], replace(spec, run="s"))
    try:
        assert await first.stdout.readline() == b"up\n"
        assert await second.stdout.readline() == b"up\n"
    finally:
        await asyncio.gather(first.kill(), second.kill())


async def test_a_fork_bomb_is_held(bubblewrap: BubblewrapSandbox, work: Path) -> None:
    spec = SandboxSpec(run="bomb", binds=[Bind(work, "/ws")], limits=Limits(processes=64))
    bomb = "f() { f | f & }; f; echo up; sleep 600"
    process = await bubblewrap.start(["sh", "-c", bomb], spec)
    held = await process.stderr.readline()
    assert b"fork" in held.lower()
    async with asyncio.timeout(10):
        await process.kill()


async def test_the_sandbox_dies_with_its_worker(bubblewrap: BubblewrapSandbox, work: Path) -> None:
    """A worker that is killed with SIGKILL leaves no sandbox behind."""
    program = (
        "import asyncio\n"
        "from pathlib import Path\n"
        "from bot.ports import Bind, SandboxSpec\n"
        "from bot.worker.sandbox.bubblewrap import BubblewrapSandbox\n"
        "async def main():\n"
        f"    spec = SandboxSpec(run='orphan', binds=[Bind(Path({os.fspath(work)!r}), '/ws', writable=True)])\n"
        "    p = await BubblewrapSandbox().start(['sh', '-c', 'mkfifo f; echo up; read x < f'], spec)\n"
        "    print((await p.stdout.readline()).decode(), flush=True)\n"
        "    await p.wait()\n"
        "asyncio.run(main())\n"
    )
    worker = await asyncio.create_subprocess_exec(
        _python(), "-c", program, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"up\n"
    # The orphan would hold the reading end: opening to write then succeeds; ENXIO says that nobody is there.
    worker.kill()
    await worker.wait()
    async with asyncio.timeout(10):
        while _has_reader(work / "f"):  # noqa: ASYNC110 - no event tells of another process's child
            await asyncio.sleep(0)


async def test_auto_chooses_bubblewrap_after_its_self_test(bubblewrap: BubblewrapSandbox) -> None:
    chosen = await choose_sandbox("auto")
    assert isinstance(chosen, BubblewrapSandbox)
    assert chosen.isolates


async def test_a_host_folder_that_shows_inside_fails_the_self_test(
    bubblewrap: BubblewrapSandbox, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("x")
    leaky = BubblewrapSandbox([tmp_path], hidden=[tmp_path])
    refused = await leaky.self_test()
    assert isinstance(refused, SandboxRefused)
    assert "host folders seen" in refused.say


async def test_tools_do_not_fail_the_self_test(bubblewrap: BubblewrapSandbox, tmp_path: Path) -> None:
    (tmp_path / "tools" / "bin").mkdir(parents=True)
    assert await BubblewrapSandbox([tmp_path / "tools"], hidden=[tmp_path / "other"]).self_test() is None


async def test_missing_bubblewrap_is_explained(bubblewrap: BubblewrapSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    refused = await choose_sandbox("auto")
    assert isinstance(refused, SandboxRefused)
    assert refused.reason == "sandbox.not_installed"


def test_known_start_errors_say_what_to_do() -> None:
    spent = "bwrap: Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces exceeded (ENOSPC)"
    assert explain_start(spent).reason == "sandbox.no_namespaces"
    assert explain_start("bwrap: setting up uid map: Permission denied").reason == "sandbox.apparmor"
    assert "something else" in explain_start("bwrap: something else").say


def _python() -> str:
    import sys

    return sys.executable


def _has_reader(fifo: Path) -> bool:
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
