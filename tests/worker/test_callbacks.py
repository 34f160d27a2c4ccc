"""The callback server at wire level, called by the official MCP client, by plain HTTP and by `codetask` in a shell."""

import asyncio
import json
import random
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from bot.core.followups import FollowUp
from bot.core.questions import Question
from bot.services.run_seats import RunHold
from bot.services.tasks import Filed, Filing
from bot.store import Transaction
from bot.worker.agent_step import SHELL_FOLDER
from bot.worker.callback_tools import TOOLS
from bot.worker.callbacks import CALLS_A_MINUTE, CONNECTIONS_MAX, MAX_BODY, CallbackRun, Callbacks
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.world import ANN, CHANNEL, World
from tests.stores import only_sqlite

THREAD = CHANNEL.model_copy(update={"root": "1700000000.000100"})
WISH = {"when": "in 2 hours", "message": "check the deploy"}
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_followups", "arguments": {}}}

pytestmark = only_sqlite


@dataclass
class Site:
    """A run that is under way, and its server."""

    world: World
    run: CallbackRun
    session: aiohttp.ClientSession

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        sent = {"Authorization": f"Bearer {self.run.token}", **headers}
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        async with self.session.request(method, f"http://x{path}", data=data, headers=sent) as answer:
            raw = await answer.read()
            return answer.status, json.loads(raw) if raw else None

    def follow_ups(self) -> list[FollowUp]:
        numbers = [number for (number,) in self.world.rows("SELECT id FROM follow_up ORDER BY id")]
        found = [self.world.store.run_sync(lambda tx, n=n: tx.followups.get(n)) for n in numbers]
        return [one for one in found if one is not None]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ct-") as path:
        yield Path(path)


@pytest.fixture
async def site(store: Database, clock: FakeClock, tmp_path: Path, folder: Path) -> AsyncIterator[Site]:
    world = World(store, clock, tmp_path)

    def unit(tx: Transaction) -> None:
        tx.people.see(ANN)
        filing = Filing("Add a contact page", ANN, thread_id=tx.threads.open(THREAD).id)
        assert isinstance(world.app.tasks.file(tx, filing), Filed)

    store.run_sync(unit)
    claimed = world.claim()
    assert claimed is not None
    callbacks = Callbacks(store, world.app.run_tools, world.app.redactor)
    run = await callbacks.open_run(RunHold(claimed.lease.run_id, claimed.lease.fence), folder, loopback=True)
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(folder / "api.sock"))) as session:
        yield Site(world, run, session)
    await run.close()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_sets_lists_and_cancels_a_follow_up(site: Site, folder: Path, mode: str) -> None:
    transport = httpx2.AsyncHTTPTransport(uds=str(folder / "api.sock"))
    headers = {"Authorization": f"Bearer {site.run.token}"}
    async with (
        httpx2.AsyncClient(transport=transport, headers=headers) as http,
        Client(streamable_http_client("http://x/mcp", http_client=http), mode=mode) as client,
    ):
        offered = (await client.list_tools()).tools
        assert [tool.name for tool in offered] == list(site.world.app.run_tools.offered())
        made = await client.call_tool("schedule_followup", WISH)
        assert not made.is_error and made.structured_content is not None
        assert made.structured_content["id"] == "FU-1"
        listed = await client.call_tool("list_followups", {})
        assert [one["id"] for one in (listed.structured_content or {})["follow_ups"]] == ["FU-1"]
        asked = await client.call_tool("schedule_followup", {**WISH, "when": "3/10 9:00"})
        assert asked.is_error and "Choices: 20" in asked.content[0].text  # type: ignore[union-attr]
        gone = await client.call_tool("cancel_followup", {"id": "FU-1"})
        assert not gone.is_error and (gone.structured_content or {})["state"] == "cancelled"
    (follow_up,) = site.follow_ups()
    assert (follow_up.body, follow_up.requester_id, follow_up.by_agent) == ("check the deploy", "U1", True)


async def test_no_more_connections_are_kept_than_a_run_needs(site: Site, folder: Path) -> None:
    async with asyncio.timeout(20):
        held = [await asyncio.open_unix_connection(str(folder / "api.sock")) for _ in range(CONNECTIONS_MAX)]
        reader, writer = await asyncio.open_unix_connection(str(folder / "api.sock"))
        assert await reader.read() == b"", "one too many is closed at once"
        with pytest.raises(aiohttp.ClientConnectionError):
            await site.send("GET", "/api/v1/run/follow-ups")
        for _, one in (*held, (reader, writer)):
            one.close()
            await one.wait_closed()
        while True:
            try:
                assert (await site.send("GET", "/api/v1/run/follow-ups"))[0] == 200
                break
            except aiohttp.ClientConnectionError:  # those that were closed are not all noticed yet
                await asyncio.sleep(0)


