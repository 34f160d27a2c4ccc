"""`/api/v1/suggestions`: requests that intake found and that wait for a person: list, file, join, dismiss."""

import math
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bot.core.commands import read_target
from bot.core.inbound import PersonKind
from bot.core.intake.kinds import Kind
from bot.core.suggestions import OPEN, Mode, Suggestion, SuggestionState
from bot.core.verbs import TaskId
from bot.services.intake.modes import FEATURES
from bot.services.intake.suggestions import over, unknown_suggestion
from bot.services.later import Later
from bot.services.refusals import Refused
from bot.services.visibility import may_see, may_see_suggestion
from bot.store import SuggestionFilter, Transaction
from bot.web.auth import Caller
from bot.web.code_tasks import PAGE_MAX, PartsOf, Reader, Text, Writer, may_view, visible
from bot.web.errors import ENGLISH, ApiError, refused
from bot.web.filing import split_channel
from bot.web.parts import Parts
from bot.web.schemas import CodeTaskOut, RequesterOut, show_task

ID_MAX: Final = 2**31
NOT_READ: Final = timedelta(seconds=5)
"""When to ask again where the platform does not say."""


async def _intake_on(request: Request) -> None:
    if not set(request.app.state.parts.settings.features) >= FEATURES:
        raise ApiError(404, "disabled", ENGLISH.say("refused.intake_disabled"))


router = APIRouter(prefix="/suggestions", tags=["suggestions"], dependencies=[Depends(_intake_on)])


class AuthorOut(RequesterOut):
    kind: PersonKind


class SuggestionOut(BaseModel):
    """A suggestion. `id` is `RQ-3`; `text` is exactly what the agent would be given and `hash` its SHA-256, which
    filing confirms; `asks` says why an admin has to allow it; `similar` are code tasks it may be the same as."""

    id: str
    state: SuggestionState
    reason: str
    mode: Mode
    kind: Kind | None
    judge: str
    score: float | None
    title: str
    text: str
    hash: str
    asks: list[str]
    question: str
    repo: str | None
    similar: list[str]
    likely_same: bool
    code_task: str | None
    author: AuthorOut
    platform: str
    workspace_id: str
    channel_id: str
    message_id: str
    decided_by: str | None
    decided_at: AwareDatetime | None
    created_at: AwareDatetime
    updated_at: AwareDatetime


class SuggestionList(BaseModel):
    items: list[SuggestionOut]
    next: str | None = None


class ConfirmIn(BaseModel):
    """The hash of the text that was looked at, or its beginning: another text is not filed."""

    model_config = ConfigDict(extra="forbid")
    hash: str = Field(pattern=r"^[0-9a-f]{12,64}$")


class SameIn(BaseModel):
    """The code task it is the same as: `CT-12` or any other form."""

    model_config = ConfigDict(extra="forbid")
    code_task: str = Field(min_length=1, max_length=200)


@router.get("")
async def list_suggestions(
    parts: PartsOf,
    caller: Reader,
    state: Annotated[list[SuggestionState] | None, Query()] = None,
    channel: Text | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 20,
    cursor: Annotated[str | None, Query(max_length=20)] = None,
) -> SuggestionList:
    """Suggestions, newest first; open ones unless `state` says which. `channel` is an id, `workspace::id` or
    `platform:workspace:id`."""
    may_view(parts, caller)
    before = _read_cursor(cursor)
    wanted = split_channel(channel) if channel is not None else None

    def unit(tx: Transaction) -> SuggestionList:
        whole = wanted if wanted is not None and all(wanted) else None
        which = SuggestionFilter(states=tuple(state or (OPEN,)), channel=whole, before_id=before, limit=PAGE_MAX)
        page = tx.suggestions.list(which)
        fitting = [
            one for one in page if _fits(one, wanted) and may_see_suggestion(tx, caller.role, caller.person, one)
        ]
        shown = fitting[:limit]
        rest = shown[-1].id if len(fitting) > limit else page[-1].id if len(page) == PAGE_MAX else None
        return SuggestionList(items=[_shown(tx, parts, one) for one in shown], next=str(rest) if rest else None)

    return await parts.store.run(unit, read=True)


@router.get("/{suggestion_id}")
async def show_suggestion(parts: PartsOf, caller: Reader, suggestion_id: str) -> SuggestionOut:
    """One suggestion by `RQ-3` or `3`."""

    def unit(tx: Transaction) -> SuggestionOut:
        return _shown(tx, parts, _found(tx, caller, suggestion_id))

    return await parts.store.run(unit, read=True)


