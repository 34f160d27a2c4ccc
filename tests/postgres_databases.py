"""Databases for the tests on one PostgreSQL server: copies of a migrated one, emptied for the next test.

Emptying takes a tenth of the time of a new copy.
"""

import uuid
from typing import Final

import psycopg

from tests.postgres_server import execute, with_database

SHAPE: Final = """
SELECT md5(concat_ws(';',
  (SELECT string_agg(concat(c.relname, c.relkind, attname, atttypid, attnotnull), ',' ORDER BY c.relname, attnum)
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace),
  (SELECT string_agg(pg_get_constraintdef(oid), ',' ORDER BY conname) FROM pg_constraint
     WHERE connamespace = 'public'::regnamespace),
  (SELECT string_agg(pg_get_triggerdef(oid), ',' ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal),
  (SELECT string_agg(concat(proname, prosrc), ',' ORDER BY proname) FROM pg_proc
     WHERE pronamespace = 'public'::regnamespace),
  (SELECT string_agg(array_to_string(setconfig, ','), ',') FROM pg_db_role_setting
     WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())),
  (SELECT string_agg(version_num, ',') FROM alembic_version)))
"""
"""Of everything but the rows: what a test changed of it is not carried into the next."""
EMPTY: Final = """
DO $$ DECLARE name text; BEGIN
  SET LOCAL session_replication_role = replica;
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
    EXECUTE format('DELETE FROM %I', name);
  END LOOP;
  PERFORM setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences WHERE schemaname = 'public';
END $$
"""
OTHERS: Final = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()
  AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


Connection = psycopg.Connection[tuple[object, ...]]


class Databases:
    """Fresh, migrated databases of one server, one after the other or several at once."""

    def __init__(self, server: str, template: str) -> None:
        """`template` is the name of a migrated database that nobody is connected to."""
        self._server, self._template = server, template
        self._open: dict[str, Connection] = {}
        self._spare: list[str] = []
        with psycopg.connect(with_database(server, template), autocommit=True) as connection:
            self._shape = connection.execute(SHAPE).fetchone()

    def take(self, *, fresh: bool = False) -> str:
        """The URL of a database without rows; `fresh`: that never had any, so that its files are small and it has no
        statistics."""
        if self._spare and not fresh:
            return self._spare.pop()
        name = f"codetask_test_{uuid.uuid4().hex[:12]}"
        copy = f"CREATE DATABASE {name} TEMPLATE {self._template} STRATEGY FILE_COPY"  # half the time of a WAL copy
        execute(self._server, copy)
        url = with_database(self._server, name)
        self._open[url] = psycopg.connect(url, autocommit=True)
        return url

    def give_back(self, url: str, *, reuse: bool) -> None:
        """Ends everybody's connections to it. Without `reuse` it is gone: after a failure, and where programs that a
        test left behind may still reach it."""
        try:
            if reuse and self._emptied(self._open[url]):
                self._spare.append(url)
                return
        except psycopg.Error:  # the test ended this connection too, or may not empty it
            pass
        self._remove(url)

    def close(self) -> None:
        """Removes all of them."""
        for url in list(self._open):
            self._remove(url)

    def _emptied(self, connection: Connection) -> bool:
        connection.execute(OTHERS)
        if connection.execute(SHAPE).fetchone() != self._shape:
            return False
        connection.execute(EMPTY)
        return True

    def _remove(self, url: str) -> None:
        self._open.pop(url).close()
        name = url.split("?")[0].rsplit("/", 1)[1]
        execute(self._server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
