"""Text to command: the grammar of every chat door (UX rules 3), and the check of a description.

A first word is a verb only when the rest has that verb's shape: `cancel 42` cancels, "cancel button does nothing on
iOS" is filed. A leading `--` forces text. Options stand before the text, or at its very end as `--name value`. Chinese
verbs need no space after them: `取消42`, `请取消42吧`, `重试42附言换成制表符`.
Everything a caller needs (the table, the values) can be imported from here.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from bot.core import followup_commands, setting_commands
from bot.core.hygiene import clean, count_hidden, is_blank
from bot.core.options import (
    Given,
    force_mark,
    read_leading,
    read_trailing,
    render_follow_up_options,
    render_options,
)
from bot.core.targets import ID, POLITE, Context, is_prefixed, only_target, run_of, target_of
from bot.core.verbs import (
    FILTERS,
    FLAGS,
    OFFERED,
    OFFERED_FLAGS,
    SETTING_KEYS,
    SETTING_WORDS,
    SHOWN_FILTERS,
    SHOWN_FOLLOW_UP_FILTERS,
    VERBS,
    BadFlag,
    CancelTask,
    ChangeFollowUp,
    Command,
    DeleteFollowUp,
    EditText,
    Empty,
    FileTask,
    Flag,
    FollowUpOptions,
    Help,
    Kind,
    ListFilter,
    ListFollowUps,
    ListSuggestions,
    ListTasks,
    LogsOf,
    NearMiss,
    NotYet,
    Options,
    Parsed,
    RetryTask,
    RunNow,
    Send,
    SetFollowUp,
    Setting,
    ShowTask,
    StatusOf,
    Stop,
    Target,
    TaskId,
    TaskName,
    TaskWord,
    ThisThread,
    Top,
    Undo,
    Verb,
    WhoAmI,
)
from bot.core.words import (
    CHINESE_VERBS,
    VERBS_BY_WORD,
    WITH_CHINESE,
    Word,
    glued,
    split_verb,
    split_with,
    split_words,
    without_ask,
)

if TYPE_CHECKING:
    from bot.core.inbound import Door

_Form = tuple[str, Command | BadFlag | None]
"""The verb and its command; None when the verb has no command yet."""

__all__ = [
    "FILTERS",
    "FLAGS",
    "OFFERED",
    "OFFERED_FLAGS",
    "VERBS",
    "Accepted",
    "BadFlag",
    "CancelTask",
    "ChangeFollowUp",
    "Command",
    "DeleteFollowUp",
    "EditText",
    "Empty",
    "FileTask",
    "Flag",
    "FollowUpOptions",
    "Help",
    "Kind",
    "ListFilter",
    "ListFollowUps",
    "ListSuggestions",
    "ListTasks",
    "LogsOf",
    "NearMiss",
    "NotYet",
    "Options",
    "Parsed",
    "RetryTask",
    "RunNow",
    "Send",
    "SetFollowUp",
    "Setting",
    "ShowTask",
    "StatusOf",
    "Stop",
    "Target",
    "TaskId",
    "TaskName",
    "TaskWord",
    "ThisThread",
    "TooLong",
    "TooShort",
    "Top",
    "Undo",
    "Verb",
    "WhoAmI",
    "check_description",
    "normalise",
    "parse",
    "parse_follow_up",
    "read_target",
    "render",
]

_DOOR: Final = re.compile(r"[/!@／！＠]codetask(?=\s|$|[:：,，])[:：,，]?\s*", re.IGNORECASE)
_FOLLOW_UP_DOOR: Final = re.compile(r"[/!／！]followup(?=\s|$|[:：,，])[:：,，]?\s*", re.IGNORECASE)
_WITH: Final = frozenset({"with", WITH_CHINESE})
_VERBS_BY_NAME: Final = {verb.name: verb for verb in VERBS}
_ALONE: Final[dict[str, Command]] = {"whoami": WhoAmI(), "top": Top(), "suggestions": ListSuggestions()}
_KIND_NOT_YET: Final[dict[Kind, str]] = {"FU": "followups", "RQ": "suggestions"}


@dataclass(frozen=True, slots=True)
class Accepted:
    """A description fit to store. `removed_hidden` counts the invisible characters taken out; tell the person."""

    text: str
    removed_hidden: int


@dataclass(frozen=True, slots=True)
class TooShort:
    """Fewer than 10 characters."""


@dataclass(frozen=True, slots=True)
class TooLong:
    """More than 8,000 characters; `length` is how many it has."""

    length: int


def check_description(text: str) -> Accepted | TooShort | TooLong:
    """The description as it is stored: without invisible characters, in NFC, trimmed, 10 to 8,000 code points."""
    # Not at the top: the entity pulls in SQLModel, and `codetask --help` reads this module's table.
    from bot.core.tasks import DESCRIPTION_MAX, DESCRIPTION_MIN

    kept = clean(text).strip()
    if len(kept) < DESCRIPTION_MIN:
        return TooShort()
    if len(kept) > DESCRIPTION_MAX:
        return TooLong(len(kept))
    return Accepted(kept, count_hidden(text))


def normalise(text: str) -> str:
    """NFC, newline as line end, trimmed. Doing it twice changes nothing."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def parse(
    text: str,
    *,
    door: "Door",
    in_task_thread: bool,
    default_kind: Kind = "CT",
    offered: frozenset[str] = OFFERED,
) -> Parsed:
    """What a person meant by `text`. Never raises, whatever the text.

    `door`: texts of `shortcut` and `menu` are other people's messages, so they are filed and never read for verbs.
    `in_task_thread`: the thread belongs to a code task, so a verb may come without an id and plain text is a `Send`.
    `default_kind` is what a bare number means. `offered` names the verbs this version answers.
    """
    body = normalise(text)
    if door in ("shortcut", "menu"):
        return Empty() if is_blank(body) else FileTask(body)
    body = _DOOR.sub("", body, count=1) if _DOOR.match(body) else body
    if is_blank(body):
        return Empty()
    context = Context(body, in_task_thread, default_kind)
    words = split_words(body)
    found = _verb_form(words, context)
    if found is not None:
        return _offer(*found, offered)
    following_up = _other_door(words, body)
    return following_up if following_up is not None else _text_form(words, context, offered)