async def test_it_speaks_mcp_without_streams_and_sessions(site: Site) -> None:
    hello = {"jsonrpc": "2.0", "id": "a", "method": "initialize", "params": {"protocolVersion": "2025-06-18"}}
    status, answer = await site.send("POST", "/mcp", hello)
    assert status == 200 and answer["id"] == "a" and answer["result"]["protocolVersion"] == "2025-06-18"
    newer = {**hello, "params": {"protocolVersion": "2099-01-01"}}
    assert (await site.send("POST", "/mcp", newer))[1]["result"]["protocolVersion"] == "2025-11-25"
    assert await site.send("POST", "/mcp", {"jsonrpc": "2.0", "method": "notifications/initialized"}) == (202, None)
    assert (await site.send("POST", "/mcp", {"jsonrpc": "2.0", "id": 2, "method": "ping"}))[1]["result"] == {}
    for method in ("GET", "DELETE", "PUT"):
        assert (await site.send(method, "/mcp"))[0] == 405
    unknown = {"jsonrpc": "2.0", "id": 3, "method": "resources/list"}
    assert (await site.send("POST", "/mcp", unknown))[1]["error"]["code"] == -32601


async def test_the_same_over_plain_http(site: Site) -> None:
    root = "/api/v1/run"
    status, made = await site.send("POST", f"{root}/follow-ups", {**WISH, "title": "Deploy"})
    assert status == 201 and (made["id"], made["title"], made["state"]) == ("FU-1", "Deploy", "pending")
    assert (await site.send("GET", f"{root}/follow-ups"))[1]["follow_ups"][0]["id"] == "FU-1"
    assert (await site.send("POST", f"{root}/follow-ups/FU-1/cancel"))[1]["state"] == "cancelled"
    assert (await site.send("POST", f"{root}/follow-ups/FU-9/cancel"))[0] == 404
    status, refused = await site.send("POST", f"{root}/follow-ups", {**WISH, "when": "3/10 9:00"})
    assert status == 400 and len(refused["choices"]) == 2
    status, task = await site.send("POST", f"{root}/code-tasks", {"description": "Add a people page"})
    assert status == 201 and task["id"] == "CT-2"
    assert (await site.send("POST", f"{root}/code-tasks", {"description": "Something else"}))[0] == 409
    assert (await site.send("GET", f"{root}/code-tasks/CT-1"))[1]["stage"] == "running"
    assert (await site.send("POST", f"{root}/updates", {"text": "Half done"}))[0] == 200
    assert (await site.send("PUT", f"{root}/updates", {"text": "x"}))[0] == 405
    assert (await site.send("GET", f"{root}/nothing"))[0] == 404


@pytest.mark.parametrize("token", ["", "wrong", "Bearer", "ä" * 20, "\udce4"])
async def test_another_token_opens_nothing(site: Site, token: str) -> None:
    for path in ("/mcp", "/api/v1/run/follow-ups", "/"):
        status, answer = await site.send("POST", path, CALL, Authorization=f"Bearer {token}")
        assert status == 401 and answer["code"] == "unauthorized"


async def test_the_token_dies_with_the_run(site: Site, folder: Path) -> None:
    assert (await site.send("POST", "/mcp", CALL))[0] == 200
    url = site.run.endpoint.base_url
    await site.run.close()
    assert not (folder / "api.sock").exists()
    with pytest.raises(aiohttp.ClientError):
        await site.send("POST", "/mcp", CALL)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(f"{url}/mcp", json=CALL)


async def test_a_run_whose_lease_is_lost_is_told_so(site: Site) -> None:
    site.world.store.run_sync(lambda tx: site.world.app.tasks.cancel(tx, 1, ANN))
    status, answer = await site.send("POST", "/api/v1/run/follow-ups", WISH)
    assert (status, answer["message"]) == (409, "This run is over. Nothing was done.")
    result = (await site.send("POST", "/mcp", CALL))[1]["result"]
    assert result["isError"] and result["content"][0]["text"] == "This run is over. Nothing was done."


