"""`/api/v1/audit`, for admins: every change, who made it, and whether the chain of hashes is whole."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel

from bot.store import AuditEntry, AuditFilter, Transaction
from bot.web.code_tasks import PartsOf
from bot.web.parts import Parts
from bot.web.people import AdminReads

PAGE_MAX: Final = 200
NDJSON: Final = "application/x-ndjson"
router = APIRouter(prefix="/audit", tags=["audit"])


class AuditEntryOut(BaseModel):
    """One change. `actor` is `platform:person`, or the part of the server that did it; each `hash` is SHA-256 over the
    one before, then `at`, `actor`, `action`, `subject` and `detail` (sorted JSON), with U+001F between them."""

    id: int
    at: AwareDatetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    hash: str


class AuditList(BaseModel):
    items: list[AuditEntryOut]
    next: str | None = None


class AuditState(BaseModel):
    """`broken_at` is the number of the first entry that does not fit the one before."""

    whole: bool
    broken_at: int | None


@router.get("", response_model=AuditList)
async def list_audit(
    request: Request,
    parts: PartsOf,
    _: AdminReads,
    actor: Annotated[str, Query(max_length=200)] = "",
    action: Annotated[str, Query(max_length=100)] = "",
    subject: Annotated[str, Query(max_length=200)] = "",
    since: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
    cursor: Annotated[str | None, Query(pattern=r"^[1-9][0-9]{0,8}$")] = None,
) -> Any:
    """Entries, newest first. As `application/x-ndjson`: all that fit, one JSON object a line."""
    before = int(cursor) if cursor else None
    which = AuditFilter(actor, action, subject, since, before, limit)
    if NDJSON in request.headers.get("accept", ""):
        return StreamingResponse(_lines(parts, replace(which, limit=PAGE_MAX)), media_type=NDJSON)
    found = await _page(parts, which)
    more = len(found) == limit
    return AuditList(items=[_shown(one) for one in found], next=str(found[-1].id) if more else None)


@router.get("/verify")
async def verify_audit(parts: PartsOf, _: AdminReads) -> AuditState:
    """Whether nobody has changed or removed an entry since it was written."""
    broken_at = await parts.store.run(lambda tx: tx.people.audit_broken_at(), read=True)
    return AuditState(whole=broken_at is None, broken_at=broken_at)


async def _lines(parts: Parts, which: AuditFilter) -> AsyncIterator[str]:
    while page := await _page(parts, which):
        for entry in page:
            yield _shown(entry).model_dump_json() + "\n"
        which = replace(which, before_id=page[-1].id)


async def _page(parts: Parts, which: AuditFilter) -> list[AuditEntry]:
    def unit(tx: Transaction) -> list[AuditEntry]:
        return list(tx.people.audit_entries(which))

    return await parts.store.run(unit, read=True)


def _shown(entry: AuditEntry) -> AuditEntryOut:
    return AuditEntryOut(
        id=entry.id,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        detail=dict(entry.detail),
        hash=entry.hash,
    )
