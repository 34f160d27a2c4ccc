"""What the Slack simulator keeps (messages, threads, whispers, people), every request encoding, planned faults."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from platforms.slack.simulator import SlackSimulator, buttons, render_text

SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "*hello*"}}
METADATA = {"event_type": "codetask_delivery", "event_payload": {"key": "abc234"}}


@pytest.fixture
def sim() -> Iterator[SlackSimulator]:
    with SlackSimulator(seed=7) as simulator:
        yield simulator


@pytest.fixture
def client(sim: SlackSimulator) -> AsyncWebClient:
    return AsyncWebClient(token=sim.bot_token, base_url=sim.api_url, retry_handlers=[])


@pytest.mark.parametrize("encoding", ["query-get", "query-post", "json", "form"])
async def test_every_encoding_is_read_alike(sim: SlackSimulator, encoding: str) -> None:
    arguments = {"channel": sim.channel("general").id, "text": "hello", "blocks": '[{"type": "divider"}]'}
    headers, url = {"Authorization": f"Bearer {sim.bot_token}"}, f"{sim.api_url}chat.postMessage"
    async with aiohttp.ClientSession(headers=headers) as session:
        if encoding == "query-get":
            request = session.get(url, params=arguments)
        elif encoding == "query-post":
            request = session.post(url, params=arguments)
        elif encoding == "json":
            request = session.post(url, json={**arguments, "blocks": [{"type": "divider"}]})
        else:
            request = session.post(url, data=arguments)
        async with request as answer:
            assert (await answer.json())["ok"] is True
    assert sim.sent[0].text == "hello"
    assert [block["type"] for block in sim.sent[0].blocks] == ["divider"]


async def test_the_token_may_be_an_argument(sim: SlackSimulator) -> None:
    url, data = f"{sim.api_url}auth.test", {"token": sim.bot_token}
    async with aiohttp.ClientSession() as session, session.post(url, data=data) as answer:
        assert (await answer.json())["team_id"] == sim.team_id
    assert sim.calls("auth.test")[0].arguments == {}


async def test_ids_have_slacks_shapes(sim: SlackSimulator) -> None:
    message = sim.user_says("ana", "hello")
    assert sim.team_id[0] == "T" and sim.app_id[0] == "A" and message.channel[0] == "C" and message.user[0] == "U"
    assert sim.bot_token.startswith("xoxb-") and sim.app_token.startswith(f"xapp-1-{sim.app_id}-")
    stamps = [sim.user_says("ana", str(n)).ts for n in range(50)]
    assert len(set(stamps)) == 50 and stamps == sorted(stamps)
    assert all(len(ts.partition(".")[2]) == 6 for ts in stamps)


async def test_history_shows_roots_newest_first_and_pages(sim: SlackSimulator, client: AsyncWebClient) -> None:
    said = [sim.user_says("ana", f"m{n}") for n in range(5)]
    sim.user_says("bo", "a reply", thread_ts=said[0].ts)
    where = said[0].channel
    seen: list[str] = []
    cursor = ""
    while True:
        page = await client.conversations_history(channel=where, limit=2, cursor=cursor)
        seen += [m["text"] for m in page["messages"]]
        cursor = page.get("response_metadata", {}).get("next_cursor", "")
        assert page["has_more"] is bool(cursor)
        if not cursor:
            break
    assert seen == ["m4", "m3", "m2", "m1", "m0"]
    after = await client.conversations_history(channel=where, oldest=said[2].ts)
    assert [m["text"] for m in after["messages"]] == ["m4", "m3"]
    between = await client.conversations_history(channel=where, oldest=said[1].ts, latest=said[2].ts, inclusive=True)
    assert [m["text"] for m in between["messages"]] == ["m2", "m1"]


async def test_a_thread_is_read_oldest_first_with_its_root(sim: SlackSimulator, client: AsyncWebClient) -> None:
    root = sim.user_says("ana", "root")
    one = sim.user_says("bo", "one", thread_ts=root.ts)
    two = await client.chat_postMessage(channel=root.channel, text="two", thread_ts=one.ts)
    thread = (await client.conversations_replies(channel=root.channel, ts=root.ts))["messages"]
    assert [m["text"] for m in thread] == ["root", "one", "two"]
    assert {m["thread_ts"] for m in thread} == {root.ts}
    assert thread[0]["reply_count"] == 2 and thread[0]["latest_reply"] == two["ts"]
    assert thread[2]["parent_user_id"] == root.user
    late = (await client.conversations_replies(channel=root.channel, ts=root.ts, oldest=one.ts))["messages"]
    assert [m["text"] for m in late] == ["root", "two"]
    assert [m.text for m in sim.thread(root)] == ["root", "one", "two"]
    assert list(sim.threads) == [(root.channel, root.ts)]


async def test_metadata_is_read_back_only_on_request(sim: SlackSimulator, client: AsyncWebClient) -> None:
    where = sim.channel("general").id
    posted = await client.chat_postMessage(channel=where, text="x", metadata=METADATA)
    for method, arguments in (("conversations.history", {}), ("conversations.replies", {"ts": posted["ts"]})):
        asked = {"channel": where, "include_all_metadata": 1, **arguments}
        full = await client.api_call(method, http_verb="GET", params=asked)
        assert full["messages"][0]["metadata"] == METADATA
        bare = await client.api_call(method, http_verb="GET", params={"channel": where, **arguments})
        assert bare["messages"][0]["metadata"] == {"event_type": "codetask_delivery"}
    await client.chat_update(channel=where, ts=posted["ts"], text="y")
    assert sim.sent[0].metadata == METADATA


async def test_an_edit_with_text_alone_removes_the_blocks(sim: SlackSimulator, client: AsyncWebClient) -> None:
    where = sim.channel("general").id
    posted = await client.chat_postMessage(channel=where, text="hello", blocks=[SECTION])
    assert sim.sent[0].blocks[0]["block_id"]
    await client.chat_update(channel=where, ts=posted["ts"], text="both", blocks=[SECTION])
    assert sim.sent[0].edited is None and sim.sent[0].blocks
    await client.chat_update(channel=where, ts=posted["ts"], text="text only")
    assert sim.sent[0].blocks == [] and sim.sent[0].edited is not None
    assert [edit.text for edit in sim.edits] == ["both", "text only"]
    assert [len(version.blocks) for version in sim.sent[0].history] == [1, 1, 0]


async def test_a_whisper_in_a_thread_without_replies_is_not_shown(sim: SlackSimulator, client: AsyncWebClient) -> None:
    root = sim.user_says("ana", "root")
    target = {"channel": root.channel, "user": root.user, "text": "psst"}
    await client.chat_postEphemeral(**target)
    await client.chat_postEphemeral(**target, thread_ts=root.ts)
    sim.user_says("bo", "reply", thread_ts=root.ts)
    await client.chat_postEphemeral(**target, thread_ts=root.ts)
    assert [whisper.shown for whisper in sim.whispers] == [True, False, True]
    history = await client.conversations_history(channel=root.channel)
    assert [m["text"] for m in history["messages"]] == ["root"]


async def test_a_broadcast_reply_is_in_the_channel_too(sim: SlackSimulator, client: AsyncWebClient) -> None:
    root = sim.user_says("ana", "root")
    await client.chat_postMessage(channel=root.channel, text="all", thread_ts=root.ts, reply_broadcast=True)
    history = await client.conversations_history(channel=root.channel)
    assert [m.get("subtype") for m in history["messages"]] == ["thread_broadcast", None]


async def test_people_have_realistic_profiles(sim: SlackSimulator, client: AsyncWebClient) -> None:
    async def info(name: str) -> dict[str, Any]:
        return (await client.users_info(user=sim.user(name).id, include_locale=True))["user"]

    ana, cy, guest, bot = [await info(name) for name in ("ana", "cy", "gus", "codetask")]
    assert (ana["is_admin"], ana["is_owner"], ana["is_restricted"]) == (True, True, False)
    assert (cy["tz"], cy["tz_offset"], cy["locale"], cy["is_admin"]) == ("Asia/Shanghai", 28_800, "zh-CN", False)
    assert guest["is_restricted"] and bot["is_bot"]
    dora = sim.add_user("dora", channels=("dev",), is_admin=True)
    assert (await info("dora"))["is_admin"] and dora.id in sim.channel("dev").members


async def test_channels_are_listed_as_the_bot_sees_them(sim: SlackSimulator, client: AsyncWebClient) -> None:
    sim.add_channel("quiet", bot=False)
    sim.archives_channel("dev")
    both = await client.conversations_list(types="public_channel,private_channel", exclude_archived=True)
    assert {c["name"]: c["is_member"] for c in both["channels"]} == {
        "general": True,
        "ops": True,
        "lounge": False,
        "quiet": False,
    }
    paged = await client.conversations_list(limit=1)
    assert paged["response_metadata"]["next_cursor"]
    lounge = await client.conversations_info(channel=sim.channel("lounge").id, include_num_members=True)
    assert (lounge["channel"]["is_member"], lounge["channel"]["num_members"]) == (False, 3)


async def test_direct_messages_open_once(sim: SlackSimulator, client: AsyncWebClient) -> None:
    opened = await client.conversations_open(users=sim.user("bo").id)
    again = await client.conversations_open(users=[sim.user("bo").id])
    assert opened["channel"]["id"] == again["channel"]["id"] == sim.direct("bo").id
    assert again["already_open"] and opened["channel"]["id"].startswith("D")
    await client.chat_postMessage(channel=sim.user("bo").id, text="hi")
    assert sim.sent[0].channel == sim.direct("bo").id


async def test_links_and_activity(sim: SlackSimulator, client: AsyncWebClient) -> None:
    root = sim.user_says("ana", "root")
    reply = sim.user_says("bo", "reply", thread_ts=root.ts)
    link = (await client.chat_getPermalink(channel=root.channel, message_ts=reply.ts))["permalink"]
    assert link.startswith(
        f"https://tidepool.slack.com/archives/{root.channel}/p{reply.ts.replace('.', '')}?thread_ts="
    )
    status = {"channel_id": root.channel, "thread_ts": root.ts, "status": "is working"}
    await client.assistant_threads_setStatus(**status, loading_messages=["reading", "writing"])
    assert sim.activity(reply) == "is working"
    sim.advance(timedelta(minutes=3))
    assert sim.activity(reply) == ""
    await client.assistant_threads_setStatus(**status)
    await client.chat_postMessage(channel=root.channel, thread_ts=root.ts, text="done")
    assert sim.activity(reply) == ""


async def test_planned_faults(sim: SlackSimulator, client: AsyncWebClient) -> None:
    arguments = {"channel": sim.channel("general").id, "text": "x"}
    sim.fail_next("chat.postMessage", status=429, retry_after=7)
    with pytest.raises(SlackApiError) as limited:
        await client.chat_postMessage(**arguments)
    assert (limited.value.response.status_code, limited.value.response.headers["Retry-After"]) == (429, "7")
    sim.fail_next("chat.postMessage", error="fatal_error")
    with pytest.raises(SlackApiError, match="fatal_error"):
        await client.chat_postMessage(**arguments)
    sim.fail_next("*", status=503, times=None)
    for method in ("auth.test", "chat.postMessage"):
        with pytest.raises(SlackApiError) as down:
            await client.api_call(method, json=arguments)
        assert down.value.response.status_code == 503
    sim.heal()
    assert sim.sent == []
    await client.chat_postMessage(**arguments)


async def test_a_call_can_be_lost_before_or_after_its_effect(sim: SlackSimulator, client: AsyncWebClient) -> None:
    where = sim.channel("general").id
    sim.fail_next("chat.postMessage", drop_before_commit=True)
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=where, text="lost")
    sim.fail_next("chat.postMessage", drop_after_commit=True)
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=where, text="kept")
    assert [m.text for m in sim.sent] == ["kept"]
    assert [call.error for call in sim.calls("chat.postMessage")] == ["dropped", "dropped"]


async def test_what_a_person_reads(sim: SlackSimulator, client: AsyncWebClient) -> None:
    button = {"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": "https://x.y/", "action_id": "o"}
    tasks = [
        {"type": "task_card", "task_id": str(n), "title": title, "status": status}
        for n, (title, status) in enumerate([("Claim", "complete"), ("Run", "in_progress"), ("Push", "pending")])
    ]
    link = f"<https://x.y/|CT-1> for <@{sim.user('bo').id}> <!date^1700000000^{{date}}|today> &lt;ok&gt;"
    await client.chat_postMessage(
        channel=sim.channel("general").id,
        text="summary",
        blocks=[
            {"type": "section", "text": {"type": "mrkdwn", "text": link}},
            {"type": "plan", "title": "Progress", "tasks": tasks},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "foot"}]},
            {"type": "actions", "elements": [button]},
        ],
    )
    assert sim.render_text(sim.sent[0]).splitlines() == [
        "CT-1 (https://x.y/) for @bo today <ok>",
        "Progress",
        "  ✓ Claim",
        "  ● Run",
        "  ○ Push",
        "foot",
        "[Open]",
    ]
    assert buttons(sim.sent[0]) == [("Open", "o", "", "https://x.y/")]
    assert render_text(sim.user_says("ana", "a < b @bo")) == f"a < b @{sim.user('bo').id}"


async def test_the_story_is_told_line_by_line(sim: SlackSimulator, client: AsyncWebClient) -> None:
    message = sim.user_says("ana", "hello")
    await client.reactions_add(channel=message.channel, timestamp=message.ts, name="eyes")
    await client.chat_postMessage(channel=message.channel, thread_ts=message.ts, text="hi")
    sim.user_deletes(message)
    assert [(h.kind, h.text) for h in sim.happenings] == [
        ("said", "hello"),
        ("reacted", ":eyes:"),
        ("said", "hi"),
        ("deleted", "hello"),
    ]


def test_people_write_only_where_they_are(sim: SlackSimulator) -> None:
    with pytest.raises(LookupError, match="gus cannot write in dev"):
        sim.user_says("gus", "hello", "dev")
    with pytest.raises(LookupError, match="no user 'zed'"):
        sim.user_says("zed", "hello")
    with pytest.raises(LookupError, match="no channel 'void'"):
        sim.user_says("ana", "hello", "void")


async def test_a_deleted_root_leaves_a_tombstone_while_answers_hang_on_it(
    sim: SlackSimulator, client: AsyncWebClient
) -> None:
    root, lone = sim.user_says("ana", "a wish", "dev"), sim.user_says("ana", "another", "dev")
    answer = sim.user_says("bo", "yes", "dev", thread_ts=root.ts)
    sim.user_deletes(root)
    sim.user_deletes(lone)
    where = sim.channel("dev").id
    told = (await client.conversations_history(channel=where))["messages"]
    assert [(one["ts"], one["subtype"]) for one in told] == [(root.ts, "tombstone")]
    thread = (await client.conversations_replies(channel=where, ts=root.ts))["messages"]
    assert [one["ts"] for one in thread] == [root.ts, answer.ts]
    assert "a wish" not in str(thread)
    sim.user_deletes(answer)
    assert (await client.conversations_history(channel=where))["messages"] == []
    with pytest.raises(SlackApiError, match="thread_not_found"):
        await client.conversations_replies(channel=where, ts=root.ts)
