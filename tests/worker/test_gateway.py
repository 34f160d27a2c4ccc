"""The model gateway against the scripted endpoint: keys, allow-lists, streaming, metering, budgets, faults."""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.worker.gateway import Gateway, GatewayRun
from bot.worker.metering import PriceTable, read_prices
from tests.simulators.model import KEY, MODEL, Fault, ModelServer, Scene, Step

PRICES = PriceTable(read_prices({"models": {MODEL: {"input": 3, "output": 15, "cached": 0.5}}}))
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "go"}], "max_tokens": 100}
TOOLS = [{"type": "function", "function": {"name": "write", "parameters": {}}}]


@dataclass(frozen=True)
class Config:
    """The settings the gateway reads."""

    llm_base_url: str
    llm_api_key: SecretStr | None = field(default_factory=lambda: SecretStr(KEY))
    llm_provider: str = "openai"
    llm_model: str = MODEL


class Client:
    """An agent's HTTP client on the run's socket."""

    def __init__(self, run: GatewayRun, folder: Path) -> None:
        self.run = run
        self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(folder / "llm.sock")))

    async def post(
        self, path: str, body: Any, *, key: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        sent = {"Authorization": f"Bearer {self.run.endpoint.key if key is None else key}", **(headers or {})}
        async with self._session.post(f"http://x{path}", data=data, headers=sent) as answer:
            return answer.status, await answer.read()

    async def open(self, path: str, body: Any) -> aiohttp.ClientResponse:
        headers = {"Authorization": f"Bearer {self.run.endpoint.key}"}
        return await self._session.post(f"http://x{path}", json=body, headers=headers)

    async def get(self, path: str) -> tuple[int, bytes]:
        async with self._session.get(f"http://x{path}", headers={"x-api-key": self.run.endpoint.key}) as answer:
            return answer.status, await answer.read()

    async def close(self) -> None:
        await self._session.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ct-") as path:
        yield Path(path)


@pytest.fixture
async def model() -> AsyncIterator[ModelServer]:
    async with ModelServer(Scene("go", [Step("Going.")])) as server:
        yield server


@pytest.fixture
async def gateway(model: ModelServer) -> AsyncIterator[Gateway]:
    async with Gateway(Config(model.url), prices=PRICES) as opened:
        yield opened


@pytest.fixture
async def client(gateway: Gateway, folder: Path) -> AsyncIterator[Client]:
    opened = Client(await gateway.open_run("r1", None, folder), folder)
    yield opened
    await opened.close()


REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {**CHAT, "tools": TOOLS}),
    ("/v1/responses", {"model": MODEL, "input": "go", "tools": [{"type": "function", "name": "write"}]}),
    ("/v1/messages", {**CHAT, "tools": [{"name": "write", "input_schema": {}}]}),
]


@pytest.mark.parametrize(("path", "body"), REQUESTS)
@pytest.mark.parametrize("stream", [True, False])
async def test_each_protocol_is_metered_as_the_endpoint_counted(
    path: str, body: dict[str, Any], stream: bool, folder: Path
) -> None:
    counting = ModelServer(Scene("go", [Step("Going.")]), input_tokens=1234, output_tokens=56, cached=200)
    async with counting as model, Gateway(Config(model.url), prices=PRICES) as own:
        client = Client(await own.open_run("r1", 1.0, folder), folder)
        status, answer = await client.post(path, {**body, "stream": stream})
        await client.close()
        used = client.run.usage()
    assert status == 200 and b"Going." in answer
    assert (used.tokens.input, used.tokens.output, used.tokens.cached) == (1234, 56, 200)
    assert used.tokens.total == model.tokens and used.requests == len(model.seen) == 1
    assert used.usd == (Decimal(1034) * 3 + Decimal(200) / 2 + Decimal(56) * 15) / 1_000_000
    assert not used.estimated


