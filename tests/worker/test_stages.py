"""Every way a run can end, on both stores: the reason, its text, how often it is tried, and what is on the forge."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from bot.core.commands import Options
from bot.core.inbound import Person
from bot.core.tasks import CodeTask, FailureReason, Stage
from bot.services.refusals import Refused
from bot.services.tasks import Filing
from bot.settings import RepoSettings
from bot.store import Transaction
from tests.journeys.town import NAME, OWNER, TOKEN, Town, town
from tests.simulators.github.repositories import git as bare_git
from tests.simulators.github.repositories import make_bare, tip
from tests.worker.git_world import FILES

pytestmark = pytest.mark.timeout(240)

ADMIN: Final = Person(platform="slack", workspace_id="T1", id="U1", name="ana", roles=frozenset({"owner"}))
IDENTITY: Final = "-c user.name=a -c user.email=a@example.com"
SECONDS: Final = 4.8
AGENT: Final = f"""
prompt=$(cat)
case "$prompt" in
*case:new*) echo x > done.txt ;;
*case:delete*) rm src/deep/data.txt ;;
*case:mode*) chmod +x src/app.py ;;
*case:committed*) echo x > done.txt; git add -A; git {IDENTITY} commit -qm mine ;;
*case:dirty*) echo x > a.txt; git add -A; git {IDENTITY} commit -qm mine; echo y > b.txt ;;
*case:nothing*) echo thought about it ;;
*case:touched*) touch README.md; cp README.md c; mv c README.md ;;
*case:exit*) echo x > done.txt; echo no such luck >&2; exit 3 ;;
*case:slow*) exec sleep 300 ;;
*case:nested*) mkdir sub; git init -q sub; echo x > sub/x ;;
*case:many*) for n in $(seq 101); do echo $n > f$n; done ;;
*case:secret*) echo {TOKEN} > notes.txt ;;
*case:protected*) mkdir -p .github/workflows; echo 'on: push' > .github/workflows/ci.yml ;;
*case:red*) echo x > red.txt ;;
*case:again*) test -f "$0.tried" && echo x > done.txt || {{ touch "$0.tried"; exit 1; }} ;;
esac
"""


@dataclass(frozen=True)
class Case:
    """A request, where it is filed, and how it must end."""

    word: str
    stage: Stage
    repo: str = NAME
    reason: FailureReason | None = None
    error: str = ""
    attempts: int = 1
    facts: dict[str, Any] = field(default_factory=dict)
    base: str | None = None
    change: dict[str, Any] = field(default_factory=dict)
    """Columns changed right after the filing, as a configuration that changed meanwhile would."""


def failed(word: str, reason: FailureReason, error: str, **more: Any) -> Case:
    return Case(word, Stage.FAILED, reason=reason, error=error, **more)


GREEN: Final = {"tests_passed": True, "pr_draft": False}
RED: Final = {"tests_passed": False, "test_exit_code": 1}
R: Final = FailureReason
CASES: Final = (
    *(Case(word, Stage.REVIEW, facts=GREEN) for word in ("new", "delete", "mode", "committed", "dirty")),
    Case("again", Stage.REVIEW, attempts=2, facts=GREEN),
    failed("nothing", R.NO_CHANGES, "Coding agent produced no changes"),
    failed("touched", R.NO_CHANGES, "Coding agent produced no changes"),
    failed("exit", R.AGENT_FAILED, "Coding agent failed (exit 3)", attempts=3),
    failed("slow", R.TIMED_OUT, f"Coding agent timed out after {SECONDS / 60:g} min", attempts=3),
    failed("nested", R.REFUSED, "The agent left a git repository inside the checkout"),
    failed("many", R.REFUSED, "Refused: "),
    failed("secret", R.REFUSED, "Refused: "),
    Case("red", Stage.REVIEW, facts={**RED, "pr_draft": True}),
    Case("red", Stage.REVIEW, repo="plain", facts={**RED, "pr_draft": False}),
    failed("red", R.TESTS_FAILED, "Tests failed", repo="strict", facts=RED),
    Case("new", Stage.REVIEW, repo="strict", facts=GREEN),
    Case("new", Stage.REVIEW, repo="untested", facts={"tests_passed": None, "pr_draft": False}),
    Case("new", Stage.REVIEW, repo="branchonly", facts={"pr_number": None, "tests_passed": True}),
    failed("new", R.CONFIG, "The setup command failed (exit 7).", repo="unset"),
    failed("new", R.CONFIG, "git fetch failed", base="nowhere"),
    failed("new", R.CONFIG, "The repository gone is no longer configured.", change={"repo": "gone"}),
    failed("new", R.CONFIG, "The agent nobody is not configured on this worker.", change={"agent": "nobody"}),
)


def settings(folder: Path, url: str, **more: Any) -> dict[str, Any]:
    """A worker without a sandbox whose agent does what the request says, on several repositories."""
    (folder / "agent.sh").write_text(AGENT)
    return {
        "database_url": url,
        "default_agent": "command",
        "agent_command": ("sh", str(folder / "agent.sh")),
        "test_command": "! test -f red.txt",
        "sandbox": "none",
        "allow_unsandboxed_push": True,
        "retry_waits_seconds": (0.0,),
        "agent_minutes": SECONDS / 60,
        "max_runs": 6,
        "max_runs_per_repo": 6,
        "max_open_prs": 50,
        **more,
    }


def repos(place_url: str, folder: Path) -> dict[str, RepoSettings]:
    ours = RepoSettings(url=place_url, owner=OWNER, name=NAME)
    make_bare(folder / "other.git", "main", FILES)
    return {
        "plain": ours.model_copy(update={"on_test_failure": "pr"}),
        "strict": ours.model_copy(update={"on_test_failure": "fail"}),
        "untested": ours.model_copy(update={"test_command": "none"}),
        "unset": ours.model_copy(update={"setup_command": "exit 7"}),
        "branchonly": RepoSettings(url=f"file://{folder / 'other.git'}", forge="none"),
    }


def put(place: Town, case: Case) -> int:
    """Files a code task without a thread; its number."""

    def unit(tx: Transaction) -> int:
        text = f"Please do case:{case.word} in {case.repo}"
        filed = place.app.tasks.file(tx, Filing(text, ADMIN, Options(repo=case.repo, base=case.base)))
        assert not isinstance(filed, Refused), filed
        number = filed.task.id or 0
        if case.change:
            tx.tasks.update(number, {Stage.QUEUED}, **case.change)
        return number

    return place.app.store.run_sync(unit)


async def ended(place: Town, number: int, timeout: float = 60) -> CodeTask:
    """The code task once it is in review or failed."""
    async with asyncio.timeout(timeout):
        while True:
            seen = place.app.store.version("task")
            task = await place.task(number)
            if task is not None and task.stage in (Stage.REVIEW, Stage.FAILED):
                return task
            await place.app.store.changed("task", seen, 2)


def world_of(folder: Path) -> Path:
    """A bare repository with the sample files, as the forge's."""
    make_bare(folder / "shop.git", "main", FILES)
    bare_git(folder / "shop.git", "config", "http.receivepack", "true")
    return folder / "shop.git"


