"""Suggestions over HTTP: who sees which, rights, states, codes."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.inbound import Person
from bot.core.suggestions import OPEN, SKIPPED, WAITING, Mode, Suggestion, hash_of
from bot.ports import Capabilities, NotAllowed, Retry, Trouble
from bot.services.people import TALK
from bot.store import Transaction
from tests.clock import FakeClock
from tests.services.room import Wall
from tests.storage.conformance.bench import Bench
from tests.storage.conformance.intake import said
from tests.stores import only_sqlite
from tests.web.house import Client, House, open_house, settings_for

BO = Person(platform="slack", workspace_id="T1", id="U5", name="bo", roles=frozenset({"member"}))
"""May file."""
GUS = BO.model_copy(update={"id": "U6", "name": "gus", "roles": frozenset()})
"""May only look."""
TEXT = "Could we get a CSV export on the invoices page?"
FEATURES = ("codetasks", "followups", "web", "intake")


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(settings_for(database_url, tmp_path, features=FEATURES, filers=("member",))) as opened:
        await opened.app.store.run(lambda tx: [tx.people.see(one) for one in (BO, GUS)])
        yield opened


async def suggest(house: House, number: int = 1, author: str = BO.id, channel: str = "C1", **values: Any) -> Suggestion:
    """An open suggestion, shown in its thread."""
    bench = Bench(house.app.store, FakeClock(house.app.store.now()), "")

    def unit(tx: Transaction) -> Suggestion:
        found = tx.suggestions.collect([said(bench, number, author, channel=channel)], "p1")[0] or 0
        words = {"title": "CSV export", "text": TEXT, "text_hash": hash_of(TEXT), "repo": "web", "judge": "rules"}
        moved = tx.suggestions.move(found, (WAITING,), OPEN, mode=Mode.SUGGEST, score=0.9, **{**words, **values})
        assert moved is not None
        house.app.intake.suggestions.show(tx, moved)
        return moved

    return await house.app.store.run(unit)


async def talk_alone(house: House, channel: str) -> None:
    """The channel is a talk with the bot alone."""
    place = said(Bench(house.app.store, FakeClock(), ""), 1, channel=channel).thread
    await house.app.store.run(lambda tx: tx.people.set_setting(place, TALK, "yes"))


async def listed(client: Client, *states: str) -> list[str]:
    found = await client.ask("GET", "suggestions", 200, params={"state": states} if states else {})
    return sorted(one["id"] for one in found["items"])


# --- What becomes of one ----------------------------------------------------------------------------------------------


async def test_a_suggestion_is_filed_by_the_hash_of_its_text(house: House) -> None:
    bo = await house.client(person=BO.account)
    await suggest(house)
    (listed,) = (await bo.ask("GET", "suggestions", 200))["items"]
    assert (listed["id"], listed["text"], listed["state"], listed["asks"]) == ("RQ-1", TEXT, "open", [])
    other = {"hash": hash_of("other")[:12]}
    assert (await bo.ask("POST", "suggestions/RQ-1/file", 409, json=other))["code"] == "suggestion_changed"
    await bo.ask("POST", "suggestions/RQ-1/file", 422)
    filed = await bo.ask("POST", "suggestions/RQ-1/file", 201, json={"hash": listed["hash"]})
    assert (filed["id"], filed["description"], filed["thread"]["thread_id"]) == ("CT-1", TEXT, "1")
    again = await bo.ask("POST", "suggestions/1/file", 200, json={"hash": listed["hash"][:12]})
    assert again["id"] == "CT-1"
    assert (await bo.ask("GET", "suggestions", 200))["items"] == []
    (one,) = (await bo.ask("GET", "suggestions", 200, params={"state": "filed"}))["items"]
    assert (one["code_task"], one["decided_by"]) == ("CT-1", "slack:U5")


async def test_a_suggestion_joins_a_code_task_or_is_dismissed(house: House) -> None:
    admin, gus = await house.client("admin"), await house.client(person=GUS.account)
    await admin.file()
    for number in (1, 2, 3):
        await suggest(house, number, f"U{number + 5}")
    await gus.ask("POST", "suggestions/1/same", 403, json={"code_task": "CT-1"})
    await gus.ask("POST", "suggestions/1/dismiss", 403)
    assert (await admin.ask("POST", "suggestions/1/same", 200, json={"code_task": "1"}))["askers"][0]["id"] == "U6"
    await admin.ask("POST", "suggestions/2/same", 404, json={"code_task": "CT-9"})
    assert (await admin.ask("POST", "suggestions/2/dismiss", 200))["state"] == "dismissed"
    await admin.ask("POST", "suggestions/2/dismiss", 200)
    await admin.ask("POST", "suggestions/2/same", 409, json={"code_task": "CT-1"})
    await admin.ask("POST", "suggestions/2/file", 409, json={"hash": hash_of(TEXT)})
    await admin.ask("POST", "code-tasks/1/cancel", 200)
    await admin.ask("POST", "suggestions/3/same", 409, json={"code_task": "CT-1"})
    for path in ("suggestions/9/dismiss", "suggestions/CT-1/dismiss", "suggestions/x/dismiss"):
        await admin.ask("POST", path, 404)


async def test_what_needs_an_admin_is_not_filed_by_others(house: House) -> None:
    bo, admin = await house.client(person=BO.account), await house.client("admin")
    await suggest(house, guard="ci")
    (listed,) = (await bo.ask("GET", "suggestions", 200))["items"]
    assert listed["asks"] == ["ci"]
    await bo.ask("POST", "suggestions/1/file", 403, json={"hash": listed["hash"]})
    await admin.ask("POST", "suggestions/1/file", 201, json={"hash": listed["hash"]})


async def test_suggestions_are_paged_and_filtered(house: House) -> None:
    admin = await house.client("admin")
    for number in (1, 2, 3):
        await suggest(house, number, f"U{number}")
    page = await admin.ask("GET", "suggestions", 200, params={"limit": 2})
    assert ([one["id"] for one in page["items"]], page["next"]) == (["RQ-3", "RQ-2"], "2")
    rest = await admin.ask("GET", "suggestions", 200, params={"limit": 2, "cursor": page["next"]})
    assert ([one["id"] for one in rest["items"]], rest["next"]) == (["RQ-1"], None)
    assert len((await admin.ask("GET", "suggestions", 200, params={"channel": "slack:T1:C1"}))["items"]) == 3
    assert (await admin.ask("GET", "suggestions", 200, params={"channel": "C2"}))["items"] == []
    await admin.ask("GET", "suggestions", 400, params={"cursor": "x"})


# --- Who sees which ---------------------------------------------------------------------------------------------------


async def test_a_token_sees_ones_own_and_what_was_filed_as_a_code_task_it_sees(house: House) -> None:
    bo, admin = await house.client(person=BO.account), await house.client("admin", person="token::root")
    vera, fay = await house.client("viewer", person="token::vera"), await house.client(person="token::fay")
    await talk_alone(house, "D1")
    for number, (author, channel) in enumerate([("U5", "C1"), ("U9", "C1"), ("U9", "C1"), ("U9", "D1"), ("U9", "C1")]):
        await suggest(house, number + 1, author, channel)
    for one in ("RQ-3", "RQ-4"):
        await admin.ask("POST", f"suggestions/{one}/file", 201, json={"hash": hash_of(TEXT)})
    await admin.ask("POST", "suggestions/RQ-5/same", 200, json={"code_task": "CT-1"})
    every = ("open", "filed", "same")
    assert await listed(admin, *every) == ["RQ-1", "RQ-2", "RQ-3", "RQ-4", "RQ-5"]
    assert await listed(bo, *every) == ["RQ-1", "RQ-3"]
    for stranger in (vera, fay):
        assert await listed(stranger, *every) == ["RQ-3"], "the words of a joined one stay in its channel"
    for path in ("suggestions/RQ-2", "suggestions/RQ-4", "suggestions/RQ-5"):
        hidden, missing = await fay.ask("GET", path, 404), await fay.ask("GET", "suggestions/RQ-9", 404)
        assert hidden["message"].replace(path[-4:], "") == missing["message"].replace("RQ-9", "")
    for verb, body in (("file", {"hash": hash_of(TEXT)}), ("same", {"code_task": "CT-1"}), ("dismiss", {})):
        await fay.ask("POST", f"suggestions/RQ-2/{verb}", 404, json=body)


@only_sqlite
async def test_what_was_never_shown_is_for_admins_only(house: House) -> None:
    bo, admin = await house.client(person=BO.account), await house.client("admin", person="token::root")
    bench = Bench(house.app.store, FakeClock(house.app.store.now()), "")

    def unit(tx: Transaction) -> None:
        first, _ = (tx.suggestions.collect([said(bench, one, BO.id, channel=f"C{one}")], "p1")[0] for one in (1, 2))
        assert tx.suggestions.move(first or 0, (WAITING,), SKIPPED, score=0.1) is not None

    await house.app.store.run(unit)
    assert await listed(admin, "waiting", "skipped") == ["RQ-1", "RQ-2"]
    assert await listed(bo, "waiting", "skipped") == []
    await bo.ask("GET", "suggestions/RQ-1", 404)
    await bo.ask("GET", "suggestions/RQ-2", 404)


async def test_nobody_gets_a_code_task_that_they_may_not_see(house: House) -> None:
    bo, admin = await house.client(person=BO.account), await house.client("admin", person="token::root")
    await talk_alone(house, "D1")
    await suggest(house, 1, "U9", "D1")
    await suggest(house, 2)
    await admin.ask("POST", "suggestions/RQ-1/file", 201, json={"hash": hash_of(TEXT)})
    await admin.ask("POST", "suggestions/RQ-2/same", 200, json={"code_task": "CT-1"})
    confirmed = {"hash": hash_of(TEXT)}
    assert (await bo.ask("POST", "suggestions/RQ-2/file", 409, json=confirmed))["code"] == "suggestion_over"
    assert (await admin.ask("POST", "suggestions/RQ-2/file", 200, json=confirmed))["id"] == "CT-1"


@only_sqlite
@pytest.mark.parametrize("verb", ["file", "same", "dismiss"])
async def test_decisions_need_the_scope_write(house: House, verb: str) -> None:
    await suggest(house)
    body = {"file": {"hash": hash_of(TEXT)}, "same": {"code_task": "CT-1"}}.get(verb, {})
    for scopes in ("read", "read worker"):
        client = await house.client("admin", scopes)
        assert (await client.ask("POST", f"suggestions/1/{verb}", 403, json=body))["code"] == "missing_scope"
        assert await listed(client) == ["RQ-1"]
    writer = await house.client("admin", "write")
    assert (await writer.ask("GET", "suggestions", 403))["code"] == "missing_scope"
    await house.bare().ask("POST", f"suggestions/1/{verb}", 401, json=body)


# --- Where nobody tells of edits --------------------------------------------------------------------------------------


class Deaf(Wall):
    """A platform that tells of no edits; nothing is known of its members."""

    capabilities: Capabilities = replace(Wall.capabilities, tells_edits=False)

    async def resolve(self, person: Person) -> Any:
        return Retry(timedelta(seconds=7), why="ratelimited")


@contextmanager
def platform(house: House, trouble: Trouble | None) -> Iterator[Deaf]:
    """The platform that the suggestions come from."""
    platforms: Any = house.app.platforms
    deaf = platforms["slack"] = Deaf(FakeClock(house.app.store.now()))
    deaf.trouble = trouble
    try:
        yield deaf
    finally:
        del platforms["slack"]


@pytest.mark.parametrize(
    ("trouble", "seconds"),
    [(Retry(timedelta(seconds=3), why="ratelimited"), 5), (NotAllowed("Invite the bot."), 5), (None, 7)],
    ids=["away", "not-in-the-channel", "roles-unknown"],
)
async def test_a_text_that_cannot_be_read_again_is_not_filed(
    house: House, trouble: Trouble | None, seconds: int
) -> None:
    admin, suggestion = await house.client("admin"), await suggest(house, author="U9")
    bench = Bench(house.app.store, FakeClock(house.app.store.now()), "")
    with platform(house, trouble) as deaf:
        deaf.messages[suggestion.message_id] = said(bench, 1, "U9")
        answer = await admin.post("/api/v1/suggestions/1/file", json={"hash": suggestion.text_hash})
    assert (answer.status_code, answer.json()["code"]) == (503, "not_read")
    assert answer.headers["retry-after"] == str(seconds)
    assert deaf.reads == 1 and await admin.ask("GET", "code-tasks/1", 404)
    assert await listed(admin) == ["RQ-1"]


@only_sqlite
async def test_without_the_feature_there_are_none(database_url: str, tmp_path: Path) -> None:
    async with open_house(settings_for(database_url, tmp_path, features=("codetasks", "web"))) as house:
        assert (await (await house.client()).ask("GET", "suggestions", 404))["code"] == "disabled"
