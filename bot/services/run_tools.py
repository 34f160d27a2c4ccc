"""What a running agent may do besides its work: set follow-ups, file a code task, tell its thread something.

One transaction each, bound to one run: thread, person and rights come from the run's rows (`run_seats`), never from
what the agent says. The worker serves these over MCP, HTTP and the command line (`bot/worker/callbacks.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from hashlib import sha256
from typing import Any, Final

from bot.core.commands import Options, read_target
from bot.core.followup_replies import zone_of
from bot.core.followups import FollowUp, FollowUpState
from bot.core.hygiene import clean
from bot.core.inbound import ThreadRef
from bot.core.moments import moment
from bot.core.people import Action, is_requester, may
from bot.core.redact import LiveRedactor
from bot.core.tasks import CodeTask
from bot.core.texts import Texts
from bot.core.verbs import Kind, TaskId
from bot.core.when import When, read_when, zone_named
from bot.core.when.words import sentence
from bot.services.attempts import Attempts, Lease
from bot.services.followup_news import FollowUpNews
from bot.services.followups import FollowUps, SetByRun, Wish
from bot.services.questions import Questions
from bot.services.refusals import Refused
from bot.services.run_seats import AGENT_SOURCE, RunHold, RunSeat, ToolRefused, begun_by_person, in_words, take_seat
from bot.services.tasks import CodeTasks, Filing
from bot.services.zones import Zones, zone_key
from bot.settings import Settings
from bot.store import FollowUpFilter, Transaction

Answer = dict[str, Any]
"""What a tool answers: an object of plain JSON values."""

UPDATE_MAX: Final = 200
"""Characters of a posted update (product rule 12)."""
UPDATES_PER_RUN: Final = 3
"""Posts that one run of a follow-up may make before its answer."""
LISTED: Final = 20
SAME_TIME: Final = timedelta(minutes=5)
"""Two wishes of one run for the same text within this time are one: the second is a repeated call."""
NOTHING: Final = " Nothing was set."
_ENGLISH: Final = Texts.load("en")
_OPEN: Final = frozenset({FollowUpState.PENDING, FollowUpState.RUNNING})


@dataclass(frozen=True, slots=True)
class RunTools:
    """The use cases. Stateless; every call is judged anew, and refused once the run's lease is gone."""

    settings: Settings
    followups: FollowUps
    news: FollowUpNews
    tasks: CodeTasks
    attempts: Attempts
    questions: Questions
    redactor: LiveRedactor

    def offered(self) -> tuple[str, ...]:
        """Names of the tools that agents are given here."""
        follow_ups = ("schedule_followup", "list_followups", "cancel_followup")
        code_tasks = ("create_code_task", "get_code_task")
        on = self.settings.features
        return (
            *(follow_ups if "followups" in on else ()),
            *(code_tasks if "codetasks" in on else ()),
            "post_update",
            "ask_user",
        )

    # --- Follow-ups ---------------------------------------------------------------------------------------------------

    def schedule_followup(
        self, tx: Transaction, hold: RunHold, when: str, message: str, title: str = "", agent: str = ""
    ) -> Answer | ToolRefused:
        """Sets a follow-up in the run's thread. Answers `id`, `at` (ISO 8601 with offset), `say`; the same wish again
        answers the same one."""
        seat = take_seat(tx, hold)
        if isinstance(seat, ToolRefused):
            return seat
        if seat.place is None:
            return ToolRefused("This run has no chat thread, so no follow-up can be set.", "state")
        text, title = self._safe(message), self._safe(title)
        if not text:
            return ToolRefused("Say in `message` what to do then.")
        zone = self._zone(tx, seat, seat.place)
        at = self._instant(when, tx.now, zone)
        if isinstance(at, ToolRefused):
            return at
        known = self._set_already(tx, seat, text, at)
        if known is not None:
            return self._told(known, tx.now, fresh=False)
        return self._set(tx, seat, Wish(text, at, seat.person, seat.place, zone_key(zone), title, agent))

    def _set(self, tx: Transaction, seat: RunSeat, wish: Wish) -> Answer | ToolRefused:
        thread_id = seat.thread_id
        if thread_id is None and seat.follow_up is not None:
            thread_id = self.news.open_thread(tx, seat.follow_up)
        wish = replace(
            wish,
            channel_name=seat.follow_up.channel_name if seat.follow_up else "",
            source=AGENT_SOURCE,
            by=SetByRun(seat.run_id, seat.follow_up),
            thread_id=thread_id,
        )
        outcome = self.followups.set(tx, wish)
        if isinstance(outcome, Refused):
            return in_words(outcome, command="`list_followups`")
        self.news.set_by_agent(tx, outcome.follow_up, seat.run.agent)
        return self._told(outcome.follow_up, tx.now, fresh=True)

    def list_followups(self, tx: Transaction, hold: RunHold) -> Answer | ToolRefused:
        """The follow-ups of the run's thread: open ones first, then the newest."""
        seat = take_seat(tx, hold)
        if isinstance(seat, ToolRefused):
            return seat
        if seat.thread_id is None:
            return {"follow_ups": []}
        found = tx.followups.list(FollowUpFilter(thread_id=seat.thread_id, limit=LISTED))
        return {"follow_ups": [_shown(one) for one in found]}

    def cancel_followup(self, tx: Transaction, hold: RunHold, id: str) -> Answer | ToolRefused:
        """Cancels a pending follow-up that an agent set in the run's thread."""
        seat = take_seat(tx, hold)
        if isinstance(seat, ToolRefused):
            return seat
        number = _number(id, "FU")
        found = tx.followups.get(number) if number is not None else None
        if found is None or seat.thread_id is None or found.thread_id != seat.thread_id or not found.by_agent:
            return ToolRefused(f"No agent set a follow-up {_quoted(id)} in this thread.", "not_found")
        outcome = self.followups.cancel(tx, found.id or 0, seat.person)
        if isinstance(outcome, Refused):
            return in_words(outcome, command="`list_followups`")
        return {**_shown(outcome), "say": f"{outcome.ref} is cancelled."}

    def _set_already(self, tx: Transaction, seat: RunSeat, text: str, at: datetime) -> FollowUp | None:
        """The open follow-up that an earlier, repeated call of this run set. The run's lock keeps calls apart."""
        if seat.thread_id is None:
            return None
        for one in tx.followups.list(FollowUpFilter(states=_OPEN, thread_id=seat.thread_id, limit=LISTED)):
            if one.origin_run_id == seat.run_id and one.body == text and abs(one.due_at - at) < SAME_TIME:
                return one
        return None

    def _instant(self, when: str, now: datetime, zone: tzinfo) -> datetime | ToolRefused:
        """The one instant meant; else the question, with the instants to choose from."""
        reading = read_when(when, now=now, zone=zone)
        if isinstance(reading, When):
            return reading.at
        told = sentence(reading, now, _ENGLISH)
        choices = tuple(choice.at.astimezone(zone).isoformat(timespec="seconds") for choice in reading.choices)
        said = _ENGLISH.say(told.key, **told.values).removesuffix(NOTHING)
        return ToolRefused(f"{said}{NOTHING}", "bad", choices)

    def _zone(self, tx: Transaction, seat: RunSeat, place: ThreadRef) -> tzinfo:
        """The zone in which a time without one is meant: the requester's own, else UTC, since nobody can be asked."""
        zone = Zones(self.settings.default_timezone).of(tx, seat.person, place) or zone_named("UTC")
        assert zone is not None
        return zone

    def _told(self, follow_up: FollowUp, now: datetime, *, fresh: bool) -> Answer:
        zone = zone_of(follow_up)
        said = f"{follow_up.ref} is set: {moment(follow_up.due_at, now, zone, _ENGLISH)}."
        return {**_shown(follow_up), "say": said if fresh else f"{said} It was set before; nothing new was set."}

    # --- Code tasks ---------------------------------------------------------------------------------------------------

    def create_code_task(
        self, tx: Transaction, hold: RunHold, description: str, title: str = ""
    ) -> Answer | ToolRefused:
        """Files a code task for the run's requester, in the same thread and repository, once for each run."""
        seat = take_seat(tx, hold)
        if isinstance(seat, ToolRefused):
            return seat
        if not begun_by_person(tx, seat):
            return ToolRefused("A code task that an agent filed cannot lead to another one.", "not_allowed")
        text = "\n\n".join(part for part in (self._safe(title), self._safe(description)) if part)
        filing = Filing(
            text,
            seat.person,
            Options(repo=self._repo(tx, seat), agent=seat.run.agent if seat.run.agent in self.tasks.agents else None),
            thread_id=seat.thread_id,
            channel=seat.place,
            source=AGENT_SOURCE,
            dedup_key=f"agent:run:{seat.run_id}",
            dedup_hash=sha256(text.encode()).hexdigest(),
        )
        outcome = self.tasks.file(tx, filing)
        if isinstance(outcome, Refused):
            if outcome.key == "refused.idempotency":
                return ToolRefused("This run has filed a code task already; it may file one.", "state")
            return in_words(outcome)
        return {**self._task(outcome.task), "say": f"{outcome.task.ref} is filed. Its card is in this thread."}

    def get_code_task(self, tx: Transaction, hold: RunHold, id: str) -> Answer | ToolRefused:
        """A code task of the run's own channel or requester, where the requester may view code tasks."""
        seat = take_seat(tx, hold)
        if isinstance(seat, ToolRefused):
            return seat
        number = _number(id, "CT")
        task = tx.tasks.get(number) if number is not None else None
        if task is None or not self._may_view(tx, seat, task):
            return ToolRefused(f"There is no code task {_quoted(id)} here.", "not_found")
        return self._task(task)

    def _may_view(self, tx: Transaction, seat: RunSeat, task: CodeTask) -> bool:
        """Narrower than for people: what a hostile agent reads here it could tell its own thread."""
        if not may(self.tasks.rights.role(seat.person), Action.VIEW, is_requester=False):
            return False
        if is_requester(seat.person, task) or (seat.task is not None and seat.task.id == task.id):
            return True
        there = tx.threads.get(task.thread_id).ref if task.thread_id is not None else None
        return there is not None and seat.place is not None and _channel_of(there) == _channel_of(seat.place)

    def _repo(self, tx: Transaction, seat: RunSeat) -> str | None:
        """The repository the run works on; None leaves the choice to the rules for filing."""
        task = seat.task or (tx.tasks.in_thread(seat.thread_id) if seat.thread_id is not None else None)
        return task.repo if task is not None and task.repo in self.settings.repositories else None

    def _task(self, task: CodeTask) -> Answer:
        return {
            "id": task.ref,
            "title": self.redactor.mask(task.title),
            "stage": task.stage.value,
            "failure_reason": task.failure_reason.value if task.failure_reason else None,
            "error": self.redactor.mask(task.error or "") or None,
            "repo": task.repo,
            "branch": task.branch,
            "pull_request": task.pr_url,
            "tests_passed": task.tests_passed,
        }

    # --- The thread ---------------------------------------------------------------------------------------------------

    def post_update(self, tx: Transaction, hold: RunHold, text: str) -> Answer | ToolRefused:
        """Shows one line: on the card of a code task, as a quiet post for a follow-up (three for each run)."""
        seat = take_seat(tx, hold)
        if isinstance(seat, ToolRefused):
            return seat
        line = " ".join(self._safe(text).split())
        if not line:
            return ToolRefused("Say in `text` what to tell.")
        if len(line) > UPDATE_MAX:
            return ToolRefused(f"An update is limited to {UPDATE_MAX} characters (yours: {len(line)}).")
        if seat.task is not None:
            lease = Lease(hold.run_id, hold.fence, seat.task.id or 0)
            self.attempts.report(tx, lease, line, int(tx.now.timestamp() * 1000))
            return {"say": "It is on the card."}
        return self._post(tx, seat, line)

    def _post(self, tx: Transaction, seat: RunSeat, line: str) -> Answer | ToolRefused:
        follow_up = seat.follow_up
        if follow_up is None or seat.place is None:
            return ToolRefused("This run has no chat thread.", "state")
        if seat.run.message == line:
            return {"say": "It is posted."}
        for number in range(1, UPDATES_PER_RUN + 1):
            if self.news.update(tx, follow_up, seat.run.agent, line, f"{seat.run_id}:update:{number}"):
                tx.runs.update(seat.run_id, seat.run.fence, message=line)
                return {"say": "It is posted."}
        return ToolRefused(
            f"A follow-up's run may post {UPDATES_PER_RUN} updates. Say the rest in the answer.", "state"
        )

    def ask_user(
        self, tx: Transaction, hold: RunHold, question: str, choices: Sequence[str] = ()
    ) -> Answer | ToolRefused:
        """Asks the people in the thread. Answers `status`: `waiting` (ask the same again to go on waiting), `answered`
        with `answer` and `by`, or `nobody` after an hour."""
        seat = take_seat(tx, hold)
        if isinstance(seat, ToolRefused):
            return seat
        if seat.thread_id is None and seat.follow_up is not None and seat.place is not None:
            seat = replace(seat, thread_id=self.news.open_thread(tx, seat.follow_up))
        offered = tuple(" ".join(self._safe(choice).split()) for choice in choices)
        asked = self.questions.ask(tx, seat, self._safe(question), offered)
        if isinstance(asked, ToolRefused):
            return asked
        if asked.answered_at is None:
            return {
                "status": "waiting",
                "say": "Nobody has answered yet. Ask the same again to go on waiting.",
            }
        if asked.answer is None:
            return {"status": "nobody", "say": "Nobody answered within 1 h. Go on without an answer, or stop here."}
        return {"status": "answered", "answer": asked.answer, "by": asked.answered_by}

    def give_up_question(self, tx: Transaction, hold: RunHold) -> None:
        """The agent has ended: nobody waits for the answer any more."""
        seat = take_seat(tx, hold)
        if not isinstance(seat, ToolRefused):
            self.questions.give_up(tx, seat)

    def _safe(self, text: str) -> str:
        return self.redactor.mask(clean(text)).strip()


def _shown(follow_up: FollowUp) -> Answer:
    return {
        "id": follow_up.ref,
        "at": follow_up.due_at.astimezone(zone_of(follow_up)).isoformat(timespec="seconds"),
        "title": follow_up.title,
        "state": follow_up.state.value,
        "set_by": "agent" if follow_up.by_agent else "person",
    }


def _number(said: str, kind: Kind) -> int | None:
    """The number in `FU-7`, `7` or `#7`; None for anything else."""
    target = read_target(said, kind)
    return target.number if isinstance(target, TaskId) and target.kind == kind else None


def _quoted(said: str) -> str:
    return " ".join(clean(said).split())[:40] or "without a name"


def _channel_of(place: ThreadRef) -> tuple[str, str, str]:
    return place.platform, place.workspace_id, place.channel_id
