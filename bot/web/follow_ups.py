"""`/api/v1/follow-ups`: set, list, look, change, cancel, stop, run now, run again, delete, logs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from bot.core.commands import TaskName, read_target
from bot.core.followups import FollowUp, FollowUpState
from bot.core.hygiene import clean
from bot.core.inbound import Person, ThreadRef
from bot.core.people import Action, Role, may
from bot.services.channel_names import channel_name
from bot.services.followups import Changes, FollowUpSet, Wish
from bot.services.refusals import Refused
from bot.services.tasks import actor_of
from bot.services.visibility import may_see, seen_by
from bot.services.zones import read_zone, zone_key
from bot.store import FollowUpFilter, Transaction
from bot.web.auth import Caller
from bot.web.code_tasks import PAGE_MAX, PartsOf, Reader, Text, Writer
from bot.web.errors import ENGLISH, ApiError, refused
from bot.web.filing import dedup_key, split_channel
from bot.web.follow_up_schemas import FollowUpChangeIn, FollowUpIn, FollowUpList, FollowUpOut, Time, show_follow_up
from bot.web.live import stream, wants_stream
from bot.web.parts import Parts
from bot.web.run_logs import LOG_PAGE, Worked, follow_log, log_list, read_page
from bot.web.schemas import LogList
from bot.web.times import set_time, zone_for

OPEN: Final = frozenset({FollowUpState.PENDING, FollowUpState.RUNNING})
ID_MAX: Final = 2**31
Verb = Callable[[Transaction, int, Person], FollowUp | Refused]


async def _follow_ups_on(request: Request) -> None:
    if "followups" not in request.app.state.parts.settings.features:
        raise ApiError(404, "disabled", ENGLISH.say("refused.follow_ups_disabled"))


router = APIRouter(prefix="/follow-ups", tags=["follow-ups"], dependencies=[Depends(_follow_ups_on)])


@router.get("")
async def list_follow_ups(
    parts: PartsOf,
    caller: Reader,
    state: Annotated[list[FollowUpState] | None, Query()] = None,
    channel: Text | None = None,
    thread: Text | None = None,
    mine: bool = False,
    requester: Text | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 20,
    cursor: Annotated[str | None, Query(max_length=40)] = None,
) -> FollowUpList:
    """Follow-ups: running ones, pending ones by their time, then the rest, newest first. `channel` is an id,
    `workspace::id` or `platform:workspace:id`, `thread` the root of one thread in it; `requester` is `me` or
    `platform:workspace:id`, and `mine` the same as `me`."""
    if not may(caller.role, Action.VIEW, is_requester=False):
        raise refused(parts.tasks.rights.refuse_viewing())
    start = _read_cursor(cursor)

    def unit(tx: Transaction) -> FollowUpList:
        which = FollowUpFilter(
            states=tuple(state or ()),
            requester=_requester_filter("me" if mine else requester, caller.person),
            **_place_filter(channel, thread),
            limit=limit + 1 if limit < PAGE_MAX else limit,
            offset=start,
            seen_by=seen_by(caller.role, caller.person),
        )
        found = parts.followups.list(tx, which)
        more = len(found) > limit or (limit == PAGE_MAX and len(found) == limit)
        shown = [show_follow_up(tx, one, ENGLISH) for one in found[:limit]]
        return FollowUpList(items=shown, next=str(start + limit) if more else None)

    return await parts.store.run(unit, read=True)


@router.post("", status_code=201, responses={200: {"model": FollowUpOut}})
async def create_follow_up(
    request: Request,
    response: Response,
    parts: PartsOf,
    caller: Writer,
    wish: FollowUpIn,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> FollowUpOut:
    """Sets a follow-up. The same `Idempotency-Key` and body answer the first one again (200). A time that can be read
    in two ways is refused with `choices`."""
    key = dedup_key(caller.person, idempotency_key)
    place = await request.app.state.places.find(wish.channel, wish.thread)
    called = await channel_name(place, parts.platforms)
    if not clean(wish.message).strip() and (place is None or place.root is None):
        raise ApiError(400, "empty_message", "Say what to do, in `message`.")

    def unit(tx: Transaction) -> tuple[FollowUpOut, bool]:
        tx.people.see(caller.person)
        made = _wish(tx, parts, caller, wish, place, key)
        outcome = parts.followups.set(tx, replace(made, channel_name=called))
        if isinstance(outcome, Refused):
            raise refused(outcome)
        if outcome.fresh and wish.requester is not None:
            tx.people.audit(actor_of(caller.person), "follow_up_for", outcome.follow_up.ref, {"for": wish.requester})
        return show_follow_up(tx, outcome.follow_up, ENGLISH, _notes(outcome)), outcome.fresh

    shown, fresh = await parts.store.run(unit)
    response.status_code = 201 if fresh else 200
    response.headers["Location"] = f"/api/v1/follow-ups/{shown.id}"
    return shown


def _wish(
    tx: Transaction, parts: Parts, caller: Caller, wish: FollowUpIn, place: ThreadRef | None, key: str | None
) -> Wish:
    person = _for_whom(tx, caller, wish.requester)
    zone = zone_for(tx, parts, person, place, wish.tz)
    made = Wish(
        text=wish.message,
        at=tx.now,
        person=person,
        place=place,
        zone=zone_key(zone),
        title=wish.title or "",
        agent=wish.agent or "",
        remind=wish.remind,
        if_missed=wish.if_missed,
        if_busy=wish.if_busy,
        run_now=wish.run_now,
        message_id=wish.message_id,
        source="api",
        dedup_key=key,
        dedup_hash=wish.digest() if key else None,
    )
    if key and tx.followups.find(dedup_key=key) is not None:
        return made  # its time may have passed since: the first one is answered again, whatever became of it
    time = _one_time(wish.time, wish.at)
    if time is None and not wish.run_now:
        raise ApiError(400, "no_time", "Say when, in `time`.", "Or `run_now` for at once.")
    return made if time is None or wish.run_now else replace(made, at=set_time(time, tx.now, zone))


def _for_whom(tx: Transaction, caller: Caller, asked: str | None) -> Person:
    """Whose follow-up it is: the caller's, or someone else's if an admin says so."""
    who = _requester_filter(asked, caller.person)
    if who in (None, _key(caller.person)):
        return caller.person
    if caller.role is not Role.ADMIN:
        raise ApiError(403, "not_for_others", "Only an admin can set a follow-up for someone else.")
    person = tx.people.find(*who)
    if person is None:
        raise ApiError(400, "unknown_person", "Nobody is known by that id.", "Say platform:workspace:id.")
    return person


def _notes(outcome: FollowUpSet) -> list[str]:
    follow_up, notes = outcome.follow_up, list[str]()
    if outcome.as_reminder:
        notes.append(ENGLISH.say("follow_up.as_reminder"))
    if outcome.kept_agent is not None:
        asked = follow_up.agent or ""
        notes.append(ENGLISH.say("follow_up.agent_kept", agent=outcome.kept_agent, asked=asked))
    if not follow_up.platform:
        notes.append(f"It has no chat: `codetask followup show {follow_up.ref}` shows what became of it.")
    return notes


@router.get("/{follow_up_id}/logs", response_model=LogList)
async def read_follow_up_logs(
    request: Request,
    parts: PartsOf,
    caller: Reader,
    follow_up_id: str,
    run: Annotated[int | None, Query(ge=1, le=10_000)] = None,
    tail: Annotated[int | None, Query(ge=1, le=LOG_PAGE)] = None,
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> Any:
    """The log of one run (the latest unless `run` says which), oldest first, at most 1,000 entries a page.

    As `text/event-stream`: every entry as it is written, following later runs too, until it has ended."""

    def first(tx: Transaction) -> tuple[int, Any]:
        follow_up = _visible(tx, parts, caller, follow_up_id)
        return follow_up.id or 0, read_page(tx, _worked(tx, follow_up), run, tail, after)

    number, items = await parts.store.run(first, read=True)
    if not wants_stream(request):
        return log_list(items, tail)

    def look(tx: Transaction) -> Worked | None:
        follow_up = tx.followups.get(number)
        return _worked(tx, follow_up) if follow_up is not None else None

    return stream(follow_log(request.app.state.live, look, run, items))


def _worked(tx: Transaction, follow_up: FollowUp) -> Worked:
    return Worked(follow_up.ref, tx.runs.of_follow_up(follow_up.id or 0), follow_up.state not in OPEN)


@router.post("/{follow_up_id}/cancel")
async def cancel_follow_up(parts: PartsOf, caller: Writer, follow_up_id: str) -> FollowUpOut:
    """Ends a pending follow-up. A running one needs `stop`; a second cancel changes nothing."""
    return await _move(parts, caller, follow_up_id, parts.followups.cancel)


@router.post("/{follow_up_id}/stop")
async def stop_follow_up(parts: PartsOf, caller: Writer, follow_up_id: str) -> FollowUpOut:
    """Ends a pending or running follow-up: its agent is killed, no result is posted."""
    return await _move(parts, caller, follow_up_id, parts.followups.stop)


@router.post("/{follow_up_id}/run", status_code=202)
async def run_follow_up(parts: PartsOf, caller: Writer, follow_up_id: str) -> FollowUpOut:
    """Lets a pending follow-up fall due at once."""
    return await _move(parts, caller, follow_up_id, parts.followups.run_now)


@router.post("/{follow_up_id}/retry", status_code=202)
async def retry_follow_up(parts: PartsOf, caller: Writer, follow_up_id: str) -> FollowUpOut:
    """Runs a failed follow-up again, at once."""
    return await _move(parts, caller, follow_up_id, parts.followups.retry)


@router.get("/{follow_up_id}")
async def show_one(parts: PartsOf, caller: Reader, follow_up_id: str) -> FollowUpOut:
    """One follow-up by `FU-7`, `7`, `#7` or its uuid."""

    def unit(tx: Transaction) -> FollowUpOut:
        return show_follow_up(tx, _visible(tx, parts, caller, follow_up_id), ENGLISH, result=True)

    return await parts.store.run(unit, read=True)


@router.patch("/{follow_up_id}")
@router.put("/{follow_up_id}")
async def update_follow_up(parts: PartsOf, caller: Writer, follow_up_id: str, changes: FollowUpChangeIn) -> FollowUpOut:
    """Changes a pending follow-up; what is not named stays. A time without a zone is read in the follow-up's own."""

    def change(tx: Transaction, number: int, person: Person) -> FollowUp | Refused:
        follow_up = tx.followups.get(number)
        own = read_zone(follow_up.zone) if follow_up is not None else None
        asked = zone_for(tx, parts, person, None, changes.named("tz")) if changes.named("tz") is not None else None
        zone = asked or own or zone_for(tx, parts, person, None, None)
        time = _one_time(changes.named("time"), changes.named("at"))
        agent = changes.agent or "" if "agent" in changes.model_fields_set else None
        wanted = Changes(
            at=set_time(time, tx.now, zone) if time is not None else None,
            zone=zone_key(zone) if asked is not None or time is not None else None,
            text=_message(changes.named("message"), follow_up),
            title=changes.named("title"),
            agent=agent,
            if_missed=changes.named("if_missed"),
            if_busy=changes.named("if_busy"),
        )
        return parts.followups.update(tx, number, person, wanted)

    return await _move(parts, caller, follow_up_id, change)


