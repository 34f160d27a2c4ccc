"""The packed state of a conversation: hostile folders are packed harmlessly, hostile archives unpack nothing."""

import gzip
import io
import os
import socket
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.worker import sessions
from bot.worker.sessions import NotKept, empty_folder, pack, unpack


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """What the agent left."""
    folder = tmp_path / "state"
    (folder / "agent" / "deep").mkdir(parents=True)
    (folder / "agent" / "talk.db").write_bytes(b"hello" * 100)
    (folder / "agent" / "deep" / "ünï code.json").write_text("{}")
    (folder / "agent" / "empty").touch()
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where the next run's agent will look."""
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def packed(folder: Path, *kept: str) -> bytes:
    archive = pack(folder, kept or ("**",))
    assert isinstance(archive, bytes), archive
    return archive


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def archive_of(*entries: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """What someone else may have stored."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=form) as archive:
        for entry, content in entries:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


def test_what_is_packed_comes_back(state: Path, target: Path) -> None:
    assert unpack(packed(state), target) is None
    assert names(target) == names(state)
    assert (target / "agent" / "talk.db").read_bytes() == b"hello" * 100
    modes = {stat.S_IMODE(path.lstat().st_mode) for path in target.rglob("*")}
    assert modes == {0o600, 0o700}


def test_the_bytes_depend_only_on_names_and_contents(state: Path, target: Path, tmp_path: Path) -> None:
    first = packed(state)
    os.utime(state / "agent" / "talk.db", (1, 1))
    (state / "agent" / "talk.db").chmod(0o755)
    assert packed(state) == first
    assert unpack(first, target) is None and packed(target) == first


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (("agent/*.db",), {"agent/talk.db"}),
        (("agent/deep/**",), {"agent/deep", "agent/deep/ünï code.json"}),
        (("*",), {"agent"}),
        (("agent/*",), {"agent/talk.db", "agent/empty", "agent/deep"}),
        (("other/**",), set()),
    ],
)
def test_only_what_is_kept_is_packed(state: Path, target: Path, kept: tuple[str, ...], expected: set[str]) -> None:
    assert unpack(packed(state, *kept), target) is None
    parents = {parent.as_posix() for name in expected for parent in Path(name).parents} - {"."}
    assert names(target) == expected | parents


def test_links_devices_and_sockets_are_left_out(state: Path, target: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the host's")
    (state / "link").symlink_to(tmp_path / "secret")
    (state / "folder").symlink_to(tmp_path)
    (state / "agent" / "self").symlink_to(state)
    os.link(state / "agent" / "talk.db", state / "twin")
    os.mkfifo(state / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(state / "socket"))
    if os.geteuid() == 0:
        os.mknod(state / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    (state / "bad\nname").touch()
    Path(os.fsdecode(os.fsencode(state) + b"/\xff")).touch()
    assert unpack(packed(state), target) is None
    assert names(target) == {"agent", "agent/deep", "agent/deep/ünï code.json", "agent/empty"}


def test_a_state_folder_that_is_a_link_is_not_read(state: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(state)
    with pytest.raises(OSError, match="link"):
        pack(tmp_path / "link")


def many(folder: Path) -> None:
    for number in range(sessions.ENTRIES_MAX + 1):
        (folder / f"f{number}").touch()


def large(folder: Path) -> None:
    with (folder / "sparse").open("wb") as file:
        file.truncate(1024**4)


def incompressible(folder: Path) -> None:
    (folder / "noise").write_bytes(os.urandom(sessions.PACKED_MAX + 1))


@pytest.mark.parametrize("fill", [many, large, incompressible])
def test_what_is_over_a_limit_is_not_kept(tmp_path: Path, fill: Callable[[Path], None]) -> None:
    fill(tmp_path)
    answer = pack(tmp_path)
    assert isinstance(answer, NotKept) and answer.why


def test_what_is_not_kept_counts_for_no_limit(tmp_path: Path, target: Path) -> None:
    folder = tmp_path / "state"
    (folder / "log").mkdir(parents=True)
    many(folder / "log")
    large(folder / "log")
    (folder / "talk.db").touch()
    assert unpack(packed(folder, "talk.db"), target) is None
    assert names(target) == {"talk.db"}


def test_a_folder_deeper_than_any_path_is_packed_without_its_depths(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(200):
        os.mkdir("d" * 200, dir_fd=fd)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    assert isinstance(pack(tmp_path), bytes)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "symlink": lambda: archive_of((entry("a", tarfile.SYMTYPE, "/etc/passwd"), b"")),
    "a file through a symlink": lambda: archive_of((entry("a", tarfile.SYMTYPE, ".."), b""), (entry("a/x"), b"x")),
    "hard link": lambda: archive_of((entry("a", tarfile.LNKTYPE, "/etc/passwd"), b"")),
    "device": lambda: archive_of((entry("a", tarfile.CHRTYPE), b"")),
    "fifo": lambda: archive_of((entry("a", tarfile.FIFOTYPE), b"")),
    "absolute": lambda: archive_of((entry("/tmp/escaped"), b"x")),
    "above": lambda: archive_of((entry("../escaped"), b"x")),
    "above, deeper": lambda: archive_of((entry("a/../../escaped"), b"x")),
    "dots only": lambda: archive_of((entry("."), b"x")),
    "no name": lambda: archive_of((entry(""), b"x")),
    "control characters": lambda: archive_of((entry("a\nb"), b"x")),
    "zero byte": lambda: archive_of((entry("a\0b"), b"x"), form=tarfile.GNU_FORMAT),
    "twice": lambda: archive_of((entry("a"), b"x"), (entry("a"), b"y")),
    "below a file": lambda: archive_of((entry("a"), b"x"), (entry("a/b"), b"y")),
    "a folder over a file": lambda: archive_of((entry("a"), b"x"), (entry("a", tarfile.DIRTYPE), b"")),
    "a long name": lambda: archive_of((entry("a" * 300), b"x")),
    "a deep name": lambda: archive_of((entry("a/" * 200 + "b"), b"x")),
    "sparse": lambda: archive_of((entry("a", tarfile.GNUTYPE_SPARSE), b"x"), form=tarfile.GNU_FORMAT),
    "10,000 files": lambda: archive_of(*((entry(f"f{number}"), b"") for number in range(10_000))),
    "a bomb": lambda: gzip.compress(b"\0" * (200 * 1024**2), 9),
    "a bomb in a file": lambda: archive_of((entry("a"), b"\0" * (65 * 1024**2))),
    "a bomb in a header": lambda: archive_of((entry("x" * (70 * 1024**2)), b"")),
    "larger than ever packed": lambda: b"\x1f\x8b" + bytes(sessions.PACKED_MAX),
    "cut off": lambda: archive_of((entry("a"), b"x" * 100_000))[:-20],
    "no archive": lambda: b"hello",
    "nothing": lambda: b"",
    "a damaged sum": lambda: bytes([*archive_of((entry("a"), b"x"))[:-8], *bytes(8)]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_writes_nothing(name: str, target: Path, tmp_path: Path) -> None:
    answer = unpack(HOSTILE[name](), target)
    if name == "zero byte":
        assert answer is None and names(target) == {"a"}, "the name ends early, which is harmless"
    else:
        assert answer is not None and answer.why and names(target) == set()
    assert {path.name for path in tmp_path.iterdir()} == {"target"}
    assert not Path("/tmp/escaped").exists()


def test_emptying_a_folder_follows_no_link(state: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (state / "link").symlink_to(outside)
    (state / "agent" / "link").symlink_to(outside)
    empty_folder(state)
    assert list(state.iterdir()) == [] and (outside / "kept").exists()
