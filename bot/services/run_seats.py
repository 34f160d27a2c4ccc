"""Which thread, person and work a running agent stands for: read from its run's rows at every call, never from words of
the agent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from bot.core.followups import AGENT_CHAIN, FollowUp
from bot.core.inbound import Person, ThreadRef
from bot.core.runs import Run
from bot.core.tasks import CodeTask
from bot.core.texts import Texts
from bot.services.people import as_tokens_say, with_links
from bot.services.refusals import RefusalKind, Refused
from bot.store import Transaction

AGENT_SOURCE: Final = "agent"
"""The source of what an agent files or sets."""
ToolRefusal = RefusalKind | Literal["limit", "away"]
"""Why not: as for people, or too many calls, or something of ours that will pass."""
_ENGLISH: Final = Texts.load("en")


@dataclass(frozen=True, slots=True)
class RunHold:
    """What a worker may call tools for: one run, as long as this claim of it holds."""

    run_id: int
    fence: int


@dataclass(frozen=True, slots=True)
class ToolRefused:
    """No. `say` is a plain English sentence for the agent; `choices` are instants (ISO 8601) it may pick from."""

    say: str
    kind: ToolRefusal = "bad"
    choices: tuple[str, ...] = ()


RUN_OVER: Final = ToolRefused("This run is over. Nothing was done.", "state")


@dataclass(frozen=True, slots=True)
class RunSeat:
    """A leased run with the person it works for, its thread (None without a chat), and what it is a run of."""

    run: Run
    person: Person
    place: ThreadRef | None
    thread_id: int | None
    task: CodeTask | None = None
    follow_up: FollowUp | None = None

    @property
    def run_id(self) -> int:
        return self.run.id or 0


def take_seat(tx: Transaction, hold: RunHold) -> RunSeat | ToolRefused:
    """The run's seat, if the claim still holds. Locks the run: the calls of one run go one after the other."""
    run = tx.runs.get(hold.run_id)
    if run is None or not tx.runs.update(hold.run_id, hold.fence, agent=run.agent):
        return RUN_OVER
    task = tx.tasks.get(run.code_task_id) if run.code_task_id is not None else None
    follow_up = tx.followups.get(run.follow_up_id) if run.follow_up_id is not None else None
    if task is not None:
        who, thread_id = (task.requester_platform, task.requester_workspace, task.requester_id), task.thread_id
    elif follow_up is not None:
        who = (follow_up.requester_platform, follow_up.requester_workspace, follow_up.requester_id)
        thread_id = follow_up.thread_id
    else:
        return RUN_OVER
    known = tx.people.find(*who) or Person(platform=who[0], workspace_id=who[1], id=who[2])
    person = with_links(tx, as_tokens_say(tx, known))
    place = tx.threads.get(thread_id).ref if thread_id is not None else _channel(follow_up)
    return RunSeat(run, person, place, thread_id, task, follow_up)


def _channel(follow_up: FollowUp | None) -> ThreadRef | None:
    if follow_up is None or not follow_up.platform:
        return None
    return ThreadRef(platform=follow_up.platform, workspace_id=follow_up.workspace_id, channel_id=follow_up.channel_id)


def begun_by_person(tx: Transaction, seat: RunSeat) -> bool:
    """Whether a person's wish, not a code task that an agent filed, is where this run comes from.

    Follows a follow-up that an agent set to the run that set it, so that agents cannot keep filing in turns."""
    task, follow_up = seat.task, seat.follow_up
    for _ in range(AGENT_CHAIN + 2):
        if task is not None:
            return task.source != AGENT_SOURCE
        if follow_up is None:
            return False
        if not follow_up.by_agent:
            return True
        origin = tx.runs.get(follow_up.origin_run_id) if follow_up.origin_run_id is not None else None
        if origin is None:
            return False
        task = tx.tasks.get(origin.code_task_id) if origin.code_task_id is not None else None
        follow_up = tx.followups.get(origin.follow_up_id) if origin.follow_up_id is not None else None
    return False


def in_words(refused: Refused, **values: object) -> ToolRefused:
    """A refusal of a use case as the agent reads it; `values` replace some of its own."""
    filled: Mapping[str, Any] = {**refused.values, **values}
    return ToolRefused(_ENGLISH.say(refused.key, **filled), refused.kind)
