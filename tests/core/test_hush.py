"""Of an event that could not be read nothing is kept that somebody may have said."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.core.inbound import Unreadable, hush

NOW = datetime(2026, 3, 6, tzinfo=UTC)


def hushed(raw: dict[str, Any], why: str = "") -> Unreadable:
    told: dict[str, Any] = {"platform": "slack", "app_id": "A1", "workspace_id": "T1", "key": "A1:o:1"}
    return hush(Unreadable(**told, sent_at=NOW, received_at=NOW, raw=raw, ref="k7f2", why=why))


@pytest.mark.parametrize(
    "raw",
    [
        {"event": {"type": "message", "ts": "1712.000100", "channel": "C1", "count": 3, "bot": False, "edited": None}},
        {"members": ["U1", "U2"], "at": "2026-03-06T14:30:00+00:00", "token": "a/b+c="},
        {"body": {"message": {"id": "9", "type": "x"}}, "payload": {"raw": {"id": "7"}}},
    ],
    ids=["event", "lists", "wholes"],
)
def test_ids_types_and_times_stay(raw: dict[str, Any]) -> None:
    assert hushed(raw).raw == raw


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ({"text": "secret"}, {"text": "(6 characters)"}),
        ({"Title": "secret"}, {"Title": "(6 characters)"}),
        ({"body": "secret", "message": ["secret"]}, {"body": "(6 characters)", "message": ["(6 characters)"]}),
        ({"said": "two words"}, {"said": "(9 characters)"}),
        ({"said": "k\u00fcndigen"}, {"said": "(8 characters)"}),
        ({"said": "\u8bf7\u5bfc\u51fa"}, {"said": "(3 characters)"}),
        ({"said": "a" * 65}, {"said": "(65 characters)"}),
        ({"said": "secret\n"}, {"said": "(7 characters)"}),
        ({"said": ""}, {"said": "(0 characters)"}),
        ({"name": {"en_us": "secret"}}, {"name": {"en_us": "(6 characters)"}}),
        ({"text": {"type": "plain_text", "text": "s"}}, {"text": {"type": "plain_text", "text": "(1 characters)"}}),
        ({"content": [[{"tag": "text", "x": "s"}]]}, {"content": [[{"tag": "text", "x": "(1 characters)"}]]}),
        ({"my dear": 1, "x": {"k\u00fcndigen": 2}}, {"(7 characters)": 1, "x": {"(8 characters)": 2}}),
    ],
)
def test_of_words_only_the_length_stays(raw: dict[str, Any], kept: dict[str, Any]) -> None:
    assert hushed(raw).raw == kept


def test_the_reason_does_not_quote() -> None:
    assert (
        hushed({}, "ValidationError: [type=x, input_value='secret', input_type=str]").why == "ValidationError: [type=x"
    )
