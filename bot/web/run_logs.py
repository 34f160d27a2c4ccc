"""The logs of runs over HTTP: pages, and a stream that follows later runs too."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bot.core.runs import Run, RunLogEntry
from bot.services.refusals import Refused
from bot.store import Transaction
from bot.web.errors import refused
from bot.web.live import COMMENT, Live, event
from bot.web.schemas import LogEntryOut, LogList

LOG_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Worked:
    """What runs belong to: its reference (`CT-42`, `FU-7`), its runs, oldest first, and whether none will follow."""

    ref: str
    runs: Sequence[Run]
    over: bool


def read_page(tx: Transaction, worked: Worked, run: int | None, tail: int | None, after: int) -> list[LogEntryOut]:
    """The last `tail` entries of one run (the latest unless `run` says which), else at most 1,000 after `after`."""
    runs = [one for one in worked.runs if run in (None, one.attempt)]
    if not runs:
        if run is None:
            return []
        raise refused(Refused("refused.unknown_attempt", {"ref": worked.ref, "attempt": run}, "not_found"))
    latest = runs[-1]
    entries = tx.runs.tail(latest.id or 0, tail) if tail else tx.runs.logs(latest.id or 0, after, LOG_PAGE)
    return [_entry(worked.ref, latest, entry) for entry in entries]


def log_list(items: list[LogEntryOut], tail: int | None) -> LogList:
    """A page; `next` where there may be more."""
    return LogList(items=items, next=str(items[-1].seq) if not tail and len(items) == LOG_PAGE else None)


async def follow_log(
    live: Live, look: Callable[[Transaction], Worked | None], run: int | None, items: list[LogEntryOut]
) -> AsyncIterator[bytes]:
    """Events: `items`, then every entry as it is written, of `run` alone or of the latest and all later runs; `end`
    when nothing more will come. `look` answers None when it was deleted."""
    sent: dict[int, int] = {}
    for item in items:
        yield _told(item, sent)
    first = run or max(sent, default=0)

    def unit(tx: Transaction) -> tuple[list[LogEntryOut], bool]:
        worked = look(tx)
        if worked is None:
            return [], True
        fresh: list[LogEntryOut] = []
        for one in worked.runs:
            if one.attempt == run if run else one.attempt >= first:
                entries = tx.runs.logs(one.id or 0, sent.get(one.attempt, 0), LOG_PAGE)
                fresh += [_entry(worked.ref, one, entry) for entry in entries]
        return fresh, worked.over

    async for told in live.follow(unit):
        if told is None:
            yield COMMENT
            continue
        fresh, over = told
        for item in fresh:
            yield _told(item, sent)
        if over and len(fresh) < LOG_PAGE:
            yield event("end", "{}")
            return


def _entry(ref: str, run: Run, entry: RunLogEntry) -> LogEntryOut:
    return LogEntryOut(run=f"{ref}#{run.attempt}", seq=entry.seq, time=entry.at, type=entry.type, content=entry.content)


def _told(item: LogEntryOut, sent: dict[int, int]) -> bytes:
    sent[int(item.run.rpartition("#")[2])] = item.seq
    return event("log", item.model_dump_json(), f"{item.run}:{item.seq}")
