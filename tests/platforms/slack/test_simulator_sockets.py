"""Socket Mode of the Slack simulator, with the real SDK client, the real Bolt handler and a small raw client."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from platforms.slack.simulator import Delivery, SlackSimulator

LADDER = [timedelta(minutes=1), timedelta(minutes=5)]


@pytest.fixture
def sim() -> Iterator[SlackSimulator]:
    with SlackSimulator() as simulator:
        yield simulator


class Socket:
    """A raw Socket Mode client: reads frames, acknowledges when told."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, hello: dict[str, Any]) -> None:
        self.socket = socket
        self.hello = hello

    async def frame(self) -> dict[str, Any]:
        return json.loads((await self.socket.receive(timeout=5)).data)

    async def ack(self, frame: dict[str, Any], payload: Any = None) -> None:
        body = {"envelope_id": frame["envelope_id"]} | ({"payload": payload} if payload is not None else {})
        await self.socket.send_json(body)


@asynccontextmanager
async def connected(sim: SlackSimulator) -> AsyncIterator[Socket]:
    opened = await AsyncWebClient(base_url=sim.api_url).apps_connections_open(app_token=sim.app_token)
    async with aiohttp.ClientSession() as session, session.ws_connect(opened["url"], autoping=False) as socket:
        yield Socket(socket, json.loads((await socket.receive(timeout=5)).data))


def outcomes(delivery: Delivery) -> list[str]:
    return [attempt.outcome for attempt in delivery.attempts]


async def test_hello_ping_and_a_message(sim: SlackSimulator) -> None:
    async with connected(sim) as socket:
        assert socket.hello["type"] == "hello"
        assert socket.hello["num_connections"] == 1
        assert socket.hello["connection_info"] == {"app_id": sim.app_id}
        await socket.socket.ping(b"sdk-ping-pong:1.5")
        pong = await socket.socket.receive(timeout=5)
        assert (pong.type, pong.data) == (aiohttp.WSMsgType.PONG, b"sdk-ping-pong:1.5")
        message = sim.user_says("bo", "is x < y & z?", "dev")
        frame = await socket.frame()
        await socket.ack(frame)
        delivery = sim.deliveries_of(message)[0]
        await sim.wait_for(lambda: delivery.acked)
    assert frame["type"] == "events_api" and frame["accepts_response_payload"] is False
    assert (frame["retry_attempt"], frame["retry_reason"]) == (0, "")
    payload, event = frame["payload"], frame["payload"]["event"]
    assert (payload["type"], payload["team_id"], payload["api_app_id"]) == ("event_callback", sim.team_id, sim.app_id)
    assert payload["event_id"].startswith("Ev")
    assert payload["authorizations"][0]["user_id"] == sim.bot_user_id
    assert event["text"] == "is x &lt; y &amp; z?"
    assert (event["ts"], event["channel"], event["channel_type"]) == (message.ts, sim.channel("dev").id, "channel")
    assert delivery.latency_ms is not None and delivery.latency_ms >= 0


async def test_a_mention_gives_two_events_with_two_ids(sim: SlackSimulator) -> None:
    async with connected(sim) as socket:
        message = sim.user_mentions("bo", "fix it")
        frames = [await socket.frame() for _ in range(2)]
    events = [frame["payload"]["event"] for frame in frames]
    assert {event["type"] for event in events} == {"message", "app_mention"}
    assert {event["ts"] for event in events} == {message.ts}
    assert len({frame["payload"]["event_id"] for frame in frames}) == 2
    assert events[0]["text"] == f"<@{sim.bot_user_id}> fix it"


async def test_edits_unfurls_and_deletions(sim: SlackSimulator) -> None:
    async with connected(sim) as socket:
        message = sim.user_says("bo", "see https://example.com/ please")
        await socket.frame()
        sim.unfurl(message)
        unfurl = (await socket.frame())["payload"]["event"]
        sim.user_edits(message, "never mind")
        edit = (await socket.frame())["payload"]["event"]
        sim.user_deletes(message)
        deletion = (await socket.frame())["payload"]["event"]
    assert {unfurl["subtype"], edit["subtype"]} == {"message_changed"}
    assert unfurl["message"]["text"] == unfurl["previous_message"]["text"] == "see <https://example.com/> please"
    assert "edited" not in unfurl["message"] and unfurl["message"]["attachments"]
    assert edit["message"]["text"] == "never mind" and edit["message"]["edited"]["user"] == message.user
    assert (deletion["subtype"], deletion["deleted_ts"]) == ("message_deleted", message.ts)
    assert [version.text for version in message.history] == ["see <https://example.com/> please", "never mind"]


