"""`codetask person` and `codetask audit` beside a running server."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from bot.cli.audit import read_since
from bot.cli.failures import Failure
from tests.cli.terminal import Terminal


def test_the_trail_is_shown_exported_and_verified(served: Terminal) -> None:
    served.run("task", "create", "Add a CSV export to the report", "-q")
    table = served.run("audit", "--action", "file")
    assert table.returncode == 0 and "CT-" in table.stdout and "repo=web" in table.stdout
    lines = [json.loads(line) for line in served.run("audit", "-o", "ndjson", "--since", "1h").stdout.splitlines()]
    assert lines and lines == sorted(lines, key=lambda line: -line["id"])
    assert json.loads(served.run("audit", "--json", "-n", "1").stdout)["items"] == lines[:1]
    whole = served.run("audit", "--verify")
    assert whole.returncode == 0 and "whole" in whole.stderr
    assert json.loads(served.run("audit", "--verify", "--json").stdout) == {"whole": True, "broken_at": None}


def test_a_wrong_account_is_named_before_anything_is_asked(served: Terminal) -> None:
    wrong = served.run("person", "link", "U1", "slack:T1:U2")
    assert wrong.returncode == 2 and "U1 is no account" in wrong.stderr
    unknown = served.run("person", "link", "slack:T1:U1", "slack:T1:U2")
    assert unknown.returncode == 4 and "whoami" in unknown.stderr
    assert served.run("person", "unlink", "slack:T1:U1").returncode == 2, "nobody said yes"
    assert served.run("person", "unlink", "slack:T1:U1", "-y").returncode == 4
    assert served.run("person", "list", "--linked").returncode == 0


def test_since_is_an_instant_or_a_distance() -> None:
    now = datetime(2026, 3, 6, 12, tzinfo=UTC)
    assert datetime.fromisoformat(read_since("36h", now)) == now - timedelta(hours=36)
    assert datetime.fromisoformat(read_since("2026-03-06T12:00+00:00")) == now
    assert read_since("") == ""
    for wrong in ("soon", "h", "99999999999d", "-1d", "7y"):
        with pytest.raises(Failure):
            read_since(wrong)
