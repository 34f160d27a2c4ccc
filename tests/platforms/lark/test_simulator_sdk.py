"""The real, unmodified lark-oapi on the simulator: connects, hears, acknowledges, comes back, reads refusals."""

import asyncio
import json
import queue
from collections.abc import Iterator
from typing import Any

import pytest

from platforms.lark.simulator import LarkSimulator
from platforms.lark.simulator.frames import DATA, Frame, decode, encode
from tests.platforms.lark import sdk

GO = {"tag": "button", "text": {"tag": "plain_text", "content": "Go"}}
AT_ONCE = {"ReconnectNonce": 0, "ReconnectInterval": 1, "PingInterval": 1}


@pytest.fixture(scope="module")
def lark() -> Any:
    return sdk.load()


@pytest.fixture
def loop(lark: Any) -> Iterator[asyncio.AbstractEventLoop]:
    with sdk.private_loop() as private:
        yield private


async def test_it_hears_and_acknowledges_pieces(loop: asyncio.AbstractEventLoop) -> None:
    heard: queue.Queue[Any] = queue.Queue()
    with LarkSimulator(frame_bytes=250, client_config=AT_ONCE) as sim:
        connection = sdk.LongConnection(sim, loop, p2_im_message_receive_v1=heard.put)
        connection.connect()
        connection.start_pinging()
        message = sim.user_mentions("ana", "fix the login\n" * 40, "dev", post=True)
        (delivery,) = sim.deliveries_of(message)
        await sim.wait_for(lambda: delivery.acked)
        event = heard.get_nowait()
        assert event.event.message.message_id == message.id
        assert event.event.message.mentions[0].id.open_id == sim.bot_open_id
        assert (event.header.app_id, event.header.tenant_key) == (sim.app_id, sim.tenant_key)
        await sim.wait_for(lambda: sim.connections[0].pings)
        connection.close()
        await sim.wait_for(lambda: not sim.connections)
        assert sim.surprises == []


async def test_a_failing_and_an_unregistered_handler_ask_for_redelivery(loop: asyncio.AbstractEventLoop) -> None:
    def fail(event: Any) -> None:
        raise RuntimeError("not now")

    with LarkSimulator(client_config=AT_ONCE) as sim:
        connection = sdk.LongConnection(sim, loop, p2_im_message_receive_v1=fail)
        connection.connect()
        (failed,) = sim.deliveries_of(sim.user_mentions("ana", "x"))
        unheard = sim.makes_noise()
        await sim.wait_for(lambda: failed.state == unheard.state == "waiting")
        assert [d.attempts[0].status for d in (failed, unheard)] == [500, 500]
        connection.close()


async def test_a_press_is_answered_with_a_toast(lark: Any, loop: asyncio.AbstractEventLoop) -> None:
    from lark_oapi.event.callback.model.p2_card_action_trigger import P2CardActionTriggerResponse

    def press(trigger: Any) -> Any:
        value = trigger.event.action.value
        return P2CardActionTriggerResponse({"toast": {"type": "info", "content": value["v"], "i18n": {"zh_cn": "好"}}})

    with LarkSimulator(client_config=AT_ONCE) as sim:
        connection = sdk.LongConnection(sim, loop, p2_card_action_trigger=press)
        connection.connect()
        sim.clicks("bo", sim.shows_card("dev", GO, {"v": "seen"}), "Go")
        await sim.wait_for(lambda: sim.whispers)
        assert (sim.whispers[0].text, sim.whispers[0].texts) == ("seen", {"zh_cn": "好"})
        ignored = sim.delivers(sim.deliveries[0].payload, frame_type="card")
        sim.makes_noise()
        await sim.wait_for(lambda: sim.deliveries[-1].state == "waiting")
        assert ignored.state == "pending", "the SDK never acknowledges frames of type card"
        connection.close()
        assert sim.surprises == []


@pytest.mark.parametrize("how", ["clean", "abort", "away"])
async def test_it_comes_back(loop: asyncio.AbstractEventLoop, how: Any) -> None:
    with LarkSimulator(client_config=AT_ONCE) as sim:
        connection = sdk.LongConnection(sim, loop, p2_im_message_receive_v1=lambda event: None)
        connection.connect()
        if how == "away":
            sim.server_says_reconnect()
        else:
            sim.drop_connection(how)
        await sim.wait_for(lambda: sim.connections_opened == 2 and sim.connections)
        (delivery,) = sim.deliveries_of(sim.user_mentions("ana", "x"))
        await sim.wait_for(lambda: delivery.acked)
        connection.close()


async def test_refusals_arrive_as_the_sdk_tells_them_apart(lark: Any, loop: asyncio.AbstractEventLoop) -> None:
    from lark_oapi.ws.exception import ClientException, ServerException

    with LarkSimulator(max_connections=1) as sim:

        def refused() -> tuple[type[Exception], int]:
            with pytest.raises((ClientException, ServerException)) as caught:
                sdk.LongConnection(sim, loop).connect()
            return type(caught.value), caught.value.code

        sim.wrong_domain()
        assert refused() == (ClientException, 1000040351)
        sim.wrong_domain(False)
        sim.revoke_token("secret")
        assert refused() == (ClientException, 1000040345)
        sim.restore_token()
        sim.fail_next("endpoint", error="1: system busy")
        assert refused() == (ServerException, 1)
        sim.fail_next("endpoint", status=502)
        assert refused() == (ServerException, 502)
        sim.fail_next("connect", status=403)
        assert refused() == (ClientException, 403)
        connection = sdk.LongConnection(sim, loop)
        connection.connect()
        assert refused() == (ClientException, 514)
        connection.close()


def test_our_frames_are_the_sdks_frames(lark: Any) -> None:
    from lark_oapi.ws.pb.pbbp2_pb2 import Frame as Theirs

    ours = Frame(2**40, 7, 12345678, DATA, {"type": "event", "seq": "0"}, payload="修复".encode(), log_id_new="x")
    theirs = Theirs()
    theirs.ParseFromString(encode(ours))
    assert (theirs.SeqID, theirs.LogID, theirs.service, theirs.method) == (2**40, 7, 12345678, 1)
    assert {h.key: h.value for h in theirs.headers} == ours.headers
    assert (theirs.payload.decode(), theirs.LogIDNew) == ("修复", "x")
    theirs.headers.add(key="biz_rt", value="3")
    back = decode(theirs.SerializeToString())
    assert back.headers == {**ours.headers, "biz_rt": "3"} and back.payload == ours.payload


async def test_its_webhook_handler_opens_what_is_sent(lark: Any) -> None:
    from platforms.lark.simulator import encrypted_body, signed_headers

    heard: list[Any] = []
    with LarkSimulator() as sim:
        delivery = sim.deliveries_of(sim.user_mentions("ana", "x"))[0]
        builder = lark.EventDispatcherHandler.builder(sim.encrypt_key, sim.verification_token)
        handler = builder.register_p2_im_message_receive_v1(heard.append).build()
        request = lark.RawRequest()
        request.uri, request.body = "/lark", encrypted_body(sim.encrypt_key, delivery.payload)
        request.headers = signed_headers(sim.encrypt_key, request.body, 1)
        answer = handler.do(request)
    assert (answer.status_code, json.loads(answer.content)) == (200, {"msg": "success"})
    assert heard[0].event.message.message_id == delivery.message_id
