"""People, channel settings, API tokens, forge deliveries and the audit trail."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlmodel import col, select

from bot.core.inbound import Person, ThreadRef
from bot.store import TokenInfo
from storage.models import ApiTokenRow, AuditRow, ChannelSettingRow, ForgeDeliveryRow, PersonRow, PersonSettingRow

if TYPE_CHECKING:
    from storage.transaction import Tx


IS = "platform = :platform AND workspace_id = :workspace AND id = :person"
SETTING = """
SELECT value FROM channel_setting
WHERE platform = :platform AND workspace_id = :workspace AND channel_id = :channel AND key = :key
"""
PREFERENCE = """
SELECT value FROM person_setting
WHERE platform = :platform AND workspace_id = :workspace AND person_id = :person AND key = :key
"""


def _who(person: Person) -> dict[str, str]:
    return {"platform": person.platform, "workspace": person.workspace_id, "person": person.id}


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
        row = self._tx.session.get(PersonRow, (platform, workspace_id, person_id))
        if row is None:
            return None
        return Person(
            platform=platform,
            workspace_id=workspace_id,
            id=person_id,
            name=row.name,
            kind=row.kind,  # type: ignore[arg-type]
            roles=frozenset(json.loads(row.roles)),
            locale=row.locale,
            timezone=row.timezone,
        )

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

    def last_repo(self, person: Person) -> str | None:
        return self._tx.scalar(f"SELECT last_repo FROM person WHERE {IS}", **_who(person))

    def remember_repo(self, person: Person, repo: str) -> None:
        self._tx.change(PersonRow, {"last_repo": repo}, IS, **_who(person))

    def setting(self, thread: ThreadRef, key: str) -> str | None:
        where = {"platform": thread.platform, "workspace": thread.workspace_id, "channel": thread.channel_id}
        return self._tx.scalar(SETTING, key=key, **where)

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
        return self._tx.scalar(PREFERENCE, key=key, **_who(person))

    def prefer(self, person: Person, key: str, value: str | None) -> None:
        where = {
            "platform": person.platform,
            "workspace_id": person.workspace_id,
            "person_id": person.id,
            "key": key,
        }
        self._tx.session.execute(sa.delete(PersonSettingRow).filter_by(**where))
        if value is not None:
            self._tx.insert_new(PersonSettingRow, {**where, "value": value})

    def audit(self, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> None:
        if not self._tx.sqlite:
            self._tx.session.execute(sa.text("LOCK TABLE audit IN EXCLUSIVE MODE"))
        last = self._tx.scalar("SELECT hash FROM audit ORDER BY id DESC LIMIT 1") or ""
        at, text = self._tx.now, json.dumps(dict(detail), sort_keys=True, ensure_ascii=False)
        digest = audit_hash(last, at.isoformat(), actor, action, subject, text)
        entry = {"at": at, "actor": actor, "action": action, "subject": subject, "detail": text, "hash": digest}
        self._tx.insert_new(AuditRow, entry)

    def audit_broken_at(self) -> int | None:
        """The number of the first audit entry whose hash does not fit the one before; None when the chain is whole."""
        last = ""
        for row in self._tx.session.exec(select(AuditRow).order_by(col(AuditRow.id))):
            expected = audit_hash(last, row.at.isoformat(), row.actor, row.action, row.subject, row.detail)
            if row.hash != expected:
                return row.id
            last = row.hash
        return None

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


def audit_hash(*parts: str) -> str:
    """The chained hash of one audit entry: SHA-256 over the previous hash and the entry's fields."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
