"""Writes docs/settings.md from bot/settings.py and platforms/*/settings.py.

Usage: python tools/settings_page.py (prints) or python tools/settings_page.py --write.
"""

import sys
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from bot.settings import RepoSettings, Settings, without_environment
from platforms.registry import load_settings

PAGE: Final = Path(__file__).resolve().parents[1] / "docs/settings.md"
SECTIONS: Final = {
    "data_dir": "Storage",
    "git_repo_url": "Repositories and commits",
    "github_token": "GitHub and the local forge",
    "llm_base_url": "Model",
    "default_agent": "Agents, setup and tests",
    "workspace_root": "Worker and sandbox",
    "web_bind": "HTTP API and command line",
    "admins": "People and parts",
}
"""The first field of each section, in the order of `Settings`."""

HEAD: Final = """\
# Settings

This page is generated from `bot/settings.py` and `platforms/*/settings.py` by `tools/settings_page.py`. A test
keeps them equal.

Every setting is an environment variable. Four places are read, the first that has it wins:

1. the environment: `SLACK_BOT_TOKEN=xoxb-...`
2. a file that the variable with `_FILE` names: `SLACK_BOT_TOKEN_FILE=/run/secrets/slack`. A secret in a file that
   everyone may read is refused.
3. `.env` beside `codetask.toml`: `NAME=value` lines. `codetask setup` writes it. It must not be readable by everyone.
4. `codetask.toml` in the working directory, or the file that `CODETASK_CONFIG` names. Keys are in lower case:
   `default_agent = "opencode"`. Repositories stand under `[repos.<alias>]`.

A part whose settings are missing is off. Half a pair is an error that names the other half. Lists are words with
commas or spaces between them.
"""


def page() -> str:
    """The whole page as markdown."""
    parts = [HEAD]
    for name, field in Settings.model_fields.items():
        if name in SECTIONS:
            parts.append(_section(SECTIONS[name]))
        parts.append(_row(name, field))
    with without_environment():
        chat = load_settings().chat
    for platform, own in chat.items():
        parts.append(_section(platform.capitalize()))
        parts += [_row(name, field) for name, field in type(own).model_fields.items()]
    parts.append("\n## One repository: `[repos.<alias>]`\n\n| Key | Default |\n|---|---|\n")
    for name, field in RepoSettings.model_fields.items():
        shown = "needed" if field.is_required() else _shown(field.default)
        parts.append(f"| `{name}` | {shown} |\n")
    return "".join(parts)


def _section(title: str) -> str:
    return f"\n## {title}\n\n| Variable | Default | Use |\n|---|---|---|\n"


def _row(name: str, field: Any) -> str:
    variable = str(field.validation_alias or name).upper()
    return f"| `{variable}` | {_default(name, field)} | {_cell(field.description or '')} |\n"


def _default(name: str, field: Any) -> str:
    if name == "data_dir":
        return "`~/.local/share/codetask`"
    if field.default is PydanticUndefined:
        return "–"
    return _shown(field.default)


def _shown(value: object) -> str:
    if value is None or value == "" or value == () or isinstance(value, SecretStr):
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{' '.join(_plain(item) for item in value)}`"
    return f"`{_plain(value)}`"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page())
    else:
        sys.stdout.write(page())
