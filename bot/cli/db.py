"""`codetask db ...`: the schema of the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
import typer

from bot.cli.failures import FAILED, OK, Failure
from bot.cli.local import database_name, explained, read_settings
from bot.cli.output import Format, Json, Output, out, out_fields, out_json, say, wants_json
from bot.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="The database's schema.")


@contextmanager
def _engine(settings: Settings) -> Iterator[sa.Engine]:
    from storage.engine import postgres_engine, sqlite_engine

    url = sa.make_url(settings.store_url)
    sqlite = url.get_backend_name() == "sqlite"
    engine = sqlite_engine(url, "BEGIN IMMEDIATE") if sqlite else postgres_engine(url)
    try:
        with explained(settings):
            yield engine
    finally:
        engine.dispose()


def _missing_file(settings: Settings) -> Path | None:
    url = sa.make_url(settings.store_url)
    path = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
    return path if path is not None and not path.exists() else None


@app.command("status")
def status(output: Output = Format.TABLE, as_json: Json = False) -> None:
    """Say where the database is, its revision, and what to do about it. Exit 1 when it is not current."""
    from storage import schema

    settings = read_settings()
    if _missing_file(settings) is not None:
        found = schema.SchemaStatus(schema.SchemaState.EMPTY, None)
    else:
        with _engine(settings) as engine:
            found = schema.status(engine)
    fields = {
        "database": database_name(settings),
        "state": found.state.value,
        "revision": found.revision,
        "wanted": schema.HEAD,
        "advice": found.advice(),
    }
    if wants_json(output, as_json):
        out_json(fields)
    else:
        out_fields({name: value or "none" for name, value in fields.items() if name != "advice" or value})
    raise typer.Exit(OK if found.state is schema.SchemaState.CURRENT else FAILED)


@app.command("upgrade")
def upgrade() -> None:
    """Bring the database to this version's schema. Make a backup first: there is no way back."""
    from storage import schema

    settings = read_settings()
    path = _missing_file(settings)
    if path is not None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Failure(f"{path.parent} cannot be made: {error.strerror}.", FAILED) from error
    with _engine(settings) as engine:
        done = schema.migrate(engine)
    for revision in done:
        out(revision)
    say(f"The database is at revision {schema.HEAD}." if done else "Nothing to do: the database is current.")
