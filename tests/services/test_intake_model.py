"""A model behind all of intake: what it drafts is shown, what it cannot answer waits, what is similar is ranked."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest

from bot.app import wire
from bot.core.inbound import MessageRef, ThreadRef
from bot.core.suggestions import OPEN, SKIPPED, WAITING, Mode, SkipReason
from bot.model_client import ModelClient
from bot.services.tasks import Filed, Filing
from platforms.registry import load_settings
from tests.services.room import ANA, CHATTER, WISH, Room, make_room
from tests.simulators.completions import EMBEDDER, KEY, MODEL, CompletionsServer, Say
from tests.stores import only_sqlite

__all__ = ["make_room"]
pytestmark = only_sqlite
AWAY = Say(status=503, headers={"retry-after": "600"})
Open = Callable[..., Awaitable[tuple[CompletionsServer, Room]]]


def drafted(**changes: Any) -> str:
    said = {
        "kind": "feature_request",
        "confidence": 0.93,
        "title": "CSV export on invoices",
        "wanted_behaviour": "Invoices can be exported.",
        "evidence_quote": "Could we get a CSV export on the invoices page?",
        "missing_info": "Which columns?",
        "repo": "web",
    }
    return json.dumps(said | changes)


@pytest.fixture
async def opened(make_room: Callable[..., Room]) -> AsyncIterator[Open]:
    """A room whose messages a model judges."""
    async with AsyncExitStack() as stack:

        async def open_room(*answers: Say | str, **settings: Any) -> tuple[CompletionsServer, Room]:
            server = await stack.enter_async_context(CompletionsServer(*answers))
            client = ModelClient(server.url, KEY, MODEL, EMBEDDER)
            stack.push_async_callback(client.aclose)
            room = make_room()
            chosen = {
                "codetask_data": room.folder,
                "repos": {"web": {"url": "file:///nowhere/web.git", "forge": "none"}},
                "default_agent": "demo",
                "filers": "member",
                "intake_judge": "llm",
                "llm_base_url": server.url,
                "llm_model": MODEL,
                **settings,
            }
            room.app = wire(load_settings(**chosen), room.store, {"slack": room.wall}, {}, model=client)  # type: ignore[dict-item]
            await room.turn(Mode.SUGGEST)
            return server, room

        yield open_room


async def test_a_suggestion_says_what_the_model_drafted(opened: Open) -> None:
    server, room = await opened(drafted())
    await room.says(CHATTER, ANA.model_copy(update={"id": "U9"}))
    await room.says(WISH)
    await room.judges()
    item = next(item for item in await room.items() if item.state is OPEN)
    assert (item.judge, item.score, item.title) == ("llm", 0.93, "CSV export on invoices")
    assert (item.question, item.repo, item.evidence) == (
        "Which columns?",
        "web",
        "Could we get a CSV export on the invoices page?",
    )
    assert item.text == f"{WISH}\n\nWanted:\nInvoices can be exported."
    told = [json.loads(body["messages"][1]["content"]) for body in server.asked]
    assert {"message": WISH, "repositories": ["web"]}.items() <= told[-1].items()


async def test_what_the_model_calls_chatter_is_not_shown(opened: Open) -> None:
    _, room = await opened(drafted(kind="chatter", confidence=0.1))
    await room.says(WISH)
    await room.judges()
    item = await room.item()
    assert (item.state, item.reason, item.text) == (SKIPPED, SkipReason.MODEL_SAYS_NO, "")


async def test_a_model_that_is_away_is_waited_for_then_the_rules_judge(opened: Open) -> None:
    server, room = await opened(AWAY)
    await room.says(WISH)
    await room.judges()
    item = await room.item()
    assert (item.state, item.text) == (WAITING, "")
    assert item.due_at >= room.clock.now() + timedelta(minutes=9)
    await room.judges(timedelta(minutes=10))
    assert (await room.item()).state is WAITING
    await room.judges(timedelta(minutes=25))
    item = await room.item()
    assert (item.state, item.judge, item.text) == (OPEN, "rules", WISH)
    assert len(server.asked) == 1, "it was told when not to ask"


async def test_what_is_edited_where_intake_is_off_goes_to_no_model(opened: Open) -> None:
    server, room = await opened(drafted(kind="chatter", confidence=0.1), drafted())
    chatter = await room.says(CHATTER)
    await room.says(WISH)
    await room.judges()
    shown = next(said for said in room.wall.messages.values() if said.text == WISH)
    asked = len(server.asked)
    await room.turn(Mode.OFF)
    before = [(item.state, item.text_hash) for item in await room.items()]
    await room.edits(chatter, "Feature request: let us export the invoices as a CSV file, please.")
    assert [(item.state, item.text_hash) for item in await room.items()] == before
    await room.edits(shown, f"{WISH} As a file.")
    later = await room.says("Nobody may keep this in memory where nothing is read.")
    held = room.app.intake.originals.held(MessageRef(thread=later.thread, message_id=later.message_id))
    assert (len(server.asked), held) == (asked, None)


async def test_an_answer_that_does_not_hold_leaves_it_to_the_rules(opened: Open) -> None:
    _, room = await opened(drafted(title="ping @everyone", evidence_quote="made up"))
    await room.says(WISH)
    await room.judges()
    item = await room.item()
    assert (item.state, item.judge, item.text) == (OPEN, "rules", WISH)
    assert "@everyone" not in await room.everything()


async def test_similar_code_tasks_come_in_the_order_of_the_embeddings(opened: Open) -> None:
    server, room = await opened("", intake_judge="rules", embeddings_model=EMBEDDER)
    place = ThreadRef(platform="slack", workspace_id="T1", channel_id="C1")
    near = "Copy every line of the invoices page by hand each month, as now"
    for number, text in enumerate((near, "A csv export for the invoice, csv export of each invoice")):
        filing = Filing(text, ANA, channel=place, dedup_key=f"m{number}")
        assert isinstance(await room.store.run(lambda tx, f=filing: room.app.tasks.file(tx, f)), Filed)
    await room.says(CHATTER)
    await room.says(WISH, ANA.model_copy(update={"id": "U9"}))
    await room.judges()
    item = next(item for item in await room.items() if item.state is OPEN)
    assert len(server.asked) == 1, "chatter is ranked nowhere"
    assert item.similar_ids == (2, 1)
