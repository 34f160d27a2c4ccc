"""A real agent in the real fence uses the tools of its run: a follow-up it sets is in its thread, its token nowhere."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.core.followups import FollowUp, FollowUpState
from bot.core.tasks import Stage
from tests.journeys.town import Town, town
from tests.simulators.model import KEY, MODEL, Act, ModelServer, Scene, Step

pytestmark = [pytest.mark.sandbox, pytest.mark.agent, pytest.mark.timeout(240)]

REQUEST = "Write a page that says hello and look at it again later"
WISH = {"when": "in 2 hours", "message": "Look whether the page is still there", "title": "The page"}
SHELL = """
codetask followup list -o json; codetask post 'Almost done'; command -v codetask
echo CODETASK_RUN_TOKEN=$(echo $CODETASK_RUN_TOKEN | rev); env | grep ^CODETASK_ | grep -v TOKEN
"""


async def follow_ups(place: Town) -> list[FollowUp]:
    def read(tx: Any) -> list[FollowUp]:
        return [one for number in range(1, 5) if (one := tx.followups.get(number)) is not None]

    return await place.app.store.run(read, read=True)


def settings(model: ModelServer, opencode: str) -> dict[str, Any]:
    return {
        "default_agent": "opencode",
        "opencode_bin": opencode,
        "llm_base_url": model.url,
        "llm_api_key": KEY,
        "llm_model": MODEL,
        "test_command": "test -f hello.txt",
        "sandbox": "auto",
        "features": ("codetasks", "followups"),
    }


@pytest.mark.long  # `make test` does it on all platforms, in test_follow_ups.py
async def test_opencode_sets_a_follow_up_in_its_thread(tmp_path: Path, opencode: str) -> None:
    scene = Scene(
        "says hello",
        [
            Step("Setting a follow-up.", [Act.of("tool", name="schedule_followup", **WISH)]),
            Step("Looking around.", [Act.of("shell", command=SHELL)]),
            Step(do=[Act.of("write", path="/ws/hello.txt", content="hello\n")]),
            Step("The page is there."),
        ],
    )
    async with ModelServer(scene) as model, town(tmp_path, **settings(model, opencode)) as place:
        place.slack.runs_command("ana", f"/codetask {REQUEST}")
        task = await place.reaches(Stage.REVIEW, timeout=200)
        assert any("schedule_followup" in name for name in model.seen[-1].offered), model.seen[-1].offered
        (follow_up,) = await follow_ups(place)
        assert (follow_up.body, follow_up.title, follow_up.state) == (
            WISH["message"],
            "The page",
            FollowUpState.PENDING,
        )
        assert (follow_up.thread_id, follow_up.requester_id) == (task.thread_id, task.requester_id)
        said = await place.says("set FU-1")
        assert said.thread_ts == place.card().ts
        assert "codetask followup create" in repr(model.seen[0].body) + repr(model.seen[1].body), (
            "the prompt teaches it"
        )
        printed = shell_output(model.seen[-1].body)
        assert json.loads(printed[0])["follow_ups"][0]["id"] == "FU-1"
        assert "/opt/codetask/bin/codetask" in printed and "It is on the card." in printed
        told = dict(line.split("=", 1) for line in printed if line.startswith("CODETASK_"))
        assert (told["CODETASK_PLATFORM"], told["CODETASK_THREAD"]) == ("slack", place.card().ts)
        token = told["CODETASK_RUN_TOKEN"][::-1]
        assert len(token) >= 43
        log = await place.log()
        assert "schedule_followup" in log and token not in log
        assert not any(token in repr(message) for message in place.slack.sent)
        await place.slack.wait_for(lambda: place.worker.busy == 0, 60)
        assert token.encode() not in stored_by(place)
        session = await place.app.store.run(lambda tx: tx.sessions.get(task.thread_id or 0, "opencode"), read=True)
        assert session is not None and session.archive is not None
        unpacked = gzip.decompress(session.archive)
        assert token[::-1].encode() in unpacked and token.encode() not in unpacked


async def test_opencode_asks_and_a_button_answers(tmp_path: Path, opencode: str) -> None:
    question = Act("tool", {"name": "ask_user", "question": "Which greeting?", "choices": ["hello", "good day"]})
    scene = Scene(
        "says hello",
        [
            Step("I have to ask.", [question]),
            Step(do=[Act.of("write", path="/ws/hello.txt", content="good day\n")]),
            Step("The page is there."),
        ],
    )
    async with ModelServer(scene) as model, town(tmp_path, **settings(model, opencode)) as place:
        place.slack.runs_command("ana", f"/codetask {REQUEST}")
        asked = await place.says("opencode asks about CT-1", 100)
        assert asked.thread_ts == place.card().ts
        await place.slack.wait_for(lambda: "Needs you" in place.shown(place.card()), 30)
        place.slack.clicks("ana", asked, "good day")
        task = await place.reaches(Stage.REVIEW, timeout=100)
        assert task.insertions == 1
        await place.slack.wait_for(lambda: "Needs you" not in place.shown(place.card()), 30)
        assert await place.says("ana answered: good day")
        told = [one for one in model.seen[-1].body["messages"] if one["role"] == "tool"]
        assert json.loads(told[0]["content"]) == {"status": "answered", "answer": "good day", "by": "ana"}


def shell_output(body: Mapping[str, Any]) -> list[str]:
    """The lines that the agent's shell tool printed, as the model was shown them."""
    texts = [str(one["content"]) for one in body["messages"] if one["role"] == "tool"]
    return next(text for text in texts if "CODETASK_RUN_TOKEN" in text).splitlines()


def stored_by(place: Town) -> bytes:
    """Everything in the data folder."""
    return b"".join(path.read_bytes() for path in place.settings.data_dir.rglob("*") if path.is_file())
