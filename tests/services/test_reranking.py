"""Similar code tasks in the order of an embeddings model, over the wire; without one the order stays."""

from collections.abc import AsyncIterator

import pytest

from bot.model_client import ModelClient
from bot.services.intake.reranking import KEPT, Reranker
from bot.settings import Settings, without_environment
from tests.simulators.completions import EMBEDDER, KEY, MODEL, CompletionsServer

TASKS = [(7, "A dark theme for the page"), (9, "Login is slow"), (12, "Export of invoices as csv")]


@pytest.fixture
async def server() -> AsyncIterator[CompletionsServer]:
    async with CompletionsServer("") as opened:
        yield opened


@pytest.fixture
async def reranker(server: CompletionsServer) -> AsyncIterator[Reranker]:
    client = ModelClient(server.url, KEY, MODEL, EMBEDDER)
    with without_environment():
        yield Reranker(Settings(web_secret="hunter2-hunter2"), client)
    await client.aclose()


async def test_the_nearest_come_first(reranker: Reranker) -> None:
    assert await reranker.rerank("csv export of the invoice list", TASKS) == [12, 7, 9]
    assert await reranker.rerank("why is the login so slow", TASKS) == [9, 7, 12]


async def test_vectors_of_code_tasks_are_asked_for_once(reranker: Reranker, server: CompletionsServer) -> None:
    await reranker.rerank("csv export", TASKS[:2])
    await reranker.rerank("dark theme", TASKS)
    assert [body["input"][1:] for body in server.asked] == [[TASKS[0][1], TASKS[1][1]], [TASKS[2][1]]]


async def test_old_vectors_are_forgotten(reranker: Reranker, server: CompletionsServer) -> None:
    await reranker.rerank("csv", TASKS)
    many = [(number, f"page {number}") for number in range(KEPT)]
    await reranker.rerank("csv", many)
    await reranker.rerank("csv", TASKS)
    assert server.asked[-1]["input"][1:] == [text for _, text in TASKS]


async def test_one_candidate_costs_no_call(reranker: Reranker, server: CompletionsServer) -> None:
    assert await reranker.rerank("csv", TASKS[:1]) == [7]
    assert await reranker.rerank("csv", []) == []
    assert server.asked == []


async def test_secrets_are_not_sent(reranker: Reranker, server: CompletionsServer) -> None:
    await reranker.rerank("csv hunter2-hunter2", [(1, "the login hunter2-hunter2"), (2, "page")])
    assert "hunter2" not in str(server.asked)


async def test_without_an_answer_the_order_stays(reranker: Reranker, server: CompletionsServer) -> None:
    server.no_embeddings = True
    assert await reranker.rerank("csv export of the invoice list", TASKS) == [7, 9, 12]
