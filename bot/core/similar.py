"""Which code tasks ask for nearly the same: BM25 over words, Chinese pairs of characters, and runs of letters.

Similarity ranks, people merge: nothing here decides that two requests are one.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from math import log, sqrt
from typing import Final

READ_MAX: Final = 400
"""How many characters of a text are compared: a title and the first sentences."""
LIKELY: Final = 0.45
"""From this share on two texts likely ask for the same."""
WORTH_OFFERING: Final = 0.25
"""From this share on a person may want to look whether they are the same: below it only single words are common."""

_SATURATION: Final = 1.2
_BY_LENGTH: Final = 0.5
_UNSEEN: Final = 20
"""So many other texts are thought to exist, so that a rare word weighs more than a common one in a short list, too."""
_RUN: Final = 4
_RUN_WEIGHT: Final = 0.25
_WORDS: Final = re.compile(r"[a-z0-9\u00c0-\u024f\u0370-\u1fff]+")
_HAN: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_SAYS_NOTHING: Final = frozenset(
    [
        "a",
        "able",
        "add",
        "allow",
        "also",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "bug",
        "but",
        "by",
        "can",
        "could",
        "do",
        "does",
        "feature",
        "for",
        "from",
        "get",
        "great",
        "had",
        "has",
        "have",
        "how",
        "i",
        "if",
        "in",
        "is",
        "it",
        "its",
        "just",
        "let",
        "like",
        "love",
        "make",
        "me",
        "my",
        "need",
        "needs",
        "nice",
        "no",
        "not",
        "of",
        "on",
        "one",
        "only",
        "or",
        "our",
        "please",
        "possible",
        "request",
        "see",
        "should",
        "so",
        "some",
        "support",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "they",
        "this",
        "to",
        "too",
        "us",
        "use",
        "want",
        "wants",
        "was",
        "way",
        "we",
        "were",
        "what",
        "when",
        "which",
        "will",
        "wish",
        "with",
        "would",
        "you",
        "your",
    ]
)
_PAIRS_SAY_NOTHING: Final = frozenset(
    [
        "希望",
        "能不",
        "不能",
        "能否",
        "可以",
        "能够",
        "需要",
        "建议",
        "一个",
        "一下",
        "我们",
        "你们",
        "大家",
        "这个",
        "那个",
        "什么",
        "怎么",
        "是否",
        "支持",
        "增加",
        "添加",
        "功能",
        "需求",
        "麻烦",
        "就好",
        "好了",
        "没有",
        "请问",
        "最好",
        "如果",
        "要是",
        "现在",
        "时候",
        "加个",
        "加一",
        "的时",
        "能加",
        "想要",
    ]
)


@dataclass(frozen=True, slots=True)
class Similar:
    """A candidate and how near it is."""

    id: int
    share: float
    """0 to 1: how much of what the two texts could have in common they have, rare words weighing more."""
    likely_same: bool
    """Whether the share is at least `LIKELY`."""


def similar(text: str, candidates: Iterable[tuple[int, str]], *, top: int = 3) -> list[Similar]:
    """The candidates (id, text) nearest to the text, nearest first; at most `top`, none that share nothing with it.

    Equal shares are in the order of the candidates. Their pieces are kept in memory for the next call.
    """
    mine = pieces_of(text[:READ_MAX])
    listed = [(id_, pieces_of(other[:READ_MAX])) for id_, other in candidates]
    if not mine or not listed:
        return []
    known = Counter(chain.from_iterable(theirs for _, theirs in listed))
    count = len(listed) + _UNSEEN
    usual = sum(len(theirs) for _, theirs in listed) / len(listed) or 1.0
    rarity = {piece: log(1 + (count - held + 0.5) / (held + 0.5)) for piece, held in known.items()}
    rarest = log(1 + (count + 0.5) / 0.5)
    whole = _score(mine, mine, rarity, rarest, usual)
    ranked: list[Similar] = []
    for id_, theirs in listed:
        if mine.keys().isdisjoint(theirs):
            continue
        both = _score(mine, theirs, rarity, rarest, usual)
        share = min(both / sqrt(whole * _score(theirs, theirs, rarity, rarest, usual)), 1.0)
        ranked.append(Similar(id_, share, share >= LIKELY))
    ranked.sort(key=lambda one: -one.share)
    return ranked[:top]


def _score(
    asked: Mapping[str, float], held: Mapping[str, float], rarity: Mapping[str, float], rarest: float, usual: float
) -> float:
    room = _SATURATION * (1 - _BY_LENGTH + _BY_LENGTH * len(held) / usual)
    few, many = (asked, held) if len(asked) <= len(held) else (held, asked)
    total = 0.0
    for piece in few:
        if piece in many:
            weight = held[piece]
            total += asked[piece] * rarity.get(piece, rarest) * weight * (_SATURATION + 1) / (weight + room)
    return total


@lru_cache(maxsize=4_096)
def pieces_of(text: str) -> Mapping[str, float]:
    """What is compared of a text: piece -> weight. Words (a plural counts as its singular), pairs of Chinese
    characters, and runs of 4 letters, so that "export" meets "exporting" and a typing error is forgiven.
    """
    plain = unicodedata.normalize("NFKC", text).lower()
    found: dict[str, float] = {}
    for word in _WORDS.findall(plain):
        if word in _SAYS_NOTHING:
            continue
        stem = _stem(word)
        found[stem] = found.get(stem, 0.0) + 1.0
        for at in range(len(stem) - _RUN + 1):
            run = "~" + stem[at : at + _RUN]
            found[run] = found.get(run, 0.0) + _RUN_WEIGHT
    for run in _HAN.findall(plain):
        for pair in _pairs(run):
            if pair not in _PAIRS_SAY_NOTHING:
                found[pair] = found.get(pair, 0.0) + 1.0
    return found


def _pairs(run: str) -> Sequence[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)] if len(run) > 1 else [run]


def _stem(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
