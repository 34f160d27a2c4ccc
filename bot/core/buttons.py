"""The buttons of cards and replies. Their values are stateless, `codetask:<verb>:<id>`, and checked on every press."""

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from bot.core.cards import Button
from bot.core.followups import FollowUp
from bot.core.quoting import is_web
from bot.core.tasks import CodeTask, FailureReason, Stage
from bot.core.texts import Texts
from bot.core.verbs import CancelTask, Command, LogsOf, RetryTask, ShowTask, StatusOf, TaskId

ButtonVerb = Literal[
    "cancel",
    "details",
    "retry",
    "retry_note",
    "ask_changes",
    "merged",
    "status",
    "logs",
    "file",
    "approve",
    "refuse",
    "undo",
    "start",
    "same",
    "different",
]
"""`file` files the text of a stored command (its id is the inbox row, `IN-7`); the others act on a code task. `undo`
and `start` are for one that was filed without a person and still waits for its undo time; `same` names the number of
the code task that it is the same as, `different` takes that back.

`retry_note` and `ask_changes` open a form (`bot.core.forms`)."""

FollowUpVerb = Literal[
    "cancel", "stop", "run", "retry", "change", "dismiss", "done", "snooze", "tomorrow", "details", "file"
]
"""What a button does with a follow-up. `snooze` and `tomorrow` set a new one with the same text; `dismiss` and `done`
only take the buttons away; `change` opens a form; `file` files its text as a code task."""

WishVerb = Literal["at", "preset", "tz", "later", "yes"]
"""What a button does with a stored command (its id is the inbox row): `at` does it at an instant (seconds since 1970),
`preset` at one of `Preset`, `tz` in a zone that is remembered from then on, `later` opens a form, `yes` does what the
command seems to have meant."""

SuggestionVerb = Literal["file", "edit", "same", "not_request", "mute", "allow", "deny", "different", "pass_on"]
"""What a button does with a suggestion. `file` and `allow` (an admin's `file`) name the beginning of the hash of the
text that was shown, `same` the number of a code task; `edit` opens a form; `different` takes a `same` back and files
it; `pass_on` sends what its edited message says to the agent of its code task, and names that text as `file` does."""

Preset = Literal["hour", "tomorrow", "monday"]

_VERBS: Final = frozenset(get_args(ButtonVerb))
_VALUE: Final = re.compile(r"codetask:([a-z_]{2,12}):(CT|IN|FU|RQ)-([1-9]\d{0,8})(?:-([\w+/-]{1,40}))?", re.ASCII)
_ARGUMENTS: Final = {
    "at": re.compile(r"[1-9]\d{0,10}", re.ASCII),
    "preset": re.compile("hour|tomorrow|monday"),
    "tz": re.compile(r"[A-Za-z][\w+/-]*", re.ASCII),
}
_NUMBER: Final = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{12}", re.ASCII)
_SUGGESTION_ARGUMENTS: Final = {"file": _HASH, "allow": _HASH, "same": _NUMBER, "pass_on": _HASH}
_URL_MAX: Final = 3000
CHANGE_MARK: Final = 12
"""How many digits of a commit a button names."""


@dataclass(frozen=True, slots=True)
class ButtonAction:
    """What a pressed button asks for: the verb and the number of the code task, or of the inbox row for `file`."""

    verb: ButtonVerb
    number: int
    other: int | None = None
    """The number of the other code task, for `same`; for `cancel`, how many others asked for it when its button was
    made, which only the question before it says."""
    change: str = ""
    """The beginning of the commit that was shown, for `approve` and `refuse`: no click decides about another one."""


@dataclass(frozen=True, slots=True)
class SuggestionAction:
    """What a pressed button asks for: the verb, the number of the suggestion, and what stands behind."""

    verb: SuggestionVerb
    number: int
    argument: str = ""


@dataclass(frozen=True, slots=True)
class FollowUpAction:
    """What a pressed button asks for: the verb and the number of the follow-up."""

    verb: FollowUpVerb
    number: int


@dataclass(frozen=True, slots=True)
class WishAction:
    """What a pressed button asks for: the verb, the inbox row of the command it belongs to, and what stands behind."""

    verb: WishVerb
    number: int
    argument: str = ""


Action = ButtonAction | FollowUpAction | WishAction | SuggestionAction


