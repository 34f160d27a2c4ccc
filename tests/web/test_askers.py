"""Who else asked for a code task, and suggestions, over HTTP: rights, states, codes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.core.inbound import Person
from bot.core.suggestions import OPEN, WAITING, Mode, Suggestion, hash_of
from bot.services.people import TALK
from bot.store import Transaction
from tests.clock import FakeClock
from tests.storage.conformance.bench import Bench
from tests.storage.conformance.intake import said
from tests.stores import only_sqlite
from tests.web.house import House, open_house, settings_for

BO = Person(platform="slack", workspace_id="T1", id="U2", name="bo", roles=frozenset({"member"}))
ALSO_BO = Person(platform="discord", workspace_id="G1", id="7", name="bo#1", roles=frozenset({"member"}))
TEXT = "Could we get a CSV export on the invoices page?"
FEATURES = ("codetasks", "followups", "web", "intake")


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(settings_for(database_url, tmp_path, features=FEATURES, filers=("member",))) as opened:
        await opened.app.store.run(lambda tx: [tx.people.see(one) for one in (BO, ALSO_BO)])
        yield opened


async def suggest(house: House, number: int = 1, author: str = "U5", **values: Any) -> Suggestion:
    """An open suggestion, shown in its thread."""
    bench = Bench(house.app.store, FakeClock(house.app.store.now()), "")

    def unit(tx: Transaction) -> Suggestion:
        found = tx.suggestions.collect([said(bench, number, author)], "p1")[0] or 0
        words = {"title": "CSV export", "text": TEXT, "text_hash": hash_of(TEXT), "repo": "web", "judge": "rules"}
        moved = tx.suggestions.move(found, (WAITING,), OPEN, mode=Mode.SUGGEST, score=0.9, **{**words, **values})
        assert moved is not None
        house.app.intake.suggestions.show(tx, moved)
        return moved

    return await house.app.store.run(unit)


async def test_people_ask_for_a_code_task_once_each(house: House) -> None:
    ana, bo, admin = await house.client(), await house.client(person=BO.account), await house.client("admin")
    await ana.file()
    first = await bo.ask("POST", "code-tasks/CT-1/askers", 201)
    assert [(one["name"], one["threads"]) for one in first["items"]] == [("bo", [])]
    assert await bo.ask("POST", "code-tasks/1/askers", 200, json={}) == first
    assert await ana.ask("GET", "code-tasks/1/askers", 200) == first
    assert (await ana.ask("GET", "code-tasks/1", 200))["askers"][0]["id"] == "U2"
    await admin.ask("POST", "code-tasks/1/askers", 201, json={"person": ALSO_BO.account})
    assert (await ana.ask("GET", "demand", 200))["items"][0]["people"] == 3
    await admin.ask("POST", "people/links", 201, json={"one": BO.account, "other": ALSO_BO.account})
    demand = (await ana.ask("GET", "demand", 200))["items"]
    assert [(one["people"], one["code_task"]["id"]) for one in demand] == [(2, "CT-1")]
    await bo.ask("DELETE", "code-tasks/1/askers", 204)
    assert (await ana.ask("GET", "code-tasks/1/askers", 200))["items"] == [], "with all accounts"
    assert (await bo.ask("DELETE", "code-tasks/1/askers", 404))["code"] == "no_asker"


async def test_a_filing_says_which_code_task_it_looks_like(house: House) -> None:
    ana = await house.client()
    wish = {"description": "Add a CSV export button to the contacts page", "repo": "web"}
    assert (await ana.ask("POST", "code-tasks", 201, json=wish))["looks_like"] is None
    again = {**wish, "description": "Please add a CSV export button on the contacts page, I need it"}
    filed = await ana.ask("POST", "code-tasks", 201, json=again)
    assert (filed["id"], filed["stage"], filed["looks_like"]) == ("CT-2", "queued", "CT-1")
    assert (await ana.ask("GET", "code-tasks/2", 200))["looks_like"] is None


async def test_asking_is_refused_to_those_who_may_not(house: House) -> None:
    ana, viewer = await house.client(), await house.client("viewer", person="token::vi")
    await ana.file()
    await viewer.ask("POST", "code-tasks/1/askers", 403)
    await viewer.ask("GET", "code-tasks/1/askers", 200)
    await ana.ask("POST", "code-tasks/1/askers", 403, json={"person": BO.account})
    await ana.ask("POST", "code-tasks/9/askers", 404)
    await ana.ask("POST", "code-tasks/1/askers", 422, json={"person": "bo"})
    await ana.ask("POST", "code-tasks/1/askers", 400, json={"channel": "C404"})
    admin = await house.client("admin")
    assert (await admin.ask("POST", "code-tasks/1/askers", 404, json={"person": "slack:T1:U404"}))["code"]
    await ana.ask("POST", "code-tasks/1/cancel", 200)
    bo = await house.client(person=BO.account)
    assert (await bo.ask("POST", "code-tasks/1/askers", 409))["code"] == "ledger_over"
    assert (await ana.ask("GET", "demand", 200))["items"] == []


async def test_a_suggestion_is_filed_by_the_hash_of_its_text(house: House) -> None:
    ana = await house.client()
    await suggest(house)
    (listed,) = (await ana.ask("GET", "suggestions", 200))["items"]
    assert (listed["id"], listed["text"], listed["state"], listed["asks"]) == ("RQ-1", TEXT, "open", [])
    other = {"hash": hash_of("other")[:12]}
    assert (await ana.ask("POST", "suggestions/RQ-1/file", 409, json=other))["code"] == "suggestion_changed"
    await ana.ask("POST", "suggestions/RQ-1/file", 422)
    filed = await ana.ask("POST", "suggestions/RQ-1/file", 201, json={"hash": listed["hash"]})
    assert (filed["id"], filed["description"], filed["thread"]["thread_id"]) == ("CT-1", TEXT, "1")
    again = await ana.ask("POST", "suggestions/1/file", 200, json={"hash": listed["hash"][:12]})
    assert again["id"] == "CT-1"
    assert (await ana.ask("GET", "suggestions", 200))["items"] == []
    (one,) = (await ana.ask("GET", "suggestions", 200, params={"state": "filed"}))["items"]
    assert (one["code_task"], one["decided_by"]) == ("CT-1", "token:ana")


async def test_a_suggestion_joins_a_code_task_or_is_dismissed(house: House) -> None:
    ana, viewer = await house.client(), await house.client("viewer", person="token::vi")
    await ana.file()
    for number in (1, 2, 3):
        await suggest(house, number, f"U{number + 4}")
    await viewer.ask("POST", "suggestions/1/same", 403, json={"code_task": "CT-1"})
    await viewer.ask("POST", "suggestions/1/dismiss", 403)
    assert (await ana.ask("POST", "suggestions/1/same", 200, json={"code_task": "1"}))["askers"][0]["id"] == "U5"
    await ana.ask("POST", "suggestions/2/same", 404, json={"code_task": "CT-9"})
    assert (await ana.ask("POST", "suggestions/2/dismiss", 200))["state"] == "dismissed"
    await ana.ask("POST", "suggestions/2/dismiss", 200)
    await ana.ask("POST", "suggestions/2/same", 409, json={"code_task": "CT-1"})
    await ana.ask("POST", "suggestions/2/file", 409, json={"hash": hash_of(TEXT)})
    await ana.ask("POST", "code-tasks/1/cancel", 200)
    await ana.ask("POST", "suggestions/3/same", 409, json={"code_task": "CT-1"})
    for path in ("suggestions/9/dismiss", "suggestions/CT-1/dismiss", "suggestions/x/dismiss"):
        await ana.ask("POST", path, 404)


async def test_what_needs_an_admin_is_not_filed_by_others(house: House) -> None:
    ana, admin = await house.client(), await house.client("admin")
    await suggest(house, guard="ci")
    (listed,) = (await ana.ask("GET", "suggestions", 200))["items"]
    assert listed["asks"] == ["ci"]
    await ana.ask("POST", "suggestions/1/file", 403, json={"hash": listed["hash"]})
    await admin.ask("POST", "suggestions/1/file", 201, json={"hash": listed["hash"]})


async def test_suggestions_are_paged_filtered_and_private_where_the_talk_was(house: House) -> None:
    ana, admin = await house.client(), await house.client("admin")
    made = [await suggest(house, number, f"U{number}") for number in (1, 2, 3)]
    page = await ana.ask("GET", "suggestions", 200, params={"limit": 2})
    assert ([one["id"] for one in page["items"]], page["next"]) == (["RQ-3", "RQ-2"], "2")
    rest = await ana.ask("GET", "suggestions", 200, params={"limit": 2, "cursor": page["next"]})
    assert ([one["id"] for one in rest["items"]], rest["next"]) == (["RQ-1"], None)
    assert len((await ana.ask("GET", "suggestions", 200, params={"channel": "slack:T1:C1"}))["items"]) == 3
    assert (await ana.ask("GET", "suggestions", 200, params={"channel": "C2"}))["items"] == []
    await ana.ask("GET", "suggestions", 400, params={"cursor": "x"})
    place = said(Bench(house.app.store, FakeClock(), ""), 1).thread
    await house.app.store.run(lambda tx: tx.people.set_setting(place, TALK, "yes"))
    assert (await ana.ask("GET", "suggestions", 200))["items"] == []
    await ana.ask("POST", "suggestions/1/dismiss", 404)
    assert len((await admin.ask("GET", "suggestions", 200))["items"]) == len(made)


@only_sqlite
async def test_without_the_feature_there_are_none(database_url: str, tmp_path: Path) -> None:
    async with open_house(settings_for(database_url, tmp_path, features=("codetasks", "web"))) as house:
        assert (await (await house.client()).ask("GET", "suggestions", 404))["code"] == "disabled"
