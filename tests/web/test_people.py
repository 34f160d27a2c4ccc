"""People over HTTP: who was seen, links between accounts and what they change, and the audit trail."""

import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bot.core.inbound import Person
from tests.stores import only_sqlite
from tests.web.house import WISH, Client, House, open_house, settings_for

ANA = Person(platform="slack", workspace_id="T1", id="U1", name="ana", roles=frozenset({"member"}))
ALSO_ANA = Person(platform="discord", workspace_id="G1", id="77", name="ana#1", roles=frozenset({"owner"}))
BOT = Person(platform="slack", workspace_id="T1", id="B1", name="ci", kind="bot")
SLACK, DISCORD = "slack:T1:U1", "discord:G1:77"


async def seen(house: House, *people: Person) -> None:
    await house.app.store.run(lambda tx: [tx.people.see(one) for one in people])


async def link(admin: Client, status: int = 201, one: str = SLACK, other: str = DISCORD) -> Any:
    return await admin.ask("POST", "people/links", status, json={"one": one, "other": other})


async def test_linked_accounts_have_one_role_and_own_the_same_things(house: House) -> None:
    await seen(house, ANA, ALSO_ANA)
    admin, ana = await house.client("admin"), await house.client(person=SLACK)
    assert (await ana.ask("GET", "me", 200))["role"] == "viewer"
    await ana.ask("POST", "code-tasks", 403, json=WISH)

    told = await link(admin)
    assert (told["account"], told["role"], told["linked"]) == (SLACK, "admin", [DISCORD])
    assert await link(admin, 200, DISCORD, SLACK) == {**told, **await shown(admin, DISCORD)}
    me = await ana.ask("GET", "me", 200)
    assert (me["role"], me["linked"]) == ("admin", [DISCORD])

    await admin.ask("DELETE", f"people/links/{DISCORD}", 204)
    await admin.ask("DELETE", f"people/links/{DISCORD}", 404)
    assert (await ana.ask("GET", "me", 200))["linked"] == []
    assert (await ana.ask("GET", "me", 200))["role"] == "viewer"


async def shown(admin: Client, account: str) -> Any:
    people = (await admin.ask("GET", "people", 200))["items"]
    return next(one for one in people if one["account"] == account)


async def test_a_task_of_one_account_is_the_other_ones_too(database_url: str, tmp_path: Path) -> None:
    async with open_house(settings_for(database_url, tmp_path, filers=("member",))) as house:
        await seen(house, ANA, ALSO_ANA.model_copy(update={"roles": frozenset({"member"})}))
        slack, discord = await house.client(person=SLACK), await house.client(person=DISCORD)
        await slack.file()
        await discord.ask("POST", "code-tasks/1/cancel", 403)
        await link(await house.client("admin"))
        await discord.ask("POST", "code-tasks/1/cancel", 200)


async def test_only_known_people_are_linked_and_only_by_admins(house: House) -> None:
    await seen(house, ANA, ALSO_ANA, BOT)
    admin, filer = await house.client("admin"), await house.client("filer")
    assert (await link(admin, 404, SLACK, "discord:G1:78"))["code"] == "unknown_account"
    assert (await link(admin, 400, SLACK, SLACK))["code"] == "same_account"
    for other in ("slack:T1:B1", "console::root", "token::ana"):
        assert (await link(admin, 400, SLACK, other))["code"] == "unlinkable"
    await link(admin, 422, SLACK, "nobody")
    await link(filer, 403)
    await filer.ask("GET", "people", 403)
    await filer.ask("GET", "audit", 403)
    await filer.ask("GET", "audit/verify", 403)
    await link(await house.client("admin", "read"), 403)


async def test_people_are_listed_by_pages(house: House) -> None:
    await seen(house, ANA, ALSO_ANA, BOT)
    admin = await house.client("admin")
    first = await admin.ask("GET", "people?limit=2", 200)
    assert [one["account"] for one in first["items"]] == [DISCORD, "slack:T1:B1"]
    rest = await admin.ask("GET", f"people?cursor={first['next']}", 200)
    assert [(one["account"], one["roles"]) for one in rest["items"]] == [(SLACK, ["member"])]
    assert rest["next"] is None


async def test_every_change_of_links_and_tasks_is_in_the_audit_trail(house: House) -> None:
    await seen(house, ANA, ALSO_ANA)
    admin = await house.client("admin", person="token::root")
    await link(admin)
    await link(admin, 200)
    await admin.ask("DELETE", f"people/links/{SLACK}", 204)
    await admin.file()
    told = (await admin.ask("GET", "audit?actor=token:root", 200))["items"]
    assert [(one["action"], one["subject"]) for one in told] == [
        ("file", "CT-1"),
        ("person.unlink", SLACK),
        ("person.link", SLACK),
    ]
    assert told[1]["detail"] == {"before": [DISCORD]}
    assert len((await admin.ask("GET", "audit?action=person.link", 200))["items"]) == 1
    assert (await admin.ask("GET", "audit?subject=CT-9", 200))["items"] == []
    page = await admin.ask("GET", "audit?limit=1", 200)
    assert (await admin.ask("GET", f"audit?cursor={page['next']}&limit=5", 200))["items"] == told[1:]


async def test_the_trail_is_exported_whole_and_its_first_broken_entry_named(house: House) -> None:
    admin = await house.client("admin")
    for _ in range(3):
        await admin.file()
    answer = await admin.get("/api/v1/audit", headers={"accept": "application/x-ndjson"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["subject"] for line in lines] == ["CT-3", "CT-2", "CT-1"]
    assert await admin.ask("GET", "audit/verify", 200) == {"whole": True, "broken_at": None}
    forged = sa.text("UPDATE audit SET actor = 'slack:U9' WHERE subject = 'CT-2'")
    await house.app.store.run(lambda tx: tx.session.execute(forged))
    number = lines[1]["id"]
    assert await admin.ask("GET", "audit/verify", 200) == {"whole": False, "broken_at": number}


@only_sqlite
async def test_a_removed_entry_breaks_the_chain(house: House) -> None:
    admin = await house.client("admin")
    for _ in range(3):
        await admin.file()
    await house.app.store.run(lambda tx: tx.session.execute(sa.text("DELETE FROM audit WHERE subject = 'CT-2'")))
    assert not (await admin.ask("GET", "audit/verify", 200))["whole"]
