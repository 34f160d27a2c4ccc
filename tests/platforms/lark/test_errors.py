"""What each complaint of Lark means."""

from datetime import timedelta

import httpx
import pytest

from bot.ports import AuthFailed, Gone, NotAllowed, Retry, Trouble, Unsendable
from platforms.lark.errors import AUTH_FIX, FIXES, GONE, LarkRefused, trouble_of

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (LarkRefused(230020, "", 400), Retry(SECOND, False, "230020")),
        (LarkRefused(11232, "", 400), Retry(SECOND, False, "11232")),
        (LarkRefused(99991400, "", 429, after=7), Retry(timedelta(seconds=7), False, "99991400")),
        (LarkRefused(1000040350, ""), Retry(SECOND, False, "1000040350")),
        (LarkRefused(99991403, "", 400), Retry(SECOND, False, "99991403")),
        (LarkRefused(230050, "", 400), Gone("message", "230050")),
        (LarkRefused(0, "", 429, after=3), Retry(timedelta(seconds=3), False, "http 429")),
        (LarkRefused(0, "", 502), Retry(SECOND, True, "http 502")),
        (LarkRefused(0, "", 200), Retry(SECOND, True, "http 200")),
        (LarkRefused(2200, "", 500), Retry(SECOND, True, "2200")),
        (LarkRefused(230011, "", 400), Gone("message", "230011")),
        (LarkRefused(230031, "", 400), Gone("message", "230031")),
        (LarkRefused(230019, "", 400), Gone("thread", "230019")),
        (LarkRefused(232009, "", 400), Gone("channel", "232009")),
        (LarkRefused(230001, "", 400), Unsendable("230001")),
        (LarkRefused(230025, "", 400), Unsendable("230025")),
        (LarkRefused(230099, "", 400), Unsendable("230099")),
        (LarkRefused(99991663, "", 400), AuthFailed(AUTH_FIX, "99991663")),
        (LarkRefused(10014, ""), AuthFailed(AUTH_FIX, "10014")),
        (httpx.ConnectError("x"), Retry(SECOND, False, "ConnectError")),
        (httpx.ConnectTimeout("x"), Retry(SECOND, False, "ConnectTimeout")),
        (httpx.ReadTimeout("x"), Retry(SECOND, True, "ReadTimeout")),
        (httpx.RemoteProtocolError("x"), Retry(SECOND, True, "RemoteProtocolError")),
        (httpx.InvalidURL("x"), Retry(SECOND, False, "InvalidURL")),
        (ConnectionResetError(), Retry(SECOND, True, "ConnectionResetError")),
        (KeyError("x"), None),
    ],
)
def test_what_a_failure_means(error: Exception, trouble: Trouble | None) -> None:
    assert trouble_of(error) == trouble


@pytest.mark.parametrize("code", sorted(FIXES))
def test_every_refusal_names_what_to_do(code: int) -> None:
    trouble = trouble_of(LarkRefused(code, "", 400))
    assert isinstance(trouble, NotAllowed)
    assert trouble.fix.endswith(".")
    assert code not in GONE


def test_a_missing_scope_is_named_and_a_long_wait_is_bounded() -> None:
    trouble = trouble_of(LarkRefused(99991672, "", 400, scopes=["im:message", "im:message:send_as_bot"]))
    assert isinstance(trouble, NotAllowed)
    assert "im:message or im:message:send_as_bot" in trouble.fix
    waits = trouble_of(LarkRefused(99991400, "", 429, after=1e12))
    assert isinstance(waits, Retry)
    assert waits.after == timedelta(days=1)
