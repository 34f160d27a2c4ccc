"""Labelled messages, and what the judges of intake say of them; works without a server."""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import monotonic, process_time
from typing import Any, Final

from bot.cli.failures import FAILED, USAGE, Failure
from bot.cli.intake_figures import Judged, Verdicts
from bot.cli.output import say
from bot.core.intake.kinds import Kind
from bot.core.intake.language import language_of
from bot.core.intake.overlay import BrokenOverlay, corrected, read_overlay
from bot.core.intake.scorer import score, suggest_threshold
from bot.core.intake.weights import Weights, shipped
from bot.settings import Settings

AT_ONCE: Final = 4
TRIES: Final = 5
LONGEST_WAIT: Final = 60.0


class JudgeName(StrEnum):
    """`rules`: the shipped weights alone. `overlay`: with what people taught them here. `llm`: the model of LLM_*."""

    RULES = "rules"
    OVERLAY = "overlay"
    LLM = "llm"


@dataclass(frozen=True, slots=True)
class Case:
    """One labelled message, and what was said right before it."""

    text: str
    label: str
    lang: str
    before: tuple[str, ...] = ()


def read_cases(file: str) -> Iterator[Case]:
    """The messages of a JSONL file, `-` for stdin. A line that is none is a `Failure` that names it."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        lines = content.decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError):
        raise Failure(f"Cannot read {file}.", USAGE, "It has to be a JSONL file in UTF-8.") from None
    if not any(map(str.strip, lines)):
        raise Failure(f"{file} has no lines.", USAGE)
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _case(line, f"Line {number} of {file}")


def _case(line: str, where: str) -> Case:
    labels = [kind.value for kind in Kind]
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise Failure(f"{where} is not JSON.", USAGE) from None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise Failure(f"{where} is not an object with a text.", USAGE)
    if row.get("label") not in labels:
        raise Failure(f"{where} has no known label.", USAGE, f"Known: {', '.join(labels)}.")
    lang = row.get("lang") or language_of(row["text"])
    if not isinstance(lang, str):
        raise Failure(f"{where}: lang is not a text.", USAGE, "Say en or zh.")
    said = row.get("prev") or []
    earlier = [said] if isinstance(said, str) else said
    if not isinstance(earlier, list):
        raise Failure(f"{where}: prev is not a list of texts.", USAGE)
    return Case(row["text"], row["label"], lang, tuple(one for one in earlier if isinstance(one, str)))


def judge_cases(cases: Sequence[Case], name: JudgeName | None) -> Verdicts:
    """What a judge says of them: the named one, else the one that is configured here."""
    if name is JudgeName.RULES:
        return _by_weights(cases, shipped(), None)
    from bot.cli.local import read_settings

    settings = read_settings()
    if name is JudgeName.LLM or (name is None and settings.intake_judge == "llm"):
        return asyncio.run(_by_model(cases, settings))
    return _by_weights(cases, _weights(settings, needed=name is JudgeName.OVERLAY), settings.intake_threshold)


def _weights(settings: Settings, *, needed: bool) -> Weights:
    from bot.services.intake.local_model import overlay_path

    path = overlay_path(settings)
    try:
        overlay = read_overlay(path, shipped())
    except BrokenOverlay as error:
        raise Failure(f"{path} cannot be used: {error}.", USAGE, "Make it anew: codetask intake train.") from error
    if overlay is None and needed:
        raise Failure(f"There is no overlay at {path}.", USAGE, "Make it: codetask intake train.")
    return shipped() if overlay is None else corrected(shipped(), overlay)


def _by_weights(cases: Sequence[Case], weights: Weights, threshold: float | None) -> Verdicts:
    score("warm up", weights=weights)
    start = process_time()
    scores = [score(case.text, case.lang, weights=weights) for case in cases]
    spent = process_time() - start
    judged = [
        Judged(case.lang, case.label, told.kind.value, told.actionable)
        for case, told in zip(cases, scores, strict=True)
    ]
    return Verdicts(judged, threshold or suggest_threshold(weights), spent * 1000 / len(cases))


async def _by_model(cases: Sequence[Case], settings: Settings) -> Verdicts:
    from bot.core.redact import LiveRedactor
    from bot.logs import configure_logs
    from bot.model_client import open_model
    from bot.services.intake.judges import JudgeAway, RulesJudge
    from bot.services.intake.llm import LlmJudge

    configure_logs("error", LiveRedactor(settings.secrets()))
    try:
        model = open_model(settings)
    except ValueError as error:
        raise Failure(str(error), USAGE) from error
    if model is None or not settings.llm_model:
        raise Failure("No model is configured.", USAGE, "Set LLM_BASE_URL and LLM_MODEL.")
    rules = RulesJudge(settings.intake_threshold, _weights(settings, needed=False))
    judge, seats, spent = LlmJudge(settings, rules, model), asyncio.Semaphore(AT_ONCE), [0.0]
    repos, own = sorted(settings.repositories), [0]

    async def one(case: Case) -> Judged:
        async with seats:
            for _ in range(TRIES):
                start = monotonic()
                try:
                    told = await judge.judge(case.text, before=case.before, repos=repos)
                except JudgeAway as away:
                    wait = away.after.total_seconds()
                    if wait > LONGEST_WAIT:
                        break
                    await asyncio.sleep(wait)
                    continue
                spent[0] += monotonic() - start
                own[0] += told.judge == "rules"
                return Judged(case.lang, case.label, told.kind.value, told.score)
        raise Failure("The model cannot be reached.", FAILED, "Check LLM_BASE_URL, LLM_API_KEY and LLM_MODEL.")

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(case)) for case in cases]
    except ExceptionGroup as troubles:
        raise troubles.exceptions[0] from None
    finally:
        await model.aclose()
    if own[0]:
        say(f"The rules judged {own[0]} of {len(cases)}: certainly nothing, or the model's answer did not hold.")
    return Verdicts([task.result() for task in tasks], judge.threshold, spent[0] * 1000 / len(cases))
