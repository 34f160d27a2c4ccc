"""What every kind of sandbox must do, fence or not."""

import asyncio
import uuid
from pathlib import Path

import pytest

from bot.ports import Bind, Sandbox, SandboxProcess, SandboxSpec
from bot.worker.processes import marked_processes


def spec_for(work: Path, **env: str) -> SandboxSpec:
    return SandboxSpec(run=f"run-{uuid.uuid4()}", env=env, binds=[Bind(work, "/ws", writable=True)])


async def run(sandbox: Sandbox, spec: SandboxSpec, *argv: str, stdin: bytes = b"") -> tuple[int, str]:
    process = await sandbox.start(argv, spec)
    process.stdin.write(stdin)
    process.stdin.close()
    out = await process.stdout.read()
    code = await process.wait()
    await process.kill()
    return code, out.decode()


async def test_output_input_and_exit_code_pass(sandbox: Sandbox, work: Path) -> None:
    code, out = await run(sandbox, spec_for(work), "sh", "-c", "cat; exit 7", stdin=b"hello")
    assert (code, out) == (7, "hello")


async def test_work_folder_is_the_current_one_and_writable(sandbox: Sandbox, work: Path) -> None:
    spec = spec_for(work)
    code, out = await run(sandbox, spec, "sh", "-c", "pwd; echo made > made.txt")
    assert code == 0
    assert out.strip() == sandbox.inside(spec, work)
    assert (work / "made.txt").read_text() == "made\n"


async def test_inside_names_the_path_the_process_can_open(sandbox: Sandbox, work: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "note").write_text("seen")
    spec = SandboxSpec(run="r", binds=[Bind(work, "/ws", writable=True), Bind(extra, "/run/extra")])
    assert await run(sandbox, spec, "cat", sandbox.inside(spec, extra / "note")) == (0, "seen")


async def test_environment_is_built_from_nothing(sandbox: Sandbox, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-canary")
    _, out = await run(sandbox, spec_for(work, GREETING="hi"), "env")
    names = {line.split("=", 1)[0] for line in out.splitlines()}
    assert "GREETING=hi" in out
    assert "canary" not in out
    assert names <= {"PATH", "HOME", "LANG", "PWD", "GREETING", "CODETASK_RUN", "CODETASK_FAMILY"}


async def test_wait_does_not_wait_for_pipes_held_by_leftovers(sandbox: Sandbox, work: Path) -> None:
    spec = spec_for(work)
    process = await sandbox.start(["sh", "-c", "setsid sleep 600 & exit 3"], spec)
    async with asyncio.timeout(10):
        assert await process.wait() == 3
    assert marked_processes(spec.run) == []
    await process.kill()


FAMILIES = {
    "double fork": "(sh -c 'sleep 600 & sleep 600' &) ; echo up; sleep 600",
    "setsid": "setsid sleep 600 & setsid -f sleep 600; echo up; sleep 600",
    "ignores SIGTERM": "trap '' TERM INT HUP; (trap '' TERM; sleep 600) & echo up; while :; do sleep 1; done",
    "stopped": "sleep 600 & kill -STOP $!; echo up; sleep 600",
}


@pytest.mark.parametrize("family", FAMILIES)
async def test_kill_leaves_nothing(sandbox: Sandbox, work: Path, family: str) -> None:
    spec = spec_for(work)
    process = await sandbox.start(["sh", "-c", FAMILIES[family]], spec)
    assert await process.stdout.readline() == b"up\n"
    assert len(marked_processes(spec.run)) >= 2
    async with asyncio.timeout(10):
        await process.kill()
    assert marked_processes(spec.run) == []
    assert process.returncode is not None


async def test_kill_twice_and_after_the_end_is_harmless(sandbox: Sandbox, work: Path) -> None:
    process = await sandbox.start(["true"], spec_for(work))
    assert await process.wait() == 0
    await process.kill()
    await process.kill()
    process.interrupt()
    process.terminate()
    assert process.returncode == 0


@pytest.mark.parametrize(("name", "said"), [("INT", b"int\n"), ("TERM", b"term\n")])
async def test_signals_reach_the_command(sandbox: Sandbox, work: Path, name: str, said: bytes) -> None:
    script = "trap 'echo int; exit 5' INT; trap 'echo term; exit 5' TERM; echo up; while :; do sleep 0.05; done"
    process: SandboxProcess = await sandbox.start(["sh", "-c", script], spec_for(work))
    assert await process.stdout.readline() == b"up\n"
    process.interrupt() if name == "INT" else process.terminate()
    assert await process.stdout.readline() == said
    assert await process.wait() == 5
    await process.kill()


async def test_a_flood_of_output_does_not_fill_memory(sandbox: Sandbox, work: Path) -> None:
    """Nobody reads: the writer must block, and kill must still end it."""
    spec = spec_for(work)
    process = await sandbox.start(["sh", "-c", "echo up >&2; exec cat /dev/zero"], spec)
    assert await process.stderr.readline() == b"up\n"
    await process.stdout.readexactly(1024)
    await process.kill()
    assert marked_processes(spec.run) == []


async def test_start_that_is_cancelled_leaves_nothing(sandbox: Sandbox, work: Path) -> None:
    spec = spec_for(work)
    starting = asyncio.ensure_future(sandbox.start(["sleep", "600"], spec))
    await asyncio.sleep(0)
    starting.cancel()
    (answer,) = await asyncio.gather(starting, return_exceptions=True)
    if not isinstance(answer, asyncio.CancelledError):
        assert not isinstance(answer, BaseException)
        await answer.kill()
    async with asyncio.timeout(10):
        while marked_processes(spec.run):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0)
