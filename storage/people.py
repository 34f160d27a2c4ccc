"""People and their linked accounts, channel settings, API tokens and forge deliveries."""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlmodel import col, select

from bot.core.inbound import Person, ThreadRef
from bot.store import AuditEntry, AuditFilter, TokenInfo
from storage import audit
from storage.models import (
    ApiTokenRow,
    ChannelSettingRow,
    ForgeDeliveryRow,
    PersonLinkRow,
    PersonRow,
    PersonSettingRow,
)

if TYPE_CHECKING:
    from storage.transaction import Tx


IS = "platform = :platform AND workspace_id = :workspace AND id = :person"
SETTING = """
SELECT value FROM channel_setting
WHERE platform = :platform AND workspace_id = :workspace AND channel_id = :channel AND key = :key
"""
SETTINGS_AROUND = """
SELECT value FROM channel_setting WHERE platform = :platform AND workspace_id = :workspace
  AND channel_id IN (:channel, '') AND key = :key ORDER BY channel_id DESC
"""
PREFERENCE = """
SELECT value FROM person_setting
WHERE platform = :platform AND person_id = :person AND key = :key
"""

LINKED = """
SELECT l.platform, l.workspace_id, l.id FROM person_link l JOIN person_link own ON own.person = l.person
WHERE own.platform = :platform AND own.workspace_id = :workspace AND own.id = :person
AND NOT (l.platform = own.platform AND l.workspace_id = own.workspace_id AND l.id = own.id)
"""


def _who(person: Person) -> dict[str, str]:
    return {"platform": person.platform, "workspace": person.workspace_id, "person": person.id}


def _person(row: PersonRow) -> Person:
    return Person(
        platform=row.platform,
        workspace_id=row.workspace_id,
        id=row.id,
        name=row.name,
        kind=row.kind,  # type: ignore[arg-type]
        roles=frozenset(json.loads(row.roles)),
        locale=row.locale,
        timezone=row.timezone,
    )


