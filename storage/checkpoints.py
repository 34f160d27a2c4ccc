"""SQLite's checkpoints, beside the writer: a commit that had to do one itself would take tens of milliseconds, and
every ack behind it would wait."""

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

EVERY: Final = 200
"""Commits of this process between two checkpoints: about as much log as SQLite by itself allows (1,000 pages)."""
PAGES_MOST: Final = 16_000
"""From here on a commit does it after all (64 MB): a log whose end is never reached would only grow."""


class Checkpointer:
    """A thread that moves what was committed from the log into the database file. Nobody waits for it: it takes what it
    can get without a lock that a writer or reader needs, and whatever it leaves is moved by the next one."""

    def __init__(self, path: str) -> None:
        self._database = f"{Path(path).absolute().as_uri()}?mode=rw"  # never makes a file that is gone
        self._commits = 0
        self._due = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="db-checkpoint", daemon=True)
        self._thread.start()

    def committed(self) -> None:
        """Counts a commit. One that is missed because two threads count at once does no harm."""
        self._commits += 1
        if self._commits >= EVERY:
            self._commits = 0
            self._due.set()

    def close(self) -> None:
        """Ends the thread."""
        self._closing = True
        self._due.set()
        self._thread.join()

    def _work(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._closing:  # looked at last: `close` sets it before it wakes
                return
            with suppress(sqlite3.Error), closing(sqlite3.connect(self._database, uri=True)) as connection:
                # A full or a broken disk: the writer meets and names it.
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").close()