async def test_thirty_calls_a_minute_through_all_doors_together(site: Site) -> None:
    for number in range(CALLS_A_MINUTE):
        if number % 2:
            assert (await site.send("GET", "/api/v1/run/follow-ups"))[0] == 200
        else:
            assert not (await site.send("POST", "/mcp", CALL))[1]["result"]["isError"]
    assert (await site.send("GET", "/api/v1/run/follow-ups"))[0] == 429
    assert (await site.send("POST", "/mcp", CALL))[1]["result"]["isError"]


HOSTILE: list[tuple[bytes, set[int]]] = [
    (b"", {400}),
    (b"nonsense", {400}),
    (b"\xff\xfe\x00", {400}),
    (b"[" * 30_000, {400}),
    (b'{"a":' * 10_000, {400}),
    (b"9" * 5_000, {400}),
    (b"[]", {400}),
    (b"null", {400}),
    (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', {400}),
    (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', {400}),
    (b'{"jsonrpc":"2.0","id":1,"method":7}', {400}),
    (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', {400}),
    (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', {400}),
    (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}', {200}),
    (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"__class__"}}', {200}),
    (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["x"]}}', {200}),
    (b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":{}}}', {200}),
    (b"x" * (MAX_BODY + 1), {413}),
]


@pytest.mark.parametrize(("body", "allowed"), HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_bodies_are_refused_and_nothing_breaks(site: Site, body: bytes, allowed: set[int]) -> None:
    assert (await site.send("POST", "/mcp", body))[0] in allowed
    status, _ = await site.send("POST", "/api/v1/run/follow-ups", body)
    assert 400 <= status < 500 and site.follow_ups() == []
    encoded = await site.send("POST", "/mcp", body, **{"Content-Encoding": "gzip"})
    assert encoded[0] in allowed


VALUES: list[Any] = [
    None, True, 7, -1, 1e308, float("nan"), [], ["x"], {}, "", " ", "\u0000", "\ud800", "FU-1", "CT-1",
    "FU-" + "9" * 40,
    "../../x", "%2e", "x" * 9_000, "in 2h", "in 2h; DROP TABLE run", "9" * 30, "１２３", "\u202e" * 50,
]  # fmt: skip


@pytest.mark.parametrize("name", TOOLS)
async def test_no_argument_of_any_kind_breaks_a_tool(site: Site, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.worker.callbacks.CALLS_A_MINUTE", 10_000)
    monkeypatch.setattr("bot.worker.callbacks.WAIT_S", 0.1)
    arguments = list(TOOLS[name].arguments)
    rolled = random.Random(name)
    for value in [*VALUES, *rolled.sample(VALUES, 10)]:
        given = {argument: rolled.choice(VALUES) for argument in arguments}
        given[rolled.choice(arguments) if arguments else "extra"] = value
        body = {**CALL, "params": {"name": name, "arguments": given}}
        status, answer = await site.send("POST", "/mcp", body)
        assert status == 200 and "result" in answer, (given, answer)
        said = answer["result"]["content"][0]["text"]
        assert "went wrong" not in said and "Traceback" not in said, (given, said)


# --- The command in a shell -------------------------------------------------------------------------------------------


async def codetask(site: Site, *words: str, stdin: str = "", **env: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of the command as an agent's shell has it."""
    clean = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "CODETASK_PYTHON": sys.executable, **site.run.env, **env}
    process = await asyncio.create_subprocess_exec(
        str(SHELL_FOLDER / "codetask"),
        *words,
        env={name: value for name, value in clean.items() if value},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_command_sets_lists_and_cancels(site: Site) -> None:
    code, out, err = await codetask(site, "followup", "create", "in 2h", "check the deploy", "--title", "Deploy")
    assert (code, out) == (0, "FU-1\n") and err.startswith("FU-1 is set: ")
    code, out, _ = await codetask(site, "followup", "list", "-o", "json")
    assert code == 0 and json.loads(out)["follow_ups"][0]["title"] == "Deploy"
    code, out, _ = await codetask(site, "followup", "list")
    assert code == 0 and out.split("\t")[:2] == ["FU-1", "pending"]
    assert (await codetask(site, "followup", "cancel", "FU-1"))[:2] == (0, "FU-1\n")


async def test_the_command_files_shows_and_posts(site: Site) -> None:
    code, out, err = await codetask(site, "task", "create", "-", stdin="Add a people page")
    assert (code, out) == (0, "CT-2\n") and "card" in err
    code, out, _ = await codetask(site, "task", "show", "CT-2", "-o", "json")
    assert code == 0 and json.loads(out)["stage"] == "queued"
    assert "stage\tqueued\n" in (await codetask(site, "task", "show", "2"))[1]
    assert (await codetask(site, "post", "Half done"))[:2] == (0, "")


async def test_the_command_ends_with_the_code_of_what_went_wrong(site: Site) -> None:
    code, out, err = await codetask(site, "followup", "create", "3/10 9:00", "x")
    assert (code, out) == (2, "") and len(err.splitlines()) == 3
    assert (await codetask(site, "followup", "create"))[0] == 2
    assert (await codetask(site, "task", "show", "CT-99"))[0] == 4
    assert (await codetask(site, "followup", "cancel", "../../x"))[0] == 4
    assert (await codetask(site, "post", "x", CODETASK_RUN_TOKEN="wrong"))[0] == 3
    assert (await codetask(site, "post", "x", CODETASK_RUN_TOKEN=""))[0] == 2
    assert (await codetask(site, "post", "x", CODETASK_SOCKET="/nowhere/api.sock"))[0] == 5
    assert (await codetask(site, "post", "x", CODETASK_SOCKET=""))[0] == 0, "over the address"
    assert site.run.token not in err


async def test_a_run_knows_where_it_works(site: Site) -> None:
    env = site.run.env
    told = env["CODETASK_PLATFORM"], env["CODETASK_CHANNEL"], env["CODETASK_THREAD"]
    assert told == ("slack", "C1", "1700000000.000100")
    assert env["CODETASK_RUN_TOKEN"] == site.run.token and env["CODETASK_SOCKET"].endswith("/api.sock")
    masked = site.world.app.redactor.mask(f"it is {site.run.token}")
    assert site.run.token not in masked and shutil.which(str(SHELL_FOLDER / "codetask"))


# --- Questions --------------------------------------------------------------------------------------------------------


async def answer(site: Site, text: str) -> None:
    """A person answers the open question, as soon as there is one."""
    store = site.world.store
    questions = site.world.app.run_tools.questions
    async with asyncio.timeout(20):
        while True:
            seen = store.version("outbox")
            open_one = await store.run(lambda tx: tx.questions.get(1), read=True)
            if open_one is not None:
                break
            await store.changed("outbox", seen, 5)
    outcome = await store.run(lambda tx: questions.answer(tx, ANN, open_one, text))
    assert isinstance(outcome, Question), outcome


async def test_a_question_is_waited_for_until_a_person_answers(site: Site) -> None:
    body = {"question": "Which color?", "choices": ["red", "blue"]}
    (status, told), _ = await asyncio.gather(site.send("POST", "/api/v1/run/questions", body), answer(site, "red"))
    assert status == 200 and told == {"status": "answered", "answer": "red", "by": "Ann"}


async def test_a_caller_says_how_long_it_waits(site: Site) -> None:
    call = {**CALL, "params": {"name": "ask_user", "arguments": {"question": "Which color?"}}}
    result = (await site.send("POST", "/mcp?wait=0", call))[1]["result"]
    assert not result["isError"] and result["structuredContent"]["status"] == "waiting"
    await answer(site, "blue")
    result = (await site.send("POST", "/mcp?wait=0", call))[1]["result"]
    assert result["structuredContent"]["answer"] == "blue"
    for wait in ("-1", "x", "9" * 40, "0.5", ""):
        assert (await site.send("POST", f"/mcp?wait={wait}", call))[0] == 200


async def test_the_runs_clocks_stand_still_only_while_a_question_is_open(site: Site) -> None:
    body = {"question": "Which color?"}
    assert site.run.paused() == 0
    await site.send("POST", "/api/v1/run/questions?wait=0", body)
    first = site.run.paused()
    await site.send("GET", "/api/v1/run/follow-ups")
    assert site.run.paused() > first >= 0
    await answer(site, "red")
    await site.send("POST", "/api/v1/run/questions?wait=0", body)
    ended = site.run.paused()
    await site.send("GET", "/api/v1/run/follow-ups")
    assert site.run.paused() == ended > first


async def test_what_is_still_asked_when_the_agent_ends_is_given_up(site: Site) -> None:
    await site.send("POST", "/api/v1/run/questions?wait=0", {"question": "Which color?"})
    await site.run.close()
    asked = site.world.store.run_sync(lambda tx: tx.questions.get(1))
    assert asked is not None and asked.answered_at is not None and asked.answer is None


async def test_the_command_prints_the_answer(site: Site) -> None:
    asked = codetask(site, "ask", "Which color?", "--choice", "red", "--choice", "blue")
    (code, out, _), _ = await asyncio.gather(asked, answer(site, "red, as before"))
    assert (code, out) == (0, "red, as before\n")
    assert (await codetask(site, "ask", "x" * 1001))[0] == 2
