"""Every agent that speaks ACP: one row each."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bot.worker.agents.opencode import OPENCODE
from bot.worker.agents.row import AgentRow, Inside

FOLDER: Final = Path(__file__).resolve().parent
PACKAGE_ROOT: Final = FOLDER.parents[2]


def python_program() -> str:
    """The interpreter itself, not the virtual environment's link to it: the sandbox shows only its real folder."""
    return str(Path(sys.executable).resolve())


def python_folders() -> list[Path]:
    """Folders a plain interpreter needs that are not under /usr, which every sandbox shows."""
    prefix = Path(sys.base_prefix).resolve()
    return [] if prefix == Path("/usr") or Path("/usr") in prefix.parents else [prefix]


def _builtin_env(_: Inside) -> Mapping[str, str]:
    env = {"PYTHONPATH": str(PACKAGE_ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    pace = os.environ.get("CODETASK_DEMO_PACE")
    return {**env, "CODETASK_DEMO_PACE": pace} if pace else env


def _builtin(name: str, remark: str = "") -> AgentRow:
    """`-P` keeps the checkout off the import path: a repository may hold a `json.py` of its own."""
    return AgentRow(
        name=name,
        program=python_program(),
        args=("-P", "-s", "-S", "-m", f"bot.worker.agents.{name}_agent"),
        env=_builtin_env,
        needs_model=False,
        tool_folders=lambda _: [FOLDER, *python_folders()],
        tried="built in",
        built_in=True,
        remark=remark,
    )


SCRIPTED: Final = "Made by the demo agent, which follows a script and uses no model."

ROWS: Final[Mapping[str, AgentRow]] = MappingProxyType(
    {row.name: row for row in (OPENCODE, _builtin("patch"), _builtin("demo", SCRIPTED))}
)
