"""Cards and replies of a code task: one golden per stage and per failure reason, and what holds for all of them.

`UPDATE_GOLDENS=1 pytest tests/core/test_cards.py` writes the goldens anew; read the difference before committing it.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.buttons import ButtonAction, parse_button
from bot.core.cards import CONTENT, Card, Content, Doc
from bot.core.commands import OFFERED, VERBS, BadFlag, NearMiss, parse
from bot.core.inbound import Person
from bot.core.progress import shown_stage
from bot.core.runs import LogKind, Run, RunLogEntry, RunState
from bot.core.task_cards import cost_text, say_doc, task_card
from bot.core.task_replies import (
    EventLine,
    cancelled_reply,
    failed_reply,
    help_doc,
    list_doc,
    logs_doc,
    near_miss_doc,
    review_reply,
    show_doc,
    status_doc,
    task_word_doc,
    whoami_doc,
)
from bot.core.tasks import CodeTask, FailureReason, Stage
from bot.core.texts import Texts
from bot.services.languages import Wording

GOLDEN = Path(__file__).parents[1] / "golden" / "cards"
T, ZH = Texts.load(), Texts.load("zh")
NOW = datetime(2026, 3, 6, 14, 31, tzinfo=UTC)
TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3


def at(minutes: float) -> datetime:
    """`minutes` after the filing at 14:02."""
    return datetime(2026, 3, 6, 14, 2, tzinfo=UTC) + timedelta(minutes=minutes)


def task(**fields: Any) -> CodeTask:
    known: dict[str, Any] = {
        "id": 42,
        "uuid": "5f3c",
        "name": "add-csv-export",
        "requester_platform": "slack",
        "requester_workspace": "T1",
        "requester_id": "U1",
        "requester_name": "ana",
        "title": "Add a CSV export button",
        "description": "Add a CSV export button\n\nOn the *contacts* page, in UTF-8.",
        "repo": "web",
        "base": "main",
        "agent": "opencode",
        "created_at": at(0),
        "updated_at": at(0),
    }
    return CodeTask(**{**known, **fields})


def run(**fields: Any) -> Run:
    known: dict[str, Any] = {
        "id": 7,
        "attempt": 1,
        "available_at": at(0),
        "repo_key": "web",
        "agent": "opencode",
        "created_at": at(0),
        "started_at": at(2),
        "lease_owner": "worker-1",
        "sandbox": "bubblewrap",
    }
    return Run(**{**known, **fields})


RUNNING: dict[str, Any] = {"stage": Stage.RUNNING, "attempt": 1, "started_at": at(2), "branch": "code-worker/CT-42"}
TESTING = RUNNING | {"stage": Stage.TESTING, "testing_at": at(7)}
PUSHED = TESTING | {"stage": Stage.REVIEW, "review_at": at(9), "pushed_sha": "abc", "insertions": 120, "deletions": 14}
GREEN = {"tests_passed": True, "test_summary": "38 tests passed", "test_seconds": 12.0, "cost_usd": 0.01234}
RED = {
    "tests_passed": False,
    "test_summary": "2 of 38 failed",
    "test_exit_code": 1,
    "test_tail": "\n".join(f"line {n}" for n in range(9)) + f"\nFAILED test_export_utf8 {TOKEN}\n",
}
PULL = {"pr_number": 87, "pr_url": "https://github.com/acme/web/pull/87"}
REVIEW = PUSHED | GREEN | PULL
CANCELLED: dict[str, Any] = {"stage": Stage.FAILED, "failure_reason": "cancelled"}
ENDED: dict[str, Any] = {"finished_at": at(98), "updated_at": at(98)}


def card(entity: CodeTask, attempt: Run | None = None, texts: Texts = T, **more: Any) -> Card:
    return task_card(entity, run=attempt, texts=texts, now=NOW, **more)


RETRY = {"attempt": 1, "error": f"Coding agent failed (exit 1)\n{TOKEN}", "next_attempt_at": NOW + timedelta(minutes=4)}
ERRORS: dict[FailureReason, dict[str, Any]] = {
    FailureReason.CANCELLED: {"cancelled_by": "cy"},
    FailureReason.NO_CHANGES: {},
    FailureReason.AGENT_FAILED: {"error": f"Coding agent failed (exit 1)\nTraceback\n  boom {TOKEN} ``` x"},
    FailureReason.TIMED_OUT: {},
    FailureReason.TESTS_FAILED: TESTING | RED,
    FailureReason.PUSH_FAILED: TESTING | GREEN | {"error": "remote: rule says no", "failed_at_stage": Stage.TESTING},
    FailureReason.PR_CLOSED: REVIEW | {"failed_at_stage": Stage.REVIEW},
    FailureReason.WORKER_LOST: {},
    FailureReason.REFUSED: {"error": "101 files changed, the limit is 100."},
    FailureReason.BUDGET: {"error": "Budget of $2.00 reached"},
    FailureReason.CONFIG: {"error": "GITHUB_TOKEN was refused (401). Set a new one."},
}


def failed(reason: FailureReason) -> CodeTask:
    stopped: dict[str, Any] = {"stage": Stage.FAILED, "failure_reason": reason}
    return task(**(RUNNING | {"failed_at_stage": Stage.RUNNING} | ERRORS[reason] | ENDED | stopped))


EDITING = run(run_state=RunState.WORKING, message="Editing")
FAILED_RUN = run(finished_at=at(12), exit_code=1)


def cards(texts: Texts) -> dict[str, Card]:
    """One card per stage, per view and per failure reason."""

    def card(entity: CodeTask, attempt: Run | None = None, **more: Any) -> Card:
        return Wording(texts).make(lambda texts: task_card(entity, run=attempt, texts=texts, now=NOW, **more))

    shown = {
        "queued": card(task(), position_in_queue=3),
        "queued_no_worker": card(task(description="Add a CSV export button"), no_worker=True),
        "queued_start_at": card(task(next_attempt_at=NOW + timedelta(days=1))),
        "queued_retry": card(task(**RETRY), run()),
        "running": card(task(**RUNNING), run(message="Editing contacts.py")),
        "running_no_sandbox": card(task(**RUNNING), run(sandbox="none")),
        "testing": card(task(**TESTING), run()),
        "needs_you": card(task(**RUNNING), run(run_state=RunState.WAITING_FOR_INPUT, message="Which *table*?")),
        "review": card(task(**REVIEW), run()),
        "review_red": card(task(**(REVIEW | RED | {"pr_draft": True})), run()),
        "review_no_tests": card(task(**(PUSHED | PULL)), run()),
        "review_no_pull_request": card(task(**(PUSHED | GREEN)), run()),
        "merged": card(task(**(REVIEW | ENDED | {"stage": Stage.MERGED})), run(), merged_by="bo"),
        "cancelled_queued": card(
            task(stage=Stage.FAILED, failure_reason="cancelled", failed_at_stage="queued", cancelled_by="ana", **ENDED)
        ),
        "cancelled_review": card(
            task(
                **(REVIEW | ENDED | {"stage": Stage.FAILED, "failure_reason": "cancelled", "failed_at_stage": "review"})
            ),
            run(),
        ),
    }
    return shown | {f"failed_{reason}": card(failed(reason), FAILED_RUN) for reason in FailureReason}


CARDS = cards(T)

ANA = Person(platform="slack", workspace_id="T1", id="U1", name="ana")
ENTRIES = [RunLogEntry(run_id=7, seq=n, at=NOW, type=LogKind.OUTPUT, content=f"step {n} {TOKEN}") for n in range(1, 31)]
EVENTS = [
    EventLine(at(0), Stage.QUEUED, actor="ana"),
    EventLine(at(2), Stage.RUNNING, Stage.QUEUED, actor=""),
    EventLine(at(9), Stage.QUEUED, Stage.RUNNING, reason="worker_lost"),
]
LISTED = [task(), task(**REVIEW, id=41, title="Fix `x` and *y* <!channel>"), failed(FailureReason.TIMED_OUT)]
MISS = parse("cancle 42", door="slash", in_task_thread=False)
assert isinstance(MISS, NearMiss)


def docs(texts: Texts) -> dict[str, Doc]:
    """One of each reply and whisper."""
    said = {
        "review": review_reply(task(**REVIEW), texts),
        "review_red": review_reply(task(**(REVIEW | RED | {"pr_draft": True})), texts),
        "review_draft": review_reply(task(**(REVIEW | {"pr_draft": True})), texts),
        "review_no_pull_request": review_reply(task(**(PUSHED | GREEN)), texts),
        "cancelled_by_other": cancelled_reply(failed(FailureReason.CANCELLED), "cy", texts, mention=True),
        "list": list_doc(LISTED, "all", texts, NOW, total=14),
        "list_empty": list_doc([], "open", texts, NOW),
        "list_empty_stage": list_doc([], "testing", texts, NOW),
        "show": show_doc(cards(texts)["testing"], EVENTS, texts, NOW),
        "status_queued": status_doc(task(**RETRY), None, texts, NOW),
        "status_running": status_doc(
            task(**RUNNING), run(run_state=RunState.WORKING, message="Editing"), texts, NOW, at(2)
        ),
        "status_failed": status_doc(failed(FailureReason.TIMED_OUT), FAILED_RUN, texts, NOW),
        "logs": logs_doc(task(), ENTRIES, texts),
        "logs_empty": logs_doc(task(), [], texts),
        "help": help_doc(texts),
        "help_cancel": help_doc(texts, "cancel"),
        "help_not_yet": help_doc(texts, "delete"),
        "help_latest": help_doc(texts, latest=LISTED, now=NOW),
        "near_miss": near_miss_doc(MISS, texts, inbox_row=9),
        "near_miss_without_row": near_miss_doc(MISS, texts),
        "task_word": task_word_doc(texts, inbox_row=9),
        "whoami": whoami_doc(ANA, "C1", "filer", texts),
    }
    said |= {f"failed_{reason}": failed_reply(failed(reason), texts, FAILED_RUN) for reason in FailureReason}
    return {name: Wording(texts).make(lambda _, doc=doc: doc) for name, doc in said.items()}


DOCS = docs(T)
CHINESE_CARDS, CHINESE_DOCS = cards(ZH), docs(ZH)
ALL: dict[str, Content] = {f"card_{name}": shown for name, shown in CARDS.items()}
ALL |= {f"doc_{name}": shown for name, shown in DOCS.items()}
ALL |= {f"card_{name}.zh": shown for name, shown in CHINESE_CARDS.items()}
ALL |= {f"doc_{name}.zh": shown for name, shown in CHINESE_DOCS.items()}


@pytest.mark.parametrize("name", ALL)
def test_goldens(name: str) -> None:
    path = GOLDEN / f"{name}.json"
    drawn = CONTENT.dump_json(ALL[name], indent=2).decode() + "\n"
    if os.environ.get("UPDATE_GOLDENS"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(drawn, "utf-8")
    assert path.read_text("utf-8") == drawn


def test_no_golden_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_no_token_reaches_a_card(name: str) -> None:
    assert TOKEN not in CONTENT.dump_json(ALL[name]).decode()


@pytest.mark.parametrize("name", CARDS)
def test_cards_have_few_buttons_that_name_their_object_and_can_be_read(name: str) -> None:
    shown = CARDS[name]
    assert 1 <= len(shown.buttons) <= 4
    for button in shown.buttons:
        assert "CT-42" in button.name
        assert bool(button.value) != bool(button.url)
        assert len(button.value) <= 100
        if button.value:
            action = parse_button(button.value)
            assert action is not None
            assert action.number == 42


@pytest.mark.parametrize("name", CARDS)
def test_cards_say_their_state_in_words_and_have_at_most_one_current_step(name: str) -> None:
    shown = CARDS[name]
    assert shown.summary.startswith("CT-42 ")
    assert len([step for step in shown.steps if step.state == "active"]) <= 1
    assert shown.body.count("\n") <= 12


BUTTONS = {
    "queued": ["Cancel", "Details"],
    "running": ["Cancel", "Details"],
    "testing": ["Cancel", "Details"],
    "needs_you": ["Cancel", "Details"],
    "review": ["Open pull request", "Ask for changes", "Cancel", "Details"],
    "review_red": ["Open pull request", "Ask for changes", "Cancel", "Details"],
    "review_no_pull_request": ["Mark merged", "Cancel", "Details"],
    "merged": ["Open pull request", "Details"],
    "failed_timed_out": ["Retry", "Retry with a note", "Details"],
    "cancelled_queued": ["Queue again", "Details"],
}


def test_where_nothing_can_be_sent_to_an_agent_nobody_is_offered_it() -> None:
    red = task(**(REVIEW | RED | {"pr_draft": True}))
    shown = task_card(red, run=run(), texts=T, now=NOW, sends=False)
    assert [button.label for button in shown.buttons] == ["Open pull request", "Cancel", "Details"]
    assert [button.label for button in review_reply(red, T, sends=False).buttons] == ["Open pull request"]


@pytest.mark.parametrize(("name", "labels"), BUTTONS.items())
def test_p10_buttons_per_stage(name: str, labels: list[str]) -> None:
    assert [button.label for button in CARDS[name].buttons] == labels
    assert all(button.confirm for button in CARDS[name].buttons if button.label == "Cancel")


def test_p12_cost_is_shown_with_four_decimals_or_a_dash() -> None:
    assert cost_text(None, T) == "—"
    assert cost_text(0.01234, T) == "$0.0123"
    assert CARDS["review"].foot == "CT-42#1 · worker-1 · $0.0123"
    assert CARDS["testing"].foot == "CT-42#1 · worker-1 · —"
    assert CARDS["queued"].foot == "CT-42"


def test_durations_and_instants_of_steps() -> None:
    assert [step.detail for step in CARDS["testing"].steps] == ["2 min", "5 min", "since 14:09 UTC", ""]
    assert CARDS["queued"].steps[0].detail == "3rd in line"
    assert CARDS["queued_retry"].steps[0].detail == "attempt 2 of 3, next in 4 min, from 14:35 UTC"
    assert CARDS["queued_start_at"].steps[0].detail == "starts Sat 7 Mar 14:31 UTC"


def test_times_of_an_earlier_attempt_do_not_count() -> None:
    second = task(**(RUNNING | {"attempt": 2, "started_at": at(20), "testing_at": at(7)}))
    shown = card(second, run(attempt=2, created_at=at(15), started_at=at(20)))
    assert [step.detail for step in shown.steps] == ["5 min", "since 14:22 UTC", "", ""]


def test_shown_stage_is_a_view() -> None:
    assert shown_stage(failed(FailureReason.CANCELLED), T) == "Cancelled"
    assert shown_stage(failed(FailureReason.TIMED_OUT), T) == "Failed"
    assert shown_stage(task(**RUNNING), T, run(run_state=RunState.WAITING_FOR_INPUT)) == "Needs you"
    assert shown_stage(task(), T) == "Queued"


def test_replies_ping_the_requester_and_nobody_without_a_platform() -> None:
    assert review_reply(task(**REVIEW), T).mention == ANA
    assert review_reply(task(**REVIEW, requester_platform=""), T).mention is None
    assert cancelled_reply(failed(FailureReason.CANCELLED), "ana", T).mention is None


def test_replies_exact() -> None:
    link = "[acme/web#87](<https://github.com/acme/web/pull/87>)"
    title = "Add a CSV export button"
    assert DOCS["review"].text == f"PR ready: {link} {title} (+120 −14, 38 tests passed)"
    assert DOCS["review_red"].text == f"Draft PR, tests failing: {link} {title} (+120 −14, 2 of 38 failed)"
    assert DOCS["failed_timed_out"].text.startswith("CT-42 failed: coding agent timed out after 10 min.")
    assert DOCS["failed_tests_failed"].text.startswith("CT-42 failed while running tests: 2 of 38 failed.")
    assert DOCS["near_miss"].text == "Did you mean `cancel CT-42`?"


def test_the_help_is_short_and_names_what_is_offered() -> None:
    text = help_doc(T).text
    assert len(text.splitlines()) <= 12
    for verb in VERBS:
        assert (f"`{verb.name}" in text) == verb.offered, verb.name
        assert help_doc(T, verb.name).text


FOREIGN_VALUES = """
x codetask:cancel codetask:cancel:CT-0 codetask:cancel:RQ-7 x:cancel:CT-1 codetask:drop:CT-1 codetask:cancel:CT-٣
codetask:file:CT-1 codetask:cancel:IN-1 codetask:cancel:CT-1: codetask:cancel:CT-99999999999999999999
codetask:retry_note:IN-1 codetask:retry__note:CT-1 codetask:_:CT-1
"""


@pytest.mark.parametrize("value", ["", "codetask:cancel:CT-1 ", *FOREIGN_VALUES.split()])
def test_foreign_button_values_are_not_read(value: str) -> None:
    assert parse_button(value) is None


def test_near_miss_buttons_do_what_they_say() -> None:
    actions = [parse_button(button.value) for button in DOCS["near_miss"].buttons]
    assert actions == [ButtonAction("cancel", 42), ButtonAction("file", 9)]


def test_values_of_sentences_are_escaped() -> None:
    said = say_doc(T, "refused.unknown_agent", agent="*x* [a](http://b) `c`", agents="claude")
    assert said.text == "There is no agent \\*x\\* \\[a\\](http://b) \\`c\\`. Available: claude."


MARKS = st.sampled_from("`*_[]()<>!@#|\n\r\x1b\u202e\u200b")
HOSTILE = st.text(alphabet=st.one_of(st.characters(codec="utf-8"), MARKS))


@given(HOSTILE, st.sampled_from([*Stage]), st.sampled_from([None, *FailureReason]))
def test_any_row_can_be_shown(text: str, stage: Stage, reason: FailureReason | None) -> None:
    hostile = task(
        title=text[:80], description=text, requester_name=text, repo=text, branch=text, error=text, test_tail=text,
        test_summary=text, tests_passed=False, stage=stage, failure_reason=reason, cancelled_by=text, pr_url=text,
        pr_number=3, attempt=1, pushed_sha="a",
    )  # fmt: skip
    attempt = run(message=text, lease_owner=text)
    shown: list[Content] = [card(hostile, attempt), review_reply(hostile, T), failed_reply(hostile, T, attempt)]
    shown += [status_doc(hostile, attempt, T, NOW), list_doc([hostile], "all", T, NOW)]
    shown += [show_doc(card(hostile, attempt), [EventLine(NOW, stage, stage, text, text)], T, NOW)]
    for content in shown:
        dumped = CONTENT.dump_json(content)
        assert CONTENT.validate_json(dumped) == content
        assert not {"\u202e", "\u200b", "\x1b"} & set(dumped.decode())


def test_a_refused_flag_has_a_text_for_every_reason() -> None:
    reasons = BadFlag.__annotations__["why"].__args__
    assert all(f"refused.flag_{why}" in T.known for why in reasons)
    assert {"help", "list", "show", "cancel", "retry", "status", "logs", "whoami"} <= OFFERED
