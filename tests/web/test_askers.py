"""Who else asked for a code task, over HTTP: rights, states, codes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.core.inbound import Person
from tests.web.house import House, open_house, settings_for

BO = Person(platform="slack", workspace_id="T1", id="U2", name="bo", roles=frozenset({"member"}))
ALSO_BO = Person(platform="discord", workspace_id="G1", id="7", name="bo#1", roles=frozenset({"member"}))
FEATURES = ("codetasks", "followups", "web", "intake")


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(settings_for(database_url, tmp_path, features=FEATURES, filers=("member",))) as opened:
        await opened.app.store.run(lambda tx: [tx.people.see(one) for one in (BO, ALSO_BO)])
        yield opened


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
