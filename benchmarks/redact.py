"""How fast secrets are masked: `python benchmarks/redact.py`. Prints megabytes per second; the goal is 4 or more."""

import random
import time

from bot.core.redact import Redactor

GOAL = 4.0
SIZE = 4_000_000


def sample(size: int) -> str:
    """Text like a build log: words, paths, hashes, addresses."""
    draw = random.Random(7)
    words = (
        "collecting tests/unit/test_export.py::test_utf8 PASSED the quick brown fox 0x7f3a https://example.org/a?b=c "
    )
    words += "INFO 2026-03-06T14:04:11Z sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 ok"
    pool = words.split()
    lines: list[str] = []
    length = 0
    while length < size:
        line = " ".join(draw.choices(pool, k=12))
        lines.append(line)
        length += len(line) + 1
    return "\n".join(lines)


def secrets(count: int) -> list[str]:
    draw = random.Random(11)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/+&"
    return ["".join(draw.choices(letters, k=40)) for _ in range(count)]


def measure(name: str, redactor: Redactor, text: str, piece: int) -> None:
    start = time.perf_counter()
    if piece:
        stream = redactor.stream()
        for at in range(0, len(text), piece):
            stream.feed(text[at : at + piece])
        stream.close()
    else:
        redactor.mask(text)
    rate = len(text) / 1e6 / (time.perf_counter() - start)
    print(f"{name}: {rate:.1f} MB/s (goal {GOAL:.0f})")


if __name__ == "__main__":
    log, known = sample(SIZE), Redactor(secrets(10))
    print(f"{len(known.variants)} encoded values of 10 secrets")
    measure("whole text", known, log, 0)
    measure("stream, 64 KiB pieces", known, log, 65_536)
    measure("stream, 4 KiB pieces", known, log, 4_096)
    measure("stream, 100-character pieces", known, log[:400_000], 100)
