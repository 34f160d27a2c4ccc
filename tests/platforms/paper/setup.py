"""How to get a notice board."""

from typing import Any


def setup_steps(url: str = "") -> tuple[str, ...]:
    return ("Hang up a board, and write its name to PAPER_BOARD.",)


def build_manifest(url: str = "") -> dict[str, Any]:
    return {"board": "any"}


def render_manifest(manifest: dict[str, Any]) -> str:
    return f"board: {manifest['board']}\n"
