"""The pieces every platform simulator is built from, and the registry that finds platforms."""

import asyncio
import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from platforms.registry import MissingExtra, UnknownPlatform, create_platform, create_simulator
from platforms.simulation import Changes, Fault, FaultPlan, LoopThread, SimulatedClock, Timers


def test_the_clock_only_moves_forward() -> None:
    clock = SimulatedClock()
    before = clock.now()
    clock.advance(timedelta(minutes=5))
    assert clock.now() - before >= timedelta(minutes=5)
    with pytest.raises(ValueError, match="forward"):
        clock.advance(timedelta(seconds=-1))


async def test_timers_fire_in_order_when_the_clock_is_moved() -> None:
    clock = SimulatedClock()
    timers, fired = Timers(clock), []
    timers.open()
    timers.after(timedelta(minutes=5), lambda: fired.append("late"))
    timers.after(timedelta(minutes=1), lambda: fired.append("early"))
    timers.after(timedelta(minutes=2), lambda: fired.append("never")).cancel()
    clock.advance(timedelta(minutes=1))
    timers.run_due()
    assert fired == ["early"]
    clock.advance(timedelta(minutes=10))
    timers.run_due()
    assert fired == ["early", "late"]
    timers.close()


async def test_timers_fire_by_themselves_as_time_passes() -> None:
    timers, fired = Timers(SimulatedClock()), asyncio.Event()
    timers.open()
    timers.after(timedelta(milliseconds=1), fired.set)
    await asyncio.wait_for(fired.wait(), 5)
    timers.close()


def test_planned_faults_are_used_up_in_order() -> None:
    plan = FaultPlan()
    plan.add("post", Fault(status=503))
    plan.add("post", Fault(error="first"), times=2)
    plan.add("*", Fault(error="any"), times=None)
    assert [plan.take("post") for _ in range(4)] == [
        Fault(status=503),
        Fault(error="first"),
        Fault(error="first"),
        Fault(error="any"),
    ]
    assert plan.take("edit") == Fault(error="any")
    plan.clear()
    assert plan.take("edit") is None


async def test_waiting_sees_a_change_from_another_thread_and_says_what_was_there() -> None:
    changes, seen = Changes(), []

    def happen() -> None:
        seen.append(1)
        changes.notify()

    thread = threading.Thread(target=happen)
    thread.start()
    assert await changes.wait_for(lambda: seen, 5, str) == [1]
    thread.join()
    with pytest.raises(TimeoutError, match="only one"):
        await changes.wait_for(lambda: len(seen) > 1, 0.01, lambda: "only one")


async def test_a_loop_thread_runs_calls_passes_errors_on_and_stops_twice() -> None:
    thread = LoopThread("here")

    async def nothing() -> None:
        return None

    thread.start(nothing)
    assert thread.call(lambda: threading.current_thread().name) == "here"
    with pytest.raises(ZeroDivisionError):
        thread.call(lambda: 1 / 0)
    thread.stop(nothing)
    thread.stop(nothing)
    assert not thread.running
    assert "here" not in [t.name for t in threading.enumerate()]


def test_a_loop_thread_that_cannot_open_says_why() -> None:
    async def broken() -> None:
        raise OSError("no port")

    thread = LoopThread("broken")
    with pytest.raises(OSError, match="no port"):
        thread.start(broken)
    assert not thread.running


def test_an_unknown_platform_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownPlatform, match=r"'irc'; known: .*slack"):
        create_platform("irc", None, SimulatedClock())


def test_a_simulator_comes_from_the_registry() -> None:
    simulator = create_simulator("slack")
    simulator.start()
    simulator.stop()
    assert simulator.surprises == []


def test_importing_the_registry_loads_no_sdk_and_a_missing_one_names_its_extra() -> None:
    script = """
import sys
from platforms import registry
assert not {"slack_sdk", "slack_bolt"} & set(sys.modules)
sys.modules["slack_sdk"] = None
try:
    registry.create_simulator("slack")
except registry.MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "slack_sdk is not installed; run: pip install codetask[slack]"
    assert issubclass(MissingExtra, ImportError)
