"""The policy of intake as a table: every rule by itself, and which goes before which."""

from dataclasses import replace
from typing import Any, Final

import pytest

from bot.core.intake.policy import Decision, Facts, FileItself, Nothing, Suggest, decide
from bot.core.suggestions import Mode, SkipReason

SEEN: Final = Facts(mode=Mode.SUGGEST, score=0.9, threshold=0.5, actionable=True, daily_cap=10)
MARKED: Final = replace(SEEN, mode=Mode.AUTO, marker=True, score=1.0)
PROVEN: Final = replace(SEEN, mode=Mode.AUTO, by_model=True, decided=100, right=95)
ASK, ASK_ADMIN, FILE = Suggest(guard=False), Suggest(guard=True), FileItself()


def nothing(reason: SkipReason) -> Nothing:
    return Nothing(reason)


@pytest.mark.parametrize(
    ("facts", "changes", "expected"),
    [
        (SEEN, {}, ASK),
        (SEEN, {"mode": Mode.OFF}, nothing(SkipReason.TURNED_OFF)),
        (SEEN, {"mode": Mode.OBSERVE}, nothing(SkipReason.OBSERVED)),
        (SEEN, {"score": 0.49}, nothing(SkipReason.BELOW)),
        (SEEN, {"score": 0.5}, ASK),
        (SEEN, {"score": 0.49, "mode": Mode.OBSERVE}, nothing(SkipReason.BELOW)),
        (SEEN, {"actionable": False}, ASK),  # the rules' score is the chance of it, whatever the likeliest kind
        (SEEN, {"actionable": False, "by_model": True}, nothing(SkipReason.MODEL_SAYS_NO)),
        (SEEN, {"score": 0.49, "by_model": True}, nothing(SkipReason.MODEL_SAYS_NO)),
        (SEEN, {"shown_to_author": 1}, nothing(SkipReason.AUTHOR_LIMIT)),
        (SEEN, {"shown_in_channel": 4}, ASK),
        (SEEN, {"shown_in_channel": 5}, nothing(SkipReason.CHANNEL_LIMIT)),
        (SEEN, {"trusted": False}, ASK),
        (SEEN, {"outsider": True, "trusted": False}, ASK_ADMIN),
        (SEEN, {"guarded": True}, ASK_ADMIN),
        (SEEN, {"likely_same": True}, ASK),
        (SEEN, {"late": True}, ASK),
        (SEEN, {"marker": True, "score": 1.0}, ASK),
        (MARKED, {}, FILE),
        (MARKED, {"shown_to_author": 1, "shown_in_channel": 5}, FILE),
        (MARKED, {"trusted": False}, ASK),
        (MARKED, {"outsider": True}, ASK_ADMIN),
        (MARKED, {"guarded": True}, ASK_ADMIN),
        (MARKED, {"likely_same": True}, ASK),
        (MARKED, {"late": True}, ASK),
        (MARKED, {"filed_today": 9}, FILE),
        (MARKED, {"filed_today": 10}, ASK),
        (MARKED, {"daily_cap": 0}, ASK),
        (MARKED, {"filed_today": 10, "shown_to_author": 1}, nothing(SkipReason.AUTHOR_LIMIT)),
        (MARKED, {"mode": Mode.OFF}, nothing(SkipReason.TURNED_OFF)),
        (MARKED, {"mode": Mode.OBSERVE}, nothing(SkipReason.OBSERVED)),
        (PROVEN, {}, FILE),
        (PROVEN, {"by_model": False}, ASK),  # the rules never file a wording by themselves
        (PROVEN, {"decided": 99, "right": 99}, ASK),
        (PROVEN, {"right": 94}, ASK),
        (PROVEN, {"decided": 1_000, "right": 949}, ASK),
        (PROVEN, {"decided": 1_000, "right": 950}, FILE),
        (PROVEN, {"trusted": False}, ASK),
        (PROVEN, {"filed_today": 10}, ASK),
        (PROVEN, {"score": 0.2}, nothing(SkipReason.MODEL_SAYS_NO)),
    ],
)
def test_decides(facts: Facts, changes: dict[str, Any], expected: Decision) -> None:
    assert decide(replace(facts, **changes)) == expected


def test_nobody_but_a_trusted_member_ever_files_without_a_person() -> None:
    for trusted, outsider in ((False, False), (False, True), (True, True)):
        for facts in (MARKED, PROVEN):
            found = decide(replace(facts, trusted=trusted, outsider=outsider))
            assert not isinstance(found, FileItself)