async def test_a_stream_is_passed_chunk_by_chunk(model: ModelServer, client: Client) -> None:
    model.chunk_gate = asyncio.Event()
    answer = await client.open("/v1/chat/completions", {**CHAT, "stream": True})
    async with asyncio.timeout(10):
        first = await answer.content.readuntil(b"\n\n")
    assert b"assistant" in first, "the first chunk is here while the endpoint still holds the second"
    model.chunk_gate.set()
    assert (await answer.content.read()).endswith(b"data: [DONE]\n\n")
    assert client.run.usage().tokens.total == model.tokens


async def test_a_long_conversation_passes(model: ModelServer, client: Client) -> None:
    messages = [{"role": "user", "content": "go" + "\u4f60" * 1_500_000}]
    assert (await client.post("/v1/chat/completions", {**CHAT, "messages": messages}))[0] == 200
    assert model.seen[0].body["messages"] == messages


async def test_the_real_key_goes_only_to_the_endpoint(model: ModelServer, client: Client) -> None:
    sent = {"Cookie": "a=b", "X-Stainless-Os": "Linux", "OpenAI-Organization": "evil", "anthropic-version": "1"}
    await client.post("/v1/chat/completions", {**CHAT, "tools": TOOLS}, headers=sent)
    got = model.seen[0].headers
    assert got["Authorization"] == f"Bearer {KEY}"
    assert got["anthropic-version"] == "1"
    assert not {"Cookie", "X-Stainless-Os", "OpenAI-Organization"} & set(got)
    assert client.run.endpoint.key not in str(got)
    assert KEY not in repr(client.run.endpoint) + client.run.endpoint.key
    assert client.run.endpoint.key not in repr(client.run.endpoint)


@pytest.mark.parametrize("key", ["", "wrong", KEY, "\xff\xfe"])
async def test_another_key_is_refused(key: str, model: ModelServer, client: Client) -> None:
    status, body = await client.post("/v1/chat/completions", CHAT, key=key)
    assert status == 401 and json.loads(body)["error"]["type"] == "authentication_error"
    assert model.seen == []


async def test_a_closed_run_leaves_no_socket_and_no_key(gateway: Gateway, folder: Path, model: ModelServer) -> None:
    run = await gateway.open_run("r1", None, folder, loopback=True)
    old = run.endpoint
    await run.close()
    assert not (folder / "llm.sock").exists()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"{old.base_url}/v1/models")
    again = await gateway.open_run("r2", None, folder, loopback=True)
    headers = {"Authorization": f"Bearer {old.key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{again.endpoint.base_url}/v1/models", headers=headers) as answer,
    ):
        assert answer.status == 401


async def test_the_socket_is_private_and_the_addresses_fit_their_sandbox(gateway: Gateway, folder: Path) -> None:
    run = await gateway.open_run("r1", None, folder)
    assert (folder / "llm.sock").stat().st_mode & 0o777 == 0o600
    assert (run.endpoint.base_url, run.endpoint.socket) == ("http://127.0.0.1:8421", "/run/codetask/llm.sock")
    assert (run.bind.source, run.bind.target, run.bind.writable) == (folder, "/run/codetask", False)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/files", CHAT, 404),
        ("/v1/chat/completions/../../admin", CHAT, 404),
        ("/v1/chat/completions?x=1", CHAT, 404),
        ("/v1/chat/completions", {**CHAT, "model": "gpt-expensive"}, 403),
        ("/v1/chat/completions", {"messages": []}, 403),
        ("/v1/responses", {"model": MODEL, "input": "go", "background": True}, 400),
        ("/v1/chat/completions", b"[1]", 400),
        ("/v1/chat/completions", b"\xff{", 400),
        ("/v1/chat/completions", b"[" * 200_000, 400),
        ("/v1/chat/completions", b'{"model": "' + b"x" * (10 * 1024 * 1024) + b'"}', 413),
    ],
)
async def test_what_is_not_allowed_never_reaches_the_endpoint(
    path: str, body: Any, status: int, model: ModelServer, client: Client
) -> None:
    got, answer = await client.post(path, body)
    assert got == status and "message" in json.loads(answer)["error"]
    assert model.seen == [] and model.refused == []
    assert client.run.usage().requests == 0


