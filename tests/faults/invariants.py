"""The invariants I1 to I9 of the fault design, checked on a site whose processes have ended."""

import os
import subprocess
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bot.core.tasks import Stage, may_move
from bot.worker.loop import STALE_AFTER
from bot.worker.workspace_folders import remove_stale
from tests.faults.site import TOKEN, Site

ENDED = frozenset({Stage.REVIEW, Stage.MERGED, Stage.FAILED})


async def check(site: Site, number: int = 1, *, replies: Iterable[str] = (), repeats: int = 1) -> None:
    """All of them for one code task; each text of `replies` is in one message (or up to `repeats`)."""
    task = await site.task(number)
    assert task is not None and task.stage in ENDED, f"I1: {task!r}"
    assert len(site.pulls(number)) <= 1, "I2"
    assert len(site.branches(number)) <= 1, f"I3: {site.branches(number)}"
    assert len(site.cards(number)) == 1, f"I4: {[site.shown(card) for card in site.cards(number)]}"
    for text in replies:
        assert 1 <= len(site.saying(text)) <= repeats, f"I4: {text!r}: {[site.shown(m) for m in site.slack.sent]}"
    await check_leftovers(site)
    check_secrets(site)
    runs, moves = await site.runs(number), await site.history(number)
    assert task.attempt <= task.max_attempts and len(runs) <= task.max_attempts, f"I7: {runs}"
    assert await site.store.run(lambda tx: tx.people.audit_broken_at()) is None, "I8"
    for move in moves:
        assert move.from_stage is None or may_move(move.from_stage, move.to_stage), f"I9: {move}"
    assert [m.from_stage for m in moves[1:]] == [m.to_stage for m in moves[:-1]], "I9"


async def check_leftovers(site: Site) -> None:
    """I5: one janitor period later neither workspaces nor processes of runs are left."""
    root = site.folder / "data" / "workspaces"
    live = await site.store.run(lambda tx: set(tx.runs.live_workspaces()), read=True)
    await remove_stale(root, live, STALE_AFTER, site.store.now() + STALE_AFTER + timedelta(minutes=1))
    assert list(root.glob("ct-*")) == [], "I5: workspaces"
    assert processes_of(site) == [], "I5: processes"


def processes_of(site: Site) -> list[str]:
    """Command lines of processes that a run of this site started and that still live."""
    mark = os.fsencode(site.folder / "data" / "workspaces")
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


def check_secrets(site: Site, *more: str) -> None:
    """I6: no configured secret on disk, in the database, in a log, in the chat or on the forge."""
    secrets = [TOKEN, site.slack.bot_token, site.slack.app_token, *more]
    for where, content in everything_written(site):
        for secret in secrets:
            assert secret.encode() not in content, f"I6: a secret is in {where}"


def everything_written(site: Site) -> Iterator[tuple[str, bytes]]:
    """Every byte that the product left anywhere, with where it stands."""
    for path in site.folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield str(path), path.read_bytes()
    for message in site.slack.messages:
        yield "a chat message", repr(message).encode()
    for whisper in site.slack.whispers:
        yield "a whisper", repr(whisper).encode()
    for pull in site.pulls():
        yield "a pull request", repr(pull).encode()
    if site.store.is_sqlite:
        database = Path(site.store.engine.url.database or "")
        for path in database.parent.glob(f"{database.name}*"):  # with its write-ahead log
            # By another process: closing these files in one that has the database open drops its locks on them.
            yield str(path), subprocess.run(["cat", path], capture_output=True, check=True).stdout
    else:
        yield "the database", repr(list(all_rows(site))).encode()


def all_rows(site: Site) -> Iterator[Any]:
    with site.store.engine.connect() as connection:
        for table in sa.inspect(connection).get_table_names():
            yield from connection.execute(sa.text(f'SELECT t::text FROM "{table}" t'))
