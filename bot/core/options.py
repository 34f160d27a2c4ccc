"""Reading and writing the options of a filing: `--repo x`, `--repo=x`, `repo=x`, `repo:x`, `--仓库 x`, `仓库=x`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from bot.core.branches import is_branch
from bot.core.hygiene import clean
from bot.core.verbs import (
    FLAG_VALUES,
    FLAGS,
    FOLLOW_UP_FLAGS,
    BadFlag,
    Flag,
    FollowUpOptions,
    Options,
    PriorityName,
)

VALUE_MAX: Final = 200
NAME_MAX_BYTES: Final = 32

_DASH = "(?:--|－－|[\u2012-\u2015]+)"  # phones turn `--` into a dash
_FORCE: Final = re.compile(rf"{_DASH}(?=\s|$)")
_DASHED_ODD: Final = re.compile(rf"{_DASH}(?P<name>[A-Za-z]\S*)")
_VALUE: Final = re.compile(r"""["“”](?P<double>[^"“”]*)["“”]|['‘’](?P<single>[^'‘’]*)['‘’]|(?P<plain>\S+)""")
_SPACE: Final = re.compile(r"\s*")
_SLUG: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_ON: Final = frozenset({"true", "yes", "on", "1"})
_OFF: Final = frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True, slots=True)
class FlagTable:
    """The options that may stand at a place, and the patterns that find them."""

    of: Literal["task", "follow_up"]
    known: Mapping[str, Flag]
    offered: tuple[str, ...]
    dashed: re.Pattern[str]
    plain: re.Pattern[str]
    trailing: re.Pattern[str]

    @classmethod
    def build(cls, of: Literal["task", "follow_up"], flags: Sequence[Flag]) -> "FlagTable":
        """The table of some options, in their order."""
        known = {word: flag for flag in flags for word in (flag.name, flag.chinese)}
        offered = tuple(flag.name for flag in flags if flag.offered)
        chinese = "|".join(flag.chinese for flag in flags)
        taking = "|".join(word for word, flag in known.items() if flag.offered and not flag.switch)
        switches = "|".join(word for word, flag in known.items() if flag.offered and flag.switch)
        dashed = rf"{_DASH}(?P<name>[A-Za-z][\w-]*|{chinese})(?P<sep>[=:＝：]|(?=\s|$))"
        plain = (
            rf"(?P<name>{'|'.join(offered)})(?P<sep>[=:＝：])(?=\S)"
            # No colon here: 时间：or 名称：is how a Chinese description names its parts.
            rf"|(?P<chinese>{'|'.join(flag.chinese for flag in flags if flag.offered)})[=＝](?=\S)"
        )
        trailing = (
            rf"(?:^|(?<=\s)){_DASH}(?:"
            rf"(?P<name>{taking})(?:[=:＝：]|\s+)(?P<value>[\"“”][^\"“”\n]*[\"“”]|(?!{_DASH})[^\s\"“”]+)"
            rf"|(?P<switch>{switches}))\s*$"
        )
        compiled = [re.compile(one, re.IGNORECASE) for one in (plain, trailing)]
        return cls(of, known, offered, re.compile(dashed), *compiled)


FILING: Final = FlagTable.build("task", FLAGS)
FOLLOWING_UP: Final = FlagTable.build("follow_up", FOLLOW_UP_FLAGS)


