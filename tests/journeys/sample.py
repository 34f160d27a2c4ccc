"""A small Python project with tests, as a bare repository."""

import subprocess
from pathlib import Path

FILES = {
    "invoices/__init__.py": "",
    "invoices/report.py": 'def total(lines):\n    return sum(line["amount"] for line in lines)\n',
    "tests/__init__.py": "",
    "tests/test_report.py": (
        "import unittest\n\nfrom invoices.report import total\n\n\n"
        "class Report(unittest.TestCase):\n    def test_total(self):\n"
        '        self.assertEqual(total([{"amount": 2}]), 2)\n'
    ),
}


def sample_repository(folder: Path) -> Path:
    """Makes it below `folder`; returns the path of the bare repository."""
    source, bare = folder / "source", folder / "invoices.git"
    for name, text in FILES.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    _git("init", "-q", "-b", "main", cwd=source)
    _git("add", "-A", cwd=source)
    _git("-c", "user.name=Ana", "-c", "user.email=ana@example.org", "commit", "-qm", "Start", cwd=source)
    _git("clone", "-q", "--bare", str(source), str(bare), cwd=folder)
    return bare


def _git(*arguments: str, cwd: Path) -> None:
    subprocess.run(["git", *arguments], cwd=cwd, check=True, capture_output=True)
