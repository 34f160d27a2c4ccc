"""Every sentence a person reads, by key, from `texts/<language>.toml`.

A key is the path in the file (`refused.too_short`). `{name}` is a placeholder. A table of the forms `one` and `other`
(also `two`, `few` for ordinals) is a plural: the form is chosen by `n`; Chinese has only `other`. A language that lacks
a key falls back to English for that key alone. An unknown key or a missing placeholder is a bug of ours and raises
`TextError`.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).with_suffix("")
SOURCE_LANGUAGE: Final = "en"
_FORMS: Final = frozenset({"one", "two", "few", "other"})
_PLACEHOLDER: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")


class TextError(LookupError):
    """A text was asked for that does not exist, or without a placeholder that it needs: a bug at the caller."""


@dataclass(frozen=True, slots=True)
class Word:
    """A value that every language says in its own words: the text `key`, filled in with `values`."""

    key: str
    values: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language. `say` answers one of them, filled in."""

    language: str
    entries: Mapping[str, str | Mapping[str, str]]

    @classmethod
    def load(cls, language: str = SOURCE_LANGUAGE, folder: Path = FOLDER) -> "Texts":
        """The texts of `language` (`zh`, `zh-CN`, `zh_CN` are the same); what it lacks is said in English."""
        return _load(language_of(language), folder)

    def say(self, key: str, /, **values: object) -> str:
        """The text with every placeholder filled; a plural needs `n`. Values are inserted as they are, a tuple as
        a list, a `Word` in this language."""
        text = self._form(key, values)
        if "{" not in text:
            return text

        def fill(found: re.Match[str]) -> str:
            if found[1] not in values:
                raise TextError(f"text {key!r} needs {found[1]!r}")
            return self._shown(values[found[1]])

        return _PLACEHOLDER.sub(fill, text)

    def listed(self, parts: Iterable[str]) -> str:
        """Parts as a list inside a sentence, empty ones left out: `a, b`."""
        return self._joined("join.list", parts)

    def sentences(self, parts: Iterable[str]) -> str:
        """Sentences one after the other, empty ones left out."""
        return self._joined("join.sentences", parts)

    def reword(self, said: str, *groups: str) -> str:
        """An English sentence of ours (a text of `groups`) as this language says it; any other text as it is.

        For what is stored in English, such as the error of a code task."""
        if self.language == SOURCE_LANGUAGE:
            return said
        for key, pattern in _patterns(groups):
            found = pattern.fullmatch(said)
            if found:
                values = found.groupdict().items()
                return self.say(key, **{name: self.reword(value, "finding") for name, value in values})
        return said

    def _shown(self, value: object) -> str:
        if isinstance(value, Word):
            return self.say(value.key, **value.values)
        if isinstance(value, tuple):
            return self.listed(map(str, value))  # pyright: ignore[reportUnknownArgumentType]
        return str(value)

    def _joined(self, key: str, parts: Iterable[str]) -> str:
        first, *more = [part for part in parts if part] or [""]
        for second in more:
            first = self.say(key, first=first, second=second)
        return first

    @property
    def known(self) -> frozenset[str]:
        """Every key."""
        return frozenset(self.entries)

    def placeholders(self, key: str) -> frozenset[str]:
        """The names that `say(key, ...)` needs; a plural always needs `n`."""
        entry = self._entry(key)
        if isinstance(entry, str):
            return frozenset(_PLACEHOLDER.findall(entry))
        return frozenset({"n"}.union(*(_PLACEHOLDER.findall(form) for form in entry.values())))

    def _entry(self, key: str) -> str | Mapping[str, str]:
        entry = self.entries.get(key)
        if entry is None:
            raise TextError(f"there is no text {key!r}")
        return entry

    def _form(self, key: str, values: Mapping[str, object]) -> str:
        entry = self._entry(key)
        if isinstance(entry, str):
            return entry
        number = values.get("n")
        if not isinstance(number, int):
            raise TextError(f"text {key!r} is a plural and needs the number 'n'")
        return entry.get(_plural_form(number, "few" in entry), entry["other"])


def _plural_form(number: int, ordinal: bool) -> str:
    """The form a number takes: cardinals know `one`; ordinals (English) also `two` and `few`."""
    if not ordinal:
        return "one" if number == 1 else "other"
    if number % 100 in (11, 12, 13):
        return "other"
    return {1: "one", 2: "two", 3: "few"}.get(number % 10, "other")


def language_of(locale: str) -> str:
    """The language of a locale in lower case: `zh` of `zh-CN`, `zh_CN`, `zh`."""
    return locale.replace("_", "-").split("-")[0].lower()


@cache
def languages(folder: Path = FOLDER) -> tuple[str, ...]:
    """Every language there are texts in, English first."""
    others = sorted(path.stem for path in folder.glob("*.toml") if path.stem != SOURCE_LANGUAGE)
    return (SOURCE_LANGUAGE, *others)


@cache
def _patterns(groups: tuple[str, ...]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """The English texts of some groups as patterns that read their placeholders back, the most specific first."""
    texts = _load(SOURCE_LANGUAGE, FOLDER)
    entries = {key: text for key, text in texts.entries.items() if key.split(".")[0] in groups}
    found: list[tuple[int, str, re.Pattern[str]]] = []
    for key, text in entries.items():
        if isinstance(text, str):
            parts = _PLACEHOLDER.split(text)
            fixed, names = parts[::2], parts[1::2]
            source = re.escape(fixed[0])
            for name, after in zip(names, fixed[1:], strict=True):
                source += f"(?P<{name}>.{'+?' if after else '+'})" + re.escape(after)
            found.append((-sum(map(len, fixed)), key, re.compile(source, re.DOTALL)))
    return tuple((key, pattern) for _, key, pattern in sorted(found, key=lambda one: one[:2]))


@cache
def _load(language: str, folder: Path) -> Texts:
    entries = dict(read_entries(folder / f"{SOURCE_LANGUAGE}.toml"))
    own = folder / f"{language}.toml"
    known = bool(_LANGUAGE.fullmatch(language)) and own.is_file()
    if known and language != SOURCE_LANGUAGE:
        entries.update(read_entries(own))
    return Texts(language if known else SOURCE_LANGUAGE, entries)


def read_entries(path: Path) -> dict[str, str | Mapping[str, str]]:
    """The entries of one file, keys joined by dots."""
    return dict(_flatten("", tomllib.loads(path.read_text(encoding="utf-8"))))


def _flatten(prefix: str, table: Mapping[str, Any]) -> list[tuple[str, str | Mapping[str, str]]]:
    flat: list[tuple[str, str | Mapping[str, str]]] = []
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, str) or ("other" in value and set(value) <= _FORMS):
            flat.append((key, value))
        else:
            flat += _flatten(f"{key}.", value)
    return flat
