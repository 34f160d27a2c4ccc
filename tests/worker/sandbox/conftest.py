"""A folder to work in. The sandboxes come from the folder above."""

from pathlib import Path

import pytest


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder to bind at `/ws`."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder
