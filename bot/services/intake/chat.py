"""Suggestions in chat: presses, typed commands, the form of [Edit].

Rights, state and the text's hash are checked at every act, however old the button is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

import structlog

from bot.core.buttons import ButtonAction, SuggestionAction
from bot.core.commands import render
from bot.core.forms import EDIT_MAX, TEXT
from bot.core.inbound import MessageRef, Person, ThreadRef
from bot.core.ledger_replies import TOP_PAGE, top_doc
from bot.core.people import Action, Role, may
from bot.core.quoting import code_span
from bot.core.suggestion_replies import LISTED_BUTTONS, Line, line_doc, list_doc
from bot.core.suggestions import (
    FILED,
    OPEN,
    SAME,
    Suggestion,
)
from bot.core.tasks import CodeTask
from bot.core.verbs import (
    CancelTask,
    EditText,
    ListSuggestions,
    LogsOf,
    OnIntake,
    Parsed,
    RetryTask,
    Send,
    ShowTask,
    StatusOf,
    Stop,
    Target,
    TaskId,
    Top,
    Undo,
    verb_word,
)
from bot.ports import Choice, Platform
from bot.services.earlier import said_earlier
from bot.services.intake.changes import BEING_JUDGED, Changes
from bot.services.intake.modes import Modes
from bot.services.intake.news import thread_of
from bot.services.intake.pointing import Pointing
from bot.services.intake.suggestions import Suggestions, over, unknown_suggestion
from bot.services.later import Later
from bot.services.ledger import Ledger
from bot.services.queued import QueuedTasks
from bot.services.refusals import Refused
from bot.services.said import Answers, Said
from bot.services.tasks import Filed, unknown
from bot.services.visibility import may_see_suggestion
from bot.store import Pending, Store, SuggestionFilter, Transaction

log = structlog.get_logger(__name__)

LISTED: Final = 50
TRIES: Final = 5
"""How often a message is read again for a press before the person is told that it could not be."""

Named = CancelTask | RetryTask | LogsOf | Stop | Send | Undo
"""Commands that may name a suggestion by mistake."""
PassOn = Callable[[Transaction, Said, Suggestion, str], None]


@dataclass(frozen=True, slots=True)
class ChatIntake:
    """Acts on what was pressed, typed or pointed at. Holds no state."""

    store: Store
    suggestions: Suggestions
    queued: QueuedTasks
    ledger: Ledger
    answers: Answers
    modes: Modes
    changes: Changes
    platforms: Mapping[str, Platform]

    @property
    def on(self) -> bool:
        return self.modes.on

    @property
    def pointing(self) -> Pointing:
        """For messages that somebody points at."""
        reading = self.changes.reading
        return Pointing(self.store, self.suggestions, self.ledger, self.answers, self.modes, reading, self.platforms)

    # --- Presses ------------------------------------------------------------------------------------------------------

    async def before_press(self, item: Pending, action: SuggestionAction) -> str:
        """What was said in the message's thread before it, as stored JSON, for one that is about to be filed.

        Where the platform tells of no edits its messages are read again: what is confirmed is what stands there now.
        Raises `Later` while they cannot be: then nothing is filed."""
        if not self.on or action.verb not in ("file", "allow", "different"):
            return ""
        found = await self.store.run(lambda tx: tx.suggestions.get(action.number), read=True)
        platform = self.platforms.get(found.platform) if found is not None else None
        if found is None or platform is None or found.state not in (OPEN, SAME):
            return ""
        if not platform.capabilities.tells_edits and await self.changes.reread(found) is None:
            raise Later("the messages of an item could not be read again", BEING_JUDGED, TRIES)
        return await self._earlier(item, platform, found)

    async def _earlier(self, item: Pending, platform: Platform, found: Suggestion) -> str:
        if not found.root or found.root == found.message_id:
            return ""
        members = await self.store.run(lambda tx: tx.suggestions.members(found.id or 0), read=True)
        own = {member.message.message_id for member in members}
        return await said_earlier(platform, thread_of(found), own, item.attempts, found.last_at)

    def press(self, tx: Transaction, said: Said, action: SuggestionAction, pass_on: PassOn) -> None:
        """A button of a suggestion. `pass_on` sends an edit to the agent, for the text that was shown."""
        found = tx.suggestions.locked(action.number) if self.on else None
        if found is None:
            missing = unknown_suggestion(f"RQ-{action.number}")
            self.answers.refuse(tx, said, missing if self.on else Refused("refused.intake_disabled"))
            return
        person, shown = said.person, self.suggestions
        match action.verb:
            case "file" | "allow":
                self._confirm(tx, said, found, action.argument)
            case "edit":
                self.answers.type_it(tx, said, EditText(TaskId("RQ", found.id or 0), "…"))
            case "same":
                self._same(tx, said, found, int(action.argument))
            case "not_request":
                outcome = shown.dismiss(tx, found, person)
                self._answer(tx, said, outcome, "suggestion.dismissed")
            case "deny":
                outcome = shown.deny(tx, found, person)
                self._answer(tx, said, outcome, "suggestion.refused", ref=found.ref)
            case "mute":
                self._answer(tx, said, shown.mute(tx, found, person), "suggestion.muted")
            case "different":
                self._answer_filing(tx, said, shown.different(tx, found, person, said.context, said.reply_token))
            case "pass_on":
                pass_on(tx, said, found, action.argument)
            case _:
                assert_never(action.verb)

    def _confirm(self, tx: Transaction, said: Said, found: Suggestion, shown: str) -> None:
        """[File as code task], [Allow]: for exactly the text that the button stood under."""
        asks = found.state is OPEN or (found.state in (FILED, SAME) and tx.tasks.get(found.code_task_id or 0) is None)
        if asks and not (shown and found.text_hash.startswith(shown)):
            self.answers.refuse(tx, said, Refused("refused.suggestion_changed", {}, "state"))
        elif found.state in (OPEN, FILED, SAME):
            outcome = self.suggestions.file(tx, found, said.person, context=said.context, reply_token=said.reply_token)
            self._answer_filing(tx, said, outcome)
        else:
            self.answers.refuse(tx, said, over(found))

    def _same(self, tx: Transaction, said: Said, found: Suggestion, number: int) -> None:
        if number not in found.similar_ids:
            self.answers.refuse(tx, said, unknown(number))
            return
        outcome = self.suggestions.same(tx, found, number, said.person)
        if isinstance(outcome, Refused):
            self.answers.refuse(tx, said, outcome)
        else:
            self.answers.say(tx, said, "ledger.joined", ref=outcome.ref)

    def task_press(self, tx: Transaction, said: Said, action: ButtonAction) -> None:
        """[Undo], [Start now], [Same as CT-12] and [This is different] of a code task."""
        match action.verb:
            case "undo":
                self.undo(tx, said, action.number)
            case "start":
                self._start(tx, said, action.number)
            case "same":
                outcome = self.ledger.same(tx, self.queued.tasks, action.number, action.other or 0, said.person)
                self._answer(tx, said, outcome, "ledger.joined", ref=f"CT-{action.other}")
            case "different":
                outcome = self.ledger.different(tx, self.queued.tasks, action.number, said.person)
                self._answer(tx, said, outcome, "reply.queued_again", ref=f"CT-{action.number}")
            case _:
                self.answers.refuse(tx, said, Refused("refused.old_button", {"command": code_span("list")}))

    def undo(self, tx: Transaction, said: Said, number: int) -> None:
        """Takes back what intake filed by itself; it counts as "Not a request"."""
        outcome = self.queued.undo(tx, number, said.person)
        found = self._of_task(tx, outcome) if isinstance(outcome, CodeTask) else None
        if found is not None:
            self.suggestions.taken_back(tx, found, said.person)
        self._answer(tx, said, outcome, "suggestion.task_undone", ref=f"CT-{number}")

    def _start(self, tx: Transaction, said: Said, number: int) -> None:
        outcome = self.queued.start(tx, number, said.person)
        found = self._of_task(tx, outcome) if isinstance(outcome, CodeTask) else None
        if found is not None:
            self.suggestions.changed(tx, found, "start")
        self._answer(tx, said, outcome, "suggestion.task_starts", ref=f"CT-{number}")

    def _of_task(self, tx: Transaction, task: CodeTask) -> Suggestion | None:
        """The suggestion that a code task was filed for."""
        parts = (task.dedup_key or "").split(":", 4)
        if len(parts) != 5 or parts[0] != "m":
            return None
        where = ThreadRef(platform=parts[1], workspace_id=parts[2], channel_id=parts[3])
        found = tx.suggestions.of_message(MessageRef(thread=where, message_id=parts[4]))
        return found if found is not None and found.code_task_id == task.id else None

    # --- Typed commands and the form ----------------------------------------------------------------------------------

    def concerns(self, parsed: Parsed) -> bool:
        """Whether a command names a suggestion."""
        target = getattr(parsed, "id", None)
        return isinstance(target, TaskId) and target.kind == "RQ"

    def on_suggestion(self, tx: Transaction, said: Said, parsed: Parsed) -> None:
        """A command that names a suggestion but is for code tasks: `show` shows it, others are refused."""
        target = getattr(parsed, "id", None)
        assert isinstance(target, TaskId), "`concerns` says so"
        if isinstance(parsed, ShowTask | StatusOf):
            self.show(tx, said, target.number)
            return
        verb, language = (
            render(parsed, "en").split()[0] if isinstance(parsed, Named) else "",
            said.wording.texts.language,
        )
        values = {
            "verb": code_span(verb_word(verb, language)),
            "ref": str(target),
            "command": code_span(f"{verb_word('show', language)} {target}"),
        }
        self.answers.refuse(tx, said, Refused("refused.verb_of_suggestion", values))

    def act(self, tx: Transaction, said: Said, command: OnIntake) -> None:
        """`edit`, `undo`, `top`, `suggestions`."""
        match command:
            case Top():
                self.top(tx, said)
            case ListSuggestions():
                self.show_all(tx, said)
            case EditText(TaskId("RQ") as target, text):
                self.edit(tx, said, target, text)
            case EditText(target, text):
                task = self._task(tx, said, target)
                if task is not None:
                    outcome = self.queued.edit(tx, task.id or 0, said.person, text)
                    self._answer(tx, said, outcome, "suggestion.task_edited", ref=task.ref)
            case Undo(TaskId("RQ")):
                self.on_suggestion(tx, said, command)
            case Undo(target):
                task = self._task(tx, said, target)
                if task is not None:
                    self.undo(tx, said, task.id or 0)
            case _:
                assert_never(command)

    def _task(self, tx: Transaction, said: Said, target: Target) -> CodeTask | None:
        """The code task that a command names, if the person may see one there; else it has been refused."""
        found = Refused("refused.unknown_id", {"id": str(target), "command": "list"}, "not_found")
        if not may(self.suggestions.rights.role(said.person), Action.VIEW, is_requester=False):
            found = self.suggestions.rights.refuse_viewing()
        elif getattr(target, "kind", "CT") == "CT":
            found = self.queued.tasks.find(tx, target, said.thread_id, said.person)
        if isinstance(found, Refused):
            self.answers.refuse(tx, said, found)
            return None
        return found

    def edit(self, tx: Transaction, said: Said, target: TaskId, text: str) -> None:
        """`edit RQ-3 TEXT`, and the form of [Edit]: other words for the agent."""
        found = self._find(tx, said, target.number)
        outcome = found if isinstance(found, Refused) else self.suggestions.edit(tx, found, said.person, text)
        self._answer(tx, said, outcome, "suggestion.edited", ref=str(target))

    def show(self, tx: Transaction, said: Said, number: int) -> None:
        """One suggestion with all of its text, and its buttons."""
        found = self._find(tx, said, number)
        if isinstance(found, Refused):
            self.answers.refuse(tx, said, found)
            return
        line, now, mask = self.suggestions.line(tx, found), tx.now, self.answers.announcer.redactor.mask
        self.answers.whisper(tx, said, lambda texts: line_doc(line, texts, now, mask, whole=True))

    def show_all(self, tx: Transaction, said: Said) -> None:
        """Open suggestions: of this channel, for admins of all."""
        refused = self._unseeing(said)
        if refused is not None:
            self.answers.refuse(tx, said, refused)
            return
        found, now, mask = self._open(tx, said), tx.now, self.answers.announcer.redactor.mask
        lines = [self.suggestions.line(tx, one) if at < LISTED_BUTTONS else Line(one) for at, one in enumerate(found)]
        self.answers.whisper(tx, said, lambda texts: list_doc(lines, texts, now, mask))

    def top(self, tx: Transaction, said: Said) -> None:
        """What most people ask for."""
        if not may(self.suggestions.rights.role(said.person), Action.VIEW, is_requester=False):
            self.answers.refuse(tx, said, self.suggestions.rights.refuse_viewing())
            return
        wanted = [(demand.task, demand.askers) for demand in self.ledger.top(tx, TOP_PAGE, said.person)]
        waiting: Sequence[Suggestion] = self._open(tx, said) if self.on else []
        now, mask = tx.now, self.answers.announcer.redactor.mask
        self.answers.whisper(tx, said, lambda texts: top_doc(wanted, texts, now, mask, waiting))

    def form_text(self, tx: Transaction, action: object, person: Person, place: ThreadRef | None) -> list[Choice]:
        """What the form of [Edit] opens with: one choice per field; nothing for one who may not edit or see it there,
        and for a text that no form holds."""
        if not self.on or not isinstance(action, SuggestionAction) or action.verb != "edit":
            return []
        found, role = tx.suggestions.get(action.number), self.suggestions.rights.role(person)
        if found is None or found.state is not OPEN or len(found.text) > EDIT_MAX:
            return []
        if not may(role, Action.JUDGE, is_requester=False) or not may_see_suggestion(tx, role, person, found, place):
            return []
        return [Choice(TEXT, found.text)]

    def _open(self, tx: Transaction, said: Said) -> Sequence[Suggestion]:
        here = said.event.thread
        admin = self.suggestions.rights.role(said.person) is Role.ADMIN
        channel = None if admin else (here.platform, here.workspace_id, here.channel_id)
        return tx.suggestions.list(SuggestionFilter(states=(OPEN,), channel=channel, limit=LISTED))

    def _unseeing(self, said: Said) -> Refused | None:
        if not self.on:
            return Refused("refused.intake_disabled")
        rights = self.suggestions.rights
        return None if may(rights.role(said.person), Action.VIEW, is_requester=False) else rights.refuse_viewing()

    def _find(self, tx: Transaction, said: Said, number: int) -> Suggestion | Refused:
        """The suggestion, if there is one that the person may see from here."""
        refused = self._unseeing(said)
        if refused is not None:
            return refused
        found, role = tx.suggestions.locked(number), self.suggestions.rights.role(said.person)
        if found is None or not may_see_suggestion(tx, role, said.person, found, said.event.thread):
            return unknown_suggestion(f"RQ-{number}")
        return found

    # --- Answers ------------------------------------------------------------------------------------------------------

    def _answer_filing(self, tx: Transaction, said: Said, outcome: Filed | Refused) -> None:
        """The card and the line say what was filed; only what they cannot say is whispered."""
        if isinstance(outcome, Refused):
            self.answers.refuse(tx, said, outcome)
        elif not outcome.fresh:
            self.answers.say(tx, said, "reply.already_filed", ref=outcome.task.ref)

    def _answer(self, tx: Transaction, said: Said, outcome: object, key: str, **values: object) -> None:
        if isinstance(outcome, Refused):
            self.answers.refuse(tx, said, outcome)
        else:
            self.answers.say(tx, said, key, **values)
