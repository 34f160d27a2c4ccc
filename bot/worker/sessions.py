"""An agent's own state between two runs: a folder of its conversation, packed after a run and unpacked before the next.

The agent wrote it, so it is hostile: only regular files and folders are packed, no link is ever followed, every size is
capped while it is read, and unpacking writes nothing but plain relative names below one folder of ours.
"""

import gzip
import io
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Final

PACKED_MAX: Final = 8 * 1024**2
UNPACKED_MAX: Final = 64 * 1024**2
ENTRIES_MAX: Final = 2_000
"""Files and folders together."""
DEPTH_MAX: Final = 32
PATH_MAX: Final = 1_024
NAME_MAX: Final = 255
LISTED_MAX: Final = 50_000
"""How many entries of the folder are looked at, kept or not."""
OVERHEAD: Final = ENTRIES_MAX * 4 * tarfile.BLOCKSIZE
"""What the archive format may add: a header, an extended header with its body, and padding for each entry."""
EVERYTHING: Final = ("**",)
_CHUNK: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class NotKept:
    """The state cannot be packed or unpacked; `why` is for the run's log."""

    why: str


class _OverLimitError(Exception):
    """A limit was met while reading or writing; the text names it."""


def pack(folder: Path, kept: Sequence[str] = EVERYTHING) -> bytes | NotKept:
    """The files and folders of `folder` that match `kept`, as a tar.gz whose bytes depend only on names and contents.

    A pattern is a path whose parts may hold `*`; a last part `**` takes everything below. Links, devices, sockets,
    files with several names and files we may not read are left out."""
    packed = _Capped(PACKED_MAX)
    try:
        with (
            gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6, mtime=0, filename="") as zipped,
            tarfile.open(fileobj=zipped, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            _Packer(archive, tuple(kept)).add(folder)
    except _OverLimitError as over:
        return NotKept(str(over))
    return packed.getvalue()


def unpack(archive: bytes, folder: Path) -> NotKept | None:
    """Fills the empty `folder` with what `pack` stored. Anything else leaves it empty, and says why.

    Raises OSError when the machine cannot write it (disk full)."""
    try:
        reader = _Reader(archive)
        with tarfile.open(fileobj=reader, mode="r|") as opened:
            _unpack_all(opened, folder)
        while reader.read(_CHUNK):  # to the end, where the check sum is
            pass
    except _OverLimitError as over:
        problem = str(over)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError):
        problem = "the stored state is damaged"
    else:
        return None
    empty_folder(folder)
    return NotKept(problem)


def empty_folder(folder: Path) -> None:
    """Removes everything in `folder`, never through a link."""
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            os.unlink(entry.path)


