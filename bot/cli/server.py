"""Which server the command line talks to, and with which token, read without loading the whole settings.

Only four settings matter here, and a wrong one of another part must not stop a command to a server elsewhere.
"""

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from bot.cli.failures import USAGE, Failure

DEFAULT_BIND = "127.0.0.1:8787"


@dataclass(frozen=True, slots=True)
class Server:
    """The base address, without a slash at its end, and the token (empty when there is none yet)."""

    url: str
    token: str = field(repr=False)


def find_server() -> Server:
    """CODETASK_URL and CODETASK_TOKEN; without them the local server's address and its token file."""
    told = _from_file()
    url = _setting("codetask_url", told)
    if not url:
        bind = _setting("web_bind", told) or DEFAULT_BIND
        host, _, port = bind.rpartition(":")
        url = f"http://{'127.0.0.1' if host in ('', '0.0.0.0', '[::]') else host}:{port}"
    if not url.startswith(("http://", "https://")):
        raise Failure(f"CODETASK_URL is no address: {url}", USAGE, "Write it like http://127.0.0.1:8787")
    return Server(url.rstrip("/"), _setting("codetask_token", told) or _local_token(told))


def _setting(name: str, told: dict[str, object]) -> str:
    """The environment, then the file that X_FILE names, then codetask.toml."""
    if value := os.environ.get(name.upper()):
        return value
    if path := os.environ.get(f"{name.upper()}_FILE"):
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise Failure(f"{name.upper()}_FILE cannot be read: {error.strerror}", USAGE) from error
    value = told.get(name)
    return value if isinstance(value, str) else ""


def _from_file() -> dict[str, object]:
    path = Path(os.environ.get("CODETASK_CONFIG", "codetask.toml"))
    try:
        return tomllib.loads(path.read_text()) if path.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failure(f"{path} is not valid TOML: {error}", USAGE) from error


def _local_token(told: dict[str, object]) -> str:
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local/share")
    folder = Path(_setting("codetask_data", told) or Path(home) / "codetask")
    try:
        return (folder / "token").read_text().strip()
    except OSError:
        return ""
