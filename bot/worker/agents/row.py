"""What one agent that speaks ACP is, as data: how to start it and what is peculiar about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.ports import ModelEndpoint


@dataclass(frozen=True, slots=True)
class Inside:
    """What a row's environment is built from, paths as the agent sees them. `state` is None when nothing is kept."""

    cwd: str
    model: ModelEndpoint | None
    state: str | None


def no_env(_: Inside) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent program. `program` is looked up on PATH when the settings name no path; `args` follow it.

    `state_target` is where its per-session state folder is bound, empty when it cannot resume in a new process;
    `state_kept` are the parts of that folder (patterns of `bot/worker/sessions.py`) that a later run gets back;
    `same_path` says that its sessions go on only in a checkout at the same path.
    `tried` names the versions this row was measured with; empty means untried live. `setting` is the setting that names
    another program; `built_in` programs are ours and do nothing that was not written here; `remark` stands in pull
    requests. `tool_wait` is for how many seconds it waits for a tool's answer; 0 where that is less than a minute."""

    name: str
    program: str
    args: tuple[str, ...] = ()
    env: Callable[[Inside], Mapping[str, str]] = no_env
    mode: str = ""
    state_target: str = ""
    state_kept: tuple[str, ...] = ("**",)
    same_path: bool = False
    needs_model: bool = True
    tool_folders: Callable[[Path], list[Path]] | None = None
    tried: str = ""
    install: str = ""
    setting: str = ""
    built_in: bool = False
    remark: str = ""
    tool_wait: int = 0
