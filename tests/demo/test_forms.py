"""The forms and the message menus of the simulated chats: who sees them, what is sent, and what is refused in words."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from aiohttp import web

from bot.demo.discord_view import DiscordChannel, open_discord
from bot.demo.lark_view import open_lark
from bot.demo.slack_view import SlackChannel, open_slack

VIEW: dict[str, Any] = {
    "type": "modal",
    "callback_id": "codetask:retry_note:CT-1",
    "title": {"type": "plain_text", "text": "Retry CT-1"},
    "submit": {"type": "plain_text", "text": "Retry"},
    "blocks": [
        {
            "type": "input",
            "block_id": "note",
            "label": {"type": "plain_text", "text": "What should change?"},
            "hint": {"type": "plain_text", "text": "A hint."},
            "element": {"type": "plain_text_input", "action_id": "note", "multiline": True, "max_length": 20},
        }
    ],
}
MODAL: dict[str, Any] = {
    "custom_id": "codetask:retry_note:CT-1",
    "title": "Retry CT-1",
    "components": [
        {
            "type": 18,
            "label": "What should change?",
            "description": "A hint.",
            "component": {"type": 4, "custom_id": "note", "style": 2, "max_length": 20, "required": True},
        }
    ],
}
Chat = SlackChannel | DiscordChannel


@pytest.fixture(params=["slack", "discord"])
def chat(request: pytest.FixtureRequest) -> Iterator[Chat]:
    """A chat without a bot, in which ana has a form open."""
    with ExitStack() as stack:
        if request.param == "slack":
            slack = open_slack(stack)
            slack.simulator.shows_form("ana", VIEW)
            yield slack
        else:
            discord = open_discord(stack)
            discord.simulator.shows_form("ana", MODAL)
            yield discord


def test_an_open_form_is_there_for_the_person_who_opened_it(chat: Chat) -> None:
    (form,) = chat.forms()
    assert (form.to, form.title, form.cancel, form.busy) == ("ana", "Retry CT-1", "Cancel", False)
    assert form.submit == {"slack": "Retry", "discord": "Submit"}[chat.name]
    (field,) = form.fields
    assert (field.name, field.label, field.hint) == ("note", "What should change?", "A hint.")
    assert (field.multiline, field.required, field.max_length) == (True, True, 20)


def test_closing_a_form_tells_the_page(chat: Chat) -> None:
    (form,) = chat.forms()
    before = chat.count()
    chat.closes("ana", form.id)
    assert chat.forms() == []
    assert chat.count() != before
    with pytest.raises(LookupError, match="closed"):
        chat.closes("ana", form.id)


def test_a_sent_form_stays_until_the_bot_answers() -> None:
    with ExitStack() as stack:
        discord = open_discord(stack)
        discord.simulator.shows_form("ana", MODAL)
        before = discord.count()
        discord.submits("ana", discord.forms()[0].id, {"note": "Use the table"})
        (sent,) = discord.forms()
        assert sent.busy
        assert discord.count() != before


@pytest.mark.parametrize(
    ("person", "values", "words"),
    [
        ("bo", {"note": "mine now"}, "closed"),
        ("ana", {}, "What should change"),
        ("ana", {"note": " \n"}, "write something"),
        ("ana", {"note": "x" * 21}, "At most 20 characters"),
        ("ana", {"note": "x", "other": "y"}, "no field other"),
    ],
)
def test_what_the_person_s_client_would_not_send_is_refused(
    chat: Chat, person: str, values: dict[str, str], words: str
) -> None:
    (form,) = chat.forms()
    with pytest.raises(LookupError, match=words):
        chat.submits(person, form.id, values)
    assert chat.forms() == [form]


async def test_why_the_bot_did_not_take_a_form_is_shown_in_it() -> None:
    busy: list[bool] = []

    async def refuse(_: web.Request) -> web.Response:
        busy.extend(form.busy for form in slack.forms())
        return web.json_response({"response_action": "errors", "errors": {"note": "Not <b>now</b>."}})

    application = web.Application()
    application.router.add_post("/", refuse)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        with ExitStack() as stack:
            slack = await asyncio.to_thread(open_slack, stack)
            slack.simulator.use_http(f"http://127.0.0.1:{runner.addresses[0][1]}/")
            slack.simulator.shows_form("ana", VIEW)
            slack.submits("ana", slack.forms()[0].id, {"note": "Now"})
            form = await slack.wait_for(lambda: next((f for f in slack.forms() if f.problem), None), 20)
            assert form is not None
            assert busy == [True]
            assert (form.problem, form.busy) == ("Not <b>now</b>.", False)
    finally:
        await runner.cleanup()


def test_a_message_s_menu_is_offered_where_the_platform_has_one() -> None:
    with ExitStack() as stack:
        slack, lark = open_slack(stack), open_lark(stack)
        slack.says("bo", "The export is broken")
        said = slack.shown()[0]
        slack.picks("ana", said.id, "codetask_file")
        assert [(n.key, n.text) for n in slack.shown() if n.kind == "note"] == [("ana", "used File as code task")]
        with pytest.raises(LookupError, match="no longer there"):
            slack.picks("ana", "1.1", "codetask_file")
        assert lark.menu == {}
        assert lark.forms() == []
        with pytest.raises(LookupError, match="no menu"):
            lark.picks("ana", said.id, "codetask_file")
