"""Follow-ups over HTTP: set, ids, lists, every state's code, idempotency, times, rights, logs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.core.followups import FollowUpState
from bot.core.inbound import Person
from bot.web.application import create_web
from tests.stores import only_sqlite
from tests.web.house import House, dumps, open_house, settings_for
from tests.web.later import bring, ids

STORED = {  # P22
    *("id", "uuid", "title", "due_at", "channel", "thread", "message", "agent", "state", "error", "attempt"),
    *("completed_at", "created_at", "updated_at"),
}
STATES = ["pending", "running", "success", "failed", "cancelled"]
HEADERS = {"idempotency-key": "k1"}


class TestCreate:
    async def test_p22_a_follow_up_has_the_stable_keys(self, house: House) -> None:
        ana = await house.client()
        made = await ana.later(time="2h", tz="Europe/Berlin", title="Deploy", agent=" Patch ", message_id="1.2")
        assert set(made) >= STORED
        assert (made["id"], made["state"], made["attempt"]) == ("FU-1", "pending", 0)
        assert (made["title"], made["message"], made["agent"]) == ("Deploy", "Check the deploy", "patch")
        assert (made["kind"], made["if_missed"], made["if_busy"]) == ("agent", "skip", "queue")
        assert made["requester"] == {"platform": "token", "workspace_id": "", "id": "ana", "name": "ana"}
        assert (made["zone"], made["message_id"]) == ("Europe/Berlin", "1.2")
        assert "(Berlin, in 2 h)" in made["when"]
        assert datetime.fromisoformat(made["due_local"]) == datetime.fromisoformat(made["due_at"]).replace(
            microsecond=0
        )
        assert (made["channel"], made["thread"], made["last_run"], made["result"]) == (None, None, None, None)
        assert "`codetask followup show FU-1`" in made["notes"][0]

    async def test_the_place_of_a_new_one_is_told(self, house: House) -> None:
        ana = await house.client()
        wish = {"time": "2h", "message": "Check"}
        answer = await ana.request("POST", "/api/v1/follow-ups", json=wish)
        assert (answer.status_code, answer.headers["location"]) == (201, "/api/v1/follow-ups/FU-1")

    @only_sqlite
    @pytest.mark.parametrize(
        ("changed", "status", "code"),
        [
            ({"time": None}, 400, "no_time"),
            ({"at": "3h"}, 400, "time_twice"),
            ({"time": "soon"}, 400, "when_unclear"),
            ({"time": ""}, 400, "when_empty"),
            ({"time": "2020-01-01T00:00:00Z"}, 400, "when_past_only"),
            ({"time": "in 400 days"}, 400, "when_too_far"),
            ({"time": 1_577_836_800}, 400, "when_past_only"),
            ({"time": 10**18}, 400, "when_too_far"),
            ({"time": 5}, 400, "when_unclear"),
            ({"time": 1e300}, 400, "when_unclear"),
            ({"time": "every monday"}, 400, "when_one_time"),
            ({"time": "tomorrow 9am"}, 400, "which_zone"),
            ({"time": "2026-03-29T02:30", "tz": "Nowhere/Land"}, 400, "unknown_zone"),
            ({"tz": ""}, 422, "invalid"),
            ({"time": True}, 422, "invalid"),
            ({"time": ["2h"]}, 422, "invalid"),
            ({"message": ""}, 400, "empty_message"),
            ({"message": "\u200b \n"}, 400, "empty_message"),
            ({"message": "x" * 8001}, 400, "follow_up_too_long"),
            ({"message": None}, 422, "invalid"),
            ({"message": 7}, 422, "invalid"),
            ({"agent": "gpt"}, 400, "unknown_agent"),
            ({"if_missed": "queue"}, 422, "invalid"),
            ({"if_busy": "run"}, 422, "invalid"),
            ({"remind": "perhaps"}, 422, "invalid"),
            ({"state": "success"}, 422, "invalid"),
            ({"channel": "C1"}, 400, "unknown_channel"),
            ({"channel": "T1::C1"}, 400, "unknown_channel"),
            ({"thread": "1.2"}, 400, "thread_without_channel"),
            ({"thread": {"platform": "slack", "channel_id": "C1"}}, 400, "unknown_channel"),
            ({"requester": "bob"}, 400, "bad_requester"),
            ({"requester": "token::bob"}, 403, "not_for_others"),
        ],
    )
    async def test_a_wish_that_cannot_be_set_is_refused(
        self, house: House, changed: dict[str, Any], status: int, code: str
    ) -> None:
        ana = await house.client()
        assert (await ana.later(status, **changed))["code"] == code
        assert (await ana.ask("GET", "follow-ups", 200))["items"] == []

    async def test_p37_the_words_for_an_unknown_channel(self, house: House) -> None:
        refusal = await (await house.client()).later(400, channel="T1::C1")
        assert refusal["message"] == "Channel not found in configured workspaces"

    async def test_p32_agent_names_are_trimmed_lowered_and_listed_when_unknown(self, house: House) -> None:
        ana = await house.client()
        assert (await ana.later(agent="  DEMO "))["agent"] == "demo"
        assert (await ana.later(agent="  "))["agent"] is None
        assert "demo, patch" in (await ana.later(400, agent="gpt"))["message"]
        assert "demo, patch" in (await ana.ask("PATCH", "follow-ups/1", 400, json={"agent": "gpt"}))["message"]
        assert (await ana.ask("PATCH", "follow-ups/1", 200, json={"agent": " Patch"}))["agent"] == "patch"
        assert (await ana.ask("PATCH", "follow-ups/1", 200, json={"agent": None}))["agent"] is None

    async def test_the_quota_of_a_person_is_a_conflict(self, house: House) -> None:
        ana, bob = await house.client(), await house.client(person="token::bob")
        for _ in range(50):
            await ana.later()
        refusal = await ana.later(409)
        assert refusal["code"] == "follow_ups_full"
        assert "`codetask followup list`" in refusal["message"]
        await bob.later()
        await ana.ask("POST", "follow-ups/1/cancel", 200)
        await ana.later()

    async def test_run_now_needs_no_time_and_takes_any(self, house: House) -> None:
        ana = await house.client()
        await ana.later(run_now=True, time=None)
        await ana.later(run_now=True, time="2020-01-01T00:00:00Z")
        assert await house.fire() == 2

    async def test_hostile_text_is_stored_harmlessly(self, house: House) -> None:
        ana, json = await house.client(), {"content-type": "application/json"}
        body = dumps({"message": "Check\x00 the\u202e log\x1b[2J 🎉", "time": "2h"})
        assert (await ana.ask("POST", "follow-ups", 201, content=body, headers=json))["message"] == "Check the log 🎉"
        assert (await ana.later(title="Look\x00 at it\u202e"))["title"] == "Look at it"
        for field in ("message_id", "requester", "channel", "thread", "agent", "tz", "time"):
            answer = await ana.request("POST", "/api/v1/follow-ups", json={"message": "x", "time": "2h", field: "\x00"})
            assert answer.status_code in (400, 422), field
        half = dumps({"message": "Half a character: \ud800", "time": "2h"})
        await ana.ask("POST", "follow-ups", 422, content=half, headers=json)

    async def test_without_agents_a_prompt_becomes_a_reminder_and_says_so(self, house: House) -> None:
        ana = await house.client()
        made = await ana.later(remind=True)
        assert (made["kind"], made["if_missed"]) == ("message", "run")
        object.__setattr__(house.app.followups, "agents", ())
        made = await ana.later()
        assert made["kind"] == "message"
        assert "No agent is set up here" in made["notes"][0]


class TestTimes:
    @pytest.mark.parametrize(("factor", "kind"), [(1, int), (1, float), (1000, int), (1, str), (1000, str)])
    async def test_p36_a_number_below_1e12_is_seconds_otherwise_milliseconds(
        self, house: House, factor: int, kind: type
    ) -> None:
        at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
        made = await (await house.client()).later(time=kind(int(at.timestamp()) * factor))
        assert datetime.fromisoformat(made["due_at"]) == at

    async def test_a_time_with_an_offset_needs_no_zone(self, house: House) -> None:
        at = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
        ana = await house.client()
        for text in (at.isoformat(), f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at:%Y-%m-%d %H:%M:%S} UTC"):
            assert datetime.fromisoformat((await ana.later(time=text))["due_at"]) == at

    async def test_a_time_that_can_be_read_two_ways_offers_choices(self, house: House) -> None:
        ana = await house.client()
        refusal = await ana.later(400, time="tomorrow at 5", tz="Europe/Berlin")
        assert refusal["code"] == "when_ambiguous"
        assert [choice[10:16] for choice in refusal["choices"]] == ["T05:00", "T17:00"]
        made = await ana.later(time=refusal["choices"][1], tz="Europe/Berlin")
        assert made["due_local"] == refusal["choices"][1]

    async def test_a_time_that_has_passed_offers_the_next(self, house: House) -> None:
        refusal = await (await house.client()).later(400, time="today at 00:00", tz="Europe/Berlin")
        assert refusal["code"] == "when_past"
        assert len(refusal["choices"]) == 1

    async def test_the_zone_is_ones_own_else_the_default(self, database_url: str, tmp_path: Path) -> None:
        settings = settings_for(database_url, tmp_path, default_timezone="Asia/Tokyo")
        async with open_house(settings) as house:
            ana = await house.client()
            assert (await ana.later(time="tomorrow 9am"))["zone"] == "Asia/Tokyo"
            me = Person(platform="token", workspace_id="", id="ana")
            await house.app.store.run(lambda tx: tx.people.prefer(me, "tz", "Europe/Berlin"))
            made = await ana.later(time="tomorrow 9am")
            assert made["zone"] == "Europe/Berlin"
            due = datetime.fromisoformat(made["due_at"]).astimezone(ZoneInfo("Europe/Berlin"))
            assert f"{due:%H:%M}" == "09:00"
            assert (await ana.later(time="tomorrow 9am", tz="New York"))["zone"] == "America/New_York"

    async def test_when_answers_without_setting_anything(self, house: House) -> None:
        ana = await house.client("viewer", "read")
        asked = {"text": "tomorrow 9am", "tz": "Europe/Berlin"}
        told = await ana.ask("GET", "when", 200, params=asked)
        assert set(told) == {"instant", "zone", "say"}
        assert told["instant"][10:16] == "T09:00"
        assert "(Berlin, in " in told["say"]
        told = await ana.ask("GET", "when", 200, params=asked | {"text": "tomorrow at 5"})
        assert set(told) == {"choices", "zone", "say"}
        assert len(told["choices"]) == 2
        assert (await ana.ask("GET", "when", 400, params={"text": "soon"}))["code"] == "when_unclear"
        assert (await ana.ask("GET", "when", 400, params={"text": "tomorrow"}))["code"] == "which_zone"
        assert (await ana.ask("GET", "when", 400, params={"text": "2h", "tz": "X"}))["code"] == "unknown_zone"
        assert "instant" in await ana.ask("GET", "when", 200, params={"text": "in 3 days"})
        await ana.ask("GET", "when", 422)
        assert (await ana.ask("GET", "follow-ups", 200))["items"] == []


class TestIdempotency:
    async def test_the_same_key_and_body_answer_the_same_follow_up(self, house: House) -> None:
        ana = await house.client()
        first = await ana.request("POST", "/api/v1/follow-ups", json=WISH, headers=HEADERS)
        again = await ana.request("POST", "/api/v1/follow-ups", json=WISH, headers=HEADERS)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["uuid"] == again.json()["uuid"]

    async def test_the_same_key_with_another_body_is_a_conflict(self, house: House) -> None:
        ana = await house.client()
        await ana.ask("POST", "follow-ups", 201, json=WISH, headers=HEADERS)
        for other in (WISH | {"message": "Else"}, WISH | {"time": "3h"}):
            refusal = await ana.ask("POST", "follow-ups", 409, json=other, headers=HEADERS)
            assert refusal["code"] == "idempotency"

    async def test_a_key_counts_for_one_person(self, house: House) -> None:
        ana, bob = await house.client(), await house.client(person="token::bob")
        ids = [(await one.ask("POST", "follow-ups", 201, json=WISH, headers=HEADERS))["id"] for one in (ana, bob)]
        assert ids == ["FU-1", "FU-2"]

    async def test_a_repeat_is_answered_when_its_time_has_passed(self, house: House) -> None:
        ana = await house.client()
        at = datetime.now(UTC) + timedelta(days=1)
        wish = WISH | {"time": at.isoformat()}
        made = await ana.ask("POST", "follow-ups", 201, json=wish, headers=HEADERS)
        await ana.ask("POST", "follow-ups/1/cancel", 200)
        past = {"due_at": at - timedelta(days=2), "created_at": at - timedelta(days=3)}
        await house.app.store.run(lambda tx: tx.followups.update(1, **past))
        again = await ana.ask("POST", "follow-ups", 200, json=wish, headers=HEADERS)
        assert (again["uuid"], again["state"]) == (made["uuid"], "cancelled")

    @only_sqlite
    @pytest.mark.parametrize("key", ["", "é", "a b", "x" * 201])
    async def test_a_key_that_is_none_is_refused(self, house: House, key: str) -> None:
        ana = await house.client()
        headers = {"idempotency-key": key.encode()}
        assert (await ana.ask("POST", "follow-ups", 400, json=WISH, headers=headers))["code"] == "bad_idempotency_key"


WISH = {"time": "2h", "message": "Check the deploy"}


class TestStates:
    """P28: cancel, stop, run, retry, update and delete in every state."""

    @pytest.mark.parametrize(
        ("verb", "allowed", "status", "after"),
        [
            ("cancel", {"pending", "cancelled"}, 200, "cancelled"),
            ("stop", {"pending", "running", "cancelled"}, 200, "cancelled"),
            ("run", {"pending"}, 202, "pending"),
            ("retry", {"failed"}, 202, "pending"),
        ],
    )
    @pytest.mark.parametrize("state", STATES)
    async def test_p28_verbs_and_states(
        self, house: House, verb: str, state: str, allowed: set[str], status: int, after: str
    ) -> None:
        ana = await house.client()
        ref = await bring(house, ana, state)
        answer = await ana.ask("POST", f"follow-ups/{ref}/{verb}", status if state in allowed else 409)
        now = await ana.ask("GET", f"follow-ups/{ref}", 200)
        assert now["state"] == (after if state in allowed else state)
        if state in allowed:
            assert (answer["id"], answer["state"]) == (ref, after)

    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    @pytest.mark.parametrize("state", STATES)
    async def test_p34_only_a_pending_one_can_be_updated(self, house: House, state: str, method: str) -> None:
        ana = await house.client()
        ref = await bring(house, ana, state)
        await ana.ask(method, f"follow-ups/{ref}", 200 if state == "pending" else 409, json={"title": "New"})
        now = await ana.ask("GET", f"follow-ups/{ref}", 200)
        assert now["title"] == ("New" if state == "pending" else "Check the deploy")

    @pytest.mark.parametrize("state", STATES)
    async def test_p28_any_but_a_running_one_can_be_deleted(self, house: House, state: str) -> None:
        ana = await house.client()
        ref = await bring(house, ana, state)
        refusal = await ana.ask("DELETE", f"follow-ups/{ref}", 409 if state == "running" else 204)
        await ana.ask("GET", f"follow-ups/{ref}", 200 if state == "running" else 404)
        if state == "running":
            assert f"stop {ref}" in refusal["message"]

    async def test_p38_cancelling_a_running_one_names_stop(self, house: House) -> None:
        ana = await house.client()
        ref = await bring(house, ana, "running")
        refusal = await ana.ask("POST", f"follow-ups/{ref}/cancel", 409)
        assert (refusal["code"], refusal["message"]) == ("follow_up_running", f"{ref} is running: use `stop {ref}`.")

    @pytest.mark.parametrize("state", ["success", "failed"])
    async def test_p38_cancelling_a_finished_one_names_its_state(self, house: House, state: str) -> None:
        ana = await house.client()
        ref = await bring(house, ana, state)
        refusal = await ana.ask("POST", f"follow-ups/{ref}/cancel", 409)
        assert refusal["message"] == f"{ref} can't be cancelled (state: {'done' if state == 'success' else state})."

    async def test_running_one_that_runs_says_so_and_a_finished_one_names_retry(self, house: House) -> None:
        ana = await house.client()
        running = await bring(house, ana, "running")
        assert "already running" in (await ana.ask("POST", f"follow-ups/{running}/run", 409))["message"]
        await ana.ask("POST", f"follow-ups/{running}/stop", 200)
        failed = await bring(house, ana, "failed")
        assert f"`retry {failed}`" in (await ana.ask("POST", f"follow-ups/{failed}/run", 409))["message"]

    async def test_run_and_retry_fall_due_at_once(self, house: House) -> None:
        ana = await house.client()
        await ana.later()
        assert await house.fire() == 0
        await ana.ask("POST", "follow-ups/1/run", 202)
        assert await house.fire() == 1
        await house.fail("exit 7")
        failed = await ana.ask("GET", "follow-ups/1", 200)
        assert (failed["failure_reason"], failed["error"], failed["attempt"]) == ("agent_failed", "exit 7", 1)
        again = await ana.ask("POST", "follow-ups/1/retry", 202)
        assert (again["state"], again["error"]) == ("pending", None)
        assert await house.fire() == 1
        assert (await ana.ask("GET", "follow-ups/1", 200))["last_run"]["id"] == "FU-1#2"

    async def test_a_stopped_run_is_never_answered(self, house: House) -> None:
        ana = await house.client()
        ref = await bring(house, ana, "running")
        claimed = await house.claim_follow_up()
        await ana.ask("POST", f"follow-ups/{ref}/stop", 200)
        assert not await house.app.store.run(lambda tx: tx.runs.holds(claimed.lease.run_id, claimed.lease.fence))
        assert (await ana.ask("GET", f"follow-ups/{ref}", 200))["last_run"]["state"] == "cancelled"


class TestUpdate:
    async def test_what_is_not_named_stays(self, house: House) -> None:
        ana = await house.client()
        made = await ana.later(tz="Europe/Berlin", title="Deploy", agent="patch", if_missed="run", if_busy="skip")
        changed = await ana.ask("PATCH", "follow-ups/1", 200, json={"message": "Look again"})
        assert changed["message"] == "Look again"
        for key in ("title", "agent", "due_at", "zone", "if_missed", "if_busy", "created_at"):
            assert changed[key] == made[key]
        assert (await ana.ask("PATCH", "follow-ups/1", 200, json={}))["message"] == "Look again"

    async def test_every_field_can_be_changed(self, house: House) -> None:
        ana = await house.client()
        await ana.later()
        wish = {"title": "New", "message": "Else", "agent": "patch", "if_missed": "run", "if_busy": "skip"}
        changed = await ana.ask("PUT", "follow-ups/1", 200, json=wish)
        assert changed.items() >= wish.items()
        changed = await ana.ask("PATCH", "follow-ups/1", 200, json={"at": "tomorrow 9am", "tz": "Asia/Tokyo"})
        assert (changed["zone"], changed["due_local"][11:]) == ("Asia/Tokyo", "09:00:00+09:00")

    async def test_a_time_without_a_zone_is_read_in_its_own(self, house: House) -> None:
        ana = await house.client()
        await ana.later(tz="Asia/Kolkata")
        changed = await ana.ask("PATCH", "follow-ups/1", 200, json={"time": "tomorrow 9am"})
        assert changed["due_local"][11:] == "09:00:00+05:30"

    async def test_the_title_follows_the_text_unless_it_was_given(self, house: House) -> None:
        ana = await house.client()
        await ana.later()
        assert (await ana.ask("PATCH", "follow-ups/1", 200, json={"message": "Else\nmore"}))["title"] == "Else"

    @only_sqlite
    @pytest.mark.parametrize(
        ("changes", "status", "code"),
        [
            ({"time": ["2h"]}, 422, "invalid"),
            ({"time": None}, 422, "invalid"),
            ({"message": 5}, 422, "invalid"),
            ({"title": None}, 422, "invalid"),
            ({"if_missed": "later"}, 422, "invalid"),
            ({"state": "success"}, 422, "invalid"),
            ({"channel": "C1"}, 422, "invalid"),
            ([], 422, "invalid"),
            ({"time": "soon"}, 400, "when_unclear"),
            ({"time": "2h", "at": "3h"}, 400, "time_twice"),
            ({"time": "2020-01-01T00:00:00Z"}, 400, "when_past_only"),
            ({"message": "  "}, 400, "empty_message"),
            ({"message": "x" * 8001}, 400, "follow_up_too_long"),
            ({"agent": "gpt"}, 400, "unknown_agent"),
            ({"tz": "Nowhere/Land"}, 400, "unknown_zone"),
        ],
    )
    async def test_a_change_that_does_not_fit_changes_nothing(
        self, house: House, changes: Any, status: int, code: str
    ) -> None:
        ana = await house.client()
        made = await ana.later()
        assert (await ana.ask("PATCH", "follow-ups/1", status, json=changes))["code"] == code
        now = await ana.ask("GET", "follow-ups/1", 200)
        assert (now["message"], now["due_at"], now["updated_at"]) == (
            made["message"],
            made["due_at"],
            made["updated_at"],
        )

    async def test_p39_a_stored_agent_that_was_disabled_survives_an_edit(self, house: House) -> None:
        ana = await house.client()
        await ana.later(agent="patch")
        object.__setattr__(house.app.followups, "agents", ("demo",))
        for changes in ({"title": "New"}, {"agent": "patch", "title": "Newer"}):
            assert (await ana.ask("PATCH", "follow-ups/1", 200, json=changes))["agent"] == "patch"
        await ana.later(400, agent="patch")


class TestLooking:
    @pytest.mark.parametrize("form", ["FU-1", "fu-1", "1", "%231", "{uuid}"])
    async def test_p28_a_follow_up_goes_by_many_names(self, house: House, form: str) -> None:
        ana = await house.client()
        made = await ana.later()
        found = await ana.ask("GET", f"follow-ups/{form.format(uuid=made['uuid'])}", 200)
        assert found["uuid"] == made["uuid"]

    @pytest.mark.parametrize("form", ["FU-2", "2", "CT-1", "nope", "a b", "%00", "FU-99999999999", "é", "x" * 900])
    async def test_an_unknown_name_is_404(self, house: House, form: str) -> None:
        ana = await house.client()
        await ana.later()
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/logs"), ("POST", "/run"), ("POST", "/stop")):
            assert (await ana.ask(method, f"follow-ups/{form}{path}", 404))["code"] == "unknown_follow_up"
        await ana.ask("PATCH", f"follow-ups/{form}", 404, json={"title": "New"})

    async def test_p35_running_then_pending_by_time_then_the_rest_newest_first(self, house: House) -> None:
        ana = await house.client()
        expected = {state: await bring(house, ana, state) for state in ("success", "failed", "cancelled", "running")}
        late, soon = [(await ana.later(time=time))["id"] for time in ("5h", "1h")]
        order = [expected["running"], soon, late, expected["cancelled"], expected["failed"], expected["success"]]
        assert await ids(ana) == order
        first = await ana.ask("GET", "follow-ups", 200, params={"limit": 4})
        second = await ana.ask("GET", "follow-ups", 200, params={"limit": 4, "cursor": first["next"]})
        assert [one["id"] for page in (first, second) for one in page["items"]] == order
        assert second["next"] is None

    async def test_lists_are_filtered(self, house: House) -> None:
        ana, bob = await house.client(), await house.client(person="token::bob")
        await ana.later()
        await bob.later()
        await ana.ask("POST", "follow-ups/1/cancel", 200)
        assert await ids(ana, state="cancelled") == ["FU-1"]
        assert await ids(ana, state=["cancelled", "pending"]) == ["FU-2", "FU-1"]
        assert await ids(bob, mine=True) == await ids(bob, requester="me") == ["FU-2"]
        assert await ids(bob, requester="token::ana") == ["FU-1"]
        assert await ids(bob, channel="C1") == []
        assert await ids(bob, channel="T1::C1", thread="1.2") == []

    @only_sqlite
    @pytest.mark.parametrize(
        ("asked", "status"),
        [
            ({"state": "queued"}, 422),
            ({"limit": 0}, 422),
            ({"limit": 201}, 422),
            ({"mine": "perhaps"}, 422),
            ({"cursor": "x"}, 400),
            ({"cursor": "-1"}, 400),
            ({"cursor": "9" * 30}, 400),
            ({"thread": "1.2"}, 400),
            ({"requester": "ana"}, 400),
        ],
    )
    async def test_a_filter_that_does_not_fit_is_refused(
        self, house: House, asked: dict[str, Any], status: int
    ) -> None:
        await (await house.client()).ask("GET", "follow-ups", status, params=asked)


def test_p28_the_description_names_every_route(house_without_store: dict[str, Any]) -> None:
    paths = house_without_store["paths"]
    assert set(paths["/api/v1/follow-ups"]) == {"get", "post"}
    assert set(paths["/api/v1/follow-ups/{follow_up_id}"]) == {"get", "patch", "put", "delete"}
    for verb in ("cancel", "stop", "run", "retry"):
        assert set(paths[f"/api/v1/follow-ups/{{follow_up_id}}/{verb}"]) == {"post"}
    assert "get" in paths["/api/v1/follow-ups/{follow_up_id}/logs"]
    assert "get" in paths["/api/v1/when"]


@pytest.fixture
async def house_without_store(tmp_path: Path) -> dict[str, Any]:
    async with open_house(settings_for(f"sqlite:///{tmp_path / 'x.db'}", tmp_path)) as house:
        return create_web(house.app).openapi()


def test_the_states_tested_are_all() -> None:
    assert {state.value for state in FollowUpState} == set(STATES)
