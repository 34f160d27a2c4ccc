"""What the commands without a server share: the settings, logs, and one clear line for whatever stops them."""

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from bot.cli.failures import FAILED, USAGE, Failure
from bot.cli.output import say
from bot.settings import Settings, SettingsError
from platforms.registry import load_settings

T = TypeVar("T")


def read_settings() -> Settings:
    """The settings of this process; a wrong one is said and ends the command."""
    try:
        return load_settings()
    except SettingsError as error:
        raise Failure(str(error), USAGE) from error
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", USAGE) from error


@contextmanager
def explained(settings: Settings) -> Iterator[None]:
    """Turns what can stop a start into its text and the exit code 2; a database that is away is 1."""
    from bot.app import WorkerRefused
    from bot.store import StoreDown
    from bot.web.listener import WebRefused
    from bot.worker.forges import ForgeMisconfigured
    from platforms.registry import MissingExtra
    from storage.schema import SchemaMismatch

    try:
        yield
    except (SettingsError, SchemaMismatch, WorkerRefused, WebRefused, ForgeMisconfigured, MissingExtra) as error:
        raise Failure(str(error), USAGE) from error
    except (StoreDown, OperationalError) as error:
        where = database_name(settings)
        raise Failure(f"Cannot reach the database {where}.", FAILED, "Check DATABASE_URL, and that it runs.") from error


def database_name(settings: Settings) -> str:
    """The database's address without its password."""
    return sa.make_url(settings.store_url).render_as_string(hide_password=True)


class Steps:
    """Says on stderr what is being done; on a terminal a spinner turns while a step takes its time."""

    def __init__(self) -> None:
        import os

        self._spins = sys.stderr.isatty() and not os.environ.get("NO_COLOR")

    async def step(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        """Does one step and answers what it answers."""
        if not self._spins:
            say(f"{what} ...")
            return await work()
        from rich.console import Console

        with Console(stderr=True).status(f"{what} ..."):
            done = await work()
        say(f"{what}: done")
        return done


def origin(url: str) -> str:
    """Scheme and host of an address, for a line that names it."""
    split: Any = urlsplit(url)
    return f"{split.scheme}://{split.netloc}"
