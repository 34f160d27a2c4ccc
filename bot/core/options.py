"""Reading and writing the options of a filing: `--repo x`, `--repo=x`, `repo=x`, `repo:x`, `--仓库 x`, `仓库=x`."""

import re
from dataclasses import dataclass, field
from typing import Final

from bot.core.hygiene import clean
from bot.core.verbs import FLAG_VALUES, FLAGS, OFFERED_FLAGS, BadFlag, Flag, Options, PriorityName

VALUE_MAX: Final = 200
NAME_MAX_BYTES: Final = 32

_KNOWN: Final = {word: flag for flag in FLAGS for word in (flag.name, flag.chinese)}
_DASH = "(?:--|－－|[\u2012-\u2015]+)"  # phones turn `--` into a dash
_CHINESE: Final = "|".join(flag.chinese for flag in FLAGS)
_FORCE: Final = re.compile(rf"{_DASH}(?=\s|$)")
_DASHED: Final = re.compile(rf"{_DASH}(?P<name>[A-Za-z][\w-]*|{_CHINESE})(?P<sep>[=:＝：]|(?=\s|$))")
_DASHED_ODD: Final = re.compile(rf"{_DASH}(?P<name>[A-Za-z]\S*)")
_PLAIN: Final = re.compile(
    rf"(?P<name>{'|'.join(OFFERED_FLAGS)})(?P<sep>[=:＝：])(?=\S)"
    # No colon here: 时间：or 名称：is how a Chinese description names its parts.
    rf"|(?P<chinese>{'|'.join(flag.chinese for flag in FLAGS if flag.offered)})[=＝](?=\S)",
    re.IGNORECASE,
)
_VALUE: Final = re.compile(r"""["“”](?P<double>[^"“”]*)["“”]|['‘’](?P<single>[^'‘’]*)['‘’]|(?P<plain>\S+)""")
_SPACE: Final = re.compile(r"\s*")
_TAKING: Final = "|".join(word for word, flag in _KNOWN.items() if flag.offered and not flag.switch)
_SWITCHES: Final = "|".join(word for word, flag in _KNOWN.items() if flag.offered and flag.switch)
_TRAILING: Final = re.compile(
    rf"(?:^|(?<=\s)){_DASH}(?:"
    rf"(?P<name>{_TAKING})(?:[=:＝：]|\s+)(?P<value>[\"“”][^\"“”\n]*[\"“”]|(?!{_DASH})[^\s\"“”]+)"
    rf"|(?P<switch>{_SWITCHES}))\s*$",
    re.IGNORECASE,
)
_SLUG: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_ON: Final = frozenset({"true", "yes", "on", "1"})
_OFF: Final = frozenset({"false", "no", "off", "0"})


@dataclass(slots=True)
class Given:
    """Options read so far, by name; `False` is a switch that was turned off."""

    values: dict[str, str | bool] = field(default_factory=dict[str, str | bool])

    def take(self, flag: Flag, value: str | bool) -> BadFlag | None:
        if flag.name in self.values:
            return BadFlag(flag.name, "twice")
        self.values[flag.name] = value
        return None

    def options(self) -> Options:
        def text(name: str) -> str | None:
            value = self.values.get(name)
            return value if isinstance(value, str) else None

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
    return _check(_KNOWN[name], clean(value).strip())


def force_mark(text: str, start: int = 0) -> int | None:
    """Where the text after a leading `--` starts, or None when there is none at `start`."""
    mark = _FORCE.match(text, start)
    return mark.end() if mark else None


def read_leading(text: str, given: Given) -> int | BadFlag:
    """Reads the options at the start into `given`; answers where the rest starts (at a `--` if one follows)."""
    at = 0
    while True:
        at = _skip(text, at)
        dashed = _DASHED.match(text, at)
        plain = None if dashed else _PLAIN.match(text, at)
        found = dashed or plain
        if found is None:
            odd = _DASHED_ODD.match(text, at)
            return _unknown(clean(odd["name"])) if odd else at
        named = found.groupdict()
        name = (named["name"] or named["chinese"]).lower()
        flag = _KNOWN.get(name)
        if flag is None or not flag.offered:
            return _unknown(name)
        attached = bool(named["sep"] or plain)
        after = _read_one(text, found.end(), attached, flag, given)
        if isinstance(after, BadFlag):
            return after
        at = after


def read_trailing(text: str, given: Given) -> str | BadFlag:
    """Takes known `--name value` options off the end into `given`; answers the text before them."""
    while (found := _TRAILING.search(text)) is not None:
        name = (found["name"] or found["switch"]).lower()
        flag = _KNOWN[name]
        value = True if flag.switch else _check(flag, _unquoted(found["value"]))
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


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _unknown(name: str) -> BadFlag:
    known = _KNOWN.get(name.lower())
    name = known.name if known is not None else name
    return BadFlag(name[:40], "unknown" if known is None or known.offered else "not_yet", OFFERED_FLAGS)


def _read_one(text: str, at: int, attached: bool, flag: Flag, given: Given) -> int | BadFlag:
    """Reads the value of `flag` at `at` and answers where the next word starts."""
    if flag.switch and not attached:
        return given.take(flag, True) or at
    at = at if attached else _skip(text, at)
    found = _VALUE.match(text, at)
    if found is None or (not attached and re.match(_DASH, found.group())):
        return BadFlag(flag.name, "missing", flag.values)
    value = _check(flag, _unquoted(found.group()))
    if isinstance(value, BadFlag):
        return value
    return given.take(flag, value) or found.end()


def _unquoted(raw: str) -> str:
    found = _VALUE.fullmatch(raw)
    inner = raw if found is None else next((part for part in found.groups() if part is not None), raw)
    return clean(inner).strip()


def _check(flag: Flag, value: str) -> str | bool | BadFlag:
    """The value as it will be used, or what is wrong with it."""
    if not value:
        return BadFlag(flag.name, "missing", flag.values)
    value = FLAG_VALUES.get(value, value) if flag.values or flag.switch else value
    if flag.switch:
        folded = value.casefold()
        return folded in _ON if folded in _ON | _OFF else BadFlag(flag.name, "value", ("true", "false"))
    if flag.values:
        return value.casefold() if value.casefold() in flag.values else BadFlag(flag.name, "value", flag.values)
    if flag.name == "name":
        good = _SLUG.fullmatch(value) and len(value) <= NAME_MAX_BYTES
    else:
        good = len(value) <= VALUE_MAX and not re.search("[\\s\"'“”‘’]|^[-\u2012-\u2015]", value)
    return value if good else BadFlag(flag.name, "value")
