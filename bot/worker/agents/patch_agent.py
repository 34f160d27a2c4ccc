"""The built-in `patch` agent: applies the diffs and files that a request carries, nothing else. Speaks ACP over stdio.

Run as `python -m bot.worker.agents.patch_agent`. Deterministic, no model, standard library only.
"""

from bot.worker.agents.acp_stdio import Server, Turn
from bot.worker.agents.patches import apply_edit, describe_edit, parse_edits
from bot.worker.agents.request import request_of

ONLY_PATCHES = (
    "I can only apply patches; configure an agent for anything else. "
    "Put a ```diff block into the request, or a file name followed by a block with its content."
)


def work(turn: Turn) -> None:
    """Applies every edit of the request in its order and says what became of each."""
    edits = parse_edits(request_of(turn.prompt))
    if not edits:
        turn.say(ONLY_PATCHES)
        return
    problems: list[str] = []
    for edit in edits:
        title = describe_edit(edit)
        problem = turn.do("edit", title, lambda edit=edit: apply_edit(edit, turn.cwd))
        if problem:
            problems.append(problem)
    done = len(edits) - len(problems)
    turn.say(f"Applied {done} of {len(edits)} {'edit' if len(edits) == 1 else 'edits'}.")
    for problem in problems:
        turn.say(f"\n{problem}")


if __name__ == "__main__":
    raise SystemExit(Server("patch", work).run())
