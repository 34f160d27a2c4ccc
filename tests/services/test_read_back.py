"""A post whose answer was lost is found again, however much was written since, and never posted twice."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.core.cards import Content
from bot.core.inbound import Message, MessageRef, ThreadRef
from bot.ports import Posted, Retry, Trouble
from storage.engine import Database
from tests.clock import FakeClock
from tests.storage.world import ANN, CHANNEL, Chat, World
from tests.stores import only_sqlite

pytestmark = only_sqlite


class Busy(Chat):
    """A channel in which others write a lot before the bot's post, whose answer is lost."""

    def __init__(self, clock: FakeClock, others: int) -> None:
        super().__init__(clock)
        self.losing = True
        first = clock.now()
        self.others = [_other(number, first + timedelta(milliseconds=number)) for number in range(others)]

    async def post(self, to: ThreadRef, content: Content, key: str) -> MessageRef | Trouble:
        self._clock.advance(timedelta(minutes=1))
        sent = await super().post(to, content, key)
        lost, self.losing = self.losing, False
        return Retry(timedelta(seconds=1), maybe_done=True, why="dropped") if lost else sent

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> Sequence[Posted] | Trouble:
        said = [*self.others, *(self._posted(own) for own in self.said)]
        return [past for past in said if after is None or past.message.sent_at > after][:limit]


def _other(number: int, at: datetime) -> Posted:
    message = Message(
        platform="slack",
        app_id="A1",
        workspace_id="T1",
        key=f"A1:m:C1:o{number}",
        sent_at=at,
        received_at=at,
        thread=CHANNEL.model_copy(update={"root": f"o{number}"}),
        person=ANN,
        message_id=f"o{number}",
        text="chat",
    )
    return Posted(message=message, own=False)


@pytest.mark.parametrize("others", [0, 300, 1000, 2500])
async def test_a_root_post_is_found_behind_many_messages(
    store: Database, clock: FakeClock, tmp_path: Path, others: int
) -> None:
    world = World(store, clock, tmp_path)
    world.chat = Busy(clock, others)
    world.start(0)
    await world.say(world.command("fix the crash that the log shows"))
    await world.settle()
    clock.advance(10)
    await world.settle()
    assert [said.id for said in world.chat.said if said.thread.root == said.id] == ["1.0"]
    assert world.rows("SELECT thread_key FROM thread WHERE thread_key = '1.0'") == [("1.0",)]
    assert world.rows("SELECT dedup_key FROM outbox WHERE state NOT IN ('sent', 'superseded')") == []
