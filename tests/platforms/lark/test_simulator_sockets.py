"""The long connection of the Lark simulator, with a small raw client."""

import json
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from platforms.lark.simulator import NOISE, Delivery, LarkSimulator
from platforms.lark.simulator.frames import DATA, Frame, decode, encode
from tests.platforms.lark.wire import connected, discover

WINDOW = timedelta(seconds=3)
LADDER = [timedelta(seconds=15), timedelta(minutes=5), timedelta(hours=1), timedelta(hours=6)]


@pytest.fixture
def sim() -> Iterator[LarkSimulator]:
    with LarkSimulator() as simulator:
        yield simulator
        assert simulator.surprises == []


def outcomes(delivery: Delivery) -> list[str]:
    return [attempt.outcome for attempt in delivery.attempts]


async def test_the_endpoint_tells_where_and_how(sim: LarkSimulator) -> None:
    async with connected(sim) as socket:
        query = parse_qs(urlsplit(socket.endpoint["URL"]).query)
        assert query["device_id"][0].isdecimal()
        config = {"ReconnectCount": -1, "ReconnectInterval": 120, "ReconnectNonce": 30, "PingInterval": 120}
        assert socket.endpoint["ClientConfig"] == config
        pong = await socket.ping(int(query["service_id"][0]))
        assert (pong.method, pong.headers, json.loads(pong.payload)) == (0, {"type": "pong"}, config)
        assert (len(sim.connections), sim.connections[0].pings) == (1, 1)
        assert sim.calls("endpoint")[0].code == 0


async def test_a_message_and_its_ack(sim: LarkSimulator) -> None:
    async with connected(sim) as socket:
        message = sim.user_mentions("ana", "is x < y?", "dev")
        frame, payload = await socket.event()
        assert frame.method == DATA
        assert set(frame.headers) == {"type", "message_id", "trace_id", "sum", "seq"}
        assert (frame.headers["type"], frame.headers["sum"], frame.headers["seq"]) == ("event", "1", "0")
        delivery = sim.deliveries_of(message)[0]
        assert delivery.state == "pending"
        await socket.ack(frame)
        await sim.wait_for(lambda: delivery.acked)
    assert payload["schema"] == "2.0"
    assert set(payload["header"]) == {"event_id", "token", "create_time", "event_type", "tenant_key", "app_id"}
    assert payload["header"]["app_id"] == sim.app_id
    shown, sender = payload["event"]["message"], payload["event"]["sender"]
    assert (shown["message_id"], shown["chat_id"], shown["chat_type"]) == (message.id, sim.channel("dev").id, "group")
    assert json.loads(shown["content"]) == {"text": "@_user_1 is x < y?"}
    assert shown["mentions"][0]["key"] == "@_user_1"
    assert shown["mentions"][0]["id"]["open_id"] == sim.bot_open_id
    assert sender["sender_id"]["union_id"] == sim.user("ana").union_id
    assert delivery.latencies and delivery.latencies[0] >= 0
    assert delivery.acked_at is not None
    assert sim.acks == [delivery]


async def test_large_payloads_come_in_pieces() -> None:
    with LarkSimulator(frame_bytes=300) as sim:
        async with connected(sim) as socket:
            message = sim.user_mentions("ana", "long " * 100)
            frames = [await socket.frame()]
            frames += [await socket.frame() for _ in range(int(frames[0].headers["sum"]) - 1)]
            assert [f.headers["seq"] for f in frames] == [str(n) for n in range(len(frames))]
            assert len({f.headers["message_id"] for f in frames}) == 1
            payload = json.loads(b"".join(f.payload for f in frames))
            assert payload["event"]["message"]["message_id"] == message.id
            await socket.ack(frames[-1])
            await sim.wait_for(lambda: sim.deliveries[0].acked)
        assert sim.surprises == []


