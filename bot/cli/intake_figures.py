"""The figures of a judge over labelled messages, as JSON and as tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bot.cli.output import out, out_fields, out_table
from bot.core.intake.kinds import ACTIONABLE, KINDS
from bot.core.intake.measures import at_threshold, average_precision

STEPS: Final = tuple(step / 100 for step in range(5, 100, 5))
"""The thresholds of the table, beside the one for suggestions."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One labelled message and what a judge said of it."""

    lang: str
    label: str
    said: str
    chance: float

    @property
    def right(self) -> bool:
        """Whether it is a feature request or a bug report, by its label."""
        return self.label in ACTIONABLE


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a judge said of all messages, its threshold, and milliseconds a message."""

    judged: Sequence[Judged]
    threshold: float
    ms: float


def figures(verdicts: Verdicts) -> dict[str, Any]:
    """The figures, by the names that `-o json` prints."""
    judged, suggest = verdicts.judged, verdicts.threshold
    return {
        "average_precision": _average(judged),
        "at_suggest_threshold": _at(judged, suggest),
        "thresholds": [_at(judged, step) for step in STEPS],
        "per_class": _per_class(judged),
        "by_lang": {lang: _by_lang([one for one in judged if one.lang == lang], suggest) for lang in _langs(judged)},
        "ms_per_message": round(verdicts.ms, 4),
    }


def _langs(judged: Sequence[Judged]) -> list[str]:
    return sorted({one.lang for one in judged})


def _average(judged: Sequence[Judged]) -> float:
    return round(average_precision([one.chance for one in judged], [one.right for one in judged]), 4)


def _at(judged: Sequence[Judged], threshold: float) -> dict[str, float]:
    there = at_threshold([one.chance for one in judged], [one.right for one in judged], threshold)
    return {"threshold": threshold, "precision": round(there.precision, 4), "recall": round(there.recall, 4)}


def _per_class(judged: Sequence[Judged]) -> dict[str, dict[str, float]]:
    told: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        labelled = sum(one.label == kind for one in judged)
        named = sum(one.said == kind for one in judged)
        hits = sum(one.label == kind == one.said for one in judged)
        precision, recall = hits / named if named else 0.0, hits / labelled if labelled else 0.0
        told[kind.value] = {"count": labelled, "precision": round(precision, 4), "recall": round(recall, 4)}
    return told


def _by_lang(judged: Sequence[Judged], suggest: float) -> dict[str, float]:
    there = _at(judged, suggest)
    return {
        "count": len(judged),
        "average_precision": _average(judged),
        "precision": there["precision"],
        "recall": there["recall"],
    }


def print_figures(told: dict[str, Any]) -> None:
    """The figures as tables."""
    there = told["at_suggest_threshold"]
    out_fields(
        {
            "average precision": f"{told['average_precision']:.3f}",
            "suggest threshold": f"{there['threshold']:.2f}",
            "precision there": f"{there['precision']:.3f}",
            "recall there": f"{there['recall']:.3f}",
            "ms per message": f"{told['ms_per_message']:.3f}",
        }
    )
    for title, rows, head in (
        ("threshold", {f"{one['threshold']:.2f}": one for one in told["thresholds"]}, ("precision", "recall")),
        ("label", told["per_class"], ("count", "precision", "recall")),
        ("lang", told["by_lang"], ("count", "average_precision", "precision", "recall")),
    ):
        out("")
        out_table([[name, *(_number(row[key]) for key in head)] for name, row in rows.items()], [title, *head])


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"
