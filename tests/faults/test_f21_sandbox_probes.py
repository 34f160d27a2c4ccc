"""F21: every promise of a sandbox is probed from within, and a sandbox that breaks one is refused."""

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bot.ports import Bind, SandboxProcess, SandboxRefused, SandboxSpec
from bot.worker.sandbox.bubblewrap import BubblewrapSandbox
from bot.worker.sandbox.none import NoSandbox
from bot.worker.sandbox.self_test import EXPECTED, ask_probes, probe_sandbox

pytestmark = [pytest.mark.fault, pytest.mark.sandbox]


@pytest.fixture
def bubblewrap() -> BubblewrapSandbox:
    if os.geteuid() == 0:
        pytest.skip("bubblewrap refuses root: run through tools/as-user")
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    return BubblewrapSandbox()


async def test_every_probe_answers_as_expected(bubblewrap: BubblewrapSandbox) -> None:
    answers = await ask_probes(bubblewrap)
    assert isinstance(answers, Mapping), answers
    assert len(EXPECTED) >= 25
    assert dict(answers) == dict(EXPECTED)


async def test_the_probes_can_fail_without_a_fence() -> None:
    """The same probes in a plain process: most promises do not hold, and the first broken one is named."""
    sandbox = NoSandbox()
    answers = await ask_probes(sandbox)
    assert isinstance(answers, Mapping), answers
    broken = {name for name, expected in EXPECTED.items() if answers[name] != expected}
    assert {
        "only own processes",
        "host loopback reachable",
        "host abstract socket reachable",
        "host /tmp seen",
    } <= broken
    assert len(broken) >= 10
    refused = await probe_sandbox(sandbox)
    assert isinstance(refused, SandboxRefused)
    assert refused.reason == "sandbox.self_test"


class LeakyEnvironment(BubblewrapSandbox):
    """A fence whose author forgot that PID 1 inside keeps the environment bwrap was started with."""

    async def start(self, argv: Sequence[str], spec: SandboxSpec) -> SandboxProcess:
        return await super().start(argv, replace(spec, env={**os.environ, **spec.env}))


class ExtraBind(BubblewrapSandbox):
    """A fence that shows one host folder too many."""

    def __init__(self, source: Path, target: str) -> None:
        super().__init__()
        self._extra = Bind(source, target)

    async def start(self, argv: Sequence[str], spec: SandboxSpec) -> SandboxProcess:
        return await super().start(argv, replace(spec, binds=[*spec.binds, self._extra]))


async def test_a_leaked_environment_is_refused(bubblewrap: BubblewrapSandbox) -> None:
    refused = await LeakyEnvironment().self_test()
    assert isinstance(refused, SandboxRefused)
    assert "worker secret in /proc" in refused.say


@pytest.mark.parametrize(("target", "probe"), [("/home/else", "host homes seen"), ("/var/log", "/var seen")])
async def test_a_shown_host_folder_is_refused(
    bubblewrap: BubblewrapSandbox, tmp_path: Path, target: str, probe: str
) -> None:
    (tmp_path / "file").write_text("x")
    refused = await ExtraBind(tmp_path, target).self_test()
    assert isinstance(refused, SandboxRefused)
    assert probe in refused.say


async def test_a_fence_that_cannot_start_is_refused(bubblewrap: BubblewrapSandbox, tmp_path: Path) -> None:
    refused = await ExtraBind(tmp_path / "missing", "/x").self_test()
    assert isinstance(refused, SandboxRefused)
    assert refused.reason == "sandbox.start"


async def test_a_sandbox_outlives_the_tasks_and_threads_around_it(bubblewrap: BubblewrapSandbox) -> None:
    """`--die-with-parent` means the starting thread: a start from a pool's thread would die with that thread."""
    started = await asyncio.create_task(bubblewrap.start(["sh", "-c", "echo up; cat"], SandboxSpec(run="threads")))
    assert await started.stdout.readline() == b"up\n"
    short_lived = threading.Thread(target=lambda: None)
    short_lived.start()
    await asyncio.to_thread(short_lived.join)
    started.stdin.write(b"still here\n")
    assert await started.stdout.readline() == b"still here\n"
    await started.kill()


async def test_bwrap_started_by_a_thread_dies_with_it(bubblewrap: BubblewrapSandbox) -> None:
    """The trap itself, so that nobody moves the start into a thread."""
    started: list[subprocess.Popen[bytes]] = []
    argv = ["bwrap", "--ro-bind", "/", "/", "--unshare-pid", "--die-with-parent", "sh", "-c", "echo up; sleep 600"]

    def in_thread() -> None:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        started.append(process)

    thread = threading.Thread(target=in_thread)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert await asyncio.to_thread(started[0].wait, 10) == -9
