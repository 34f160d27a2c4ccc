"""A claim beside many finished runs: the partial index must keep it as fast as beside few."""

import os
import time

import sqlalchemy as sa

from benchmarks.claim_rate import LEASE
from benchmarks.figure import Figure, percentile
from benchmarks.stores import open_store, sqlite_url
from benchmarks.work import EVERYTHING, file_task
from storage.engine import Database

FEW = 1_000
MANY = 1_000_000
TARGET = 1.3
CLAIMS = 300


def run(quick: bool = False) -> list[Figure]:
    many = 2_000 if quick else int(os.environ.get("CODETASK_BENCH_FINISHED", MANY))
    with sqlite_url() as url, open_store(url) as small, sqlite_url() as other, open_store(other) as large:
        few_ms, many_ms = claims_ms(small, FEW, large, many, 5 if quick else CLAIMS)
    note = f"{many} finished runs against {FEW}"
    return [
        Figure("claim_p50_1k_sqlite_ms", round(few_ms, 3), "ms"),
        Figure("claim_p50_1m_sqlite_ms", round(many_ms, 3), "ms", note=note),
        Figure("claim_p50_ratio_1m_sqlite", round(many_ms / few_ms, 2), "x", TARGET, note=note),
    ]


def claims_ms(small: Database, few: int, large: Database, many: int, claims: int) -> tuple[float, float]:
    """The median claim on each store, in milliseconds. They take turns, so that other load meets both alike."""
    times: dict[Database, list[float]] = {small: [], large: []}
    for store, finished in ((small, few), (large, many)):
        store.run_sync(lambda tx: file_task(tx))
        _multiply(store, finished)
    for number in range(claims):
        for store, taken in times.items():
            taken.append(_claim_ms(store, f"fresh-{number}"))
    return percentile(times[small], 0.5), percentile(times[large], 0.5)


def _claim_ms(store: Database, repo: str) -> float:
    store.run_sync(lambda tx: file_task(tx, repo=repo))
    began = time.perf_counter()
    run = store.run_sync(lambda tx: tx.runs.claim("bench", "here", EVERYTHING, EVERYTHING, LEASE))
    if run is None:
        raise AssertionError("nothing could be claimed")
    return (time.perf_counter() - began) * 1000


def _multiply(store: Database, finished: int) -> None:
    """Copies the one filed code task and its run `finished` times, as done and merged."""
    with store.engine.begin() as connection:
        for table, own in (("code_task", TASK_OWN), ("run", RUN_OWN)):
            columns = [column["name"] for column in sa.inspect(connection).get_columns(table)]
            values = ", ".join(own.get(name, name) for name in columns)
            numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {finished})"
            names = ", ".join(columns)
            copy = f"INSERT INTO {table} ({names}) {numbers} SELECT {values} FROM n, (SELECT * FROM {table} LIMIT 1)"
            connection.exec_driver_sql(copy)


TASK_OWN = {
    "id": "id + i",
    "uuid": "'u-' || i",
    "name": "'n-' || i",
    "stage": "'merged'",
    "dedup_key": "NULL",
    "repo": "'repo-' || (i % 50)",
}
RUN_OWN = {
    "id": "id + i",
    "code_task_id": "code_task_id + i",
    "state": "'done'",
    "repo_key": "'repo-' || (i % 50)",
    "finished_at": "created_at",
}
