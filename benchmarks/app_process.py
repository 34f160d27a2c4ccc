"""The whole app in a process of its own, so that the simulator and the load do not compete for its interpreter.

`python -m benchmarks.app_process PLAN` (JSON: `settings`; `worker`: whether one runs; `channels` and `rounds` of code
tasks to move) prints `ready` when it is up, `moved` when all were moved, and runs until a line comes in on standard
input. Then it prints one JSON object: when each event was durable (by its key) and when each stage change was committed
(by the card's reference), in seconds of the machine's monotonic clock.
"""

import asyncio
import dataclasses
import json
import logging
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, cast

from benchmarks.work import bench_settings, file_task
from bot.app import App, open_app, open_worker, run_parts, settle_memory
from bot.core.inbound import Event, Person, ThreadRef
from bot.core.redact import Redactor
from bot.core.tasks import CodeTask
from bot.logs import configure_logs
from bot.ports import Receipt
from bot.services.attempts import Cost, Lease
from bot.services.inbox import InboxService
from bot.store import Transaction

BETWEEN_EDITS = 1.1
"""Seconds between two changes of one card, so that the pace of edits holds none of them up."""


Move = Callable[[App, Transaction, list[Lease], int], tuple[str, float]]
"""Moves the task of the lease with that number; its reference and the moment."""


class TimedInbox:
    """The app's inbox that notes when each event was durable."""

    def __init__(self, inbox: InboxService) -> None:
        self._inbox = inbox
        self.durable: dict[str, float] = {}

    async def accept(self, event: Event) -> Receipt:
        receipt = await self._inbox.accept(event)
        self.durable[event.key] = time.monotonic()
        return receipt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inbox, name)


async def main(plan: dict[str, Any]) -> None:
    """Runs the app and prints what was noted."""
    configure_logs("error", Redactor(()), terminal=False, stream=sys.stderr)
    logging.captureWarnings(True)
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(open_app(bench_settings(**plan["settings"])))
        inbox = TimedInbox(app.inbox)
        app = dataclasses.replace(app, inbox=cast("InboxService", inbox))
        worker = await open_worker(app, stack) if plan.get("worker") else None
        stop = asyncio.Event()
        settle_memory()
        parts = asyncio.create_task(run_parts(app, stop, worker, True))
        await connected(app, parts)
        _say("ready")
        noted: dict[str, Any] = {}
        if plan.get("channels"):
            noted = await move_cards(app, [ThreadRef.model_validate(c) for c in plan["channels"]], plan["rounds"])
            _say("moved")
        await asyncio.to_thread(sys.stdin.readline)
        noted["filed"] = await handled(app)
        noted["handled_at"] = time.monotonic()
        stop.set()
        await parts
        _say(json.dumps({"durable": inbox.durable, **noted}))


async def connected(app: App, parts: "asyncio.Task[Any]") -> None:
    """Waits until every platform hears, looking every 20 ms; nothing is measured yet."""
    waiting = set(app.platforms.values())
    while waiting and not parts.done():
        waiting = {platform for platform in waiting if platform.health().state != "ready"}
        await asyncio.wait({parts}, timeout=0.02)


async def handled(app: App) -> int:
    """Waits until no accepted event is left to handle; how many code tasks there are."""
    while True:
        seen = app.store.version("task")
        if not await app.store.run(lambda tx: tx.figures.unhandled(), read=True):
            return await app.store.run(lambda tx: sum(tx.figures.stages().values()), read=True)
        await app.store.changed("task", seen, 1)


async def move_cards(app: App, channels: list[ThreadRef], rounds: int) -> dict[str, Any]:
    """Moves one code task per channel and round from queued over running and testing to review, one step at a time.

    `committed` says when, by the card's reference; `cards` gives the card's message."""
    committed: dict[str, list[float]] = {}
    pause = BETWEEN_EDITS / len(channels)
    for _ in range(rounds):
        for channel in channels:
            await app.store.run(lambda tx, where=channel: _file_with_card(app, tx, where))
            await asyncio.sleep(pause)
        leases: list[Lease] = []
        for move in (_claim, _testing, _review):
            for number in range(len(channels)):
                ref, at = await app.store.run(partial(_step, move, app, leases, number))
                committed.setdefault(ref, []).append(at)
                await asyncio.sleep(pause)
    await asyncio.sleep(BETWEEN_EDITS)
    cards = await app.store.run(lambda tx: {ref: tx.outbox.card_message(ref) for ref in committed}, read=True)
    return {"committed": committed, "cards": cards}


def _step(move: Move, app: App, leases: list[Lease], number: int, tx: Transaction) -> tuple[str, float]:
    return move(app, tx, leases, number)


def _file_with_card(app: App, tx: Transaction, channel: ThreadRef) -> None:
    task = file_task(tx, tx.threads.open(channel).id)
    person = Person(platform="slack", workspace_id=channel.workspace_id, id="U1")
    app.tasks.announcer.filed(tx, task, person, None)


def _claim(app: App, tx: Transaction, leases: list[Lease], number: int) -> tuple[str, float]:
    claimed = app.attempts.claim(tx, "bench", "here")
    if claimed is None:
        raise AssertionError(f"run {number} could not be claimed")
    leases.append(claimed.lease)
    return claimed.task.ref, time.monotonic()


def _testing(app: App, tx: Transaction, leases: list[Lease], number: int) -> tuple[str, float]:
    return _moved(app.attempts.testing(tx, leases[number]))


def _review(app: App, tx: Transaction, leases: list[Lease], number: int) -> tuple[str, float]:
    return _moved(app.attempts.review(tx, leases[number], Cost()))


def _moved(task: CodeTask | None) -> tuple[str, float]:
    """The reference and this moment: the last one before the commit."""
    if task is None:
        raise AssertionError("the lease was lost")
    return task.ref, time.monotonic()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
