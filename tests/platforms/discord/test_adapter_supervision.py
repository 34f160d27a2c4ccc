"""Connections that are lost, refused or deaf, the lease, and the day's budget of new sessions."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from bot.core.cards import Doc
from bot.core.inbound import Command, Message
from bot.ports import Fatal, Retry
from platforms.discord.adapter import DiscordPlatform
from platforms.discord.api import Api, Http
from platforms.discord.gateway import Gateway, Identifies, NoIdentifyLeft
from platforms.discord.simulator import DiscordSimulator
from platforms.simulation import SimulatedClock
from tests.platforms.discord.payloads import APP, DEV, GUILD, message
from tests.platforms.discord.rig import HEARTBEAT, QUICK, ListInbox, Rig, rigged, settings_for

WISH = "Add a CSV export to the report"


@pytest.fixture
def simulator() -> Iterator[DiscordSimulator]:
    with DiscordSimulator(seed=5, heartbeat=HEARTBEAT) as running:
        yield running


@pytest.fixture
async def rig(simulator: DiscordSimulator) -> AsyncIterator[Rig]:
    async with rigged(simulator) as running:
        yield running


async def test_a_resumed_session_misses_nothing_and_reports_no_gap(rig: Rig) -> None:
    for number, how in enumerate(("reconnect", "abort", "clean"), 1):
        opened = rig.simulator.connections_opened
        if how == "reconnect":
            rig.simulator.server_says_reconnect()
        else:
            rig.simulator.drop_connection(how)  # type: ignore[arg-type]
        rig.simulator.user_mentions("ana", f"{WISH} {number}", "dev")
        await rig.simulator.wait_for(lambda: rig.simulator.connections_opened > opened)  # noqa: B023
        await rig.seen(number)
    assert rig.simulator.identifies == 1
    assert rig.simulator.resumes == 3
    assert len(rig.inbox.gaps) == 1, "only that of the start"


async def test_an_invalid_session_reports_a_gap(rig: Rig) -> None:
    rig.simulator.invalidate_session()
    await rig.inbox.until(lambda: len(rig.inbox.gaps) == 2)
    assert rig.simulator.identifies == 2
    assert rig.platform.health().state == "ready"


async def test_a_gap_begins_where_the_old_session_fell_silent(simulator: DiscordSimulator) -> None:
    """Also when the new session was heard before the supervision looked: what lies between was heard by nobody."""
    async with rigged(simulator, tick=timedelta(seconds=1)) as rig:
        simulator.user_mentions("ana", f"{WISH} heard", "dev")
        await rig.seen(1)
        heard_at = simulator.clock.now()
        simulator.invalidate_session()
        simulator.user_mentions("ana", f"{WISH} unheard", "dev")
        await simulator.wait_for(lambda: simulator.identifies == 2 and simulator.ready)
        simulator.user_mentions("ana", f"{WISH} heard at once", "dev")
        await rig.seen(2)
        await rig.inbox.until(lambda: len(rig.inbox.gaps) == 2)
        assert rig.inbox.gaps[1].since <= heard_at


async def test_a_silent_connection_is_noticed_by_its_heartbeat(rig: Rig) -> None:
    rig.simulator.drop_connection("blackhole")
    await rig.simulator.wait_for(lambda: rig.simulator.connections_opened == 2, 10)
    rig.simulator.user_mentions("ana", WISH, "dev")
    (event,) = await rig.seen()
    assert isinstance(event, Command)


async def test_a_payload_that_the_sdk_cannot_read_does_not_end_the_connection(rig: Rig) -> None:
    for name in ("CHANNEL_UPDATE", "GUILD_CREATE", "THREAD_CREATE", "INTERACTION_CREATE", "GUILD_ROLE_UPDATE"):
        rig.simulator.delivers(name, {"id": [], "guild_id": rig.simulator.guild_id, "type": "odd"})
    rig.simulator.user_mentions("ana", WISH, "dev")
    await rig.inbox.until(lambda: any(isinstance(event, Command) for event in rig.inbox.said))
    assert rig.simulator.connections_opened == 1


async def test_a_platform_that_is_away_at_the_start_is_tried_again(simulator: DiscordSimulator) -> None:
    simulator.fail_next("gateway", status=503, times=3)
    async with rigged(simulator) as rig:
        assert rig.platform.health().state == "ready"
        simulator.user_mentions("ana", WISH, "dev")
        await rig.seen()


@pytest.mark.parametrize("operation", ["get_my_user", "get_my_oauth2_application", "get_bot_gateway"])
async def test_a_check_that_fails_in_passing_is_repeated(simulator: DiscordSimulator, operation: str) -> None:
    simulator.fail_next(operation, status=503, times=2)
    async with rigged(simulator) as rig:
        assert rig.platform.health().state == "ready"


@pytest.mark.parametrize(
    ("code", "word"), [(4004, "DISCORD_TOKEN"), (4014, "Message Content Intent"), (4013, "Update")]
)
async def test_a_fatal_close_code_ends_it_with_the_fix(rig: Rig, code: int, word: str) -> None:
    rig.simulator.drop_connection("clean", code=code)
    assert rig.task is not None
    fatal = await asyncio.wait_for(rig.task, 5)
    assert isinstance(fatal, Fatal)
    assert str(code) in fatal.why
    assert word in fatal.fix
    assert rig.platform.health().state == "failed"


async def test_a_revoked_token_ends_it(rig: Rig) -> None:
    rig.simulator.revoke_token()
    assert rig.task is not None
    fatal = await asyncio.wait_for(rig.task, 5)
    assert isinstance(fatal, Fatal)
    assert "DISCORD_TOKEN" in fatal.fix


# --- The lease --------------------------------------------------------------------------------------------------------


async def test_of_two_only_the_holder_of_the_lease_listens_and_both_send(rig: Rig) -> None:
    other = DiscordPlatform(settings_for(rig.simulator), rig.simulator.clock, QUICK)
    inbox, stop = ListInbox(rig.inbox.leases), asyncio.Event()
    running = asyncio.create_task(other.run(inbox, stop))
    try:
        await inbox.until(lambda: other.health().state == "standby")
        rig.simulator.user_mentions("ana", WISH, "dev")
        await rig.seen()
        assert (len(rig.simulator.connections), inbox.events) == (1, [])
        await other.post(rig.place(), Doc(text="from the one that stands by"), "k" * 24)
        assert len(rig.simulator.sent) == 1
        await rig.end()
        await inbox.until(lambda: inbox.gaps)
        assert other.health().state == "ready"
    finally:
        stop.set()
        await running
        await other.aclose()


async def test_a_lease_taken_away_closes_the_gateway_until_it_is_back(rig: Rig) -> None:
    name = f"discord_gateway:{rig.simulator.app_id}"
    rig.inbox.leases.owners[name] = "someone else"
    await rig.simulator.wait_for(lambda: not rig.simulator.connections)
    assert len(rig.inbox.gaps) == 1
    del rig.inbox.leases.owners[name]
    await rig.inbox.until(lambda: len(rig.inbox.gaps) == 2)
    assert len(rig.simulator.connections) == 1


# --- Deaf -------------------------------------------------------------------------------------------------------------


async def test_a_quiet_server_is_not_deaf(rig: Rig) -> None:
    rig.simulator.advance(timedelta(minutes=11))
    await rig.simulator.wait_for(lambda: rig.simulator.calls("list_messages"))
    rig.simulator.user_mentions("ana", WISH, "dev")
    await rig.seen()
    assert rig.simulator.connections_opened == 1


async def test_a_deaf_connection_is_rebuilt(rig: Rig) -> None:
    rig.simulator.user_says("bo", "heard", "dev")
    await rig.seen()
    rig.simulator.go_deaf()
    rig.simulator.user_says("bo", "unheard", "dev")
    rig.simulator.advance(timedelta(minutes=12))
    await rig.inbox.until(lambda: len(rig.inbox.gaps) == 2)
    assert rig.simulator.identifies == 2
    assert len(rig.simulator.connections) == 1


# --- Messages that cannot be stored -----------------------------------------------------------------------------------


async def test_a_message_that_cannot_be_stored_for_a_minute_becomes_a_gap(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platforms.discord.commands.KEEP_TRYING", timedelta(seconds=0.3))
    rig.inbox.down = True
    rig.simulator.user_mentions("ana", WISH, "dev")
    await rig.simulator.wait_for(lambda: True)
    async with asyncio.timeout(5):
        while rig.platform.intake.lost_since is None and len(rig.inbox.gaps) < 2:
            rig.inbox.down = rig.inbox.waiting == 0 and rig.platform.intake.lost_since is None
            await asyncio.wait({asyncio.create_task(asyncio.sleep(0))})
    rig.inbox.down = False
    await rig.inbox.until(lambda: len(rig.inbox.gaps) == 2)


# --- The budget of sessions -------------------------------------------------------------------------------------------


def test_sessions_are_counted_in_a_window_and_against_the_day() -> None:
    clock = SimulatedClock()
    budget = Identifies(clock, 5, timedelta(minutes=10), 50)
    for _ in range(5):
        budget.take()
    with pytest.raises(NoIdentifyLeft):
        budget.take()
    assert timedelta(minutes=9) < budget.wait() <= timedelta(minutes=10)
    clock.advance(timedelta(minutes=10))
    assert budget.wait() == timedelta(0)
    budget.told({"remaining": 49, "reset_after": 3_600_000})
    assert budget.wait() == timedelta(hours=1)


def test_a_clock_that_is_set_back_does_not_keep_the_bot_away() -> None:
    now = datetime.now(UTC)

    class Set:
        def __init__(self) -> None:
            self.at = now

        def now(self) -> datetime:
            return self.at

    clock = Set()
    budget = Identifies(clock, 5, timedelta(minutes=10), 50)
    for _ in range(5):
        budget.take()
    clock.at = now - timedelta(hours=1)
    assert budget.wait() == timedelta(0)


async def test_a_crash_loop_does_not_waste_the_sessions_of_the_day(simulator: DiscordSimulator) -> None:
    simulator.spend_identifies(40)
    async with rigged(simulator, start=False) as rig:
        rig.task = asyncio.create_task(rig.platform.run(rig.inbox, rig.stop))
        await simulator.wait_for(lambda: len(simulator.calls("get_bot_gateway")) > 2)
        assert simulator.identifies == 0
        assert "too many new sessions" in rig.platform.health().last_error


# --- Parts ------------------------------------------------------------------------------------------------------------


async def test_two_servers_in_one_process_do_not_mix(simulator: DiscordSimulator) -> None:
    """The SDK's addresses are class attributes; ours are each adapter's own."""
    with DiscordSimulator(seed=6, heartbeat=HEARTBEAT) as second:
        async with rigged(simulator) as one, rigged(second) as two:
            simulator.user_mentions("ana", f"{WISH} one", "dev")
            second.user_mentions("ana", f"{WISH} two", "dev")
            (first,), (other,) = await one.seen(), await two.seen()
            assert isinstance(first, Command)
            assert isinstance(other, Command)
            assert (first.text, other.text) == (f"{WISH} one", f"{WISH} two")
            assert (len(simulator.connections), len(second.connections)) == (1, 1)


async def test_an_unsafe_address_for_resuming_is_refused(simulator: DiscordSimulator) -> None:
    http = Http(simulator.api_url, str(simulator.gateway_url))
    with pytest.raises(aiohttp.InvalidURL):
        await http.ws_connect("ws://gateway.example/")


async def test_a_channel_that_nobody_told_of_is_looked_up_once(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "hello", "dev")
    thread = rig.simulator.starts_thread("bo", root)
    rig.simulator.user_says("bo", "hello in here", thread)
    await rig.seen(2)
    rig.platform.intake.places._known.clear()
    for number in range(2):
        rig.simulator.user_says("bo", f"again {number}", thread)
        await rig.seen(number + 3)
    found = [event for event in rig.inbox.said if isinstance(event, Message)][1:]
    assert {event.thread.native for event in found} == {thread.id}
    assert len(rig.simulator.calls("get_channel")) == 1


async def test_nothing_is_taken_before_it_is_known_who_the_bot_is(simulator: DiscordSimulator) -> None:
    async with rigged(simulator, start=False) as rig:
        payload: dict[str, Any] = {"t": "MESSAGE_CREATE", "d": message(f"<@{APP}> hi", channel_id=DEV, guild_id=GUILD)}
        assert not await rig.platform.intake.dispatch(payload)


async def test_a_client_that_never_connected_leaves_nothing(simulator: DiscordSimulator) -> None:
    simulator.fail_next("gateway", status=503, times=1)
    threads = set(threading.enumerate())
    async with rigged(simulator, start=False) as rig:
        budget = Identifies(simulator.clock, 5, timedelta(minutes=10), 0)
        client = Gateway(rig.platform.intake, 513, timedelta(seconds=1), timedelta(0), budget)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.open(simulator.bot_token, timedelta(seconds=5))
        await client.shut(timedelta(seconds=1))
    assert [one for one in set(threading.enumerate()) - threads if not one.name.startswith("asyncio_")] == []


async def test_who_comes_after_the_end_is_told_to_come_again_and_nothing_is_opened(rig: Rig) -> None:
    await rig.end()
    await rig.platform.aclose()
    late = await rig.platform.post(rig.place(), Doc(text="late"), "k" * 24)
    assert isinstance(late, Retry) and not late.maybe_done
    assert rig.simulator.sent == []


async def test_a_log_in_that_is_cut_off_leaves_no_session_open() -> None:
    def unclosed() -> set[int]:
        return {id(one) for one in gc.get_objects() if isinstance(one, aiohttp.ClientSession) and not one.closed}

    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    before = unclosed()
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        api = Api(f"http://127.0.0.1:{port}/api/v10", "ws://127.0.0.1", "token", lambda why: None)
        opening = asyncio.create_task(api.open())
        await asked.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert unclosed() <= before
