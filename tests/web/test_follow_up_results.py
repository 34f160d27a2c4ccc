"""What became of follow-ups over HTTP: answers without a chat, logs, counts."""

from datetime import timedelta

from tests.web.house import House
from tests.web.later import bring


class TestWithoutAChat:
    async def test_it_runs_and_its_answer_can_be_read(self, house: House) -> None:
        ana = await house.client()
        ref = await bring(house, ana, "success")
        done = await ana.ask("GET", f"follow-ups/{ref}", 200)
        assert done["result"] == "All green.\nNothing to do."
        run = done["last_run"]
        assert (run["id"], run["attempt"], run["state"], run["agent"]) == (f"{ref}#1", 1, "done", "demo")
        assert run["cost"] == {"usd": 0.01, "tokens": 7}
        logs = await ana.ask("GET", f"follow-ups/{ref}/logs", 200)
        assert {one["run"] for one in logs["items"]} == {f"{ref}#1"}
        assert [one["content"] for one in logs["items"]] == [
            "ran a tool", "tool", "All green.", "Nothing to do.", "answered",
        ]  # fmt: skip
        tail = await ana.ask("GET", f"follow-ups/{ref}/logs", 200, params={"tail": 1, "run": 1})
        assert [(one["seq"], one["type"]) for one in tail["items"]] == [(5, "event")]
        assert await house.app.store.run(lambda tx: tx.figures.deliveries()) == {
            "pending": 0, "sending": 0, "unknown": 0, "dead": 0,
        }  # fmt: skip

    async def test_a_reminder_ends_well_and_posts_nowhere(self, house: House) -> None:
        ana = await house.client()
        await ana.later(remind=True, run_now=True)
        await house.fire()
        done = await ana.ask("GET", "follow-ups/1", 200)
        assert (done["state"], done["attempt"], done["last_run"]) == ("success", 1, None)

    async def test_a_pending_one_has_no_log_yet(self, house: House) -> None:
        ana = await house.client()
        await ana.later()
        assert await ana.ask("GET", "follow-ups/1/logs", 200) == {"items": [], "next": None}
        assert (await ana.ask("GET", "follow-ups/1/logs", 404, params={"run": 2}))["code"] == "unknown_attempt"


async def test_what_is_open_is_counted(house: House) -> None:
    ana = await house.client()
    await ana.later()
    await bring(house, ana, "running")
    assert (await ana.ask("GET", "stats", 200))["follow_ups"] == {"pending": 1, "running": 1}
    told = (await ana.get("/metrics")).text
    assert 'codetask_follow_ups{state="pending"} 1.0' in told
    assert "codetask_oldest_due_seconds 0.0" in told
    await house.app.store.run(lambda tx: tx.followups.update(1, due_at=tx.now - timedelta(seconds=90)))
    line = next(one for one in (await ana.get("/metrics")).text.splitlines() if one.startswith("codetask_oldest_due"))
    assert 90 <= float(line.split()[1]) < 600