def render(command: FileTask | Command, language: str = "en") -> str:
    """The command in its canonical form; parsing it (with all verbs offered, in a task thread) gives it back."""

    def form(verb: str, *rest: object) -> str:
        return " ".join(part for part in (_VERBS_BY_NAME[verb].words(language)[0], *map(str, rest)) if part)

    match command:
        case FileTask(text, options):
            return " ".join(part for part in (render_options(options), "--", text) if part)
        case ListTasks(chosen):
            shown = SHOWN_FILTERS.get(language, {}).get(chosen, chosen)
            return form("list", "" if chosen == "open" else shown)
        case ShowTask(id):
            return form("show", id)
        case StatusOf(id):
            return form("status", id)
        case LogsOf(id, run):
            return form("logs", id) + ("" if run is None else f"#{run}")
        case CancelTask(id):
            return form("cancel", id)
        case RetryTask(id, instruction):
            joint = WITH_CHINESE if language == "zh" else "with"
            return form("retry", id) + ("" if instruction is None else f" {joint} {instruction}")
        case Send(id, text):
            return form("send", id, text) if str(id) else f"-- {text}"
        case Stop(id):
            return form("stop", id)
        case Undo(id):
            return form("undo", id)
        case EditText(id, text):
            return form("edit", id, text)
        case Top():
            return form("top")
        case ListSuggestions():
            return form("suggestions")
        case SetFollowUp(text, options, what):
            return form("later", render_follow_up_options(options), text, what or "")
        case ListFollowUps(which):
            shown = SHOWN_FOLLOW_UP_FILTERS.get(language, {}).get(which, which)
            return form("followups", "" if which == "open" else shown)
        case RunNow(id):
            return form("run", id)
        case ChangeFollowUp(id, when):
            return form("change", id, when)
        case DeleteFollowUp(id):
            return form("delete", id)
        case Setting(key, value):
            return form("settings", key or "", value or "")
        case Help(verb):
            return form("help", _VERBS_BY_NAME[verb].words(language)[0] if verb else "")
        case WhoAmI():
            return form("whoami")
        case _:
            assert_never(command)


