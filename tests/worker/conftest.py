"""A remote and every sandbox that can run here."""

import os
import shutil
from pathlib import Path

import pytest

from bot.ports import Sandbox
from bot.worker.sandbox.bubblewrap import BubblewrapSandbox
from bot.worker.sandbox.none import NoSandbox
from tests.worker.git_world import World, make_world


@pytest.fixture
def bubblewrap() -> BubblewrapSandbox:
    """The real fence; skipped for root, which it refuses, and where it is not installed."""
    if os.geteuid() == 0:
        pytest.skip("bubblewrap refuses root: run through tools/as-user")
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    return BubblewrapSandbox()


@pytest.fixture(params=["none", pytest.param("bubblewrap", marks=pytest.mark.sandbox)])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Each kind in turn."""
    return NoSandbox() if request.param == "none" else request.getfixturevalue("bubblewrap")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A bare remote with a small repository."""
    return make_world(tmp_path)
