"""How fast secrets are masked, in megabytes per second."""

import random
import time

from benchmarks.figure import Figure
from bot.core.redact import Redactor

TARGET = 4.0
SIZE = 4_000_000
WORDS = """
collecting tests/unit/test_export.py::test_utf8 PASSED the quick brown fox 0x7f3a https://example.org/a?b=c INFO
2026-03-06T14:04:11Z sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 ok
""".split()  # noqa: SIM905 - a log line reads better as a line
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/+&"


def run(quick: bool = False) -> list[Figure]:
    log = sample(20_000 if quick else SIZE)
    known = Redactor(secrets(10))
    pieces = {"whole": 0, "stream_64k": 65_536, "stream_4k": 4_096}
    return [
        Figure(f"redact_{name}_mb_per_s", round(rate(known, log, size), 1), "MB/s", TARGET, higher=True)
        for name, size in pieces.items()
    ]


def sample(size: int) -> str:
    """Text like a build log: words, paths, hashes, addresses."""
    draw = random.Random(7)
    lines: list[str] = []
    length = 0
    while length < size:
        line = " ".join(draw.choices(WORDS, k=12))
        lines.append(line)
        length += len(line) + 1
    return "\n".join(lines)


def secrets(count: int) -> list[str]:
    """Made-up secrets of 40 characters."""
    draw = random.Random(11)
    return ["".join(draw.choices(LETTERS, k=40)) for _ in range(count)]


def rate(redactor: Redactor, text: str, piece: int) -> float:
    """Megabytes per second, at once (`piece` 0) or as a stream of pieces."""
    began = time.perf_counter()
    if piece:
        stream = redactor.stream()
        for at in range(0, len(text), piece):
            stream.feed(text[at : at + piece])
        stream.close()
    else:
        redactor.mask(text)
    return len(text) / 1e6 / (time.perf_counter() - began)
