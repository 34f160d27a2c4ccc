"""What a reader sees as single characters, so that nothing is ever cut inside one."""

import unicodedata
from collections.abc import Iterator
from typing import Final

_FAR: Final = 64
"""Longer runs of marks are no character that anyone reads."""


def graphemes(text: str) -> Iterator[str]:
    """A base with its marks, a flag, a skin tone, a Hangul syllable, a kana with its half-width voice mark."""
    cluster = ""
    for character in text:
        if cluster and not _joins(cluster, character):
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def border(text: str, at: int) -> int:
    """`at`, moved back to where a character starts; `at` itself where there is no such place nearby but the start."""
    if not 0 < at < len(text):
        return at
    start = at
    while start > 0 and at - start < _FAR and _joins(text[start - 1], text[start]):
        start -= 1
    if start > 0 and _joins(text[start - 1], text[start]):
        return at
    for cluster in graphemes(text[start : at + _FAR]):
        if start + len(cluster) > at:
            break
        start += len(cluster)
    return start or at


def _joins(cluster: str, character: str) -> bool:
    code = ord(character)
    if unicodedata.category(character) in ("Mn", "Mc", "Me") or character == "\u200d" or cluster[-1] == "\u200d":
        return True
    if 0x1F3FB <= code <= 0x1F3FF or 0x1160 <= code <= 0x11FF or 0xFF9E <= code <= 0xFF9F:
        return True
    return len(cluster) == 1 and _is_flag(cluster) and _is_flag(character)


def _is_flag(character: str) -> bool:
    return 0x1F1E6 <= ord(character) <= 0x1F1FF
