"""The demand ledger: whose threads are told of a code task, and how many distinct people asked for it."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

from bot.core.inbound import Person, PersonKind
from bot.core.tasks import CodeTask
from bot.store import Demand, Subscription
from storage.models import AskerRow, CodeTaskRow, SubscriptionRow
from storage.statements import IDS_POSTGRES, IDS_SQLITE

if TYPE_CHECKING:
    from storage.transaction import Tx

OPEN: Final = "('queued', 'running', 'testing', 'review')"
IN_USE: Final = f"stage IN {OPEN} OR (stage = 'merged' AND finished_at >= :since)"
ASKED: Final = """
  SELECT code_task_id, platform, workspace_id, person_id, created_at FROM subscription {where}
  UNION ALL SELECT code_task_id, platform, workspace_id, person_id, created_at FROM asker {where}
"""
FORGET: Final = tuple(
    f"DELETE FROM {table} WHERE code_task_id = :task AND platform = :platform"
    " AND workspace_id = :workspace AND person_id = :id"
    for table in ("subscription", "asker")
)
ONE: Final = "coalesce(l.person, a.platform || ':' || a.workspace_id || ':' || a.person_id)"
"""What stands for a person: the number that linked accounts share, or the account itself."""
LINKED: Final = (
    "LEFT JOIN person_link l ON l.platform = a.platform AND l.workspace_id = a.workspace_id AND l.id = a.person_id"
)
ASKERS: Final = f"""
SELECT a.platform, a.workspace_id, a.person_id, p.name, p.kind, {ONE} AS one
FROM ({ASKED.format(where="WHERE code_task_id = :id")}) a {LINKED}
LEFT JOIN person p ON p.platform = a.platform AND p.workspace_id = a.workspace_id AND p.id = a.person_id
ORDER BY a.created_at, a.platform, a.person_id
"""
REQUESTER: Final = f"""
SELECT {ONE} FROM (SELECT requester_platform AS platform, requester_workspace AS workspace_id,
  requester_id AS person_id FROM code_task WHERE id = :id) a {LINKED}
"""
TOP: Final = f"""
SELECT a.code_task_id, count(DISTINCT {ONE}) AS people
FROM (
  SELECT id AS code_task_id, requester_platform AS platform, requester_workspace AS workspace_id,
    requester_id AS person_id FROM code_task WHERE stage IN {OPEN}
  UNION ALL SELECT s.code_task_id, s.platform, s.workspace_id, s.person_id FROM subscription s
    JOIN code_task t ON t.id = s.code_task_id AND t.stage IN {OPEN}
  UNION ALL SELECT s.code_task_id, s.platform, s.workspace_id, s.person_id FROM asker s
    JOIN code_task t ON t.id = s.code_task_id AND t.stage IN {OPEN}
) a {LINKED}
GROUP BY a.code_task_id ORDER BY people DESC, a.code_task_id LIMIT :limit
"""


class Subscriptions:
    """See `bot.store.SubscriptionQueries`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx

    def add(
        self,
        code_task_id: int,
        thread_id: int,
        person: Person,
        *,
        suggestion_id: int | None = None,
        from_task_id: int | None = None,
    ) -> bool:
        values = {
            "code_task_id": code_task_id,
            "thread_id": thread_id,
            "platform": person.platform,
            "workspace_id": person.workspace_id,
            "person_id": person.id,
            "suggestion_id": suggestion_id,
            "from_task_id": from_task_id,
            "created_at": self._tx.now,
        }
        new = self._tx.insert_new(SubscriptionRow, values) is not None
        if new:
            self._tx.wake("task")
        return new

    def end(self, code_task_id: int, thread_id: int) -> Subscription | None:
        where, task, thread = "code_task_id = :task AND thread_id = :thread", code_task_id, thread_id
        row = self._tx.first(SubscriptionRow, where, task=task, thread=thread)
        if row is None or not self._tx.affected(f"DELETE FROM subscription WHERE {where}", task=task, thread=thread):
            return None
        self._tx.wake("task")
        return _subscription(row, self._person(row["platform"], row["workspace_id"], row["person_id"]))

    def of_task(self, code_task_id: int) -> Sequence[Subscription]:
        return self._listed("code_task_id = :id", code_task_id)

    def of_thread(self, thread_id: int) -> Sequence[Subscription]:
        return self._listed("thread_id = :id", thread_id)

    def ask(self, code_task_id: int, person: Person) -> bool:
        values = {
            "code_task_id": code_task_id,
            "platform": person.platform,
            "workspace_id": person.workspace_id,
            "person_id": person.id,
            "created_at": self._tx.now,
        }
        return self._tx.insert_new(AskerRow, values) is not None

    def forget(self, code_task_id: int, person: Person) -> bool:
        who = {"task": code_task_id, "platform": person.platform, "workspace": person.workspace_id, "id": person.id}
        gone = [self._tx.affected(sql, **who) for sql in FORGET]
        if any(gone):
            self._tx.wake("task")
        return any(gone)

    def askers(self, code_task_id: int) -> Sequence[Person]:
        seen = {self._tx.scalar(REQUESTER, id=code_task_id)}
        people: list[Person] = []
        for row in self._tx.listed(ASKERS, id=code_task_id):
            if row.one not in seen:
                seen.add(row.one)
                people.append(_person(row.platform, row.workspace_id, row.person_id, row.name, row.kind))
        return people

    def top(self, limit: int) -> Sequence[Demand]:
        found = {row.code_task_id: row.people for row in self._tx.listed(TOP, limit=limit)}
        sqlite = self._tx.sqlite
        ids = json.dumps(list(found)) if sqlite else list(found)
        rows = {row["id"]: row for row in self._tx.rows(CodeTaskRow, IDS_SQLITE if sqlite else IDS_POSTGRES, ids=ids)}
        known = [(task_id, people) for task_id, people in found.items() if task_id in rows]
        return [Demand(CodeTask.model_construct(**rows[task_id]), people) for task_id, people in known]

    def candidates(self, repo: str | None, since: datetime, limit: int, length: int) -> Sequence[tuple[int, str]]:
        where = f"({IN_USE})" if repo is None else f"({IN_USE}) AND repo = :repo"
        columns = "id, substr(description, 1, :length) AS description"
        sql = f"SELECT {columns} FROM code_task WHERE {where} ORDER BY id DESC LIMIT :limit"
        named = {} if repo is None else {"repo": repo}
        found = self._tx.listed(sql, since=since, limit=limit, length=length, **named)
        return [(row.id, row.description) for row in found]

    def _listed(self, where: str, number: int) -> Sequence[Subscription]:
        rows = self._tx.rows(SubscriptionRow, where, "created_at, code_task_id, thread_id", id=number)
        return [
            _subscription(row, self._person(row["platform"], row["workspace_id"], row["person_id"])) for row in rows
        ]

    def _person(self, platform: str, workspace_id: str, person_id: str) -> Person:
        known = self._tx.people.find(platform, workspace_id, person_id)
        return known or Person(platform=platform, workspace_id=workspace_id, id=person_id)


def _subscription(row: Any, person: Person) -> Subscription:
    return Subscription(
        row["code_task_id"], row["thread_id"], person, row["suggestion_id"], row["from_task_id"], row["created_at"]
    )


def _person(platform: str, workspace_id: str, person_id: str, name: str | None, kind: str | None) -> Person:
    kind = kind or "human"
    return Person(
        platform=platform, workspace_id=workspace_id, id=person_id, name=name or "", kind=cast("PersonKind", kind)
    )
