"""Pull requests of the local forge as files: one JSON beside the bare repository for each, written atomically.

Several processes (worker, CLI, dashboard) may write: every change holds an exclusive file lock, and a file is replaced
in one step, so that a reader or a crash never sees half of one.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

FOLDER: Final = "codetask-pulls"
_FILE: Final = re.compile(r"([1-9][0-9]{0,8})\.json")


@dataclass(frozen=True, slots=True)
class LocalPull:
    """A stored pull request. `base_sha` and `head_sha` are those of the merge, or of its opening while it is open."""

    number: int
    title: str
    body: str
    head: str
    base: str
    head_sha: str
    base_sha: str
    draft: bool
    state: Literal["open", "merged", "closed"]
    opened_at: str
    changed_at: str
    merged_by: str = ""
    merge_sha: str = ""

    @property
    def etag(self) -> str:
        """Changes with every change of the pull request."""
        return '"' + hashlib.sha256(_encode(self)).hexdigest()[:32] + '"'


class StoredPullBroken(Exception):
    """A stored pull request cannot be read; the message names the file."""


def _encode(pull: LocalPull) -> bytes:
    return json.dumps(asdict(pull), ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


class PullStore:
    """The pull requests of one bare repository. Blocking: call it in a thread."""

    def __init__(self, bare: Path) -> None:
        self._folder = bare / FOLDER

    def read(self, number: int) -> LocalPull | None:
        """One pull request, or None. Raises `StoredPullBroken`."""
        path = self._folder / f"{number}.json"
        try:
            values: object = json.loads(path.read_bytes())
            return LocalPull(**cast("dict[str, Any]", values))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            raise StoredPullBroken(f"{path} is not a stored pull request") from None

    def all(self) -> list[LocalPull]:
        """Every pull request, newest first."""
        pulls = (self.read(number) for number in sorted(self._numbers(), reverse=True))
        return [pull for pull in pulls if pull is not None]

    def change(self, act: Callable[["Draft"], LocalPull]) -> LocalPull:
        """Runs `act` while no other process changes anything; what it returns is what it wrote."""
        with self._locked():
            return act(Draft(self))

    def _numbers(self) -> Iterator[int]:
        if self._folder.is_dir():
            for name in os.listdir(self._folder):
                if (found := _FILE.fullmatch(name)) is not None:
                    yield int(found.group(1))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(exist_ok=True)
        with open(self._folder / ".lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, pull: LocalPull) -> LocalPull:
        target = self._folder / f"{pull.number}.json"
        draft = self._folder / f".{pull.number}.json.new"
        with open(draft, "wb") as file:
            file.write(_encode(pull))
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return pull


class Draft:
    """What may be done while the lock is held."""

    def __init__(self, store: PullStore) -> None:
        self._store = store
        self.all = store.all
        self.read = store.read

    def next_number(self) -> int:
        """Numbers start at 1 and are never used twice: files are never deleted."""
        return max(self._store._numbers(), default=0) + 1

    def write(self, pull: LocalPull) -> LocalPull:
        return self._store._write(pull)
