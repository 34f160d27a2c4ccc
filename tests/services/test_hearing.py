"""Channels that are not listed: one private answer, and nothing is done."""

from typing import Any

import pytest

from bot.core.inbound import BotAdded, Person, Reaction, ThreadRef
from bot.core.people import channel_is_heard
from bot.core.texts import Texts
from tests.services.follow_up_desk import ANA, CHANNEL, CY, Desk, make_desk  # noqa: F401
from tests.stores import only_sqlite

LISTED = CHANNEL.model_copy(update={"channel_id": "C7"})
TALK = CHANNEL.model_copy(update={"channel_id": "D1"})
UNHEARD = Texts.load().say("refused.channel_unheard_nobody")


@pytest.mark.parametrize(
    ("listed", "channel", "direct", "heard"),
    [
        ("", "C1", False, True),
        ("C1", "C1", False, True),
        ("slack:C1", "C1", False, True),
        ("slack:T1:C1", "C1", False, True),
        ("discord:C1", "C1", False, False),
        ("slack:T2:C1", "C1", False, False),
        ("C2 C3", "C1", False, False),
        ("c1", "C1", False, False),
        ("dm", "C1", False, False),
        ("dm", "D1", True, True),
        ("slack:dm", "D1", True, True),
        ("slack:T1:dm", "D1", True, True),
        ("lark:dm", "D1", True, False),
        ("C1", "D1", True, False),
        ("D1", "D1", True, True),
        ("C1", "", False, False),
    ],
)
def test_how_channels_are_listed(listed: str, channel: str, direct: bool, heard: bool) -> None:
    where = ThreadRef(platform="slack", workspace_id="T1", channel_id=channel)
    assert channel_is_heard(listed.split(), where, direct=direct) == heard


@only_sqlite
async def test_commands_presses_and_forms_are_turned_away_once_each(make_desk: Any) -> None:  # noqa: F811
    desk: Desk = make_desk(channels="C7 dm")
    said = [
        await desk.says("Fix the login redirect", command="codetask"),
        await desk.says("in 2h check the deploy"),
        await desk.presses("codetask:cancel:CT-1"),
        await desk.sends("codetask:retry_note:CT-1", note="look again"),
    ]
    assert [doc.text for doc in said] == [UNHEARD] * 4
    assert len(await desk.whispers()) == 4 and await desk.tasks() == 0 and await desk.all() == []
    await desk.writes("could we get a CSV export on invoices?", thread=CHANNEL)
    assert len(await desk.whispers()) == 4, "nobody spoke to the bot"


@only_sqlite
async def test_listed_channels_and_talks_are_heard(make_desk: Any) -> None:  # noqa: F811
    desk: Desk = make_desk(channels="C7 dm")
    await desk.says("Fix the login redirect", command="codetask", thread=LISTED)
    await desk.says("Fix the footer of the page", command="codetask", thread=TALK, direct=True)
    assert await desk.tasks() == 2


@only_sqlite
async def test_a_talk_is_remembered_where_a_button_does_not_tell(make_desk: Any) -> None:  # noqa: F811
    desk: Desk = make_desk(channels="dm")
    press = "codetask:cancel:CT-1"
    desk_talk = desk._base
    desk._base = lambda person, _: desk_talk(person, TALK)  # type: ignore[method-assign]
    assert (await desk.presses(press)).text == UNHEARD
    await desk.says("Fix the footer of the page", command="codetask", direct=True)
    await desk.presses(press)
    assert (await desk.rows("SELECT stage FROM code_task")) == [("failed",)]


@only_sqlite
async def test_the_emoji_that_files_is_answered_and_no_other(make_desk: Any) -> None:  # noqa: F811
    desk: Desk = make_desk(channels="C7")

    async def react(emoji: str, added: bool = True, person: Person = ANA) -> int:
        desk.count += 1
        told = {**desk._base(person, CHANNEL), "key": f"A1:r:{desk.count}", "message_id": "17.1"}
        await desk.handle(Reaction(**told, emoji=emoji, added=added))
        return len(await desk.whispers())

    assert [await react("eyes"), await react("bulb", added=False), await react("bulb")] == [0, 0, 1]
    assert (await desk.last_whisper()).text == UNHEARD


@only_sqlite
async def test_the_bot_does_not_offer_itself_where_it_is_not_used(make_desk: Any) -> None:  # noqa: F811
    desk: Desk = make_desk(channels="C7")

    async def added(place: ThreadRef) -> list[Any]:
        desk.count += 1
        told = {name: value for name, value in desk._base(ANA, place).items() if name != "person"}
        await desk.handle(BotAdded(**told, key=f"A1:a:{desk.count}"))
        return await desk.rows("SELECT body FROM outbox WHERE kind = 'post'")

    assert await added(CHANNEL) == []
    assert len(await added(LISTED)) == 1


@only_sqlite
async def test_admins_are_heard_in_their_channel_and_bound_elsewhere(make_desk: Any) -> None:  # noqa: F811
    desk: Desk = make_desk(channels="C7", admin_channel="slack:T1:C9")
    await desk.says("Fix the login redirect", CY, CHANNEL, command="codetask")
    assert await desk.tasks() == 0
    await desk.says("Fix the login redirect", CY, CHANNEL.model_copy(update={"channel_id": "C9"}), command="codetask")
    assert await desk.tasks() == 1
