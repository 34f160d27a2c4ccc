"""The Discord simulator refuses what Discord refuses, with Discord's codes."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import aiohttp
import discord
import pytest

from platforms.discord.simulator import INVITE_PERMISSIONS, Channel, DiscordSimulator, Permission
from tests.platforms.discord.simulator_rig import Bot, logged_in, refusal, use_simulator

V2 = 1 << 15


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Iterator[DiscordSimulator]:
    with DiscordSimulator(seed=5) as simulator:
        use_simulator(monkeypatch, simulator)
        yield simulator


@pytest.fixture
async def bot(sim: DiscordSimulator) -> AsyncIterator[Bot]:
    async with logged_in(sim) as client:
        yield client


async def ask(bot: Bot, verb: str, path: str, body: Any = None) -> Any:
    options = {} if body is None else {"json": body}
    return await bot.http.request(discord.http.Route(verb, path), **options)


async def post(bot: Bot, body: Any, where: str = "dev") -> Any:
    return await ask(bot, "POST", f"/channels/{bot.sim.channel(where).id}/messages", body)


def button(**fields: Any) -> dict[str, Any]:
    return {"type": 2, "style": 2, "label": "Go", "custom_id": "go", **fields}


def row(*components: dict[str, Any]) -> dict[str, Any]:
    return {"type": 1, "components": list(components)}


def shown(text: str) -> dict[str, Any]:
    return {"type": 10, "content": text}


LONG_BODIES: list[tuple[dict[str, Any], str, str]] = [
    ({"content": "x" * 2001}, "content", "BASE_TYPE_MAX_LENGTH"),
    ({"content": 5}, "content", "STRING_TYPE_CONVERT"),
    ({"content": "x", "nonce": "n" * 26}, "nonce", "BASE_TYPE_MAX_LENGTH"),
    ({"content": "x", "enforce_nonce": True}, "nonce", "BASE_TYPE_REQUIRED"),
    ({"content": "x", "flags": V2}, "content", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"),
    (
        {"components": [shown("x")], "embeds": [{"title": "t"}], "flags": V2},
        "embeds",
        "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
    ),
    ({"components": [shown("x")]}, "components/0/type", "UNION_TYPE_CHOICES"),
    (
        {"components": [shown("x" * 2500), shown("y" * 1501)], "flags": V2},
        "components",
        "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED",
    ),
    ({"components": [shown("x")] * 41, "flags": V2}, "components", "BASE_TYPE_BAD_LENGTH"),
    (
        {"components": [{"type": 17, "components": [shown("x")] * 40}], "flags": V2},
        "components",
        "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED",
    ),
    ({"components": [row(button(custom_id="c" * 101))]}, "components/0/components/0/custom_id", "BASE_TYPE_BAD_LENGTH"),
    ({"components": [row(button(label="l" * 81))]}, "components/0/components/0/label", "BASE_TYPE_MAX_LENGTH"),
    ({"components": [row(button(), button())]}, "components", "COMPONENT_CUSTOM_ID_DUPLICATED"),
    (
        {"components": [row(*(button(custom_id=str(n)) for n in range(6)))]},
        "components/0/components",
        "BASE_TYPE_BAD_LENGTH",
    ),
    ({"components": [row(button(style=5))]}, "components/0/components/0/url", "BASE_TYPE_REQUIRED"),
    (
        {"components": [row(button(style=5, custom_id=None, url="javascript:x"))]},
        "components/0/components/0/url",
        "URL_TYPE_INVALID_SCHEME",
    ),
    (
        {"components": [row(button(custom_id=None))]},
        "components/0/components/0/custom_id",
        "COMPONENT_CUSTOM_ID_REQUIRED",
    ),
    ({"components": [row(button(label=None))]}, "components/0/components/0/label", "BUTTON_COMPONENT_INVALID_LABEL"),
    ({"components": [row(button(colour=3))]}, "components/0/components/0/colour", "SIMULATOR_UNKNOWN_FIELD"),
    ({"content": "x", "allowed_mentions": {"parse": ["all"]}}, "allowed_mentions/parse/0", "BASE_TYPE_CHOICES"),
    (
        {"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
        "allowed_mentions",
        "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
    ),
    (
        {"content": "x", "message_reference": {"message_id": "1"}},
        "message_reference",
        "MESSAGE_REFERENCE_UNKNOWN_MESSAGE",
    ),
]


@pytest.mark.parametrize(("body", "path", "code"), LONG_BODIES)
async def test_a_body_that_discord_refuses(
    sim: DiscordSimulator, bot: Bot, body: dict[str, Any], path: str, code: str
) -> None:
    refused = await refusal(post(bot, body))
    assert (refused.status, refused.code) == (400, 50035)
    node = sim.calls("create_message")[0].answer["errors"]
    for part in path.split("/"):
        node = node[part]
    assert node["_errors"][0]["code"] == code
    assert sim.sent == []


@pytest.mark.parametrize(
    "body",
    [
        {"content": "x" * 2000, "nonce": "n" * 25, "enforce_nonce": True},
        {"components": [shown("x" * 2500), shown("y" * 1500)], "flags": V2},
        {"components": [{"type": 17, "components": [shown("x")] * 39}], "flags": V2},
        {"content": "x", "components": [row(button(label="l" * 80, custom_id="c" * 100))]},
    ],
)
async def test_a_body_at_the_limit_is_accepted(sim: DiscordSimulator, bot: Bot, body: dict[str, Any]) -> None:
    await post(bot, body)
    assert len(sim.sent) == 1


@pytest.mark.parametrize("body", [{}, {"content": "  "}, {"components": []}, []])
async def test_50006_nothing_to_send(bot: Bot, body: Any) -> None:
    assert (await refusal(post(bot, body))).code == 50006


async def test_components_v2_is_for_good(sim: DiscordSimulator, bot: Bot) -> None:
    sent = await post(bot, {"components": [shown("x")], "flags": V2})
    path = f"/channels/{sim.channel('dev').id}/messages/{sent['id']}"
    assert (await refusal(ask(bot, "PATCH", path, {"content": "plain again", "flags": 0}))).code == 50035
    await ask(bot, "PATCH", path, {"components": [shown("y")]})
    assert sim.sent[0].flags & V2


async def test_unknown_things(sim: DiscordSimulator, bot: Bot) -> None:
    dev = sim.channel("dev").id
    for verb, path, body, code in [
        ("GET", "/channels/1", None, 10003),
        ("GET", f"/channels/{dev}/messages/1", None, 10008),
        ("PATCH", f"/channels/{dev}/messages/1", {"content": "x"}, 10008),
        ("PUT", f"/channels/{dev}/messages/1/reactions/👀/@me", None, 10008),
        ("POST", f"/channels/{dev}/messages/1/threads", {"name": "x"}, 10008),
        ("GET", "/guilds/1", None, 10004),
        ("GET", "/users/1", None, 10013),
        ("GET", f"/guilds/{sim.guild_id}/members/1", None, 10013),
        ("POST", "/users/@me/channels", {"recipient_id": "1"}, 10013),
        ("GET", "/channels/word", None, 50035),
    ]:
        assert (await refusal(ask(bot, verb, path, body))).code == code, path
    assert sim.surprises == []


async def test_an_unknown_operation_is_404_and_a_surprise(sim: DiscordSimulator, bot: Bot) -> None:
    refused = await refusal(ask(bot, "GET", "/no/such/thing"))
    assert (refused.status, refused.code) == (404, 0)
    assert (await refusal(ask(bot, "DELETE", "/gateway/bot"))).status == 405
    await post(bot, {"content": "x", "colour": "red"})
    assert [s.what for s in sim.surprises] == ["unknown operation", "unknown operation", "unknown fields: colour"]


async def test_a_bad_token_is_401(sim: DiscordSimulator, bot: Bot) -> None:
    sim.revoke_token()
    refused = await refusal(post(bot, {"content": "x"}))
    assert (refused.status, refused.code, refused.text) == (401, 0, "401: Unauthorized")
    fresh = Bot(sim)
    with pytest.raises(discord.LoginFailure):
        await fresh.login(sim.bot_token)
    await fresh.close()
    sim.restore_token()
    await post(bot, {"content": "x"})


async def test_50001_and_50013_by_channel(sim: DiscordSimulator, bot: Bot) -> None:
    assert (await refusal(post(bot, {"content": "x"}, "lounge"))).code == 50001
    assert (await refusal(ask(bot, "GET", f"/channels/{sim.channel('lounge').id}"))).code == 50001
    sim.revoke_permission("SEND_MESSAGES", "dev")
    assert (await refusal(post(bot, {"content": "x"}))).code == 50013
    await post(bot, {"content": "x"}, "general")
    sim.grant_permission("SEND_MESSAGES", "dev")
    await post(bot, {"content": "x"})
    sim.removes_bot("dev")
    assert (await refusal(post(bot, {"content": "x"}))).code == 50001
    sim.adds_bot("dev")
    await post(bot, {"content": "x"})
    sim.removes_bot()
    assert (await refusal(post(bot, {"content": "x"}))).code == 50001
    sim.adds_bot()
    await post(bot, {"content": "x"})


@pytest.mark.parametrize(
    ("permission", "verb", "path", "body"),
    [
        ("READ_MESSAGE_HISTORY", "GET", "/channels/{dev}/messages/{message}", None),
        ("ADD_REACTIONS", "PUT", "/channels/{dev}/messages/{message}/reactions/👀/@me", None),
        ("CREATE_PUBLIC_THREADS", "POST", "/channels/{dev}/messages/{message}/threads", {"name": "x"}),
        ("CREATE_PUBLIC_THREADS", "POST", "/channels/{dev}/threads", {"name": "x", "type": 11}),
        ("SEND_MESSAGES_IN_THREADS", "POST", "/channels/{thread}/messages", {"content": "x"}),
    ],
)
async def test_each_permission_is_needed_and_enough(
    sim: DiscordSimulator, bot: Bot, permission: str, verb: str, path: str, body: Any
) -> None:
    thread = sim.starts_thread("ana", sim.user_says("ana", "one", "dev"))
    message = sim.user_says("ana", "two", "dev")
    path = path.format(dev=sim.channel("dev").id, message=message.id, thread=thread.id)
    sim.revoke_permission(permission)
    assert (await refusal(ask(bot, verb, path, body))).code == 50013
    sim.grant_permission(permission)
    await ask(bot, verb, path, body)


def test_the_invite_grants_six_permissions() -> None:
    six = (
        Permission.VIEW_CHANNEL
        | Permission.SEND_MESSAGES
        | Permission.READ_MESSAGE_HISTORY
        | Permission.ADD_REACTIONS
        | Permission.CREATE_PUBLIC_THREADS
        | Permission.SEND_MESSAGES_IN_THREADS
    )
    assert six == INVITE_PERMISSIONS


async def test_history_without_the_permission_is_empty(sim: DiscordSimulator, bot: Bot) -> None:
    sim.user_says("ana", "one", "dev")
    sim.revoke_permission("READ_MESSAGE_HISTORY", "dev")
    assert [m async for m in bot.place("dev").history()] == []


async def test_50007_a_person_who_takes_no_messages(sim: DiscordSimulator, bot: Bot) -> None:
    sim.user_accepts_messages("bo", False)
    user = await bot.fetch_user(int(sim.user("bo").id))
    assert (await refusal(user.send("hello"))).code == 50007
    stranger = sim.add_user("dee", stranger=True)
    assert (await refusal((await bot.fetch_user(int(stranger.id))).send("hello"))).code == 50007
    assert (await refusal(ask(bot, "POST", "/users/@me/channels", {"recipient_id": sim.bot_user_id}))).code == 50007


async def test_50083_an_archived_thread(sim: DiscordSimulator, bot: Bot) -> None:
    thread = sim.starts_thread("ana", sim.user_says("ana", "please", "dev"))
    sent = await ask(bot, "POST", f"/channels/{thread.id}/messages", {"content": "x"})
    path = f"/channels/{thread.id}/messages/{sent['id']}"
    sim.archives_thread(thread)
    for verb, where, body in [
        ("PATCH", path, {"content": "y"}),
        ("DELETE", path, None),
        ("PUT", f"{path}/reactions/👀/@me", None),
        ("PUT", f"/channels/{thread.id}/thread-members/@me", None),
    ]:
        assert (await refusal(ask(bot, verb, where, body))).code == 50083, where
    sim.archives_thread(thread, locked=True)
    assert (await refusal(ask(bot, "POST", f"/channels/{thread.id}/messages", {"content": "x"}))).code == 50083
    assert (await refusal(ask(bot, "PATCH", f"/channels/{thread.id}", {"archived": False}))).code == 50013
    sim.reopens_thread(thread)
    await ask(bot, "PATCH", path, {"content": "y"})


async def test_160004_one_thread_per_message(sim: DiscordSimulator, bot: Bot) -> None:
    said = sim.user_says("ana", "please", "dev")
    path = f"/channels/{said.channel}/messages/{said.id}/threads"
    await ask(bot, "POST", path, {"name": "x", "auto_archive_duration": 60})
    assert (await refusal(ask(bot, "POST", path, {"name": "x"}))).code == 160004


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "x" * 101}, {"name": "x", "auto_archive_duration": 90}])
async def test_a_thread_that_discord_refuses(sim: DiscordSimulator, bot: Bot, body: dict[str, Any]) -> None:
    said = sim.user_says("ana", "please", "dev")
    path = f"/channels/{said.channel}/messages/{said.id}/threads"
    assert (await refusal(ask(bot, "POST", path, body))).code == 50035
    assert sim.threads == []


async def test_30046_old_messages_take_few_edits(sim: DiscordSimulator, bot: Bot) -> None:
    sent = await bot.place("dev").send("x")
    sim.advance(timedelta(minutes=61))
    for n in range(sim.old_edits):
        await sent.edit(content=str(n))
    assert (await refusal(sent.edit(content="more"))).code == 30046
    sim.advance(timedelta(minutes=61))
    await sent.edit(content="again")
    sim.old_edits = 0
    assert (await refusal(sent.edit(content="more"))).code == 30046


async def test_50005_other_peoples_messages(sim: DiscordSimulator, bot: Bot) -> None:
    said = sim.user_says("ana", "mine", "dev")
    path = f"/channels/{said.channel}/messages/{said.id}"
    assert (await refusal(ask(bot, "PATCH", path, {"content": "yours"}))).code == 50005
    assert (await refusal(ask(bot, "DELETE", path))).code == 50013


async def test_unknown_emoji_and_too_many_reactions(sim: DiscordSimulator, bot: Bot) -> None:
    said = sim.user_says("ana", "please", "dev")
    path = f"/channels/{said.channel}/messages/{said.id}/reactions"
    assert (await refusal(ask(bot, "PUT", f"{path}/eyes/@me"))).code == 10014
    for n in range(20):
        sim.reacts("bo", said, chr(0x1F400 + n))
    assert (await refusal(ask(bot, "PUT", f"{path}/👀/@me"))).code == 30010


GONE: dict[str, Callable[[DiscordSimulator, Channel], None]] = {
    "thread deleted": lambda sim, thread: sim.deletes_thread(thread),
    "channel deleted": lambda sim, thread: sim.archives_channel("dev"),
}


@pytest.mark.parametrize("how", GONE)
async def test_10003_places_that_are_gone(sim: DiscordSimulator, bot: Bot, how: str) -> None:
    thread = sim.starts_thread("ana", sim.user_says("ana", "please", "dev"))
    GONE[how](sim, thread)
    assert (await refusal(ask(bot, "POST", f"/channels/{thread.id}/messages", {"content": "x"}))).code == 10003


async def test_content_is_blank_without_the_intent(sim: DiscordSimulator, bot: Bot) -> None:
    sim.revoke_intent("message_content")
    dev = sim.channel("dev").id
    said = [sim.user_says("ana", "hidden", "dev"), sim.user_mentions("ana", "seen", "dev")]
    sim.user_says("ana", "also seen", sim.direct("ana"))
    own = await post(bot, {"content": "own"})
    texts = [
        (await ask(bot, "GET", f"/channels/{dev}/messages/{m}"))["content"] for m in (*[s.id for s in said], own["id"])
    ]
    assert texts == ["", f"<@{sim.bot_user_id}> seen", "own"]
    direct = await ask(bot, "GET", f"/channels/{sim.direct('ana').id}/messages")
    assert [m["content"] for m in direct] == ["also seen"]
    assert not (await bot.application_info()).flags.gateway_message_content_limited


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"status": 503}, 503, 0),
        ({"error": 50013}, 403, 50013),
        ({"error": "10003"}, 404, 10003),
        ({"status": 401}, 401, 0),
    ],
)
async def test_planned_faults(sim: DiscordSimulator, bot: Bot, fault: dict[str, Any], status: int, code: int) -> None:
    sim.fail_next("create_message", **fault)
    refused = await refusal(post(bot, {"content": "x"}))
    assert (refused.status, refused.code) == (status, code)
    assert sim.sent == []
    await post(bot, {"content": "x"})


async def test_a_long_rate_limit_raises_and_a_short_one_is_waited_for(sim: DiscordSimulator, bot: Bot) -> None:
    sim.fail_next("create_message", retry_after=31)
    with pytest.raises(discord.RateLimited) as caught:
        await post(bot, {"content": "x"})
    assert caught.value.retry_after == 31
    sim.fail_next("create_message", retry_after=0.01)
    await post(bot, {"content": "y"})
    assert [c.status for c in sim.calls("create_message")] == [429, 429, 200]


async def test_rates_are_enforced_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with DiscordSimulator(rate_limits=True) as sim:
        use_simulator(monkeypatch, sim)
        async with Raw(sim) as raw:
            answers = [
                await raw.post(f"/channels/{sim.channel('dev').id}/messages", {"content": "x"}) for _ in range(6)
            ]
            assert [status for status, _, _ in answers] == [200] * 5 + [429]
            assert [headers.get("X-RateLimit-Remaining") for _, headers, _ in answers[:5]] == ["4", "3", "2", "1", "0"]
            status, headers, body = answers[5]
            assert (body["global"], headers["Via"], 0 < body["retry_after"] <= 5) == (False, "1.1 google", True)
            sim.advance(timedelta(seconds=5))
            status, _, _ = await raw.post(f"/channels/{sim.channel('dev').id}/messages", {"content": "x"})
            assert status == 200


class Raw:
    """REST without an SDK that waits by itself."""

    def __init__(self, sim: DiscordSimulator) -> None:
        self.sim = sim

    async def __aenter__(self) -> "Raw":
        self.session = aiohttp.ClientSession(headers={"Authorization": f"Bot {self.sim.bot_token}"})
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def post(self, path: str, body: Any) -> tuple[int, Any, Any]:
        async with self.session.post(f"{self.sim.api_url}{path}", json=body) as answer:
            return answer.status, answer.headers, await answer.json()
