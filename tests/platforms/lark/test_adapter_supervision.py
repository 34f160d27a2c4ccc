"""The adapter's connection: what it refuses at once, what it survives, when it gives up, what it leaves behind."""

import asyncio
import gc
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from bot.core.inbound import Command, Unreadable
from bot.ports import AuthFailed, Fatal, Identity, NotAllowed
from platforms.lark.adapter import LarkPlatform
from platforms.lark.settings import LarkSettings
from platforms.lark.simulator import LarkSimulator, encrypted_body, signed_headers
from platforms.simulation import SimulatedClock
from tests.platforms.lark.payloads import APP, EVERY_KIND, ME, envelope, press, received
from tests.platforms.lark.rig import QUICK, ListInbox, Rig, make_simulator, rigged, settings_for
from tests.platforms.mutations import mutated

ROOT = Path(__file__).parents[3]


@pytest.fixture
def simulator() -> Iterator[LarkSimulator]:
    running = make_simulator()
    try:
        yield running
    finally:
        running.stop()


async def preflight(simulator: LarkSimulator, **changes: Any) -> Identity | AuthFailed | NotAllowed:
    made = settings_for(simulator).model_copy(update=changes)
    platform = LarkPlatform(made, simulator.clock, QUICK)
    try:
        return await platform.preflight()
    finally:
        await platform.aclose()


async def test_preflight_says_who_the_bot_is(simulator: LarkSimulator) -> None:
    for transport in ("long", "webhook"):
        identity = await preflight(simulator, codetask_lark_transport=transport)
        assert isinstance(identity, Identity)
        assert (identity.app_id, identity.workspace_id) == (simulator.app_id, simulator.tenant_key)
        assert (identity.bot_user_id, identity.name) == (simulator.bot_open_id, "Codetask")
        assert "im:message:send_as_bot" in identity.granted


@pytest.mark.parametrize(
    ("changes", "fix"),
    [
        ({"lark_app_secret": None}, "LARK_APP_SECRET"),
        ({"lark_app_id": ""}, "LARK_APP_ID"),
        ({"lark_app_secret": SecretStr("wrong")}, "LARK_APP_SECRET"),
        ({"lark_encrypt_key": None, "codetask_lark_transport": "webhook"}, "LARK_ENCRYPT_KEY"),
        ({"lark_verification_token": None, "codetask_lark_transport": "webhook"}, "LARK_VERIFICATION_TOKEN"),
    ],
)
async def test_bad_credentials_name_the_setting(simulator: LarkSimulator, changes: dict[str, Any], fix: str) -> None:
    refused = await preflight(simulator, **changes)
    assert isinstance(refused, AuthFailed)
    assert fix in refused.fix


@pytest.mark.parametrize("url", ["http://open.larksuite.com", "ftp://127.0.0.1/", "open.larksuite.com", "http://[x"])
async def test_an_unencrypted_address_is_refused(simulator: LarkSimulator, url: str) -> None:
    refused = await preflight(simulator, codetask_lark_api_url=url)
    assert isinstance(refused, NotAllowed)
    assert "https://" in refused.fix


async def test_an_unreachable_lark_the_other_domain_and_a_bot_that_is_off_are_said(simulator: LarkSimulator) -> None:
    refused = await preflight(simulator, codetask_lark_api_url="http://127.0.0.1:9")
    assert isinstance(refused, NotAllowed)
    assert "could not be reached" in refused.fix
    simulator.wrong_domain()
    refused = await preflight(simulator)
    assert isinstance(refused, NotAllowed)
    assert ("https://open.feishu.cn" in refused.fix, refused.why) == (True, "1000040351")
    simulator.wrong_domain(False)
    simulator.switches_bot(False)
    refused = await preflight(simulator)
    assert isinstance(refused, NotAllowed)
    assert "Bot feature" in refused.fix


