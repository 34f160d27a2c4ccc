"""The line of a suggestion in every state, the list and the notices, in both languages; hostile text stays text."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.core.buttons import ButtonAction, SuggestionAction, parse_button
from bot.core.cards import Doc
from bot.core.forms import EDIT_MAX, TEXT, form_of, read_form
from bot.core.markup import parse as parse_markup
from bot.core.suggestion_replies import (
    OUTSIDE,
    REFUSED,
    TEXT_SHOWN,
    Line,
    intake_on_doc,
    line_doc,
    list_doc,
    muted_doc,
    paused_doc,
)
from bot.core.suggestions import DISMISSED, EXPIRED, FILED, OPEN, REMOVED, SAME, SKIPPED, Mode, Suggestion, hash_of
from bot.core.tasks import CodeTask, Stage
from bot.core.texts import Texts, languages
from bot.core.verbs import EditText, TaskId

NOW = datetime(2026, 3, 6, 14, 30, tzinfo=UTC)
EN, ZH = Texts.load(), Texts.load("zh")
TEXT_SAID = "Could we get CSV export on the contacts page?\nThe accountants ask for it every month."
HOSTILE = "*bold* <!channel> `code` [x](https://evil.example) \u202edrow @everyone\n```\nout of the fence"


def made(**values: Any) -> Suggestion:
    given: dict[str, Any] = {
        "id": 3,
        "platform": "slack",
        "workspace_id": "T1",
        "channel_id": "C1",
        "message_id": "1.1",
        "author_id": "U2",
        "author_name": "bo",
        "state": OPEN,
        "kind": "feature_request",
        "title": "CSV export on contacts",
        "text": TEXT_SAID,
        "text_hash": hash_of(TEXT_SAID),
        "last_at": NOW,
        "due_at": NOW,
        "created_at": NOW - timedelta(hours=2),
        "updated_at": NOW,
    }
    return Suggestion(**{**given, **values})


def task(number: int = 12, **values: Any) -> CodeTask:
    given: dict[str, Any] = {
        "id": number,
        "uuid": "u",
        "name": "export",
        "requester_id": "U1",
        "title": "Export contacts as CSV",
        "description": "Export contacts as CSV",
        "repo": "web",
        "base": "main",
        "agent": "demo",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return CodeTask(**{**given, **values})


def said(line: Line, texts: Texts = EN) -> Doc:
    return line_doc(line, texts, NOW)


def labels(doc: Doc) -> list[str]:
    return [button.label for button in doc.buttons]


def test_the_open_line_of_ux_5() -> None:
    doc = said(Line(made(), similar=[task()]))
    assert doc.text.startswith("Looks like a feature request: *CSV export on contacts*.\n\n")
    assert f"The agent is given exactly this:\n```\n{TEXT_SAID}\n```" in doc.text
    assert doc.text.endswith("Similar: CT-12 Export contacts as CSV (Queued).")
    assert labels(doc) == ["File as code task", "Edit", "Same as CT-12", "Not a request", "Mute here"]
    assert labels(said(Line(made(), similar=[task()]), ZH)) == [
        "建编码任务",
        "编辑",
        "同 CT-12",
        "不是需求",
        "此处静音",
    ]
    assert [parse_button(button.value) for button in doc.buttons] == [
        SuggestionAction("file", 3, hash_of(TEXT_SAID)[:12]),
        SuggestionAction("edit", 3),
        SuggestionAction("same", 3, "12"),
        SuggestionAction("not_request", 3),
        SuggestionAction("mute", 3),
    ]


def test_a_title_that_says_all_is_not_repeated() -> None:
    text = "CSV export on contacts"
    assert said(Line(made(text=text))).text == "Looks like a feature request: *CSV export on contacts*."


def test_a_title_that_asks_or_ends_stands_inside_the_sentence() -> None:
    for title in ("Could we get a CSV export?", "Could we get a CSV export.", "Could we get a CSV export?!"):
        text = said(Line(made(title=title, text=title))).text
        assert text == "Looks like a feature request: *Could we get a CSV export*."
    assert "*???*" in said(Line(made(title="???", text="???"))).text


def test_what_a_person_should_know_before_pressing() -> None:
    told = made(kind="bug_report", hidden=2, question="Which columns?", likely_same=True)
    text = said(Line(told, similar=[task(), task(9), task(8), task(7)], for_filers=True)).text
    assert text.startswith(
        "Looks like a bug report: *CSV export on contacts*. Someone who may file code tasks decides."
    )
    assert "I removed 2 invisible characters from it." in text
    assert "Still open: Which columns?" in text
    assert text.count("Export contacts as CSV") == 3 and "It is likely the same as: CT-12" in text


def test_an_admin_is_asked_with_the_reasons() -> None:
    doc = said(Line(made(), similar=[task()], asks=("ci", "unheard_of", OUTSIDE), for_filers=True))
    assert "This mentions CI settings" in doc.text and "It comes from outside the team." in doc.text
    assert "An admin has to allow it before it runs." in doc.text
    assert labels(doc) == ["Allow", "Refuse"]
    assert labels(said(Line(made(), asks=(OUTSIDE,)), ZH)) == ["允许", "拒绝"]
    assert parse_button(doc.buttons[0].value) == SuggestionAction("allow", 3, hash_of(TEXT_SAID)[:12])
    assert parse_button(doc.buttons[1].value) == SuggestionAction("deny", 3)


OVER = [
    ({"state": EXPIRED}, "Nobody decided in time, so this suggestion is closed."),
    ({"state": EXPIRED, "reason": REFUSED}, "@cy did not allow this. Nothing was filed."),
    ({"state": REMOVED}, "The message was deleted, so this suggestion is closed."),
    ({"state": SKIPPED, "reason": "edited_below"}, "The message was changed and does not read as a request any more."),
    ({"state": SKIPPED, "reason": "turned_off"}, "Intake is off here now, so this suggestion is closed."),
    ({"state": DISMISSED}, "Noted, not a request."),
    ({"state": DISMISSED, "code_task_id": 12}, "CT-12 is taken back. Noted, not a request."),
]


@pytest.mark.parametrize(("values", "text"), OVER)
def test_what_is_over_says_why_and_has_no_buttons(values: dict[str, Any], text: str) -> None:
    line = Line(made(title="", text="", text_hash="", **values), decided_by="cy")
    assert (said(line).text, said(line).buttons) == (text, ())
    assert said(line, ZH).text and said(line, ZH).buttons == ()


def test_filed_by_hand_and_by_itself() -> None:
    doc = said(Line(made(state=FILED, code_task_id=12), task()))
    assert doc.text == "Filed as CT-12 · queued."
    assert [parse_button(button.value) for button in doc.buttons] == [
        ButtonAction("cancel", 12),
        SuggestionAction("not_request", 3),
    ]
    doc = said(Line(made(state=FILED, code_task_id=12), task(), starts_at=NOW + timedelta(minutes=10)))
    assert doc.text == "Filed as CT-12 · starts 14:40 UTC."
    assert [parse_button(button.value) for button in doc.buttons] == [
        ButtonAction("undo", 12),
        ButtonAction("start", 12),
    ]
    for stage in (Stage.MERGED, Stage.FAILED):
        ended = said(Line(made(state=FILED, code_task_id=12), task(stage=stage)))
        assert ended.text == f"Filed as CT-12 · {stage}."
        assert [parse_button(button.value) for button in ended.buttons] == (
            [SuggestionAction("not_request", 3)] if stage is Stage.FAILED else []
        )
    gone = said(Line(made(state=FILED, code_task_id=12)))
    assert (gone.text, gone.buttons) == ("Filed as CT-12.", ())


def test_the_same_as_another() -> None:
    doc = said(Line(made(state=SAME, code_task_id=12), task(stage=Stage.RUNNING)))
    assert doc.text == "Already planned as CT-12 (running). I'll post the pull request here."
    assert parse_button(doc.buttons[0].value) == SuggestionAction("different", 3)


@pytest.mark.parametrize("language", languages())
def test_hostile_text_stays_text(language: str) -> None:
    texts = Texts.load(language)
    told = made(title=HOSTILE[:80], text=HOSTILE, question=HOSTILE, author_name=HOSTILE)
    line = Line(told, similar=[task(title="<!here>")])
    for doc in (said(line, texts), list_doc([line], texts, NOW)):
        words = "".join(doc.text.split("````")[::2])
        assert "\u202e" not in doc.text
        assert "<!channel>" not in words.replace("\\<!channel>", "")
        assert "[x]" not in words
        assert "*bold*" not in words
    assert "````\n" in said(line, texts).text, "a fence that the text cannot close"
    assert parse_markup(said(line, texts).text)


def test_secrets_are_masked() -> None:
    text = "Please use ghp_" + "a" * 36 + " to read the report"
    doc = said(Line(made(title=text[:80], text=text + "\nevery day")))
    assert "ghp_" + "a" * 36 not in doc.text


def test_a_long_text_is_cut_on_the_line_and_whole_when_asked_for() -> None:
    long = made(text="It should hold every column. " * 200)
    line = said(Line(long))
    assert len(line.text) < TEXT_SHOWN + 400
    assert "That is the beginning. `show RQ-3` shows all of it." in line.text
    assert "`查看 RQ-3`" in said(Line(long), ZH).text
    whole = line_doc(Line(long), EN, NOW, whole=True).text
    assert long.text.strip() in whole and "That is the beginning" not in whole


def test_the_list() -> None:
    assert list_doc([], EN, NOW).text == "No open suggestions here."
    lines = [Line(made(id=number)) for number in range(1, 14)]
    doc = list_doc(lines, EN, NOW)
    assert doc.text.splitlines()[2] == "- RQ-1 CSV export on contacts · @bo · 2h ago"
    assert doc.text.splitlines()[-1] == "3 more: `codetask suggestion list`"
    assert labels(doc) == [
        "File RQ-1 as code task", "RQ-1 is not a request", "File RQ-2 as code task", "RQ-2 is not a request",
    ]  # fmt: skip
    assert labels(list_doc([Line(made(), asks=("ci",))], EN, NOW)) == ["Allow RQ-3", "Refuse RQ-3"]


def test_the_notices_of_ux_5() -> None:
    assert intake_on_doc(Mode.SUGGEST, "rules", EN).text == (
        "Intake is on here (suggest): I look for feature requests. Judged by: local rules. "
        "`settings intake off` ends it."
    )
    assert "`设置 intake off`" in intake_on_doc(Mode.AUTO, "llm", ZH).text
    assert paused_doc(EN).text == (
        "Three in a row were not requests, so I only observe here now. "
        "An admin can turn it on: `settings intake suggest`."
    )
    assert muted_doc("cy", EN).text.startswith("@cy muted suggestions here.")


@pytest.mark.parametrize("language", languages())
def test_the_form_of_edit_fits_every_platform(language: str) -> None:
    key = "codetask:edit:RQ-99999999"
    form = form_of(key, Texts.load(language))
    assert form is not None
    assert (form.key, [(field.name, field.max_length) for field in form.fields]) == (key, [(TEXT, EDIT_MAX)])
    assert max(len(form.title), len(form.submit)) <= 24
    assert all(len(field.label) <= 45 and len(field.hint) <= 100 for field in form.fields)
    assert read_form(key, {TEXT: "\x1b[31mExport\u202e it \n"}) == EditText(TaskId("RQ", 99999999), "Export it")
