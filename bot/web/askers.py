"""`/api/v1/code-tasks/{id}/askers` and `/api/v1/demand`: who else asked for a code task, what most people ask for."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from bot.core.inbound import Person
from bot.core.people import Role
from bot.core.tasks import CodeTask
from bot.services.people import find_account, with_links
from bot.services.refusals import Refused
from bot.store import Transaction
from bot.web.auth import Caller
from bot.web.code_tasks import PAGE_MAX, PartsOf, Reader, Writer, codetasks_on, may_view, visible
from bot.web.errors import ApiError, refused
from bot.web.people import ACCOUNT
from bot.web.schemas import CodeTaskOut, RequesterOut, ThreadIn, ThreadOut, show_task, show_thread

router = APIRouter(tags=["askers"], dependencies=[Depends(codetasks_on)])


class AskerOut(RequesterOut):
    """Someone besides the requester who asked for it, and their `threads` that are told what becomes of it. Linked
    accounts are one person."""

    threads: list[ThreadOut]


class AskerList(BaseModel):
    items: list[AskerOut]
    next: str | None = None


class AskerIn(BaseModel):
    """Where it was asked for: that thread is told what becomes of the code task. Without one the person only counts.
    `person` is another's account, `platform:workspace:id` (admins)."""

    model_config = ConfigDict(extra="forbid")
    channel: str | None = Field(default=None, max_length=200)
    thread: ThreadIn | str | None = None
    person: str | None = Field(default=None, pattern=ACCOUNT)


class DemandOut(BaseModel):
    """An open code task and how many distinct people asked for it, its requester included."""

    people: int
    code_task: CodeTaskOut


class DemandList(BaseModel):
    items: list[DemandOut]
    next: str | None = None


@router.get("/demand")
async def list_demand(
    parts: PartsOf, caller: Reader, limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 20
) -> DemandList:
    """Open code tasks by how many distinct people asked for them, most first."""
    may_view(parts, caller)

    def unit(tx: Transaction) -> DemandList:
        found = parts.tasks.ledger.top(tx, limit, caller.person)
        return DemandList(
            items=[DemandOut(people=one.askers, code_task=show_task(tx, one.task, parts.settings)) for one in found]
        )

    return await parts.store.run(unit, read=True)


@router.get("/code-tasks/{task_id:path}/askers")
async def list_askers(parts: PartsOf, caller: Reader, task_id: str) -> AskerList:
    """Who asked for it besides its requester, the first first."""

    def unit(tx: Transaction) -> AskerList:
        return _shown(tx, visible(tx, parts, caller, task_id))

    return await parts.store.run(unit, read=True)


@router.post("/code-tasks/{task_id:path}/askers", status_code=201, responses={200: {"model": AskerList}})
async def add_asker(
    request: Request, response: Response, parts: PartsOf, caller: Writer, task_id: str, wish: AskerIn | None = None
) -> AskerList:
    """Says that the caller asks for it, too. 200 when that was known."""
    asked = wish or AskerIn()
    place = await request.app.state.places.find(asked.channel, asked.thread)

    def unit(tx: Transaction) -> tuple[AskerList, bool]:
        tx.people.see(caller.person)
        task, asker = visible(tx, parts, caller, task_id), _for_whom(tx, caller, asked.person)
        thread_id = tx.threads.open(place).id if place is not None else None
        outcome = parts.tasks.ledger.subscribe(tx, task, thread_id, asker, caller.person)
        if isinstance(outcome, Refused):
            raise refused(outcome)
        return _shown(tx, task), outcome

    shown, fresh = await parts.store.run(unit)
    response.status_code = 201 if fresh else 200
    return shown


@router.delete("/code-tasks/{task_id:path}/askers", status_code=204)
async def remove_asker(
    parts: PartsOf, caller: Writer, task_id: str, person: Annotated[str | None, Query(pattern=ACCOUNT)] = None
) -> None:
    """Takes the caller (`person`: somebody else, for admins) out of those who asked; their threads hear no more."""

    def unit(tx: Transaction) -> None:
        task, asker = visible(tx, parts, caller, task_id), _for_whom(tx, caller, person)
        if not parts.tasks.ledger.forget(tx, task, asker, caller.person):
            raise ApiError(404, "no_asker", f"{asker.account} is not among those who asked for {task.ref}.")

    await parts.store.run(unit)


def _shown(tx: Transaction, task: CodeTask) -> AskerList:
    subscriptions = tx.subscriptions.of_task(task.id or 0)
    items: list[AskerOut] = []
    for asker in tx.subscriptions.askers(task.id or 0):
        accounts = {asker.account, *tx.people.linked(asker)}
        told = [tx.threads.get(one.thread_id) for one in subscriptions if one.person.account in accounts]
        threads = [shown for shown in map(show_thread, told) if shown is not None]
        known = {"platform": asker.platform, "workspace_id": asker.workspace_id, "id": asker.id, "name": asker.name}
        items.append(AskerOut(**known, threads=threads))
    return AskerList(items=items)


def _for_whom(tx: Transaction, caller: Caller, asked: str | None) -> Person:
    """Who asks: the caller, or someone else if an admin says so."""
    if asked is None or asked in {caller.person.account, *(one.account for one in caller.person.also)}:
        return caller.person
    if caller.role is not Role.ADMIN:
        raise ApiError(403, "not_for_others", "Only an admin can say what someone else asks for.")
    person = find_account(tx, asked)
    if person is None:
        raise ApiError(404, "unknown_person", "Nobody is known by that id.", "Say platform:workspace:id.")
    return with_links(tx, person)