async def test_missing_scopes_are_named_and_optional_ones_are_not(simulator: LarkSimulator) -> None:
    simulator.revoke_scope("im:message:send_as_bot")
    simulator.revoke_scope("im:chat:readonly")
    simulator.revoke_scope("contact:user.base:readonly")
    refused = await preflight(simulator)
    assert isinstance(refused, NotAllowed)
    assert "im:chat:readonly, im:message:send_as_bot" in refused.fix
    assert "contact" not in refused.fix


async def test_nobody_is_identified_without_the_tenant(simulator: LarkSimulator) -> None:
    """What is read back without the tenant would be stored once more beside the live event."""
    async with rigged(simulator, start=False) as rig:
        simulator.fail_next("chat.list", status=503)
        assert isinstance(await rig.platform.preflight(), NotAllowed)
        simulator.fail_next("chat.list", status=503)
        await rig.start()
        simulator.user_says("ana", "!codetask fix it", "dev")
        (event,) = await rig.seen()
        assert rig.inbox.gaps[0].workspace_id == event.workspace_id == simulator.tenant_key


@pytest.mark.parametrize("how", ["clean", "abort", "blackhole"])
async def test_a_lost_connection_is_replaced(
    simulator: LarkSimulator, how: Literal["clean", "abort", "blackhole"]
) -> None:
    async with rigged(simulator) as rig:
        simulator.drop_connection(how)
        await rig.inbox.until(lambda: len(rig.inbox.gaps) == 2, 15)
        simulator.user_says("ana", "!codetask fix it", "dev")
        await rig.seen()
        assert (rig.platform.health().state, rig.platform.health().reconnects) == ("ready", 1)
        first, second = rig.inbox.gaps
        assert second.since >= first.since
        assert second.key != first.key


async def test_lark_may_close_at_any_time_and_refuse_a_handshake(simulator: LarkSimulator) -> None:
    async with rigged(simulator) as rig:
        simulator.fail_next("connect", status=514, times=2)
        simulator.server_says_reconnect()
        await rig.inbox.until(lambda: len(rig.inbox.gaps) == 2)
        await simulator.wait_for(lambda: len(simulator.connections) == 1)
        assert rig.platform.health().reconnects == 3


async def test_an_outage_is_sat_out_with_growing_pauses(simulator: LarkSimulator) -> None:
    async with rigged(simulator) as rig:
        simulator.fail_next("bot.info", status=503, times=2)
        simulator.drop_connection("abort")
        await rig.inbox.until(lambda: len(rig.inbox.gaps) == 2, 15)
        assert len(simulator.calls("bot.info")) == 4


async def test_refused_credentials_end_it(simulator: LarkSimulator) -> None:
    async with rigged(simulator) as rig:
        simulator.revoke_token("secret")
        simulator.drop_connection("abort")
        assert rig.task is not None
        fatal = await asyncio.wait_for(rig.task, 10)
        assert isinstance(fatal, Fatal)
        assert "LARK_APP_SECRET" in fatal.fix
        assert rig.platform.health().state == "failed"
        assert len(simulator.calls()) < 16


async def test_a_secret_that_no_longer_holds_is_noticed_by_any_call(simulator: LarkSimulator) -> None:
    async with rigged(simulator, "webhook") as rig:
        simulator.revoke_token("secret")
        assert isinstance(await rig.platform.channels(), AuthFailed)
        assert rig.task is not None
        assert isinstance(await asyncio.wait_for(rig.task, 10), Fatal)


async def hush(simulator: LarkSimulator) -> None:
    """The connection goes deaf, someone writes, and eleven minutes pass."""
    simulator.go_deaf()
    simulator.user_says("ana", "is anybody there", "dev")
    simulator.advance(timedelta(minutes=11))


async def test_a_deaf_connection_is_rebuilt(simulator: LarkSimulator) -> None:
    async with rigged(simulator) as rig:
        simulator.user_says("ana", "hello", "dev")
        await rig.seen()
        heard_at = rig.platform.health().last_inbound_at
        await hush(simulator)
        await rig.inbox.until(lambda: len(rig.inbox.gaps) == 2, 10)
        assert rig.inbox.gaps[-1].since == heard_at
        simulator.user_says("ana", "hello again", "dev")
        await rig.inbox.until(lambda: len(rig.inbox.said) == 2)


