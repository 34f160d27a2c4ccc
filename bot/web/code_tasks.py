"""`/api/v1/code-tasks`: file, list, look, cancel, retry, send, mark merged, delete, logs and history."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime

from bot.core.commands import TaskName, TooLong, check_description, read_target
from bot.core.hygiene import clean
from bot.core.inbound import Person
from bot.core.people import Action, may
from bot.core.tasks import CodeTask, FailureReason, Stage
from bot.ports import MergingForge, PullRequest, Repo
from bot.services.refusals import Refused
from bot.services.sends import Sends
from bot.services.tasks import Filed, Filing
from bot.services.visibility import may_see, seen_by
from bot.store import TaskFilter, Transaction
from bot.web.auth import Caller, caller_with
from bot.web.errors import ApiError, refused
from bot.web.filing import dedup_key, read_options
from bot.web.live import COMMENT, Live, event, stream, wants_stream
from bot.web.parts import Parts
from bot.web.run_logs import LOG_PAGE, Worked, follow_log, log_list, read_page
from bot.web.schemas import (
    CodeTaskIn,
    CodeTaskList,
    CodeTaskOut,
    LogEntryOut,
    LogList,
    MoveList,
    RetryIn,
    SendIn,
    SentOut,
    show_move,
    show_task,
)

PAGE_MAX: Final = 200
WORKING: Final = frozenset({Stage.QUEUED, Stage.RUNNING, Stage.TESTING})
INSTRUCTION_MAX: Final = 8_000


async def codetasks_on(request: Request) -> None:
    if "codetasks" not in request.app.state.parts.settings.features:
        raise ApiError(404, "disabled", "Code tasks are disabled here.")


router = APIRouter(prefix="/code-tasks", tags=["code tasks"], dependencies=[Depends(codetasks_on)])

Reader = Annotated[Caller, Depends(caller_with("read"))]
Writer = Annotated[Caller, Depends(caller_with("write"))]
Text = Annotated[str, Query(max_length=200), AfterValidator(clean)]


def _parts(request: Request) -> Parts:
    return request.app.state.parts


PartsOf = Annotated[Parts, Depends(_parts)]


@router.get("")
async def list_code_tasks(
    parts: PartsOf,
    caller: Reader,
    stage: Annotated[list[Stage] | None, Query()] = None,
    reason: FailureReason | None = None,
    requester: Text | None = None,
    repo: Text | None = None,
    channel: Text | None = None,
    thread: Text | None = None,
    q: Text | None = None,
    since: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 20,
    cursor: Annotated[str | None, Query(max_length=40)] = None,
) -> CodeTaskList:
    """Code tasks, newest first. `requester` is `me`, `platform:workspace:id`, an id or a name."""
    may_view(parts, caller)

    def unit(tx: Transaction) -> CodeTaskList:
        which = TaskFilter(
            stages=tuple(stage or ()),
            **_requester(requester, caller.person),
            **_place(tx, channel, thread),
            repo=repo,
            reason=reason,
            text=q,
            since=since,
            before_id=_read_cursor(cursor),
            seen_by=seen_by(caller.role, caller.person),
            limit=limit + 1 if limit < PAGE_MAX else limit,
        )
        found = parts.tasks.list(tx, which)
        more = len(found) > limit or (limit == PAGE_MAX and len(found) == limit)
        shown = [show_task(tx, task, parts.settings) for task in found[:limit]]
        return CodeTaskList(items=shown, next=str(found[limit - 1].id) if more else None)

    return await parts.store.run(unit, read=True)


@router.post("", status_code=201, responses={200: {"model": CodeTaskOut}})
async def file_code_task(
    request: Request,
    response: Response,
    parts: PartsOf,
    caller: Writer,
    wish: CodeTaskIn,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> CodeTaskOut:
    """Files a code task. The same `Idempotency-Key` and body answer the first one again (200)."""
    person, key = caller.person, dedup_key(caller.person, idempotency_key)
    options = read_options(wish)
    if isinstance(options, Refused):
        raise refused(options)
    place = await request.app.state.places.find(wish.channel, wish.thread)

    def unit(tx: Transaction) -> tuple[CodeTaskOut, bool]:
        tx.people.see(person)
        known = tx.tasks.find(dedup_key=key) if key else None
        thread = tx.threads.open(place) if place is not None and known is None else None
        filing = Filing(
            text=wish.description,
            person=person,
            options=options,
            thread_id=thread.id if thread else None,
            channel=place,
            source="api",
            dedup_key=key,
            dedup_hash=wish.digest() if key else None,
        )
        outcome = parts.tasks.file(tx, filing)
        if isinstance(outcome, Refused):
            raise refused(outcome)
        return _shown_filing(tx, outcome, parts)

    shown, fresh = await parts.store.run(unit)
    response.status_code = 201 if fresh else 200
    response.headers["Location"] = f"/api/v1/code-tasks/{shown.id}"
    return shown


def _shown_filing(tx: Transaction, filed: Filed, parts: Parts) -> tuple[CodeTaskOut, bool]:
    other = filed.looks_like.ref if filed.looks_like is not None else None
    return show_task(tx, filed.task, parts.settings).model_copy(update={"looks_like": other}), filed.fresh


@router.get("/{task_id:path}/logs", response_model=LogList)
async def read_logs(
    request: Request,
    parts: PartsOf,
    caller: Reader,
    task_id: str,
    run: Annotated[int | None, Query(ge=1, le=10_000)] = None,
    tail: Annotated[int | None, Query(ge=1, le=LOG_PAGE)] = None,
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> Any:
    """The log of one attempt (the latest unless `run` says which), oldest first, at most 1,000 entries a page.

    As `text/event-stream`: every entry as it is written, following later attempts too, until no run is open."""

    def first(tx: Transaction) -> tuple[int, list[LogEntryOut]]:
        task = visible(tx, parts, caller, task_id)
        return task.id or 0, read_page(tx, _worked(tx, task), run, tail, after)

    number, items = await parts.store.run(first, read=True)
    if not wants_stream(request):
        return log_list(items, tail)

    def look(tx: Transaction) -> Worked | None:
        task = tx.tasks.get(number)
        return _worked(tx, task) if task is not None else None

    return stream(follow_log(request.app.state.live, look, run, items))


def _worked(tx: Transaction, task: CodeTask) -> Worked:
    return Worked(task.ref, tx.runs.of_task(task.id or 0), task.stage not in WORKING)


@router.get("/{task_id:path}/events", response_model=MoveList)
async def read_events(request: Request, parts: PartsOf, caller: Reader, task_id: str) -> Any:
    """Every move of the code task, oldest first.

    As `text/event-stream`: a `move` for each, and a `task` with the whole code task whenever something about it
    changed; the stream ends when the code task is deleted, or when the client goes."""

    def first(tx: Transaction) -> tuple[int, MoveList]:
        task = visible(tx, parts, caller, task_id)
        number = task.id or 0
        return number, MoveList(items=[show_move(move) for move in tx.tasks.history(number)])

    number, moves = await parts.store.run(first, read=True)
    return stream(_task_events(request.app.state.live, parts, number)) if wants_stream(request) else moves


async def _task_events(live: Live, parts: Parts, number: int) -> AsyncIterator[bytes]:
    seen, last = 0, ""

    def unit(tx: Transaction) -> tuple[CodeTaskOut, list[Any]] | str:
        task = tx.tasks.get(number)
        if task is None:
            return "gone"
        return show_task(tx, task, parts.settings), [show_move(move) for move in tx.tasks.history(number)]

    async for told in live.follow(unit):
        if told is None:
            yield COMMENT
            continue
        if isinstance(told, str):
            yield event("gone", "{}")
            return
        shown, moves = told
        for move in moves[seen:]:
            yield event("move", move.model_dump_json(by_alias=True), str(move.seq))
        seen = len(moves)
        text = shown.model_dump_json()
        if text != last:
            last = text
            yield event("task", text)


@router.post("/{task_id:path}/cancel")
async def cancel_code_task(parts: PartsOf, caller: Writer, task_id: str) -> CodeTaskOut:
    """Ends a code task that is queued, running, testing or in review. A second cancel changes nothing."""

    def unit(tx: Transaction) -> CodeTaskOut:
        task = visible(tx, parts, caller, task_id)
        return _answer(tx, parts, parts.tasks.cancel(tx, task.id or 0, caller.person))

    return await parts.store.run(unit)


@router.post("/{task_id:path}/retry")
async def retry_code_task(parts: PartsOf, caller: Writer, task_id: str, wish: RetryIn | None = None) -> CodeTaskOut:
    """Queues a failed code task again, with one attempt more."""
    instruction = _instruction(wish.with_ if wish else None)

    def unit(tx: Transaction) -> CodeTaskOut:
        task = visible(tx, parts, caller, task_id)
        return _answer(tx, parts, parts.tasks.retry(tx, task.id or 0, caller.person, instruction))

    return await parts.store.run(unit)


@router.post("/{task_id:path}/send", status_code=202)
async def send_to_code_task(parts: PartsOf, caller: Writer, task_id: str, words: SendIn) -> SentOut:
    """Passes words on to the agent of a code task that is queued, at work or in review.

    Queued: it reads them at its start. Running or testing: in a run that follows this one. In review: in a new run on
    the same branch, whose change goes to the same pull request."""

    def unit(tx: Transaction) -> SentOut:
        task = visible(tx, parts, caller, task_id)
        tx.people.see(caller.person)
        outcome = Sends(parts.tasks, parts.followups).send(tx, task.id or 0, caller.person, words.text)
        if isinstance(outcome, Refused):
            raise refused(outcome)
        return SentOut(run=outcome.run, position=outcome.position)

    return await parts.store.run(unit)


@router.post("/{task_id:path}/merged")
async def mark_merged(parts: PartsOf, caller: Writer, task_id: str) -> CodeTaskOut:
    """Marks a code task in review as merged when no pull request is tracked. On the built-in forge the pull request
    itself is merged: that forge has no other door."""

    def look(tx: Transaction) -> CodeTask:
        return visible(tx, parts, caller, task_id)

    task = await parts.store.run(look, read=True)
    repo = parts.settings.repositories.get(task.repo)
    forge = parts.forges.get(repo.forge) if repo else None
    if repo and task.stage is Stage.REVIEW and task.pr_number is not None and isinstance(forge, MergingForge):
        return await _merge(parts, caller, task, repo, forge)

    def unit(tx: Transaction) -> CodeTaskOut:
        return _answer(tx, parts, parts.tasks.mark_merged(tx, task.id or 0, caller.person))

    return await parts.store.run(unit)


async def _merge(parts: Parts, caller: Caller, task: CodeTask, repo: Repo, forge: MergingForge) -> CodeTaskOut:
    rights = parts.tasks.rights
    mine = (task.requester_platform, task.requester_workspace, task.requester_id) == _key(caller.person)
    if not may(caller.role, Action.MERGED, is_requester=mine):
        raise refused(rights.refuse_acting(task, "merged"))
    pull = await forge.merge(repo, task.pr_number or 0, caller.person.name or caller.person.id)
    if not isinstance(pull, PullRequest):
        raise ApiError(409, "not_merged", getattr(pull, "say", "The pull request could not be merged."))

    def unit(tx: Transaction) -> CodeTaskOut:
        now = visible(tx, parts, caller, str(task.id))
        parts.merges.apply(tx, now, pull.state, pull.merged_by, "console")
        return _answer(tx, parts, tx.tasks.get(task.id or 0) or now)

    return await parts.store.run(unit)


@router.get("/{task_id:path}")
async def show_code_task(parts: PartsOf, caller: Reader, task_id: str) -> CodeTaskOut:
    """One code task by `CT-12`, `12`, `#12`, its uuid, its name or `requester/name`."""

    def unit(tx: Transaction) -> CodeTaskOut:
        return show_task(tx, visible(tx, parts, caller, task_id), parts.settings)

    return await parts.store.run(unit, read=True)


@router.delete("/{task_id:path}", status_code=204)
async def delete_code_task(parts: PartsOf, caller: Writer, task_id: str) -> None:
    """Removes a merged or failed code task with its logs. Its branch and pull request stay."""

    def unit(tx: Transaction) -> None:
        task = visible(tx, parts, caller, task_id)
        outcome = parts.tasks.delete(tx, task.id or 0, caller.person)
        if isinstance(outcome, Refused):
            raise refused(outcome)

    await parts.store.run(unit)


# --- Shared by the routes ---------------------------------------------------------------------------------------------


def may_view(parts: Parts, caller: Caller) -> None:
    if not may(caller.role, Action.VIEW, is_requester=False):
        raise refused(parts.tasks.rights.refuse_viewing())


def visible(tx: Transaction, parts: Parts, caller: Caller, task_id: str) -> CodeTask:
    """The code task, if there is one that the caller may see; the two are not told apart."""
    unknown = Refused("refused.unknown_id", {"id": clean(task_id)[:80], "command": ""}, "not_found")
    target = read_target(task_id)
    if target is None or not may(caller.role, Action.VIEW, is_requester=False):
        raise refused(unknown)
    if not isinstance(target, TaskName) and target.kind != "CT":
        raise refused(unknown)
    found = parts.tasks.find(tx, target)
    if isinstance(found, Refused):
        raise refused(found)
    if not may_see(tx, caller.role, caller.person, found):
        raise refused(unknown)
    return found


def _answer(tx: Transaction, parts: Parts, outcome: CodeTask | Refused) -> CodeTaskOut:
    if isinstance(outcome, Refused):
        raise refused(outcome)
    return show_task(tx, outcome, parts.settings)


def _instruction(text: str | None) -> str | None:
    kept = clean(text or "").strip()
    if len(kept) > INSTRUCTION_MAX:
        found = check_description(kept)
        length = found.length if isinstance(found, TooLong) else len(kept)
        raise ApiError(400, "too_long", f"The instruction is limited to 8,000 characters (yours: {length}).")
    return kept or None


def _requester(asked: str | None, me: Person) -> dict[str, Any]:
    if not asked:
        return {}
    if asked == "me":
        return {"requester": _key(me)}
    parts = asked.split(":")
    return {"requester": tuple(parts)} if len(parts) == 3 else {"who": asked}


def _key(person: Person) -> tuple[str, str, str]:
    return person.platform, person.workspace_id, person.id


def _place(tx: Transaction, channel: str | None, thread: str | None) -> dict[str, Any]:
    """`platform:workspace:channel`, and with `thread` the root of one thread in it."""
    if channel is None:
        if thread is not None:
            raise ApiError(400, "thread_without_channel", "`thread` needs `channel` as platform:workspace:channel.")
        return {}
    parts = channel.split(":")
    if len(parts) != 3:
        raise ApiError(400, "bad_channel", "`channel` is written platform:workspace:channel.")
    if thread is None:
        return {"channel": tuple(parts)}
    from bot.core.inbound import ThreadRef

    ref = ThreadRef(platform=parts[0], workspace_id=parts[1], channel_id=parts[2], root=thread)
    found = tx.threads.find(ref)
    return {"thread_id": found.id if found else 0}


def _read_cursor(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdigit() or not 0 < int(cursor) < 2**31:
        raise ApiError(400, "bad_cursor", "`cursor` is the `next` of an earlier answer.")
    return int(cursor)
