"""A schema as a set of one-line facts, so that two of them can be compared. `alembic check` overlooks partial-index
predicates and CHECK constraints; this does not."""

import re
from collections.abc import Collection, Iterator, Sequence

import sqlalchemy as sa


def facts(connection: sa.Connection, tables: Collection[str]) -> set[str]:
    """What the database says about those tables. Order of columns and constraints does not count."""
    inspector = sa.inspect(connection)
    on_sqlite = connection.dialect.name == "sqlite"
    schema = None if on_sqlite else connection.execute(sa.text("SELECT current_schema()")).scalar_one()
    present = [name for name in inspector.get_table_names(schema) if name in tables]
    found = {f"table {name}" for name in present}
    for reader in (_columns, _primary_keys, _uniques, _foreign_keys, _checks):
        found.update(f"{table}: {fact}" for table, fact in reader(inspector, schema, present))
    read_indexes = _sqlite_indexes if on_sqlite else _postgres_indexes
    found.update(f"{table}: {fact}" for table, fact in read_indexes(connection) if table in tables)
    return found


def _columns(inspector: sa.Inspector, schema: str | None, tables: Sequence[str]) -> Iterator[tuple[str, str]]:
    for (_, table), columns in inspector.get_multi_columns(schema, filter_names=tables).items():
        for column in columns:
            null = "" if column["nullable"] else " NOT NULL"
            default = column["default"] if "nextval" not in str(column["default"]) else "serial"
            yield table, f"column {column['name']} {column['type']}{null} default {default}"


def _primary_keys(inspector: sa.Inspector, schema: str | None, tables: Sequence[str]) -> Iterator[tuple[str, str]]:
    for (_, table), key in inspector.get_multi_pk_constraint(schema, filter_names=tables).items():
        yield table, f"primary key ({', '.join(key['constrained_columns']) if key else ''})"


def _uniques(inspector: sa.Inspector, schema: str | None, tables: Sequence[str]) -> Iterator[tuple[str, str]]:
    for (_, table), uniques in inspector.get_multi_unique_constraints(schema, filter_names=tables).items():
        for unique in uniques:
            yield table, f"unique {unique['name']} ({', '.join(unique['column_names'])})"


def _foreign_keys(inspector: sa.Inspector, schema: str | None, tables: Sequence[str]) -> Iterator[tuple[str, str]]:
    for (_, table), keys in inspector.get_multi_foreign_keys(schema, filter_names=tables).items():
        for key in keys:
            target = f"{key['referred_table']} ({', '.join(key['referred_columns'])})"
            columns = ", ".join(key["constrained_columns"])
            yield table, f"foreign key {key['name']} ({columns}) -> {target} {key['options']}"


def _checks(inspector: sa.Inspector, schema: str | None, tables: Sequence[str]) -> Iterator[tuple[str, str]]:
    for (_, table), checks in inspector.get_multi_check_constraints(schema, filter_names=tables).items():
        for check in checks:
            yield table, f"check {check['name']} {_normal(check['sqltext'])}"


def _sqlite_indexes(connection: sa.Connection) -> Iterator[tuple[str, str]]:
    query = (
        "SELECT type, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type IN ('index', 'table', 'trigger')"
    )
    for kind, table, sql in connection.exec_driver_sql(query):
        if kind != "table":
            yield table, _normal(sql)
        elif "AUTOINCREMENT" in sql:
            yield table, "autoincrement"


def _postgres_indexes(connection: sa.Connection) -> Iterator[tuple[str, str]]:
    query = (
        "SELECT c.relname, n.nspname, pg_get_indexdef(i.indexrelid) FROM pg_index i"
        " JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = current_schema()"
    )
    for table, schema, definition in connection.execute(sa.text(query)):
        yield table, _normal(definition.replace(f" ON {schema}.", " ON "))


def _normal(sql: str) -> str:
    return re.sub(r"\s+", " ", sql.replace('"', "")).strip()
