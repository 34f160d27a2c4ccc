"""The main job on real input: this project as the target, its own tests, a pull request over smart HTTP.

Needs bubblewrap and an ordinary user, as every installation does.
"""

import os
from pathlib import Path

import pytest

from bot.core.tasks import Stage
from tests.journeys.town import CHECKOUT, NAME, OWNER, TOKEN, bare_clone, python_tools, town
from tests.simulators.model import KEY, MODEL, Act, ModelServer, Scene, Step

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(240)]

FAST_TESTS = (
    "python3 -m pytest -q -p no:cacheprovider -p no:randomly tests/core/test_commands.py tests/core/test_patch.py"
)
SLOW = "sleep 617.25"
REQUEST = "Let people ask for help with the word assist\n\nAdd `assist` as another name of the verb help."
EDIT = """
import pathlib, sys
prompt = sys.stdin.read()
assert "another name of the verb help" in prompt, "the request did not arrive"
path = pathlib.Path("bot/core/verbs.py")
text = path.read_text()
old = 'Verb("help", "verb", "help [verb]", ("?",)'
assert old in text
path.write_text(text.replace(old, 'Verb("help", "verb", "help [verb]", ("?", "assist")'))
print("added the name")
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A bare clone of this project."""
    return bare_clone(CHECKOUT, tmp_path / "target.git")


async def test_a_change_of_this_project_becomes_a_pull_request(tmp_path: Path, target: Path) -> None:
    async with town(
        tmp_path,
        target,
        default_agent="command",
        agent_command=("python3", "-c", EDIT),
        test_command=FAST_TESTS,
        sandbox="auto",
        sandbox_tools=python_tools(),
    ) as place:
        place.slack.runs_command("ana", f"/codetask {REQUEST}")
        task = await place.reaches(Stage.REVIEW, timeout=200)
        assert task.tests_passed is True, await place.log()
        assert (task.insertions, task.deletions) == (1, 1)
        reply = await place.says("PR ready")
        assert reply.thread_ts == place.card().ts
        assert f"{OWNER}/{NAME}#1" in place.shown(reply)
        pull = place.github.repositories[f"{OWNER}/{NAME}"].pulls[1]
        assert pull.head == "code-worker/CT-1" and "assist" in pull.body
        assert [push.token for push in place.github.pushes] == [TOKEN]
        await place.slack.wait_for(lambda: "Waiting for review" in place.shown(place.card()))

        place.github.merge(OWNER, NAME, 1, by="bo")
        merged = await place.reaches(Stage.MERGED)
        assert merged.pr_number == 1
        await place.slack.wait_for(lambda: "merged" in place.shown(place.card()))
        assert place.runs_left() == []
        assert TOKEN not in await place.log()


@pytest.mark.agent
async def test_opencode_makes_the_change_through_the_gateway(tmp_path: Path, target: Path, opencode: str) -> None:
    scene = Scene(
        "another name of the verb help",
        [
            Step("Reading first.", [Act.of("read", path="/ws/bot/core/verbs.py")]),
            Step(
                do=[
                    Act.of(
                        "edit",
                        path="/ws/bot/core/verbs.py",
                        old='Verb("help", "verb", "help [verb]", ("?",)',
                        new='Verb("help", "verb", "help [verb]", ("?", "assist")',
                    )
                ]
            ),
            Step(do=[Act.of("shell", command="git diff --stat && env")]),
            Step("The verb has another name."),
        ],
    )
    async with (
        ModelServer(scene) as model,
        town(
            tmp_path,
            target,
            default_agent="opencode",
            opencode_bin=opencode,
            llm_base_url=model.url,
            llm_api_key=KEY,
            llm_model=MODEL,
            test_command=FAST_TESTS,
            sandbox="auto",
            sandbox_tools=python_tools(),
        ) as place,
    ):
        place.slack.runs_command("ana", f"/codetask {REQUEST}")
        task = await place.reaches(Stage.REVIEW, timeout=200)
        assert task.tests_passed is True, await place.log()
        assert (task.insertions, task.deletions) == (1, 1)
        assert task.tokens == model.tokens > 0
        assert place.github.repositories[f"{OWNER}/{NAME}"].pulls[1].state == "open"
        spoken = repr([seen.body for seen in model.seen])
        for secret in (TOKEN, KEY, place.slack.bot_token):
            assert secret not in spoken and secret not in await place.log()


@pytest.mark.agent
async def test_a_cancel_in_the_middle_leaves_no_process_of_opencode(
    tmp_path: Path, target: Path, opencode: str
) -> None:
    scene = Scene("another name of the verb help", [Step("Thinking.", [Act.of("shell", command=SLOW)])])
    async with (
        ModelServer(scene) as model,
        town(
            tmp_path,
            target,
            default_agent="opencode",
            opencode_bin=opencode,
            llm_base_url=model.url,
            llm_api_key=KEY,
            llm_model=MODEL,
            sandbox="auto",
            sandbox_tools=python_tools(),
        ) as place,
    ):
        place.slack.runs_command("ana", f"/codetask {REQUEST}")
        await place.slack.wait_for(lambda: any(SLOW in line for line in command_lines()), 100)
        await place.slack.wait_for(lambda: place.slack.sent, 10)
        place.slack.clicks("ana", place.card(), "Cancel")
        await place.slack.wait_for(lambda: "Cancelled" in place.shown(place.card()), 30)
        await place.slack.wait_for(lambda: not any(SLOW in line for line in command_lines()), 30)
        await place.slack.wait_for(lambda: place.worker.busy == 0, 30)
        assert place.github.pushes == []


def command_lines() -> list[str]:
    """The command lines of this user's processes, but for this one."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if entry.stat().st_uid == os.getuid():
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
            except OSError:
                continue
    return found