@router.post("/{suggestion_id}/file", status_code=201, responses={200: {"model": CodeTaskOut}})
async def file_suggestion(
    response: Response, parts: PartsOf, caller: Writer, suggestion_id: str, wish: ConfirmIn
) -> CodeTaskOut:
    """Files it as a code task. 200 when it was filed before. A text that has changed since is not filed (409), nor one
    that cannot be compared with its message now (503): some platforms tell of no edits."""
    found = await parts.store.run(lambda tx: _found(tx, caller, suggestion_id), read=True)
    await _as_it_stands(parts, found)

    def unit(tx: Transaction) -> tuple[CodeTaskOut, bool]:
        tx.people.see(caller.person)
        now = _found(tx, caller, suggestion_id, locked=True)
        if now.state is OPEN and not now.text_hash.startswith(wish.hash):
            raise refused(Refused("refused.suggestion_changed", {}, "state"))
        if now.state not in (OPEN, SuggestionState.FILED, SuggestionState.SAME):
            raise refused(over(now))
        outcome = parts.intake.suggestions.file(tx, now, caller.person)
        if isinstance(outcome, Refused):
            raise refused(outcome)
        if not may_see(tx, caller.role, caller.person, outcome.task):
            raise refused(over(now))
        return show_task(tx, outcome.task, parts.settings), outcome.fresh

    shown, fresh = await parts.store.run(unit)
    response.status_code = 201 if fresh else 200
    response.headers["Location"] = f"/api/v1/code-tasks/{shown.id}"
    return shown


@router.post("/{suggestion_id}/same")
async def join_suggestion(parts: PartsOf, caller: Writer, suggestion_id: str, wish: SameIn) -> CodeTaskOut:
    """It asks for what a code task asks for: its thread is told of that one, which is the answer."""

    def unit(tx: Transaction) -> CodeTaskOut:
        tx.people.see(caller.person)
        found = _found(tx, caller, suggestion_id, locked=True)
        task = visible(tx, parts, caller, wish.code_task)
        outcome = parts.intake.suggestions.same(tx, found, task.id or 0, caller.person)
        if isinstance(outcome, Refused):
            raise refused(outcome)
        return show_task(tx, outcome, parts.settings)

    return await parts.store.run(unit)


@router.post("/{suggestion_id}/dismiss")
async def dismiss_suggestion(parts: PartsOf, caller: Writer, suggestion_id: str) -> SuggestionOut:
    """It is no request. Of a filed one the code task is cancelled."""

    def unit(tx: Transaction) -> SuggestionOut:
        tx.people.see(caller.person)
        found = _found(tx, caller, suggestion_id, locked=True)
        outcome = parts.intake.suggestions.dismiss(tx, found, caller.person)
        if isinstance(outcome, Refused):
            raise refused(outcome)
        return _shown(tx, parts, outcome)

    return await parts.store.run(unit)


# --- Shared by the routes ---------------------------------------------------------------------------------------------


def _found(tx: Transaction, caller: Caller, given: str, *, locked: bool = False) -> Suggestion:
    """The suggestion, if there is one that the caller may see; the two are not told apart."""
    target = read_target(given, "RQ")
    number = target.number if isinstance(target, TaskId) and target.kind == "RQ" else 0
    queries = tx.suggestions
    found = (queries.locked(number) if locked else queries.get(number)) if 0 < number < ID_MAX else None
    if found is None or not may_see_suggestion(tx, caller.role, caller.person, found):
        raise refused(unknown_suggestion(given[:80]))
    return found


async def _as_it_stands(parts: Parts, found: Suggestion) -> None:
    """Where the platform tells of no edits, its messages are read again; 503 while that cannot be done."""
    platform = parts.platforms.get(found.platform)
    if found.state is not OPEN or platform is None or platform.capabilities.tells_edits:
        return
    try:
        read = await parts.intake.changes.reread(found)
        wait = NOT_READ
    except Later as later:
        read, wait = None, later.after
    if read is None:
        seconds = str(max(1, math.ceil(wait.total_seconds())))
        raise ApiError(503, "not_read", ENGLISH.say("refused.cannot_read"), Retry_After=seconds)


def _fits(suggestion: Suggestion, wanted: tuple[str, str, str] | None) -> bool:
    own = (suggestion.platform, suggestion.workspace_id, suggestion.channel_id)
    return wanted is None or all(not asked or asked == is_ for asked, is_ in zip(wanted, own, strict=True))


def _shown(tx: Transaction, parts: Parts, suggestion: Suggestion) -> SuggestionOut:
    fields = {name: getattr(suggestion, name) for name in SuggestionOut.model_fields if hasattr(suggestion, name)}
    author = {
        "platform": suggestion.platform,
        "workspace_id": suggestion.workspace_id,
        "id": suggestion.author_id,
        "name": suggestion.author_name,
        "kind": suggestion.author_kind,
    }
    return SuggestionOut.model_validate(
        {
            **fields,
            "id": suggestion.ref,
            "hash": suggestion.text_hash,
            "asks": list(parts.intake.suggestions.asks(tx, suggestion)),
            "similar": [f"CT-{number}" for number in suggestion.similar_ids],
            "code_task": f"CT-{suggestion.code_task_id}" if suggestion.code_task_id is not None else None,
            "author": author,
        }
    )


def _read_cursor(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdigit() or not 0 < int(cursor) < ID_MAX:
        raise ApiError(400, "bad_cursor", "`cursor` is the `next` of an earlier answer.")
    return int(cursor)
