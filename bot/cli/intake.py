"""`codetask intake ...`: how requests in ordinary messages are recognised. Works without a server."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Annotated, Any, Final

import typer

from bot.cli.failures import USAGE, Failure
from bot.cli.output import Format, Json, Output, out, out_fields, out_json, out_table, wants_json

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="How requests in ordinary messages are recognised.",
)

STEPS: Final = tuple(step / 100 for step in range(5, 100, 5))
"""The thresholds of the table, beside the one for suggestions."""

File = Annotated[str, typer.Argument(help="JSONL: a line is {text, label[, lang, prev]}; - for stdin.")]


@dataclass(frozen=True, slots=True)
class _Case:
    text: str
    label: str
    lang: str


@dataclass(frozen=True, slots=True)
class _Judged:
    lang: str
    label: str
    said: str
    chance: float
    right: bool
    """Whether it is a feature request or a bug report, by its label."""


@app.callback()
def intake() -> None:
    """How requests in ordinary messages are recognised."""


@app.command("eval")
def evaluate(file: File, output: Output = Format.TABLE, as_json: Json = False) -> None:
    """Judge labelled messages with the local model and print precision and recall per threshold.

    Labels: feature_request, bug_report, question, in_progress, chatter. The first two are "actionable". `prev`, earlier
    messages, is accepted and not read: the local model never sees a message's neighbours.
    """
    told = _report(list(_cases(file)))
    if wants_json(output, as_json):
        out_json(told)
    else:
        _print(told)


def _report(cases: Sequence[_Case]) -> dict[str, Any]:
    """The figures, by the names that `-o json` prints."""
    from bot.core.intake.scorer import score, suggest_threshold

    suggest = suggest_threshold()
    score("warm up")
    start = process_time()
    scores = [score(case.text, case.lang) for case in cases]
    spent = process_time() - start
    judged = [
        _Judged(case.lang, case.label, told.kind.value, told.actionable, _actionable(case.label))
        for case, told in zip(cases, scores, strict=True)
    ]
    return {
        "average_precision": _average(judged),
        "at_suggest_threshold": _at(judged, suggest),
        "thresholds": [_at(judged, step) for step in STEPS],
        "per_class": _per_class(judged),
        "by_lang": {lang: _by_lang([one for one in judged if one.lang == lang], suggest) for lang in _langs(judged)},
        "ms_per_message": round(spent * 1000 / len(cases), 4),
    }


def _actionable(label: str) -> bool:
    from bot.core.intake.kinds import ACTIONABLE

    return label in ACTIONABLE


def _langs(judged: Sequence[_Judged]) -> list[str]:
    return sorted({one.lang for one in judged})


def _average(judged: Sequence[_Judged]) -> float:
    from bot.core.intake.measures import average_precision

    return round(average_precision([one.chance for one in judged], [one.right for one in judged]), 4)


def _at(judged: Sequence[_Judged], threshold: float) -> dict[str, float]:
    from bot.core.intake.measures import at_threshold

    there = at_threshold([one.chance for one in judged], [one.right for one in judged], threshold)
    return {"threshold": threshold, "precision": round(there.precision, 4), "recall": round(there.recall, 4)}


def _per_class(judged: Sequence[_Judged]) -> dict[str, dict[str, float]]:
    from bot.core.intake.kinds import KINDS

    told: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        labelled = sum(one.label == kind for one in judged)
        named = sum(one.said == kind for one in judged)
        hits = sum(one.label == kind == one.said for one in judged)
        precision, recall = hits / named if named else 0.0, hits / labelled if labelled else 0.0
        told[kind.value] = {"count": labelled, "precision": round(precision, 4), "recall": round(recall, 4)}
    return told


def _by_lang(judged: Sequence[_Judged], suggest: float) -> dict[str, float]:
    there = _at(judged, suggest)
    return {
        "count": len(judged),
        "average_precision": _average(judged),
        "precision": there["precision"],
        "recall": there["recall"],
    }


def _print(told: dict[str, Any]) -> None:
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


def _cases(file: str) -> Iterator[_Case]:
    from bot.core.intake.kinds import Kind
    from bot.core.intake.language import language_of

    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        lines = content.decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError):
        raise Failure(f"Cannot read {file}.", USAGE, "It has to be a JSONL file in UTF-8.") from None
    if not any(map(str.strip, lines)):
        raise Failure(f"{file} has no lines.", USAGE)
    labels = [kind.value for kind in Kind]
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
        except (ValueError, RecursionError):
            raise Failure(f"Line {number} of {file} is not JSON.", USAGE) from None
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise Failure(f"Line {number} of {file} is not an object with a text.", USAGE)
        if row.get("label") not in labels:
            raise Failure(f"Line {number} of {file} has no known label.", USAGE, f"Known: {', '.join(labels)}.")
        lang = row.get("lang") or language_of(row["text"])
        if not isinstance(lang, str):
            raise Failure(f"Line {number} of {file}: lang is not a text.", USAGE, "Say en or zh.")
        yield _Case(row["text"], row["label"], lang)
