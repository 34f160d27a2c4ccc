"""Messages, threads, reactions and mentions on the Discord simulator, with the real discord.py."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import aiohttp
import discord
import pytest

from platforms.discord.simulator import DiscordSimulator, buttons
from tests.platforms.discord.simulator_rig import Bot, logged_in, use_simulator


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Iterator[DiscordSimulator]:
    with DiscordSimulator(seed=5) as simulator:
        use_simulator(monkeypatch, simulator)
        yield simulator
        assert simulator.surprises == []


@pytest.fixture
async def bot(sim: DiscordSimulator) -> AsyncIterator[Bot]:
    async with logged_in(sim) as client:
        yield client


class Card(discord.ui.LayoutView):
    """What the adapter's cards are made of."""

    def __init__(self, text: str = "**Add dark mode**") -> None:
        super().__init__(timeout=None)
        row: discord.ui.ActionRow[Card] = discord.ui.ActionRow(
            discord.ui.Button(label="Cancel CT-42", custom_id="codetask:cancel:CT-42"),
            discord.ui.Button(label="Pull request", url="https://example.com/pull/7"),
        )
        body: discord.ui.Container[Card] = discord.ui.Container(
            discord.ui.TextDisplay(text),
            discord.ui.Separator(),
            discord.ui.TextDisplay("queued"),
            row,
            accent_color=255,
        )
        self.add_item(body)


async def test_a_card_is_posted_edited_and_read_back(sim: DiscordSimulator, bot: Bot) -> None:
    place = bot.place("dev")
    sent = await place.send(
        view=Card(), nonce="k234567abcdefghijklmnop", allowed_mentions=discord.AllowedMentions.none()
    )
    (stored,) = sim.sent
    assert stored.id == str(sent.id)
    assert sim.render_text(stored) == "**Add dark mode**\n\nqueued\n[Cancel CT-42] [Pull request]"
    assert [(b.label, b.custom_id, b.url) for b in buttons(stored)] == [
        ("Cancel CT-42", "codetask:cancel:CT-42", ""),
        ("Pull request", "", "https://example.com/pull/7"),
    ]
    await sent.edit(view=Card("**Add a dark mode**"))
    assert (await place.fetch_message(sent.id)).edited_at is not None
    assert [version.components[0]["components"][0]["content"] for version in stored.history] == [
        "**Add dark mode**",
        "**Add a dark mode**",
    ]
    await sent.delete()
    assert stored.deleted


async def test_the_same_nonce_within_minutes_is_the_same_message(sim: DiscordSimulator, bot: Bot) -> None:
    place = bot.place("dev")
    one = await place.send("once", nonce="abc")
    again = await place.send("once", nonce="abc")
    assert (one.id, len(sim.sent)) == (again.id, 1)
    assert sim.calls("create_message")[0].arguments["enforce_nonce"] is True
    sim.advance(timedelta(minutes=6))
    assert (await place.send("once", nonce="abc")).id != one.id


async def test_a_dropped_post_is_stored_once(sim: DiscordSimulator, bot: Bot) -> None:
    sim.fail_next("create_message", drop_after_commit=True)
    with pytest.raises(aiohttp.ClientError):
        await bot.http.request(
            discord.http.Route("POST", "/channels/{channel_id}/messages", channel_id=sim.channel("dev").id),
            json={"content": "once", "nonce": "n1", "enforce_nonce": True},
        )
    await bot.place("dev").send("once", nonce="n1")
    assert len(sim.sent) == 1


async def test_history_pages_are_newest_first(sim: DiscordSimulator, bot: Bot) -> None:
    said = [sim.user_says("ana", f"m{n}", "dev") for n in range(7)]
    place = bot.place("dev")
    pages = {
        "before": await bot.http.logs_from(place.id, 3, before=int(said[5].id)),
        "after": await bot.http.logs_from(place.id, 3, after=int(said[1].id)),
        "around": await bot.http.logs_from(place.id, 3, around=int(said[3].id)),
        "latest": await bot.http.logs_from(place.id, 2),
    }
    assert {name: [m["content"] for m in page] for name, page in pages.items()} == {
        "before": ["m4", "m3", "m2"],
        "after": ["m4", "m3", "m2"],
        "around": ["m4", "m3", "m2"],
        "latest": ["m6", "m5"],
    }
    assert [m.content async for m in place.history(oldest_first=True)] == [m.text for m in said]


async def test_threads_from_a_message_and_without_one(sim: DiscordSimulator, bot: Bot) -> None:
    root = sim.user_says("ana", "please", "dev")
    made: dict[str, Any] = dict(
        await bot.http.start_thread_with_message(
            int(sim.channel("dev").id), int(root.id), name="Add dark mode", auto_archive_duration=1440
        )
    )
    assert (made["id"], made["parent_id"]) == (root.id, sim.channel("dev").id)
    await bot.get_partial_messageable(int(root.id)).send("Working on it.")
    assert [m.text for m in sim.thread(root)] == ["please", "Working on it."]
    other: Any = await bot.http.start_thread_without_message(
        int(sim.channel("dev").id), name="Loose", auto_archive_duration=60, type=11
    )
    assert [thread.name for thread in sim.threads] == ["Add dark mode", "Loose"]
    active = await bot.http.get_active_threads(int(sim.guild_id))
    assert [t["id"] for t in active["threads"]] == [root.id, other["id"]]
    sim.archives_thread(other["id"])
    archived = await bot.http.get_public_archived_threads(int(sim.channel("dev").id))
    assert [t["id"] for t in archived["threads"]] == [other["id"]]
    members: Any = await bot.http.get_thread_members(int(root.id))
    assert [m["user_id"] for m in members] == [sim.bot_user_id]


