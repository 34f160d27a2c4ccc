"""Folders of the gateway's sockets that a killed worker left behind."""

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot.worker.socket_folders import remove_dead, socket_folder

LATER = timedelta(minutes=2)


def folder(root: Path, name: str, mode: int = 0o700) -> Path:
    made = root / name
    made.mkdir()
    made.chmod(mode)
    return made


def bound(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.fspath(path))
    return listener


def test_only_dead_ones_of_ours_go(tmp_path: Path) -> None:
    dead, live = folder(tmp_path, "ct-aaaaaaaa"), folder(tmp_path, "ct-bbbbbbbb")
    bound(dead / "llm.sock").close()
    listener = bound(live / "llm.sock")
    listener.listen()
    folder(tmp_path, "ct-cccccccc")
    (folder(tmp_path, "ct-dddddddd") / "notes.txt").write_text("mine")
    folder(tmp_path, "ct-eeeeeeee", 0o755)
    folder(tmp_path, "ct-not-ours")
    (tmp_path / "ct-ffffffff").symlink_to(dead)
    assert remove_dead(datetime.now(UTC), tmp_path) == [], "too young to tell"
    assert remove_dead(datetime.now(UTC) + LATER, tmp_path) == ["ct-aaaaaaaa", "ct-cccccccc"]
    listener.close()
    left = ["ct-bbbbbbbb", "ct-dddddddd", "ct-eeeeeeee", "ct-ffffffff", "ct-not-ours"]
    assert sorted(os.listdir(tmp_path)) == left


def test_a_missing_place_is_no_trouble(tmp_path: Path) -> None:
    assert remove_dead(datetime.now(UTC), tmp_path / "gone") == []


def test_a_run_gets_a_short_private_folder() -> None:
    with socket_folder() as made:
        assert made.stat().st_mode & 0o777 == 0o700
        assert len(made.name) == 11
    assert not made.exists()
