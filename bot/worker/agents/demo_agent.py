"""The built-in `demo` agent: a scripted front that really edits files. It follows a table of recipes and says so.

Run as `python -m bot.worker.agents.demo_agent`. Standard library only. `CODETASK_DEMO_PACE` is the pause in seconds
before each step, so that a person can watch (default 0). A request that carries a patch is
applied as the `patch` agent would.
"""

import os
from pathlib import Path

from bot.worker.agents.acp_stdio import Server, Turn
from bot.worker.agents.demo_recipes import RECIPES, add_note
from bot.worker.agents.patch_agent import work as apply_patches
from bot.worker.agents.patches import NewContent, apply_edit, describe_edit, parse_edits
from bot.worker.agents.request import request_of

FOLLOW_UP = "The follow-up "
"""How the prompt of a follow-up begins (`bot/worker/follow_up_prompt.py`)."""
INTRODUCTION = "I am the demo agent: I follow a script and know a few requests by heart. "
_SLOW_S = 60.0
_MAX_PACE_S = 10.0


def work(turn: Turn) -> None:
    """Plays the first recipe whose pattern is in the request and which fits the checkout; else notes the request."""
    request = request_of(turn.prompt)
    turn.say(INTRODUCTION)
    if parse_edits(request):
        apply_patches(turn)
        return
    pace = _pace()
    turn.do("read", "Read the project", lambda: turn.pause(pace))
    if turn.prompt.startswith(FOLLOW_UP):
        turn.say(_what_is_there(turn.cwd))
        return
    if "take your time" in request.lower():
        turn.do("execute", "Think for a minute", lambda: turn.pause(_SLOW_S))
    for recipe in RECIPES:
        if recipe.pattern.search(request):
            edits = recipe.plan(turn.cwd)
            if edits:
                _carry_out(turn, edits, pace)
                turn.say(recipe.done)
                return
    _carry_out(turn, add_note(turn.cwd, request), pace)
    turn.say("I have no script for this request, so I wrote it down below notes/. Configure an agent for real work.")


def _what_is_there(root: Path) -> str:
    """The answer to a follow-up: what is in the folder now, read and not guessed."""
    found = sorted(path for path in root.rglob("*") if path.is_file() and ".git" not in path.relative_to(root).parts)
    if not found:
        return "I looked: the folder is empty."
    newest = max(found, key=lambda path: (path.stat().st_mtime_ns, str(path))).relative_to(root)
    tests = sum(path.name.startswith("test_") for path in found)
    return f"I looked: the project has {len(found)} files, {tests} of them tests. One of the newest is `{newest}`."


def _carry_out(turn: Turn, edits: list[NewContent], pace: float) -> None:
    for edit in edits:
        turn.pause(pace)
        problem = turn.do("edit", describe_edit(edit), lambda edit=edit: apply_edit(edit, turn.cwd))
        if problem:
            turn.say(f"{problem} ")


def _pace() -> float:
    try:
        return min(max(float(os.environ.get("CODETASK_DEMO_PACE", "0")), 0.0), _MAX_PACE_S)
    except ValueError:
        return 0.0


if __name__ == "__main__":
    raise SystemExit(Server("demo", work).run())