def _message(text: str | None, follow_up: FollowUp | None) -> str | None:
    if text is not None and not clean(text).strip() and (follow_up is None or not follow_up.anchored):
        raise ApiError(400, "empty_message", "Say what to do, in `message`.")
    return text


@router.delete("/{follow_up_id}", status_code=204)
async def delete_follow_up(parts: PartsOf, caller: Writer, follow_up_id: str) -> None:
    """Removes a follow-up that is not running, with its logs."""

    def unit(tx: Transaction) -> None:
        follow_up = _visible(tx, parts, caller, follow_up_id)
        outcome = parts.followups.delete(tx, follow_up.id or 0, caller.person)
        if isinstance(outcome, Refused):
            raise refused(outcome)

    await parts.store.run(unit)


# --- Shared by the routes ---------------------------------------------------------------------------------------------


async def _move(parts: Parts, caller: Caller, follow_up_id: str, verb: Verb) -> FollowUpOut:
    def unit(tx: Transaction) -> FollowUpOut:
        follow_up = _visible(tx, parts, caller, follow_up_id)
        outcome = verb(tx, follow_up.id or 0, caller.person)
        if isinstance(outcome, Refused):
            raise refused(outcome)
        return show_follow_up(tx, outcome, ENGLISH)

    return await parts.store.run(unit)


