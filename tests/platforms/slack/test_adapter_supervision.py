"""The adapter's connection: what it refuses at once, what it survives, when it gives up, what it leaves behind."""

import asyncio
import gc
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from bot.core.inbound import Command, Unreadable
from bot.ports import AuthFailed, Fatal, Identity, NotAllowed
from platforms.slack.adapter import SlackPlatform
from platforms.slack.simulator import SlackSimulator, signed_headers
from tests.platforms.mutations import mutated
from tests.platforms.slack.payloads import EVERY_KIND, ME, envelope, message, press, slash
from tests.platforms.slack.rig import QUICK, ListInbox, Rig, rigged, settings_for


@pytest.fixture
def simulator() -> Iterator[SlackSimulator]:
    with SlackSimulator(seed=7) as running:
        yield running


async def preflight(simulator: SlackSimulator, **changes: Any) -> Identity | AuthFailed | NotAllowed:
    platform = SlackPlatform(replace(settings_for(simulator), **changes), simulator.clock, QUICK)
    try:
        return await platform.preflight()
    finally:
        await platform.aclose()


async def test_preflight_says_who_the_bot_is(simulator: SlackSimulator) -> None:
    identity = await preflight(simulator)
    assert isinstance(identity, Identity)
    assert (identity.workspace_id, identity.bot_user_id) == (simulator.team_id, simulator.bot_user_id)
    assert identity.app_id == simulator.app_id
    assert "chat:write" in identity.granted
    over_http = await preflight(simulator, codetask_slack_transport="http", slack_app_token=None)
    assert isinstance(over_http, Identity)
    assert over_http.app_id == simulator.app_id


@pytest.mark.parametrize(
    ("changes", "fix"),
    [
        ({"slack_bot_token": None}, "SLACK_BOT_TOKEN"),
        ({"slack_bot_token": SecretStr("xoxb-wrong")}, "SLACK_BOT_TOKEN"),
        ({"slack_app_token": None}, "SLACK_APP_TOKEN"),
        ({"slack_app_token": SecretStr("xapp-1-A1-2-3")}, "SLACK_APP_TOKEN"),
        ({"slack_signing_secret": None, "codetask_slack_transport": "http"}, "SLACK_SIGNING_SECRET"),
    ],
)
async def test_bad_credentials_name_the_setting(simulator: SlackSimulator, changes: dict[str, Any], fix: str) -> None:
    refused = await preflight(simulator, **changes)
    assert isinstance(refused, AuthFailed)
    assert fix in refused.fix


@pytest.mark.parametrize("url", ["http://slack.com/api/", "ftp://127.0.0.1/", "slack.com/api/"])
async def test_an_unencrypted_address_is_refused(simulator: SlackSimulator, url: str) -> None:
    refused = await preflight(simulator, codetask_slack_api_url=url)
    assert isinstance(refused, NotAllowed)
    assert "https://" in refused.fix


async def test_an_unreachable_slack_is_said(simulator: SlackSimulator) -> None:
    refused = await preflight(simulator, codetask_slack_api_url="http://127.0.0.1:9/api/")
    assert isinstance(refused, NotAllowed)
    assert "could not be reached" in refused.fix


async def test_missing_scopes_are_named(simulator: SlackSimulator) -> None:
    simulator.revoke_scope("reactions:write")
    simulator.revoke_scope("commands")
    refused = await preflight(simulator)
    assert isinstance(refused, NotAllowed)
    assert "commands, reactions:write" in refused.fix
    simulator.grant_scope("reactions:write")
    simulator.grant_scope("commands")
    simulator.revoke_scope("connections:write")
    refused = await preflight(simulator)
    assert isinstance(refused, NotAllowed)
    assert "connections:write" in refused.fix


