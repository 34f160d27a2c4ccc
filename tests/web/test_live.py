"""Server-sent events over a real socket: pushed as things happen, ended when there is nothing more to come."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from bot.core.runs import LogKind, LogLine
from bot.core.tasks import Stage
from tests.web.house import WISH, House, serving

STREAM = {"accept": "text/event-stream"}
DEADLINE = 20


async def events(answer: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    async for line in answer.aiter_lines():
        kind, _, text = line.partition(": ")
        if kind == "event":
            name = text
        elif kind == "data":
            yield name, json.loads(text)


async def until(stream: AsyncIterator[tuple[str, Any]], stage: str) -> list[Any]:
    """The code tasks of a stream up to one in that stage."""
    seen: list[Any] = []
    async for name, task in stream:
        if name == "task":
            seen.append(task)
            if task["stage"] == stage:
                return seen
    raise AssertionError(f"the stream ended before {stage}")


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(house.app) as opened:
        (await opened.post("/api/v1/code-tasks", json=WISH)).raise_for_status()
        yield opened


async def test_every_change_is_pushed(house: House, client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(DEADLINE), client.stream("GET", "/api/v1/code-tasks/1/events", headers=STREAM) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = events(answer)
        assert [task["stage"] for task in await until(stream, "queued")] == ["queued"]
        await house.bring(1, Stage.REVIEW, pr_number=7)
        assert (await until(stream, "review"))[-1]["pr"]["number"] == 7
        await client.post("/api/v1/code-tasks/1/cancel")
        assert (await until(stream, "failed"))[-1]["failure_reason"] == "cancelled"


async def test_history_comes_before_what_is_new(house: House, client: httpx.AsyncClient) -> None:
    await house.bring(1, Stage.TESTING)
    async with asyncio.timeout(DEADLINE), client.stream("GET", "/api/v1/code-tasks/1/events", headers=STREAM) as answer:
        told = [await anext(stream) async for stream in _times(events(answer), 4)]
    assert [(name, data.get("to")) for name, data in told] == [
        ("move", "queued"),
        ("move", "running"),
        ("move", "testing"),
        ("task", None),
    ]


async def _times(stream: AsyncIterator[Any], count: int) -> AsyncIterator[AsyncIterator[Any]]:
    for _ in range(count):
        yield stream


async def test_a_deleted_code_task_ends_the_stream(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/code-tasks/1/cancel")
    async with asyncio.timeout(DEADLINE), client.stream("GET", "/api/v1/code-tasks/1/events", headers=STREAM) as answer:
        stream = events(answer)
        await until(stream, "failed")
        await client.delete("/api/v1/code-tasks/1")
        assert [name async for name, _ in stream] == ["gone"]


async def test_logs_are_followed_over_attempts_until_no_run_is_open(house: House, client: httpx.AsyncClient) -> None:
    app = house.app

    async def write(number: int, text: str) -> None:
        line = LogLine(type=LogKind.OUTPUT, content=text)
        await app.store.run(lambda tx: tx.runs.log(number, [line]))

    await app.store.run(lambda tx: app.attempts.claim(tx, "w", "host"))
    await write(1, "one")
    async with asyncio.timeout(DEADLINE), client.stream("GET", "/api/v1/code-tasks/1/logs", headers=STREAM) as answer:
        stream = events(answer)
        assert (await anext(stream))[1]["content"] == "one"
        await write(1, "two")
        name, entry = await anext(stream)
        assert (name, entry["run"], entry["seq"], entry["type"], entry["content"]) == (
            "log",
            "CT-1#1",
            2,
            "output",
            "two",
        )
        await client.post("/api/v1/code-tasks/1/cancel")
        assert [name async for name, _ in stream] == ["end"]
    await client.post("/api/v1/code-tasks/1/retry")
    await app.store.run(lambda tx: app.attempts.claim(tx, "w", "host"))
    await write(2, "three")
    latest = (await client.get("/api/v1/code-tasks/1/logs")).json()
    assert [entry["content"] for entry in latest["items"]] == ["three"]
    first = (await client.get("/api/v1/code-tasks/1/logs", params={"run": 1, "tail": 1})).json()
    assert [entry["content"] for entry in first["items"]] == ["two"]
    assert (await client.get("/api/v1/code-tasks/1/logs", params={"run": 9})).status_code == 404
    rest = (await client.get("/api/v1/code-tasks/1/logs", params={"run": 1, "after": 1})).json()
    assert [entry["seq"] for entry in rest["items"]] == [2]


async def test_the_log_of_a_follow_up_is_followed_until_it_has_ended(house: House, client: httpx.AsyncClient) -> None:
    wish = {"message": "Check the deploy", "run_now": True}
    (await client.post("/api/v1/follow-ups", json=wish)).raise_for_status()
    async with asyncio.timeout(DEADLINE), client.stream("GET", "/api/v1/follow-ups/1/logs", headers=STREAM) as answer:
        stream = events(answer)
        await house.fire()
        await house.fail()
        assert [name async for name, _ in stream] == ["end"]
    (await client.post("/api/v1/follow-ups/1/retry")).raise_for_status()
    async with asyncio.timeout(DEADLINE), client.stream("GET", "/api/v1/follow-ups/1/logs", headers=STREAM) as answer:
        stream = events(answer)
        await house.fire()
        await house.answer("All green.")
        told = [(name, data.get("run"), data.get("content")) async for name, data in stream]
    assert told[0] == ("log", "FU-1#2", "ran a tool")
    assert told[2:] == [("log", "FU-1#2", "All green."), ("log", "FU-1#2", "answered"), ("end", None, None)]


async def test_a_stopping_server_ends_its_streams(house: House) -> None:
    stop = asyncio.Event()
    async with asyncio.timeout(DEADLINE), serving(house.app, stop) as client:
        (await client.post("/api/v1/code-tasks", json=WISH)).raise_for_status()
        async with client.stream("GET", "/api/v1/code-tasks/1/events", headers=STREAM) as answer:
            stream = events(answer)
            await until(stream, "queued")
            stop.set()
            assert [item async for item in stream] == []


async def test_a_stream_needs_a_token_and_a_code_task(house: House, client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/code-tasks/9/events", headers=STREAM)).status_code == 404
    bare = {**STREAM, "authorization": "Bearer nothing-at-all"}
    assert (await client.get("/api/v1/code-tasks/1/events", headers=bare)).status_code == 401