async def test_a_doubled_key_cannot_name_two_models(model: ModelServer, client: Client) -> None:
    raw = (
        b'{"model": "gpt-expensive", "messages": [{"role": "user", "content": "go"}], "model": "'
        + MODEL.encode()
        + b'"}'
    )
    status, _ = await client.post("/v1/chat/completions", raw)
    assert status == 200
    assert model.seen[0].body["model"] == MODEL


async def test_the_model_list_is_the_allow_list(client: Client, model: ModelServer) -> None:
    status, body = await client.get("/v1/models")
    assert status == 200 and [row["id"] for row in json.loads(body)["data"]] == [MODEL]
    assert model.refused == [], "the endpoint is not asked"


async def test_usage_is_asked_for_on_chat_streams(model: ModelServer, client: Client) -> None:
    await client.post("/v1/chat/completions", {**CHAT, "stream": True, "stream_options": {"include_usage": False}})
    assert model.seen[0].body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(("path", "body"), REQUESTS)
async def test_over_budget_is_402_in_the_protocols_shape(
    path: str, body: dict[str, Any], gateway: Gateway, folder: Path, model: ModelServer
) -> None:
    client = Client(await gateway.open_run("r1", 0.0001, folder), folder)
    status, answer = await client.post(path, body)
    await client.close()
    data = json.loads(answer)
    assert status == 402 and data["error"]["type"] == "budget_exceeded"
    assert (data.get("type") == "error") == (path == "/v1/messages")
    assert client.run.trouble() == "budget"
    assert model.seen == []


async def test_the_budget_counts_what_was_spent_and_what_is_reserved(
    gateway: Gateway, folder: Path, model: ModelServer
) -> None:
    """One answer costs 1000 x 3 + 50 x 15 = 0.00375; a request reserves at least 100 x 15 = 0.0015."""
    client = Client(await gateway.open_run("r1", 0.005, folder), folder)
    assert (await client.post("/v1/chat/completions", CHAT))[0] == 200
    assert (await client.post("/v1/chat/completions", CHAT))[0] == 402
    assert client.run.usage().usd == Decimal("0.00375")
    await client.close()
    folder2 = folder / "b"
    folder2.mkdir()
    client = Client(await gateway.open_run("r2", 0.0025, folder2), folder2)
    model.chunk_gate = asyncio.Event()
    first = await client.open("/v1/chat/completions", {**CHAT, "stream": True})
    assert first.status == 200
    assert (await client.post("/v1/chat/completions", CHAT))[0] == 402, "the running answer may still cost its limit"
    model.chunk_gate.set()
    await first.read()
    await client.close()


async def test_an_unknown_price_gives_tokens_and_no_cost(model: ModelServer, folder: Path) -> None:
    async with Gateway(Config(model.url), prices=PriceTable({})) as gateway:
        client = Client(await gateway.open_run("r1", 0.000001, folder), folder)
        assert (await client.post("/v1/chat/completions", CHAT))[0] == 200
        await client.close()
    assert client.run.usage().usd is None
    assert client.run.usage().tokens.total == model.tokens


async def test_an_answer_cut_off_by_the_agent_is_still_paid_for(model: ModelServer, client: Client) -> None:
    model.chunk_gate = asyncio.Event()
    answer = await client.open("/v1/chat/completions", {**CHAT, "stream": True})
    await answer.content.readuntil(b"\n\n")
    answer.close()
    await client.run.close()
    used = client.run.usage()
    assert used.estimated and used.tokens.input > 0 and used.tokens.output > 0
    assert used.usd is not None and used.usd > 0


