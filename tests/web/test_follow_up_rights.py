"""Who may set, see and change follow-ups over HTTP, and what fires for whom."""

from pathlib import Path

from tests.stores import only_sqlite
from tests.web.house import House, open_house, settings_for
from tests.web.later import ids


class TestRights:
    async def test_a_viewer_looks_and_changes_nothing(self, house: House) -> None:
        ana, vera = await house.client(), await house.client("viewer", person="token::vera")
        await ana.later()
        await vera.ask("GET", "follow-ups/1", 200)
        assert (await vera.later(403))["code"].startswith("may_not_follow_up")
        for verb in ("cancel", "stop", "run", "retry"):
            await vera.ask("POST", f"follow-ups/1/{verb}", 403)
        await vera.ask("PATCH", "follow-ups/1", 403, json={"title": "Mine"})
        await vera.ask("DELETE", "follow-ups/1", 403)

    async def test_only_ones_own_unless_admin(self, house: House) -> None:
        ana, bob = await house.client(), await house.client(person="token::bob")
        root = await house.client("admin", person="token::root")
        await ana.later()
        assert "@ana" in (await bob.ask("POST", "follow-ups/1/cancel", 403))["message"]
        await root.ask("PATCH", "follow-ups/1", 200, json={"title": "Root's"})
        await root.ask("POST", "follow-ups/1/cancel", 200)

    async def test_without_a_role_nothing_is_there(self, house: House) -> None:
        ana, nobody = await house.client(), await house.client("", person="token::nobody")
        await ana.later()
        await nobody.ask("GET", "follow-ups/1", 404)
        await nobody.ask("GET", "follow-ups", 403)
        await house.bare().get("/api/v1/follow-ups")
        assert (await house.bare().get("/api/v1/follow-ups")).status_code == 401

    async def test_a_reading_token_cannot_change(self, house: House) -> None:
        ana = await house.client(scopes="read")
        assert (await ana.later(403))["code"] == "missing_scope"
        for method, path in (("POST", "/cancel"), ("DELETE", "")):
            await ana.ask(method, f"follow-ups/1{path}", 403)

    async def test_a_revoked_token_fires_nothing_any_more(self, house: House) -> None:
        ana = await house.client()
        await ana.later(run_now=True)
        await ana.later(run_now=True, remind=True)
        await house.app.store.run(lambda tx: [tx.people.revoke_token(token.id) for token in tx.people.tokens()])
        await house.fire()
        vera = await house.client("viewer", "read", person="token::vera")
        found = (await vera.ask("GET", "follow-ups", 200))["items"]
        assert [(one["state"], one["failure_reason"]) for one in found] == [("failed", "refused")] * 2

    async def test_the_highest_role_of_ones_live_tokens_counts_when_it_fires(self, house: House) -> None:
        ana = await house.client()
        await house.token("viewer")
        await ana.later(run_now=True)
        await house.fire()
        assert (await ana.ask("GET", "follow-ups/1", 200))["state"] == "running"

    async def test_an_admin_sets_one_for_someone_else(self, house: House) -> None:
        root, bob = await house.client("admin", person="token::root"), await house.client(person="token::bob")
        assert (await root.later(400, requester="token::bob"))["code"] == "unknown_person"
        await bob.later()
        made = await root.later(requester="token::bob")
        assert made["requester"]["id"] == "bob"
        assert await ids(bob, mine=True) == ["FU-1", made["id"]]
        assert (await root.later(requester="me"))["requester"]["id"] == "root"

    @only_sqlite
    async def test_with_the_feature_off_there_are_no_follow_ups(self, database_url: str, tmp_path: Path) -> None:
        async with open_house(settings_for(database_url, tmp_path, features="web codetasks")) as house:
            ana = await house.client()
            refusal = await ana.later(404)
            assert (refusal["code"], refusal["message"]) == ("disabled", "Follow-ups are disabled here.")
            for method, path in (("GET", ""), ("GET", "/1"), ("POST", "/1/run"), ("GET", "/1/logs"), ("DELETE", "/1")):
                await ana.ask(method, f"follow-ups{path}", 404)
