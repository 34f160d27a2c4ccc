"""The only place that starts git on the host: argv and environment are built here from nothing, for every call.

Git on the host never uses a checkout that an agent has touched: callers pass an explicit, trusted GIT_DIR.
"""

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from bot.ports import GitAccess
from bot.worker.processes import Child, start_child

MIN_VERSION: Final = (2, 34)
FETCH_LIMIT: Final = timedelta(minutes=5)
PUSH_LIMIT: Final = timedelta(minutes=2)
LOCAL_LIMIT: Final = timedelta(seconds=60)
MAX_OUTPUT: Final = 64 * 1024 * 1024
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

GitProtocol = Literal["https", "http", "file", "ssh", "none"]

_ENV: Final = {
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "SSH_ASKPASS": "/bin/false",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_CEILING_DIRECTORIES": "/",
    "GIT_EDITOR": "/bin/false",
    "GIT_SEQUENCE_EDITOR": "/bin/false",
    "GIT_PAGER": "cat",
    "GIT_LITERAL_PATHSPECS": "1",
}
_FLAGS: Final = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.alternateRefsCommand", "/bin/false"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    ("credential.helper", ""),
    ("core.askPass", ""),
    ("core.sshCommand", "/bin/false"),
    ("commit.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    ("push.gpgSign", "false"),
    ("gpg.program", "/bin/false"),
    ("diff.external", ""),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("push.recurseSubmodules", "no"),
    ("http.followRedirects", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.bigFileThreshold", "8m"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("transfer.fsckObjects", "true"),
    ("protocol.allow", "never"),
)

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class GitFailed:
    """A git call that did not succeed. `network` and `timeout` may pass by themselves; `say` holds no credential."""

    kind: Literal["auth", "network", "not_found", "rejected", "timeout", "other"]
    say: str

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed later."""
        return self.kind in ("network", "timeout")


@dataclass(frozen=True, slots=True)
class GitCall:
    """One host git call. `url` is set for calls that reach a remote: it decides the one allowed protocol."""

    args: Sequence[str]
    git_dir: Path
    url: str = ""
    access: GitAccess | None = field(default=None, repr=False)
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""
    limit: timedelta = LOCAL_LIMIT
    max_output: int = MAX_OUTPUT


@dataclass(frozen=True, slots=True)
class Git:
    """Starts git. `home` is an empty folder of ours; `proxy` is the one HTTP proxy git may use, empty for none."""

    home: Path
    proxy: str = ""

    async def run(self, call: GitCall) -> bytes | GitFailed:
        """What git wrote to its standard output. Raises OSError when git is not installed."""
        protocol = protocol_of(call.url) if call.url else "none"
        if isinstance(protocol, GitFailed):
            return protocol
        child = await start_child(
            [_program(), *_as_options(git_flags(protocol, self.proxy)), *call.args],
            env={
                **git_env(os.fspath(self.home), protocol),
                "GIT_DIR": os.fspath(call.git_dir),
                **call.env,
                **_access_env(call.url, call.access),
            },
            new_session=True,
        )
        return await _finish(child, call)

    async def version(self) -> tuple[int, ...] | None:
        """The installed git's version, for example `(2, 39, 5)`; None when git cannot be started."""
        try:
            said = await self.run(GitCall(["version"], Path("/nonexistent")))
        except OSError:
            return None
        found = re.search(rb"(\d+)\.(\d+)(?:\.(\d+))?", said) if isinstance(said, bytes) else None
        return tuple(int(part) for part in found.groups(b"0")) if found else None


def git_env(home: str, protocol: GitProtocol) -> dict[str, str]:
    """The environment of a git process, built from nothing. Inside sandboxes the same with another home."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": home,
        "XDG_CONFIG_HOME": home,
        "GIT_ALLOW_PROTOCOL": protocol,
        **_ENV,
    }


def git_flags(protocol: GitProtocol, proxy: str = "") -> list[tuple[str, str]]:
    """The configuration rows of a git process; the second layer behind the trusted GIT_DIR."""
    rows = [*_FLAGS, ("http.proxy", proxy)]
    if protocol != "none":
        rows.append((f"protocol.{protocol}.allow", "always"))
    return rows


def flags_as_env(rows: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Configuration rows as environment variables, for scripts that call git several times."""
    env = {"GIT_CONFIG_COUNT": str(len(rows))}
    for index, (key, value) in enumerate(rows):
        env |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return env


def protocol_of(url: str) -> GitProtocol | GitFailed:
    """The one protocol a configured URL needs, or why it is not accepted. Plain http is for loopback hosts only."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return GitFailed("other", "The repository URL is not a URL.")
    if any(ord(letter) <= 32 for letter in url):
        return GitFailed("other", "The repository URL holds a space or a control character.")
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return "file"
    if parts.scheme == "ssh" and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", host) and parts.password is None:
        return "ssh"
    if parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK):
        if parts.username is not None or parts.password is not None:
            return GitFailed("other", "The repository URL holds a user name or a password; use a token setting.")
        return "https" if parts.scheme == "https" else "http"
    return GitFailed("other", "The repository URL must be https, ssh, or a file URL of a local repository.")


def is_sha(text: str) -> bool:
    """Whether the text is a full object name."""
    return _SHA.fullmatch(text) is not None


def _program() -> str:
    return shutil.which("git") or "git"


def _as_options(rows: Sequence[tuple[str, str]]) -> list[str]:
    return [word for key, value in rows for word in ("-c", f"{key}={value}")]


def _access_env(url: str, access: GitAccess | None) -> dict[str, str]:
    """A credential as environment of this one process: never in argv (world-readable), never on disk."""
    if access is None:
        return {}
    env: dict[str, str] = {}
    if access.ssh_key is not None and url.startswith("ssh://"):
        key = shlex.quote(os.fspath(access.ssh_key))
        hosts = shlex.quote(f"{os.fspath(access.ssh_key)}.known_hosts")
        env["GIT_SSH_COMMAND"] = (
            f"ssh -F /dev/null -i {key} -o IdentitiesOnly=yes -o BatchMode=yes "
            f"-o StrictHostKeyChecking=yes -o UserKnownHostsFile={hosts}"
        )
    if access.authorization and url.startswith(("https://", "http://")):
        parts = urlsplit(url)
        row = (f"http.{parts.scheme}://{parts.netloc}/.extraHeader", f"Authorization: {access.authorization}")
        env |= flags_as_env([row])
    return env


async def _finish(child: Child, call: GitCall) -> bytes | GitFailed:
    """Feeds and reads one git process within its limits; nothing of it is left when this returns or is cancelled."""
    verb = next((word for word in call.args if not word.startswith("-")), "git")
    try:
        async with asyncio.timeout(call.limit.total_seconds()):
            _, out, err = await asyncio.gather(
                _feed(child, call.stdin),
                _read_capped(child.stdout, call.max_output),
                _read_capped(child.stderr, 256 * 1024),
            )
            if out is None or err is None:
                return GitFailed("other", f"git {verb} wrote more than it may.")
            code = await child.wait()
    except TimeoutError:
        return GitFailed("timeout", f"git {verb} took longer than {call.limit.total_seconds():.0f} s.")
    finally:
        await _end(child)
    if code == 0:
        return out
    return explain(verb, code, out + err if verb == "push" else err, call.access)


async def _end(child: Child) -> None:
    """git starts helpers (`git-remote-https`, `index-pack`) in its own session: all of it is killed."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.close()
    await child.wait()


async def _feed(child: Child, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        if data:
            child.stdin.write(data)
            await child.stdin.drain()
        child.stdin.close()
        await child.stdin.wait_closed()


async def _read_capped(stream: asyncio.StreamReader, most: int) -> bytes | None:
    pieces: list[bytes] = []
    size = 0
    while piece := await stream.read(64 * 1024):
        size += len(piece)
        if size > most:
            return None
        pieces.append(piece)
    return b"".join(pieces)


_SIGNS: Final[Sequence[tuple[Literal["auth", "network", "not_found", "rejected"], re.Pattern[str]]]] = (
    (
        "network",
        re.compile(
            r"could not resolve|failed to connect|couldn't connect|connection (?:refused|reset|timed out|closed)|"
            r"returned error: (?:5\d\d|429|408)|hung up|early eof|rpc failed|unexpected disconnect|empty reply|"
            r"operation timed out|gnutls|openssl|ssl_|transfer closed|network is unreachable|no route to host|"
            r"http/2 stream|invalid index-pack|temporary failure",
            re.IGNORECASE,
        ),
    ),
    (
        "auth",
        re.compile(
            r"authentication failed|could not read (?:username|password)|returned error: 40[13]|permission denied|"
            r"host key verification failed|invalid username|access denied|not authorized",
            re.IGNORECASE,
        ),
    ),
    (
        "not_found",
        re.compile(
            r"returned error: 404|repository .*not found|does not appear to be a git repository|"
            r"couldn't find remote ref|does not exist|no such file or directory|not found",
            re.IGNORECASE,
        ),
    ),
    ("rejected", re.compile(r"rejected\]|hook declined|protected branch|remote rejected", re.IGNORECASE)),
)


def explain(verb: str, code: int, said: bytes, access: GitAccess | None = None) -> GitFailed:
    """What a failed git call's own words mean, without credentials, at most 300 characters."""
    text = said.decode("utf-8", "replace")
    kind = next((kind for kind, sign in _SIGNS if sign.search(text)), "other")
    if verb == "push" and re.search(r"rejected\]", text):
        kind = "rejected"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "!"))] or lines[-1:]
    shown = hide_access(" ".join(telling), access)
    return GitFailed(kind, f"git {verb} failed ({code}): {shown[:300]}".rstrip(": "))


def hide_access(text: str, access: GitAccess | None) -> str:
    """The text without URL user names and without the credential, in whole and in its parts."""
    text = _USERINFO.sub("", text)
    if access is not None and access.authorization:
        for part in (access.authorization, *access.authorization.split()):
            if len(part) >= 6:
                text = text.replace(part, "***")
    return text
