"""The JSON of follow-ups. Keys are stable."""

import hashlib
from datetime import datetime
from itertools import dropwhile, takewhile
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr

from bot.core.followup_replies import zone_of
from bot.core.followups import FollowUp, FollowUpState, IfBusy, IfMissed
from bot.core.moments import moment
from bot.core.runs import LogKind, Run, RunLease
from bot.core.texts import Texts
from bot.store import Transaction
from bot.web.schemas import CostOut, RequesterOut, ThreadIn, ThreadOut, ThreadRoot, picked, show_thread

RESULT_LINES = 200
"""How many entries at the end of a run's log are looked through for its answer."""
Time = Annotated[StrictStr, Field(max_length=200)] | StrictInt | StrictFloat
Zone = Annotated[str, Field(min_length=1, max_length=64)]
Message = Annotated[str, Field(max_length=100_000)]
Title = Annotated[str, Field(max_length=1_000)]
AgentName = Annotated[str, Field(max_length=100)]


class ChannelOut(BaseModel):
    """Where it was set. `name` is empty where it was not known."""

    platform: str
    workspace_id: str
    channel_id: str
    name: str


class FollowUpRunOut(BaseModel):
    """One firing that an agent worked on."""

    id: str
    attempt: int
    state: RunLease
    agent: str
    message: str | None
    error: str | None
    cost: CostOut
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class FollowUpOut(
    picked(
        "FollowUpFields",
        FollowUp,
        *("uuid", "kind", "title", "state", "failure_reason", "error", "due_at", "zone", "agent", "anchored"),
        *("message_id", "if_missed", "if_busy", "by_agent", "source", "attempt", "late_seconds"),
        *("created_at", "updated_at", "triggered_at", "completed_at"),
    )
):
    """A follow-up. `id` is `FU-7`; `message` its prompt or text; `when` its time in words, with zone and distance.

    `due_local` is `due_at` with the offset of its zone; `attempt` counts how often it was triggered; `agent` is the one
    asked for, null for the thread's or channel's own; `result` what its agent answered (not in lists; its log has all).
    `notes` say what else is to be known, in answers to a change."""

    id: str
    message: str
    due_local: str
    when: str
    channel: ChannelOut | None
    thread: ThreadOut | None
    requester: RequesterOut
    last_run: FollowUpRunOut | None
    result: str | None
    notes: list[str] = Field(default_factory=list)


class FollowUpList(BaseModel):
    items: list[FollowUpOut]
    next: str | None = None


class FollowUpIn(BaseModel):
    """A wish to set a follow-up at `time` (or `at`): ISO 8601, an epoch (seconds below 1e12, else milliseconds), or
    words like `tomorrow 9am`, read in `tz` or your own zone.

    Without `channel` it answers in no chat: its result is shown here and in its log. `thread` anchors it to a thread
    of the channel. `requester` (admins) is `platform:workspace:id` of whom it is for."""

    model_config = ConfigDict(extra="forbid")
    time: Time | None = None
    at: Time | None = None
    tz: Zone | None = None
    message: Message
    title: Title | None = None
    agent: AgentName | None = None
    channel: str | None = Field(None, min_length=1, max_length=200)
    thread: ThreadIn | ThreadRoot | None = None
    message_id: str | None = Field(None, pattern=r"^[!-~]{1,100}$")
    remind: bool = False
    if_missed: IfMissed | None = None
    if_busy: IfBusy = "queue"
    run_now: bool = False
    requester: str | None = Field(None, pattern=r"^[!-~]{1,250}$")

    def digest(self) -> str:
        """What a repeat under the same key must agree with."""
        return hashlib.sha256(self.model_dump_json().encode("utf-8", "surrogatepass")).hexdigest()


class FollowUpChangeIn(BaseModel):
    """What to change of a pending follow-up; what is not named stays. `agent` null or blank: the channel's own."""

    model_config = ConfigDict(extra="forbid")
    time: Time = ""
    at: Time = ""
    tz: Zone = ""
    message: Message = ""
    title: Title = ""
    agent: AgentName | None = None
    if_missed: IfMissed = "skip"
    if_busy: IfBusy = "queue"

    def named(self, field: str) -> Any:
        """The value of a field that was given, else None."""
        return getattr(self, field) if field in self.model_fields_set else None


class WhenOut(BaseModel):
    """`instant`, or the `choices` of a time that can be read in several ways, with their offset in `zone`."""

    instant: str | None = None
    choices: list[str] | None = None
    zone: str
    say: str


def show_follow_up(
    tx: Transaction, follow_up: FollowUp, texts: Texts, notes: list[str] | None = None, *, result: bool = False
) -> FollowUpOut:
    """The follow-up as the API shows it now; `result` looks for its answer in the log."""
    runs = tx.runs.of_follow_up(follow_up.id or 0) if follow_up.attempt else []
    thread = tx.threads.get(follow_up.thread_id) if follow_up.thread_id is not None else None
    zone = zone_of(follow_up)
    fields = {name: getattr(follow_up, name) for name in FollowUpOut.model_fields if name in FollowUp.model_fields}
    return FollowUpOut(
        **{
            **fields,
            "id": follow_up.ref,
            "message": follow_up.body,
            "due_local": follow_up.due_at.astimezone(zone).isoformat(timespec="seconds"),
            "when": moment(follow_up.due_at, tx.now, zone, texts),
            "channel": _channel(follow_up),
            "thread": show_thread(thread),
            "requester": RequesterOut(
                platform=follow_up.requester_platform,
                workspace_id=follow_up.requester_workspace,
                id=follow_up.requester_id,
                name=follow_up.requester_name,
            ),
            "last_run": _run(follow_up, runs[-1]) if runs else None,
            "result": _result(tx, runs[-1]) if result and runs and follow_up.state is FollowUpState.SUCCESS else None,
            "notes": notes or [],
        }
    )


def _channel(follow_up: FollowUp) -> ChannelOut | None:
    if not follow_up.platform:
        return None
    return ChannelOut(
        platform=follow_up.platform,
        workspace_id=follow_up.workspace_id,
        channel_id=follow_up.channel_id,
        name=follow_up.channel_name,
    )


def _run(follow_up: FollowUp, run: Run) -> FollowUpRunOut:
    return FollowUpRunOut(
        id=f"{follow_up.ref}#{run.attempt}",
        attempt=run.attempt,
        state=run.state,
        agent=run.agent,
        message=run.message,
        error=run.error,
        cost=CostOut(usd=run.cost_usd, tokens=run.tokens),
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
    )


def _result(tx: Transaction, run: Run) -> str | None:
    """The last thing the agent said: the last entries of output that follow each other, a long answer is several."""
    entries = reversed(tx.runs.tail(run.id or 0, RESULT_LINES))
    said = dropwhile(lambda entry: entry.type is not LogKind.OUTPUT, entries)
    lines = [entry.content for entry in takewhile(lambda entry: entry.type is LogKind.OUTPUT, said)]
    return "\n".join(reversed(lines)) or None