async def runs_of(place: Town, number: int) -> Sequence[Any]:
    return await place.app.store.run(lambda tx: list(tx.runs.of_task(number)), read=True)


@pytest.mark.parametrize("database_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.long)], indirect=True)
async def test_every_outcome(tmp_path: Path, database_url: str) -> None:
    bare = world_of(tmp_path)
    async with AsyncExitStack() as stack:
        known: dict[str, RepoSettings] = {}
        place = await stack.enter_async_context(
            town(tmp_path, bare, lambda _, github: known.update(repos(github.clone_url(OWNER, NAME), tmp_path)),
                 **settings(tmp_path, database_url, repos=known, keep_failed=0))
        )  # fmt: skip
        numbers = [put(place, case) for case in CASES]
        tasks = [await ended(place, number) for number in numbers]
        wrong = [
            trouble for case, task in zip(CASES, tasks, strict=True) if (trouble := await differs(place, case, task))
        ]
        assert not wrong, "\n".join(wrong)
        assert place.runs_left() == []
        pulls = {pull.head for pull in place.github.repositories[f"{OWNER}/{NAME}"].pulls.values()}
        assert pulls == {task.branch for task in tasks if task.pr_number is not None}
        assert len(pulls) == sum(task.pr_number is not None for task in tasks)


async def differs(place: Town, case: Case, task: CodeTask) -> str:
    """What is not as the case says; empty when all is."""
    expected = {"stage": case.stage, "failure_reason": case.reason, "attempt": case.attempts, **case.facts}
    found = {name: getattr(task, name) for name in expected}
    runs = await runs_of(place, task.id or 0)
    problems = [f"{name}: {found[name]!r}, not {value!r}" for name, value in expected.items() if found[name] != value]
    if not (task.error or "").startswith(case.error):
        problems.append(f"error {task.error!r}")
    if len(runs) != case.attempts:
        problems.append(f"{len(runs)} runs")
    if case.reason is None and task.branch != f"code-worker/{task.ref}":
        problems.append(f"branch {task.branch!r}")
    if case.reason is not None and (
        task.pushed_sha or tip(place.github.repositories[f"{OWNER}/{NAME}"].path, f"code-worker/{task.ref}")
    ):
        problems.append("something was pushed")
    return f"{case.word} in {case.repo}: {'; '.join(problems)}" if problems else ""


async def test_a_foreign_branch_is_left_alone(tmp_path: Path, sqlite_template: Path) -> None:
    bare = world_of(tmp_path)
    foreign = bare_git(bare, "commit-tree", "-m", "theirs", f"{tip(bare, 'main')}^{{tree}}")
    for name in ("CT-1", "CT-1-2"):
        bare_git(bare, "update-ref", f"refs/heads/code-worker/{name}", foreign)
    async with town(tmp_path, bare, **settings(tmp_path, f"sqlite:///{tmp_path}/db")) as place:
        task = await ended(place, put(place, Case("new", Stage.REVIEW)))
        assert (task.stage, task.branch) == (Stage.REVIEW, "code-worker/CT-1-3"), task.error
        assert tip(bare, "code-worker/CT-1") == tip(bare, "code-worker/CT-1-2") == foreign
        (pull,) = place.github.repositories[f"{OWNER}/{NAME}"].pulls.values()
        assert pull.head == "code-worker/CT-1-3"


async def test_without_a_sandbox_nothing_is_pushed_unless_allowed(tmp_path: Path) -> None:
    bare = world_of(tmp_path)
    chosen = settings(tmp_path, f"sqlite:///{tmp_path}/db", allow_unsandboxed_push=False)
    async with town(tmp_path, bare, **chosen) as place:
        task = await ended(place, put(place, Case("new", Stage.FAILED)))
        assert task.failure_reason is R.CONFIG and "ALLOW_UNSANDBOXED_PUSH" in (task.error or "")
        assert task.tests_passed is True and place.github.pushes == []
        await place.slack.wait_for(lambda: place.worker.busy == 0, 30)
        assert len(place.runs_left()) == 1, "the workspace of a failed run is kept"


async def waiting(place: Town, number: int) -> Any:
    """The parked change once the run waits for an approval."""
    async with asyncio.timeout(60):
        while True:
            seen = place.app.store.version("task")
            runs = await runs_of(place, number)
            if runs[-1].state == "waiting":
                return place.app.store.run_sync(lambda tx: tx.runs.parked(tx.runs.of_task(number)[-1].id or 0))
            await place.app.store.changed("task", seen, 2)


async def test_an_approved_change_is_pushed_as_it_was_tested(tmp_path: Path, database_url: str) -> None:
    bare = world_of(tmp_path)
    chosen = settings(tmp_path, database_url, admins=("slack:U1", "slack:U2"))
    async with town(tmp_path, bare, **chosen) as place:
        numbers = [put(place, Case("protected", Stage.REVIEW)) for _ in range(2)]
        parked = [await waiting(place, number) for number in numbers]
        assert place.github.pushes == []
        requester, other = ADMIN, replace_person("U2")

        def decide(tx: Transaction, who: Person, number: int, approved: bool) -> CodeTask | Refused:
            asked = tx.runs.parked(tx.runs.of_task(number)[-1].id or 0)
            return place.app.tasks.decide(tx, number, who, approved, asked.sha if asked else "")

        run = place.app.store.run
        own = await run(lambda tx: decide(tx, requester, numbers[0], True))
        assert isinstance(own, Refused) and own.key == "refused.own_approval"
        assert not isinstance(await run(lambda tx: decide(tx, other, numbers[0], True)), Refused)
        assert not isinstance(await run(lambda tx: decide(tx, other, numbers[1], False)), Refused)
        again = await run(lambda tx: decide(tx, other, numbers[1], True))
        assert isinstance(again, Refused) and again.key == "refused.nothing_to_approve"

        allowed, refused = [await ended(place, number) for number in numbers]
        assert (allowed.stage, allowed.attempt, allowed.tests_passed) == (Stage.REVIEW, 1, True), allowed.error
        branch = bare_git(bare, "rev-parse", f"refs/heads/{allowed.branch}^{{tree}}")
        assert branch == parked[0].tree_sha
        assert (refused.stage, refused.failure_reason) == (Stage.FAILED, R.REFUSED)
        assert "did not allow" in (refused.error or "") and refused.pushed_sha is None
        assert len(place.github.pushes) == 1


def replace_person(person_id: str) -> Person:
    return ADMIN.model_copy(update={"id": person_id, "name": "bo"})
