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

from bot.core.hygiene import clean, count_hidden, is_blank
from bot.core.options import Given, force_mark, read_leading, read_trailing, render_options
from bot.core.verbs import (
    FILTERS,
    FLAGS,
    OFFERED,
    OFFERED_FLAGS,
    SETTING_KEYS,
    SHOWN_FILTERS,
    VERBS,
    BadFlag,
    CancelTask,
    Command,
    Empty,
    FileTask,
    Flag,
    Help,
    Kind,
    ListFilter,
    ListTasks,
    LogsOf,
    NearMiss,
    NotYet,
    Options,
    Parsed,
    RetryTask,
    Send,
    ShowTask,
    StatusOf,
    Target,
    TaskId,
    TaskName,
    TaskWord,
    ThisThread,
    Verb,
    WhoAmI,
)
from bot.core.words import (
    CHINESE_VERBS,
    END_MARKS,
    VERBS_BY_WORD,
    WIDE,
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

__all__ = [
    "FILTERS",
    "FLAGS",
    "OFFERED",
    "OFFERED_FLAGS",
    "VERBS",
    "Accepted",
    "BadFlag",
    "CancelTask",
    "Command",
    "Empty",
    "FileTask",
    "Flag",
    "Help",
    "Kind",
    "ListFilter",
    "ListTasks",
    "LogsOf",
    "NearMiss",
    "NotYet",
    "Options",
    "Parsed",
    "RetryTask",
    "Send",
    "ShowTask",
    "StatusOf",
    "Target",
    "TaskId",
    "TaskName",
    "TaskWord",
    "ThisThread",
    "TooLong",
    "TooShort",
    "Verb",
    "WhoAmI",
    "check_description",
    "normalise",
    "parse",
    "read_target",
    "render",
]

_DOOR: Final = re.compile(r"[/!@／！＠]codetask(?=\s|$|[:：,，])[:：,，]?\s*", re.IGNORECASE)
_ID: Final = re.compile(r"(?:(?P<kind>ct|fu|rq)[-_]?|#)?(?P<number>\d{1,9})(?:#(?P<run>\d{1,4}))?", re.ASCII)
_NAME: Final = re.compile(r"(?:[\w.-]{1,64}/)?[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_NAME_LONGEST: Final = 101  # requester (64) / uuid (36)
_TIME_START: Final = re.compile(
    r"\d|(?:in|at|on|next|this|tomorrow|today|tonight|noon|midnight|(?:mon|tues?|wed|thu|fri|sat|sun)\w*)$"
    r"|今[天日晚早]|明[天日晚早]|大?后天|[下本这]个?(?:周|星期|礼拜|月)|(?:周|星期|礼拜)[一二三四五六日天末\d]"
    r"|早上|上午|中午|下午|晚上|半夜|半个?小时|[一二两三四五六七八九十]+个?(?:秒|分钟|刻钟|小时|天|周|星期|月|点)"
)
_POLITE: Final = frozenset({"please", "pls", "plz", "请", "谢谢", "吧"})
_WITH: Final = frozenset({"with", WITH_CHINESE})
_VERBS_BY_NAME: Final = {verb.name: verb for verb in VERBS}
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


@dataclass(frozen=True, slots=True)
class _Context:
    text: str
    in_task_thread: bool
    default_kind: Kind


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
    context = _Context(body, in_task_thread, default_kind)
    words = split_words(body)
    found = _verb_form(words, context)
    if found is not None:
        return _offer(*found, offered)
    return _text_form(words, context, offered)


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
        case Help(verb):
            return form("help", _VERBS_BY_NAME[verb].words(language)[0] if verb else "")
        case WhoAmI():
            return form("whoami")
        case _:
            assert_never(command)


def read_target(word: str, default_kind: Kind = "CT") -> TaskId | TaskName | None:
    """The id or name that a single word stands for (`12`, `#12`, `CT-12`, a name, `requester/name`, a uuid)."""
    words = split_words(normalise(word))
    return _target(words[0], default_kind) if len(words) == 1 else None


def _text_form(words: list[Word], context: _Context, offered: frozenset[str]) -> Parsed:
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


def _offer(verb: str, command: Command | None, offered: frozenset[str]) -> Parsed:
    """The command, unless this version does not offer the verb or the kind of its id."""
    if command is None or verb not in offered:
        return NotYet(verb)
    target = getattr(command, "id", None)
    needs = _KIND_NOT_YET.get(target.kind) if isinstance(target, TaskId) else None
    return NotYet(needs) if needs is not None and needs not in offered else command


def _verb_form(words: list[Word], context: _Context) -> tuple[str, Command | None] | None:
    """The verb and its command (None when the verb has no command yet), or None when the text is no verb form."""
    if words[0].bare in ("--help", "-h") and len(words) == 1:
        return "help", Help()
    found = split_verb(words)
    return None if found is None else _build(*found, context)


def _build(verb: Verb, rest: list[Word], context: _Context) -> tuple[str, Command | None] | None:
    match verb.shape:
        case "alone":
            return None if rest else (verb.name, WhoAmI() if verb.name == "whoami" else None)
        case "filter":
            return _build_list(verb, rest)
        case "verb":
            if not rest:
                return verb.name, Help()
            about = VERBS_BY_WORD.get(rest[0].bare) if len(rest) == 1 else None
            return None if about is None else (verb.name, Help(about.name))
        case "target":
            return _build_target(verb, rest, context)
        case "retry":
            return _build_retry(verb, rest, context)
        case "send" | "edit":
            return _build_send(verb, rest, context)
        case "when":
            return (verb.name, None) if not rest or _TIME_START.match(rest[0].bare) else None
        case "setting":
            fits = not rest or (len(rest) <= 3 and rest[0].bare in SETTING_KEYS)
            return (verb.name, None) if fits else None
        case _:
            assert_never(verb.shape)


def _build_list(verb: Verb, rest: list[Word]) -> tuple[str, Command] | None:
    if not rest:
        return verb.name, ListTasks()
    chosen = FILTERS.get(rest[0].bare.removeprefix("--"))
    return (verb.name, ListTasks(chosen)) if chosen is not None and len(rest) == 1 else None


def _build_target(verb: Verb, rest: list[Word], context: _Context) -> tuple[str, Command | None] | None:
    rest = [word for word in rest if word.bare not in _POLITE]
    if len(rest) > 1:
        return None
    target = _target(rest[0], context.default_kind) if rest else ThisThread()
    if target is None:
        return None
    run = _run_of(rest[0]) if rest else None
    if run is not None and verb.name != "logs":
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
        case _:
            return None


def _build_retry(verb: Verb, rest: list[Word], context: _Context) -> tuple[str, Command] | None:
    target: Target | None = ThisThread()
    rest = [part for word in rest[:2] for part in split_with(word)] + rest[2:]
    if rest and rest[0].folded not in _WITH:
        plain = len([word for word in rest if word.bare not in _POLITE]) == 1
        target = _target(rest[0], context.default_kind, names="any" if plain else "clear")
        if target is None or _run_of(rest[0]) is not None:
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


def _build_send(verb: Verb, rest: list[Word], context: _Context) -> tuple[str, Command | None] | None:
    if not rest:
        return None
    target = _target(rest[0], context.default_kind, names="clear")
    text = context.text[rest[0].end :].strip()
    if target is not None and not is_blank(text):
        return verb.name, Send(target, text) if verb.name == "send" else None
    if verb.name == "send" and context.in_task_thread:
        return verb.name, Send(ThisThread(), context.text[rest[0].start :].strip())
    return None


def _target(word: Word, default_kind: Kind, names: str = "any") -> TaskId | TaskName | None:
    """`names`: `any` takes every name, `clear` only those that no ordinary word looks like."""
    found = _ID.fullmatch(word.bare)
    if found:
        kinds: dict[str, Kind] = {"ct": "CT", "fu": "FU", "rq": "RQ"}
        return TaskId(kinds.get(found["kind"] or "", default_kind), int(found["number"]))
    name = clean(word.raw).translate(WIDE).rstrip(END_MARKS)
    if len(name) > _NAME_LONGEST or not _NAME.fullmatch(name):
        return None
    return TaskName(name) if names == "any" or re.search(r"[-/0-9]", name) else None


def _run_of(word: Word) -> int | None:
    found = _ID.fullmatch(word.bare)
    return int(found["run"]) if found and found["run"] else None


def _is_prefixed(word: Word) -> bool:
    found = _ID.fullmatch(word.bare)
    return bool(found and found["kind"])


def _near_miss(words: list[Word], context: _Context, offered: frozenset[str]) -> NearMiss | None:
    """A misspelt verb whose rest fits (`cancle 42`, `取肖42`), a misspelt filter, or more words than the verb takes."""
    split = split_verb(words)
    found: tuple[str, Command | None] | None = None
    if split is not None:
        found = _too_many(*split, context) if split[0].name in offered else None
    else:
        candidates = sorted((distance, name) for name, distance in _close_verbs(words[0].bare, offered))
        built = [_build(VERBS_BY_WORD[name], words[1:], context) for _, name in candidates]
        built += [_build(verb, rest, context) for verb, rest in _close_chinese(without_ask(words), offered)]
        found = next((form for form in built if form is not None and _is_sure(form[1])), None)
    if found is None or found[1] is None:
        return None
    return NearMiss(render(found[1]), found[1], context.text)


def _close_chinese(words: list[Word], offered: frozenset[str]) -> Iterator[tuple[Verb, list[Word]]]:
    """Chinese verbs of which one character is wrong, where an id follows or nothing may."""
    first = words[0]
    for alias, verb in CHINESE_VERBS.items():
        start = first.folded[: len(alias)]
        if verb.name in offered and len(start) == len(alias) and not start.isascii() and _distance(start, alias) == 1:
            rest = [*glued(first, len(alias)), *words[1:]]
            takes_id = verb.shape in ("target", "retry")
            if not takes_id or (rest and _ID.fullmatch(rest[0].bare)):
                yield verb, rest


def _is_sure(command: Command | None) -> bool:
    return command is not None and not isinstance(getattr(command, "id", None), TaskName)


def _too_many(verb: Verb, rest: list[Word], context: _Context) -> tuple[str, Command | None] | None:
    if verb.shape == "filter" and len(rest) == 1:
        close = [name for name in FILTERS if _is_close_filter(rest[0].bare, name)]
        return (verb.name, ListTasks(FILTERS[close[0]])) if close else None
    sure = bool(rest) and (_is_prefixed(rest[0]) or (len(rest) > 1 and all(_ID.fullmatch(word.bare) for word in rest)))
    target = _target(rest[0], context.default_kind) if sure else None
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
