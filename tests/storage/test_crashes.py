"""I10: a crash right before or right after any commit of the whole path, then a restart, ends in the same state."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.crash import (
    Story,
    cancelled,
    filed_by_itself,
    first_difference,
    followed_up,
    followed_up_by_another_worker,
    merged,
    suggested,
    two_in_one_channel,
)

STORIES = [
    (merged, "sqlite"),
    (merged, "postgres"),
    (cancelled, "memory"),
    (two_in_one_channel, "memory"),
    (followed_up, "memory"),
    (followed_up, "postgres"),
    (followed_up_by_another_worker, "memory"),
    (suggested, "memory"),
    (filed_by_itself, "memory"),
]


QUICK = {(story, store, "after") for story, store in STORIES} - {(followed_up, "postgres", "after")}
QUICK |= {(merged, "sqlite", "before"), (followed_up, "memory", "before")}
"""The others run with `make faults`."""


def cases() -> Iterator[object]:
    for (story, store), when in product(STORIES, ("after", "before")):
        marks = [] if (story, store, when) in QUICK else [pytest.mark.long]
        yield pytest.param(story, store, when == "before", id=f"{story.__name__}-{store}-{when}-commit", marks=marks)


@pytest.mark.parametrize(("story", "database_url", "before"), list(cases()), indirect=["database_url"])
async def test_a_crash_at_any_commit_changes_nothing(
    story: Story, before: bool, store: Database, clock: FakeClock, tmp_path: Path
) -> None:
    assert await first_difference(story, store, clock, tmp_path, before) == ""
