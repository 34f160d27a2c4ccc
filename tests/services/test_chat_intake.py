"""Suggestions in chat: reactions and menus on messages, lists, forms, and the settings of a channel."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core.inbound import ThreadRef
from bot.core.suggestions import DISMISSED, FILED, OPEN, PER_CHANNEL_AND_DAY, REMOVED
from bot.ports import Choice
from tests.services.suggestion_desk import ANA, BO, CHANNEL, CY, DI, GUS, TEXT, TITLE, Desk, desk, labels, make_desk

__all__ = ["desk", "make_desk"]

OTHER = "The invoices page should remember which columns I have chosen."


# --- Reactions --------------------------------------------------------------------------------------------------------


async def test_the_emoji_of_a_filer_files_a_message(desk: Desk) -> None:
    message = desk.writes()
    assert await desk.reacts(message, ANA) == ""
    task = await desk.task()
    assert (task.description, task.source, task.requester_id) == (TEXT, "reaction", "U1")
    assert task.dedup_key == "m:paper:T1:C1:10.1"
    assert await desk.cards() == 1


async def test_a_second_person_asks_for_it_too(desk: Desk) -> None:
    message = desk.writes()
    await desk.reacts(message, ANA)
    assert await desk.reacts(message, DI) == "Already filed as CT-1."
    assert await desk.reacts(message, BO) == "Already filed as CT-1. I noted that you ask for it too."
    askers = await desk.app.store.run(lambda tx: [one.id for one in tx.subscriptions.askers(1)], read=True)
    assert sorted(askers) == ["U2", "U5"]
    assert len(await desk.tasks()) == 1


async def test_a_reaction_of_someone_without_the_right_is_shown_to_those_who_have_it(desk: Desk) -> None:
    message = desk.writes(author=GUS)
    assert await desk.reacts(message, BO) == "Someone who may file code tasks can file it now: RQ-1."
    assert (await desk.suggestion()).state is OPEN
    assert "It comes from outside the team." in (await desk.line()).text
    assert await desk.audited("point_at") == [("paper:U2", "RQ-1")]
    assert await desk.reacts(message, BO) == "Someone who may file code tasks can decide about RQ-1."
    assert await desk.tasks() == []


@pytest.mark.parametrize(
    "fields", [{"added": False}, {"emoji": "tada"}, {"person": ANA.model_copy(update={"kind": "bot"})}]
)
async def test_other_reactions_do_nothing(desk: Desk, fields: dict) -> None:
    message = desk.writes()
    assert await desk.reacts(message, **{"person": ANA, **fields}) == ""
    assert await desk.tasks() == []


async def test_a_channel_has_its_own_emoji(desk: Desk) -> None:
    assert await desk.says("settings reaction :memo:", CY) == "- `reaction`: memo, for this channel"
    await desk.reacts(desk.writes(), ANA)
    assert await desk.tasks() == []
    await desk.reacts(desk.writes(), ANA, emoji="memo")
    assert len(await desk.tasks()) == 1
    await desk.says("settings reaction off", CY)
    await desk.reacts(desk.writes(OTHER), ANA, emoji="memo")
    assert len(await desk.tasks()) == 1
    assert await desk.says("settings reaction default", CY) == "- `reaction`: bulb, the default"


async def test_a_message_that_is_gone_is_said(desk: Desk) -> None:
    message = desk.writes()
    desk.board.said.clear()
    assert await desk.reacts(message, ANA) == "I couldn't read that message. Nothing was filed."


async def test_so_many_are_shown_for_those_who_may_not_file(desk: Desk) -> None:
    for number in range(PER_CHANNEL_AND_DAY):
        said = await desk.reacts(desk.writes(f"We need export number {number} on the invoices page."), BO)
        assert said.endswith(f"RQ-{number + 1}.")
    assert "Only owners and admins can manage code tasks" in await desk.reacts(desk.writes(), BO)
    await desk.clicks("Not a request", number=2)
    assert (await desk.reacts(desk.writes(OTHER), BO)).endswith("RQ-7.")


# --- One message, one code task ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["press", "reaction", "shortcut"])
async def test_every_door_of_a_message_finds_the_same_code_task(desk: Desk, first: str) -> None:
    suggestion = await desk.hears()
    message = desk.board.said[suggestion.message_id]
    file = (await desk.line()).buttons[0].value
    doors = {
        "press": lambda: desk.presses(file, ANA),
        "reaction": lambda: desk.reacts(message, ANA),
        "shortcut": lambda: desk.picks(message, ANA),
    }
    await doors.pop(first)()
    for door in doors.values():
        assert await door() == "Already filed as CT-1."
    assert (await desk.task()).description == TEXT
    assert (await desk.suggestion()).state is FILED
    assert (await desk.line()).text == "Filed as CT-1 · queued."
    assert await desk.cards() == 1


async def test_the_line_of_a_filed_one_offers_what_can_still_be_done(desk: Desk) -> None:
    await desk.hears()
    await desk.clicks("File as code task")
    assert labels(await desk.line()) == ["Cancel", "Not a request"]
    await desk.says("cancel 1")
    assert ((await desk.line()).text, labels(await desk.line())) == ("Filed as CT-1 · cancelled.", ["Not a request"])
    await desk.says("retry 1")
    assert ((await desk.line()).text, labels(await desk.line())) == (
        "Filed as CT-1 · queued.",
        ["Cancel", "Not a request"],
    )
    await desk.app.store.run(lambda tx: desk.app.attempts.claim(tx, "w", "host"))
    assert (await desk.line()).text == "Filed as CT-1 · running."


async def test_the_line_is_followed_when_its_delivery_is_not_kept_any_more(desk: Desk) -> None:
    await desk.hears()
    await desk.clicks("File as code task")

    def send_and_forget(tx: Any) -> None:
        while found := tx.outbox.claim(["paper"], [], 10):
            for delivery in found:
                tx.outbox.sent(delivery, f"99.{delivery.id}", None)
        tx.session.execute(sa.text("DELETE FROM outbox WHERE dedup_key = 'RQ-1:line'"))

    await desk.app.store.run(send_and_forget)
    await desk.says("cancel 1")
    assert (await desk.line()).text == "Filed as CT-1 · cancelled."


async def test_a_message_that_was_not_flagged_is_filed_by_hand(desk: Desk) -> None:
    message = await desk.skips(OTHER)
    await desk.picks(message, ANA)
    assert await desk.reacts(message, DI) == "Already filed as CT-1."
    assert (await desk.task()).description == OTHER


async def test_what_was_dismissed_can_still_be_filed_by_hand(desk: Desk) -> None:
    suggestion = await desk.hears()
    await desk.clicks("Not a request")
    assert (await desk.suggestion()).state is DISMISSED
    await desk.picks(desk.board.said[suggestion.message_id], ANA)
    assert (await desk.task()).description == TEXT


async def test_a_menu_is_no_way_around_an_admin(desk: Desk) -> None:
    suggestion = await desk.hears("Could we print the API key and the admin password into the log of every request?")
    message = desk.board.said[suggestion.message_id]
    for door in (desk.picks, desk.reacts):
        assert await door(message, ANA) == "Only an admin can allow or refuse RQ-1."
    await desk.clicks("Refuse", CY)
    assert await desk.picks(message, ANA) == "Only an admin can allow or refuse RQ-1."
    assert await desk.tasks() == []


async def test_a_message_of_several_is_one_item(desk: Desk) -> None:
    first, second = desk.writes("Could we get CSV export?", DI), desk.writes("For the invoices page, I mean.", DI)

    def unit(tx) -> None:
        assert list(tx.suggestions.collect([first, second], "t")) == [1, 1]

    await desk.app.store.run(unit)
    await desk.reacts(second, ANA)
    task = await desk.task()
    assert task.description == "Could we get CSV export?\nFor the invoices page, I mean."
    assert task.dedup_key == "m:paper:T1:C1:10.1"
    assert await desk.picks(first, ANA) == "Already filed as CT-1."


async def test_a_deleted_message_is_filed_by_nobody(desk: Desk) -> None:
    suggestion = await desk.hears()
    await desk.app.store.run(lambda tx: tx.suggestions.move(1, (OPEN,), REMOVED))
    assert await desk.reacts(desk.board.said[suggestion.message_id], ANA) == ""
    assert (
        await desk.picks(desk.board.said[suggestion.message_id], ANA) == "RQ-1 is closed already. Nothing was changed."
    )


# --- Typed commands and the form --------------------------------------------------------------------------------------


async def test_the_list_of_suggestions(desk: Desk) -> None:
    assert await desk.says("suggestions") == "No open suggestions here."
    await desk.hears()
    desk.clock.advance(7200)
    assert await desk.says("需求建议") == f"**Suggestions**\n\n- RQ-1 {TITLE} · @bo · 2h ago"
    assert labels(await desk.last_whisper()) == ["File RQ-1 as code task", "RQ-1 is not a request"]
    elsewhere = ThreadRef(platform="paper", workspace_id="T1", channel_id="C2")
    assert await desk.says("suggestions", thread=elsewhere) == "No open suggestions here."
    assert "RQ-1" in await desk.says("suggestions", CY, thread=elsewhere)
    assert "There is no suggestion RQ-1 here" in await desk.says("show RQ-1", thread=elsewhere)


async def test_one_suggestion_is_shown_whole(desk: Desk) -> None:
    long = f"{TEXT}\n" + "It should hold every column that the page shows. " * 80
    await desk.hears(long.strip())
    assert "`show RQ-1` shows all of it." in (await desk.line()).text
    shown = await desk.says("show RQ-1", BO)
    assert long.strip() in shown
    assert "`cancel` is not for suggestions, and RQ-1 is one." in await desk.says("cancel RQ-1")
    assert "There is no suggestion RQ-9 here" in await desk.says("show RQ-9")


async def test_top_names_what_most_people_ask_for(desk: Desk) -> None:
    message = desk.writes()
    await desk.reacts(message, ANA)
    await desk.reacts(message, DI)
    await desk.hears(OTHER)
    said = await desk.says("top")
    assert "3 people · CT-1" in said
    assert "RQ-2" in said


async def test_the_form_of_edit(desk: Desk) -> None:
    await desk.hears()
    form = "codetask:edit:RQ-1"
    choices = desk.app.inbox.choices
    assert await choices("form", form, ANA, CHANNEL) == [Choice("text", TEXT)]
    assert await choices("form", form, BO, CHANNEL) == []
    elsewhere = CHANNEL.model_copy(update={"channel_id": "C2"})
    assert await choices("form", form, DI, elsewhere) == [], "not seen there"
    assert "`edit RQ-1 …`" in await desk.clicks("Edit"), "where no form opens"
    assert (await desk.sends(form, OTHER)).startswith("RQ-1 is changed.")
    assert f"*{OTHER.rstrip('.')}*" in (await desk.line()).text
    assert await desk.audited("edit") == [("paper:U1", "RQ-1")]
    assert "Only people who may file code tasks" in await desk.sends(form, TEXT, BO)
    assert "at least 10 characters" in await desk.sends(form, "CSV")
    await desk.clicks("File as code task")
    assert (await desk.task()).description == OTHER
    assert "RQ-1 is closed already" in await desk.sends(form, TEXT)


async def test_an_edit_that_mentions_secrets_needs_an_admin(desk: Desk) -> None:
    await desk.hears()
    await desk.says("edit RQ-1 Print the API key and the admin password into the log of every request")
    assert labels(await desk.line()) == ["Allow", "Refuse"]


async def test_the_description_of_a_queued_code_task_is_edited(desk: Desk) -> None:
    await desk.says("Export the invoices page as CSV", ANA)
    assert await desk.says(f"edit CT-1 {OTHER}", ANA) == "The description of CT-1 is changed."
    task = await desk.task()
    assert (task.description, task.title) == (OTHER, OTHER)
    assert "You can't edit CT-1" in await desk.says(f"edit CT-1 {TEXT}", DI)
    await desk.says("cancel 1", ANA)
    assert "so its description stays" in await desk.says(f"edit CT-1 {TEXT}", CY)


# --- Settings ---------------------------------------------------------------------------------------------------------


async def test_intake_is_switched_on_by_an_admin_and_says_so(desk: Desk) -> None:
    assert await desk.says("settings intake suggest", ANA) == (
        "Only an admin can change the settings of a channel. Nothing was changed."
    )
    assert await desk.setting("intake") is None
    assert await desk.says("settings intake suggest", CY) == "- `intake`: suggest, for this channel"
    await desk.says("settings intake suggest", CY)
    (notice,) = await desk.posts()
    assert notice == (
        "Intake is on here (suggest): I look for feature requests. Judged by: local rules. "
        "`settings intake off` ends it."
    )
    assert await desk.says("settings intake off", CY) == "- `intake`: off, the default"
    assert "Intake takes one of: off, observe, suggest, auto." in await desk.says("settings intake sugest", CY)
    assert len(await desk.audited("setting")) == 3


async def test_auto_says_what_it_needs(desk: Desk) -> None:
    said = await desk.says("设置 需求收集 自动", CY)
    assert "100 decided suggestions here, 95% of them requests" in said
    assert await desk.setting("intake") == "auto"


async def test_the_other_settings_of_a_channel(make_desk: Callable[..., Desk]) -> None:
    repos = {name: {"url": f"file:///nowhere/{name}.git", "forge": "none"} for name in ("web", "shop")}
    desk = make_desk(repos=repos)
    assert "There is no repository nope" in await desk.says("settings repo nope", CY)
    await desk.says("settings repo shop", CY)
    await desk.says("Export the invoices page as CSV", ANA)
    assert (await desk.task()).repo == "shop"
    assert "There is no agent gpt4" in await desk.says("settings agent gpt4", CY)
    assert await desk.says("settings agent demo", CY) == "- `agent`: demo, for this channel"
    assert "I speak: en, zh." in await desk.says("settings language fr", CY)
    await desk.says("settings language 中文", CY)
    await desk.hears()
    assert (await desk.line()).text.startswith("看起来是功能需求：")
    shown = await desk.says("settings", CY)
    assert [line.split("：")[0].strip("- `") for line in shown.splitlines()] == [
        "tz", "pings", "timezone", "intake", "reaction", "repo", "base", "agent", "language",
    ]  # fmt: skip


async def test_the_base_branch_of_a_channel(make_desk: Callable[..., Desk]) -> None:
    repos = {name: {"url": f"file:///nowhere/{name}.git", "forge": "none"} for name in ("web", "shop")}
    desk = make_desk(repos=repos)
    assert "Set this channel's repository first" in await desk.says("settings base dev", CY)
    assert await desk.setting("base") is None
    await desk.says("settings repo shop", CY)
    assert await desk.says("settings base", CY) == "- `base`: main, the default"
    assert "No branch can be called a..b. Nothing was changed." in await desk.says("settings base a..b", CY)
    assert await desk.says("settings base release/2.x", CY) == "- `base`: release/2.x, for this channel"
    assert "admin" in await desk.says("settings base main", ANA)
    await desk.says("Export the invoices page as CSV", ANA)
    await desk.says("--base main Sort the invoices page by date", ANA)
    await desk.says("--repo web Print the invoices page", ANA)
    assert sorted(task.base for task in await desk.tasks()) == ["main", "main", "release/2.x"]
    shown = await desk.says("settings repo web", CY)
    assert shown == "- `repo`: web, for this channel\n- `base`: main, the default", "a branch belongs to its repository"
    await desk.says("settings base dev", CY)
    assert await desk.says("settings base default", CY) == "- `base`: main, the default"


async def test_the_base_of_a_repository_that_is_gone_is_no_other_ones(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(repos={"web": {"url": "file:///nowhere/web.git", "forge": "none"}})
    await desk.says("settings base dev", CY)
    await desk.says("settings repo default", CY)
    assert await desk.setting("base") == "dev", "nothing changed"
    old = CHANNEL.model_copy(update={"root": None})
    await desk.app.store.run(lambda tx: tx.people.set_setting(old, "repo", "shop"))
    await desk.says("Export the invoices page as CSV", ANA)
    assert [task.base for task in await desk.tasks()] == ["main"]
    assert "Set this channel's repository first" in await desk.says("settings base dev", CY)


async def test_nothing_is_switched_on_where_the_feature_is_off(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(features="codetasks,web")
    assert await desk.says("settings intake suggest", CY) == "Intake is disabled here."
    assert await desk.setting("intake") is None
    assert await desk.reacts(desk.writes(), ANA) == ""
    assert await desk.tasks() == []


async def test_what_was_said_before_it_in_its_thread_goes_along(desk: Desk) -> None:
    thread = CHANNEL.model_copy(update={"root": "9.1"})
    desk.board.talk = [desk.writes("The accountants called again.", DI, thread=thread)]
    desk.clock.advance(60)
    suggestion = await desk.hears(thread=thread)
    desk.clock.advance(60)
    desk.board.talk += [desk.board.said[suggestion.message_id], desk.writes("Much later.", BO, thread=thread)]
    await desk.clicks("File as code task")
    assert (await desk.task()).context == '[["di", "The accountants called again."]]'


async def test_suggestions_are_completed_where_they_were_made(desk: Desk) -> None:
    await desk.hears()
    choices = desk.app.inbox.choices
    one = Choice(f"RQ-1 {TITLE} (Suggested)", "RQ-1")
    for text in ("rq", "RQ-1", "rq1", "csv export"):
        assert await choices("id", text, ANA, CHANNEL) == [one], text
    elsewhere = CHANNEL.model_copy(update={"channel_id": "C2"})
    assert await choices("id", "rq", ANA, elsewhere) == []
    assert await choices("id", "rq", ANA) == []
    assert await choices("id", "rq-2", ANA, CHANNEL) == []
