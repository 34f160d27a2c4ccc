"""Lark's own pitfalls (platforms.md 6); tests/platforms/test_pitfalls.py lists them all."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from bot.core.cards import Doc
from bot.core.inbound import MessageRef, ThreadRef
from platforms.lark.connection import load_client
from platforms.lark.rest import LarkApi
from platforms.lark.simulator import NOISE, SENSITIVE_SCOPE, LarkSimulator
from tests.platforms.lark.rig import make_simulator, rigged


@pytest.fixture
def simulator() -> Iterator[LarkSimulator]:
    running = make_simulator()
    try:
        yield running
    finally:
        running.stop()


def test_p16_the_sdk_s_global_loop_does_not_matter_and_each_loop_ends_clean(simulator: LarkSimulator) -> None:
    async def hear(text: str) -> None:
        async with rigged(simulator) as rig:
            simulator.user_mentions("ana", text, "dev")
            await rig.seen()
            assert await rig.end() is None
        assert asyncio.all_tasks() == {asyncio.current_task()}

    for number in range(2):
        asyncio.run(hear(f"fix number {number}"))


def test_p16_the_private_names_of_the_sdk_are_still_there() -> None:
    """What connection.py overrides or calls; the wire tests hold how they behave."""
    module = load_client()
    for name in (
        "_connect",
        "_ping_loop",
        "_receive_message_loop",
        "_handle_message",
        "_handle_data_frame",
        "_combine",
    ):
        assert asyncio.iscoroutinefunction(getattr(module.Client, name)) == (name != "_combine")
    assert not asyncio.iscoroutinefunction(module.Client._get_conn_url)


async def test_p17_a_slow_inbox_holds_up_no_other_ack_and_no_type_is_refused(simulator: LarkSimulator) -> None:
    async with rigged(simulator) as rig:
        rig.inbox.gate.clear()
        said = simulator.user_mentions("ana", "fix it", "dev")
        await rig.inbox.until(lambda: rig.inbox.waiting == 1)
        noise = [simulator.makes_noise(name, "dev") for name in NOISE]
        await simulator.wait_for(lambda: all(one.acked for one in noise))
        (heard,) = simulator.deliveries_of(said)
        assert not heard.acked
        rig.inbox.gate.set()
        await simulator.wait_for(lambda: heard.acked)


async def test_p18_the_sdk_s_blocking_client_is_never_asked(
    simulator: LarkSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a blocking call on the loop")

    monkeypatch.setattr(requests.Session, "request", refuse)
    async with rigged(simulator) as rig:
        place = ThreadRef(platform="lark", workspace_id=simulator.tenant_key, channel_id=simulator.channel("dev").id)
        assert isinstance(await rig.platform.post(place, Doc(text="here"), "k" * 24), MessageRef)
        simulator.server_says_reconnect()
        await rig.inbox.until(lambda: len(rig.inbox.gaps) == 2)


async def test_p29_frames_of_type_card_are_acked_too(simulator: LarkSimulator) -> None:
    async with rigged(simulator) as rig:
        said = simulator.user_mentions("ana", "fix it", "dev")
        await rig.seen()
        (heard,) = simulator.deliveries_of(said)
        again = simulator.delivers(heard.payload, "event", frame_type="card")
        await simulator.wait_for(lambda: again.acked)
        assert rig.inbox.duplicates == 1


async def test_p41_one_app_id_at_two_services_has_two_tokens(simulator: LarkSimulator) -> None:
    with LarkSimulator(seed=7) as other:
        other.grant_scope(SENSITIVE_SCOPE)
        assert other.app_id == simulator.app_id
        apis = [LarkApi(one.api_url, one.app_id, one.app_secret, one.clock) for one in (simulator, other)]
        try:
            for api in apis:
                await api.call("GET", "/open-apis/im/v1/chats", query={"page_size": 20})
            other.revoke_token("token")
            for api in apis:
                await api.call("GET", "/open-apis/im/v1/chats", query={"page_size": 20})
        finally:
            for api in apis:
                await api.aclose()
        assert [len(one.calls("token")) for one in (simulator, other)] == [1, 2]
