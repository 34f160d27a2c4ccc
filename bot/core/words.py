"""A command's words: how they are compared, and where a Chinese text that has no spaces is divided."""

import re
from dataclasses import dataclass
from typing import Final

from bot.core.hygiene import clean
from bot.core.verbs import VERBS, Verb

_WORD: Final = re.compile(r"\S+")
WIDE: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, 0x3002: 0x2E, 0x3001: 0x2C}
_DASHES: Final = re.compile("^[\u2012-\u2015]+")
END_MARKS: Final = ".,:;!?"
_ASK: Final = "请"
WITH_CHINESE: Final = "附言"
VERBS_BY_WORD: Final = {word: verb for verb in VERBS for word in (verb.name, *verb.aliases, *verb.chinese)}
CHINESE_VERBS: Final = {word: verb for verb in VERBS for word in sorted(verb.chinese, key=len, reverse=True)}
_AFTER_VERB: Final = re.compile(r"(?P<verb>[a-z]+)[:,](?=.)", re.ASCII)
_BEFORE_ID: Final = re.compile(r"[,:]*(?:编码任务(?=(?:ct|#|\d)))?")  # `取消编码任务42`
_ID_BEFORE_HAN: Final = re.compile(r"(?:(?:ct|fu|rq)[-_]?|#)?\d{1,9}(?=[,:]?[\u3400-\u9fff])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Word:
    """One word: `raw` as written from `start`, `folded` as compared (ASCII width, lower case, nothing invisible)."""

    raw: str
    folded: str
    start: int
    end: int

    @property
    def bare(self) -> str:
        return self.folded.rstrip(END_MARKS)


def split_words(text: str) -> list[Word]:
    """The words of a text that a reader would see, in order."""
    words: list[Word] = []
    for found in _WORD.finditer(text):
        folded = _DASHES.sub("--", clean(found.group()).translate(WIDE).casefold())
        if folded:
            words.append(Word(found.group(), folded, found.start(), found.end()))
    return words


def split_verb(words: list[Word]) -> tuple[Verb, list[Word]] | None:
    """The verb that the text starts with and the words after it; None when it starts with none."""
    words = without_ask(words)
    first, rest = words[0], words[1:]
    verb = VERBS_BY_WORD.get(first.folded) or VERBS_BY_WORD.get(first.bare)
    if verb is not None:
        return verb, rest
    marked = _AFTER_VERB.match(first.folded)  # `show：42`
    if marked is not None and marked["verb"] in VERBS_BY_WORD:
        return VERBS_BY_WORD[marked["verb"]], [_tail(first, marked.end()), *rest]
    alias = next((alias for alias in CHINESE_VERBS if first.folded.startswith(alias)), None)  # `取消42`
    return None if alias is None else (CHINESE_VERBS[alias], [*glued(first, len(alias)), *rest])


def without_ask(words: list[Word]) -> list[Word]:
    """The words without a leading 请."""
    first, rest = words[0], words[1:]
    if not first.folded.startswith(_ASK):
        return words
    return [_tail(first, len(_ASK)), *rest] if len(first.folded) > len(_ASK) else rest or words


def glued(word: Word, at: int) -> list[Word]:
    """What follows a Chinese verb without a space: an id and a text are two words."""
    found = _BEFORE_ID.match(word.folded, at)
    at = found.end() if found else at
    if at >= len(word.folded):
        return []
    tail = _tail(word, at)
    found = _ID_BEFORE_HAN.match(tail.folded)
    if found is None:
        return [tail]
    after = _tail(tail, found.end())
    before = Word(tail.raw[: -len(after.raw)], found.group(), tail.start, after.start)
    skip = len(after.folded) - len(after.folded.lstrip(",:"))
    return [before, _tail(after, skip)]


def _tail(word: Word, at: int) -> Word:
    """The word from its `at`-th folded character on."""
    length = len(word.folded) - at
    # Folding can lengthen a word (`ß`), never so much that its text would start before the word.
    return Word(word.raw[-length:], word.folded[at:], max(word.end - length, word.start), word.end)


def split_with(word: Word) -> list[Word]:
    """附言 and the text that follows it without a space as two words."""
    skip = len(WITH_CHINESE)
    if not word.folded.startswith(WITH_CHINESE) or len(word.folded) == skip:
        return [word]
    skip += len(word.folded[skip:]) - len(word.folded[skip:].lstrip(",:"))
    if skip == len(word.folded):
        return [Word(word.raw, WITH_CHINESE, word.start, word.end)]
    text = _tail(word, skip)
    return [Word(word.raw[: -len(text.raw)], WITH_CHINESE, word.start, text.start), text]
