"""What a command is about: the id, the name or the uuid that one word stands for."""

import re
from dataclasses import dataclass
from typing import Final

from bot.core.hygiene import clean
from bot.core.verbs import Kind, Target, TaskId, TaskName, ThisThread
from bot.core.words import END_MARKS, WIDE, Word

ID: Final = re.compile(r"(?:(?P<kind>ct|fu|rq)[-_]?|#)?(?P<number>\d{1,9})(?:#(?P<run>\d{1,4}))?", re.ASCII)
_TOO_LARGE: Final = re.compile(r"(?:ct|fu|rq)[-_]?\d{10,40}", re.ASCII)
_NAME: Final = re.compile(r"(?:[\w.-]{1,64}/)?[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_NAME_LONGEST: Final = 101  # requester (64) / uuid (36)
POLITE: Final = frozenset({"please", "pls", "plz", "请", "谢谢", "吧"})


@dataclass(frozen=True, slots=True)
class Context:
    """The text that is read, and where: `default_kind` is what a bare number means."""

    text: str
    in_task_thread: bool
    default_kind: Kind


def target_of(word: Word, default_kind: Kind, names: str = "any") -> TaskId | TaskName | None:
    """`names`: `any` takes every name, `clear` only those that no ordinary word looks like."""
    found = ID.fullmatch(word.bare)
    if found:
        kinds: dict[str, Kind] = {"ct": "CT", "fu": "FU", "rq": "RQ"}
        return TaskId(kinds.get(found["kind"] or "", default_kind), int(found["number"]))
    if _TOO_LARGE.fullmatch(word.bare):  # no id, and nobody means a request by it: unknown, as a name is
        return TaskName(word.bare)
    name = clean(word.raw).translate(WIDE).rstrip(END_MARKS)
    if len(name) > _NAME_LONGEST or not _NAME.fullmatch(name):
        return None
    return TaskName(name) if names == "any" or re.search(r"[-/0-9]", name) else None


def only_target(rest: list[Word], default_kind: Kind, names: str = "any") -> Target | None:
    """The target when the words are one id, or none at all; polite words do not count."""
    rest = [word for word in rest if word.bare not in POLITE]
    if len(rest) > 1:
        return None
    return target_of(rest[0], default_kind, names) if rest else ThisThread()


def run_of(word: Word) -> int | None:
    """The 2 of `CT-42#2`."""
    found = ID.fullmatch(word.bare)
    return int(found["run"]) if found and found["run"] else None


def is_prefixed(word: Word) -> bool:
    """Whether the id says its kind."""
    found = ID.fullmatch(word.bare)
    return bool(found and found["kind"])
