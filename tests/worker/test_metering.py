"""Tokens and prices: what is read out of answers, and the table that comes with the program."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.worker.metering import (
    Price,
    PriceTable,
    StreamMeter,
    Tokens,
    load_prices,
    read_answer,
    read_prices,
    read_usage,
)
from bot.worker.model_requests import upstream_url

ONE = Price(Decimal(3), Decimal(15), Decimal("0.3"), Decimal("3.75"))


def test_cached_input_is_cheaper_and_counted_once() -> None:
    assert ONE.cost(Tokens(input=1000, output=100, cached=400, cache_write=200)) == Decimal("0.003570")


@pytest.mark.parametrize("name", ["m-1", "m-1-20250929", "m-1-2025-08-07", "vendor/m-1", "m-1-latest"])
def test_a_price_covers_dated_and_prefixed_names(name: str) -> None:
    assert PriceTable({"m-1": ONE}).find(name) is ONE


@pytest.mark.parametrize("name", ["m-10", "m", "", "m-1-mini"])
def test_a_price_covers_nothing_else(name: str) -> None:
    assert PriceTable({"m-1": ONE}).find(name) is None


def test_the_table_that_comes_along_is_dated_and_complete(tmp_path: Path) -> None:
    import tomllib

    import bot.worker.metering as metering

    rows = tomllib.loads(Path(metering.__file__).with_name("prices.toml").read_text())["models"]
    assert len(rows) >= 5 and all({"date", "input", "output"} <= set(row) for row in rows.values())
    own = tmp_path / "prices.toml"
    own.write_text('[models."gpt-4o"]\ninput = 1\noutput = 2.5\n')
    price = load_prices(own).find("gpt-4o")
    assert price == Price(Decimal(1), Decimal("2.5"), Decimal(1), Decimal(1))


@pytest.mark.parametrize(
    "row", [{}, {"input": "x", "output": 1}, {"input": -1, "output": 1}, {"input": None, "output": 1}, 5]
)
def test_a_wrong_row_is_named(row: object) -> None:
    with pytest.raises(ValueError, match="'m'"):
        read_prices({"models": {"m": row}})


@pytest.mark.parametrize(
    "usage", [None, [], {}, {"prompt_tokens": "5"}, {"prompt_tokens": -5}, {"prompt_tokens": True}]
)
def test_nonsense_is_no_usage(usage: object) -> None:
    assert read_usage("chat", usage) is None


@given(st.binary(max_size=300))
@settings(database=None)
def test_no_answer_breaks_the_meter(data: bytes) -> None:
    read_answer("chat", data)
    for protocol in ("chat", "responses", "messages"):
        meter = StreamMeter(protocol)
        meter.feed(data + b'\ndata: {"usage": [1]}\ndata: {"type": "message_start", "message": 5, "usage": 1}\n')
        assert meter.tokens is None


@given(st.integers(min_value=1, max_value=80))
@settings(database=None)
def test_usage_is_found_however_the_stream_is_cut(size: int) -> None:
    event = json.dumps({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}})
    stream = f'data: {{"choices": [{{}}], "usage": null}}\r\n\r\ndata: {event}\r\n\r\ndata: [DONE]\r\n\r\n'.encode()
    meter = StreamMeter("chat")
    for start in range(0, len(stream), size):
        meter.feed(stream[start : start + size])
    assert meter.tokens == Tokens(7, 3)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.openai.com", "https://api.openai.com/v1/responses"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1/responses"),
        ("https://host/api/paas/v4", "https://host/api/paas/v4/responses"),
        ("https://host/vendor", "https://host/vendor/v1/responses"),
    ],
)
def test_where_a_path_lies_at_the_endpoint(base: str, url: str) -> None:
    assert upstream_url(base, "/v1/responses") == url
