"""What the scorer sees in a message: signals from rules, its shape, and hashed pieces of its words and characters.

Every feature is a number below `BUCKETS`. Those below `DENSE` belong to rules and never collide; the others are hashes
of words, pairs of words, frames and runs of characters, so many that two hardly ever meet in one. Changing anything
here needs new weights: the trainer writes `FINGERPRINT` into them and the loader refuses weights made for others.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from zlib import crc32

from bot.core.intake import chinese, english
from bot.core.intake.language import language_of
from bot.core.intake.plain import read, split_address

BUCKETS: Final = 1 << 24
DENSE: Final = 1_024
PIECES_MAX: Final = 900
"""At most so many hashed pieces of one message count: the first ones."""

_WORDS: Final = re.compile(r"[a-z0-9]+(?:'[a-z]+)?|[.!?]+|\+1|'d|:[dp]|;\)|[:;]-?[)(]")
_HAN: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]+")
_LONGEST: Final = 4
_EMOJI: Final = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf]|:[a-z_]{3,20}:")

_SIGNALS: Final = (*english.PHRASES, *chinese.PHRASES)
_SHAPES: Final = [
    "zh",
    "en",
    "mixed",
    "addressed",
    "asks",
    "exclaims",
    "trails",
    "tiny",
    "short",
    "middle",
    "long",
    "many_lines",
    "two_lines",
    "link",
    "code",
    "issue",
    "mail",
    "person",
    "number",
    "emoji",
    "lower",
    "one_sentence",
    "two_sentences",
    "more_sentences",
    "first_asks",
    "last_asks",
    "only_ask",
    "wish_1",
    "wish_2",
    "wish_3",
    "fault_1",
    "fault_2",
    "fault_3",
    "way_1",
    "no_signal",
    "wish_and_fault",
    "bias_zh",
]
_HEADS: Final = tuple(name for name in _SIGNALS if "wish" in name or "fault" in name)
_BESIDE: Final = [
    "surface",
    "people",
    "settled",
    "thanks",
    "joke",
    "way_doing",
    "way_done",
    "way_tracked",
    "ask_how",
    "ask_way",
    "advice",
    "past",
    "others",
    "addressed",
    "asks",
    "self",
    "review",
    "ack",
    "zh_surface",
    "zh_people",
    "zh_settled",
    "zh_thanks",
    "zh_joke",
    "zh_way_doing",
    "zh_way_done",
    "zh_ask",
    "zh_ask_how",
    "zh_model",
    "zh_advice",
]
_PAIRS: Final = tuple(
    f"{head}&{beside}"
    for head in _HEADS
    for beside in _BESIDE
    if head.startswith("zh") == beside.startswith("zh") or beside in ("addressed", "asks")
)
_NAMES: Final = (*_SIGNALS, *(f"{name}+" for name in _SIGNALS), *_SHAPES, *_PAIRS)
DENSE_INDEX: Final[Mapping[str, int]] = {name: index for index, name in enumerate(_NAMES)}
FINGERPRINT: Final = crc32(
    "\n".join(
        [
            *_NAMES,
            *sorted(english.FRAME_WORDS),
            *(repr(p) for p in english.PHRASES.values()),
            *(repr(p) for p in chinese.PHRASES.values()),
        ]
    ).encode()
)


def _english_table() -> tuple[dict[str, tuple[str, ...]], tuple[tuple[str, str], ...]]:
    exact: dict[str, tuple[str, ...]] = {}
    heads: list[tuple[str, str]] = []
    for name, phrases in english.PHRASES.items():
        for phrase in dict.fromkeys(phrases):
            if phrase.endswith("*"):
                heads.append((phrase[:-1], name))
            else:
                spelt = " ".join(_WORDS.findall(phrase))
                exact[spelt] = (*exact.get(spelt, ()), name)
    return exact, tuple(heads)


_EXACT, _BEGINNINGS = _english_table()
_BEGINNING: Final = tuple(head for head, _ in _BEGINNINGS)


@dataclass(frozen=True, slots=True)
class Features:
    """What was seen in one message."""

    signals: Mapping[str, int]
    """Name of a rule -> how often it spoke."""
    dense: tuple[int, ...]
    """Features of rules, each below `DENSE`, each once."""
    pieces: tuple[int, ...]
    """Hashed features, at or above `DENSE`, each once."""


def features_of(text: str) -> Features:
    """The features of a message. Never raises; the work is bounded whatever the length."""
    addressed, plain = split_address(read(text))
    words = _WORDS.findall(plain)
    han = _HAN.findall(plain)
    signals = _english(words) | _chinese(plain, han)
    names = {name for name, count in signals.items() if count}
    names |= {f"{name}+" for name, count in signals.items() if count > 1}
    names |= _shape(text, plain, words, addressed, signals)
    heads = [name for name in _HEADS if name in signals]
    if heads:
        beside = [name for name in _BESIDE if name in names]
        names |= {f"{head}&{other}" for head in heads for other in beside}
    dense = tuple(sorted(DENSE_INDEX[name] for name in names if name in DENSE_INDEX))
    return Features(signals, dense, _pieces(words, han))


def _english(words: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for start, word in enumerate(words):
        grown = word
        for end in range(start + 1, start + _LONGEST + 1):
            for name in _EXACT.get(grown, ()):
                found[name] = found.get(name, 0) + 1
            if end >= len(words):
                break
            grown = f"{grown} {words[end]}"
        if word.startswith(_BEGINNING):
            for head, name in _BEGINNINGS:
                if word.startswith(head):
                    found[name] = found.get(name, 0) + 1
    return found


def _chinese(plain: str, han: list[str]) -> dict[str, int]:
    if not han:
        return {}
    found: dict[str, int] = {}
    for name, phrases in chinese.PHRASES.items():
        count = sum(phrase in plain for phrase in phrases)
        if count:
            found[name] = count
    return found


def _shape(text: str, plain: str, words: list[str], addressed: bool, signals: Mapping[str, int]) -> set[str]:
    language = language_of(text)
    seen = {language}
    letters = len(plain.strip())
    size = letters * (3 if language == "zh" else 1)
    seen.add("tiny" if size < 30 else "short" if size < 80 else "middle" if size < 240 else "long")
    lines = plain.strip().count("\n")
    seen.add("two_lines" if lines == 1 else "many_lines" if lines > 1 else "")
    asking = plain.count("?")
    tail = plain.rstrip()
    ends = sum(word[0] in ".!?" for word in words[:-1]) + plain.count("。") + lines
    seen.add("one_sentence" if not ends else "two_sentences" if ends == 1 else "more_sentences")
    wishes = sum("wish" in name for name in signals)
    faults = sum("fault" in name for name in signals)
    checks = {
        "mixed": language == "zh" and len(words) > 2,
        "addressed": addressed,
        "asks": asking > 0,
        "exclaims": "!" in plain,
        "trails": tail.endswith(("...", "…", "。。。")),
        "link": "linkword" in plain,
        "code": "codeword" in plain,
        "issue": "issueword" in plain,
        "mail": "mailword" in plain,
        "person": "personword" in plain,
        "number": any(map(str.isdigit, plain)),
        "emoji": _EMOJI.search(plain) is not None,
        "lower": text[:1].islower(),
        "last_asks": tail.endswith("?"),
        "only_ask": asking == 1 and tail.endswith("?") and not ends,
        "first_asks": 0 < plain.find("?") < 100,
        f"wish_{min(wishes, 3)}": True,
        f"fault_{min(faults, 3)}": True,
        "way_1": any("way_" in name for name in signals),
        "no_signal": not wishes and not faults,
        "wish_and_fault": bool(wishes and faults),
        "bias_zh": language == "zh",
    }
    return seen | {name for name, holds in checks.items() if holds}


def _pieces(words: list[str], han: list[str]) -> tuple[int, ...]:
    pieces = list(words)
    pieces += [f"{one}_{two}" for one, two in pairwise(words)]
    if words:
        pieces.append("^" + "_".join(words[:2]))
        pieces.append("^" + words[0])
    pieces += _frames(words)
    for word in words:
        if len(word) > 4:
            padded = f"<{word}>"
            pieces += [padded[at : at + 4] for at in range(len(padded) - 3)]
    for run in han:
        pieces += run
        pieces += [run[at : at + 2] for at in range(len(run) - 1)]
        pieces += [run[at : at + 3] for at in range(len(run) - 2)]
    if han:
        pieces += [f"^{han[0][:3]}", f"^{han[0][:2]}", *(f"^{one}" for one in han[0][:4])]
        pieces += [f"{han[-1][-3:]}$", f"{han[-1][-2:]}$", f"{han[-1][-1:]}$"]
    span = BUCKETS - DENSE
    kept = dict.fromkeys(pieces[:PIECES_MAX])
    return tuple({DENSE + crc32(piece.encode("utf-8", "surrogatepass")) % span for piece in kept})


def _frames(words: list[str]) -> list[str]:
    """Runs of three with what the message is about left out: "can we have a reminder letter" gives "have a _"."""
    frame = ["^"]
    for word in words:
        if word in english.FRAME_WORDS:
            frame.append(word)
        elif frame[-1] != "_":
            frame.append("_")
    return [f"#{one}_{two}_{three}" for one, two, three in zip(frame, frame[1:], frame[2:], strict=False)]
