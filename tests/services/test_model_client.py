"""The client of an OpenAI-compatible endpoint against one that refuses what real ones refuse."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import structlog.testing

from bot.model_client import BODY_MAX, LATER, SOON, ModelClient, json_in, open_model
from bot.ports import ModelAway, ModelUseless
from bot.settings import Settings, without_environment
from tests.simulators.completions import EMBEDDER, KEY, MODEL, CompletionsServer, Say

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
Open = Callable[..., Awaitable[tuple[CompletionsServer, ModelClient]]]


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Opens a server and a client of it."""
    async with AsyncExitStack() as stack:

        async def open_both(
            *answers: Say | str,
            key: str = KEY,
            model: str = MODEL,
            budget: float = 20.0,
            no_formats: tuple[str, ...] = (),
            no_fields: tuple[str, ...] = (),
        ) -> tuple[CompletionsServer, ModelClient]:
            made = CompletionsServer(*answers, no_formats=no_formats, no_fields=no_fields)
            server = await stack.enter_async_context(made)
            client = ModelClient(server.url, key, model, EMBEDDER, budget=budget)
            stack.push_async_callback(client.aclose)
            return server, client

        yield open_both


def number(answer: str) -> int:
    told = json.loads(answer)
    if not isinstance(told.get("n"), int):
        raise ValueError("n: an integer is needed.")
    return told["n"]


async def ask(client: ModelClient) -> int | ModelAway | ModelUseless:
    return await client.ask("Count.", '{"message": "three"}', SCHEMA, number)


async def test_an_answer_held_to_the_schema(opened: Open) -> None:
    server, client = await opened('{"n": 3}')
    assert await ask(client) == 3
    (body,) = server.asked
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][1]["content"] == '{"message": "three"}'
    assert server.formats == ["json_schema"]


@pytest.mark.parametrize(
    ("no_formats", "used", "refused"),
    [
        (("json_schema",), "json_object", 1),
        (("json_schema", "json_object"), "text", 2),
    ],
)
async def test_the_ladder_is_climbed_down_once_and_remembered(
    opened: Open, no_formats: tuple[str, ...], used: str, refused: int
) -> None:
    server, client = await opened('{"n": 3}', no_formats=no_formats)
    assert [await ask(client), await ask(client)] == [3, 3]
    assert server.formats == [used, used]
    assert server.refused == [400] * refused


async def test_a_parameter_that_is_refused_is_left_out_from_then_on(opened: Open) -> None:
    server, client = await opened('{"n": 3}', no_fields=("temperature", "max_tokens"))
    assert [await ask(client), await ask(client)] == [3, 3]
    assert server.refused == [400, 400]
    assert server.formats == ["json_schema", "json_schema"]
    assert not {"temperature", "max_tokens"} & server.asked[-1].keys()


async def test_a_request_that_is_refused_in_every_form_is_useless_and_changes_nothing(opened: Open) -> None:
    server, client = await opened(Say(status=400), Say(status=400), Say(status=400), '{"n": 3}')
    assert isinstance(await ask(client), ModelUseless)
    assert await ask(client) == 3
    assert server.formats[-1] == "json_schema"


async def test_a_wrong_answer_is_repaired_once_with_the_reason(opened: Open) -> None:
    server, client = await opened('{"n": "three"}', '{"n": 3}')
    assert await ask(client) == 3
    said = server.asked[1]["messages"][2:]
    assert [message["role"] for message in said] == ["assistant", "user"]
    assert said[0]["content"] == '{"n": "three"}'
    assert "n: an integer is needed." in said[1]["content"]


@pytest.mark.parametrize(
    "answer",
    [
        "three",
        '{"n": 3',
        "",
        "{}" * 3,
        Say(body=b"<html>proxy</html>"),
        Say(body=b'{"choices": []}'),
        Say(body=b'{"choices": [{"message": {"content": null}}]}'),
        Say(body=b'{"choices": [{"message": {"content": "{\\"n\\": '),
        Say(body=b"\xff\xfe\x00"),
        Say(body=b"[" * 100_000),
        Say(body=b" " * (BODY_MAX + 1)),
    ],
    ids=["prose", "cut", "empty", "braces", "html", "none", "null", "truncated", "bytes", "deep", "huge"],
)
async def test_garbage_is_useless(opened: Open, answer: Say | str) -> None:
    server, client = await opened(answer)
    assert isinstance(await ask(client), ModelUseless)
    assert len(server.asked) <= 2


@pytest.mark.parametrize(
    ("status", "after"),
    [(401, LATER), (403, LATER), (404, LATER), (402, LATER), (302, LATER), (500, SOON), (502, SOON), (429, SOON)],
)
async def test_an_endpoint_that_cannot_answer_is_left_alone_for_a_while(
    opened: Open, status: int, after: timedelta
) -> None:
    server, client = await opened(Say(status=status, headers={"location": "http://127.0.0.1:1/"}), '{"n": 3}')
    assert await ask(client) == ModelAway(after)
    again = await ask(client)
    assert isinstance(again, ModelAway) and timedelta(0) < again.after <= after
    assert len(server.asked) == 1


