"""Where on the disk workspaces lie."""

import subprocess
from pathlib import Path

import pytest

from bot.worker.workspace_folders import new_folder, spread_folders

NAME = "ct-00000000-0000-4000-8000-000000000000"


def said(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_workspaces_are_spread_over_an_ext4_disk(tmp_path: Path) -> None:
    if "ext" not in said("stat", "-f", "-c", "%T", str(tmp_path)):
        pytest.skip("only ext4 has a flag for it")
    before = said("lsattr", "-d", str(tmp_path)).split()[0]
    assert "T" not in before
    path = new_folder(tmp_path, NAME)
    assert set(said("lsattr", "-d", str(tmp_path)).split()[0]) == {*before, "T"}, "no other flag is changed"
    assert "T" not in said("lsattr", "-d", str(path)).split()[0], "one workspace stays in one region"


def test_a_file_system_without_the_flag_changes_nothing(tmp_path: Path) -> None:
    spread_folders(Path("/proc"))
    spread_folders(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []
