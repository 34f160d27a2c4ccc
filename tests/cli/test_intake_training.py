"""`codetask intake train` and `report`: from decisions in the database to a file, and what a server tells of it."""

import asyncio
import json
from pathlib import Path

import pytest
import structlog.testing

from bot.cli.intake_judges import Case, JudgeName, judge_cases
from bot.cli.intake_training import remove_overlay, train_overlay
from bot.core.inbound import Message, Person, ThreadRef
from bot.core.intake.overlay import FILE_NAME
from bot.core.intake.weights import shipped
from bot.core.suggestions import DISMISSED, OPEN, SAME, WAITING
from bot.services.intake.judges import RulesJudge
from bot.services.intake.local_model import local_weights
from bot.store import Transaction
from platforms.registry import load_settings
from storage.engine import open_database
from tests.cli.terminal import Terminal

WISHES = ["could we get {} sorted by date", "it would be nice to have {} as a list", "please add a filter for {}"]
THINGS = ["invoices", "reports", "users", "orders", "charts", "exports", "members", "labels", "boards", "teams"]
OFFICE = ["coffee", "music", "lunch", "parking", "chairs", "plants", "keys", "cake", "fruit", "light"]


def decide(tx: Transaction) -> None:
    """Wishes about the product were requests; those about the office were not."""
    place = ThreadRef(platform="slack", workspace_id="T1", channel_id="C1")
    texts = [(wish.format(thing), SAME) for wish in WISHES for thing in THINGS]
    texts += [(wish.format(f"{thing} in the office"), DISMISSED) for wish in WISHES for thing in OFFICE]
    for number, (text, state) in enumerate(texts):
        message = Message(
            platform="slack",
            app_id="A1",
            workspace_id="T1",
            key=f"m{number}",
            sent_at=tx.now,
            received_at=tx.now,
            thread=place,
            person=Person(platform="slack", workspace_id="T1", id=f"U{number}"),
            message_id=str(number),
            text=text,
        )
        (item,) = tx.suggestions.collect([message], "p1")
        tx.suggestions.move(item or 0, (WAITING,), OPEN, judge="rules", score=0.8, text=text, title=text)
        task = 1 if state is SAME else None
        tx.suggestions.move(item or 0, (OPEN,), state, decided_by="slack:U9", decided_at=tx.now, code_task_id=task)


@pytest.fixture
def taught(terminal: Terminal) -> Terminal:
    """A terminal on an installation whose people have decided about 60 suggestions."""

    async def fill() -> None:
        data(terminal).mkdir()
        store = await open_database(f"sqlite:///{data(terminal)}/codetask.db")
        try:
            await store.run(decide)
        finally:
            await store.close()

    asyncio.run(fill())
    return terminal


def data(terminal: Terminal) -> Path:
    return Path(terminal.env["CODETASK_DATA"])


def test_decisions_become_an_overlay_that_judges_from_then_on(
    taught: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODETASK_DATA", str(data(taught)))
    settings, path = load_settings(codetask_data=data(taught)), data(taught) / FILE_NAME
    told = train_overlay(settings, dry_run=True)
    assert (told["requests"], told["others"], told["better"], told["written"]) == (30, 30, True, False)
    assert told["log_loss_after"] < told["log_loss_before"]
    assert not path.exists()

    done = taught.run("intake", "train")
    assert done.returncode == 0, done.stderr
    assert "Restart the server to use it." in done.stderr
    assert path.stat().st_mode & 0o077 == 0
    assert path.stat().st_size < 16_000 and "office" not in path.read_text("utf-8")
    case = [Case("could we get warm tea in the office", "feature_request", "en")]
    with_it = judge_cases(case, JudgeName.OVERLAY).judged[0].chance
    assert with_it < judge_cases(case, JudgeName.RULES).judged[0].chance
    assert RulesJudge(None, local_weights(settings)).judged(case[0].text).score == with_it


def test_a_damaged_overlay_is_said_and_left_out_and_can_be_removed(terminal: Terminal) -> None:
    settings, path = load_settings(codetask_data=data(terminal)), data(terminal) / FILE_NAME
    data(terminal).mkdir()
    path.write_text('{"format": "codetask-intake-overlay 1", "slope": 3}', "utf-8")
    done = terminal.run("intake", "eval", "-", stdin='{"text": "a", "label": "chatter"}')
    assert (done.returncode, done.stdout) == (2, "")
    assert "intake-overlay.json cannot be used: its content does not match its checksum." in done.stderr
    with structlog.testing.capture_logs() as logs:
        assert local_weights(settings) is shipped()
    assert [line["event"] for line in logs] == ["intake_overlay_refused"]
    assert terminal.run("intake", "train", "--remove").returncode == 2, "nobody is there to confirm"
    assert path.exists()
    assert (remove_overlay(settings), remove_overlay(settings)) == (True, False)


def test_without_decisions_there_is_nothing_to_learn(terminal: Terminal) -> None:
    data(terminal).mkdir()
    done = terminal.run("intake", "train")
    assert (done.returncode, done.stdout) == (3, "")
    assert "There are too few decided suggestions: 0 requests and 0 others. A refit needs 30" in done.stderr
    done = terminal.run("intake", "eval", "-", "--judge", "overlay", stdin='{"text": "a", "label": "chatter"}')
    assert done.returncode == 2
    assert "There is no overlay at" in done.stderr


def test_the_report_of_a_server(served: Terminal) -> None:
    done = served.run("intake", "report", "-o", "json", "--since", "7d")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert list(told) == ["since", "judge", "threshold", "total", "channels"]
    assert (told["judge"], told["total"]["judged"], told["channels"]) == ("rules", 0, [])
    table = served.run("intake", "report", "--channel", "slack:T1:C1")
    assert table.returncode == 0, table.stderr
    assert "slack:T1:C1  off" in table.stdout
    wrong = served.run("intake", "report", "--since", "yesterday")
    assert (wrong.returncode, wrong.stdout) == (2, "")
