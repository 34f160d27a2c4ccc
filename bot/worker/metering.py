"""Tokens and their price: read out of what a model endpoint answers, in the three protocols the gateway carries."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

Protocol = Literal["chat", "responses", "messages"]

_MILLION = Decimal(1_000_000)
_DATED = re.compile(r"[-@](?:20\d{6}|20\d\d-\d\d-\d\d|latest)$")
_MAX_EVENT_BYTES = 4 * 1024 * 1024
_MAX_TOKENS = 10**9


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one or more answers. `input` is all input; `cached` and `cache_write` are the parts of it that were."""

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.input + other.input,
            self.output + other.output,
            self.cached + other.cached,
            self.cache_write + other.cache_write,
        )


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: Decimal
    output: Decimal
    cached: Decimal
    cache_write: Decimal

    def cost(self, tokens: Tokens) -> Decimal:
        """What these tokens cost in US dollars."""
        plain = max(0, tokens.input - tokens.cached - tokens.cache_write)
        parts = (
            plain * self.input
            + tokens.cached * self.cached
            + tokens.cache_write * self.cache_write
            + tokens.output * self.output
        )
        return parts / _MILLION


class PriceTable:
    """Prices by model name."""

    def __init__(self, rows: Mapping[str, Price]) -> None:
        self._rows = dict(rows)

    def find(self, model: str) -> Price | None:
        """The price of a model: by its exact name, without its release date, without the vendor before a slash."""
        for name in (model, model.rsplit("/", 1)[-1]):
            for wanted in (name, _DATED.sub("", name)):
                if wanted in self._rows:
                    return self._rows[wanted]
        return None


def load_prices(own: Path | None = None) -> PriceTable:
    """The prices that come with the program; rows of the file `own` (same shape) go before them.

    Raises ValueError when a row is wrong, naming it."""
    rows: dict[str, Price] = {}
    for path in (Path(__file__).with_name("prices.toml"), own):
        if path is not None:
            rows |= read_prices(tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal))
    return PriceTable(rows)


def read_prices(data: Mapping[str, Any]) -> dict[str, Price]:
    """The rows of a parsed price file. Raises ValueError naming the model whose row is wrong."""
    rows: dict[str, Price] = {}
    for model, row in data.get("models", {}).items():
        try:
            input_, output = Decimal(row["input"]), Decimal(row["output"])
            cached, write = Decimal(row.get("cached", input_)), Decimal(row.get("cache_write", input_))
        except (KeyError, TypeError, ArithmeticError, AttributeError) as error:
            raise ValueError(f"the price of {model!r} needs the numbers `input` and `output`") from error
        if min(input_, output, cached, write) < 0:
            raise ValueError(f"the price of {model!r} is negative")
        rows[model] = Price(input_, output, cached, write)
    return rows


def read_usage(protocol: Protocol, usage: object) -> Tokens | None:
    """The tokens of one `usage` object, or None when it is not one."""
    if not isinstance(usage, dict):
        return None
    match protocol:
        case "chat":
            details = _dict(usage.get("prompt_tokens_details"))
            counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"), details.get("cached_tokens"), 0)
        case "responses":
            details = _dict(usage.get("input_tokens_details"))
            counts = (usage.get("input_tokens"), usage.get("output_tokens"), details.get("cached_tokens"), 0)
        case "messages":
            cached, write = (
                _count(usage.get("cache_read_input_tokens")),
                _count(usage.get("cache_creation_input_tokens")),
            )
            counts = (_count(usage.get("input_tokens")) + cached + write, usage.get("output_tokens"), cached, write)
    tokens = Tokens(*(_count(count) for count in counts))
    return tokens if tokens.total else None


def read_answer(protocol: Protocol, body: bytes) -> Tokens | None:
    """The tokens of a whole, unstreamed answer, or None when it names none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return read_usage(protocol, answer.get("usage")) if isinstance(answer, dict) else None


class StreamMeter:
    """Reads usage out of a stream of server-sent events while it passes, chunk by chunk. Keeps no text."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol: Protocol = protocol
        self._buffer = b""
        self._input: Tokens | None = None
        self._final: Tokens | None = None
        self.content_bytes = 0

    @property
    def tokens(self) -> Tokens | None:
        """The usage the stream named at its end; None when it has named none (it was cut off, or never does)."""
        return self._final

    @property
    def early(self) -> Tokens | None:
        """What a stream says of its input before it answers (Anthropic): the floor of an interrupted answer."""
        return self._input

    def feed(self, chunk: bytes) -> None:
        """Looks at the next bytes."""
        self.content_bytes += len(chunk)
        self._buffer += chunk
        *lines, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) > _MAX_EVENT_BYTES:
            self._buffer = b""
        for line in lines:
            if line.startswith(b"data:") and b'usage"' in line:
                self._event(line[5:].strip())

    def _event(self, data: bytes) -> None:
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            return
        if not isinstance(event, dict):
            return
        match self._protocol:
            case "chat":
                self._final = read_usage("chat", event.get("usage")) or self._final
            case "responses":
                done = read_usage("responses", _dict(event.get("response")).get("usage"))
                self._final = done or self._final
            case "messages":
                self._message_event(event)

    def _message_event(self, event: dict[str, Any]) -> None:
        """`message_start` counts the input; `message_delta` counts the output and may repeat the input."""
        if event.get("type") == "message_start":
            self._input = read_usage("messages", _dict(event.get("message")).get("usage"))
        elif event.get("type") == "message_delta":
            told = read_usage("messages", event.get("usage"))
            if told is not None:
                start = self._input or Tokens()
                known = told if told.input else Tokens(start.input, told.output, start.cached, start.cache_write)
                self._final = known


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return min(value, _MAX_TOKENS) if whole and value > 0 else 0  # type: ignore[operator,return-value]
