"""The project that the demo works on: `invoices`, a small Python package with a test suite that really runs."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

GIT_LIMIT_S: Final = 300

FILES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "README.md": "# invoices\n\nAdds up invoice lines. Tests: `python3 -m unittest`.\n",
        "invoices/__init__.py": '"""Invoices of a small shop."""\n',
        "invoices/report.py": '''"""What a customer owes."""


def total(lines):
    """The sum of all lines, in cents."""
    return sum(line["quantity"] * line["price"] for line in lines)


def overdue(invoices, today):
    """The invoices that should have been paid before today."""
    return [invoice for invoice in invoices if not invoice["paid"] and invoice["due"] < today]
''',
        "invoices/letter.py": '''"""The letter that goes with an invoice."""


def greeting(name):
    return f"Hello {name},"
''',
        "tests/__init__.py": "",
        "tests/test_report.py": """import datetime
import unittest

from invoices.report import overdue, total


class ReportTest(unittest.TestCase):
    def test_total_adds_all_lines(self):
        lines = [{"quantity": 2, "price": 1250}, {"quantity": 1, "price": 499}]
        self.assertEqual(total(lines), 2999)

    def test_nothing_costs_nothing(self):
        self.assertEqual(total([]), 0)

    def test_overdue_leaves_out_what_is_paid(self):
        day = datetime.date(2026, 3, 1)
        late = {"paid": False, "due": day}
        invoices = [late, {"paid": True, "due": day}]
        self.assertEqual(overdue(invoices, datetime.date(2026, 3, 7)), [late])
""",
        "tests/test_letter.py": """import unittest

from invoices.letter import greeting


class LetterTest(unittest.TestCase):
    def test_greeting_names_the_customer(self):
        self.assertIn("Ana", greeting("Ana"))
""",
    }
)


class CopyFailed(Exception):
    """A repository could not be made or copied. The text says why and what to do."""


def make_sample(folder: Path) -> Path:
    """Writes the project, commits it, and returns the bare repository that the local forge serves."""
    source = folder / "source"
    for name, text in FILES.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    home = folder / "git-home"
    home.mkdir()
    git(home, "init", "--quiet", "--initial-branch=main", ".", cwd=source)
    git(home, "add", "--all", cwd=source)
    git(home, "commit", "--quiet", "--message=Add up invoices, with tests", cwd=source)
    bare = folder / "invoices.git"
    git(home, "clone", "--quiet", "--bare", "--no-local", str(source), str(bare), cwd=folder)
    return bare


def copy_repository(repo: Path, folder: Path) -> tuple[Path, str]:
    """A bare copy of somebody's repository and the branch that is checked out there. The original is only read."""
    if not repo.is_dir():
        raise CopyFailed(f"{repo} is not a folder. --repo takes the path of a git repository.")
    source = repo.resolve()
    home = folder / "git-home"
    home.mkdir()
    try:
        base = git(home, "symbolic-ref", "--quiet", "--short", "HEAD", cwd=source).strip()
        git(home, "rev-parse", "--verify", "--quiet", "HEAD^{commit}", cwd=source)
    except CopyFailed as failed:
        why = f"{repo} has no branch with a commit checked out ({failed}). Check out a branch there, then try again."
        raise CopyFailed(why) from failed
    bare = folder / f"{plain_name(source)}.git"
    git(home, "clone", "--quiet", "--bare", "--no-local", "--", str(source), str(bare), cwd=folder)
    return bare, base


def plain_name(repo: Path) -> str:
    """The name that the copy gets: the folder's, with a hyphen for everything that a repository's name may not hold."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", repo.name.removesuffix(".git")).strip("-.")
    return name[:60] or "repository"


def git(home: Path, *arguments: str, cwd: Path) -> str:
    """The output of one git command that sees none of the person's configuration. Raises `CopyFailed`."""
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": os.devnull,
        **{f"GIT_{who}_{key}": value for who in ("AUTHOR", "COMMITTER") for key, value in _ANA.items()},
    }
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=GIT_LIMIT_S, check=False
        )
    except FileNotFoundError as missing:
        raise CopyFailed("git is not installed. Install it, then try again.") from missing
    except subprocess.TimeoutExpired as late:
        raise CopyFailed(f"git {arguments[0]} took longer than {GIT_LIMIT_S} s.") from late
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise CopyFailed(said[-1] if said else f"git {arguments[0]} failed")
    return done.stdout


_ANA: Final = {"NAME": "Ana Pires", "EMAIL": "ana@tidepool.example"}