async def test_bolts_own_environment_variables_change_nothing(
    simulator: SlackSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CLIENT_ID", "CLIENT_SECRET", "BOT_TOKEN", "SIGNING_SECRET", "APP_TOKEN", "VERIFICATION_TOKEN"):
        monkeypatch.setenv(f"SLACK_{name}", "from-the-environment")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    async with rigged(simulator) as rig:
        simulator.user_mentions("ana", "fix the login", "dev")
        (event,) = await rig.seen()
        assert isinstance(event, Command)


@pytest.mark.parametrize("how", ["clean", "abort", "blackhole"])
async def test_a_lost_connection_is_replaced(
    simulator: SlackSimulator, how: Literal["clean", "abort", "blackhole"]
) -> None:
    async with rigged(simulator) as rig:
        simulator.drop_connection(how)
        await rig.inbox.until(lambda: len(rig.inbox.gaps) == 2, 15)
        simulator.user_says("ana", "!codetask fix it", "dev")
        await rig.seen()
        assert (rig.platform.health().state, rig.platform.health().reconnects) == ("ready", 1)
        await simulator.wait_for(lambda: len(simulator.connections) == 1, 15)
        first, second = rig.inbox.gaps
        assert second.since >= first.since
        assert second.key != first.key


async def test_slack_may_ask_to_reconnect(simulator: SlackSimulator) -> None:
    async with rigged(simulator) as rig:
        simulator.server_says_reconnect()
        await rig.inbox.until(lambda: len(rig.inbox.gaps) == 2)
        await simulator.wait_for(lambda: len(simulator.connections) == 1)
        assert simulator.connections_opened == 2


async def test_an_outage_is_sat_out_with_growing_pauses(simulator: SlackSimulator) -> None:
    async with rigged(simulator) as rig:
        simulator.fail_next("auth.test", status=503, times=3)
        simulator.drop_connection("abort")
        await rig.inbox.until(lambda: len(rig.inbox.gaps) == 2, 15)
        assert len(simulator.calls("auth.test")) == 5


@pytest.mark.parametrize("which", ["bot", "app"])
async def test_refused_credentials_end_it(simulator: SlackSimulator, which: Literal["bot", "app"]) -> None:
    async with rigged(simulator) as rig:
        simulator.revoke_token(which, error="invalid_auth")
        simulator.drop_connection("abort")
        assert rig.task is not None
        fatal = await asyncio.wait_for(rig.task, 10)
        assert isinstance(fatal, Fatal)
        assert "invalid_auth" in fatal.why
        assert "SLACK_BOT_TOKEN" in fatal.fix
        assert rig.platform.health().state == "failed"
        assert len(simulator.calls()) < 12


@pytest.mark.parametrize("transport", ["socket", "http"])
async def test_a_revoked_token_is_noticed_without_a_call_of_ours(
    simulator: SlackSimulator, transport: Literal["socket", "http"]
) -> None:
    async with rigged(simulator, transport) as rig:
        simulator.revoke_token("bot")
        assert rig.task is not None
        fatal = await asyncio.wait_for(rig.task, 10)
        assert isinstance(fatal, Fatal)
        assert "token_revoked" in fatal.why


async def test_bad_credentials_at_the_start_are_fatal(simulator: SlackSimulator) -> None:
    simulator.revoke_token("app", error="invalid_auth")
    async with rigged(simulator) as rig:
        assert rig.task is not None
        assert isinstance(await asyncio.wait_for(rig.task, 5), Fatal)
        assert rig.inbox.events == []


async def hush(rig: Rig) -> None:
    """The connection goes deaf, someone writes, and eleven minutes pass."""
    simulator = rig.simulator
    simulator.go_deaf()
    simulator.user_says("ana", "is anybody there", "dev")
    simulator.advance(timedelta(minutes=11))


async def test_a_deaf_connection_is_rebuilt(simulator: SlackSimulator) -> None:
    async with rigged(simulator) as rig:
        simulator.user_says("ana", "hello", "dev")
        await rig.seen()
        heard_at = rig.platform.health().last_inbound_at
        await hush(rig)
        await rig.inbox.until(lambda: len(rig.inbox.gaps) == 2, 10)
        assert rig.inbox.gaps[-1].since == heard_at
        simulator.user_says("ana", "hello again", "dev")
        await rig.inbox.until(lambda: len(rig.inbox.said) == 2)


async def test_silence_alone_is_not_deafness(simulator: SlackSimulator) -> None:
    async with rigged(simulator) as rig:
        before = len(simulator.calls("auth.test"))
        simulator.advance(timedelta(minutes=11))
        await simulator.wait_for(lambda: len(simulator.calls("auth.test")) > before)
        await simulator.wait_for(lambda: len(simulator.calls("conversations.history")) >= 3)
        assert simulator.connections_opened == 1
        assert rig.platform.health().state == "ready"


async def test_nothing_is_left_behind(simulator: SlackSimulator) -> None:
    before = asyncio.all_tasks()
    async with rigged(simulator) as rig:
        simulator.server_says_reconnect()
        await rig.inbox.until(lambda: len(rig.inbox.gaps) == 2)
        simulator.drop_connection("blackhole")
        assert await rig.end() is None
    assert asyncio.all_tasks() == before
    gc.collect()
    await simulator.wait_for(lambda: not simulator.connections, 15)


# --- The webhook ------------------------------------------------------------------------------------------------------


async def receive(rig: Rig, body: bytes, headers: Mapping[str, str] | None = None) -> int:
    stamp = int(rig.simulator.clock.now().timestamp())
    signed = {name.lower(): value for name, value in signed_headers(rig.simulator.signing_secret, body, stamp).items()}
    given = {"content-type": "application/json", **signed, **(headers or {})}
    return (await rig.platform.receive("/webhooks/slack", given, body)).status


async def test_webhook_answers(simulator: SlackSimulator) -> None:
    async with rigged(simulator, "http") as rig:
        assert await simulator.verify_request_url()
        said = json.dumps(envelope(message())).encode()
        assert await receive(rig, said) == 200
        assert await receive(rig, said, {"x-slack-signature": "v0=" + "0" * 64}) == 401
        assert await receive(rig, b"{") == 400
        assert await receive(rig, b"\xff\xfe") == 400
        assert await receive(rig, b"x" * (1024 * 1024 + 1)) == 413
        assert await receive(rig, b'{"type":"new_type"}') == 200
        rig.inbox.down = True
        assert await receive(rig, said) == 503
        assert len(rig.inbox.said) == 1
        await rig.end()
        assert await receive(rig, said) == 503


async def test_the_webhook_is_closed_in_socket_mode(simulator: SlackSimulator) -> None:
    async with rigged(simulator) as rig:
        assert await receive(rig, json.dumps(envelope(message())).encode()) == 404


# --- Hostile payloads -------------------------------------------------------------------------------------------------


def offline() -> tuple[SlackPlatform, ListInbox]:
    """An adapter that believes it is connected; nothing is sent."""
    from tests.platforms.slack.rig import Settings

    wanted = Settings(SecretStr("xoxb-1"), SecretStr("xapp-1-A1-1"), SecretStr("s"), "http://127.0.0.1:9/api/")
    platform = SlackPlatform(wanted, SlackSimulator().clock, QUICK)
    inbox = ListInbox()
    platform.intake.me, platform.intake.inbox = ME, inbox
    return platform, inbox


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(payload=mutated(EVERY_KIND), down=st.booleans())
def test_no_payload_reaches_the_sdk_as_an_exception(payload: dict[str, Any], down: bool) -> None:
    async def play() -> None:
        platform, inbox = offline()
        inbox.down = down
        answer = await platform.intake.dispatch(payload)
        assert answer.status in ((200, 503) if down else (200,))
        await platform.intake.drain(timedelta(seconds=1))
        assert len(inbox.said) <= 1
        await platform.aclose()

    asyncio.run(play())


async def test_what_bolt_cannot_read_is_kept_all_the_same() -> None:
    platform, inbox = offline()
    assert (
        await platform.intake.dispatch({**envelope(message("!codetask fix it")), "authorizations": 7})
    ).status == 200
    assert (await platform.intake.dispatch({**press(), "enterprise": 7})).status == 200
    assert (await platform.intake.dispatch(envelope([1]))).status == 200  # type: ignore[arg-type]
    assert [type(event).__name__ for event in inbox.said] == ["Command", "ButtonPress", "Unreadable"]


async def test_an_unreadable_command_is_answered() -> None:
    platform, inbox = offline()
    answer = await platform.intake.dispatch(slash(trigger_id=None))
    (event,) = inbox.said
    assert isinstance(event, Unreadable)
    assert (
        json.loads(answer.body)["text"]
        == f"I couldn't read that (ref `{event.ref}`). Nothing was filed. Please try again."
    )


async def test_completions_are_at_most_25() -> None:
    platform, _ = offline()
    asked = {"type": "block_suggestion", "action_id": "repo", "block_id": "b", "value": "ac", "user": {"id": "U0ANA"}}
    answer = await platform.intake.dispatch({**asked, "team": {"id": "T0ACME"}})
    options = json.loads(answer.body)["options"]
    assert len(options) == 25
    assert options[0] == {"text": {"type": "plain_text", "text": "repo ac 0"}, "value": "0"}
