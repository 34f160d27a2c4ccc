"""Code tasks over HTTP: filing, ids, lists, every transition's code, idempotency, deletion."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.tasks import FailureReason, Stage
from tests.stores import only_sqlite
from tests.web.house import WISH, House, dumps, open_house, settings_for

STABLE = {
    *("id", "uuid", "name", "title", "stage", "failure_reason", "run", "attempt", "max_attempts", "next_attempt_at"),
    *("requester", "repo", "base", "branch", "pr", "tests", "cost", "workspace", "thread", "askers"),
    *("created_at", "updated_at"),
}


async def test_a_filed_code_task_has_the_stable_keys(house: House) -> None:
    ana = await house.client()
    task = await ana.file(name="csv", base="develop", agent="Patch", priority="high", draft=True)
    assert set(task) >= STABLE
    assert task["id"] == "CT-1"
    assert task["stage"] == "queued"
    assert task["attempt"] == 0
    assert (task["name"], task["base"], task["agent"], task["priority"]) == ("csv", "develop", "patch", "high")
    assert task["run"] == {"id": "CT-1#1", "state": None, "message": None, "since": task["created_at"]}
    assert task["requester"] == {"platform": "token", "workspace_id": "", "id": "ana", "name": "ana"}
    assert task["cost"] == {"usd": None, "tokens": None}
    assert task["askers"] == []
    assert task["thread"] is None


async def test_every_field_is_shown_when_it_is_known(house: House) -> None:
    ana = await house.client()
    await ana.file()
    await house.app.store.run(lambda tx: house.app.attempts.claim(tx, "w", "host"))
    await house.app.store.run(
        lambda tx: tx.tasks.move(
            1,
            {Stage.RUNNING},
            Stage.REVIEW,
            actor="w",
            pr_url="https://github.com/acme/web/pull/7",
            pr_number=7,
            branch="code-worker/CT-1",
            tests_passed=False,
            test_exit_code=2,
            test_seconds=1.5,
            cost_usd=0.25,
            tokens=900,
        )
    )
    task = await ana.ask("GET", "code-tasks/CT-1", 200)
    assert task["pr"] == {"url": "https://github.com/acme/web/pull/7", "number": 7, "draft": False}
    assert task["tests"]["passed"] is False
    assert (task["tests"]["exit_code"], task["tests"]["duration_s"]) == (2, 1.5)
    assert task["cost"] == {"usd": 0.25, "tokens": 900}
    assert task["run"]["state"] == "working"
    assert task["attempt"] == 1


@pytest.mark.parametrize("form", ["CT-1", "ct-1", "1", "%231", "csv", "ana/csv", "ana%2Fcsv", "{uuid}"])
async def test_a_code_task_goes_by_many_names(house: House, form: str) -> None:
    ana = await house.client()
    task = await ana.file(name="csv")
    found = await ana.ask("GET", f"code-tasks/{form.format(uuid=task['uuid'])}", 200)
    assert found["uuid"] == task["uuid"]


@only_sqlite
@pytest.mark.parametrize(
    "form", ["CT-2", "2", "nope", "bob/csv", "FU-1", "a b", "%00", "..", "CT-99999999999", "é", "x" * 900]
)
async def test_an_unknown_name_is_404(house: House, form: str) -> None:
    ana = await house.client()
    await ana.file(name="csv")
    await ana.ask("GET", f"code-tasks/{form}", 404)
    await ana.ask("POST", f"code-tasks/{form}/cancel", 404)


@only_sqlite
@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"description": "short"}, 400, "too_short"),
        ({"description": "\u200b" * 50}, 400, "too_short"),
        ({"description": "x" * 8001}, 400, "too_long"),
        ({"repo": "other"}, 400, "unknown_repository"),
        ({"repo": None}, 400, "which_repository"),
        ({"agent": "gpt"}, 400, "unknown_agent"),
        ({"name": "Not a slug"}, 400, "flag_name"),
        ({"name": "a" * 33}, 400, "flag_name"),
        ({"base": "--upload-pack=x"}, 400, "flag_value_any"),
        ({"base": "a b"}, 400, "flag_value_any"),
        ({"base": ""}, 400, "flag_missing"),
        ({"priority": "urgent"}, 422, "invalid"),
        ({"draft": "perhaps"}, 422, "invalid"),
        ({"description": None}, 422, "invalid"),
        ({"description": 12345678901}, 422, "invalid"),
        ({"stage": "merged"}, 422, "invalid"),
        ({"channel": "C1"}, 400, "unknown_channel"),
        ({"thread": {"platform": "slack", "channel_id": "C1"}}, 400, "unknown_channel"),
        ({"channel": "C1", "thread": {"platform": "slack", "channel_id": "C1"}}, 400, "channel_twice"),
    ],
)
async def test_a_wish_that_cannot_be_filed_is_refused(
    house: House, changed: dict[str, Any], status: int, code: str
) -> None:
    ana = await house.client()
    refusal = await ana.ask("POST", "code-tasks", status, json=WISH | changed)
    assert refusal["code"] == code
    assert (await ana.ask("GET", "code-tasks", 200))["items"] == []


@only_sqlite
async def test_nothing_can_be_filed_without_a_repository(database_url: str, tmp_path: Path) -> None:
    async with open_house(settings_for(database_url, tmp_path, repos={})) as house:
        refusal = await (await house.client()).ask("POST", "code-tasks", 400, json=WISH)
        assert refusal["message"] == "No repository configured: set GIT_REPO_URL."


@only_sqlite
async def test_with_the_feature_off_there_are_no_code_tasks(database_url: str, tmp_path: Path) -> None:
    async with open_house(settings_for(database_url, tmp_path, features="web")) as house:
        ana = await house.client()
        assert (await ana.ask("POST", "code-tasks", 404, json=WISH))["code"] == "disabled"
        await ana.ask("GET", "code-tasks", 404)


async def test_hostile_text_is_stored_harmlessly(house: House) -> None:
    ana = await house.client()
    wish = dumps({"description": "Fix the\x00 title\u202e of\x1b[2J the page 🎉", "repo": "web"})
    task = await ana.ask("POST", "code-tasks", 201, content=wish, headers={"content-type": "application/json"})
    assert task["description"] == "Fix the title of the page 🎉"
    half = dumps({"description": "Half a character: \ud800", "repo": "web"})
    await ana.ask("POST", "code-tasks", 422, content=half, headers={"content-type": "application/json"})


class TestIdempotency:
    async def test_the_same_key_and_body_answer_the_same_code_task(self, house: House) -> None:
        ana = await house.client()
        first = await ana.request("POST", "/api/v1/code-tasks", json=WISH, headers={"idempotency-key": "k1"})
        again = await ana.request("POST", "/api/v1/code-tasks", json=WISH, headers={"idempotency-key": "k1"})
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["uuid"] == again.json()["uuid"]
        assert first.headers["location"] == "/api/v1/code-tasks/CT-1"

    async def test_another_body_under_the_key_is_refused(self, house: House) -> None:
        ana = await house.client()
        await ana.ask("POST", "code-tasks", 201, json=WISH, headers={"idempotency-key": "k1"})
        other = WISH | {"description": "Something else entirely"}
        refusal = await ana.ask("POST", "code-tasks", 409, json=other, headers={"idempotency-key": "k1"})
        assert refusal["code"] == "idempotency"

    async def test_a_key_counts_for_one_person(self, house: House) -> None:
        ana, bob = await house.client(), await house.client(person="token::bob")
        for client in (ana, bob):
            await client.ask("POST", "code-tasks", 201, json=WISH, headers={"idempotency-key": "k1"})

    async def test_many_at_once_file_one(self, house: House) -> None:
        ana = await house.client()
        headers = {"idempotency-key": "k1"}
        answers = await asyncio.gather(
            *(ana.request("POST", "/api/v1/code-tasks", json=WISH, headers=headers) for _ in range(12))
        )
        assert sorted(answer.status_code for answer in answers) == [200] * 11 + [201]
        assert len({answer.json()["uuid"] for answer in answers}) == 1

    @only_sqlite
    @pytest.mark.parametrize("key", ["a b", "x" * 201])
    async def test_a_key_that_is_none_is_refused(self, house: House, key: str) -> None:
        ana = await house.client()
        refusal = await ana.ask("POST", "code-tasks", 400, json=WISH, headers={"idempotency-key": key})
        assert refusal["code"] == "bad_idempotency_key"

    async def test_without_a_key_two_are_filed(self, house: House) -> None:
        ana = await house.client()
        assert [(await ana.file())["name"] for _ in range(2)] == [
            "add-a-csv-export-to-the-report",
            "add-a-csv-export-to-the-report-2",
        ]


CODES = {
    "cancel": {
        Stage.QUEUED: 200,
        Stage.RUNNING: 200,
        Stage.TESTING: 200,
        Stage.REVIEW: 200,
        Stage.MERGED: 409,
        Stage.FAILED: 409,
    },
    "retry": {stage: 200 if stage is Stage.FAILED else 409 for stage in Stage},
    "merged": {stage: 200 if stage is Stage.REVIEW else 409 for stage in Stage},
}


@pytest.mark.parametrize(("verb", "stage"), [(verb, stage) for verb in CODES for stage in Stage])
async def test_every_verb_in_every_stage(house: House, verb: str, stage: Stage) -> None:
    ana = await house.client()
    await ana.file()
    if stage is not Stage.QUEUED:
        await house.app.store.run(lambda tx: house.app.attempts.claim(tx, "w", "host"))
        for step in {Stage.RUNNING: ()}.get(stage, (Stage.TESTING, stage)):
            await _step(house, step)
    before = await ana.ask("GET", "code-tasks/1", 200)
    assert before["stage"] == stage
    answer = await ana.ask("POST", f"code-tasks/1/{verb}", CODES[verb][stage])
    after = await ana.ask("GET", "code-tasks/1", 200)
    if CODES[verb][stage] == 409:
        assert after == before
        assert answer["code"] == f"wrong_stage_{verb}"
    else:
        wanted = {"cancel": ("failed", "cancelled"), "retry": ("queued", None), "merged": ("merged", None)}
        assert (after["stage"], after["failure_reason"]) == wanted[verb]
        assert answer == after


async def _step(house: House, stage: Stage) -> None:
    """One move, with what a real one writes: a review or an end closes the run."""

    def unit(tx: Any) -> None:
        path = [Stage.REVIEW, Stage.MERGED] if stage is Stage.MERGED else [stage]
        for one in path:
            extra = {"failure_reason": FailureReason.AGENT_FAILED} if one is Stage.FAILED else {}
            tx.tasks.move(1, set(Stage), one, actor="test", **extra)
        if stage in (Stage.MERGED, Stage.FAILED, Stage.REVIEW):
            tx.runs.cancel(1)

    await house.app.store.run(unit)


async def test_a_second_cancel_changes_nothing(house: House) -> None:
    ana = await house.client()
    await ana.file()
    first = await ana.ask("POST", "code-tasks/1/cancel", 200)
    assert await ana.ask("POST", "code-tasks/1/cancel", 200) == first
    assert len((await ana.ask("GET", "code-tasks/1/events", 200))["items"]) == 2


async def test_a_retry_adds_an_instruction_and_keeps_the_description(house: House) -> None:
    ana = await house.client()
    await ana.file()
    await ana.ask("POST", "code-tasks/1/cancel", 200)
    task = await ana.ask("POST", "code-tasks/1/retry", 200, json={"with": "use\x00 semicolons"})
    assert task["description"] == WISH["description"]
    row = await house.app.store.run(lambda tx: tx.tasks.get(1), read=True)
    assert row is not None
    assert row.instruction == "use semicolons"
    await ana.ask("POST", "code-tasks/1/cancel", 200)
    assert (await ana.ask("POST", "code-tasks/1/retry", 400, json={"with": "x" * 8001}))["code"] == "too_long"
    await ana.ask("POST", "code-tasks/1/retry", 422, json={"wiht": "x"})


async def test_a_tracked_pull_request_is_not_marked_by_hand(house: House) -> None:
    ana = await house.client()
    await ana.file()
    await house.bring(1, Stage.REVIEW, pr_number=7)
    assert (await ana.ask("POST", "code-tasks/1/merged", 409))["code"] == "tracked_merged"


async def test_only_what_ended_is_deleted(house: House) -> None:
    ana = await house.client()
    await ana.file()
    assert (await ana.ask("DELETE", "code-tasks/1", 409))["code"] == "wrong_stage_delete"
    await ana.ask("POST", "code-tasks/1/cancel", 200)
    await ana.ask("DELETE", "code-tasks/1", 204)
    await ana.ask("GET", "code-tasks/1", 404)
    await ana.ask("DELETE", "code-tasks/1", 404)


class TestLists:
    async def test_pages_follow_each_other_newest_first(self, house: House) -> None:
        ana = await house.client()
        for _ in range(5):
            await ana.file()
        seen: list[str] = []
        cursor = None
        while True:
            page = await ana.ask("GET", "code-tasks", 200, params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
            seen += [task["id"] for task in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert seen == ["CT-5", "CT-4", "CT-3", "CT-2", "CT-1"]

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ({}, [3, 2, 1]),
            ({"stage": "queued"}, [3]),
            ({"stage": ["queued", "review"]}, [3, 2]),
            ({"reason": "cancelled"}, [1]),
            ({"repo": "shop"}, [2]),
            ({"requester": "me"}, [3, 1]),
            ({"requester": "bob"}, [2]),
            ({"requester": "token::bob"}, [2]),
            ({"requester": "nobody"}, []),
            ({"q": "CSV"}, [3, 1]),
            ({"q": "%"}, []),
            ({"since": (datetime.now(UTC) + timedelta(days=1)).isoformat()}, []),
            ({"since": "2020-01-01T00:00:00Z"}, [3, 2, 1]),
            ({"channel": "slack:T1:C1"}, []),
            ({"channel": "slack:T1:C1", "thread": "1.2"}, []),
            ({"limit": 1}, [3]),
        ],
    )
    async def test_filters(self, house: House, asked: dict[str, Any], found: list[int]) -> None:
        ana, bob = await house.client(), await house.client(person="token::bob")
        await ana.file()
        await bob.file(repo="shop", description="Sort the basket by price")
        await ana.file()
        await ana.ask("POST", "code-tasks/1/cancel", 200)
        await house.bring(2, Stage.REVIEW)
        page = await ana.ask("GET", "code-tasks", 200, params=asked)
        assert [task["id"] for task in page["items"]] == [f"CT-{number}" for number in found]

    @only_sqlite
    @pytest.mark.parametrize(
        ("asked", "status"),
        [
            ({"limit": 0}, 422),
            ({"limit": 201}, 422),
            ({"limit": "many"}, 422),
            ({"cursor": "x"}, 400),
            ({"cursor": "99999999999"}, 400),
            ({"stage": "done"}, 422),
            ({"reason": "bored"}, 422),
            ({"since": "yesterday"}, 422),
            ({"since": "2020-01-01T00:00:00"}, 422),
            ({"channel": "C1"}, 400),
            ({"thread": "1.2"}, 400),
        ],
    )
    async def test_a_filter_that_makes_no_sense_is_refused(
        self, house: House, asked: dict[str, Any], status: int
    ) -> None:
        await (await house.client()).ask("GET", "code-tasks", status, params=asked)


async def test_events_tell_every_move(house: House) -> None:
    ana = await house.client()
    await ana.file()
    await ana.ask("POST", "code-tasks/1/cancel", 200)
    await ana.ask("POST", "code-tasks/1/retry", 200)
    moves = (await ana.ask("GET", "code-tasks/1/events", 200))["items"]
    assert [(move["seq"], move["from"], move["to"], move["actor"]) for move in moves] == [
        (1, None, "queued", "token:ana"),
        (2, "queued", "failed", "token:ana"),
        (3, "failed", "queued", "token:ana"),
    ]


async def test_small_answers(house: House) -> None:
    ana = await house.client()
    await ana.file()
    assert await ana.ask("GET", "agents", 200) == {
        "items": [{"name": "patch", "default": False}, {"name": "demo", "default": True}],
        "next": None,
    }
    stats = await ana.ask("GET", "stats", 200)
    assert stats["code_tasks"]["queued"] == 1
    assert stats["runs"]["queued"] == 1
    assert await ana.ask("GET", "workers", 200) == {"items": [], "next": None}
    me = await ana.ask("GET", "me", 200)
    assert (me["id"], me["role"], me["scopes"]) == ("ana", "filer", ["read", "write"])


def test_the_schema_takes_its_fields_from_the_entity() -> None:
    from bot.core.tasks import CodeTask
    from bot.web.schemas import CodeTaskOut

    for name in ("stage", "failure_reason", "title", "next_attempt_at"):
        assert CodeTaskOut.model_fields[name].annotation == CodeTask.model_fields[name].annotation
