"""What is said of follow-ups: confirmations, questions, lists, details, in both languages; hostile text stays text."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.core.buttons import ButtonAction, FollowUpAction, WishAction, confirmation, parse_button, wish_value
from bot.core.cards import Doc
from bot.core.followup_questions import ask_when_doc, ask_zone_doc, instead_doc, question_doc
from bot.core.followup_replies import details_doc, failed_doc, help_doc, list_doc, reminder_doc, set_doc
from bot.core.followups import FollowUp, FollowUpKind, FollowUpReason, FollowUpState
from bot.core.forms import LaterForm, form_of, read_form
from bot.core.runs import Run, RunState
from bot.core.tasks import CodeTask
from bot.core.texts import Texts, languages
from bot.core.verbs import (
    FOLLOW_UP_FILTERS,
    CancelTask,
    ChangeFollowUp,
    FollowUpFilterName,
    RetryTask,
    SetFollowUp,
    ShowTask,
    StatusOf,
    Stop,
    TaskId,
    verb_word,
)
from bot.core.when import read_when

NOW = datetime(2026, 3, 6, 14, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
EN, ZH = Texts.load(), Texts.load("zh")
HOSTILE = "*bold* <!channel> `code` [x](https://evil.example) \u202edrow @everyone"


def made(**values: Any) -> FollowUp:
    given: dict[str, Any] = {
        "id": 7,
        "uuid": "u",
        "platform": "slack",
        "workspace_id": "T1",
        "channel_id": "C1",
        "title": "check the deploy",
        "body": "check the deploy",
        "due_at": datetime(2026, 3, 7, 8, 0, tzinfo=UTC),
        "zone": "Europe/Berlin",
        "requester_platform": "slack",
        "requester_workspace": "T1",
        "requester_id": "U1",
        "requester_name": "ana",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return FollowUp(**{**given, **values})


def labels(doc: Doc) -> list[str]:
    return [button.label for button in doc.buttons]


def test_the_confirmation_of_ux_4() -> None:
    doc = set_doc(made(), EN, NOW)
    assert doc.text == "I'll run this here Sat 7 Mar 09:00 (Berlin, in 17 h 30 min): *check the deploy*."
    assert labels(doc) == ["Change", "Cancel"] and doc.mention is None
    doc = set_doc(made(kind=FollowUpKind.MESSAGE, zone=""), EN, NOW, as_reminder=True)
    assert doc.text.startswith("I'll post this here Sat 7 Mar 08:00 (UTC, ")
    assert doc.text.endswith("No agent is set up here, so I'll post it as a reminder.")
    doc = set_doc(made(agent="codex"), EN, NOW, kept="opencode")
    assert doc.text.endswith("This thread runs on opencode, so I'll use that instead of codex.")


def test_one_that_was_set_before_is_only_named() -> None:
    assert set_doc(made(), EN, NOW, known=True).text == "Already set as FU-7."
    assert labels(set_doc(made(), EN, NOW, known=True)) == ["Change", "Cancel"]
    assert set_doc(made(state=FollowUpState.SUCCESS), EN, NOW, known=True).buttons == ()


def test_a_confirmation_in_chinese() -> None:
    doc = set_doc(made(title="检查部署"), ZH, NOW)
    assert doc.text == "到 3月7日(周六) 09:00（柏林，17 小时 30 分钟后），我会在这里运行：*检查部署*。"
    assert labels(doc) == ["修改", "取消"]


EXAMPLES = "`later in 2h …`, `later monday 9am …`, `later 31 dec 14:00 …`"
QUESTIONS = [
    ("tomorrow at 3", "Which time: Tomorrow 03:00 or Tomorrow 15:00?", ["Tomorrow 03:00", "Tomorrow 15:00"]),
    ("today 9am", "Today 09:00 has passed. Tomorrow 09:00?", ["Tomorrow 09:00"]),
    ("every monday", "I can only set one time.", []),
    (
        "soon",
        "I couldn't read a time in “soon”. Try `later in 2h …`, `later monday 9am …`, `later 31 dec 14:00 …`.",
        [],
    ),
]


@pytest.mark.parametrize(("text", "said", "choices"), QUESTIONS, ids=[text for text, _, _ in QUESTIONS])
def test_a_question_has_a_button_for_each_choice(text: str, said: str, choices: list[str]) -> None:
    reading = read_when(text, now=NOW, zone=BERLIN)
    doc = question_doc(reading, 12, "later", EN, NOW)
    assert (doc.text, labels(doc)) == (said, choices)
    for button in doc.buttons:
        action = parse_button(button.value)
        assert isinstance(action, WishAction) and (action.verb, action.number) == ("at", 12)
        assert datetime.fromtimestamp(int(action.argument), UTC) > NOW
        assert button.name == f"Set it for: {button.label}"


def test_hostile_text_in_a_question_stays_text() -> None:
    text = question_doc(read_when(HOSTILE, now=NOW, zone=BERLIN), 12, "later", EN, NOW).text
    assert r"\*bold\*" in text and r"\<!channel>" in text and "\u202e" not in text


@pytest.mark.parametrize("language", languages())
def test_the_values_of_all_buttons_are_read_back(language: str) -> None:
    texts = Texts.load(language)
    docs = [
        ask_when_doc(12, texts),
        ask_zone_doc(12, ("Europe/Berlin", "Etc/GMT+5"), texts),
        set_doc(made(), texts, NOW),
    ]
    docs += [details_doc(made(state=state), "nowhere", None, texts, NOW) for state in FollowUpState]
    docs += [list_doc([(made(), "this_thread")], "open", texts, NOW), reminder_doc(made(), texts, NOW, None)]
    seen = [button for doc in docs for button in doc.buttons]
    assert len(seen) > 15
    for button in seen:
        assert parse_button(button.value) is not None and len(button.value) <= 100
        assert confirmation(button.value, texts) is None
        assert 0 < len(button.label) <= 40 and button.name


UNREADABLE = """
codetask:at:IN-1 codetask:at:IN-1- codetask:at:IN-1-x codetask:at:IN-1-0 codetask:at:FU-1-5
codetask:at:IN-1-999999999999
codetask:preset:IN-1-never codetask:preset:IN-1 codetask:tz:IN-1 codetask:tz:IN-1-../x codetask:tz:IN-1--1
codetask:later:IN-1-x codetask:yes:IN-1-1 codetask:later:FU-1 codetask:cancel:IN-1 codetask:cancel:FU-1-2
codetask:retry:CT-1-2
codetask:file:CT-1 codetask:snooze:CT-1 codetask:run:CT-1 codetask:later:IN-0
"""


@pytest.mark.parametrize("value", UNREADABLE.split())
def test_a_value_that_is_none_of_ours_is_nothing(value: str) -> None:
    assert parse_button(value) is None


def test_values_are_stateless() -> None:
    assert wish_value("at", 12, 1772870400) == "codetask:at:IN-12-1772870400"
    assert parse_button("codetask:tz:IN-12-America/New_York") == WishAction("tz", 12, "America/New_York")
    assert parse_button("codetask:later:IN-12") == WishAction("later", 12)
    assert parse_button("codetask:snooze:FU-7") == FollowUpAction("snooze", 7)
    assert parse_button("codetask:file:IN-12") == ButtonAction("file", 12)


# --- Lists and details ------------------------------------------------------------------------------------------------


def test_a_list_of_ux_2() -> None:
    doc = list_doc([(made(), "this_thread"), (made(id=8, by_agent=True), "a_channel")], "open", EN, NOW, BERLIN)
    assert doc.text.splitlines() == [
        "**Follow-ups**",
        "",
        "- FU-7 Sat 7 Mar 09:00 (in 17 h 30 min) · check the deploy · this thread",
        "- FU-8 Sat 7 Mar 09:00 (in 17 h 30 min) · check the deploy · another channel, set by an agent",
    ]
    assert labels(doc) == ["Cancel FU-7", "Run FU-7 now", "Cancel FU-8", "Run FU-8 now"]
    over = list_doc([(made(state=FollowUpState.FAILED), "nowhere")], "failed", EN, NOW)
    assert over.text.endswith("- FU-7 Failed Sat 7 Mar 09:00 · check the deploy · no chat") and over.buttons == ()


def test_a_reader_sees_times_in_their_own_zone() -> None:
    doc = list_doc([(made(), "this_thread")], "open", EN, NOW, ZoneInfo("America/New_York"))
    assert "Sat 7 Mar 03:00 (in 17 h 30 min)" in doc.text


@pytest.mark.parametrize("language", languages())
def test_hostile_titles_stay_text_everywhere(language: str) -> None:
    texts, secret = Texts.load(language), "ghp_" + "a1B2" * 9
    wish = made(title=HOSTILE[:80], body=f"{HOSTILE}\n{secret}")
    for doc in (
        list_doc([(wish, "this_thread")], "open", texts, NOW),
        details_doc(wish, "this_thread", None, texts, NOW),
        set_doc(wish, texts, NOW),
        reminder_doc(wish, texts, NOW, None),
    ):
        assert r"\*bold\*" in doc.text and r"\<!channel>" in doc.text and "\u202e" not in doc.text
        assert secret not in doc.text


def test_details_by_state() -> None:
    buttons = {state: labels(details_doc(made(state=state), "this_thread", None, EN, NOW)) for state in FollowUpState}
    assert buttons == {
        FollowUpState.PENDING: ["Run now", "Change", "Cancel"],
        FollowUpState.RUNNING: ["Stop"],
        FollowUpState.SUCCESS: [],
        FollowUpState.FAILED: ["Run again"],
        FollowUpState.CANCELLED: [],
    }
    run = Run(
        run_state=RunState.WORKING,
        message="reading the log",
        agent="demo",
        repo_key="",
        created_at=NOW,
        available_at=NOW,
    )
    text = details_doc(made(state=FollowUpState.RUNNING), "this_thread", run, EN, NOW).text
    assert "Agent: working" in text and "Last step: reading the log" in text
    failed = made(state=FollowUpState.FAILED, failure_reason=FollowUpReason.TIMED_OUT)
    assert "Error: it ran into its time limit" in details_doc(failed, "this_thread", None, EN, NOW).text
    agents = details_doc(made(by_agent=True, agent="codex"), "a_thread", None, EN, NOW).text
    assert "Set by an agent for: ana" in agents and "Agent: codex" in agents


def test_a_missed_one_and_a_busy_thread_say_what_happened() -> None:
    missed = made(state=FollowUpState.FAILED, failure_reason=FollowUpReason.MISSED)
    doc = failed_doc(missed, EN, NOW + timedelta(days=1))
    assert doc.text == "FU-7 was due Sat 7 Mar 09:00 and I was offline. It has not run."
    assert labels(doc) == ["Run again", "Dismiss"] and doc.mention is not None


OFFERS = [
    (CancelTask(TaskId("CT", 7)), "FU-7 is a follow-up. Cancel it?", "Cancel FU-7", "codetask:cancel:FU-7"),
    (Stop(TaskId("CT", 7)), "FU-7 is a follow-up. Stop it?", "Stop FU-7", "codetask:stop:FU-7"),
    (RetryTask(TaskId("CT", 7)), "FU-7 is a follow-up. Run it again?", "Run FU-7 again", "codetask:retry:FU-7"),
    (ShowTask(TaskId("CT", 7)), "FU-7 is a follow-up. Show it?", "Details of FU-7", "codetask:details:FU-7"),
    (StatusOf(TaskId("CT", 7)), "FU-7 is a follow-up. Show it?", "Details of FU-7", "codetask:details:FU-7"),
]


@pytest.mark.parametrize(("command", "said", "label", "value"), OFFERS, ids=[said for _, said, _, _ in OFFERS])
def test_the_other_kind_is_offered_with_one_button(command: Any, said: str, label: str, value: str) -> None:
    doc = instead_doc(command, made(), EN)
    assert (doc.text, labels(doc), doc.buttons[0].value) == (said, [label], value)


def test_a_code_task_is_offered_where_a_follow_up_was_named() -> None:
    about = {"title": "t", "description": "d", "name": "t", "base": "main", "agent": "demo", "repo": "web"}
    task = CodeTask(id=7, uuid="u", requester_id="U1", created_at=NOW, updated_at=NOW, **about)
    for verb, label in ((CancelTask, "Cancel CT-7"), (Stop, "Cancel CT-7"), (RetryTask, "Retry CT-7")):
        doc = instead_doc(verb(TaskId("FU", 7)), task, EN)
        assert labels(doc) == [label] and doc.text.startswith("CT-7 is a code task.")


@pytest.mark.parametrize("language", languages())
def test_the_help_names_every_option(language: str) -> None:
    text = help_doc(Texts.load(language)).text
    assert len(text.splitlines()) <= 12
    for name in ("/followup", "--if-missed" if language == "en" else "--错过", "Asia/Tokyo"):
        assert name in text


# --- Forms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", languages())
def test_the_forms_of_follow_ups_fit_every_platform(language: str) -> None:
    for value, names in (("codetask:change:FU-99999999", ["when"]), ("codetask:later:IN-99999999", ["when", "text"])):
        form = form_of(value, Texts.load(language))
        assert form is not None and form.key == value
        assert [field.name for field in form.fields] == names
        assert form.fields[0].instant and form.fields[0].required
        assert max(len(form.title), len(form.submit)) <= 24
        assert all(len(field.label) <= 45 and len(field.hint) <= 100 for field in form.fields)


def test_what_a_sent_form_means() -> None:
    change = read_form("codetask:change:FU-7", {"when": " tomorrow 9am \u200b"})
    assert change == ChangeFollowUp(TaskId("FU", 7), "tomorrow 9am")
    later = read_form("codetask:later:IN-3", {"when": "in 2h", "text": "look", "other": "x"})
    assert later == LaterForm(3, SetFollowUp("in 2h", what="look"))
    assert read_form("codetask:later:IN-3", {}) == LaterForm(3, SetFollowUp("", what=""))
    assert read_form("codetask:cancel:FU-7", {"when": "in 2h"}) is None
    assert read_form("codetask:tz:IN-3-UTC", {"when": "in 2h"}) is None


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("chosen", sorted(set(FOLLOW_UP_FILTERS.values())))
def test_an_empty_list_says_how_to_set_one(chosen: FollowUpFilterName, language: str) -> None:
    texts = Texts.load(language)
    assert verb_word("later", language) in list_doc([], chosen, texts, NOW).text