async def test_what_a_group_never_sends_is_no_deafness() -> None:
    simulator = LarkSimulator(seed=7)
    simulator.start()
    try:
        async with rigged(simulator) as rig:
            simulator.user_says("ana", "just talking", "dev")
            before = len(simulator.calls("bot.info"))
            simulator.advance(timedelta(minutes=11))
            await simulator.wait_for(lambda: len(simulator.calls("bot.info")) > before)
            assert simulator.connections_opened == 1
            assert rig.platform.health().state == "ready"
    finally:
        simulator.stop()


async def test_nothing_is_left_behind(simulator: LarkSimulator) -> None:
    before, threads = asyncio.all_tasks(), set(threading.enumerate())
    async with rigged(simulator) as rig:
        simulator.server_says_reconnect()
        await rig.inbox.until(lambda: len(rig.inbox.gaps) == 2)
        simulator.drop_connection("blackhole")
        assert await rig.end() is None
    assert asyncio.all_tasks() == before
    assert {one for one in threading.enumerate() if not one.name.startswith("asyncio_")} <= threads
    gc.collect()
    await simulator.wait_for(lambda: not simulator.connections, 15)


async def test_what_arrives_while_it_ends_is_left_to_a_later_delivery(simulator: LarkSimulator) -> None:
    async with rigged(simulator) as rig:
        rig.inbox.gate.clear()
        simulator.user_says("ana", "!codetask first", "dev")
        await rig.inbox.until(lambda: rig.inbox.waiting)
        rig.stop.set()
        for _ in range(50):
            await asyncio.sleep(0)
        simulator.user_says("ana", "!codetask second", "dev")
        await asyncio.wait([asyncio.create_task(rig.end())], timeout=0.3)
        rig.inbox.gate.set()
        await rig.end()
        assert [event.text for event in rig.inbox.said if isinstance(event, Command)] == ["first"]
        await rig.start()
        simulator.advance(timedelta(minutes=1))
        await rig.seen(2)


async def test_large_events_come_in_pieces() -> None:
    simulator = make_simulator(frame_bytes=300)
    try:
        async with rigged(simulator) as rig:
            simulator.user_mentions("ana", "fix it " * 200, "dev")
            (event,) = await rig.seen()
            assert isinstance(event, Command)
            assert event.text == ("fix it " * 200).strip()
    finally:
        simulator.stop()


