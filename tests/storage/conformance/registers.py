"""People, channel settings, API tokens, forge deliveries, the audit chain; and what a transaction promises."""

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest

from bot.core.inbound import Person
from bot.store import RunAgain
from storage.transaction import Tx
from tests.storage.conformance.bench import Bench, Check, file, together, where

ANN = Person(
    platform="slack",
    workspace_id="T1",
    id="U1",
    name="Ann",
    roles=frozenset({"admin", "member"}),
    timezone="Asia/Tokyo",
)


class Broken(Exception):
    pass


def people_are_remembered(bench: Bench) -> None:
    bench.do(lambda tx: tx.people.see(ANN))
    bench.do(lambda tx: tx.people.see(Person(platform="slack", workspace_id="T1", id="U1")))
    assert bench.do(lambda tx: tx.people.find("slack", "T1", "U1")) == ANN
    assert bench.do(lambda tx: tx.people.find("slack", "T2", "U1")) is None
    assert bench.do(lambda tx: tx.people.last_repo(ANN)) is None
    bench.do(lambda tx: tx.people.remember_repo(ANN, "app"))
    assert bench.do(lambda tx: tx.people.last_repo(ANN)) == "app"
    together(4, lambda n: bench.do(lambda tx: tx.people.see(ANN.model_copy(update={"id": f"U{n % 2 + 5}"}))))
    assert bench.rows("SELECT count(*) FROM person") == [(3,)]


def channel_settings_belong_to_their_channel(bench: Bench) -> None:
    bench.do(lambda tx: tx.people.set_setting(where(), "repo", "app"))
    bench.do(lambda tx: tx.people.set_setting(where("other-thread"), "repo", "web"))
    assert bench.do(lambda tx: tx.people.setting(where(), "repo")) == "web"
    assert bench.do(lambda tx: tx.people.setting(where(channel="C2"), "repo")) is None
    bench.do(lambda tx: tx.people.set_setting(where(), "repo", None))
    assert bench.do(lambda tx: tx.people.setting(where(), "repo")) is None


def tokens_are_found_by_their_hash(bench: Bench) -> None:
    bench.do(lambda tx: tx.people.add_token("ci", "ab" * 32, "read file", "api:ci", "filer"))
    assert bench.do(lambda tx: tx.people.token("ab" * 32)) == ("api:ci", frozenset({"read", "file"}), "filer")
    assert bench.do(lambda tx: tx.people.token("cd" * 32)) is None
    bench.do(lambda tx: tx.session.connection().exec_driver_sql("UPDATE api_token SET revoked_at = created_at"))
    assert bench.do(lambda tx: tx.people.token("ab" * 32)) is None


def a_forge_delivery_is_new_once(bench: Bench) -> None:
    assert sum(together(6, lambda _: bench.do(lambda tx: tx.people.first_delivery("d1")))) == 1
    assert not bench.do(lambda tx: tx.people.first_delivery("d1"))


def the_audit_chain_shows_tampering(bench: Bench) -> None:
    together(4, lambda n: [bench.do(lambda tx: tx.people.audit("a", "cancel", f"CT-{n}", {"n": n})) for _ in range(5)])
    assert bench.rows("SELECT count(*) FROM audit") == [(20,)]
    assert bench.do(lambda tx: tx.people.audit_broken_at()) is None
    bench.do(lambda tx: tx.session.connection().exec_driver_sql("UPDATE audit SET actor = 'b' WHERE id = 7"))
    assert bench.do(lambda tx: tx.people.audit_broken_at()) == 7


def a_unit_that_raises_writes_and_wakes_nothing(bench: Bench) -> None:
    seen = bench.store.version("run")

    def broken(tx: Tx) -> None:
        file(tx)
        raise Broken

    with pytest.raises(Broken):
        bench.do(broken)
    assert bench.rows("SELECT count(*) FROM code_task") == [(0,)]
    assert bench.store.version("run") == seen


def a_unit_that_lost_a_race_runs_again(bench: Bench) -> None:
    tries: list[int] = []

    def late(tx: Tx) -> int:
        file(tx)
        tries.append(1)
        if len(tries) < 3:
            raise RunAgain
        return len(tries)

    assert bench.do(late) == 3
    assert bench.rows("SELECT count(*) FROM code_task") == [(1,)]


def units_of_many_threads_do_not_mix(bench: Bench) -> None:
    """One that rolls back takes nothing of another's with it, and nobody sees half a unit."""
    inside = threading.Event()

    def work(number: int) -> None:
        for n in range(5):

            def unit(tx: Tx, n: int = n) -> None:
                file(tx, name=f"{number}-{n}-a", uuid=f"{number}-{n}-a")
                inside.set()
                file(tx, name=f"{number}-{n}-b", uuid=f"{number}-{n}-b")
                if number % 2:
                    raise Broken

            if number % 2:
                with pytest.raises(Broken):
                    bench.do(unit)
            else:
                bench.do(unit)
            inside.wait()
            count = bench.rows("SELECT count(*) FROM code_task")[0][0]
            assert count % 2 == 0

    together(4, work)
    assert bench.rows("SELECT count(*) FROM code_task") == [(20,)]


def instants_come_back_as_they_were(bench: Bench) -> None:
    odd = datetime(2031, 3, 30, 2, 30, 0, 123457, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    task = bench.file(available_at=odd)
    run = bench.do(lambda tx: tx.runs.of_task(task.id or 0))[0]
    assert run.available_at == odd
    assert run.available_at.tzinfo is UTC
    with pytest.raises((ValueError, Exception), match="timezone"):
        bench.file(available_at=datetime(2031, 1, 1))


def the_present_stands_still_in_a_unit(bench: Bench) -> None:
    def unit(tx: Tx) -> bool:
        before = tx.now
        bench.clock.advance(5)
        return before == tx.now

    assert bench.do(unit)


def a_named_lease_has_one_owner_by_the_databases_clock(bench: Bench) -> None:
    def hold(owner: str) -> bool:
        return bench.do(lambda tx: tx.leases.hold("gateway:1", owner, timedelta(seconds=30)))

    assert sum(together(8, lambda n: hold(f"p{n}"))) == 1
    owner = bench.rows("SELECT owner FROM lease")[0][0]
    other = "p0" if owner != "p0" else "p1"
    bench.clock.advance(timedelta(seconds=29))
    assert hold(owner) and not hold(other)
    bench.clock.advance(timedelta(seconds=29))
    assert not hold(other)
    bench.clock.advance(timedelta(seconds=1))
    assert hold(other) and not hold(owner)
    bench.do(lambda tx: tx.leases.release("gateway:1", owner))
    assert not hold(owner)
    bench.do(lambda tx: tx.leases.release("gateway:1", other))
    assert hold(owner)
    assert bench.rows("SELECT fence FROM lease") == [(3,)]


CHECKS: tuple[Check, ...] = (
    people_are_remembered,
    channel_settings_belong_to_their_channel,
    tokens_are_found_by_their_hash,
    a_forge_delivery_is_new_once,
    a_named_lease_has_one_owner_by_the_databases_clock,
    the_audit_chain_shows_tampering,
    a_unit_that_raises_writes_and_wakes_nothing,
    a_unit_that_lost_a_race_runs_again,
    units_of_many_threads_do_not_mix,
    instants_come_back_as_they_were,
    the_present_stands_still_in_a_unit,
)