class People:
    """See `bot.store.PeopleQueries`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx

    def see(self, person: Person) -> None:
        values = {
            "name": person.name,
            "kind": person.kind,
            "roles": json.dumps(sorted(person.roles)),
            "timezone": person.timezone,
            "locale": person.locale,
            "seen_at": self._tx.now,
        }
        key = {"platform": person.platform, "workspace_id": person.workspace_id, "id": person.id}
        if self._tx.insert_new(PersonRow, key | values) is None:
            known = {name: value for name, value in values.items() if value not in ("", "[]", None)}
            self._tx.change(PersonRow, known, IS, **_who(person))

    def find(self, platform: str, workspace_id: str, person_id: str) -> Person | None:
        row = self._tx.found(PersonRow, IS, platform=platform, workspace=workspace_id, person=person_id)
        return _person(row) if row is not None else None

    def known(self, after: str, limit: int) -> Sequence[Person]:
        key = (col(PersonRow.platform), col(PersonRow.workspace_id), col(PersonRow.id))
        query = select(PersonRow).order_by(*key).limit(limit)
        if after:
            platform, workspace_id, person_id = after.split(":", 2)
            query = query.where(sa.tuple_(*key) > sa.tuple_(sa.literal(platform), workspace_id, person_id))
        return [_person(row) for row in self._tx.session.exec(query)]

    def admins(self, platform: str, workspace_id: str) -> Sequence[str]:
        query = select(PersonRow.id).where(
            PersonRow.platform == platform,
            PersonRow.workspace_id == workspace_id,
            sa.or_(col(PersonRow.roles).contains('"owner"'), col(PersonRow.roles).contains('"admin"')),
        )
        return self._tx.session.exec(query).all()

    def name_of(self, platform: str, person_id: str) -> str:
        query = select(PersonRow.name).where(PersonRow.platform == platform, PersonRow.id == person_id).limit(1)
        return self._tx.session.exec(query).first() or ""

    def link(self, one: Person, other: Person) -> bool:
        if one.account == other.account:
            return False
        self._alone()
        persons = [self._person_of(account) for account in (one, other)]
        if persons[0] is not None and persons[0] == persons[1]:
            return False
        kept = persons[0] or persons[1] or str(uuid.uuid4())
        for account, person in zip((one, other), persons, strict=True):
            if person is None:
                key = {"platform": account.platform, "workspace_id": account.workspace_id, "id": account.id}
                self._tx.insert_new(PersonLinkRow, key | {"person": kept, "linked_at": self._tx.now})
            elif person != kept:
                self._tx.change(PersonLinkRow, {"person": kept}, "person = :joined", joined=person)
        return True

    def unlink(self, one: Person) -> bool:
        self._alone()
        person = self._person_of(one)
        if person is None:
            return False
        links = sa.delete(PersonLinkRow)
        self._tx.session.execute(links.filter_by(platform=one.platform, workspace_id=one.workspace_id, id=one.id))
        if self._tx.scalar("SELECT count(*) FROM person_link WHERE person = :person", person=person) == 1:
            self._tx.session.execute(links.filter_by(person=person))
        return True

    def linked(self, person: Person) -> frozenset[str]:
        return frozenset(":".join(row) for row in self._tx.listed(LINKED, **_who(person)))

    def _person_of(self, account: Person) -> str | None:
        return self._tx.scalar(f"SELECT person FROM person_link WHERE {IS}", **_who(account))

    def _alone(self) -> None:
        """Two admins who link at the same moment go one after the other; links are few and rarely change."""
        if not self._tx.sqlite:
            self._tx.session.execute(sa.text("LOCK TABLE person_link IN EXCLUSIVE MODE"))

    def last_repo(self, person: Person) -> str | None:
        return self._tx.scalar(f"SELECT last_repo FROM person WHERE {IS}", **_who(person))

    def remember_repo(self, person: Person, repo: str) -> None:
        self._tx.change(PersonRow, {"last_repo": repo}, IS, **_who(person))

    def setting(self, thread: ThreadRef, key: str) -> str | None:
        where = {"platform": thread.platform, "workspace": thread.workspace_id, "channel": thread.channel_id}
        return self._tx.scalar(SETTING, key=key, **where)

    def settings_around(self, thread: ThreadRef, key: str) -> Sequence[str]:
        where = {"platform": thread.platform, "workspace": thread.workspace_id, "channel": thread.channel_id}
        return self._tx.column(SETTINGS_AROUND, key=key, **where)

    def set_setting(self, thread: ThreadRef, key: str, value: str | None) -> None:
        where = {
            "platform": thread.platform,
            "workspace_id": thread.workspace_id,
            "channel_id": thread.channel_id,
            "key": key,
        }
        self._tx.session.execute(sa.delete(ChannelSettingRow).filter_by(**where))
        if value is not None:
            self._tx.insert_new(ChannelSettingRow, {**where, "value": value})

    def preference(self, person: Person, key: str) -> str | None:
        return self._tx.scalar(PREFERENCE, platform=person.platform, person=person.id, key=key)

    def prefer(self, person: Person, key: str, value: str | None) -> None:
        where = {"platform": person.platform, "person_id": person.id, "key": key}
        self._tx.session.execute(sa.delete(PersonSettingRow).filter_by(**where))
        if value is not None:
            self._tx.insert_new(PersonSettingRow, {**where, "value": value})

    def audit(self, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> None:
        audit.append(self._tx, actor, action, subject, detail)

    def audit_entries(self, which: AuditFilter) -> Sequence[AuditEntry]:
        return audit.entries(self._tx, which)

    def audit_broken_at(self) -> int | None:
        return audit.broken_at(self._tx)

    def add_token(self, name: str, sha256: str, scopes: str, person_id: str, role: str) -> None:
        values = {"name": name, "scopes": scopes, "person_id": person_id, "role": role, "created_at": self._tx.now}
        self._tx.insert_new(ApiTokenRow, {"sha256": sha256, **values})

    def token(self, sha256: str) -> tuple[str, frozenset[str], str] | None:
        query = select(ApiTokenRow).where(ApiTokenRow.sha256 == sha256, col(ApiTokenRow.revoked_at).is_(None))
        row = self._tx.session.exec(query).first()
        return (row.person_id, frozenset(row.scopes.split()), row.role) if row else None

    def tokens(self) -> Sequence[TokenInfo]:
        live = select(ApiTokenRow).where(col(ApiTokenRow.revoked_at).is_(None)).order_by(col(ApiTokenRow.id))
        return [
            TokenInfo(r.id or 0, r.name, frozenset(r.scopes.split()), r.person_id, r.role, r.created_at)
            for r in self._tx.session.exec(live)
        ]

    def revoke_token(self, token_id: int) -> bool:
        live = sa.update(ApiTokenRow).where(col(ApiTokenRow.id) == token_id, col(ApiTokenRow.revoked_at).is_(None))
        return self._tx.session.execute(live.values(revoked_at=self._tx.now)).rowcount == 1

    def first_delivery(self, delivery_id: str) -> bool:
        values = {"id": delivery_id, "received_at": self._tx.now}
        return self._tx.insert_new(ForgeDeliveryRow, values) is not None
