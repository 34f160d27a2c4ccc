"""The database's schema: is it ours and current, bring it up to date, and compare it with the models.

SQLite is brought up to date when the bot starts; on PostgreSQL `codetask db upgrade` does it and the bot refuses to
start on a mismatch. Alembic is imported only when there is something to migrate.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from storage.models import METADATA
from storage.schema_facts import facts

MIGRATIONS: Final = Path(__file__).parent / "migrations"
REVISIONS: Final = ("0001_start",)
"""Every revision this version knows, oldest first; a test holds it equal to `migrations/versions`."""
HEAD: Final = REVISIONS[-1]
LOCK: Final = 0x636F6465
"""Key of the PostgreSQL advisory lock that lets one process migrate at a time."""


class SchemaMismatch(Exception):
    """The bot cannot work on this database as it is. The text says what to do."""


class SchemaState(StrEnum):
    CURRENT = "current"
    EMPTY = "empty"
    """No tables yet."""
    BEHIND = "behind"
    """An older revision: an upgrade brings it up to date."""
    UNKNOWN = "unknown"
    """A revision this version does not know: a newer version upgraded it."""
    UNMANAGED = "unmanaged"
    """Tables with our names, but no revision."""


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where a database stands: its revision (None without one) and what that means for this version."""

    state: SchemaState
    revision: str | None

    def advice(self) -> str:
        """What a person can do about it; empty when nothing is wrong."""
        match self.state:
            case SchemaState.CURRENT:
                return ""
            case SchemaState.EMPTY:
                return "The database has no tables yet. Run `codetask db upgrade`, then start again."
            case SchemaState.BEHIND:
                return (
                    f"The database is at revision {self.revision}, this version needs {HEAD}. "
                    "Make a backup, run `codetask db upgrade`, then start again."
                )
            case SchemaState.UNKNOWN:
                return (
                    f"The database is at revision {self.revision}, which this version does not know: a newer one "
                    "upgraded it. Start that one, or restore a backup from before the upgrade: there is no downgrade."
                )
            case SchemaState.UNMANAGED:
                return (
                    "The database has tables with our names but no revision: `codetask db upgrade` did not make them. "
                    "Use an empty database."
                )


def status(engine: sa.Engine) -> SchemaStatus:
    """Where the database stands. Reads one row; cheap enough for every start."""
    with engine.connect() as connection:
        return _status(connection)


def prepare(engine: sa.Engine, auto: bool) -> None:
    """Makes sure that the schema is current, and migrates it first when `auto` allows. Raises SchemaMismatch."""
    found = status(engine)
    if found.state is SchemaState.CURRENT:
        return
    if not auto:
        raise SchemaMismatch(found.advice())
    migrate(engine)


def migrate(engine: sa.Engine) -> list[str]:
    """Brings the database to `HEAD` in one transaction and returns the revisions that were applied.

    Any number of processes may do this at once: one works, the others wait and find nothing to do. Raises
    SchemaMismatch for a database of a newer version or with foreign tables; nothing is written then.
    """
    with _migrating(engine) as connection:
        found = _status(connection)
        if found.state in (SchemaState.UNKNOWN, SchemaState.UNMANAGED):
            raise SchemaMismatch(found.advice())
        if found.state is SchemaState.CURRENT:
            return []
        _upgrade(connection)
        if connection.dialect.name == "sqlite":
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise SchemaMismatch(f"The migration would leave rows without their parents: {broken[:3]}")
        done = REVISIONS if found.revision is None else REVISIONS[REVISIONS.index(found.revision) + 1 :]
        return list(done)


def check_schema(engine: sa.Engine) -> list[str]:
    """Differences between the database and the models, one line each; empty when they agree.

    Covers tables, columns, keys, unique and CHECK constraints and indexes with their predicates. Writes nothing.
    """
    wanted = _wanted(engine)
    with engine.connect() as connection:
        found = facts(connection, METADATA.tables)
        connection.rollback()
    return sorted([f"missing: {fact}" for fact in wanted - found] + [f"unexpected: {fact}" for fact in found - wanted])


def _wanted(engine: sa.Engine) -> set[str]:
    if engine.dialect.name == "sqlite":
        scratch = sa.create_engine("sqlite://")
        try:
            with scratch.connect() as connection:
                METADATA.create_all(connection)
                return facts(connection, METADATA.tables)
        finally:
            scratch.dispose()
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE SCHEMA codetask_scratch")
        connection.exec_driver_sql("SET LOCAL search_path TO codetask_scratch")
        METADATA.create_all(connection)
        try:
            return facts(connection, METADATA.tables)
        finally:
            connection.rollback()


def _status(connection: sa.Connection) -> SchemaStatus:
    tables = set(sa.inspect(connection).get_table_names())
    if "alembic_version" not in tables:
        return SchemaStatus(SchemaState.UNMANAGED if tables & set(METADATA.tables) else SchemaState.EMPTY, None)
    revision = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if revision is None:
        return SchemaStatus(SchemaState.UNMANAGED if tables & set(METADATA.tables) else SchemaState.EMPTY, None)
    if revision == HEAD:
        return SchemaStatus(SchemaState.CURRENT, revision)
    return SchemaStatus(SchemaState.BEHIND if revision in REVISIONS else SchemaState.UNKNOWN, revision)


@contextmanager
def _migrating(engine: sa.Engine) -> Iterator[sa.Connection]:
    with engine.connect() as connection:
        if connection.dialect.name != "sqlite":
            with connection.begin():
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
                yield connection
            return
        driver = connection.connection.driver_connection
        # Rebuilding a table drops the old one, which foreign keys would take as deleting its rows. The switch does
        # nothing inside a transaction, so it is thrown before, and every key is checked at the end.
        driver.execute("PRAGMA foreign_keys=OFF").close()
        try:
            with connection.begin():
                yield connection
        finally:
            driver.execute("PRAGMA foreign_keys=ON").close()


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
