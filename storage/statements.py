"""Statements of the hot paths, built once each: building one costs SQLAlchemy several times what running it does.

Conditions are SQL text with named parameters, such as `"id = :id AND state = 'active'"`, so that a reader sees what the
database gets and literal states reach the partial indexes. Values go through the columns' types in both directions.
"""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import UTCDateTime

from bot.store import Requester

Bound = Mapping[str, Any]
IDS_SQLITE, IDS_POSTGRES = "id IN (SELECT value FROM json_each(:ids))", "id = ANY(CAST(:ids AS integer[]))"
"""Any number of ids as one parameter, a JSON list or a list of numbers."""
NEW, OLD = "new_", "old_"
"""Begin the names of an UPDATE's parameters: SQLAlchemy allows none that is called like a column."""


def columns_of(table: type[SQLModel]) -> sa.Table:
    """The SQLAlchemy table of a model."""
    return table.__table__  # type: ignore[attr-defined, no-any-return]


def belongs_to(table: type[SQLModel], people: Collection[Requester]) -> sa.ColumnElement[bool]:
    """Whether a code task's or follow-up's requester is one of these."""
    of = columns_of(table).c
    theirs = sa.tuple_(of.requester_platform, of.requester_workspace, of.requester_id)
    return sa.or_(sa.false(), *(theirs == sa.tuple_(*map(sa.literal, one)) for one in people))


@cache
def insert(table: type[SQLModel], sqlite: bool, whole: bool = False) -> tuple[sa.Insert, dict[str, object], bool]:
    """INSERT ... ON CONFLICT DO NOTHING RETURNING the key (`whole`: the row); the columns' defaults; whether the key is
    a number `id`."""
    columns = columns_of(table)
    statement = (sqlite_dialect if sqlite else postgresql).insert(columns).on_conflict_do_nothing()
    has_id = "id" in columns.columns and columns.columns["id"].primary_key and columns.columns["id"].autoincrement
    has_id = bool(has_id) and isinstance(columns.columns["id"].type, sa.Integer)
    fields = table.model_fields.items()
    defaults = {name: field.default for name, field in fields if name != "id" and not field.is_required()}
    return statement.returning(*(columns.columns if whole else columns.primary_key)), defaults, has_id


@cache
def insert_all(table: type[SQLModel], sqlite: bool, key: tuple[str, ...]) -> tuple[sa.Insert, dict[str, object]]:
    """INSERT of any number of rows ON CONFLICT DO NOTHING RETURNING their ids and `key`; the columns' defaults."""
    columns = columns_of(table).columns
    statement, defaults = insert_many(table, sqlite, key)
    return statement.returning(columns["id"], *(columns[name] for name in key)), defaults


@cache
def insert_many(table: type[SQLModel], sqlite: bool, key: tuple[str, ...]) -> tuple[sa.Insert, dict[str, object]]:
    """INSERT of any number of rows, with a `key` (the columns of a unique index) ON CONFLICT of it DO NOTHING; the
    columns' defaults."""
    statement = (sqlite_dialect if sqlite else postgresql).insert(columns_of(table))
    return (statement.on_conflict_do_nothing(index_elements=key) if key else statement), insert(table, sqlite)[1]


def update(table: type[SQLModel], values: Bound, where: str, bound: Bound, *, returning: bool) -> sa.Update:
    """UPDATE ... SET the columns of `values` WHERE `where`, to be run with `update_values(values, bound)`."""
    return _update(table, tuple(values), where, _instants(bound), returning)


def update_values(values: Bound, bound: Bound) -> dict[str, Any]:
    """Both under the names that `update` gives its parameters."""
    return {NEW + name: value for name, value in values.items()} | {OLD + name: bound[name] for name in bound}


def query(table: type[SQLModel], where: str, order: str, bound: Bound) -> sa.Select[Any]:
    """SELECT every column WHERE `where` ORDER BY `order`, to be run with `bound`."""
    return _query(table, where, order, _instants(bound))


def text(sql: str, bound: Bound) -> sa.TextClause:
    """The statement as it stands, to be run with `bound`. Results come as the driver gives them."""
    return _text(sql, _instants(bound))


def _instants(bound: Bound) -> frozenset[str]:
    return frozenset(name for name, value in bound.items() if isinstance(value, datetime))


@cache
def _text(sql: str, instants: frozenset[str]) -> sa.TextClause:
    return sa.text(sql).bindparams(*(sa.bindparam(name, type_=UTCDateTime()) for name in instants))


@cache
def _update(
    table: type[SQLModel], names: tuple[str, ...], where: str, instants: frozenset[str], returning: bool
) -> sa.Update:
    columns = columns_of(table)
    values = {name: sa.bindparam(NEW + name, type_=columns.c[name].type) for name in names}
    condition = _text(re.sub(r"(?<!:):(\w+)", rf":{OLD}\1", where), frozenset(OLD + name for name in instants))
    statement = sa.update(columns).values(values).where(condition)
    return statement.returning(*columns.columns) if returning else statement


@cache
def _query(table: type[SQLModel], where: str, order: str, instants: frozenset[str]) -> sa.Select[Any]:
    statement = sa.select(*columns_of(table).columns).where(_text(where, instants))
    return statement.order_by(sa.text(order)) if order else statement