@dataclass(slots=True)
class Given:
    """Options read so far, by name; `False` is a switch that was turned off."""

    table: FlagTable = FILING
    values: dict[str, str | bool] = field(default_factory=dict[str, str | bool])

    def take(self, flag: Flag, value: str | bool) -> BadFlag | None:
        if flag.name in self.values:
            return BadFlag(flag.name, "twice", of=self.table.of)
        self.values[flag.name] = value
        return None

    def text(self, name: str) -> str | None:
        """The value of an option that is no switch."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def follow_up_options(self) -> FollowUpOptions:
        missed: dict[str | None, Literal["run", "skip"]] = {"run": "run", "skip": "skip"}
        busy: dict[str | None, Literal["queue", "skip"]] = {"queue": "queue", "skip": "skip"}
        return FollowUpOptions(
            agent=self.text("agent"),
            remind=self.values.get("remind") is True,
            if_missed=missed.get(self.text("if-missed")),
            if_busy=busy.get(self.text("if-busy")),
            title=self.text("title"),
        )

    def options(self) -> Options:
        text = self.text
        priority = text("priority")
        levels: dict[str, PriorityName] = {"low": "low", "normal": "normal", "high": "high"}
        return Options(
            repo=text("repo"),
            base=text("base"),
            agent=text("agent"),
            priority=levels[priority] if priority is not None else None,
            name=text("name"),
            draft=self.values.get("draft") is True,
        )


def read_option(name: str, value: str) -> str | bool | BadFlag:
    """The value of one option that was given by itself (a form, HTTP, the command line), as it will be used."""
    return _check(FILING.known[name], clean(value).strip())


def force_mark(text: str, start: int = 0) -> int | None:
    """Where the text after a leading `--` starts, or None when there is none at `start`."""
    mark = _FORCE.match(text, start)
    return mark.end() if mark else None


def read_leading(text: str, given: Given) -> int | BadFlag:
    """Reads the options at the start into `given`; answers where the rest starts (at a `--` if one follows)."""
    at, table = 0, given.table
    while True:
        at = _skip(text, at)
        dashed = table.dashed.match(text, at)
        plain = None if dashed else table.plain.match(text, at)
        found = dashed or plain
        if found is None:
            odd = _DASHED_ODD.match(text, at)
            return _unknown(clean(odd["name"]), table) if odd else at
        named = found.groupdict()
        name = (named["name"] or named["chinese"]).lower()
        flag = table.known.get(name)
        if flag is None or not flag.offered:
            return _unknown(name, table)
        attached = bool(named["sep"] or plain)
        after = _read_one(text, found.end(), attached, flag, given)
        if isinstance(after, BadFlag):
            return after
        at = after


def read_trailing(text: str, given: Given) -> str | BadFlag:
    """Takes known `--name value` options off the end into `given`; answers the text before them."""
    while (found := given.table.trailing.search(text)) is not None:
        name = (found["name"] or found["switch"]).lower()
        flag = given.table.known[name]
        value = True if flag.switch else _check(flag, _unquoted(found["value"]), given.table.of)
        bad = value if isinstance(value, BadFlag) else given.take(flag, value)
        if bad is not None:
            return bad
        text = text[: found.start()].rstrip()
    return text


def render_options(options: Options) -> str:
    """The options as text that reads back to the same, empty when none is set."""
    words = [
        f"--{name}={value}"
        for name in ("repo", "base", "agent", "priority", "name")
        if (value := getattr(options, name)) is not None
    ]
    if options.draft:
        words.append("--draft")
    return " ".join(words)


def render_follow_up_options(options: FollowUpOptions) -> str:
    """The options as text that reads back to the same, empty when none is set."""
    given = (("agent", options.agent), ("if-missed", options.if_missed), ("if-busy", options.if_busy))
    words = [f"--{name}={value}" for name, value in given if value is not None]
    if options.title is not None:
        quote = "'" if re.search(r'["“”]', options.title) else '"'
        words.append(f"--title={quote}{options.title}{quote}")
    return " ".join([*words, "--remind"] if options.remind else words)


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _unknown(name: str, table: FlagTable) -> BadFlag:
    known = table.known.get(name.lower())
    name = known.name if known is not None else name
    why = "unknown" if known is None or known.offered else "not_yet"
    return BadFlag(name[:40], why, table.offered, table.of)


def _read_one(text: str, at: int, attached: bool, flag: Flag, given: Given) -> int | BadFlag:
    """Reads the value of `flag` at `at` and answers where the next word starts."""
    if flag.switch and not attached:
        return given.take(flag, True) or at
    at = at if attached else _skip(text, at)
    found = _VALUE.match(text, at)
    if found is None or (not attached and re.match(_DASH, found.group())):
        return BadFlag(flag.name, "missing", flag.values, given.table.of)
    value = _check(flag, _unquoted(found.group()), given.table.of)
    if isinstance(value, BadFlag):
        return value
    return given.take(flag, value) or found.end()


def _unquoted(raw: str) -> str:
    found = _VALUE.fullmatch(raw)
    inner = raw if found is None else next((part for part in found.groups() if part is not None), raw)
    return clean(inner).strip()


def _check(flag: Flag, value: str, of: Literal["task", "follow_up"] = "task") -> str | bool | BadFlag:
    """The value as it will be used, or what is wrong with it."""
    if not value:
        return BadFlag(flag.name, "missing", flag.values, of)
    value = FLAG_VALUES.get(value, value) if flag.values or flag.switch else value
    if flag.switch:
        folded = value.casefold()
        return folded in _ON if folded in _ON | _OFF else BadFlag(flag.name, "value", ("true", "false"), of)
    if flag.values:
        return value.casefold() if value.casefold() in flag.values else BadFlag(flag.name, "value", flag.values, of)
    if flag.name == "title":
        value = " ".join(value.split())
        good = len(value) <= VALUE_MAX and not (re.search(r'["“”]', value) and re.search(r"['‘’]", value))
    elif flag.name == "name":
        good = _SLUG.fullmatch(value) and len(value) <= NAME_MAX_BYTES
    elif flag.name == "base":
        good = len(value) <= VALUE_MAX and is_branch(value)
    else:
        good = len(value) <= VALUE_MAX and not re.search("[\\s\"'“”‘’]|^[-\u2012-\u2015]", value)
    return value if good else BadFlag(flag.name, "value", of=of)