async def test_the_ladder_runs_over_seven_hours(sim: LarkSimulator) -> None:
    async with connected(sim) as socket:
        delivery = sim.deliveries_of(sim.user_mentions("ana", "anyone?"))[0]
        events = [(await socket.event())[1]]
        for wait in LADDER:
            sim.advance(WINDOW)
            assert delivery.state == "waiting"
            sim.advance(wait)
            frame, event = await socket.event()
            events.append(event)
        sim.advance(WINDOW)
        assert (delivery.state, delivery.error) == ("lost", "timeout")
        await socket.ack(frame)
        await sim.wait_for(lambda: outcomes(delivery)[-1] == "late")
    assert events == [events[0]] * 5
    assert sum(LADDER, timedelta(0)) > timedelta(hours=7)


async def test_a_refusal_is_redelivered_and_then_acked(sim: LarkSimulator) -> None:
    async with connected(sim) as socket:
        delivery = sim.deliveries_of(sim.user_mentions("ana", "x"))[0]
        frame, _ = await socket.event()
        await socket.ack(frame, code=500)
        await sim.wait_for(lambda: delivery.state == "waiting")
        sim.advance(LADDER[0])
        frame, _ = await socket.event()
        await socket.ack(frame)
        await sim.wait_for(lambda: delivery.acked)
    assert outcomes(delivery) == ["refused", "acked"]
    assert delivery.attempts[0].status == 500


async def test_redelivery_with_the_same_and_with_fresh_ids(sim: LarkSimulator) -> None:
    async with connected(sim) as socket:
        message = sim.user_mentions("ana", "once")
        sim.redeliver(message)
        sim.redeliver(message, fresh_ids=True)
        first, same, fresh = [(await socket.event())[1] for _ in range(3)]
    assert first == same
    assert fresh["header"]["event_id"] != first["header"]["event_id"]
    assert fresh["event"]["message"].pop("message_id") != first["event"]["message"].pop("message_id")
    assert fresh["event"] == first["event"]


async def test_each_payload_goes_to_one_of_several_connections(sim: LarkSimulator) -> None:
    async with connected(sim) as one, connected(sim) as two:
        for number in range(4):
            sim.user_mentions("bo", f"message {number}")
        frames = [await one.event(), await one.event(), await two.event(), await two.event()]
        assert len({payload["header"]["event_id"] for _, payload in frames}) == 4
        assert sorted(c.delivered for c in sim.connections) == [2, 2]


async def test_one_connection_too_many_is_refused() -> None:
    with LarkSimulator(max_connections=1) as sim:
        async with connected(sim):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                async with connected(sim):
                    raise AssertionError("let in")
        headers = caught.value.headers
        assert headers is not None
        assert (headers["Handshake-Status"], headers["Handshake-Autherrcode"]) == ("514", "1000040350")


async def test_a_connection_without_an_address_or_on_request_is_refused(sim: LarkSimulator) -> None:
    async with aiohttp.ClientSession() as session:
        url = (await discover(session, sim))["data"]["URL"]
        for address, status in ((url.replace("device_id=", "device_id=9"), "514"), (url, "403")):
            if status == "403":
                sim.fail_next("connect", status=403)
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(address)
            assert caught.value.headers is not None
            assert caught.value.headers["Handshake-Status"] == status
        sim.fail_next("*", drop_before_commit=True, times=None)
        with pytest.raises(aiohttp.ClientConnectionError):
            await discover(session, sim)
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.ws_connect(url)


async def test_the_endpoint_refuses(sim: LarkSimulator) -> None:
    async with aiohttp.ClientSession() as session:
        assert (await discover(session, sim, AppSecret="wrong"))["code"] == 1000040345
        sim.revoke_token("secret")
        assert (await discover(session, sim))["code"] == 1000040345
        sim.restore_token()
        sim.wrong_domain()
        assert (await discover(session, sim))["code"] == 1000040351
        sim.wrong_domain(False)
        sim.fail_next("endpoint", error="1: system busy")
        assert await discover(session, sim) == {"code": 1, "msg": "system busy"}
        assert (await discover(session, sim))["code"] == 0


async def test_connections_end_in_three_ways(sim: LarkSimulator) -> None:
    async with connected(sim) as socket:
        sim.drop_connection("clean")
        assert (await socket.socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
    async with connected(sim) as socket:
        sim.server_says_reconnect()
        closed = await socket.socket.receive(timeout=5)
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1001)
    async with connected(sim) as socket:
        sim.drop_connection("abort")
        assert (await socket.socket.receive(timeout=5)).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    assert sim.connections == []
    assert sim.connections_opened == 3


