"""Every agent and every forge of the registries: a row or a file is all that one takes."""

from dataclasses import dataclass

import pytest

from bot.ports import Forge
from bot.worker.agents import UnknownAgent, create_agent, known_agents
from bot.worker.agents.row import AgentRow
from bot.worker.agents.rows import ROWS
from bot.worker.forges import FORGES, ForgeMisconfigured, ForgeSettings, create_forge
from tests.clock import FakeClock


@dataclass(frozen=True)
class Told:
    agent_command: tuple[str, ...] = ()
    opencode_bin: str = "/opt/opencode"


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
def test_a_row_is_an_agent(row: AgentRow) -> None:
    agent = create_agent(row.name, Told())
    assert (agent.name, agent.state_target, agent.built_in) == (row.name, row.state_target, row.built_in)
    assert row.needs_model != row.built_in
    assert not row.setting or hasattr(Told(), row.setting)
    assert row.name in known_agents(Told())


def test_the_command_agent_exists_only_with_a_command() -> None:
    assert "command" not in known_agents(Told())
    with pytest.raises(UnknownAgent, match="known: opencode, patch, demo"):
        create_agent("command", Told())
    assert create_agent("command", Told(agent_command=("true",))).name == "command"


@pytest.mark.parametrize("name", FORGES)
async def test_a_line_is_a_forge(name: str) -> None:
    forge = create_forge(name, ForgeSettings(), FakeClock())
    assert isinstance(forge, Forge)
    assert forge.name == name
    await forge.aclose()


def test_a_forge_nobody_knows_is_named_with_the_known_ones() -> None:
    with pytest.raises(ForgeMisconfigured, match="'svn'; known are github, local, none"):
        create_forge("svn", ForgeSettings(), FakeClock())
