"""The Slack simulator refuses what Slack refuses, with Slack's codes."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from platforms.slack.simulator import SlackSimulator


@pytest.fixture
def sim() -> Iterator[SlackSimulator]:
    with SlackSimulator() as simulator:
        yield simulator


@pytest.fixture
async def client(sim: SlackSimulator) -> AsyncIterator[AsyncWebClient]:
    yield AsyncWebClient(token=sim.bot_token, base_url=sim.api_url, retry_handlers=[])


async def refusal(client: AsyncWebClient, method: str, **arguments: Any) -> dict[str, Any]:
    """The body of the answer that must be a refusal."""
    with pytest.raises(SlackApiError) as caught:
        await client.api_call(method, json=arguments)
    return dict(caught.value.response.data)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"text": ""}, "no_text"),
        ({"text": "   "}, "no_text"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"text": "x", "markdown_text": "y"}, "markdown_text_conflict"),
        ({"markdown_text": "y" * 12_001}, "msg_too_long"),
        ({"text": "x", "blocks": [{"type": "carousel"}]}, "invalid_blocks"),
        ({"text": "x", "blocks": "no json"}, "invalid_blocks_format"),
        ({"text": "x", "metadata": "no json"}, "invalid_metadata_format"),
        ({"text": "x", "metadata": {"event_type": "t"}}, "invalid_metadata_schema"),
        ({"text": "x", "metadata": {"event_type": "t", "event_payload": {"k": "x" * 17_000}}}, "metadata_too_large"),
        ({"text": "x", "thread_ts": "1700000000.000100"}, "thread_not_found"),
        ({"text": "x", "thread_ts": "tomorrow"}, "invalid_thread_ts"),
        ({"text": "x", "channel": "C0NOWHERE"}, "channel_not_found"),
        ({"text": "x", "channel": ""}, "channel_not_found"),
    ],
)
async def test_posting(sim: SlackSimulator, client: AsyncWebClient, arguments: dict[str, Any], code: str) -> None:
    arguments = {"channel": sim.channel("general").id, **arguments}
    assert (await refusal(client, "chat.postMessage", **arguments))["error"] == code
    assert sim.sent == []
    assert sim.calls("chat.postMessage")[0].error == code


async def test_posting_at_the_limit_is_accepted(sim: SlackSimulator, client: AsyncWebClient) -> None:
    await client.chat_postMessage(channel=sim.channel("general").id, text="x" * 40_000)
    assert len(sim.sent[0].text) == 40_000


@pytest.mark.parametrize(("channel", "code"), [("lounge", "not_in_channel"), ("secret", "channel_not_found")])
async def test_channels_without_the_bot(sim: SlackSimulator, client: AsyncWebClient, channel: str, code: str) -> None:
    where = sim.channel(channel).id
    for method, arguments in (
        ("chat.postMessage", {"text": "x"}),
        ("chat.postEphemeral", {"text": "x", "user": sim.user("ana").id}),
        ("conversations.history", {}),
    ):
        assert (await refusal(client, method, channel=where, **arguments))["error"] == code


async def test_an_archived_channel(sim: SlackSimulator, client: AsyncWebClient) -> None:
    sim.archives_channel("dev")
    assert (await refusal(client, "chat.postMessage", channel=sim.channel("dev").id, text="x"))[
        "error"
    ] == "is_archived"


async def test_a_deleted_parent(sim: SlackSimulator, client: AsyncWebClient) -> None:
    root = sim.user_says("ana", "hello")
    sim.user_deletes(root)
    answer = await refusal(client, "chat.postMessage", channel=root.channel, text="x", thread_ts=root.ts)
    assert answer["error"] == "invalid_thread_ts"
    assert (await refusal(client, "conversations.replies", channel=root.channel, ts=root.ts))["error"] == (
        "thread_not_found"
    )


async def test_editing_and_deleting(sim: SlackSimulator, client: AsyncWebClient) -> None:
    foreign = sim.user_says("ana", "mine")
    where = foreign.channel
    assert (await refusal(client, "chat.update", channel=where, ts="1.2", text="x"))["error"] == "message_not_found"
    assert (await refusal(client, "chat.update", channel=where, ts=foreign.ts, text="x"))["error"] == (
        "cant_update_message"
    )
    assert (await refusal(client, "chat.delete", channel=where, ts=foreign.ts))["error"] == "cant_delete_message"
    own = await client.chat_postMessage(channel=where, text="mine")
    assert (await refusal(client, "chat.update", channel=where, ts=own["ts"], text=""))["error"] == "no_text"
    sim.edit_window = timedelta(minutes=5)
    await client.chat_update(channel=where, ts=own["ts"], text="in time")
    sim.advance(timedelta(minutes=6))
    assert (await refusal(client, "chat.update", channel=where, ts=own["ts"], text="x"))[
        "error"
    ] == "edit_window_closed"
    await client.chat_delete(channel=where, ts=own["ts"])
    assert (await refusal(client, "chat.update", channel=where, ts=own["ts"], text="x"))["error"] == "message_not_found"


async def test_whispering_to_someone_who_is_not_there(sim: SlackSimulator, client: AsyncWebClient) -> None:
    where, guest = sim.channel("dev").id, sim.user("gus").id
    answer = await refusal(client, "chat.postEphemeral", channel=where, user=guest, text="x")
    assert answer["error"] == "user_not_in_channel"
    answer = await refusal(client, "chat.postEphemeral", channel=where, user="U0NOBODY", text="x")
    assert answer["error"] == "user_not_found"


async def test_reactions(sim: SlackSimulator, client: AsyncWebClient) -> None:
    message = sim.user_says("ana", "hello")
    target = {"channel": message.channel, "timestamp": message.ts}
    assert (await refusal(client, "reactions.remove", name="eyes", **target))["error"] == "no_reaction"
    await client.reactions_add(name="eyes", **target)
    assert (await refusal(client, "reactions.add", name="eyes", **target))["error"] == "already_reacted"
    assert (await refusal(client, "reactions.add", name=":eyes:", **target))["error"] == "invalid_name"
    assert (await refusal(client, "reactions.add", name="eyes"))["error"] == "no_item_specified"
    target["timestamp"] = "1700000000.000100"
    assert (await refusal(client, "reactions.add", name="eyes", **target))["error"] == "message_not_found"
    assert [(r.name, r.added) for r in sim.reactions] == [("eyes", True)]


async def test_people_links_and_status_of_things_that_are_not_there(
    sim: SlackSimulator, client: AsyncWebClient
) -> None:
    where = sim.channel("general").id
    for method, arguments, code in (
        ("users.info", {"user": "U0NOBODY"}, "user_not_found"),
        ("bots.info", {"bot": "B0NOBODY"}, "bot_not_found"),
        ("chat.getPermalink", {"channel": where, "message_ts": "1.2"}, "message_not_found"),
        ("conversations.info", {"channel": "C0NOWHERE"}, "channel_not_found"),
        ("conversations.open", {"users": "U0NOBODY"}, "user_not_found"),
        ("conversations.open", {"users": sim.bot_user_id}, "cannot_dm_bot"),
        ("conversations.list", {"types": "everything"}, "invalid_types"),
        ("conversations.history", {"channel": where, "limit": "5000"}, "invalid_limit"),
        ("conversations.history", {"channel": where, "cursor": "?"}, "invalid_cursor"),
        ("conversations.history", {"channel": where, "oldest": "soon"}, "invalid_ts_oldest"),
        ("assistant.threads.setStatus", {"channel_id": where, "thread_ts": "1.2", "status": ""}, "invalid_thread_ts"),
    ):
        assert (await refusal(client, method, **arguments))["error"] == code, method


async def test_tokens(sim: SlackSimulator, client: AsyncWebClient) -> None:
    assert (await refusal(AsyncWebClient(base_url=sim.api_url), "auth.test"))["error"] == "not_authed"
    wrong = AsyncWebClient(token="xoxb-1-wrong", base_url=sim.api_url)
    assert (await refusal(wrong, "auth.test"))["error"] == "invalid_auth"
    assert (await refusal(client, "apps.connections.open"))["error"] == "not_allowed_token_type"
    swapped = AsyncWebClient(token=sim.app_token, base_url=sim.api_url)
    assert (await refusal(swapped, "chat.postMessage", channel="C1", text="x"))["error"] == "not_allowed_token_type"
    sim.revoke_token("bot")
    assert (await refusal(client, "auth.test"))["error"] == "token_revoked"
    sim.revoke_token("app", error="account_inactive")
    assert (await refusal(swapped, "apps.connections.open"))["error"] == "account_inactive"
    sim.restore_token()
    assert (await client.auth_test())["user_id"] == sim.bot_user_id


@pytest.mark.parametrize(
    ("scope", "method", "arguments"),
    [
        ("chat:write", "chat.postMessage", {"text": "x"}),
        ("chat:write", "chat.update", {"ts": "1.2", "text": "x"}),
        ("channels:history", "conversations.history", {}),
        ("channels:read", "conversations.info", {}),
        ("reactions:write", "reactions.add", {"name": "eyes", "timestamp": "1.2"}),
        ("users:read", "users.info", {"user": "U1"}),
        ("usergroups:read", "usergroups.list", {}),
        ("im:write", "conversations.open", {"users": "U1"}),
    ],
)
async def test_a_missing_scope_is_named(
    sim: SlackSimulator, client: AsyncWebClient, scope: str, method: str, arguments: dict[str, Any]
) -> None:
    sim.revoke_scope(scope)
    answer = await refusal(client, method, **{"channel": sim.channel("general").id, **arguments})
    assert (answer["error"], answer["needed"]) == ("missing_scope", scope)
    assert scope not in answer["provided"].split(",")
    assert "commands" in answer["provided"].split(",")


async def test_scopes_are_in_the_headers(sim: SlackSimulator, client: AsyncWebClient) -> None:
    sim.revoke_scope("im:write")
    sim.grant_scope("files:read")
    headers = (await client.auth_test()).headers
    granted = headers["x-oauth-scopes"].split(",")
    assert "files:read" in granted and "chat:write" in granted and "im:write" not in granted


async def test_an_app_token_needs_connections_write(sim: SlackSimulator) -> None:
    sim.revoke_scope("connections:write")
    app = AsyncWebClient(token=sim.app_token, base_url=sim.api_url)
    assert (await refusal(app, "apps.connections.open"))["needed"] == "connections:write"


async def test_an_unknown_method_and_unknown_arguments_are_surprises(
    sim: SlackSimulator, client: AsyncWebClient
) -> None:
    assert (await refusal(client, "chat.shout", text="x"))["error"] == "unknown_method"
    await client.api_call("auth.test", params={"loud": "1"})
    assert [(s.where, s.what) for s in sim.surprises] == [
        ("chat.shout", "unknown method"),
        ("auth.test", "unknown arguments: loud"),
    ]


async def test_triggers_expire_and_open_one_form_only(sim: SlackSimulator, client: AsyncWebClient) -> None:
    view = {"type": "modal", "title": {"type": "plain_text", "text": "T"}, "blocks": [{"type": "divider"}]}
    assert (await refusal(client, "views.open", trigger_id="1.2.x", view=view))["error"] == "invalid_trigger_id"
    assert (await refusal(client, "views.open", view=view))["error"] == "invalid_arguments"
    first = sim.runs_command("ana", "/codetask")
    bad = {**view, "title": {"type": "plain_text", "text": "T" * 25}}
    assert (await refusal(client, "views.open", trigger_id=first.trigger_id, view=bad))["error"] == "invalid_arguments"
    await client.views_open(trigger_id=first.trigger_id, view=view)
    answer = await refusal(client, "views.open", trigger_id=first.trigger_id, view=view)
    assert answer["error"] == "exchanged_trigger_id"
    second = sim.runs_command("ana", "/codetask")
    sim.advance(timedelta(seconds=4))
    answer = await refusal(client, "views.open", trigger_id=second.trigger_id, view=view)
    assert answer["error"] == "expired_trigger_id"


async def test_forms(sim: SlackSimulator, client: AsyncWebClient) -> None:
    label, element = {"type": "plain_text", "text": "What"}, {"type": "plain_text_input", "action_id": "a"}
    view = {
        "type": "modal",
        "title": {"type": "plain_text", "text": "T"},
        "blocks": [{"type": "input", "label": label, "element": element}],
    }
    trigger = sim.runs_command("ana", "/codetask").trigger_id
    answer = await refusal(client, "views.open", trigger_id=trigger, view=view)
    assert "submit" in answer["response_metadata"]["messages"][0]
    assert (await refusal(client, "views.update", view_id="V0NONE", view=view))["error"] == "not_found"
    home = {"type": "home", "blocks": [{"type": "divider"}]}
    ana = sim.user("ana").id
    assert (await refusal(client, "views.publish", user_id="U0NOBODY", view=home))["error"] == "user_not_found"
    await client.views_publish(user_id=ana, view=home)
    assert (await refusal(client, "views.publish", user_id=ana, view=home, hash="old"))["error"] == "hash_conflict"


async def test_rates_are_off_by_default_and_kept_when_on(client: AsyncWebClient, sim: SlackSimulator) -> None:
    for _ in range(10):
        await client.chat_postMessage(channel=sim.channel("general").id, text="x")
    with SlackSimulator(rate_limits=True, burst=2) as limited:
        slow = AsyncWebClient(token=limited.bot_token, base_url=limited.api_url, retry_handlers=[])
        where = limited.channel("general").id
        for _ in range(2):
            await slow.chat_postMessage(channel=where, text="x")
        with pytest.raises(SlackApiError) as caught:
            await slow.chat_postMessage(channel=where, text="x")
        response = caught.value.response
        assert (response.status_code, response["error"]) == (429, "ratelimited")
        assert int(response.headers["Retry-After"]) >= 1
        await slow.chat_postMessage(channel=limited.channel("dev").id, text="another channel")
        limited.advance(timedelta(seconds=2))
        await slow.chat_postMessage(channel=where, text="x")
