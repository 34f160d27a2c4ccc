"""The supervision that all platforms share, on a line in memory and in a time that jumps: nothing here really waits."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from bot.ports import AuthFailed, Fatal, Gone, Health, NotAllowed, Retry, Trouble, Unsendable
from platforms.line import Ended
from tests.platforms.memory_line import HOUR, MINUTE, START, WHO, Bench, Scene, passes, play

# --- Connecting again and again ---------------------------------------------------------------------------------------


def test_pauses_double_up_to_five_minutes() -> None:
    async def scene(bench: Bench) -> None:
        bench.line.checks = [*[Retry(timedelta(0), why="away")] * 12, WHO]
        bench.start()
        await passes(HOUR)
        at = bench.line.checked_at
        waits = [after - before for before, after in pairwise(at)]
        for number, wait in enumerate(waits):
            assert 0.8 <= wait / min(2**number, 300) <= 1.2
        assert (len(waits), bench.health) == (12, Health("ready"))

    play(scene)


def test_nobody_comes_back_before_the_platform_allows() -> None:
    async def scene(bench: Bench) -> None:
        bench.line.checks = [Retry(timedelta(seconds=1000)), WHO]
        bench.line.opens = [Ended("no session left", wait=timedelta(seconds=500)), None]
        bench.start()
        await passes(HOUR)
        first, second, third = bench.line.checked_at
        assert second - first == 1000
        assert third - second == 500
        assert bench.health.last_error == ""

    play(scene)


def test_a_steady_connection_is_replaced_at_once_and_a_short_one_after_a_pause() -> None:
    async def scene(bench: Bench) -> None:
        bench.start()
        await passes(2 * MINUTE)
        bench.line.wire.cut()
        await passes(timedelta(seconds=0.1))
        assert len(bench.line.opened_at) == 2
        bench.line.wire.cut()
        await passes(timedelta(seconds=0.1))
        assert (len(bench.line.opened_at), bench.health.state) == (2, "reconnecting")
        await passes(timedelta(seconds=1.2))
        assert (len(bench.line.opened_at), bench.health) == (3, Health("ready", reconnects=2))
        assert len(bench.line.closed_at) == 2

    play(scene)


def test_what_may_have_been_missed_is_told_from_the_last_event_on() -> None:
    async def scene(bench: Bench) -> None:
        bench.start()
        await passes(2 * MINUTE)
        assert [gap.since for gap in bench.inbox.gaps] == [START]
        bench.line.hear()
        heard_at = bench.line.clock.now()
        await passes(MINUTE)
        bench.line.wire.cut()
        await passes(MINUTE)
        bench.line.wire.cut()  # nothing heard: since this connection began
        began_at = bench.line.opened_at[-1]
        await passes(MINUTE)
        assert [gap.since for gap in bench.inbox.gaps[1:]] == [heard_at, START + timedelta(seconds=began_at)]
        gap = bench.inbox.gaps[0]
        assert (gap.app_id, gap.workspace_id, gap.platform) == ("A1", "T1", "wire")
        assert len({gap.key for gap in bench.inbox.gaps}) == 3

    play(scene)


def test_a_gap_outlives_failed_attempts_and_waits_until_it_can_be_stored() -> None:
    async def scene(bench: Bench) -> None:
        bench.line.opens = [Ended("no greeting"), ConnectionError("no"), None]
        bench.inbox.down = True
        bench.start()
        await passes(10 * MINUTE)
        assert (bench.inbox.gaps, bench.health.state) == ([], "ready")
        bench.inbox.down = False
        await passes(timedelta(seconds=2))
        assert [gap.since for gap in bench.inbox.gaps] == [START]

    play(scene)


def test_events_missed_under_a_standing_connection_are_told_once() -> None:
    async def scene(bench: Bench) -> None:
        bench.start()
        await passes(MINUTE)
        bench.line.missed = START + timedelta(seconds=30)
        await passes(MINUTE)
        assert [gap.since for gap in bench.inbox.gaps] == [START, START + timedelta(seconds=30)]
        assert len(bench.line.opened_at) == 1

    play(scene)


def test_a_bug_of_ours_is_raised_and_still_closes() -> None:
    async def scene(bench: Bench) -> None:
        bench.line.opens = [KeyError("ours")]
        bench.start()
        with pytest.raises(KeyError):
            await bench.ended(MINUTE)
        assert len(bench.line.closed_at) == 1
        assert bench.line.intake.inbox is None

    play(scene)


# --- Giving up --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "fix"),
    [
        (AuthFailed("Set the token.", "invalid_auth"), "Set the token."),
        (NotAllowed("Add the scope.", "invalid_auth"), "Add the scope."),
        (Gone("channel", "invalid_auth"), "Set WIRE_TOKEN."),
        (Unsendable("invalid_auth"), "Set WIRE_TOKEN."),
    ],
)
def test_a_refusal_is_fatal_at_once_with_the_fix(trouble: Trouble, fix: str) -> None:
    async def scene(bench: Bench) -> None:
        bench.line.checks = [trouble]
        bench.start()
        assert await bench.ended(MINUTE) == Fatal("Wire refused: invalid_auth", fix)
        assert (bench.health.state, len(bench.line.checked_at)) == ("failed", 1)

    play(scene)


def test_a_connection_may_end_for_good() -> None:
    async def scene(bench: Bench) -> None:
        bench.line.last_words = Fatal("closed with 4014", "Turn it on.")
        bench.start()
        await passes(MINUTE)
        bench.line.wire.cut()
        assert await bench.ended(MINUTE) == bench.line.last_words

    play(scene)


def test_revoked_credentials_are_asked_about_at_once() -> None:
    async def scene(bench: Bench) -> None:
        bench.start()
        await passes(MINUTE)
        bench.line.intake.revoked.set()
        await passes(timedelta(seconds=2))
        assert (len(bench.line.asked_at), len(bench.line.opened_at)) == (1, 1), "they still hold"
        bench.line.told = [AuthFailed("Set the token.", "revoked")]
        bench.line.intake.revoked.set()
        assert await bench.ended(timedelta(seconds=2)) == Fatal("Wire refused: revoked", "Set the token.")

    play(scene)


# --- Deaf or quiet ----------------------------------------------------------------------------------------------------


def test_silence_alone_is_not_deafness() -> None:
    async def scene(bench: Bench) -> None:
        bench.start()
        await passes(HOUR)
        assert len(bench.line.asked_at) == 5, "every ten minutes, and not more often"
        assert len(bench.line.read_after) == 50, "ten channels each time"
        assert (len(bench.line.opened_at), bench.health) == (1, Health("ready"))

    play(scene)


def test_a_message_that_never_arrived_is_deafness_and_rebuilds() -> None:
    async def scene(bench: Bench) -> None:
        bench.start()
        await passes(MINUTE)
        bench.line.hear()
        heard_at = bench.line.clock.now()
        await passes(MINUTE)
        bench.line.say()
        await passes(10 * MINUTE)
        assert bench.states == ["ready", "deaf", "ready"]
        assert [gap.since for gap in bench.inbox.gaps] == [START, heard_at]
        assert set(bench.line.read_after) == {heard_at}

    play(scene)


def test_a_message_of_this_minute_may_still_arrive() -> None:
    async def scene(bench: Bench) -> None:
        bench.start()
        await passes(10 * MINUTE - timedelta(seconds=30))
        bench.line.say()
        await passes(MINUTE)
        assert (len(bench.line.asked_at), len(bench.line.opened_at)) == (1, 1)

    play(scene)


def test_only_channels_lately_heard_from_are_read() -> None:
    async def scene(bench: Bench) -> None:
        for number in range(30):
            bench.line.intake.note_channel(f"C{number}")
        assert [place.channel_id for place in await bench.line.places()] == [f"C{number}" for number in range(20, 30)]

    play(scene)


@pytest.mark.parametrize("hears", [False, True])
def test_three_deaf_rebuilds_in_a_row_end_it(hears: bool) -> None:
    async def scene(bench: Bench) -> None:
        bench.start()
        for number in range(3):
            await passes(timedelta(seconds=30))
            if hears and number == 1:
                bench.line.hear()
                bench.line.wire.cut()  # one event between: counted anew
            await passes(timedelta(seconds=30))
            bench.line.say()
            await passes(11 * MINUTE)
        if hears:
            assert bench.health.state == "ready"
        else:
            assert await bench.ended(MINUTE) == Fatal("connected, but Wire delivers no events", "Look around.")
            assert (bench.states.count("ready"), bench.health.state) == (3, "failed")

    play(scene)


@pytest.mark.parametrize("told", [Retry(timedelta(0)), NotAllowed("x"), Gone("channel"), Unsendable("x")])
def test_a_probe_that_gets_no_answer_proves_nothing(told: Trouble) -> None:
    async def scene(bench: Bench) -> None:
        bench.line.told = [told]
        bench.start()
        await passes(MINUTE)
        bench.line.say()
        await passes(HOUR)
        assert (bench.states, bench.line.read_after) == (["ready"], [])

    play(scene)


def test_a_webhook_that_nobody_reaches_is_read_back_and_never_rebuilt() -> None:
    async def scene(bench: Bench) -> None:
        bench.line.webhook = True
        bench.start()
        await passes(MINUTE)
        bench.line.say()
        await passes(35 * MINUTE)
        assert [gap.since for gap in bench.inbox.gaps] == [START] * 4
        assert (bench.states, len(bench.line.opened_at)) == (["ready"], 1)

    play(scene)


# --- The lease --------------------------------------------------------------------------------------------------------


def test_only_the_holder_of_the_lease_listens() -> None:
    async def scene(bench: Bench) -> None:
        bench.line.exclusive = "wire:A1"
        bench.inbox.owners["wire:A1"] = "someone else"
        bench.start()
        await passes(MINUTE)
        assert (bench.line.opened_at, set(bench.states)) == ([], {"standby"})
        del bench.inbox.owners["wire:A1"]
        await passes(timedelta(seconds=3))
        assert (len(bench.line.opened_at), bench.health.state) == (1, "ready")
        held = len(bench.inbox.held)
        await passes(5 * MINUTE)
        assert 28 <= len(bench.inbox.held) - held <= 31, "renewed every ten seconds"
        assert set(bench.inbox.held) == {timedelta(seconds=30)}
        assert await bench.end() is None
        assert bench.inbox.owners == {}, "given back for the next one"

    play(scene)


@pytest.mark.parametrize("how", ["taken away", "database down"])
def test_who_cannot_renew_stops_listening_in_time(how: str) -> None:
    async def scene(bench: Bench) -> None:
        bench.line.exclusive = "wire:A1"
        bench.start()
        await passes(MINUTE)
        began = asyncio.get_running_loop().time()
        if how == "taken away":
            bench.inbox.owners["wire:A1"] = "someone else"
        bench.inbox.leases_down = how == "database down"
        await passes(MINUTE)
        (closed,) = bench.line.closed_at
        assert closed - began <= 21
        assert (bench.health.state, bench.health.reconnects) == ("standby", 1)
        bench.inbox.leases_down = False
        bench.inbox.owners.clear()
        await passes(timedelta(seconds=5))
        assert (bench.health.state, len(bench.inbox.gaps)) == ("ready", 2)

    play(scene)


def test_a_slow_look_does_not_cost_the_lease() -> None:
    async def scene(bench: Bench) -> None:
        bench.line.exclusive = "wire:A1"
        bench.line.never = {"read"}
        bench.start()
        await passes(HOUR)
        assert (len(bench.line.opened_at), bench.health) == (1, Health("ready"))

    play(scene)


# --- Stopping ---------------------------------------------------------------------------------------------------------


async def checking(bench: Bench) -> None:
    bench.line.never = {"check"}


async def pausing(bench: Bench) -> None:
    bench.line.checks = [Retry(HOUR)]


async def opening(bench: Bench) -> None:
    bench.line.never = {"open"}


async def watching(bench: Bench) -> None:
    pass


async def probing(bench: Bench) -> None:
    bench.line.never = {"ask"}
    bench.line.intake.revoked.set()


async def standing_by(bench: Bench) -> None:
    bench.line.exclusive, bench.inbox.owners = "wire:A1", {"wire:A1": "someone else"}


@pytest.mark.parametrize("doing", [checking, pausing, opening, watching, probing, standing_by])
def test_it_can_be_stopped_at_any_time(doing: Scene) -> None:
    async def scene(bench: Bench) -> None:
        await doing(bench)
        bench.start()
        await passes(MINUTE)
        began = asyncio.get_running_loop().time()
        assert await bench.end() is None
        assert asyncio.get_running_loop().time() - began <= 1, "not even a second of the five that it has"
        assert len(bench.line.closed_at) == len(bench.line.opened_at)
        assert bench.line.intake.inbox is None

    play(scene)
