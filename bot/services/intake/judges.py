"""Who judges an item: the local rules always, a model where one is configured (`llm.py`)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from bot.core.intake.extract import extract
from bot.core.intake.judgement import Judgement
from bot.core.intake.scorer import score, suggest_threshold
from bot.core.intake.weights import Weights
from bot.core.tasks import CodeTask


class JudgeAway(Exception):
    """The model cannot be reached: the item is to be judged again, not before `after`."""

    def __init__(self, after: timedelta) -> None:
        super().__init__(f"the judge is away for {after.total_seconds():.0f} s")
        self.after = after


class Judge(Protocol):
    """Judges one item of intake, all its messages together."""

    @property
    def threshold(self) -> float:
        """The score from which on an item is worth a suggestion."""
        ...

    async def judge(
        self, text: str, *, before: Sequence[str] = (), repos: Sequence[str] = (), similar: Sequence[CodeTask] = ()
    ) -> Judgement:
        """The judgement of a text. `before` is what was said right before it; `repos` and `similar` are what it may
        name. Raises `JudgeAway` while it cannot be reached."""
        ...


class RulesJudge:
    """The local judge: offline, deterministic, under a millisecond. It looks at the text alone."""

    def __init__(self, threshold: float | None = None, weights: Weights | None = None) -> None:
        self._weights = weights
        self.threshold = suggest_threshold(weights) if threshold is None else threshold

    async def judge(
        self, text: str, *, before: Sequence[str] = (), repos: Sequence[str] = (), similar: Sequence[CodeTask] = ()
    ) -> Judgement:
        return self.judged(text)

    def judged(self, text: str) -> Judgement:
        """The same at once. Of a text below the threshold no words are taken over."""
        found = score(text, weights=self._weights)
        if not found.marker and found.actionable < self.threshold:
            return Judgement(found.kind, found.actionable, "rules", found.reason, title="", text="", language="")
        words = extract(text)
        return Judgement(
            kind=found.kind,
            score=found.actionable,
            judge="rules",
            reason=found.reason,
            title=words.title,
            text=words.problem,
            language=words.language,
            marker=found.marker,
        )
