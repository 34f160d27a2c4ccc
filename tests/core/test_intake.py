"""The local model of intake: markers, features, weights, scores, titles, and the figures it must not fall below."""

import ast
import json
import sys
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bot.core.intake
from bot.core.intake.extract import extract
from bot.core.intake.features import BUCKETS, DENSE, PIECES_MAX, features_of
from bot.core.intake.filter import Facts, Skip, skipped
from bot.core.intake.kinds import ACTIONABLE, Kind, Reason
from bot.core.intake.language import language_of
from bot.core.intake.markers import find_marker
from bot.core.intake.measures import at_threshold, average_precision
from bot.core.intake.scorer import score, suggest_threshold
from bot.core.intake.weights import PATH, BrokenWeights, pack, shipped, unpack
from bot.core.tasks import TITLE_MAX

ROOT = Path(__file__).resolve().parents[2]
CASES = [json.loads(line) for line in (ROOT / "tests/fixtures/intake_cases.jsonl").read_text("utf-8").splitlines()]
SUPPLEMENT = ROOT / "tools/train_intake/supplement.jsonl"
PACKAGE = Path(bot.core.intake.__file__).parent


@pytest.mark.parametrize(
    ("text", "kind", "rest"),
    [
        ("feature request: dark mode", Kind.FEATURE_REQUEST, "dark mode"),
        ("FR: csv export", Kind.FEATURE_REQUEST, "csv export"),
        ("Hi all, feature request: csv export", Kind.FEATURE_REQUEST, "csv export"),
        ("thanks!\n[Feature] csv export", Kind.FEATURE_REQUEST, "csv export"),
        ("功能需求：导出", Kind.FEATURE_REQUEST, "导出"),
        ("【需求】导出支持选列", Kind.FEATURE_REQUEST, "导出支持选列"),
        ("大家好，新功能建议: 夜间模式", Kind.FEATURE_REQUEST, "夜间模式"),
        ("bug: it dies", Kind.BUG_REPORT, "it dies"),
        ("**Bug:** it dies", Kind.BUG_REPORT, "it dies"),
        ("<@U12> bug report - it dies", Kind.BUG_REPORT, "it dies"),
        ("提个bug：点了没反应", Kind.BUG_REPORT, "点了没反应"),
    ],
)
def test_a_marker_says_what_the_message_is(text: str, kind: Kind, rest: str) -> None:
    found = find_marker(text)
    assert found is not None and (found.kind, found.rest) == (kind, rest)
    told = score(text)
    assert (told.kind, told.actionable, told.reason, told.marker) == (kind, 1.0, Reason.MARKER, True)


@pytest.mark.parametrize(
    "text",
    [
        "bug:",
        "feature request: !",
        "bug fixed",
        "the bug: gone",
        "fr",
        "需求很多",
        "debug: on",
        "> bug: quoted\nI agree",
        "`bug: x`",
    ],
)
def test_what_only_looks_like_a_marker_is_none(text: str) -> None:
    assert not score(text).marker


@given(st.text(max_size=600) | st.text(alphabet="bug: 需求：[]【】<@>`#'’.?!\n\ud800\u200b", max_size=200))
def test_any_text_is_scored_alike_twice(text: str) -> None:
    told = score(text)
    assert 0.0 <= told.actionable <= 1.0
    assert sum(told.probabilities.values()) == pytest.approx(1.0)
    assert list(told.probabilities) == list(Kind)
    assert score(text, "zh") == told
    made = extract(text)
    assert len(made.title) <= TITLE_MAX and "\n" not in made.title


@pytest.mark.parametrize("text", ["", "   ", "!!!", "🙂", "\x00"])
def test_nothing_to_judge_is_chatter(text: str) -> None:
    assert (score(text).actionable, score(text).reason) == (0.0, Reason.EMPTY)


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("It would be great to have a dark theme on the settings page", Kind.FEATURE_REQUEST, Reason.WISH),
        ("The export page crashes with an error when I click save", Kind.BUG_REPORT, Reason.FAULT),
        ("能不能给列表加个筛选，现在太难找了", Kind.FEATURE_REQUEST, Reason.WISH),
        ("登录页面白屏了，点了没反应", Kind.BUG_REPORT, Reason.FAULT),
        ("where is the documentation for the API?", Kind.QUESTION, Reason.QUESTION),
        ("haha nice one", Kind.CHATTER, Reason.JOKE),
        ("let's have lunch at the new place", Kind.CHATTER, Reason.PEOPLE),
    ],
)
def test_plain_cases_have_their_kind_and_reason(text: str, kind: Kind, reason: Reason) -> None:
    told = score(text)
    assert (told.kind, told.reason) == (kind, reason)
    assert (told.actionable >= suggest_threshold()) == (kind in ACTIONABLE)


def test_features_stay_in_their_range_and_are_bounded() -> None:
    seen = features_of("I can't open the export page, 导出页面打不开! " * 500)
    assert all(0 <= index < DENSE for index in seen.dense)
    assert all(DENSE <= index < BUCKETS for index in seen.pieces)
    assert len(seen.pieces) <= PIECES_MAX


def test_the_weights_are_small_and_survive_a_round_trip() -> None:
    content = PATH.read_bytes()
    assert len(content) <= 100_000
    assert pack(unpack(content)) == content
    assert shipped() is shipped()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: b"x" + content, "not a weights file"),
        (lambda content: content[:-1], "checksum"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "checksum"),
        (lambda content: content.replace(b'"features":', b'"features":1', 1), "other features"),
        (lambda content: content.replace(b'"slope"', b'"slop"', 1), "head"),
    ],
)
def test_a_damaged_weights_file_is_refused(change: object, said: str) -> None:
    assert callable(change)
    with pytest.raises(BrokenWeights, match=said):
        unpack(change(PATH.read_bytes()))


