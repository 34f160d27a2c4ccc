"""Where things are in Discord: forums, locked threads, channels that are gone."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from bot.core.cards import Doc
from bot.core.inbound import Command, Message, MessageDeleted, MessageRef, Reaction, ThreadRef
from bot.ports import NotAllowed
from platforms.discord.commands import Intake
from platforms.discord.places import Places
from platforms.discord.simulator import DiscordSimulator, StoredMessage
from tests.platforms.discord.rig import HEARTBEAT, Rig, posted, rigged
from tests.platforms.discord.test_adapter import CARD, KEY, WISH


@pytest.fixture
def simulator() -> Iterator[DiscordSimulator]:
    with DiscordSimulator(heartbeat=HEARTBEAT) as sim:
        yield sim


@pytest.fixture
async def rig(simulator: DiscordSimulator) -> AsyncIterator[Rig]:
    async with rigged(simulator) as rig:
        yield rig


def posts_in_forum(simulator: DiscordSimulator, who: str, text: str) -> tuple[StoredMessage, ThreadRef]:
    """A forum with one post: its first message has the thread's id and is in the thread."""
    world, people = simulator._world, simulator._people

    def make() -> tuple[StoredMessage, str]:
        forum = world.add_channel("ideas", 15)
        people.channels.events.channel("CHANNEL_CREATE", forum)
        id, user = world.ids.snowflake(), world.find_user(who)
        thread = world.add_channel(text[:20], 11, id=id, parent_id=forum.id, owner_id=user.id, members={user.id})
        people.channels.events.thread_created(thread)
        message = StoredMessage(id, thread.id, user.id, text, world.clock.now())
        message.remember(message.at)
        world.store(message)
        people.channels.events.posted(message)
        return message, forum.id

    message, forum = simulator._do(make)
    place = ThreadRef(
        platform="discord", workspace_id=simulator.guild_id, channel_id=forum, root=message.id, native=message.id
    )
    return message, place


async def test_the_first_message_of_a_forums_post_is_in_the_post(rig: Rig) -> None:
    post, place = posts_in_forum(rig.simulator, "bo", f"<@{rig.simulator.bot_user_id}> {WISH}")
    (event,) = await rig.seen()
    assert isinstance(event, Command)
    assert (event.thread, event.message_id, event.text) == (place, post.id, WISH)
    message = MessageRef(thread=event.thread, message_id=post.id)
    assert await rig.platform.react(message, "seen", True, KEY) == message
    assert [(one.message, one.name) for one in rig.simulator.reactions] == [(post.id, "👀")]
    assert await rig.platform.permalink(message) == (
        f"https://discord.com/channels/{rig.simulator.guild_id}/{post.id}/{post.id}"
    )
    card = posted(await rig.platform.post(event.thread, CARD, KEY))
    assert card.thread == place
    posted(await rig.platform.edit(card, CARD, "b" * 24))
    rig.simulator.reacts("ana", post, "🤖")
    (_, reaction) = await rig.seen(2)
    assert isinstance(reaction, Reaction)
    assert (reaction.thread, reaction.message_id) == (place, post.id)


async def test_what_was_missed_in_a_forum_is_read_later(rig: Rig) -> None:
    start = rig.simulator.clock.now() - timedelta(seconds=5)
    post, place = posts_in_forum(rig.simulator, "bo", WISH)
    found = await rig.platform.channels()
    assert isinstance(found, list)
    assert place in found
    assert not [one for one in found if one.channel_id == place.channel_id and one.root is None]
    told = await rig.platform.history(place, start, 10)
    assert isinstance(told, list)
    assert [past.message.message_id for past in told] == [post.id]