async def test_writing_in_an_archived_thread_reopens_it(sim: DiscordSimulator, bot: Bot) -> None:
    thread = sim.starts_thread("ana", sim.user_says("ana", "please", "dev"))
    sim.archives_thread(thread)
    await bot.get_partial_messageable(int(thread.id)).send("Done.")
    assert thread.archived is False
    sim.archives_thread(thread)
    await bot.http.edit_channel(int(thread.id), archived=False)
    assert thread.archived is False


@pytest.mark.parametrize(
    ("allowed", "pinged"),
    [
        (None, {"bo"}),
        ({"parse": []}, set()),
        ({"parse": [], "users": ["bo"]}, {"bo"}),
        ({"parse": ["users"]}, {"bo", "cy"}),
        ({"parse": ["everyone"]}, set()),
    ],
    ids=["absent", "none", "one", "users", "everyone without the permission"],
)
async def test_only_allowed_mentions_notify(sim: DiscordSimulator, bot: Bot, allowed: Any, pinged: set[str]) -> None:
    bo, cy = sim.user("bo").id, sim.user("cy").id
    text = f"<@{bo}> @everyone" + ("" if allowed is None else f" <@{cy}>")
    body: dict[str, Any] = {"content": text}
    if allowed is not None:
        body["allowed_mentions"] = {**allowed, **({"users": [bo]} if "users" in allowed else {})}
    await bot.http.request(
        discord.http.Route("POST", "/channels/{channel_id}/messages", channel_id=sim.channel("dev").id), json=body
    )
    assert sim.pings(sim.sent[0]) == pinged


async def test_a_text_display_notifies_and_an_edit_does_not(sim: DiscordSimulator, bot: Bot) -> None:
    bo = sim.user("bo")
    one = discord.AllowedMentions(users=[discord.Object(int(bo.id))], everyone=False, roles=False)
    sent = await bot.place("dev").send(view=Card(f"<@{bo.id}>"), allowed_mentions=one)
    assert sim.pings(sim.sent[0]) == {"bo"}
    await sent.edit(view=Card(f"<@{sim.user('cy').id}>"), allowed_mentions=discord.AllowedMentions.all())
    assert sim.pings(sim.sent[0]) == {"bo"}


async def test_reactions(sim: DiscordSimulator, bot: Bot) -> None:
    said = sim.user_says("ana", "please", "dev")
    message = bot.place("dev").get_partial_message(int(said.id))
    await message.add_reaction("👀")
    await message.add_reaction("👀")
    sim.reacts("bo", said, "👀")
    users: Any = await bot.http.get_reaction_users(int(said.channel), int(said.id), "👀", 25)
    assert [user["id"] for user in users] == sorted([sim.bot_user_id, sim.user("bo").id], key=int)
    assert bot.user is not None
    await message.remove_reaction("👀", bot.user)
    assert said.reactions == {"👀": [sim.user("bo").id]}
    assert [(r.user, r.added) for r in sim.reactions] == [
        (sim.bot_user_id, True),
        (sim.user("bo").id, True),
        (sim.bot_user_id, False),
    ]


async def test_direct_messages(sim: DiscordSimulator, bot: Bot) -> None:
    user = await bot.fetch_user(int(sim.user("cy").id))
    await user.send("只有你能看到")
    assert [m.text for m in sim.said_in(sim.direct("cy"))] == ["只有你能看到"]
    assert sim.pings(sim.sent[0]) == {"cy"}


async def test_multipart_bodies_are_read(sim: DiscordSimulator, bot: Bot) -> None:
    await bot.http.request(
        discord.http.Route("POST", "/channels/{channel_id}/messages", channel_id=sim.channel("dev").id),
        form=[{"name": "payload_json", "value": '{"content":"in parts"}', "content_type": "application/json"}],
    )
    assert sim.sent[0].text == "in parts"


async def test_who_and_where(sim: DiscordSimulator, bot: Bot) -> None:
    application = await bot.application_info()
    assert application.flags.gateway_message_content_limited
    assert application.interactions_endpoint_url is None
    guild = await bot.fetch_guild(int(sim.guild_id))
    assert (guild.name, str(guild.owner_id)) == ("Tidepool", sim.user("ana").id)
    gus = await guild.fetch_member(int(sim.user("gus").id))
    assert (gus.flags.guest, gus.guild_permissions.add_reactions) == (True, False)
    assert [channel.name for channel in await guild.fetch_channels()] == ["general", "dev", "lounge"]
    assert [role.name for role in await guild.fetch_roles()] == ["@everyone", "Members", "Guests", "Codetask"]
    gateway: Any = await bot.http.get_bot_gateway()
    assert gateway[2]["remaining"] == 1000