async def test_a_client_that_goes_away_frees_the_endpoint(model: ModelServer, client: Client) -> None:
    model.scenes.insert(0, Scene("hang", [Step(hang=True)]))
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hang"}], "tools": TOOLS}
    asked = asyncio.create_task(client.post("/v1/chat/completions", body))
    async with asyncio.timeout(10):
        await model.hanging.wait()
        asked.cancel()
        await model.gone.wait()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_closing_a_run_ends_its_requests(model: ModelServer, client: Client) -> None:
    model.scenes.insert(0, Scene("hang", [Step(hang=True)]))
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hang"}], "tools": TOOLS}
    asked = asyncio.create_task(client.post("/v1/chat/completions", body))
    async with asyncio.timeout(10):
        await model.hanging.wait()
        await client.run.close()
        await model.gone.wait()
        with pytest.raises(aiohttp.ClientError):
            await asked


async def test_at_most_four_requests_run_at_once(model: ModelServer, client: Client) -> None:
    model.chunk_gate = asyncio.Event()
    body = {**CHAT, "stream": True}
    first = [await client.open("/v1/chat/completions", body) for _ in range(4)]
    fifth = asyncio.create_task(client.open("/v1/chat/completions", body))
    done, _ = await asyncio.wait({fifth}, timeout=0.2)
    assert not done and len(model.seen) == 4
    model.chunk_gate.set()
    for answer in [*first, await fifth]:
        assert answer.status == 200
        await answer.read()
    assert client.run.usage().tokens.total == model.tokens


@pytest.mark.parametrize(
    ("status", "seen", "trouble"),
    [(401, 401, "auth"), (403, 403, "auth"), (429, 429, "quota"), (500, 500, "unreachable"), (400, 400, "")],
)
async def test_refusals_of_the_endpoint(
    status: int, seen: int, trouble: str, model: ModelServer, client: Client
) -> None:
    model.faults.append(Fault(status, headers={"retry-after": "7", "set-cookie": "x=y"}))
    answer = await client.open("/v1/chat/completions", CHAT)
    assert answer.status == seen and "set-cookie" not in answer.headers
    assert status != 429 or answer.headers["retry-after"] == "7"
    answer.release()
    assert client.run.trouble() == trouble
    assert client.run.usage().tokens.total == 0
    assert (await client.post("/v1/chat/completions", CHAT))[0] == 200
    assert client.run.trouble() == "", "it has passed"


async def test_a_refused_key_is_not_shown_to_the_agent(model: ModelServer, folder: Path) -> None:
    config = Config(model.url, SecretStr("sk-another-real-key"))
    async with Gateway(config, prices=PRICES) as gateway:
        client = Client(await gateway.open_run("r1", None, folder), folder)
        status, body = await client.post("/v1/chat/completions", CHAT)
        await client.close()
    assert status == 401 and b"sk-another" not in body and b"refuses the worker's key" in body


async def test_redirects_and_silence_are_not_followed(folder: Path) -> None:
    """An endpoint of its own that redirects, echoes the key in an error, and then is gone."""

    async def answer(request: web.Request) -> web.Response:
        if b"leak" in await request.read():
            return web.Response(status=400, text=f"bad key {KEY}")
        return web.Response(status=307, headers={"Location": "http://169.254.169.254/"})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with Gateway(Config(url), prices=PRICES) as gateway:
        client = Client(await gateway.open_run("r1", None, folder), folder)
        assert (await client.post("/v1/chat/completions", CHAT))[0] == 502
        status, body = await client.post("/v1/chat/completions", {**CHAT, "user": "leak"})
        assert (status, body) == (400, b"bad key [removed]")
        await runner.cleanup()
        status, body = await client.post("/v1/chat/completions", CHAT)
        assert status == 502 and client.run.trouble() == "unreachable"
        assert client.run.usage().tokens.total == 0
        await client.close()


@pytest.mark.parametrize(
    "url", ["", "http://example.com/v1", "https://user:pw@example.com", "ftp://x", "https://x/?a=b", "https://"]
)
def test_only_https_or_loopback_endpoints_are_taken(url: str) -> None:
    with pytest.raises(ValueError, match="LLM_BASE_URL"):
        Gateway(Config(url), prices=PRICES)
