"""`/api/v1/people`, for admins: who was seen here with which role, and which accounts are one person's."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from bot.core.inbound import Person, PersonKind
from bot.core.people import Action, Role, may
from bot.services.linking import link_accounts, unlink_account
from bot.services.people import with_links
from bot.services.refusals import Refused
from bot.store import Transaction
from bot.web.auth import Caller, caller_with
from bot.web.code_tasks import PartsOf
from bot.web.errors import ApiError, refused
from bot.web.parts import Parts

PAGE_MAX: Final = 200
ACCOUNT: Final = r"^[a-z]{1,20}:[!-9;-~]{0,100}:[!-~]{1,100}$"
"""`platform:workspace:id`."""


def admin_with(scope: str) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency that answers the caller, and refuses one who is no admin (403) or whose token lacks `scope`."""
    known = caller_with(scope)

    async def depend(request: Request) -> Caller:
        caller = await known(request)
        if not may(caller.role, Action.CONFIGURE, is_requester=False):
            raise ApiError(403)
        return caller

    return depend


AdminReads = Annotated[Caller, Depends(admin_with("read"))]
AdminWrites = Annotated[Caller, Depends(admin_with("write"))]
router = APIRouter(prefix="/people", tags=["people"])


class PersonOut(BaseModel):
    """An account. `roles` are the platform's own words and ids, `role` is what the person may do here, `linked` are the
    other accounts of the same person."""

    account: str
    platform: str
    workspace_id: str
    id: str
    name: str
    kind: PersonKind
    roles: list[str]
    role: Role | None
    linked: list[str]


class PeopleList(BaseModel):
    items: list[PersonOut]
    next: str | None = None


class LinkIn(BaseModel):
    """Two accounts, each `platform:workspace:id`."""

    model_config = ConfigDict(extra="forbid")
    one: str = Field(pattern=ACCOUNT)
    other: str = Field(pattern=ACCOUNT)


@router.get("")
async def list_people(
    parts: PartsOf,
    _: AdminReads,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
    cursor: Annotated[str | None, Query(pattern=ACCOUNT)] = None,
) -> PeopleList:
    """Everyone who was seen here, by account."""

    def unit(tx: Transaction) -> PeopleList:
        found = tx.people.known(cursor or "", limit + 1)
        items = [_shown(tx, parts, person) for person in found[:limit]]
        return PeopleList(items=items, next=items[-1].account if len(found) > limit else None)

    return await parts.store.run(unit, read=True)


@router.post("/links", status_code=201, responses={200: {"model": PersonOut}})
async def link_people(parts: PartsOf, caller: AdminWrites, wish: LinkIn, response: Response) -> PersonOut:
    """Says that two accounts are one person's. 200 when they were linked already."""

    def unit(tx: Transaction) -> tuple[PersonOut, bool]:
        outcome = link_accounts(tx, wish.one, wish.other, caller.person)
        if isinstance(outcome, Refused):
            raise refused(outcome)
        return _shown(tx, parts, outcome.person), outcome.fresh

    shown, fresh = await parts.store.run(unit)
    response.status_code = 201 if fresh else 200
    return shown


@router.delete("/links/{account}", status_code=204)
async def unlink_person(parts: PartsOf, caller: AdminWrites, account: str) -> None:
    """Takes an account out of its links."""

    def unit(tx: Transaction) -> None:
        outcome = unlink_account(tx, account, caller.person)
        if outcome is not None:
            raise refused(outcome)

    await parts.store.run(unit)


def _shown(tx: Transaction, parts: Parts, person: Person) -> PersonOut:
    whole = with_links(tx, person)
    return PersonOut(
        account=person.account,
        platform=person.platform,
        workspace_id=person.workspace_id,
        id=person.id,
        name=person.name,
        kind=person.kind,
        roles=sorted(person.roles),
        role=parts.tasks.rights.role(whole),
        linked=[one.account for one in whole.also],
    )