def read_target(word: str, default_kind: Kind = "CT") -> TaskId | TaskName | None:
    """The id or name that a single word stands for (`12`, `#12`, `CT-12`, a name, `requester/name`, a uuid)."""
    words = split_words(normalise(word))
    return target_of(words[0], default_kind) if len(words) == 1 else None


def parse_follow_up(text: str) -> Parsed:
    """What a person meant by `text` at the door `/followup`, where a bare number is a follow-up and what is no command
    is a time and what to do then. Never raises; nothing of it is a code task."""
    body = normalise(text)
    body = _FOLLOW_UP_DOOR.sub("", body, count=1) if _FOLLOW_UP_DOOR.match(body) else body
    if is_blank(body):
        return Empty()
    context, words = Context(body, False, "FU"), split_words(body)
    split = split_verb(words)
    found = _verb_form(words, context)
    if split is not None and split[0].name == "list":
        found = _named(split[0], followup_commands.build_list(split[1]))
    if found is not None:
        return _offer(*found, OFFERED)
    wish = followup_commands.read_wish(body)
    if isinstance(wish, BadFlag) or followup_commands.reads_as_time(wish.text):
        return wish
    miss = _near_miss(words, context, OFFERED)
    return miss if miss is not None and getattr(miss.meant, "id", None) is not None else wish


def _other_door(words: list[Word], body: str) -> Parsed | None:
    """`followup tomorrow 9am ...` behind a mention, where a platform has no slash commands; None when the rest does
    not read as a command of follow-ups: "followup emails are late" is a request."""
    if words[0].bare.lstrip("/!") != "followup":
        return None
    meant = parse_follow_up(body[words[0].end :])
    if words[0].bare != "followup":
        return meant
    if isinstance(meant, SetFollowUp):
        return meant if followup_commands.reads_as_time(meant.text) else None
    return None if isinstance(meant, BadFlag | NearMiss | FileTask | NotYet) else meant


def _text_form(words: list[Word], context: Context, offered: frozenset[str]) -> Parsed:
    """The text is no verb form: a near miss, a message to the thread's agent, or a new code task."""
    given = Given()
    at = read_leading(context.text, given)
    if isinstance(at, BadFlag):
        return at
    forced = force_mark(context.text, at)
    if not given.values and forced is None:
        if words[0].bare in ("task", "tasks", "任务") and not context.in_task_thread:
            return TaskWord(context.text)
        miss = _near_miss(words, context, offered)
        if miss is not None:
            return miss
    rest = context.text[at if forced is None else forced :].strip()
    text = rest if forced is not None else read_trailing(rest, given)
    if isinstance(text, BadFlag):
        return text
    if context.in_task_thread and not given.values and text:
        return _offer("send", Send(ThisThread(), text), offered)
    return FileTask(text, given.options())


def _offer(verb: str, command: Command | BadFlag | None, offered: frozenset[str]) -> Parsed:
    """The command, unless this version does not offer the verb or the kind of its id."""
    if command is None or (verb not in offered and not isinstance(command, DeleteFollowUp)):
        return NotYet(verb)
    target = getattr(command, "id", None)
    needs = _KIND_NOT_YET.get(target.kind) if isinstance(target, TaskId) else None
    return NotYet(needs) if needs is not None and needs not in offered else command


def _verb_form(words: list[Word], context: Context) -> _Form | None:
    """The verb and its command (None when the verb has no command yet), or None when the text is no verb form."""
    if words[0].bare in ("--help", "-h") and len(words) == 1:
        return "help", Help()
    found = split_verb(words)
    return None if found is None else _build(*found, context)


