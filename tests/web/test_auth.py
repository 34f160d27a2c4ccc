"""Tokens, scopes and rights: who gets 401, 403 and 404, and what the server leaves on disk."""

import stat
from pathlib import Path

import pytest

from bot.web.tokens import admit_worker_token, digest, knows_worker_token, leave_local_token
from tests.stores import only_sqlite
from tests.web.house import WISH, House, open_house, serving, settings_for

READS = ["code-tasks", "code-tasks/1", "code-tasks/1/logs", "code-tasks/1/events", "agents", "workers", "stats"]
WRITES = ["code-tasks/1/cancel", "code-tasks/1/retry", "code-tasks/1/merged"]


@only_sqlite
@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer x", "Basic YTpi", "Bearer ct_unknownunknown", "Bearer a b", "Token {t}", "{t}"],
)
async def test_without_a_live_token_everything_is_401(house: House, header: str) -> None:
    token = await house.token()
    client = house.bare({"authorization": header.format(t=token)})
    for path in [*READS, "me", "tokens"]:
        assert (await client.ask("GET", path, 401))["code"] == "unauthorized"
    for path in WRITES:
        await client.ask("POST", path, 401)
    await client.ask("POST", "code-tasks", 401, json=WISH)
    await client.ask("DELETE", "code-tasks/1", 401)


@only_sqlite
async def test_a_challenge_comes_with_401(house: House) -> None:
    assert (await house.bare().get("/api/v1/me")).headers["www-authenticate"] == "Bearer"


async def test_a_revoked_token_is_dead_at_once(house: House) -> None:
    admin = await house.client("admin", person="token::root")
    made = await admin.ask("POST", "tokens", 201, json={"name": "ci", "scopes": ["read"]})
    client = house.bare({"authorization": f"Bearer {made['token']}"})
    await client.ask("GET", "me", 200)
    await admin.ask("DELETE", f"tokens/{made['id']}", 204)
    await client.ask("GET", "me", 401)
    await admin.ask("DELETE", f"tokens/{made['id']}", 404)


async def test_scopes_bound_what_a_token_may_do(house: House) -> None:
    reader = await house.client("admin", "read")
    writer = await house.client("admin", "write")
    worker = await house.client("admin", "worker")
    assert (await reader.ask("POST", "code-tasks", 403, json=WISH))["code"] == "missing_scope"
    await writer.file()
    await writer.ask("GET", "code-tasks", 403)
    await reader.ask("GET", "code-tasks/1", 200)
    await worker.ask("GET", "code-tasks", 403)
    await worker.ask("POST", "code-tasks/1/cancel", 403)


async def test_a_viewer_sees_and_does_nothing(house: House) -> None:
    await (await house.client()).file()
    viewer = await house.client("viewer", person="token::vera")
    for path in READS[:2] + READS[3:]:
        await viewer.ask("GET", path, 200)
    assert (await viewer.ask("POST", "code-tasks", 403, json=WISH))["code"].startswith("may_not_file")
    for path in WRITES:
        await viewer.ask("POST", path, 403)
    await viewer.ask("DELETE", "code-tasks/1", 403)


async def test_who_has_no_role_cannot_tell_what_exists(house: House) -> None:
    await (await house.client()).file()
    nobody = await house.client("", person="token::nobody")
    for path in READS[1:4]:
        await nobody.ask("GET", path, 404)
    for path in WRITES:
        await nobody.ask("POST", path, 404)
    await nobody.ask("GET", "code-tasks", 403)
    await nobody.ask("POST", "code-tasks", 403, json=WISH)


async def test_another_filer_may_look_but_not_act(house: House) -> None:
    await (await house.client()).file()
    bob = await house.client(person="token::bob")
    await bob.ask("GET", "code-tasks/1", 200)
    refusal = await bob.ask("POST", "code-tasks/1/cancel", 403)
    assert "ana" in refusal["message"]
    assert await house.stage(1) == "queued"
    await (await house.client("admin", person="token::root")).ask("POST", "code-tasks/1/cancel", 200)


@only_sqlite
async def test_a_person_s_roles_are_asked_again_each_time(database_url: str, tmp_path: Path) -> None:
    settings = settings_for(database_url, tmp_path, filers="slack:U1")
    async with open_house(settings) as house:
        listed = await house.client("", person="slack:T1:U1")
        assert (await listed.ask("GET", "me", 200))["role"] == "filer"
        member = await house.client("", person="slack:T1:U2")
        assert (await member.ask("GET", "me", 200))["role"] == "viewer"


@pytest.mark.parametrize("role", ["viewer", "filer"])
async def test_only_admins_handle_tokens(house: House, role: str) -> None:
    client = await house.client(role)
    await client.ask("GET", "tokens", 403)
    await client.ask("POST", "tokens", 403, json={"name": "x", "scopes": ["read"], "role": "admin"})
    await client.ask("DELETE", "tokens/1", 403)


async def test_a_token_s_value_is_kept_nowhere(house: House) -> None:
    admin = await house.client("admin")
    made = await admin.ask("POST", "tokens", 201, json={"name": "ci", "scopes": ["read", "write"], "role": "viewer"})
    listed = await admin.ask("GET", "tokens", 200)
    assert made["token"] not in str(listed)
    assert (await house.app.store.run(lambda tx: tx.people.token(made["token"]))) is None
    found = await house.app.store.run(lambda tx: tx.people.token(digest(made["token"])))
    assert found == ("token::ci", frozenset({"read", "write"}), "viewer")


@only_sqlite
@pytest.mark.parametrize(
    "wish",
    [
        {"name": "", "scopes": ["read"]},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "x", "scopes": ["read"], "role": "god"},
        {"name": "x", "scopes": ["read"], "person": "nobody"},
        {"name": "x\n", "scopes": ["read"]},
    ],
)
async def test_a_token_that_makes_no_sense_is_refused(house: House, wish: dict[str, object]) -> None:
    await (await house.client("admin")).ask("POST", "tokens", 422, json=wish)


async def test_the_server_leaves_a_private_token_and_keeps_it(house: House) -> None:
    path = house.app.settings.token_file
    async with serving(house.app) as client:
        me = (await client.get("/api/v1/me")).json()
        assert (me["platform"], me["role"]) == ("console", "admin")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = path.read_text()
    await leave_local_token(house.app.store, path)
    assert path.read_text() == first


@pytest.mark.parametrize("spoil", ["forged", "open", "link"])
async def test_a_token_file_that_cannot_be_trusted_is_replaced(house: House, tmp_path: Path, spoil: str) -> None:
    path, other = house.app.settings.token_file, tmp_path / "other"
    await leave_local_token(house.app.store, path)
    before = path.read_text()
    if spoil == "forged":
        path.write_text("ct_forged-forged-forged")
    elif spoil == "open":
        path.chmod(0o644)
    else:
        path.replace(other)
        path.symlink_to(other)
    await leave_local_token(house.app.store, path)
    assert path.read_text() not in (before, "ct_forged-forged-forged")
    assert not path.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_worker_token_is_admitted_once_and_opens_nothing_else(house: House) -> None:
    assert not await knows_worker_token(house.app.store, "worker-secret")
    for _ in range(2):
        await admit_worker_token(house.app.store, "worker-secret")
    assert await knows_worker_token(house.app.store, "worker-secret")
    client = house.bare({"authorization": "Bearer worker-secret"})
    await client.ask("GET", "code-tasks", 403)
    await client.ask("POST", "code-tasks", 403, json=WISH)
    tokens = await house.app.store.run(lambda tx: tx.people.tokens(), read=True)
    assert [token.name for token in tokens] == ["worker"]
