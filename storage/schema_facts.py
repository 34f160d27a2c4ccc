"""A schema as a set of one-line facts, so that two of them can be compared. `alembic check` overlooks partial-index
predicates and CHECK constraints; this does not."""

import re
from collections.abc import Collection, Iterator

import sqlalchemy as sa


def facts(connection: sa.Connection, tables: Collection[str]) -> set[str]:
    """What the database says about those tables. Order of columns and constraints does not count."""
    inspector = sa.inspect(connection)
    schema = inspector.default_schema_name
    if connection.dialect.name != "sqlite":
        schema = connection.execute(sa.text("SELECT current_schema()")).scalar_one()
    present = set(inspector.get_table_names(schema if connection.dialect.name != "sqlite" else None))
    found = {f"table {name}" for name in tables if name in present}
    for name in sorted(present & set(tables)):
        where = None if connection.dialect.name == "sqlite" else schema
        found.update(f"{name}: {fact}" for fact in _table_facts(inspector, name, where))
    read_indexes = _sqlite_indexes if connection.dialect.name == "sqlite" else _postgres_indexes
    found.update(fact for table, fact in read_indexes(connection) if table in tables)
    return found


def _table_facts(inspector: sa.Inspector, table: str, schema: str | None) -> Iterator[str]:
    for column in inspector.get_columns(table, schema):
        null = "" if column["nullable"] else " NOT NULL"
        default = column["default"] if "nextval" not in str(column["default"]) else "serial"
        yield f"column {column['name']} {column['type']}{null} default {default}"
    key = inspector.get_pk_constraint(table, schema)
    yield f"primary key ({', '.join(key['constrained_columns'])})"
    for unique in inspector.get_unique_constraints(table, schema):
        yield f"unique {unique['name']} ({', '.join(unique['column_names'])})"
    for foreign in inspector.get_foreign_keys(table, schema):
        columns = f"({', '.join(foreign['constrained_columns'])})"
        target = f"{foreign['referred_table']} ({', '.join(foreign['referred_columns'])})"
        yield f"foreign key {foreign['name']} {columns} -> {target} {foreign['options']}"
    for check in inspector.get_check_constraints(table, schema):
        yield f"check {check['name']} {_normal(check['sqltext'])}"


def _sqlite_indexes(connection: sa.Connection) -> Iterator[tuple[str, str]]:
    query = (
        "SELECT type, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type IN ('index', 'table', 'trigger')"
    )
    for kind, table, sql in connection.exec_driver_sql(query):
        if kind != "table":
            yield table, f"{table}: {_normal(sql)}"
        elif "AUTOINCREMENT" in sql:
            yield table, f"{table}: autoincrement"


def _postgres_indexes(connection: sa.Connection) -> Iterator[tuple[str, str]]:
    query = (
        "SELECT c.relname, n.nspname, pg_get_indexdef(i.indexrelid) FROM pg_index i"
        " JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = current_schema()"
    )
    for table, schema, definition in connection.execute(sa.text(query)):
        yield table, f"{table}: {_normal(definition.replace(f' ON {schema}.', ' ON '))}"


def _normal(sql: str) -> str:
    return re.sub(r"\s+", " ", sql.replace('"', "")).strip()
