"""APScheduler with its SQLAlchemy job store: `apscheduler_peer.py URL COUNT SPREAD LEAD`. Prints one JSON object.

The SQLite file gets the settings that ours has (WAL, synchronous=FULL). The clock stops when a job's function begins.
"""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from importlib import metadata

import sqlalchemy as sa
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler

started: list[tuple[int, float]] = []
WAIT_SECONDS = 60


def measure(number: int) -> None:
    started.append((number, time.time()))


def configure(connection: object, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}").close()  # type: ignore[attr-defined]


def main(url: str, count: int, spread: float, lead: float) -> None:
    engine = sa.create_engine(url, connect_args={"check_same_thread": False})
    sa.event.listen(engine, "connect", configure)
    defaults = {"misfire_grace_time": None, "coalesce": True}
    store = SQLAlchemyJobStore(engine=engine)
    scheduler = BackgroundScheduler(
        {"apscheduler.timezone": "UTC"}, jobstores={"default": store}, job_defaults=defaults
    )
    scheduler.start(paused=True)
    first = datetime.now(UTC) + timedelta(seconds=lead)
    due = [first + timedelta(seconds=spread * number / count) for number in range(count)]
    for number, at in enumerate(due):
        scheduler.add_job(measure, "date", run_date=at, args=[number], id=str(number))
    if datetime.now(UTC) > first:
        sys.exit("the jobs could not be added before the first fell due")
    scheduler.resume()
    deadline = time.monotonic() + lead + spread + WAIT_SECONDS
    while len(started) < count and time.monotonic() < deadline:
        time.sleep(0.2)
    scheduler.shutdown()
    late = [(at - due[number].timestamp()) * 1000 for number, at in started]
    print(json.dumps({"version": metadata.version("apscheduler"), "milliseconds": late}))


main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
