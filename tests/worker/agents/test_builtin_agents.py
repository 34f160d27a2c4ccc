"""The built-in patch and demo agents, as the programs they are, through the ACP transport and inside the fence."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.ports import Sandbox, Text, ToolFinished, ToolStarted
from bot.worker.agents import UnknownAgent, create_agent, known_agents
from bot.worker.agents.rows import python_program
from bot.worker.prompt import PromptParts, ThreadLine, build_prompt
from bot.worker.sandbox import NoSandbox
from tests.worker.agents.harness import Ended, FakeSettings, processes_of, read_out, spec_for

REPORT = '''"""Totals."""


def total(lines):
    return sum(line["quantity"] * line["price"] for line in lines)
'''

DIFF = """\
--- a/greet.py
+++ b/greet.py
@@ -1,2 +1,2 @@
 def greet():
-    return "Hello"
+    return "Welcome"
"""


async def ask(name: str, sandbox: Sandbox, checkout: Path, request: str) -> Ended:
    thread = [ThreadLine("eve", "evil.txt:\n```\nplanted\n```")]
    parts = PromptParts("CT-1", "A title", request, "app", "main", thread=thread)
    spec = spec_for(sandbox, checkout, build_prompt(parts))
    ended = await read_out(await create_agent(name, FakeSettings()).start(spec))
    assert processes_of(spec.run) == []
    return ended


def run_tests(checkout: Path, *args: str) -> subprocess.CompletedProcess[str]:
    argv = [python_program(), "-B", "-m", "unittest", *args]
    return subprocess.run(argv, cwd=checkout, capture_output=True, text=True, check=False)


def test_the_registry_knows_its_agents() -> None:
    assert known_agents(FakeSettings()) == ["opencode", "patch", "demo"]
    assert known_agents(FakeSettings(agent_command=("x",)))[-1] == "command"
    with pytest.raises(UnknownAgent, match="known: opencode, patch, demo"):
        create_agent("command", FakeSettings())


async def test_patch_applies_a_diff_and_writes_files(sandbox: Sandbox, checkout: Path) -> None:
    (checkout / "greet.py").write_text('def greet():\n    return "Hello"\n')
    request = f"Please:\n```diff\n{DIFF}```\nand `src/new.py`:\n\n```python\nX = 1\n```\n"
    ended = await ask("patch", sandbox, checkout, request)
    assert ended.result.stop == "completed", ended.result
    assert (checkout / "greet.py").read_text() == 'def greet():\n    return "Welcome"\n'
    assert (checkout / "src/new.py").read_text() == "X = 1\n"
    assert [e.title for e in ended.events if isinstance(e, ToolStarted)] == [
        "Apply a diff to greet.py",
        "Write src/new.py",
    ]
    assert "Applied 2 of 2 edits." in ended.result.text
    assert not (checkout / "evil.txt").exists(), "a block quoted from the thread is no edit"


async def test_patch_says_what_it_is(sandbox: Sandbox, checkout: Path) -> None:
    ended = await ask("patch", sandbox, checkout, "Make it faster, please.")
    assert "I can only apply patches; configure an agent" in ended.result.text
    assert os.listdir(checkout) == []


async def test_a_diff_that_does_not_fit_is_told(checkout: Path) -> None:
    ended = await ask("patch", NoSandbox(), checkout, f"```diff\n{DIFF}```\n")
    assert [e.ok for e in ended.events if isinstance(e, ToolFinished)] == [False]
    assert "does not apply" in ended.result.text


@pytest.mark.parametrize(
    "path", ["../out.txt", "/tmp/ct-out.txt", ".git/hooks/pre-commit", "a/.GIT/config", "link/x.txt"]
)
async def test_patch_writes_nothing_outside(path: str, checkout: Path) -> None:
    (checkout / "link").symlink_to(checkout.parent)
    before = sorted(checkout.parent.rglob("*"))
    ended = await ask("patch", NoSandbox(), checkout, f"```python file={path}\nX\n```\n")
    assert "Applied 0 of 1 edit." in ended.result.text or "only apply patches" in ended.result.text
    assert sorted(checkout.parent.rglob("*")) == before


async def test_a_repository_cannot_replace_the_agents_own_modules(sandbox: Sandbox, checkout: Path) -> None:
    for name in ("json.py", "queue.py", "bot.py"):
        (checkout / name).write_text("raise SystemExit('hijacked')\n")
    ended = await ask("patch", sandbox, checkout, "a.txt:\n```\nhi\n```")
    assert (ended.result.stop, ended.result.exit_code) == ("completed", 0)
    assert (checkout / "a.txt").read_text() == "hi\n"


async def test_demo_adds_a_csv_export_whose_tests_pass(sandbox: Sandbox, checkout: Path) -> None:
    for name, text in {"invoices/__init__.py": "", "invoices/report.py": REPORT, "tests/__init__.py": ""}.items():
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).write_text(text)
    ended = await ask("demo", sandbox, checkout, "Please add CSV export to the invoices")
    assert any(isinstance(e, Text) and "I am the demo agent: I follow a script" in e.text for e in ended.events)
    assert "to_csv" in ended.result.text
    done = run_tests(checkout, "discover", "-v")
    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr


async def test_demo_reads_lines_with_attributes_too(checkout: Path) -> None:
    (checkout / "invoices").mkdir()
    report = (
        "def total(lines):\n    result = 0\n    for line in lines:\n        result += line.amount\n    return result\n"
    )
    (checkout / "invoices/report.py").write_text(report)
    await ask("demo", NoSandbox(), checkout, "add csv export")
    done = run_tests(checkout, "tests/test_export.py")
    assert done.returncode == 0, done.stderr


async def test_demo_changes_a_greeting_and_its_test(checkout: Path) -> None:
    (checkout / "app").mkdir()
    (checkout / "tests").mkdir()
    (checkout / "app/page.py").write_text('TEXT = "Hello there"\n')
    (checkout / "tests/test_page.py").write_text('assert TEXT == "Hello there"\n')
    await ask("demo", NoSandbox(), checkout, "Change the greeting")
    assert (checkout / "app/page.py").read_text() == 'TEXT = "Welcome there"\n'
    assert "Welcome there" in (checkout / "tests/test_page.py").read_text()


async def test_demo_adds_a_reminder_letter_whose_tests_pass(checkout: Path) -> None:
    (checkout / "invoices").mkdir()
    (checkout / "invoices/letter.py").write_text('def greeting(name):\n    return f"Hello {name},"\n')
    await ask("demo", NoSandbox(), checkout, "could we get a reminder letter for overdue invoices?")
    done = run_tests(checkout, "tests/test_reminder.py")
    assert done.returncode == 0, done.stderr
    again = (checkout / "invoices/letter.py").read_text()
    await ask("demo", NoSandbox(), checkout, "a reminder letter, please")
    assert (checkout / "invoices/letter.py").read_text() == again, "what is there is not added again"


async def test_demo_notes_what_it_has_no_script_for(checkout: Path) -> None:
    ended = await ask("demo", NoSandbox(), checkout, "Rewrite it\nin COBOL")
    (note,) = (checkout / "notes").iterdir()
    assert note.name.startswith("rewrite-it-in-cobol-")
    assert note.read_text() == "Rewrite it in COBOL\n"
    assert "no script" in ended.result.text
    await ask("demo", NoSandbox(), checkout, "用 COBOL 重写")
    assert len(list((checkout / "notes").iterdir())) == 2, "no two requests change one file"


async def test_demo_applies_a_patch_too(checkout: Path) -> None:
    await ask("demo", NoSandbox(), checkout, "csv please\n\nb.txt:\n```\n1\n```")
    assert (checkout / "b.txt").read_text() == "1\n"


async def test_a_cancel_ends_a_turn_in_its_middle(sandbox: Sandbox, checkout: Path) -> None:
    spec = spec_for(sandbox, checkout, "Take your time with this")
    run = await create_agent("demo", FakeSettings()).start(spec)
    async with asyncio.timeout(20):
        async for event in run.events:
            if isinstance(event, ToolStarted) and event.kind == "execute":
                break
        await run.cancel()
    result = await run.result()
    assert (result.stop, result.exit_code) == ("cancelled", 0), "it stopped by itself, not by a signal"
    assert not (checkout / "notes").exists()


@pytest.mark.parametrize("name", ["patch", "demo"])
async def test_check_finds_them(name: str, sandbox: Sandbox) -> None:
    info = await create_agent(name, FakeSettings()).check(sandbox)
    assert (info.found, info.protocol, info.problem) == (True, "1", "")
    assert info.capabilities == {"resume", "close"}


def test_they_load_the_standard_library_only() -> None:
    code = "import sys; import bot.worker.agents.demo_agent; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"acp", "pydantic", "asyncio", "aiohttp"} & set(done.stdout.split())
