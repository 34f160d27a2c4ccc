"""Forms: which button opens which, in both languages; what a sent one asks for, whatever is in it."""

import pytest

from bot.core.commands import render
from bot.core.forms import NOTE_MAX, Field, Form, UnfitForm, form_of, read_form
from bot.core.texts import Texts, languages
from bot.core.verbs import RetryTask, Send, TaskId

EN, ZH = Texts.load(), Texts.load("zh")
NOTE = "codetask:retry_note:CT-4"


def test_the_form_of_retry_with_a_note() -> None:
    assert form_of(NOTE, EN) == Form(
        key=NOTE,
        title="Retry CT-4",
        submit="Retry",
        fields=(
            Field(
                name="note",
                label="What should it do differently?",
                hint="The agent reads it together with the description.",
                multiline=True,
                max_length=2_000,
                required=True,
            ),
        ),
    )


def test_a_form_speaks_the_language_of_the_person() -> None:
    form = form_of(NOTE, ZH)
    assert form is not None
    assert (form.title, form.submit, form.fields[0].label) == ("重试 CT-4", "重试", "这次要怎么改？")
    assert form.key == NOTE


@pytest.mark.parametrize("language", languages())
def test_a_form_fits_every_platform(language: str) -> None:
    for verb in ("retry_note", "ask_changes"):
        form = form_of(f"codetask:{verb}:CT-99999999", Texts.load(language))
        assert form is not None
        assert max(len(form.title), len(form.submit)) <= 24
        assert len(form.key) <= 100
        assert all(len(field.label) <= 45 and len(field.hint) <= 100 for field in form.fields)


OTHERS = """
codetask:retry:CT-4 codetask:cancel:CT-4 codetask:details:CT-4 codetask:file:IN-4 codetask:retry_note:IN-4
codetask:retry_note:CT-0 codetask:retry_note:CT-4: codetask:retry_note:FU-4 codetask:retry__note:CT-4 x
"""


@pytest.mark.parametrize("value", ["", " " + NOTE, NOTE + "\n", *OTHERS.split()])
def test_other_buttons_open_no_form(value: str) -> None:
    assert form_of(value, EN) is None
    assert read_form(value, {"note": "use the other table"}) is None


SENT = [
    ({"note": "use the other table"}, RetryTask(TaskId("CT", 4), "use the other table")),
    ({"note": "  two\r\nlines  "}, RetryTask(TaskId("CT", 4), "two\nlines")),
    ({"note": "x" * NOTE_MAX}, RetryTask(TaskId("CT", 4), "x" * NOTE_MAX)),
    ({"note": "\x1b[31mred\x1b[0m \u202eback\u200b"}, RetryTask(TaskId("CT", 4), "red back")),
    ({"note": "cancel CT-9", "id": "CT-9", "": "x"}, RetryTask(TaskId("CT", 4), "cancel CT-9")),
    ({"note": "x" * (NOTE_MAX + 1)}, UnfitForm("too_long", NOTE_MAX + 1)),
    ({"note": "\u200b \n"}, UnfitForm("empty")),
    ({"note": ""}, UnfitForm("empty")),
    ({"other": "x"}, UnfitForm("empty")),
    ({}, UnfitForm("empty")),
]


@pytest.mark.parametrize(("fields", "meant"), SENT, ids=range(len(SENT)))
def test_what_a_sent_form_means(fields: dict[str, str], meant: object) -> None:
    assert read_form(NOTE, fields) == meant


def test_asking_for_changes_sends_the_note() -> None:
    form = form_of("codetask:ask_changes:CT-4", EN)
    assert form is not None and (form.title, form.submit) == ("Changes to CT-4", "Send")
    assert read_form("codetask:ask_changes:CT-4", {"note": " use tabs\u200b "}) == Send(TaskId("CT", 4), "use tabs")
    assert read_form("codetask:ask_changes:CT-4", {"note": " "}) == UnfitForm("empty")


def test_a_sent_form_is_the_command_that_a_person_can_type() -> None:
    command = read_form(NOTE, {"note": "use the other table"})
    assert isinstance(command, RetryTask)
    assert render(command) == "retry CT-4 with use the other table"
