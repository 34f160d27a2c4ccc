"""What nobody gets at by way of a suggestion: the code tasks of others, and words that need an admin."""

from bot.core.suggestions import FILED
from bot.core.tasks import Stage
from tests.services.suggestion_desk import ANA, DI, TEXT, Desk, desk, make_desk

__all__ = ["desk", "make_desk"]


async def test_who_points_at_a_filed_message_may_not_cancel_its_code_task(desk: Desk) -> None:
    message = desk.writes(author=ANA)
    await desk.says(TEXT, ANA, message_id=message.message_id)
    assert await desk.reacts(message, DI) == "Already filed as CT-1."
    found = await desk.suggestion()
    assert (found.state, found.decided_by) == (FILED, "paper:U1")
    assert "You can't cancel CT-1" in await desk.presses("codetask:not_request:RQ-1", DI)
    assert (await desk.task()).stage is Stage.QUEUED
    assert await desk.presses("codetask:not_request:RQ-1", ANA) == "Noted, not a request."
    assert (await desk.task()).is_cancelled
