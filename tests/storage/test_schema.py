"""A migrated database is what the models say, on both stores, and a database we must not touch is refused."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from storage.engine import postgres_engine, sqlite_engine
from storage.models import METADATA
from storage.schema import (
    HEAD,
    MIGRATIONS,
    REVISIONS,
    SchemaMismatch,
    SchemaState,
    check_schema,
    migrate,
    prepare,
    status,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """An engine on a database without tables."""
    if request.param == "sqlite":
        engine = sqlite_engine(sa.make_url(f"sqlite:///{tmp_path / 'codetask.db'}"), "BEGIN IMMEDIATE")
    else:
        engine = postgres_engine(sa.make_url(request.getfixturevalue("empty_postgres_url")))
    yield engine
    engine.dispose()


def execute(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def test_a_migrated_database_equals_the_models(engine: sa.Engine) -> None:
    assert migrate(engine) == list(REVISIONS)
    assert check_schema(engine) == []
    assert status(engine).state is SchemaState.CURRENT


def test_models_created_directly_agree_with_themselves(engine: sa.Engine) -> None:
    METADATA.create_all(engine)
    assert check_schema(engine) == []


@pytest.mark.parametrize(
    ("statements", "differences"),
    [
        (
            [
                "DROP INDEX ix_run_lease",
                "CREATE INDEX ix_run_lease ON run (lease_until) WHERE state = 'queued'",
            ],
            2,
        ),
        (["DROP INDEX ux_run_slot"], 1),
        (["DROP INDEX ux_run_slot", "CREATE INDEX ux_run_slot ON run (repo_key, slot) WHERE state = 'active'"], 2),
        (["ALTER TABLE card ADD COLUMN colour VARCHAR"], 1),
        (["ALTER TABLE card DROP COLUMN edited_at"], 1),
        (["DROP TABLE forge_delivery"], 4),
    ],
    ids=["predicate", "no-index", "not-unique", "column-more", "column-less", "no-table"],
)
def test_every_difference_is_seen(engine: sa.Engine, statements: list[str], differences: int) -> None:
    migrate(engine)
    execute(engine, *statements)
    found = check_schema(engine)
    assert len(found) == differences or (differences == 4 and len(found) >= 3), found
    assert all(line.startswith(("missing: ", "unexpected: ")) for line in found)


def test_a_changed_check_constraint_is_seen(engine: sa.Engine) -> None:
    migrate(engine)
    if engine.dialect.name == "sqlite":
        change = "UPDATE sqlite_master SET sql = replace(sql, '''dead'', ', '') WHERE name = 'outbox'"
        execute(engine, "PRAGMA writable_schema=ON", change, "PRAGMA writable_schema=OFF")
        engine.dispose()
    else:
        execute(
            engine,
            "ALTER TABLE outbox DROP CONSTRAINT ck_outbox_state_known",
            "ALTER TABLE outbox ADD CONSTRAINT ck_outbox_state_known CHECK (state IN ('pending', 'sending'))",
        )
    found = check_schema(engine)
    assert [line for line in found if "ck_outbox_state_known" in line] == found
    assert len(found) == 2


def test_migrating_again_changes_nothing(engine: sa.Engine) -> None:
    migrate(engine)
    assert migrate(engine) == []


def test_many_processes_may_migrate_at_once(engine: sa.Engine) -> None:
    done: list[list[str]] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        done.append(migrate(engine))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [[], [], [], list(REVISIONS)]


def test_an_empty_database_is_prepared_only_where_that_is_allowed(engine: sa.Engine) -> None:
    with pytest.raises(SchemaMismatch, match="codetask db upgrade"):
        prepare(engine, auto=False)
    assert status(engine).state is SchemaState.EMPTY
    prepare(engine, auto=True)
    prepare(engine, auto=False)
    assert status(engine) == status(engine)
    assert status(engine).revision == HEAD


@pytest.mark.parametrize("auto", [True, False])
def test_a_newer_schema_is_refused_untouched(engine: sa.Engine, auto: bool) -> None:
    migrate(engine)
    execute(engine, "UPDATE alembic_version SET version_num = '9999_future'")
    with pytest.raises(SchemaMismatch, match=r"9999_future.*newer one.*no downgrade"):
        prepare(engine, auto=auto)
    with pytest.raises(SchemaMismatch, match="9999_future"):
        migrate(engine)
    assert status(engine).revision == "9999_future"
    assert status(engine).state is SchemaState.UNKNOWN


@pytest.mark.parametrize("auto", [True, False])
def test_tables_of_unknown_origin_are_refused_untouched(engine: sa.Engine, auto: bool) -> None:
    execute(engine, "CREATE TABLE person (id INTEGER)")
    with pytest.raises(SchemaMismatch, match="no revision"):
        prepare(engine, auto=auto)
    assert sa.inspect(engine).get_table_names() == ["person"]


def test_other_tables_in_the_database_do_no_harm(engine: sa.Engine) -> None:
    execute(engine, "CREATE TABLE theirs (id INTEGER)")
    prepare(engine, auto=True)
    assert check_schema(engine) == []


def test_there_is_no_downgrade(engine: sa.Engine) -> None:
    from alembic import command
    from alembic.config import Config

    migrate(engine)
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "os")
        with pytest.raises(RuntimeError, match="restore a backup"):
            command.downgrade(config, "base")
    assert check_schema(engine) == []


def test_foreign_keys_hold_after_a_migration(engine: sa.Engine) -> None:
    migrate(engine)
    with pytest.raises(sa.exc.IntegrityError):
        execute(engine, "INSERT INTO card (key, thread_id) VALUES ('CT-1', 77)")


def test_the_revisions_are_the_migration_files() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert tuple(reversed([revision.revision for revision in script.walk_revisions()])) == REVISIONS


def test_a_start_on_a_current_database_does_not_import_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'codetask.db'}"
    engine = sqlite_engine(sa.make_url(url), "BEGIN IMMEDIATE")
    migrate(engine)
    engine.dispose()
    program = (
        "import sys, sqlalchemy as sa; from storage.schema import prepare; from storage.engine import sqlite_engine;"
        f"prepare(sqlite_engine(sa.make_url({url!r}), 'BEGIN'), auto=True);"
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_a_run_without_postgres_fails_where_postgres_is_required() -> None:
    """The guard of tests/conftest.py, seen from outside."""
    this = f"{Path(__file__)}::test_the_revisions_are_the_migration_files"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", this]
    environment = {**os.environ, "CODETASK_REQUIRE_POSTGRES": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "no test ran on PostgreSQL" in result.stdout
