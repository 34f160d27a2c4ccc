"""Programs that some tests drive for real, found on this machine or skipped with a loud reason."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def find_opencode() -> str:
    """The OpenCode program: CODETASK_TEST_OPENCODE, what tools/install_opencode left, or PATH."""
    places = [os.environ.get("CODETASK_TEST_OPENCODE", "")]
    places += [str(ROOT / where / "node_modules/.bin/opencode") for where in ("build/node", ".")]
    for place in (*places, "opencode"):
        if place and (found := shutil.which(place)):
            return found
    if os.environ.get("CODETASK_REQUIRE_OPENCODE") == "1":
        pytest.fail("OpenCode is required here and was not found: run tools/install_opencode")
    pytest.skip("THE REAL OPENCODE IS NOT TESTED HERE: run tools/install_opencode or set CODETASK_TEST_OPENCODE")
