"""On which stores a test runs."""

import pytest

every_store = pytest.mark.parametrize("database_url", ["sqlite", "memory", "postgres"], indirect=True)
"""On SQLite in a file, on SQLite in memory and on PostgreSQL (without it: the file and PostgreSQL)."""

only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
only_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
