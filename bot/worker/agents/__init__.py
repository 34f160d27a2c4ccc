"""The agents a run may use: one row or one file per kind. Adding an agent that speaks ACP is one row.

Built-in agents run as `python -m bot.worker.agents.<name>_agent` inside the sandbox with only this folder visible, so
nothing heavy is imported here at the top.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.ports import Agent


class AgentSettings(Protocol):
    """What agents need from the configuration. An empty command or program means "not configured" or "look on PATH"."""

    @property
    def agent_command(self) -> Sequence[str]:
        """The argv template of the `command` agent."""
        ...

    @property
    def opencode_bin(self) -> str:
        """The OpenCode program: a path, or a name looked up on PATH."""
        ...


class UnknownAgent(ValueError):
    """No agent of this name. The message lists the names that exist."""


def known_agents(settings: AgentSettings) -> list[str]:
    """Every name `create_agent` accepts with these settings; `command` only when a command is configured."""
    from bot.worker.agents.rows import ROWS

    return [*ROWS, *(["command"] if settings.agent_command else [])]


def create_agent(name: str, settings: AgentSettings) -> Agent:
    """The agent of that name. Raises UnknownAgent. Nothing is started or looked up yet: `check` and `start` do that."""
    from bot.worker.agents.acp import AcpAgent
    from bot.worker.agents.command import CommandAgent
    from bot.worker.agents.rows import ROWS

    if name == "command" and settings.agent_command:
        return CommandAgent(tuple(settings.agent_command))
    row = ROWS.get(name)
    if row is None:
        raise UnknownAgent(f"there is no agent {name!r}; known: {', '.join(known_agents(settings))}")
    return AcpAgent(row, program=getattr(settings, row.setting, "") if row.setting else "")