def test_scoring_needs_the_standard_library_only() -> None:
    seen, waiting = set[str](), ["bot.core.intake.scorer"]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = PACKAGE / f"{name.removeprefix('bot.core.intake').removeprefix('.') or '__init__'}.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if names == ["bot.core.intake"] and isinstance(node, ast.ImportFrom):
                names = [f"bot.core.intake.{alias.name}" for alias in node.names]
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            outside = [n for n in names if n.split(".")[0] not in sys.stdlib_module_names]
            assert all(one.startswith("bot.core.intake.") for one in outside), (path.name, outside)
            waiting += outside
    assert {"bot.core.intake.weights", "bot.core.intake.features", "bot.core.intake.english"} <= seen


def test_the_figures_on_cases_never_trained_on() -> None:
    told = [score(case["text"]) for case in CASES]
    right = [case["label"] in ACTIONABLE for case in CASES]
    chances = [one.actionable for one in told]
    assert average_precision(chances, right) >= 0.60
    there = at_threshold(chances, right, suggest_threshold())
    assert there.precision >= 0.60
    assert there.recall >= 0.35
    for lang in ("en", "zh"):
        mine = [at for at, case in enumerate(CASES) if case["lang"] == lang]
        assert average_precision([chances[at] for at in mine], [right[at] for at in mine]) >= 0.52, lang
    wrong = [chance >= suggest_threshold() for chance, is_right in zip(chances, right, strict=True) if not is_right]
    assert sum(wrong) / len(wrong) <= 0.20


def test_the_cases_are_not_in_the_training_supplement() -> None:
    def pieces(text: str) -> set[str]:
        return {text[at : at + 4] for at in range(max(len(text) - 3, 1))}

    trained = [pieces(json.loads(line)["text"].lower()) for line in SUPPLEMENT.read_text("utf-8").splitlines()]
    assert len(CASES) >= 300
    for case in CASES:
        mine = pieces(case["text"].lower())
        assert max(len(mine & other) / len(mine | other) for other in trained) < 0.6, case["text"]


def test_the_time_grows_no_faster_than_the_text_and_stops_growing() -> None:
    def spent(text: str) -> float:
        rounds = []
        for _ in range(7):
            start = process_time()
            for _ in range(20):
                score(text)
            rounds.append(process_time() - start)
        return min(rounds)

    sentence = "I can't open the page and 导出页面打不开 it should be possible. "
    score(sentence)
    short, long, endless = spent(sentence * 4), spent(sentence * 16), spent(sentence * 3_000)
    assert long <= short * 16
    assert endless <= long * 8


@pytest.mark.parametrize(
    ("text", "facts", "reason"),
    [
        ("could we get CSV export on invoices?", Facts(), None),
        ("能不能在列表里支持批量导出", Facts(), None),
        ("too short", Facts(), Skip.SHORT),
        ("导出坏了", Facts(), Skip.SHORT),
        ("too short", Facts(is_pointed_at=True), None),
        ("could we get CSV export on invoices?", Facts(is_off=True), Skip.OFF),
        ("could we get CSV export on invoices?", Facts(is_off=True, is_pointed_at=True), None),
        ("could we get CSV export on invoices?", Facts(is_own=True, by_bot=True), Skip.OWN),
        ("could we get CSV export on invoices?", Facts(by_bot=True), Skip.BOT),
        ("could we get CSV export on invoices?", Facts(by_webhook=True), Skip.WEBHOOK),
        ("could we get CSV export on invoices?", Facts(is_system=True), Skip.SYSTEM),
        ("could we get CSV export on invoices?", Facts(is_command=True), Skip.COMMAND),
        ("could we get CSV export on invoices?", Facts(in_task_thread=True, is_pointed_at=True), Skip.TASK_THREAD),
    ],
)
def test_what_is_never_judged(text: str, facts: Facts, reason: Skip | None) -> None:
    assert skipped(text, facts) is reason


@pytest.mark.parametrize(
    ("text", "title", "language"),
    [
        ("Hi all, could we get CSV export? Accounting retypes it.", "could we get CSV export?", "en"),
        ("大家好，导出的时候能不能只选几列？现在全导出来", "导出的时候能不能只选几列？", "zh"),
        ("FR: dark mode\nmy eyes hurt", "dark mode", "en"),
        ("Ugh. The export is broken again", "Ugh. The export is broken again", "en"),
        ("<@U12> the page https://example.com/x is broken", "the page is broken", "en"),
    ],
)
def test_the_title_is_the_first_sentence(text: str, title: str, language: str) -> None:
    made = extract(text)
    assert (made.title, made.problem, made.language) == (title, text, language)


@pytest.mark.parametrize(
    ("text", "lang"), [("csv export", "en"), ("导出 CSV", "zh"), ("", "en"), ("see 文档 for the api keys", "en")]
)
def test_the_language(text: str, lang: str) -> None:
    assert language_of(text) == lang


def test_average_precision_counts_equal_scores_together() -> None:
    assert average_precision([0.9, 0.8, 0.7], [True, False, True]) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([0.5, 0.5, 0.5, 0.5], [True, False, False, False]) == pytest.approx(0.25)
    assert average_precision([0.5, 0.5], [False, True]) == average_precision([0.5, 0.5], [True, False])
    assert average_precision([0.1], [False]) == 0.0
    there = at_threshold([0.9, 0.5, 0.1], [True, False, True], 0.5)
    assert (there.precision, there.recall, there.flagged) == (0.5, 0.5, 2)
    assert at_threshold([0.1], [True], 0.5).precision == 0.0