async def test_a_wrong_key_and_an_unknown_model_are_away_for_long(opened: Open) -> None:
    for key, model in (("sk-wrong-key-000000", MODEL), (KEY, "nobody")):
        server, client = await opened('{"n": 3}', key=key, model=model)
        assert await ask(client) == ModelAway(LATER)
        assert len(server.refused) == 1


async def test_retry_after_is_waited_for_where_the_time_allows_it(opened: Open) -> None:
    server, client = await opened(Say(status=429, headers={"retry-after": "0"}), '{"n": 3}')
    assert await ask(client) == 3
    assert len(server.asked) == 2


async def test_a_long_retry_after_is_passed_on_and_kept(opened: Open) -> None:
    for said in ("120", format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)):
        server, client = await opened(Say(status=429, headers={"retry-after": said}), '{"n": 3}')
        for _ in range(2):
            away = await ask(client)
            assert isinstance(away, ModelAway) and timedelta(seconds=100) < away.after <= timedelta(seconds=120)
        assert len(server.asked) == 1


@pytest.mark.parametrize("said", ["-5", "nan", "soon", "1e309", "inf"])
async def test_a_senseless_retry_after_does_no_harm(opened: Open, said: str) -> None:
    _, client = await opened(Say(status=503, headers={"retry-after": said}))
    away = await ask(client)
    assert isinstance(away, ModelAway) and away.after <= SOON


async def test_an_endpoint_that_asks_to_wait_twice_is_away(opened: Open) -> None:
    server, client = await opened(Say(status=503, headers={"retry-after": "0"}))
    assert isinstance(await ask(client), ModelAway)
    assert len(server.asked) == 2


async def test_a_silent_endpoint_is_given_up_and_hung_up(opened: Open) -> None:
    server, client = await opened(Say(hang=True), budget=0.3)
    assert await ask(client) == ModelAway(SOON)
    assert server.hanging.is_set()
    await server.gone.wait()


async def test_an_endpoint_that_is_not_there_is_away() -> None:
    client = ModelClient("http://127.0.0.1:9/v1", KEY, MODEL)
    assert await ask(client) == ModelAway(SOON)
    await client.aclose()


async def test_neither_key_nor_text_is_shown(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    with structlog.testing.capture_logs() as told, caplog.at_level("DEBUG"):
        for answer in (Say(status=401), Say("canary-answer"), Say(body=b"canary-body"), Say(status=500)):
            _, client = await opened(answer)
            await client.ask("canary-rules", "canary-data", SCHEMA, number)
            assert KEY not in repr(client)
    shown = json.dumps(told) + caplog.text
    assert len(told) == 4
    assert KEY not in shown and "canary" not in shown


async def test_embeddings_come_in_the_order_of_the_texts(opened: Open) -> None:
    server, client = await opened("")
    found = await client.embed(["csv export", "dark theme"])
    assert not isinstance(found, ModelAway | ModelUseless)
    assert [sum(vector) for vector in found] == [2.0, 2.0] and found[0] != found[1]
    assert server.asked[0]["encoding_format"] == "float"


async def test_failing_embeddings_do_not_keep_the_model_from_being_asked(opened: Open) -> None:
    server, client = await opened('{"n": 3}')
    server.no_embeddings = True
    assert await client.embed(["a"]) == ModelAway(SOON)
    assert await ask(client) == 3


@pytest.mark.parametrize(
    "address",
    [
        "http://model.example.net/v1",
        "ftp://127.0.0.1/v1",
        "https://user:pass@model.example.net/v1",
        "https://model.example.net/v1?key=1",
        "https://",
        "https://[::1",
        "https://model.example.net:port/v1",
        "model.example.net",
    ],
)
def test_an_address_that_no_key_may_be_sent_to_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="LLM_BASE_URL must be an https address"):
        ModelClient(address, KEY, MODEL)


def test_a_model_is_opened_only_where_one_is_configured() -> None:
    with without_environment():
        assert open_model(Settings()) is None
        assert open_model(Settings(llm_base_url="https://model.example.net")) is None
        assert open_model(Settings(llm_base_url="https://model.example.net", llm_model="m")) is not None


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ('{"n": 3}', '{"n": 3}'),
        ('```json\n{"n": 3}\n```', '{"n": 3}'),
        ('<think>{"n": 1}?</think>Here it is: {"n": 3} as asked', '{"n": 3}'),
        ("none", "none"),
        ("} {", "} {"),
    ],
)
def test_the_json_in_what_a_model_says(answer: str, found: str) -> None:
    assert json_in(answer) == found
