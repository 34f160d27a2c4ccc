"""While a person is asked something, neither the idle nor the wall limit of an agent runs."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.ports import Agent, AgentLimits
from bot.worker.agents.acp import AcpAgent
from bot.worker.agents.command import CommandAgent
from bot.worker.sandbox import NoSandbox
from tests.worker.agents.harness import read_out, script_row, short, spec_for

SCRIPT = Path(__file__).with_name("fake_agent.py")
LOOKS = 40


class Question:
    """Open from the first look until the clock was looked at so many times."""

    def __init__(self) -> None:
        self.looks = 0
        self._asked_at = asyncio.get_running_loop().time()
        self._waited = 0.0

    def paused(self) -> float:
        self.looks += 1
        if self.looks <= LOOKS:
            self._waited = asyncio.get_running_loop().time() - self._asked_at
        return self._waited


AGENTS: dict[str, Callable[[], Agent]] = {
    "acp": lambda: AcpAgent(script_row(SCRIPT, "silent")),
    "command": lambda: CommandAgent(["/bin/sleep", "60"]),
}


@pytest.mark.parametrize("kind", AGENTS)
@pytest.mark.parametrize(
    ("limits", "stop"), [(short(idle=0.05), "idle"), (short(wall=0.05, idle=30, start=30), "timed_out")]
)
async def test_the_clocks_stand_still_and_then_go_on(checkout: Path, kind: str, limits: AgentLimits, stop: str) -> None:
    question = Question()
    spec = replace(spec_for(NoSandbox(), checkout, "x", limits=limits), paused=question.paused)
    ended = await read_out(await AGENTS[kind]().start(spec))
    assert ended.result.stop == stop and question.looks > LOOKS
