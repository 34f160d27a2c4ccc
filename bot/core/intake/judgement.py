"""What a judge says about one item of intake, and what every judge promises."""

from dataclasses import dataclass
from typing import Literal

from bot.core.intake.kinds import ACTIONABLE, Kind

JudgeName = Literal["rules", "llm", "person"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement of one item. Every word in it comes from the item itself, or was checked against it."""

    kind: Kind
    score: float
    """0 to 1: how likely it asks for a change of the software; 1.0 for a marker."""
    judge: JudgeName
    reason: str
    """A `bot.core.intake.kinds.Reason`, or `model`."""
    title: str
    """At most 80 characters, without mentions and links."""
    text: str
    """What the agent would be given."""
    language: str
    marker: bool = False
    evidence: str = ""
    """A verbatim part of the item's text."""
    question: str = ""
    """The one thing that is missing."""
    repo: str | None = None
    """One of the repositories that were given to choose from."""
    duplicate_of: int | None = None
    """The number of one of the code tasks that were given to choose from."""

    @property
    def actionable(self) -> bool:
        return self.kind in ACTIONABLE