def _build(verb: Verb, rest: list[Word], context: Context) -> _Form | None:
    match verb.shape:
        case "alone" if verb.name == "followups":
            return _named(verb, followup_commands.build_list(rest))
        case "alone":
            return None if rest else (verb.name, _ALONE.get(verb.name))
        case "filter":
            return _build_list(verb, rest)
        case "verb":
            if not rest:
                return verb.name, Help()
            about = VERBS_BY_WORD.get(rest[0].bare) if len(rest) == 1 else None
            return None if about is None else (verb.name, Help(about.name))
        case "target" if verb.name == "run":
            return _named(verb, followup_commands.build_run(rest))
        case "target":
            return _build_target(verb, rest, context)
        case "retry":
            return _build_retry(verb, rest, context)
        case "edit" if verb.name == "change":
            return _named(verb, followup_commands.build_change(rest, context))
        case "send" | "edit":
            return _build_send(verb, rest, context)
        case "when":
            return _named(verb, followup_commands.build_later(rest, context))
        case "setting":
            return _build_setting(verb, rest, context)
        case _:
            assert_never(verb.shape)


def _named(verb: Verb, read: Command | BadFlag | None) -> _Form | None:
    return None if read is None else (verb.name, read)


def _build_setting(verb: Verb, rest: list[Word], context: Context) -> _Form | None:
    found = setting_commands.build_setting(rest, context)
    if found is not None:
        return verb.name, found
    return (verb.name, None) if len(rest) <= 3 and rest[0].bare in SETTING_KEYS - SETTING_WORDS.keys() else None


def _build_list(verb: Verb, rest: list[Word]) -> _Form | None:
    if not rest:
        return verb.name, ListTasks()
    chosen = FILTERS.get(rest[0].bare.removeprefix("--"))
    return (verb.name, ListTasks(chosen)) if chosen is not None and len(rest) == 1 else None


def _build_target(verb: Verb, rest: list[Word], context: Context) -> _Form | None:
    if verb.name == "delete":
        command = followup_commands.build_delete(rest, context)
        fits = command is not None or only_target(rest, context.default_kind, "clear") is not None
        return (verb.name, command) if fits else None
    target = only_target(rest, context.default_kind)
    run = run_of(rest[0]) if rest else None
    if target is None or (run is not None and verb.name != "logs"):
        return None
    return verb.name, _target_command(verb.name, target, run)


def _target_command(verb: str, target: Target, run: int | None) -> Command | None:
    match verb:
        case "show":
            return ShowTask(target)
        case "status":
            return StatusOf(target)
        case "logs":
            return LogsOf(target, run)
        case "cancel":
            return CancelTask(target)
        case "stop":
            return Stop(target)
        case "undo":
            return Undo(target)
        case "run":
            return RunNow(target)
        case _:
            return None


def _build_retry(verb: Verb, rest: list[Word], context: Context) -> _Form | None:
    target: Target | None = ThisThread()
    rest = [part for word in rest[:2] for part in split_with(word)] + rest[2:]
    if rest and rest[0].folded not in _WITH:
        plain = len([word for word in rest if word.bare not in POLITE]) == 1
        target = target_of(rest[0], context.default_kind, names="any" if plain else "clear")
        if target is None or run_of(rest[0]) is not None:
            return None
        rest = [] if plain else rest[1:]
    elif rest and not context.in_task_thread:
        return None  # "retry with backoff in the uploader" is a request, not a verb
    if not rest:
        return verb.name, RetryTask(target)
    text = context.text[rest[0].end :].strip()
    if rest[0].folded not in _WITH or is_blank(text):
        return None
    return verb.name, RetryTask(target, text)


def _build_send(verb: Verb, rest: list[Word], context: Context) -> _Form | None:
    if not rest:
        return None
    target = target_of(rest[0], context.default_kind, names="clear")
    text = context.text[rest[0].end :].strip()
    if target is not None and not is_blank(text):
        return verb.name, Send(target, text) if verb.name == "send" else EditText(target, text)
    if verb.name == "send" and context.in_task_thread:
        return verb.name, Send(ThisThread(), context.text[rest[0].start :].strip())
    return None