async def test_a_black_hole_takes_and_gives_nothing(sim: LarkSimulator) -> None:
    async with connected(sim) as socket:
        sim.drop_connection("blackhole")
        delivery = sim.deliveries_of(sim.user_mentions("ana", "hello?"))[0]
        with pytest.raises(TimeoutError):
            await socket.socket.receive(timeout=0.05)
        sim.advance(WINDOW)
        assert outcomes(delivery) == ["timeout"]
    await sim.wait_for(lambda: not sim.connections)


async def test_an_unacked_event_comes_back_on_a_new_connection(sim: LarkSimulator) -> None:
    async with connected(sim) as socket:
        delivery = sim.deliveries_of(sim.user_mentions("ana", "hello?"))[0]
        await socket.event()
    await sim.wait_for(lambda: delivery.state == "waiting")
    async with connected(sim) as socket:
        sim.advance(LADDER[0])
        frame, _ = await socket.event()
        await socket.ack(frame)
        await sim.wait_for(lambda: delivery.acked)
    assert outcomes(delivery) == ["connection_failed", "acked"]


async def test_a_deaf_connection_swallows(sim: LarkSimulator) -> None:
    async with connected(sim) as socket:
        sim.go_deaf()
        lost = sim.deliveries_of(sim.user_mentions("ana", "lost"))[0]
        assert (lost.state, lost.over) == ("swallowed", True)
        assert (await socket.ping(1)).headers["type"] == "pong"
        sim.go_deaf(False)
        sim.user_mentions("ana", "heard")
        assert "heard" in (await socket.event())[1]["event"]["message"]["content"]
        sim.go_deaf(new_connections_too=True)
    async with connected(sim):
        await sim.wait_for(lambda: sim.connections)
        assert sim.connections[0].deaf


async def test_any_payload_and_any_noise(sim: LarkSimulator) -> None:
    async with connected(sim) as socket:
        sim.delivers({"schema": "2.0", "header": {"event_type": "im.unheard.of_v9"}, "event": {}})
        assert (await socket.event())[1]["header"]["event_type"] == "im.unheard.of_v9"
        sim.delivers({"what": 1}, frame_type="card")
        assert (await socket.frame()).headers["type"] == "card"
        for name in NOISE:
            sim.makes_noise(name)
            assert (await socket.event())[1]["header"]["event_type"] == name


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff\xff",
        b"",
        encode(Frame(method=0, headers={"type": "hello"})),
        encode(Frame(method=DATA, headers={"type": "event", "message_id": "unknown"}, payload=b'{"code":200}')),
    ],
)
async def test_frames_that_lark_does_not_know_are_surprises(sent: bytes) -> None:
    with LarkSimulator() as sim:
        async with connected(sim) as socket:
            await socket.socket.send_bytes(sent)
            await sim.wait_for(lambda: sim.surprises)
            await socket.ping(1)


async def test_an_unreadable_ack_is_a_refusal() -> None:
    with LarkSimulator() as sim:
        async with connected(sim) as socket:
            delivery = sim.deliveries_of(sim.user_mentions("ana", "x"))[0]
            frame = await socket.frame()
            frame.payload = b"OK"
            await socket.socket.send_bytes(encode(frame))
            await sim.wait_for(lambda: delivery.state == "waiting")
        assert len(sim.surprises) == 1


def test_frames_survive_the_wire() -> None:
    frame = Frame(2**63 + 5, 300, 12345678, DATA, {"type": "event", "sum": "1"}, "", "", b"\x00" * 300, "log")
    assert decode(encode(frame)) == frame


def test_pieces_of_frames_are_refused_or_lack_something() -> None:
    frame = Frame(1, 2, 3, DATA, {"type": "event"}, payload=b"some payload")
    whole = encode(frame)
    required = len(encode(Frame(1, 2, 3, DATA))) - 4
    refused = 0
    for length in range(len(whole)):
        try:
            assert decode(whole[:length]) != frame
        except ValueError:
            refused += 1
    assert refused > required
