"""`/api/v1/intake/report`: figures for admins, not a word of what was said."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.inbound import Message, Person, ThreadRef
from bot.core.suggestions import DISMISSED, FILED, OPEN, WAITING, SkipReason
from bot.store import Transaction
from tests.web.house import WISH, House, open_house, settings_for

CANARY = "canary-words-of-a-person"


def said(tx: Transaction, channel: str, number: int) -> Message:
    return Message(
        platform="slack",
        app_id="A1",
        workspace_id="T1",
        key=f"A1:m:{channel}:{number}",
        sent_at=tx.now,
        received_at=tx.now,
        thread=ThreadRef(platform="slack", workspace_id="T1", channel_id=channel),
        person=Person(platform="slack", workspace_id="T1", id=f"U{number}"),
        message_id=f"{channel}.{number}",
        text=CANARY,
    )


def hear(tx: Transaction) -> None:
    """In C1 a channel that is observed; in C2 three suggestions, two decided about; in C3 one that still waits."""
    tx.people.set_setting(ThreadRef(platform="slack", workspace_id="T1", channel_id="C1"), "intake", "observe")
    skipped: dict[int, tuple[str, float, str]] = {}
    for number, (score, why) in enumerate([(0.02, "below_threshold"), (0.3, "below_threshold"), (0.97, "observed")]):
        (item,) = tx.suggestions.collect([said(tx, "C1", number)], "p1")
        skipped[item or 0] = (SkipReason(why), score, "")
    tx.suggestions.skip(skipped)
    for number, state in enumerate((OPEN, FILED, DISMISSED)):
        (item,) = tx.suggestions.collect([said(tx, "C2", number)], "p1")
        tx.suggestions.move(item or 0, (WAITING,), OPEN, judge="rules", score=0.8, reason="wish", text=CANARY)
        if state is not OPEN:
            task = 1 if state is FILED else None
            tx.suggestions.move(item or 0, (OPEN,), state, decided_by="slack:U9", decided_at=tx.now, code_task_id=task)
    tx.suggestions.collect([said(tx, "C3", 0)], "p1")


async def heard(house: House) -> None:
    client = await house.client()
    assert (await client.post("/api/v1/code-tasks", json=WISH)).status_code == 201
    await house.app.store.run(hear)


async def report(house: House, **params: str) -> dict[str, Any]:
    client = await house.client("admin")
    answer = await client.get("/api/v1/intake/report", params=params)
    assert answer.status_code == 200, answer.text
    assert CANARY not in answer.text
    return answer.json()


async def test_the_figures_of_all_channels_and_of_each(house: House) -> None:
    await heard(house)
    told = await report(house)
    assert (told["judge"], 0 < told["threshold"] < 1) == ("rules", True)
    observed, suggested, waiting = told["channels"]
    assert (observed["channel"], observed["mode"]) == ("slack:T1:C1", "observe")
    assert (observed["judged"], observed["above_threshold"], observed["share"]) == (3, 1, 0.3333)
    assert observed["reasons"] == {"below_threshold": 2, "observed": 1}
    assert observed["scores"] == [1, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert (observed["decided"], observed["precision"]) == (0, None)
    assert suggested["states"] == {"open": 1, "filed": 1, "dismissed": 1}
    assert (suggested["decided"], suggested["requests"], suggested["precision"]) == (2, 1, 0.5)
    assert (waiting["states"], waiting["judged"], waiting["share"], waiting["mode"]) == ({"waiting": 1}, 0, None, "off")
    total = told["total"]
    assert (total["judged"], total["above_threshold"], total["decided"], total["precision"]) == (6, 4, 2, 0.5)
    assert total["states"] == {"skipped": 3, "open": 1, "filed": 1, "dismissed": 1, "waiting": 1}


@pytest.mark.parametrize("channel", ["C2", "T1::C2", "slack:T1:C2"])
async def test_one_channel_and_a_time(house: House, channel: str) -> None:
    await heard(house)
    told = await report(house, channel=channel)
    assert [one["channel"] for one in told["channels"]] == ["slack:T1:C2"]
    assert told["total"]["judged"] == 3
    later = (house.app.store.now() + timedelta(hours=1)).isoformat()
    assert (await report(house, since=later))["channels"] == []


async def test_only_admins_and_only_with_a_sensible_time(house: House) -> None:
    assert (await house.bare().get("/api/v1/intake/report")).status_code == 401
    for role in ("viewer", "filer"):
        client = await house.client(role)
        assert (await client.get("/api/v1/intake/report")).status_code == 403
    client = await house.client("admin")
    assert (await client.get("/api/v1/intake/report?since=yesterday")).status_code in (400, 422)


async def test_without_the_feature_there_is_no_report(database_url: str, tmp_path: Path) -> None:
    async with open_house(settings_for(database_url, tmp_path, features=("codetasks", "web"))) as house:
        client = await house.client("admin")
        answer = await client.get("/api/v1/intake/report")
        assert (answer.status_code, answer.json()["code"]) == (404, "disabled")