def _near_miss(words: list[Word], context: Context, offered: frozenset[str]) -> NearMiss | None:
    """A misspelt verb whose rest fits (`cancle 42`, `取肖42`), a misspelt filter, or more words than the verb takes."""
    split = split_verb(words)
    found: _Form | None = None
    if split is not None:
        found = _too_many(*split, context) if split[0].name in offered else None
    else:
        candidates = sorted((distance, name) for name, distance in _close_verbs(words[0].bare, offered))
        built = [_build(VERBS_BY_WORD[name], words[1:], context) for _, name in candidates]
        built += [_build(verb, rest, context) for verb, rest in _close_chinese(without_ask(words), offered)]
        found = next((form for form in built if form is not None and _is_sure(form[1])), None)
    if found is None or found[1] is None or isinstance(found[1], BadFlag):
        return None
    return NearMiss(render(found[1]), found[1], context.text)


def _close_chinese(words: list[Word], offered: frozenset[str]) -> Iterator[tuple[Verb, list[Word]]]:
    """Chinese verbs of which one character is wrong, where an id follows or nothing may."""
    first = words[0]
    for alias, verb in CHINESE_VERBS.items():
        start = first.folded[: len(alias)]
        if verb.name in offered and len(start) == len(alias) and not start.isascii() and _distance(start, alias) == 1:
            rest = [*glued(first, len(alias)), *words[1:]]
            takes_id = verb.shape in ("target", "retry", "edit")
            if not takes_id or (rest and ID.fullmatch(rest[0].bare)):
                yield verb, rest


def _is_sure(command: Command | BadFlag | None) -> bool:
    return not (command is None or isinstance(command, BadFlag) or isinstance(getattr(command, "id", None), TaskName))


def _too_many(verb: Verb, rest: list[Word], context: Context) -> _Form | None:
    if verb.shape == "filter" and len(rest) == 1:
        close = [name for name in FILTERS if _is_close_filter(rest[0].bare, name)]
        return (verb.name, ListTasks(FILTERS[close[0]])) if close else None
    sure = bool(rest) and (is_prefixed(rest[0]) or (len(rest) > 1 and all(ID.fullmatch(word.bare) for word in rest)))
    target = target_of(rest[0], context.default_kind) if sure else None
    if target is None:
        return None
    if verb.shape == "retry":
        text = context.text[rest[0].end :].strip()
        return verb.name, RetryTask(target, None if is_blank(text) else text)
    return (verb.name, _target_command(verb.name, target, None)) if verb.shape == "target" else None


def _is_close_filter(word: str, name: str) -> bool:
    long_enough = len(name) > 3 if name.isascii() else len(name) > 1 and len(name) == len(word)
    return long_enough and _distance(word, name) == 1


def _close_verbs(word: str, offered: frozenset[str]) -> list[tuple[str, int]]:
    limit = 1 if len(word) <= 5 else 2
    if not 3 <= len(word) <= 10 or not word.isascii():
        return []
    names = [verb.name for verb in VERBS if verb.name in offered]
    return [(name, distance) for name in names if 0 < (distance := _distance(word, name)) <= limit]


def _distance(left: str, right: str) -> int:
    """Edit distance in which swapping two neighbours counts as one step."""
    if abs(len(left) - len(right)) > 2:
        return 3
    older: list[int] = []
    old = list(range(len(right) + 1))
    for row, a in enumerate(left, 1):
        new = [row]
        for column, b in enumerate(right, 1):
            cost = min(old[column] + 1, new[column - 1] + 1, old[column - 1] + (a != b))
            if row > 1 and column > 1 and a == right[column - 2] and left[row - 2] == b:
                cost = min(cost, older[column - 2] + 1)
            new.append(cost)
        older, old = old, new
    return old[-1]
