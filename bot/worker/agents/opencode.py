"""The `opencode` row: the OpenCode program over ACP, its whole configuration in one variable. Measured with 1.18.33."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bot.worker.agents.row import AgentRow, Inside

STATE_TARGET = "/state"
STATE_KEPT = ("opencode/opencode*.db", "opencode/opencode*.db-wal", "opencode/storage/**")
"""The conversations. Its logs, downloaded programs and snapshots of the checkout are none of a later run's business."""
PROVIDER = "codetask"
TOOL_WAIT_S = 3_600
"""How long a person may take to answer a question of the agent; without the setting it gives up after 60 s (measured).
"""
_CONTEXT_TOKENS = 128_000
_OUTPUT_TOKENS = 8_000


def opencode_config(inside: Inside) -> dict[str, object]:
    """One provider (our gateway) and one model; the vendor's own free models are off, or the code would go to them."""
    model = inside.model
    if model is None:
        return {"disabled_providers": ["opencode"], "share": "disabled", "autoupdate": False}
    anthropic = model.provider == "anthropic"
    options = {"baseURL": f"{model.base_url}/v1", "apiKey": model.key}
    limit = {"context": _CONTEXT_TOKENS, "output": _OUTPUT_TOKENS}
    return {
        "model": f"{PROVIDER}/{model.model}",
        "small_model": f"{PROVIDER}/{model.model}",
        "share": "disabled",
        "autoupdate": False,
        "disabled_providers": ["opencode"],
        "enabled_providers": [PROVIDER],
        "experimental": {"mcp_timeout": (TOOL_WAIT_S + 60) * 1000},
        "permission": {"edit": "allow", "bash": "allow", "webfetch": "deny"},
        "provider": {
            PROVIDER: {
                "npm": "@ai-sdk/anthropic" if anthropic else "@ai-sdk/openai-compatible",
                "options": options,
                "models": {model.model: {"limit": limit}},
            }
        },
    }


def _env(inside: Inside) -> Mapping[str, str]:
    env = {
        "PWD": inside.cwd,  # OpenCode takes its directory from here, not from the process
        "OPENCODE_CONFIG_CONTENT": json.dumps(opencode_config(inside)),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    }
    return {**env, "XDG_DATA_HOME": inside.state} if inside.state else env


def _tool_folders(program: Path) -> list[Path]:
    """The package folder of the real binary: npm's `bin/opencode` is a link into it, and the binary is self-contained.

    Where npm skipped the install script the file is a Node program that looks for its sibling packages."""
    real = program.resolve()
    with real.open("rb") as file:
        native = file.read(4) == b"\x7fELF"
    if native:
        return [real.parent]
    modules = next((p for p in real.parents if p.name == "node_modules"), real.parent)
    return [modules]


OPENCODE = AgentRow(
    name="opencode",
    program="opencode",
    setting="opencode_bin",
    args=("acp",),
    env=_env,
    state_target=STATE_TARGET,
    state_kept=STATE_KEPT,
    same_path=True,
    tool_folders=_tool_folders,
    tried="1.18.33",
    tool_wait=TOOL_WAIT_S,
    install="Install it (npm install -g opencode-ai@1.18.33), or set OPENCODE_BIN to the program.",
)
