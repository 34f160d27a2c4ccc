"""The ACP transport against agents that misbehave: every vice becomes a result with a cause, and nothing is left."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bot.ports import Agent, AgentLimits, RunSpec, Sandbox, Started, Text, ToolFinished, ToolStarted, Usage
from bot.worker.agents.acp import AcpAgent
from bot.worker.agents.row import AgentRow
from bot.worker.sandbox import NoSandbox
from tests.worker.agents.harness import Ended, processes_of, read_out, script_row, short, spec_for

SCRIPT = Path(__file__).with_name("fake_agent.py")


def fake(vice: str) -> Agent:
    return AcpAgent(script_row(SCRIPT, vice))


async def play(
    vice: str, checkout: Path, limits: AgentLimits | None = None, session: str | None = None
) -> tuple[RunSpec, Ended]:
    spec = spec_for(NoSandbox(), checkout, "do it", limits=limits, session=session)
    ended = await read_out(await fake(vice).start(spec))
    assert processes_of(spec.run) == []
    return spec, ended


async def test_a_good_turn(sandbox: Sandbox, checkout: Path) -> None:
    spec = spec_for(sandbox, checkout, "do it", env={"NOTES": "/ws" if sandbox.isolates else str(checkout)})
    ended = await read_out(await fake("good").start(spec))
    assert ended.result.stop == "completed"
    assert ended.result.text == "hello"
    assert ended.result.session_ref == "s1"
    assert ended.events[0] == Started("s1", "fake", "9.9")
    assert ended.of(Usage) == [Usage(12, None, "step")]
    assert (checkout / "closed").exists(), "the session is closed before the process is"
    assert processes_of(spec.run) == []


async def test_junk_unknown_updates_and_wrong_types_are_survived(checkout: Path) -> None:
    _, ended = await play("junk", checkout)
    assert (ended.result.stop, ended.result.text) == ("completed", "through the dirt")


async def test_updates_keep_their_order(checkout: Path) -> None:
    _, ended = await play("order", checkout)
    assert "".join(e.text for e in ended.events if isinstance(e, Text)) == "".join(f"{n} " for n in range(50))


async def test_a_line_of_three_megabytes_arrives(checkout: Path) -> None:
    _, ended = await play("big", checkout)
    assert sum(len(e.text) for e in ended.events if isinstance(e, Text)) == 3_000_000
    assert len(ended.result.text) <= 64_000


async def test_a_flood_without_line_ends_is_cut(checkout: Path) -> None:
    _, ended = await play("flood", checkout)
    assert (ended.result.stop, ended.result.cause) == ("failed", "limit")
    assert "more output" in ended.result.text


async def test_tool_calls_usage_and_last_words(checkout: Path) -> None:
    _, ended = await play("tools", checkout)
    assert ended.of(ToolStarted) == [ToolStarted("a", "edit", "Edit")]
    assert ended.of(ToolFinished) == [ToolFinished("a", True)]
    assert ended.result.reported_usd == 0.25
    assert ended.result.text == "last words"


@pytest.mark.parametrize(
    ("vice", "stop", "cause"),
    [
        ("stop_reason", "failed", "protocol"),
        ("version", "failed", "protocol"),
        ("odd_result", "failed", "protocol"),
        ("odd_error", "failed", "crashed"),
        ("odd_id", "failed", "crashed"),
        ("eof", "failed", "crashed"),
        ("error_auth", "failed", "auth"),
        ("refusal", "refused", ""),
    ],
)
async def test_a_vice_becomes_a_result(vice: str, stop: str, cause: str, checkout: Path) -> None:
    _, ended = await play(vice, checkout)
    assert (ended.result.stop, ended.result.cause) == (stop, cause)


async def test_an_end_in_mid_turn_keeps_exit_code_and_last_words(checkout: Path) -> None:
    _, ended = await play("eof", checkout)
    assert ended.result.exit_code == 7
    assert "out of luck" in ended.result.stderr_tail


async def test_an_agent_that_never_answers_the_handshake(checkout: Path) -> None:
    _, ended = await play("mute", checkout, short(start=0.5))
    assert (ended.result.stop, ended.result.cause) == ("failed", "unreachable")


async def test_silence_ends_a_turn(checkout: Path) -> None:
    _, ended = await play("silent", checkout, short(idle=0.5))
    assert (ended.result.stop, ended.result.cause) == ("idle", "idle")


async def test_talking_for_ever_meets_the_wall(checkout: Path) -> None:
    _, ended = await play("chatty", checkout, short(idle=30, wall=1.0))
    assert ended.result.stop == "timed_out"


async def test_permissions_are_given_once(checkout: Path) -> None:
    _, ended = await play("permission", checkout)
    assert ended.result.text == "yes"


async def test_a_cancel_takes_detached_children_along(sandbox: Sandbox, checkout: Path) -> None:
    spec = spec_for(sandbox, checkout, "do it")
    run = await fake("children").start(spec)
    async with asyncio.timeout(20):
        async for event in run.events:
            if isinstance(event, ToolStarted):
                break
    async with asyncio.timeout(20):
        # Right after its exec a process has no environment yet, and no event tells when it has.
        while len(processes_of(spec.run)) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
    await run.cancel()
    assert (await run.result()).stop == "cancelled"
    assert processes_of(spec.run) == []


async def test_one_that_ignores_end_of_input_and_sigterm_is_killed(checkout: Path) -> None:
    _, ended = await play("stubborn", checkout)
    assert ended.result.stop == "completed"


async def test_resume_keeps_the_session(checkout: Path) -> None:
    _, ended = await play("resume", checkout, session="old")
    assert ended.result.session_ref == "old"


async def test_load_drops_the_replayed_history(checkout: Path) -> None:
    _, ended = await play("load", checkout, session="s1")
    assert ended.result.session_ref == "s1"
    assert [e.text for e in ended.events if isinstance(e, Text)] == ["hello"]


@pytest.mark.parametrize("vice", ["resume_refused", "good"])
async def test_a_session_that_cannot_be_resumed_gives_a_new_one(vice: str, checkout: Path) -> None:
    _, ended = await play(vice, checkout, session="old")
    assert (ended.result.stop, ended.result.session_ref) == ("completed", "s1")


async def test_the_gateways_word_goes_before_the_agents(checkout: Path) -> None:
    spec = replace(spec_for(NoSandbox(), checkout, "do it"), trouble=lambda: "budget")
    ended = await read_out(await fake("good").start(spec))
    assert (ended.result.stop, ended.result.cause) == ("failed", "budget")


async def test_a_program_that_is_missing_is_a_config_result(checkout: Path) -> None:
    row = AgentRow(name="gone", program="no-such-program-at-all", install="Install it.")
    agent = AcpAgent(row)
    ended = await read_out(await agent.start(spec_for(NoSandbox(), checkout, "do it")))
    assert (ended.result.stop, ended.result.cause) == ("failed", "config")
    assert "Install it." in ended.result.text
    assert not (await agent.check(NoSandbox())).found


async def test_an_agent_that_needs_a_model_says_so(checkout: Path) -> None:
    agent = AcpAgent(replace(script_row(SCRIPT, "good"), needs_model=True))
    ended = await read_out(await agent.start(spec_for(NoSandbox(), checkout, "do it")))
    assert ended.result.cause == "config" and "LLM_BASE_URL" in ended.result.text


async def test_check_shows_version_and_capabilities() -> None:
    info = await fake("resume").check(NoSandbox())
    assert (info.found, info.version, info.protocol, info.problem) == (True, "9.9", "1", "")
    assert info.capabilities == {"resume", "close"}


async def test_check_of_one_that_speaks_another_version_tells_it() -> None:
    info = await fake("version").check(NoSandbox())
    assert info.found and "version 2" in info.problem


@pytest.mark.parametrize(
    ("vice", "session", "resumed", "heard"),
    [
        ("resume", "old", True, "do it"),
        ("load", "s1", True, "do it"),
        ("resume_refused", "old", False, "begin anew"),
        ("good", "old", False, "begin anew"),
        ("good", None, False, "do it"),
    ],
)
async def test_it_says_whether_the_session_goes_on_and_asks_accordingly(
    vice: str, session: str | None, resumed: bool, heard: str, checkout: Path
) -> None:
    spec = spec_for(NoSandbox(), checkout, "do it", session=session, env={"NOTES": str(checkout)})
    spec = replace(spec, fresh_prompt="begin anew")
    ended = await read_out(await fake(vice).start(spec))
    assert ended.result.resumed is resumed
    assert [event.resumed for event in ended.of(Started) if isinstance(event, Started)] == [resumed]
    assert (checkout / "asked").read_text() == heard


async def test_a_resume_that_is_never_answered_leaves_time_for_a_new_session(checkout: Path) -> None:
    _, ended = await play("resume_mute", checkout, limits=short(start=3, idle=5, wall=10), session="old")
    assert (ended.result.stop, ended.result.session_ref, ended.result.resumed) == ("completed", "s1", False)


async def test_an_agent_bound_to_its_path_is_not_resumed_where_paths_differ(checkout: Path) -> None:
    program = script_row(SCRIPT, "resume")
    agent = AcpAgent(replace(program, same_path=True))
    ended = await read_out(await agent.start(spec_for(NoSandbox(), checkout, "do it", session="old")))
    assert (ended.result.session_ref, ended.result.resumed) == ("s1", False)