def test_the_connection_loads_a_small_part_of_the_sdk_and_prints_nothing() -> None:
    """A process of its own: how much is loaded is a matter of the whole process."""
    program = (
        "import sys, threading\n"
        "from platforms.lark import adapter, connection\n"
        "assert not [name for name in sys.modules if name.startswith('lark_oapi')]\n"
        "loading = threading.Thread(target=connection.load_client); loading.start(); loading.join()\n"
        "loaded = [name for name in sys.modules if name.startswith('lark_oapi')]\n"
        "assert 'lark_oapi.ws.client' in loaded and len(loaded) < 120, len(loaded)\n"
        "assert not [name for name in loaded if name.startswith('lark_oapi.channel')]\n"
        "assert 'lark_oapi' not in sys.modules, 'who imports it later gets all of it'\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


# --- The webhook ------------------------------------------------------------------------------------------------------


async def receive(rig: Rig, body: bytes, headers: Mapping[str, str] | None = None) -> int:
    stamp = int(rig.simulator.clock.now().timestamp())
    signed = signed_headers(rig.simulator.encrypt_key, body, stamp)
    return (await rig.platform.receive("/webhooks/lark", signed if headers is None else headers, body)).status


async def test_webhook_answers(simulator: LarkSimulator) -> None:
    async with rigged(simulator, "webhook") as rig:
        assert await simulator.verify_request_url()
        assert await simulator.verify_request_url(signed=False)
        said = encrypted_body(simulator.encrypt_key, received("under another token"))
        told = encrypted_body(simulator.encrypt_key, owned(simulator, received("!codetask fix it")))
        assert await receive(rig, said) == 401
        assert await receive(rig, told) == 200
        assert await receive(rig, told, {}) == 401
        assert await receive(rig, b"{") == 400
        assert await receive(rig, b"x" * (1024 * 1024 + 1)) == 413
        rig.inbox.down = True
        assert await receive(rig, told) == 503
        assert len(rig.inbox.said) == 1
        await rig.end()
        assert await receive(rig, told) == 503


def owned(simulator: LarkSimulator, payload: dict[str, Any]) -> dict[str, Any]:
    """The payload with the simulator's verification token."""
    return {**payload, "header": {**payload["header"], "token": simulator.verification_token}}


async def test_the_webhook_is_closed_on_a_long_connection(simulator: LarkSimulator) -> None:
    async with rigged(simulator) as rig:
        assert await receive(rig, encrypted_body(simulator.encrypt_key, owned(simulator, received()))) == 404


# --- Hostile payloads -------------------------------------------------------------------------------------------------


def offline() -> tuple[LarkPlatform, ListInbox]:
    """An adapter that believes it is connected; nothing is sent."""
    made = LarkSettings(lark_app_id=APP, lark_app_secret=SecretStr("s"), codetask_lark_api_url="http://127.0.0.1:9")
    platform = LarkPlatform(made, SimulatedClock(), QUICK)
    inbox = ListInbox()
    platform.intake.me, platform.intake.inbox = ME, inbox
    return platform, inbox


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(payload=mutated(EVERY_KIND), down=st.booleans())
def test_no_payload_reaches_the_transport_as_an_exception(payload: dict[str, Any], down: bool) -> None:
    async def play() -> None:
        platform, inbox = offline()
        inbox.down = down
        platform.intake.presses._hold = timedelta(0)
        answer = await platform.intake.take(json.dumps(payload).encode())
        assert answer.stored or down
        platform.intake.done(answer)
        assert len(inbox.said) <= 1
        await platform.aclose()

    asyncio.run(play())


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff\xfe", b"7", b"[]", b"null", b"[" * 100_000])
async def test_what_is_no_event_at_all_is_kept(payload: bytes) -> None:
    platform, inbox = offline()
    assert (await platform.intake.take(payload)).stored
    (event,) = inbox.said
    assert isinstance(event, Unreadable)


async def test_an_unreadable_press_is_answered() -> None:
    platform, inbox = offline()
    answer = await platform.intake.dispatch(press(tag="button") | {"event": {"action": {"value": {"codetask": 7}}}})
    assert (answer.stored, inbox.said[0].kind) == (True, "unreadable")
    assert answer.body is not None
    assert answer.body["content"].startswith("I couldn't read that (ref ")
    foreign = await platform.intake.dispatch(press({"other": "app"}))
    assert (foreign.stored, foreign.body) == (True, None)


async def test_a_press_before_the_start_is_answered_and_an_event_comes_again() -> None:
    platform, inbox = offline()
    platform.intake.inbox = None
    answer = await platform.intake.dispatch(press())
    assert answer.stored and answer.body is not None
    assert answer.body["content"].startswith("I couldn't save that (ref ")
    assert not (await platform.intake.dispatch(received())).stored
    assert inbox.said == []


async def test_a_press_that_is_given_up_holds_up_no_card() -> None:
    platform, inbox = offline()
    inbox.gate.clear()
    given_up = asyncio.ensure_future(platform.intake.dispatch(press()))
    await inbox.until(lambda: inbox.waiting)
    given_up.cancel()
    await asyncio.wait([given_up])
    assert platform.intake.presses._open == {}


async def test_the_tenant_is_learnt_from_the_first_event() -> None:
    platform, _ = offline()
    platform.intake.me = type(ME)(APP, "", ME.bot_user_id)
    await platform.intake.dispatch(received())
    assert platform.intake.me == ME
    await platform.intake.dispatch(envelope("im.message.message_read_v1", {}))