async def test_own_messages_come_back(sim: SlackSimulator) -> None:
    client = AsyncWebClient(token=sim.bot_token, base_url=sim.api_url)
    async with connected(sim) as socket:
        posted = await client.chat_postMessage(channel=sim.channel("general").id, text="hello")
        own = (await socket.frame())["payload"]["event"]
        await client.chat_update(channel=posted["channel"], ts=posted["ts"], text="changed")
        changed = (await socket.frame())["payload"]["event"]
    assert (own["ts"], own["user"], own["app_id"]) == (posted["ts"], sim.bot_user_id, sim.app_id)
    assert own["bot_id"].startswith("B") and "subtype" not in own
    assert changed["message"]["text"] == "changed"


async def test_events_need_membership_and_scope(sim: SlackSimulator) -> None:
    sim.user_says("bo", "unheard", "lounge")
    sim.adds_bot("lounge", by="bo")
    sim.user_says("bo", "heard", "lounge")
    sim.revoke_scope("channels:history")
    sim.user_mentions("bo", "only the mention is heard", "lounge")
    sim.removes_bot("lounge")
    sim.user_mentions("bo", "unheard", "lounge")
    sim.user_mentions("bo", "a mention in a direct message", sim.direct("bo"))
    assert [d.name for d in sim.deliveries] == [
        "member_joined_channel",
        "message.channels",
        "app_mention",
        "message.im",
    ]


async def test_other_events(sim: SlackSimulator) -> None:
    message = sim.user_says("bo", "nice", "ops")
    sim.reacts("ana", message, "bulb")
    sim.reacts("ana", message, "bulb", on=False)
    sim.opens_home("ana")
    sim.archives_channel("dev")
    sim.revoke_token()
    assert [d.name for d in sim.deliveries] == [
        "message.groups",
        "reaction_added",
        "app_home_opened",
        "channel_archive",
        "tokens_revoked",
    ]
    assert message.reactions == {}


async def test_each_payload_goes_to_one_of_several_connections(sim: SlackSimulator) -> None:
    async with connected(sim) as one, connected(sim) as two:
        assert two.hello["num_connections"] == 2
        texts = {f"message {n}" for n in range(4)}
        for text in sorted(texts):
            sim.user_says("bo", text)
        frames = [await one.frame(), await one.frame(), await two.frame(), await two.frame()]
        assert {frame["payload"]["event"]["text"] for frame in frames} == texts
        assert sorted(c.delivered for c in sim.connections) == [2, 2]


async def test_the_eleventh_connection_is_refused() -> None:
    with SlackSimulator(max_connections=1) as sim:
        async with connected(sim), connected(sim) as second:
            assert second.hello == {
                "type": "disconnect",
                "reason": "too_many_websockets",
                "debug_info": {"host": "applink-0"},
            }
            assert len(sim.connections) == 1


async def test_a_wrong_or_old_ticket_is_refused(sim: SlackSimulator) -> None:
    opened = await AsyncWebClient(base_url=sim.api_url).apps_connections_open(app_token=sim.app_token)
    sim.advance(timedelta(minutes=1))
    async with aiohttp.ClientSession() as session:
        for url in (opened["url"], opened["url"].partition("?")[0]):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
                await session.ws_connect(url)


async def test_the_ladder_runs_at_once_after_one_and_after_five_minutes(sim: SlackSimulator) -> None:
    async with connected(sim) as socket:
        message = sim.user_says("bo", "anyone?")
        delivery = sim.deliveries_of(message)[0]
        frames = [await socket.frame()]
        sim.advance(timedelta(seconds=3))
        frames.append(await socket.frame())
        for wait in LADDER:
            sim.advance(timedelta(seconds=3))
            assert delivery.state == "waiting"
            sim.advance(wait)
            frames.append(await socket.frame())
        sim.advance(timedelta(seconds=3))
        await socket.ack(frames[-1])
        await sim.wait_for(lambda: outcomes(delivery)[-1] == "late")
    assert [frame["retry_attempt"] for frame in frames] == [0, 1, 2, 3]
    assert [frame["retry_reason"] for frame in frames] == ["", "timeout", "timeout", "timeout"]
    assert len({frame["payload"]["event_id"] for frame in frames}) == 1
    assert len({frame["envelope_id"] for frame in frames}) == 4
    assert delivery.state == "lost"