def parse_button(value: str) -> Action | None:
    """Reads a button's value; None when it is none of ours. Says nothing about rights or stage."""
    found = _VALUE.fullmatch(value)
    if found is not None and found[2] == "IN" and found[1] != "file":
        return _parse_wish(found[1], int(found[3]), found[4] or "")
    if found is None:
        return None
    if found[2] == "RQ":
        return _parse_suggestion(found[1], int(found[3]), found[4] or "")
    if found[2] == "CT" and (found[1] == "same" or (found[1] == "cancel" and found[4])):
        other = _NUMBER.fullmatch(found[4] or "")
        verb: ButtonVerb = "same" if found[1] == "same" else "cancel"
        return ButtonAction(verb, int(found[3]), int(other[0])) if other else None
    if found[2] == "CT" and found[1] in ("approve", "refuse") and found[4] is not None:
        bound = _HASH.fullmatch(found[4])
        verb = "approve" if found[1] == "approve" else "refuse"
        return ButtonAction(verb, int(found[3]), change=bound[0]) if bound else None
    if found[4] is not None:
        return None
    if found[2] == "FU":
        known = next((verb for verb in get_args(FollowUpVerb) if verb == found[1]), None)
        return FollowUpAction(known, int(found[3])) if known is not None else None
    if found[1] not in _VERBS or (found[1] == "file") != (found[2] == "IN"):
        return None
    return ButtonAction(next(verb for verb in get_args(ButtonVerb) if verb == found[1]), int(found[3]))


def _fits(argument: str, wanted: re.Pattern[str] | None) -> bool:
    """Whether what stands behind an id is what its verb takes: nothing, unless a pattern says what."""
    return not argument if wanted is None else wanted.fullmatch(argument) is not None


def _parse_suggestion(name: str, number: int, argument: str) -> SuggestionAction | None:
    verb = next((verb for verb in get_args(SuggestionVerb) if verb == name), None)
    if verb is None or not _fits(argument, _SUGGESTION_ARGUMENTS.get(name)):
        return None
    return SuggestionAction(verb, number, argument)


def suggestion_value(verb: SuggestionVerb, number: int, argument: str | int = "") -> str:
    """The value of a button of a suggestion."""
    return f"codetask:{verb}:RQ-{number}" + (f"-{argument}" if argument != "" else "")


def same_value(number: int, other: int) -> str:
    """The value of the button that says that one code task asks for the same as another."""
    return f"codetask:same:CT-{number}-{other}"


def _parse_wish(name: str, number: int, argument: str) -> WishAction | None:
    verb = next((verb for verb in get_args(WishVerb) if verb == name), None)
    if verb is None or not _fits(argument, _ARGUMENTS.get(name)):
        return None
    return WishAction(verb, number, argument)


def wish_value(verb: WishVerb, number: int, argument: str | int = "") -> str:
    """The value of a button that belongs to a stored command."""
    return f"codetask:{verb}:IN-{number}" + (f"-{argument}" if argument != "" else "")


def value_of(verb: ButtonVerb, number: int) -> str:
    """The value of a button."""
    return f"codetask:{verb}:{'IN' if verb == 'file' else 'CT'}-{number}"


_FOLLOW_UP_LABELS: Final[dict[FollowUpVerb, str]] = {"retry": "run_again", "done": "follow_up_done", "run": "run_now"}


def follow_up_button(verb: FollowUpVerb, follow_up: FollowUp, texts: Texts, *, named: bool = False) -> Button:
    """A button of a follow-up; none of them asks before it counts. `named`: its label says which one it is for."""
    key = _FOLLOW_UP_LABELS.get(verb, verb)
    name = texts.say(f"button_name.{key}", ref=follow_up.ref)
    return Button(
        label=name if named else texts.say(f"button.{key}"),
        name=name,
        value=f"codetask:{verb}:{follow_up.ref}",
    )


def task_buttons(task: CodeTask, texts: Texts, others: int = 0, *, sends: bool = True) -> tuple[Button, ...]:
    """The buttons of a code task's card: what its stage allows, `Details` always last. `others` besides its requester
    asked for it; `sends`: whether words can be sent to its agent."""
    return (*_stage_buttons(task, texts, others, sends), details(task, texts))


def _stage_buttons(task: CodeTask, texts: Texts, others: int, sends: bool) -> tuple[Button, ...]:
    match task.stage:
        case Stage.QUEUED | Stage.RUNNING | Stage.TESTING:
            return (cancel(task, texts, others),)
        case Stage.REVIEW:
            if task.pr_number is None:
                return mark_merged(task, texts), cancel(task, texts, others)
            asking = (ask_changes(task, texts),) if sends else ()
            return (*open_pull_request(task, texts), *asking, cancel(task, texts, others))
        case Stage.MERGED:
            return open_pull_request(task, texts)
        case Stage.FAILED:
            return retries(task, texts)


def cancel(task: CodeTask, texts: Texts, others: int = 0) -> Button:
    """Asks before it counts, and says then how many `others` asked for it, too."""
    value = value_of("cancel", task.id or 0)
    return Button(
        label=texts.say("button.cancel"),
        name=texts.say("button_name.cancel", ref=task.ref),
        value=f"{value}-{others}" if others else value,
        style="danger",
        confirm=_before_cancel(task.ref, others, texts),
    )


