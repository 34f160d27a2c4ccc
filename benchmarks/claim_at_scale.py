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
    small = claim_p50_ms(FEW, 5 if quick else CLAIMS)
    large = claim_p50_ms(many, 5 if quick else CLAIMS)
    note = f"{many} finished runs against {FEW}"
    return [
        Figure("claim_p50_1k_sqlite_ms", round(small, 3), "ms"),
        Figure("claim_p50_1m_sqlite_ms", round(large, 3), "ms", note=note),
        Figure("claim_p50_ratio_1m_sqlite", round(large / small, 2), "x", TARGET, note=note),
    ]


def claim_p50_ms(finished: int, claims: int) -> float:
    """The median claim, in milliseconds, with that many finished runs in the database."""
    with sqlite_url() as url, open_store(url) as store:
        store.run_sync(lambda tx: file_task(tx))
        _multiply(store, finished)
        times: list[float] = []
        for number in range(claims):
            store.run_sync(lambda tx, n=number: file_task(tx, repo=f"fresh-{n}"))
            began = time.perf_counter()
            run = store.run_sync(lambda tx: tx.runs.claim("bench", "here", EVERYTHING, EVERYTHING, LEASE))
            times.append((time.perf_counter() - began) * 1000)
            if run is None:
                raise AssertionError("nothing could be claimed")
        return percentile(times, 0.5)


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