async def test_without_a_connection_events_wait_and_commands_fail(sim: SlackSimulator) -> None:
    message = sim.user_says("bo", "hello?")
    command = sim.runs_command("bo", "/codetask fix it")
    delivery = sim.deliveries_of(message)[0]
    assert (delivery.state, outcomes(delivery)) == ("pending", ["connection_failed"]) or delivery.state == "waiting"
    assert (command.state, command.error) == ("lost", "dispatch_failed")
    await sim.wait_for(lambda: len(delivery.attempts) == 2)
    async with connected(sim) as socket:
        sim.advance(LADDER[0])
        await socket.ack(await socket.frame())
        await sim.wait_for(lambda: delivery.acked)


async def test_a_slash_command_with_an_answer_in_its_ack(sim: SlackSimulator) -> None:
    async with connected(sim) as socket:
        command = sim.runs_command("bo", "/codetask fix <it> & tell @ana", "dev")
        frame = await socket.frame()
        await socket.ack(frame, {"text": "On it."})
        await sim.wait_for(lambda: command.acked)
    payload = frame["payload"]
    assert frame["type"] == "slash_commands" and frame["accepts_response_payload"] is True
    assert payload["text"] == f"fix &lt;it&gt; &amp; tell <@{sim.user('ana').id}|ana>"
    assert (payload["command"], payload["channel_name"], payload["user_name"]) == ("/codetask", "dev", "bo")
    assert (command.ack_body, command.trigger_id) == ({"text": "On it."}, payload["trigger_id"])
    assert [(w.user, w.text, w.via) for w in sim.whispers] == [(sim.user("bo").id, "On it.", "ack")]


async def test_a_slow_ack_of_a_command_is_a_timeout_and_never_sent_again(sim: SlackSimulator) -> None:
    async with connected(sim) as socket:
        command = sim.runs_command("bo", "/codetask fix it")
        frame = await socket.frame()
        sim.advance(timedelta(seconds=3))
        assert (command.state, command.error) == ("lost", "operation_timeout")
        await socket.ack(frame)
        await sim.wait_for(lambda: outcomes(command) == ["late"])
        sim.advance(timedelta(minutes=10))
        assert len(command.attempts) == 1


async def test_slash_in_a_thread_and_unknown_commands_never_reach_the_app(sim: SlackSimulator) -> None:
    message = sim.user_says("bo", "hello")
    refused = sim.runs_command("bo", "/codetask fix it", thread_ts=message.ts)
    assert (refused.state, refused.error) == ("refused", "not_supported_in_threads")
    assert sim.runs_command("bo", "/coffee").error == "invalid_command"
    assert "/codetask is not supported in threads" in sim.whispers[0].text
    assert {d.name for d in sim.deliveries} == {"message.channels"}


async def test_acks_nobody_waits_for_are_surprises(sim: SlackSimulator) -> None:
    async with connected(sim) as socket:
        sim.user_says("bo", "hello")
        frame = await socket.frame()
        await socket.ack(frame)
        await socket.ack(frame)
        await socket.socket.send_str("pong")
        await sim.wait_for(lambda: len(sim.surprises) == 2)
    assert [s.where for s in sim.surprises] == ["socket", "socket"]


@pytest.mark.parametrize("how", ["clean", "abort"])
async def test_a_dropped_connection_fails_what_was_under_way(sim: SlackSimulator, how: Any) -> None:
    async with connected(sim) as socket:
        delivery = sim.deliveries_of(sim.user_says("bo", "hello"))[0]
        await socket.frame()
        sim.drop_connection(how)
        ended = await socket.socket.receive(timeout=5)
        assert ended.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        await sim.wait_for(lambda: outcomes(delivery)[:1] == ["connection_failed"])
        assert sim.connections == []


async def test_a_black_hole_neither_reads_nor_writes(sim: SlackSimulator) -> None:
    async with connected(sim) as socket:
        sim.drop_connection("blackhole")
        delivery = sim.deliveries_of(sim.user_says("bo", "hello"))[0]
        await socket.socket.ping(b"anyone?")
        with pytest.raises(TimeoutError):
            await socket.socket.receive(timeout=0.05)
        sim.advance(timedelta(seconds=3))
        assert outcomes(delivery)[0] == "timeout"
        assert len(sim.connections) == 1


