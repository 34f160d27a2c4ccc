"""The real OpenCode program: over ACP, inside bubblewrap, through the gateway, against the scripted model endpoint."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from bot.ports import Bind, RunSpec, Sandbox, Started, Text, ToolFinished, ToolStarted
from bot.worker.agents import create_agent
from bot.worker.gateway import Gateway, GatewayRun
from bot.worker.sessions import pack, unpack
from tests.simulators.model import KEY, Act, ModelServer, Scene, Step
from tests.worker.agents.harness import FakeSettings, processes_of, read_out, short, spec_for

pytestmark = [pytest.mark.agent, pytest.mark.sandbox, pytest.mark.timeout(180)]


def prepared(
    fence: Sandbox, run: GatewayRun, checkout: Path, state: Path, prompt: str, session: str | None = None
) -> RunSpec:
    state.mkdir(exist_ok=True)
    binds = [run.bind, Bind(state, "/state", writable=True)]
    limits = short(start=60, idle=60, wall=120)
    spec = spec_for(fence, checkout, prompt, binds=binds, limits=limits, model=run.endpoint, session=session)
    return RunSpec(**{name: getattr(spec, name) for name in RunSpec.__slots__} | {"trouble": run.trouble})


@pytest.mark.long
async def test_it_edits_a_file_and_the_tokens_are_those_the_endpoint_counted(
    fence: Sandbox, gateway: Gateway, model: ModelServer, checkout: Path, sockets: Path, folder: Path, opencode: str
) -> None:
    (checkout / "greet.py").write_text('def greet():\n    return "Hello"\n')
    model.scenes.append(
        Scene(
            "say Welcome",
            [
                Step("Reading.", [Act.of("read", path="/ws/greet.py")]),
                Step("", [Act.of("edit", path="/ws/greet.py", old='"Hello"', new='"Welcome"')]),
                Step("", [Act.of("shell", command="env > seen.txt; cat /proc/*/environ /proc/*/cmdline >> seen.txt")]),
                Step("It says Welcome now."),
            ],
        )
    )
    run = await gateway.open_run("r1", None, sockets)
    agent = create_agent("opencode", FakeSettings(opencode_bin=opencode))
    spec = prepared(fence, run, checkout, folder / "st", "Please say Welcome")
    ended = await read_out(await agent.start(spec))
    assert ended.result.stop == "completed", ended.result
    assert (checkout / "greet.py").read_text() == 'def greet():\n    return "Welcome"\n'
    assert ended.result.text == "It says Welcome now."
    started = ended.of(Started)[0]
    assert isinstance(started, Started) and started.session_ref == ended.result.session_ref
    assert {e.kind for e in ended.events if isinstance(e, ToolStarted)} >= {"read", "edit", "execute"}
    assert all(e.ok for e in ended.events if isinstance(e, ToolFinished))
    assert len(model.seen) >= 4 and model.refused == []
    assert run.usage().tokens.total == model.tokens
    assert run.usage().requests == len(model.seen)
    seen = (checkout / "seen.txt").read_bytes()
    assert b"OPENCODE_CONFIG_CONTENT" in seen, "the tool looked at its environment"
    assert KEY.encode() not in seen
    assert processes_of(spec.run) == []


@pytest.mark.long
async def test_a_cancel_in_the_middle_of_a_tool_leaves_no_process(
    fence: Sandbox, gateway: Gateway, model: ModelServer, checkout: Path, sockets: Path, folder: Path, opencode: str
) -> None:
    command = "setsid sleep 987 & touch started; sleep 986"
    model.scenes.append(Scene("wait long", [Step("", [Act.of("shell", command=command)])]))
    run = await gateway.open_run("r1", None, sockets)
    agent = create_agent("opencode", FakeSettings(opencode_bin=opencode))
    spec = prepared(fence, run, checkout, folder / "st", "Please wait long")
    running = await agent.start(spec)
    async with asyncio.timeout(60):
        async for event in running.events:
            if isinstance(event, ToolStarted):
                break
    assert processes_of(spec.run)
    async with asyncio.timeout(10):
        await running.cancel()
    result = await running.result()
    assert result.stop == "cancelled"
    assert processes_of(spec.run) == []


@pytest.mark.long
async def test_an_empty_budget_ends_it_within_seconds(
    fence: Sandbox, gateway: Gateway, model: ModelServer, checkout: Path, sockets: Path, folder: Path, opencode: str
) -> None:
    model.scenes.append(Scene("work", [Step("never said")]))
    run = await gateway.open_run("r1", 0.000001, sockets)
    agent = create_agent("opencode", FakeSettings(opencode_bin=opencode))
    async with asyncio.timeout(30):
        ended = await read_out(await agent.start(prepared(fence, run, checkout, folder / "st", "work")))
    assert (ended.result.stop, ended.result.cause) == ("failed", "budget")
    assert model.seen == []


@pytest.mark.long
async def test_a_session_is_resumed_in_a_fresh_checkout(
    fence: Sandbox, gateway: Gateway, model: ModelServer, checkout: Path, sockets: Path, folder: Path, opencode: str
) -> None:
    kept = folder / "kept"
    kept.mkdir()
    model.scenes += [
        Scene("first job", [Step("", [Act.of("write", path="/ws/one.txt", content="1")]), Step("First done.")]),
        Scene("second job", [Step("", [Act.of("write", path="/ws/two.txt", content="2")]), Step("Second done.")]),
    ]
    agent = create_agent("opencode", FakeSettings(opencode_bin=opencode))
    run = await gateway.open_run("r1", None, sockets)
    first = await read_out(await agent.start(prepared(fence, run, checkout, folder / "st", "first job")))
    await run.close()
    assert (checkout / "one.txt").read_text() == "1"
    shutil.rmtree(checkout)
    packed = pack(folder / "st", agent.state_kept)
    assert isinstance(packed, bytes) and len(packed) < 256 * 1024
    assert unpack(packed, kept) is None
    assert {path.name for path in kept.rglob("*")} == {"opencode", "opencode.db", "opencode.db-wal"}
    fresh = folder / "fresh"
    fresh.mkdir()
    run = await gateway.open_run("r2", None, sockets)
    spec = prepared(fence, run, fresh, kept, "second job", first.result.session_ref)
    second = await read_out(await agent.start(spec))
    assert second.result.session_ref == first.result.session_ref and second.result.resumed
    assert (fresh / "two.txt").read_text() == "2"
    assert not (fresh / "one.txt").exists()
    assert "first job" in str(model.seen[-1].body["messages"]), "the history went along"
    assert not any(isinstance(e, Text) and "First done" in e.text for e in second.events), "nothing is replayed"


async def test_check_tells_its_version_and_what_it_can(fence: Sandbox, opencode: str) -> None:
    info = await create_agent("opencode", FakeSettings(opencode_bin=opencode)).check(fence)
    assert info.problem == ""
    assert info.version and info.protocol == "1"
    assert {"resume", "close"} <= info.capabilities
