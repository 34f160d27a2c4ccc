"""The words of messages that were not flagged are nowhere: not on disk, not in the log, not after edits or a crash."""

from collections import Counter
from typing import Any

import pytest
import structlog

from bot import failpoints
from bot.core.inbound import MessageRef, Unreadable
from bot.core.suggestions import REMOVED, SKIPPED, WAITING, Mode
from bot.ports import Retry
from tests.services.room import BO, BURST, Room, make_room, room

__all__ = ["make_room", "room"]

CANARY = "xylocarp"
SAID = f"The {CANARY} walked home late this morning, so we had lunch without it and talked about the weather."


@pytest.fixture
def log() -> Any:
    """Every line of the log, as the process would write it."""
    lines: list[str] = []

    def keep(_: Any, __: str, event: Any) -> Any:
        lines.append(repr(event))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[structlog.processors.format_exc_info, keep], cache_logger_on_first_use=False)
    yield lines
    structlog.configure(**before)


async def _absent(room: Room, log: list[str]) -> None:
    assert CANARY not in await room.everything()
    assert CANARY not in "".join(log)
    for file in room.folder.rglob("*"):
        if file.is_file():
            assert CANARY.encode() not in file.read_bytes(), file.name


async def test_what_was_not_flagged_is_nowhere(room: Room, log: list[str]) -> None:
    for mode in Mode:
        await room.turn(mode)
        said = await room.says(SAID)
        await room.says(SAID, BO, root="17.1")
        await _absent(room, log)
        await room.edits(said, f"{SAID} And again.")
        await _absent(room, log)
        await room.judges()
        await room.edits(said, f"{SAID} And once more.")
        await _absent(room, log)
        await room.deletes(said)
        await _absent(room, log)
    assert {item.state for item in await room.items()} == {SKIPPED, REMOVED}


async def test_nor_after_a_crash_in_the_middle(room: Room, log: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    await room.turn(Mode.SUGGEST)
    for point in ("inbox.inserted_unacked", "intake.claimed", "intake.judged"):
        said = room.message(SAID, BO.model_copy(update={"id": point}))
        monkeypatch.setattr(failpoints, "_passes", Counter())
        monkeypatch.setenv("CODETASK_FAILPOINT", f"{point}:raise")
        with pytest.raises(Exception, match=point):
            await room.app.inbox.accept(said)
            await room.app.inbox.drain()
            room.clock.advance(BURST)
            await room.app.intake.judging.step()
        await _absent(room, log)
        room.restart()
        monkeypatch.delenv("CODETASK_FAILPOINT")
        await room.app.inbox.drain()
        await room.judges()
    room.clock.advance(BURST)
    await room.judges()
    assert [item.state for item in await room.items()] == [SKIPPED] * 3
    await _absent(room, log)


async def test_nor_when_handling_it_fails(room: Room, log: list[str]) -> None:
    await room.turn(Mode.SUGGEST)
    await room.says(SAID)
    room.restart()
    room.wall.trouble = Retry(BURST, why="ratelimited")
    await room.judges()
    assert (await room.item()).state is WAITING
    await _absent(room, log)


async def test_nor_in_what_could_not_be_read(room: Room, log: list[str]) -> None:
    now = room.clock.now()
    told: dict[str, Any] = {"platform": "slack", "app_id": "A1", "workspace_id": "T1", "key": "A1:o:1"}
    raw = {"event": {"type": "message", "ts": "x", "text": CANARY, "blocks": [{"elements": [SAID, {"text": CANARY}]}]}}
    why = f"ValidationError: not a string [type=string_type, input_value='{CANARY}', input_type=str]"
    event = Unreadable(**told, sent_at=now, received_at=now, raw=raw, ref="k7f2", why=why)
    await room.app.inbox.accept(event)
    await room.app.inbox.drain()
    await _absent(room, log)
    kept = await room.store.run(lambda tx: tx.inbox.event(1), read=True)
    assert isinstance(kept, Unreadable) and kept.raw["event"]["type"] == "message" and "not a string" in kept.why


async def test_words_of_a_suggestion_go_when_it_goes(room: Room, log: list[str]) -> None:
    await room.turn(Mode.SUGGEST)
    said = await room.says(f"Feature request: let the {CANARY} page be exported as a CSV file")
    await room.judges()
    assert CANARY in (await room.item()).text
    await room.deletes(said)
    item = await room.item()
    assert (item.text, item.title, item.text_hash) == ("", "", "")
    assert CANARY not in "".join(log)


async def test_memory_is_bounded(room: Room) -> None:
    await room.turn(Mode.SUGGEST)
    originals = room.app.intake.originals
    originals._most = 10
    said = [room.message(f"{SAID} {number}") for number in range(30)]
    for message in said:
        originals.keep(message)
    held = [originals.held(MessageRef(thread=one.thread, message_id=one.message_id)) for one in said]
    assert [text is not None for text in held] == [False] * 20 + [True] * 10
    assert originals.before(MessageRef(thread=said[-1].thread, message_id=said[-1].message_id), 2) == [
        said[-3].text,
        said[-2].text,
    ]
