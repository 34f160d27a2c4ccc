"""F22: words that mean something to a shell, to git, to SQL or to a path, in every field a person fills in.

No argument of any started program begins with one, no path leaves the root, nothing crashes."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from bot.core.commands import FileTask, parse
from bot.services.refusals import Refused
from bot.services.tasks import Filing
from tests.faults.test_f13_merge_facts import ANA
from tests.journeys.town import Town, town
from tests.simulators.github.repositories import make_bare
from tests.worker.git_world import FILES
from tests.worker.test_stages import ended, settings

pytestmark = [pytest.mark.fault, pytest.mark.timeout(240)]

OPTIONS: Final = (
    "--upload-pack=touch {canary}", "--receive-pack=touch {canary}", "-c core.sshCommand=touch {canary}", "--exec=id",
    "--output={canary}", "-oProxyCommand=touch {canary}", "--config=x", "--template={canary}", "-u", "--", "-",
    "--help",
)  # fmt: skip
SHELL: Final = (
    "$(touch {canary})", "`touch {canary}`", "; touch {canary}", "| touch {canary}", "&& touch {canary}",
    "\ntouch {canary}\n", "'; touch {canary}; '", '"; touch {canary}; "', "> {canary}", "${{IFS}}touch${{IFS}}{canary}",
    "{canary}", "!touch {canary}", "~root", "*", "\\$(touch {canary})",
)  # fmt: skip
PATHS: Final = (
    "../../../../{canary}", "..", ".", "/etc/passwd", "....//....//", "..%2f..%2f", "a/../../..", "\\..\\..", ".git",
    ".git/config", "refs/heads/main", "con", "aux.", "a" * 5000, "/", "//", "file:///etc/passwd", "ext::sh -c id",
)  # fmt: skip
REFS: Final = (
    "main:refs/heads/main", "+main", "main..other", "main^{{commit}}", "main~1", "@{{-1}}", "HEAD", "main.lock", "a b",
    "main@{{u}}", ":/fix", "-main", "refs/remotes/base/main", "main\x00x", "main\r\nx", "\u202emain", "maіn",
)  # fmt: skip
ROWS: Final = (
    "'; DROP TABLE code_task; --", "' OR '1'='1", "1); DELETE FROM run; --", "%", "_", "\\", "\x00", "NULL", "{{0}}",
    "%s", "{{task.__class__}}", "${{7*7}}", "{{{{7*7}}}}", "<script>alert(1)</script>", "<!channel>", "<@U1>",
    "@everyone",
    "CT-0", "CT-00001", "CT-999999999999999999999", "CT--1", "#-1", "CT-1#2", "\ud7ff", "\U0001f4a9", "ﷺ" * 20,
)  # fmt: skip
WORDS: Final = (*OPTIONS, *SHELL, *PATHS, *REFS, *ROWS)
VERBS: Final = ("", "cancel ", "retry ", "show ", "status ", "logs ", "list ", "help ", "--repo ", "--base ",
                "--agent ", "--name ", "--priority ")  # fmt: skip


def words(canary: Path) -> list[str]:
    return [word.format(canary=canary) for word in WORDS]


@contextmanager
def watched_argv() -> Iterator[list[list[str]]]:
    """Every argument list that this process starts a program with."""
    import sys

    seen: list[list[str]] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and watching:
            seen.append([word if isinstance(word, str) else str(word) for word in arguments[1]])

    watching = True
    sys.addaudithook(hook)
    yield seen
    watching = False


def chosen(folder: Path, url: str) -> dict[str, Any]:
    make_bare(folder / "shop.git", "main", FILES)
    made = settings(folder, url, max_attempts=1, max_runs=4, max_open_prs=1000, test_command="none")
    (folder / "agent.sh").write_text("cat > seen.txt\n")
    return made


async def test_at_least_two_hundred_of_them(tmp_path: Path) -> None:
    assert len(WORDS) * len(VERBS) >= 200
    assert len(set(WORDS)) == len(WORDS)


async def test_said_in_chat(tmp_path: Path) -> None:
    """Every word behind every verb and option: an answer or a filing, never a crash."""
    canary = tmp_path / "canary"
    async with town(tmp_path, **chosen(tmp_path, f"sqlite:///{tmp_path}/db")) as place:
        for verb, word in itertools.product(VERBS, words(canary)):
            line = f"{verb}{word}" if not verb.startswith("--") else f"Please add it now {verb}{word}"
            parsed = parse(line, door="slash", in_task_thread=False)
            if isinstance(parsed, FileTask):
                filing = Filing(parsed.text, ANA, parsed.options)
                outcome = place.app.store.run_sync(lambda tx, f=filing: place.app.tasks.file(tx, f))
                if not isinstance(outcome, Refused):
                    place.app.store.run_sync(lambda tx, o=outcome: place.app.tasks.cancel(tx, o.task.id or 0, ANA))
        await place.slack.wait_for(lambda: place.worker.busy == 0, 60)
        assert not canary.exists()


async def test_worked_to_the_end(tmp_path: Path, long_run: bool) -> None:
    """As the whole description and as the base branch, through git, the agent, the commit and the pull request."""
    canary = tmp_path / "canary"
    bad = words(canary)[:: 1 if long_run else 6]
    async with town(tmp_path, **chosen(tmp_path, f"sqlite:///{tmp_path}/db")) as place:
        with watched_argv() as started:
            numbers = await file_all(place, bad)
            for number in numbers:
                await ended(place, number, 120)
        await place.slack.wait_for(lambda: place.worker.busy == 0, 30)
        assert not canary.exists()
        injected = tuple(word for word in bad if word.startswith("-") and len(word) > 2 and word != "--help")
        assert started and not [argv for argv in started for arg in argv if arg.startswith(injected)]
        root = place.settings.workspaces
        assert {path.name for path in root.iterdir() if not path.name.startswith("ct-")} == {"mirrors"}


async def file_all(place: Town, bad: list[str]) -> list[int]:
    """One code task with the word in its description, one with it as its base branch."""
    numbers: list[int] = []
    for word in bad:
        text = f"{word} {word}\n\nPlease do it: {word}"

        def unit(tx: Any, text: str = text, word: str = word) -> list[int]:
            made: list[int] = []
            for base in (None, word):
                filed = place.app.tasks.file(tx, Filing(text, ANA))
                if isinstance(filed, Refused):
                    continue
                number = filed.task.id or 0
                if base is not None:
                    tx.tasks.update(number, {filed.task.stage}, base=base.replace("\x00", "")[:200])
                made.append(number)
            return made

        numbers += place.app.store.run_sync(unit)
    return numbers
