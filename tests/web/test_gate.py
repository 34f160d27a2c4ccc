"""The outermost layer: hosts, rate, sizes, a database that is away, and the last net under every route."""

import shutil
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from bot.store import StoreDown
from bot.web.gate import Gate, Pace, RateLimit, allowed_hosts, host_name
from bot.web.listener import WebRefused, open_listener
from tests.web.house import WISH, House, open_house, settings_for


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """SQLite alone: nothing here is about the store."""
    return f"sqlite:///{shutil.copyfile(sqlite_template, tmp_path / 'codetask.db')}"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8787", "localhost", "LOCALHOST:1", "[::1]:80", "localhost."])
async def test_loopback_names_are_answered(house: House, host: str) -> None:
    assert (await house.bare({"host": host}).get("/api/v1/me")).status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8787", "", "[::2]", "0"])
async def test_other_host_names_are_refused_before_anything(house: House, host: str) -> None:
    client = await house.client()
    for path in ("/api/v1/me", "/metrics", "/webhooks/github", "/nowhere"):
        answer = await client.get(path, headers={"host": host})
        assert (answer.status_code, answer.json()["code"]) == (400, "unknown_host")
    assert (await client.get("/healthz", headers={"host": host})).status_code == 200


async def test_a_host_can_be_allowed(database_url: str, tmp_path: Path) -> None:
    settings = settings_for(
        database_url, tmp_path, web_allowed_hosts="bot.example", codetask_url="https://code.example:8443/"
    )
    assert {"bot.example", "code.example"} <= allowed_hosts(settings)
    async with open_house(settings) as house:
        assert (await house.bare({"host": "Bot.Example:443"}).get("/api/v1/me")).status_code == 401


@pytest.mark.parametrize(
    ("header", "name"), [("a.b:80", "a.b"), ("[::1]:80", "::1"), ("", ""), ("A", "a"), ("[", ""), (":80", "")]
)
def test_the_name_in_a_host_header(header: str, name: str) -> None:
    assert host_name(header) == name


class TestRate:
    def test_a_bucket_empties_and_refills(self) -> None:
        now = [0.0]
        limit = RateLimit(Pace(per_second=2, burst=3), now=lambda: now[0])
        assert [limit.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
        assert limit.wait("b") == 0
        now[0] = 0.5
        assert [limit.wait("a"), limit.wait("a")] == [0, 0.5]
        now[0] = 60
        assert [limit.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]

    def test_the_number_of_clients_is_bounded(self) -> None:
        limit = RateLimit()
        for number in range(10_050):
            limit.wait(str(number))
        assert len(limit.buckets) == 10_000

    async def test_too_many_are_429_before_the_body_is_read(self, database_url: str, tmp_path: Path) -> None:
        async def never() -> None:
            raise AssertionError("the body was read")
            yield b""

        pace = RateLimit(Pace(per_second=0.001, burst=1))
        async with open_house(settings_for(database_url, tmp_path), pace) as house:
            client = house.bare()
            assert (await client.get("/healthz")).status_code == 200
            answer = await client.post("/webhooks/github", content=never(), headers={"content-length": "5"})
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
            assert int(answer.headers["retry-after"]) > 0


async def test_a_large_body_is_413(house: House) -> None:
    client = await house.client()
    big = b'{"description":"' + b"x" * (1024 * 1024) + b'"}'
    assert (await client.ask("POST", "code-tasks", 413, content=big))["code"] == "too_large"

    async def pieces():
        for _ in range(20):
            yield b" " * 65536

    await client.ask("POST", "code-tasks", 413, content=pieces())


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff", b"null", b"[]", b'"x"', b"9" * 5000, b"NaN"])
async def test_a_body_that_is_no_object_is_refused(house: House, body: bytes) -> None:
    client = await house.client()
    answer = await client.post("/api/v1/code-tasks", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert set(answer.json()) == {"code", "message", "hint", "ref"}


@pytest.mark.parametrize(("error", "status"), [(StoreDown("x"), 503), (RuntimeError("a secret"), 500)])
async def test_what_nobody_expected_is_answered_with_a_reference_only(error: Exception, status: int) -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        raise error

    gate = Gate(broken, ["127.0.0.1"], RateLimit())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://127.0.0.1") as client:
        answer = await client.get("/anything")
    assert answer.status_code == status
    assert set(answer.json()) == {"code", "message", "hint", "ref"}
    assert len(answer.json()["ref"]) == 4
    assert "secret" not in answer.text


async def test_a_route_that_breaks_is_caught_inside_the_framework_too(house: House) -> None:
    web: FastAPI = house.web

    @web.get("/breaks")
    async def breaks() -> None:
        raise ZeroDivisionError("a secret")

    answer = await house.bare().get("/breaks")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text


async def test_without_a_database_every_door_is_503(database_url: str, tmp_path: Path) -> None:
    async with open_house(settings_for(database_url, tmp_path)) as house:
        client = await house.client()
        take_away(Path(database_url.removeprefix("sqlite:///")), house)
        await client.ask("GET", "code-tasks", 503)
        await client.ask("POST", "code-tasks", 503, json=WISH)
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/metrics")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200


def take_away(path: Path, house: House) -> None:
    """Puts a folder where the database was, and closes the connections that still know it."""
    for name in ("", "-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)
    path.mkdir()
    house.app.store._writer_engine.dispose()
    house.app.store._reader_engine.dispose()


async def test_unknown_paths_and_methods_have_the_same_body(house: House) -> None:
    client = await house.client()
    await client.ask("GET", "nothing-here", 404)
    await client.ask("PUT", "code-tasks", 405)
    await client.ask("PATCH", "me", 405)


async def test_health_and_metrics(house: House) -> None:
    await (await house.client()).file()
    client = house.bare()
    assert (await client.get("/healthz")).text == "ok\n"
    assert (await client.get("/readyz")).json() == {"ready": True, "checks": {"database": "ready"}}
    text = (await client.get("/metrics")).text
    assert 'codetask_code_tasks{stage="queued"} 1.0' in text
    assert 'codetask_deliveries{state="pending"} 0.0' in text
    assert "codetask_claims 0.0" in text


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    first = open_listener(settings_for("sqlite://", tmp_path))
    with first:
        taken = settings_for("sqlite://", tmp_path, web_bind=f"127.0.0.1:{first.getsockname()[1]}")
        with pytest.raises(WebRefused, match="Stop what listens there, or set WEB_BIND"):
            open_listener(taken)
