"""The audit trail: append-only, each entry's hash covers the one before."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlmodel import col, select

from bot.store import AuditEntry, AuditFilter
from storage.models import AuditRow

if TYPE_CHECKING:
    from storage.transaction import Tx

LISTED_MAX: Final = 200
PAGE: Final = 500
"""So many entries are in memory at once while the chain is checked: the trail only ever grows."""
LOCK: Final = "LOCK TABLE audit IN EXCLUSIVE MODE"
"""PostgreSQL: one entry after the other, as each needs the hash of the one before; readers go on."""


def append(tx: "Tx", actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> None:
    if not tx.sqlite:
        tx.affected(LOCK)
    last = tx.scalar("SELECT hash FROM audit ORDER BY id DESC LIMIT 1") or ""
    at, text = tx.now, json.dumps(dict(detail), sort_keys=True, ensure_ascii=False)
    digest = audit_hash(last, at.isoformat(), actor, action, subject, text)
    entry = {"at": at, "actor": actor, "action": action, "subject": subject, "detail": text, "hash": digest}
    tx.insert_new(AuditRow, entry)


def entries(tx: "Tx", which: AuditFilter) -> Sequence[AuditEntry]:
    """Newest first, at most 200."""
    query = select(AuditRow).order_by(col(AuditRow.id).desc()).limit(min(which.limit, LISTED_MAX))
    wanted = {"actor": which.actor, "action": which.action, "subject": which.subject}
    query = query.filter_by(**{name: value for name, value in wanted.items() if value})
    if which.since is not None:
        query = query.where(col(AuditRow.at) >= which.since)
    if which.before_id is not None:
        query = query.where(col(AuditRow.id) < which.before_id)
    rows = tx.session.exec(query)
    return [AuditEntry(r.id or 0, r.at, r.actor, r.action, r.subject, json.loads(r.detail), r.hash) for r in rows]


def broken_at(tx: "Tx") -> int | None:
    """The number of the first entry whose hash does not fit the one before; None when the chain is whole."""
    last = ""
    for row in _oldest_first(tx):
        expected = audit_hash(last, row.at.isoformat(), row.actor, row.action, row.subject, row.detail)
        if row.hash != expected:
            return row.id
        last = row.hash
    return None


def _oldest_first(tx: "Tx") -> Iterator[AuditRow]:
    """Every entry, read page by page."""
    after = 0
    while True:
        query = select(AuditRow).where(col(AuditRow.id) > after).order_by(col(AuditRow.id)).limit(PAGE)
        page = tx.session.exec(query).all()
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].id or 0


def audit_hash(*parts: str) -> str:
    """The chained hash of one audit entry: SHA-256 over the previous hash and the entry's fields."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
