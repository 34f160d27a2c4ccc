"""F17: agents that hang, ignore every signal, double-fork, or leave a child behind: nothing of them is left."""

from pathlib import Path
from time import monotonic
from typing import Final

import pytest

from bot.core.tasks import FailureReason, Stage
from tests.journeys.town import Town, town
from tests.simulators.github.repositories import make_bare
from tests.worker.git_world import FILES
from tests.worker.test_stages import Case, ended, put, runs_of, settings

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]

MARK: Final = "sleep 600.5"
LIMIT: Final = 1.5
LADDER: Final = 8.0
"""Seconds of the polite steps after the limit (2 s each: closed input, SIGTERM), with room for a busy machine."""
AGENT: Final = f"""
prompt=$(cat)
case "$prompt" in
*case:hang*) {MARK} ;;
*case:deaf*) trap '' INT TERM HUP; {MARK}; {MARK} ;;
*case:fork*) (setsid sh -c '{MARK} & {MARK}' & ) ; {MARK} ;;
*case:child*) setsid {MARK} >/dev/null 2>&1 & echo x > done.txt ;;
*case:daemon*) (setsid sh -c 'trap "" TERM; {MARK}' >/dev/null 2>&1 & ) ; echo x > done.txt ;;
esac
"""


def left() -> list[str]:
    """Processes of ours that still sleep."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if line.strip() == MARK:
                found.append(line)
    return found


async def finished(place: Town, word: str) -> tuple[Stage, FailureReason | None]:
    begun = monotonic()
    task = await ended(place, put(place, Case(word, Stage.REVIEW)))
    (run,) = await runs_of(place, task.id or 0)
    assert run.finished_at is not None and monotonic() - begun < LIMIT + LADDER + 10
    assert left() == [], f"{word}: processes are left"
    await place.slack.wait_for(lambda: place.worker.busy == 0, 30)
    return task.stage, task.failure_reason


@pytest.mark.long
async def test_nothing_of_an_agent_is_left(tmp_path: Path, long_run: bool) -> None:
    make_bare(tmp_path / "shop.git", "main", FILES)
    chosen = settings(tmp_path, f"sqlite:///{tmp_path}/db", max_attempts=1, max_runs=1, agent_minutes=LIMIT / 60)
    (tmp_path / "agent.sh").write_text(AGENT)
    async with town(tmp_path, **chosen) as place:
        for _ in range(20 if long_run else 2):
            for word in ("hang", "deaf", "fork"):
                assert await finished(place, word) == (Stage.FAILED, FailureReason.TIMED_OUT), word
            for word in ("child", "daemon"):
                assert await finished(place, word) == (Stage.REVIEW, None), word
        assert place.runs_left() != []
