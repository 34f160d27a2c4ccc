"""The documents tell the truth: what they name exists."""

import re
import subprocess
from pathlib import Path

import pytest

from bot.cli.root import run
from bot.settings import Settings, setting_names
from platforms.registry import load_settings
from tests.house.files import ROOT, tracked
from tools.settings_page import PAGE, SECTIONS, page

NEEDED = """
README.md CHANGELOG.md CONTRIBUTING.md LICENSE Makefile .ci/run pyproject.toml requirements.lock manifest/slack.yaml
docs/quickstart.md docs/slack.md docs/github.md docs/sandbox.md docs/agents.md docs/operations.md docs/settings.md
docs/faq.md docs/map.md docs/architecture.md docs/decisions/README.md docs/pictures/demo-light.png
""".split()  # noqa: SIM905
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")
PATH_WORD = re.compile(r"`((?:bot|platforms|storage|tests|tools|docs|manifest|benchmarks)/[\w./-]*|pyproject\.toml)`")
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")
COMMAND = re.compile(r"(?:^|[\s`]|\.venv/bin/)codetask ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)", re.M)
CODE = re.compile(r"```(?:sh)?\n(.*?)```|`([^`\n]+)`", re.S)
NOUNS = {"task", "db", "token", "manifest", "setup"}


def pages() -> list[Path]:
    return [ROOT / path for path in tracked() if path.suffix == ".md" and path.parts[0] not in ("tests",)]


def code_of(text: str) -> str:
    return "\n".join(block or word for block, word in CODE.findall(text))


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


def test_every_document_is_there() -> None:
    assert [name for name in NEEDED if not (ROOT / name).is_file()] == []


def test_links_lead_somewhere() -> None:
    dead = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages()
        for link in LINK.findall(page.read_text())
        if not (page.parent / link).exists()
    ]
    assert dead == []


def test_named_paths_exist() -> None:
    missing = [
        f"{page.relative_to(ROOT)}: {word}"
        for page in pages()
        for word in PATH_WORD.findall(page.read_text())
        if not (ROOT / word).exists()
    ]
    assert missing == []


def test_the_map_leads_to_every_part() -> None:
    text = (ROOT / "docs/map.md").read_text()
    parts = {path.parent for path in (ROOT / "bot").glob("*/__init__.py")} - {ROOT / "bot/cli", ROOT / "bot/demo"}
    assert [part.name for part in sorted(parts) if f"bot/{part.name}/" not in text] == []


def test_named_make_targets_exist() -> None:
    named = {name for page in pages() for name in MAKE.findall(code_of(page.read_text()))}
    assert {"demo", "test"} <= named <= targets()


def test_make_alone_lists_every_target() -> None:
    done = subprocess.run(["make", "-C", str(ROOT), "--no-print-directory"], capture_output=True, text=True, check=True)
    assert [name for name in targets() - {"setup"} if f"make {name} " not in done.stdout] == []


def test_named_commands_exist(capsys: pytest.CaptureFixture[str]) -> None:
    said = [command.split() for page in pages() for command in COMMAND.findall(code_of(page.read_text()))]
    named = {" ".join(words if words[0] in NOUNS else words[:1]) for words in said}
    assert {"up", "demo", "doctor"} <= named
    for command in sorted(named - {"ask", "post"}):  # only agents have these two, in bot/worker/shell
        assert run([*command.split(), "--help"]) == 0, f"codetask {command}: {capsys.readouterr().err}"


def test_named_settings_exist() -> None:
    parts = (Settings, *map(type, load_settings().chat.values()))
    known = {name.upper() for part in parts for name in setting_names(part)}
    words = re.compile(r"`([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)(?:=[^`]*)?`|export ((?:[A-Z_]+=\S+ ?)+)")
    other = {"CODETASK_CONFIG", "SLACK_BOT_TOKEN_FILE", "GITHUB_APP_PRIVATE_KEY_FILE", "NO_COLOR"}
    other |= {"CODETASK_BENCH_FINISHED", "CODETASK_SOCKET", "CODETASK_RUN", "CODETASK_RUN_TOKEN"}
    other |= {"CODETASK_PLATFORM", "CODETASK_CHANNEL", "CODETASK_THREAD"}
    named: set[str] = set()
    for path in pages():
        if path == PAGE:
            continue
        for word, exported in words.findall(path.read_text()):
            named |= {word} if word else {pair.partition("=")[0] for pair in exported.split()}
    constants = {"ALLOWED_LONG"}
    assert named - known - other - constants == set()


def test_the_settings_page_is_that_of_the_code() -> None:
    assert PAGE.read_text() == page(), "run: .venv/bin/python tools/settings_page.py --write"


@pytest.mark.parametrize("field", [*SECTIONS])
def test_the_sections_of_the_settings_page_begin_at_a_setting(field: str) -> None:
    assert field in Settings.model_fields


def test_every_setting_says_its_use() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
