"""Intake on a site of processes: what people say in passing, and what becomes of it in Slack and in the database."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from bot.core.inbound import ThreadRef
from bot.core.suggestions import OTHERS_AFTER, WAITING, Suggestion
from bot.store import SuggestionFilter
from platforms.slack.simulator.state import StoredMessage
from storage.models import OutboxRow
from storage.transaction import Tx
from tests.faults.invariants import everything_written
from tests.faults.site import Site

ON: Final = {"features": ("codetasks", "intake"), "filers": "*", "poll_interval_ms": 200}
WISH: Final = "Could we get a CSV export on the invoices page? I have to copy every line by hand each month."
CANARY: Final = "xylocarp"
CHATTER: Final = f"The {CANARY} walked home late this morning, so we had lunch without it and talked about the weather."
"""Words of a message that nobody flags; somebody else says it, so that a wish before it is judged at once."""


async def turn_on(place: Site, channel: str = "general") -> None:
    """Intake suggests in the channel."""
    where = ThreadRef(platform="slack", workspace_id=place.slack.team_id, channel_id=place.slack.channel(channel).id)
    await place.store.run(lambda tx: tx.people.set_setting(where, "intake", "suggest"))


async def items(place: Site) -> list[Suggestion]:
    """All of them, the oldest first."""
    found = await place.store.run(lambda tx: list(tx.suggestions.list(SuggestionFilter(limit=100))), read=True)
    return found[::-1]


async def until(place: Site, test: Callable[[Sequence[Suggestion]], Any], timeout: float = 60) -> Sequence[Suggestion]:
    """The items as soon as `test` holds for them."""
    found: Sequence[Suggestion] = []
    try:
        async with asyncio.timeout(timeout):
            while True:
                seen = place.store.version("intake")
                found = await items(place)
                if test(found):
                    return found
                await place.store.changed("intake", seen, 0.05)
    except TimeoutError:
        logs = "\n".join(f"--- {proc.log.name}\n{proc.said[-3000:]}" for proc in place.procs)
        raise AssertionError(f"still {found!r}\n{logs}") from None


async def time_passes(place: Site) -> None:
    """What was being judged or sent by a process that died is free again, and all that waits is due: as if minutes had
    gone by."""

    def unit(tx: Tx) -> None:
        for item in tx.suggestions.list(SuggestionFilter(states=(WAITING,), limit=100)):
            due = tx.now - OTHERS_AFTER - timedelta(seconds=1)
            tx.suggestions.update(item.id or 0, (WAITING,), due_at=due, lease_until=None)
        for number in tx.column("SELECT id FROM outbox WHERE state = 'sending'"):
            tx.changed(OutboxRow, {"lease_until": tx.now}, "id = :id AND state = 'sending'", id=number)

    await place.store.run(unit)


def lines(place: Site) -> list[StoredMessage]:
    """The lines of suggestions that stand in Slack."""
    return [message for message in place.slack.sent if "codetask:not_request:" in repr(message.blocks)]


def reads_of(place: Site, message: StoredMessage) -> int:
    """How often exactly this message was asked for."""
    calls = (*place.slack.calls("conversations.history"), *place.slack.calls("conversations.replies"))
    return sum(str(call.arguments.get("oldest")) == str(call.arguments.get("latest")) == message.ts for call in calls)


def check_silence(place: Site, *words: str) -> None:
    """None of the words is on disk, in a log or in the database."""
    for where, content in everything_written(place):
        if where != "a chat message":
            for word in words:
                assert word.encode() not in content, f"{word!r} is in {where}"


async def settled(place: Site) -> None:
    """Waits until everything is handled and sent; says what is not."""
    with suppress(TimeoutError):
        await place.settled()
        return
    logs = "\n".join(f"--- {proc.log.name}\n{proc.said[-3000:]}" for proc in place.procs)
    left = await place.store.run(
        lambda tx: list(tx.listed("SELECT dedup_key, state, last_error FROM outbox")), read=True
    )
    raise AssertionError(f"not settled: {left}\n{logs}")
