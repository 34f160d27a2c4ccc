"""The demo as a person starts it: a process of its own, its output, its exit code, and what it leaves behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.demo.__main__ import read_options
from bot.demo.sample_project import CopyFailed, copy_repository, make_sample, plain_name

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 100


def environment(folder: Path, **more: str) -> dict[str, str]:
    """A person's environment; settings in it that would break the demo must not reach it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    wrong = {"DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none", "DEFAULT_AGENT": "opencode"}
    return {**kept, **wrong, "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **more}


def play(folder: Path, *options: str, typed: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bot.demo", "--fast", *options],
        cwd=ROOT,
        env=environment(folder, **more),
        input=typed,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the demo may put its files."""
    made = tmp_path / "tmp"
    made.mkdir()
    return made


@pytest.fixture
def own_repository(tmp_path: Path) -> Iterator[Path]:
    """Somebody's repository with a branch of an odd name and a change that is not committed; it is the same after."""
    bare = make_sample(tmp_path)
    repo = tmp_path / "my project!"
    run = ["git", "-c", "safe.directory=*"]
    subprocess.run([*run, "clone", "-q", str(bare), str(repo)], check=True, capture_output=True)
    subprocess.run([*run, "-C", str(repo), "checkout", "-q", "-b", "trunk/1"], check=True, capture_output=True)
    (repo / "uncommitted.txt").write_text("mine\n")
    before = contents(repo)
    yield repo
    assert contents(repo) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_whole_story_happens_and_then_lines_are_played_as_a_person(folder: Path) -> None:
    lines = [
        "help",
        "/codetask Greet customers with Welcome",
        "thread 10: @codetask status",
        "as bo: /codetask Add something to the readme",
        "merge 5",
        "press Nothing",
        "thread 99: hello",
        "as nobody: hello",
        "in lark",
        "@codetask list all",
        "page",
        "quit",
    ]
    done = play(folder, typed="\n".join(lines) + "\n")
    assert (done.returncode, done.stderr) == (0, "")
    told = [
        "/codetask Add CSV export of invoices",
        "● Queued",
        "@ana PR ready: local/invoices#",
        "ana merges pull request",
        "by @ana",
        "Looks like a feature request: could we get a reminder letter",
        "ana pressed File as code task  Slack",
        "The request you made is merged: local/invoices#4",
        "That was real",
    ]
    places = [done.stdout.find(words) for words in told]
    assert -1 not in places, done.stdout
    assert places == sorted(places)
    for words in ("Filed as CT-4", "Same as CT-4  Discord", "Same as CT-4  Lark", "in review: local/invoices#4"):
        assert words in done.stdout, "each chat in its own time"
    assert "+def to_csv(lines):" in done.stdout
    for number, chat in enumerate(("Slack", "Discord", "Lark"), 1):
        assert f"Codetask updates the card  {chat} #general" in done.stdout
        assert f"ana merges pull request {number}" in done.stdout
    assert "\x1b" not in done.stdout
    after = done.stdout.partition("Now it is yours")[2]
    for words in (
        "Type what a person would type",
        "PR ready: local/invoices#5",
        "Codetask, only to ana  Slack #general",
        "CT-5 Review",
        "Only owners and admins can manage code tasks",
        "Pull request 5 is merged",
        "No message shows a button [Nothing]",
        "There is no thread 99",
        "There is no nobody here",
        "Codetask, only to ana  Lark, direct message",
        "/?token=",
    ):
        assert words in after
    assert list(folder.iterdir()) == []


def test_somebody_s_own_repository_is_copied_and_never_touched(folder: Path, own_repository: Path) -> None:
    done = play(folder, "--once", "--repo", str(own_repository))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    copies = list(folder.glob("codetask-demo-*/my-project.git"))
    assert len(copies) == 1
    assert str(copies[0]) in done.stdout.replace("\n", "")
    notes = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", str(copies[0]), "grep", "-h", "tried here", "trunk/1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Codetask was tried here" in notes.stdout


def test_a_story_that_stops_names_the_missing_step_and_the_log(folder: Path, own_repository: Path) -> None:
    done = play(
        folder, "--once", "--repo", str(own_repository), "--agent", "command", "--", "/bin/true", SANDBOX="none"
    )
    assert done.returncode == 1
    assert "The story did not happen: the code task reaches review. It failed: Coding agent produced no" in done.stdout
    log = next(folder.glob("codetask-demo-*/demo.log"))
    assert str(log) in done.stdout.replace("\n", "")
    assert "run_ended" in log.read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--repo", "/nonexistent"], "is not a folder"),
        (["--repo", str(ROOT / "tests")], "has no branch with a commit"),
        (["--agent", "opencode"], "name a repository: --repo PATH"),
        (["--repo", ".", "--agent", "command"], "needs its argument list"),
    ],
)
def test_what_cannot_be_played_is_refused_with_what_to_do(
    folder: Path, own_repository: Path, options: list[str], said: str
) -> None:
    if "tests" in options[-1]:
        options = ["--repo", str(folder)]
    options = [str(own_repository) if word == "." else word for word in options]
    done = play(folder, "--once", *options)
    assert done.returncode == 2
    assert said in done.stdout.replace("\n", " ")
    assert done.stderr == ""
    assert list(folder.iterdir()) == []


@pytest.mark.long
def test_control_c_ends_it_quietly(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "bot.demo", "--fast"],
        cwd=ROOT,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "Codetask updates the card" in line:
            process.send_signal(signal.SIGINT)
            break
    out, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    assert errors == ""
    assert out.endswith("Stopped.\n")
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_no_repository_cannot_be_copied(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(CopyFailed, match="Check out a branch"):
        copy_repository(empty, target)


@pytest.mark.parametrize(
    ("folder", "name"),
    [("web", "web"), ("web.git", "web"), ("my project!", "my-project"), (".hidden", "hidden"), ("日本", "repository")],
)
def test_a_copy_gets_a_name_that_a_repository_may_have(folder: str, name: str) -> None:
    assert plain_name(Path(folder)) == name


def test_everything_after_two_dashes_is_the_agent_s_command() -> None:
    options = read_options(["--once", "--repo", "x", "--agent", "command", "--", "prog", "--fast", "{prompt_file}"])
    assert options.command == ("prog", "--fast", "{prompt_file}")
    assert (options.once, options.fast, options.repo) == (True, False, Path("x"))