class _Capped(io.BytesIO):
    """Collects at most so many bytes."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        if self.tell() + len(data) > self._most:
            raise _OverLimitError(f"it is larger than {self._most // 1024**2} MiB packed")
        return super().write(data)


class _Reader(io.RawIOBase):
    """The unzipped bytes of an archive, at most as many as `pack` would ever have written."""

    def __init__(self, archive: bytes) -> None:
        if len(archive) > PACKED_MAX:
            raise _OverLimitError("the stored state is too large")
        self._zipped = gzip.GzipFile(fileobj=io.BytesIO(archive), mode="rb")
        self._left = UNPACKED_MAX + OVERHEAD + tarfile.RECORDSIZE

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self._left:
            size = self._left + 1
        data = self._zipped.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _OverLimitError("the stored state is too large")
        return data


class _Packer:
    """Walks the folder by open directories, so that no name is looked up twice and no link is followed."""

    def __init__(self, archive: tarfile.TarFile, kept: tuple[str, ...]) -> None:
        self._archive = archive
        self._kept = kept
        self._entries = self._listed = self._bytes = 0

    def add(self, folder: Path) -> None:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._folder(fd, PurePosixPath())
        finally:
            os.close(fd)

    def _folder(self, fd: int, at: PurePosixPath) -> None:
        for name, kind in self._entries_of(fd):
            path = at / name
            if not _is_plain(path.as_posix()):
                continue
            if stat.S_ISDIR(kind):
                self._inner(fd, path)
            elif stat.S_ISREG(kind) and self._is_kept(path):
                self._file(fd, path)

    def _entries_of(self, fd: int) -> Iterator[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        with os.scandir(fd) as listing:
            for entry in listing:
                self._listed += 1
                if self._listed > LISTED_MAX:
                    raise _OverLimitError(f"it holds more than {LISTED_MAX} files")
                with suppress(OSError):
                    found.append((entry.name, entry.stat(follow_symlinks=False).st_mode))
        return iter(sorted(found))

    def _is_kept(self, path: PurePosixPath) -> bool:
        return any(_matches(path.parts, tuple(pattern.split("/"))) for pattern in self._kept)

    def _inner(self, fd: int, path: PurePosixPath) -> None:
        try:
            inner = os.open(path.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        except OSError:
            return
        try:
            if self._is_kept(path):
                self._count()
                self._archive.addfile(_entry(path, tarfile.DIRTYPE))
            self._folder(inner, path)
        finally:
            os.close(inner)

    def _file(self, fd: int, path: PurePosixPath) -> None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            opened = os.open(path.name, flags, dir_fd=fd)
        except OSError:
            return
        with os.fdopen(opened, "rb") as file:
            about = os.fstat(opened)
            if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
                return
            content = self._read(file)
        self._count()
        entry = _entry(path, tarfile.REGTYPE)
        entry.size = len(content)
        self._archive.addfile(entry, io.BytesIO(content))

    def _read(self, file: io.BufferedIOBase) -> bytes:
        """The whole file: its size is what was read, never what it claims."""
        content = bytearray()
        while data := file.read(_CHUNK):
            content += data
            self._bytes += len(data)
            if self._bytes > UNPACKED_MAX:
                raise _OverLimitError(f"it is larger than {UNPACKED_MAX // 1024**2} MiB")
        return bytes(content)

    def _count(self) -> None:
        self._entries += 1
        if self._entries > ENTRIES_MAX:
            raise _OverLimitError(f"it holds more than {ENTRIES_MAX} files and folders")


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if pattern[-1] == "**":
        parts, pattern = parts[: len(pattern) - 1], pattern[:-1]
    return len(parts) == len(pattern) and all(map(fnmatchcase, parts, pattern))


def _entry(path: PurePosixPath, kind: bytes) -> tarfile.TarInfo:
    """An archive entry that says nothing of this machine."""
    entry = tarfile.TarInfo(path.as_posix())
    entry.type = kind
    entry.mode = 0o700 if kind == tarfile.DIRTYPE else 0o600
    return entry


def _is_plain(path: str) -> bool:
    """Whether it is a relative path of plain names that any file system takes."""
    parts = path.split("/")
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        return False
    return (
        len(parts) <= DEPTH_MAX
        and len(path) <= PATH_MAX
        and all(0 < size <= NAME_MAX for size in sizes)
        and all(part.isprintable() and part not in (".", "..") for part in parts)
    )


def _unpack_all(opened: tarfile.TarFile, folder: Path) -> None:
    files: set[str] = set()
    folders: set[str] = set()
    size = 0
    for number, entry in enumerate(opened, 1):
        name = entry.name
        size += entry.size
        if entry.size < 0:
            raise ValueError(name)
        if number > ENTRIES_MAX or size > UNPACKED_MAX:
            raise _OverLimitError("the stored state is too large")
        above = {parent.as_posix() for parent in PurePosixPath(name).parents}
        if not _is_plain(name) or name in files or name in folders or above & files:
            raise ValueError(name)
        if entry.type == tarfile.DIRTYPE:
            folders.add(name)
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        elif entry.type == tarfile.REGTYPE and not entry.sparse:
            files.add(name)
            folders.update(above)
            _unpack_file(opened, entry, folder / name)
        else:
            raise ValueError(name)


def _unpack_file(archive: tarfile.TarFile, entry: tarfile.TarInfo, path: Path) -> None:
    content = archive.extractfile(entry)
    if content is None:
        raise ValueError(entry.name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb"
    ) as out:
        shutil.copyfileobj(content, out, _CHUNK)