def _before_cancel(ref: str, others: int, texts: Texts) -> str:
    known = (texts.say("ledger.others", n=others),) if others else ()
    return texts.sentences((texts.say("confirm.cancel", ref=ref), *known))


def details(task: CodeTask, texts: Texts) -> Button:
    return Button(
        label=texts.say("button.details"),
        name=texts.say("button_name.details", ref=task.ref),
        value=value_of("details", task.id or 0),
    )


def retry(task: CodeTask, texts: Texts) -> Button:
    """`Retry`, or `Queue again` for a cancelled code task: the same verb."""
    name = "queue_again" if task.failure_reason is FailureReason.CANCELLED else "retry"
    return Button(
        label=texts.say(f"button.{name}"),
        name=texts.say(f"button_name.{name}", ref=task.ref),
        value=value_of("retry", task.id or 0),
        style="default" if name == "queue_again" else "primary",
    )


def retries(task: CodeTask, texts: Texts) -> tuple[Button, ...]:
    """The ways to run a failed code task again; a note only where a run of it failed, not where a person stopped it."""
    again = retry(task, texts)
    return (again,) if task.failure_reason is FailureReason.CANCELLED else (again, retry_note(task, texts))


def retry_note(task: CodeTask, texts: Texts) -> Button:
    return Button(
        label=texts.say("button.retry_note"),
        name=texts.say("button_name.retry_note", ref=task.ref),
        value=value_of("retry_note", task.id or 0),
    )


def ask_changes(task: CodeTask, texts: Texts) -> Button:
    """What else the agent should do to a change in review: a `send`."""
    return Button(
        label=texts.say("button.ask_changes"),
        name=texts.say("button_name.ask_changes", ref=task.ref),
        value=value_of("ask_changes", task.id or 0),
    )


def open_pull_request(task: CodeTask, texts: Texts) -> tuple[Button, ...]:
    """A link button, or nothing when the pull request has no web address."""
    if task.pr_url is None or not is_web(task.pr_url) or len(task.pr_url) > _URL_MAX:
        return ()
    label, name = texts.say("button.open_pull_request"), texts.say("button_name.open_pull_request", ref=task.ref)
    return (Button(label=label, name=name, url=task.pr_url, style="primary"),)


def mark_merged(task: CodeTask, texts: Texts) -> Button:
    return Button(
        label=texts.say("button.mark_merged"),
        name=texts.say("button_name.mark_merged", ref=task.ref),
        value=value_of("merged", task.id or 0),
        confirm=texts.say("confirm.mark_merged", ref=task.ref),
    )


def decision_value(verb: Literal["approve", "refuse"], number: int, sha: str) -> str:
    """The value of a button that decides about one commit, and so about its tree and what it is based on."""
    return f"{value_of(verb, number)}-{sha[:CHANGE_MARK]}"


def approve(task: CodeTask, texts: Texts, sha: str) -> Button:
    return Button(
        label=texts.say("button.approve"),
        name=texts.say("button_name.approve", ref=task.ref),
        value=decision_value("approve", task.id or 0, sha),
        style="primary",
    )


def refuse(task: CodeTask, texts: Texts, sha: str) -> Button:
    return Button(
        label=texts.say("button.refuse"),
        name=texts.say("button_name.refuse", ref=task.ref),
        value=decision_value("refuse", task.id or 0, sha),
        style="danger",
    )


def action_of(command: Command) -> ButtonAction | None:
    """The press that does what the command says, where one can: a verb on one code task, without a text."""
    verb: ButtonVerb
    match command:
        case CancelTask(TaskId("CT", number)):
            verb = "cancel"
        case RetryTask(TaskId("CT", number), None):
            verb = "retry"
        case ShowTask(TaskId("CT", number)):
            verb = "details"
        case StatusOf(TaskId("CT", number)):
            verb = "status"
        case LogsOf(TaskId("CT", number), None):
            verb = "logs"
        case _:
            return None
    return ButtonAction(verb, number)


def confirmation(value: str, texts: Texts) -> tuple[str, str] | None:
    """What to ask before a press counts, and the label of "yes": for platforms whose buttons cannot ask by themselves.

    The same words as `Button.confirm`; None for a button that does not ask."""
    action = parse_button(value)
    if not isinstance(action, ButtonAction) or action.verb not in ("cancel", "merged"):
        return None
    name = "cancel" if action.verb == "cancel" else "mark_merged"
    ref = f"CT-{action.number}"
    if action.verb == "cancel":
        return _before_cancel(ref, action.other or 0, texts), texts.say("button_name.cancel", ref=ref)
    return texts.say(f"confirm.{name}", ref=ref), texts.say(f"button_name.{name}", ref=ref)
