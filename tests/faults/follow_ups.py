"""Follow-ups on a site of processes: set past the chat, and looked at where people and the database see them."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from bot.core.followups import FollowUp, FollowUpState
from bot.core.inbound import ThreadRef
from bot.core.runs import Run
from platforms.slack.simulator.state import StoredMessage
from storage.transaction import Tx
from tests.faults.site import Site
from tests.storage.conformance.followups import put

ENDED = (FollowUpState.SUCCESS, FollowUpState.FAILED, FollowUpState.CANCELLED)


class Thread:
    """A thread in Slack that a person began."""

    def __init__(self, place: Site, text: str = "The nightly build") -> None:
        self.place = place
        self.root: StoredMessage = place.slack.user_says("ana", text)

    async def set(self, **values: Any) -> int:
        """A pending follow-up in it, due in `after` (negative: ago); its number."""
        after: timedelta = values.pop("after", timedelta(0))
        root, place = self.root, self.place

        def unit(tx: Tx) -> int:
            ref = {"platform": "slack", "workspace_id": place.slack.team_id, "channel_id": root.channel}
            where = tx.threads.open(ThreadRef(**ref, root=root.ts))
            given = {"thread_id": where.id, "due_at": tx.now + after, "requester_workspace": place.slack.team_id}
            stored = put(tx, root=None, anchored=True, requester_id=root.user, **ref, **given, **values)
            return stored.id or 0

        return await place.store.run(unit)

    def saying(self, text: str) -> list[StoredMessage]:
        """The bot's messages in the thread that show the text."""
        return [message for message in self.place.saying(text) if message.thread_ts == self.root.ts]


async def reaches(place: Site, number: int, *states: FollowUpState, timeout: float = 60) -> FollowUp:
    """The follow-up as soon as it is in one of the states."""
    return await until(place, number, lambda found: found.state in states, timeout)


async def until(place: Site, number: int, test: Callable[[FollowUp], Any], timeout: float = 60) -> FollowUp:
    found: FollowUp | None = None
    try:
        async with asyncio.timeout(timeout):
            while True:
                seen = place.store.version("task")
                found = await place.store.run(lambda tx: tx.followups.get(number), read=True)
                if found is not None and test(found):
                    return found
                await place.store.changed("task", seen, 0.1)
    except TimeoutError:
        logs = "\n".join(f"--- {proc.log.name}\n{proc.said[-3000:]}" for proc in place.procs)
        raise AssertionError(f"still {found!r}\n{logs}") from None


async def runs_of(place: Site, number: int) -> Sequence[Run]:
    return await place.store.run(lambda tx: list(tx.runs.of_follow_up(number)), read=True)