def _visible(tx: Transaction, parts: Parts, caller: Caller, follow_up_id: str) -> FollowUp:
    """The follow-up, if there is one that the caller may see; the two are not told apart."""
    unknown = Refused("refused.unknown_follow_up", {"id": clean(follow_up_id)[:80], "command": ""}, "not_found")
    target = read_target(follow_up_id, "FU")
    if target is None or not may(caller.role, Action.VIEW, is_requester=False):
        raise refused(unknown)
    if not isinstance(target, TaskName) and (target.kind != "FU" or target.number >= ID_MAX):
        raise refused(unknown)
    found = parts.followups.find(tx, target)
    if isinstance(found, Refused):
        raise refused(found)
    if not may_see(tx, caller.role, caller.person, found):
        raise refused(unknown)
    return found


def _one_time(time: Time | None, at: Time | None) -> Time | None:
    if time is not None and at is not None:
        raise ApiError(400, "time_twice", "Give `time` or `at`, not both.")
    return at if time is None else time


def _requester_filter(asked: str | None, me: Person) -> tuple[str, str, str] | None:
    if not asked:
        return None
    if asked == "me":
        return _key(me)
    parts = asked.split(":")
    if len(parts) != 3:
        raise ApiError(400, "bad_requester", "`requester` is `me` or platform:workspace:id.")
    return parts[0], parts[1], parts[2]


def _key(person: Person) -> tuple[str, str, str]:
    return person.platform, person.workspace_id, person.id


def _place_filter(channel: str | None, thread: str | None) -> dict[str, Any]:
    """A channel; with `thread` one thread in it."""
    if channel is None:
        if thread is not None:
            raise ApiError(400, "thread_without_channel", "`thread` needs `channel`.")
        return {}
    return {"channel": split_channel(channel), "root": thread}


def _read_cursor(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not cursor.isascii() or not cursor.isdigit() or not 0 < int(cursor) < ID_MAX:
        raise ApiError(400, "bad_cursor", "`cursor` is the `next` of an earlier answer.")
    return int(cursor)
