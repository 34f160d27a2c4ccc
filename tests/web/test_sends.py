"""`POST /code-tasks/{id}/send`: 202 where the words go, 400, 403, 404 and 409 where they do not."""

import pytest

from bot.core.tasks import FailureReason, Stage
from tests.stores import only_sqlite
from tests.web.house import House

SEND = "code-tasks/CT-1/send"


async def test_words_go_to_the_run_that_reads_them(house: House) -> None:
    ana = await house.client()
    await ana.file()
    assert await ana.ask("POST", SEND, 202, json={"text": "use tabs"}) == {"run": "CT-1#1", "position": 1}
    assert await ana.ask("POST", SEND, 202, json={"text": "and tests"}) == {"run": "CT-1#1", "position": 2}
    await house.bring(1, Stage.REVIEW, branch="code-worker/CT-1")
    assert await ana.ask("POST", SEND, 202, json={"text": "make it blue"}) == {"run": "FU-1#1", "position": 1}
    again = await ana.ask("POST", SEND, 409, json={"text": "and bold"})
    assert "is being worked on" in again["message"], "it has no thread where a second one could wait"
    assert await house.fire() == 1
    claimed = await house.claim_follow_up()
    assert claimed.task is not None and claimed.task.ref == "CT-1" and claimed.follow_up.body == "make it blue"
    assert (await ana.ask("GET", "code-tasks/CT-1", 200))["stage"] == "review"


@only_sqlite
@pytest.mark.parametrize(("stage", "says"), [(Stage.FAILED, "has failed"), (Stage.MERGED, "is merged")])
async def test_nothing_is_sent_after_the_end(house: House, stage: Stage, says: str) -> None:
    ana = await house.client()
    await ana.file()
    more = {"failure_reason": FailureReason.AGENT_FAILED} if stage is Stage.FAILED else {}
    await house.bring(1, stage, **more)
    assert says in (await ana.ask("POST", SEND, 409, json={"text": "go on"}))["message"]


@only_sqlite
async def test_wrong_words_and_wrong_people(house: House) -> None:
    ana, vi = await house.client(), await house.client("viewer", person="token::vi")
    await ana.file()
    for text in ("", "  \n ", "\u200b"):
        assert "Nothing was sent" in (await ana.ask("POST", SEND, 400, json={"text": text}))["message"]
    assert "8,000" in (await ana.ask("POST", SEND, 400, json={"text": "x" * 8_001}))["message"]
    await ana.ask("POST", SEND, 422, json={"words": "x"})
    await ana.ask("POST", "code-tasks/CT-9/send", 404, json={"text": "x"})
    await vi.ask("POST", SEND, 403, json={"text": "x"})