async def test_a_deaf_connection_swallows_and_a_new_one_hears(sim: SlackSimulator) -> None:
    async with connected(sim) as deaf:
        sim.go_deaf()
        delivery = sim.deliveries_of(sim.user_says("bo", "hello"))[0]
        assert delivery.state == "swallowed"
        await deaf.socket.ping(b"1")
        assert (await deaf.socket.receive(timeout=5)).type is aiohttp.WSMsgType.PONG
    await sim.wait_for(lambda: not sim.connections)
    sim.advance(timedelta(minutes=10))
    assert len(delivery.attempts) == 1
    async with connected(sim) as fresh:
        sim.user_says("bo", "again")
        assert (await fresh.frame())["payload"]["event"]["text"] == "again"


async def test_redelivery_keeps_the_event_id(sim: SlackSimulator) -> None:
    async with connected(sim) as socket:
        message = sim.user_says("bo", "hello")
        first = await socket.frame()
        await socket.ack(first)
        sim.redeliver(message, times=3)
        frames = [await socket.frame() for _ in range(3)]
    assert {frame["payload"]["event_id"] for frame in frames} == {first["payload"]["event_id"]}
    assert [frame["retry_attempt"] for frame in frames] == [1, 2, 3]


async def test_the_real_sdk_client_reconnects_when_told(sim: SlackSimulator) -> None:
    seen: list[str] = []
    web = AsyncWebClient(base_url=sim.api_url)
    client = SocketModeClient(app_token=sim.app_token, web_client=web, ping_interval=0.05)

    async def listen(socket: Any, request: SocketModeRequest) -> None:
        seen.append(request.payload["event"]["text"])
        await socket.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))

    client.socket_mode_request_listeners.append(listen)
    try:
        await client.connect()
        await sim.wait_for(lambda: sim.connections)
        first = sim.deliveries_of(sim.user_says("bo", "one"))[0]
        await sim.wait_for(lambda: first.acked)
        sim.server_says_reconnect()
        await sim.wait_for(lambda: sim.connections_opened == 2 and len(sim.connections) == 1)
        second = sim.deliveries_of(sim.user_says("bo", "two"))[0]
        await sim.wait_for(lambda: second.acked)
        sim.drop_connection("abort")
        await sim.wait_for(lambda: sim.connections_opened == 3)
    finally:
        await client.close()
    assert seen == ["one", "two"]
    assert sim.surprises == []


async def test_the_real_bolt_app_is_served_whole(sim: SlackSimulator) -> None:
    client = AsyncWebClient(token=sim.bot_token, base_url=sim.api_url)
    app = AsyncApp(client=client, signing_secret=sim.signing_secret)
    actions = {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Cancel"}}]}
    actions["elements"][0] |= {"action_id": "cancel", "value": "codetask:cancel:CT-1"}
    pressed: list[dict[str, Any]] = []

    @app.command("/codetask")
    async def command(ack: Any, say: Any) -> None:
        await ack()
        await say(
            text="CT-1 queued", blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": "*CT-1*"}}, actions]
        )

    @app.action("cancel")
    async def action(ack: Any, body: dict[str, Any], respond: Any) -> None:
        await ack()
        pressed.append(body)
        await respond("Cancelled.", replace_original=False)

    @app.shortcut("codetask_file")
    async def shortcut(ack: Any) -> None:
        await ack()

    @app.event("message")
    async def message() -> None:
        return None

    handler = AsyncSocketModeHandler(app, sim.app_token)
    try:
        await handler.connect_async()
        await sim.wait_for(lambda: sim.connections)
        said = sim.user_says("bo", "the login is broken")
        done = [sim.runs_command("bo", "/codetask fix it"), sim.uses_shortcut("ana", said)]
        card = await sim.wait_for(lambda: next(iter(sim.sent), None))
        done.append(sim.clicks("ana", card, "Cancel"))
        await sim.wait_for(lambda: sim.whispers and all(d.acked for d in [*done, *sim.deliveries]))
    finally:
        await handler.close_async()
    assert pressed[0]["actions"][0]["value"] == "codetask:cancel:CT-1"
    assert pressed[0]["message"]["ts"] == pressed[0]["container"]["message_ts"] == card.ts
    assert [(w.text, w.via) for w in sim.whispers] == [("Cancelled.", "response_url")]
    assert sim.render_text(card) == "*CT-1*\n[Cancel]"
    assert sim.surprises == []
