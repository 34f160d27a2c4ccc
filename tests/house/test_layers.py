"""The layers of docs/architecture.md, held by import-linter."""

import subprocess
import sys

from tests.house.files import ROOT

LINT = """
import sys
from importlinter.cli import lint_imports_command

sys.argv = ["lint-imports", "--no-cache"]
lint_imports_command()
"""


def test_nobody_imports_upwards() -> None:
    done = subprocess.run([sys.executable, "-c", LINT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout
