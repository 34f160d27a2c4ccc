"""What a message can be, and what the scorer says about one."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """The five classes of the local model, in the order of its weights."""

    FEATURE_REQUEST = "feature_request"
    BUG_REPORT = "bug_report"
    QUESTION = "question"
    IN_PROGRESS = "in_progress"
    CHATTER = "chatter"


KINDS: Final = tuple(Kind)
ACTIONABLE: Final = frozenset({Kind.FEATURE_REQUEST, Kind.BUG_REPORT})
"""What may become a code task; a bug report counts as a request (product rule 6.2)."""


class Reason(StrEnum):
    """Why a message got its score: the strongest thing seen in it."""

    MARKER = "marker"
    """It says itself what it is: "feature request: ..."."""
    WISH = "wish"
    """It asks for something that is not there."""
    FAULT = "fault"
    """It describes something that does not work."""
    QUESTION = "question"
    """It wants to know something."""
    UNDER_WAY = "under_way"
    """It speaks of work that is being done, is done or is tracked elsewhere."""
    SETTLED = "settled"
    """It takes something back, or says that all is well."""
    JOKE = "joke"
    PEOPLE = "people"
    """It is about meetings, meals and other matters of people, not of software."""
    WORDING = "wording"
    """No rule spoke: its words alone."""
    EMPTY = "empty"
    """There is nothing to judge."""


@dataclass(frozen=True, slots=True)
class Score:
    """The local judgement of one message."""

    kind: Kind
    """The likeliest kind; for a marker the kind that the marker names."""
    actionable: float
    """Calibrated probability, 0 to 1, that it is a feature request or a bug report; 1.0 for a marker."""
    probabilities: dict[Kind, float]
    """One for each kind; they add up to 1."""
    reason: Reason
    marker: bool
    """Whether the message says itself what it is. Only then may it be filed without a model or a person."""