async def test_a_locked_thread_is_named_as_what_it_is(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    thread = rig.simulator.starts_thread("bo", root)
    rig.simulator.archives_thread(thread.id, locked=True)
    told = await rig.platform.post(rig.place("dev", root.id, root.id), Doc(text="x"), KEY)
    assert isinstance(told, NotAllowed)
    assert "locked" in told.fix


def test_a_deleted_channel_is_never_one_the_bot_came_to() -> None:
    places = Places()
    places.ready({"user": {"id": "9"}, "guilds": [{"id": "1"}]})
    role = {"id": "1", "permissions": "0"}
    channels = [{"id": id, "type": 0} for id in ("2", "3")]
    assert places.learn("GUILD_CREATE", {"id": "1", "roles": [role], "channels": channels}) == []
    places.learn("CHANNEL_DELETE", {"id": "2", "guild_id": "1"})
    opened = {"guild_id": "1", "role": {"id": "1", "permissions": str((1 << 10) | (1 << 11))}}
    assert places.learn("GUILD_ROLE_UPDATE", opened) == ["3"]


async def test_a_refused_token_says_nothing_about_where_a_thread_is(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    thread = rig.simulator.starts_thread("bo", root)
    intake: Intake = rig.platform.intake
    intake.places = Places()
    rig.simulator.fail_next("get_channel", status=401)
    await intake.place_of(thread.id, rig.simulator.guild_id)
    assert await intake.place_of(thread.id, rig.simulator.guild_id) == {"type": 11, "parent_id": root.channel}


async def test_everything_from_a_server_tells_its_language(rig: Rig) -> None:
    places, guild = rig.platform.intake.places, rig.simulator.guild_id
    await rig.simulator.wait_for(lambda: guild in places._guilds)
    rig.platform.intake.hear(
        "GUILD_UPDATE", {"id": rig.simulator.guild_id, "preferred_locale": "zh-CN", "features": ["COMMUNITY"]}
    )
    rig.simulator.user_mentions("ana", WISH, "dev")
    (event,) = await rig.seen()
    assert event.workspace_locale == "zh-CN"


async def test_what_could_not_be_stored_at_once_stays_before_what_came_later(rig: Rig) -> None:
    rig.inbox.down = True
    first = rig.simulator.user_mentions("ana", WISH, "dev")
    await rig.inbox.until(lambda: rig.platform.intake._behind)
    rig.inbox.down = False
    later = [rig.simulator.user_mentions("ana", f"{WISH} {number}", "dev") for number in range(3)]
    elsewhere = rig.simulator.user_mentions("ana", WISH, "general")
    events = [event for event in await rig.seen(5) if isinstance(event, Command)]
    assert events[0].message_id == elsewhere.id
    assert [event.message_id for event in events[1:]] == [first.id, *(one.id for one in later)]
    await rig.inbox.until(lambda: not rig.platform.intake._behind)


async def test_a_thread_is_looked_up_once_for_all_that_is_said_in_it(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    thread = rig.simulator.starts_thread("bo", root)
    await rig.seen()
    await rig.simulator.wait_for(lambda: rig.platform.intake.places.place_of(thread.id) is not None)
    rig.platform.intake.places = Places()
    path = f"/channels/{thread.id}"
    said = [rig.simulator.user_says("bo", f"word {number}", thread.id) for number in range(5)]
    events = (await rig.seen(6))[1:]
    assert [event.message_id for event in events if isinstance(event, Message)] == [one.id for one in said]
    assert {event.thread.native for event in events if isinstance(event, Message)} == {thread.id}
    assert [call.path for call in rig.simulator.calls("get_channel") if call.path == path] == [path]


async def test_messages_deleted_together_are_told_one_by_one(rig: Rig) -> None:
    ids = [str(1_300_000_000_000_000_000 + number) for number in range(3)]
    where = {"channel_id": rig.place().channel_id, "guild_id": rig.simulator.guild_id}
    rig.platform.intake.hear("MESSAGE_DELETE_BULK", {**where, "ids": ids})
    rig.platform.intake.hear("MESSAGE_DELETE_BULK", {**where, "ids": 7})
    gone = [event for event in await rig.seen(3) if isinstance(event, MessageDeleted)]
    assert sorted(event.message_id for event in gone) == ids
    assert {event.thread.channel_id for event in gone} == {where["channel_id"]}
