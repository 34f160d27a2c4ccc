"""Who may do what here: people as their platforms know them, their roles, and the refusals that say whom to ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bot.core.followups import FollowUp
from bot.core.inbound import Person
from bot.core.people import TOKEN, Role, RolePolicy, role_of
from bot.core.tasks import CodeTask
from bot.core.texts import Word
from bot.ports import Platform, Retry
from bot.services.later import Later
from bot.services.refusals import Refused
from bot.settings import Settings
from bot.store import Store, Transaction

ROLE_TRIES: Final = 5
"""How often a person's roles are asked for before the person is told that it did not work."""


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights of this installation. Stateless; asked again at every act and every press."""

    settings: Settings

    @property
    def policy(self) -> RolePolicy:
        s = self.settings
        return RolePolicy.of(s.admins, s.filers, s.viewers)

    def role(self, person: Person) -> Role | None:
        """The person's role, None for none."""
        return role_of(person, self.policy)

    def refuse_filing(self) -> Refused:
        return self._with_admins("refused.may_not_file", {})

    def refuse_viewing(self) -> Refused:
        return self._with_admins("refused.may_not_view", {})

    def refuse_acting(self, task: CodeTask, verb: str) -> Refused:
        requester = f"@{task.requester_name or task.requester_id}"
        act = Word(f"act.{verb}", {"ref": task.ref})
        return self._with_admins("refused.may_not_act", {"act": act, "requester": requester})

    def refuse_following_up(self) -> Refused:
        return self._with_admins("refused.may_not_follow_up", {})

    def refuse_changing(self, follow_up: FollowUp, verb: str) -> Refused:
        requester = f"@{follow_up.requester_name or follow_up.requester_id}"
        act = Word(f"act.{verb}", {"ref": follow_up.ref})
        return self._with_admins("refused.may_not_act_follow_up", {"act": act, "requester": requester})

    def refuse_deciding(self, task: CodeTask) -> Refused:
        """Who filed a code task has no more say over its waiting change than anyone: nobody but admins is named."""
        return Refused("refused.may_not_decide", {"ref": task.ref}, "not_allowed")

    def _with_admins(self, key: str, values: dict[str, object]) -> Refused:
        names = [name.rpartition(":")[2] for name in self.settings.admins]
        if not names:
            return Refused(f"{key}_nobody", values, "not_allowed")
        return Refused(key, {**values, "admins": tuple(f"@{name}" for name in names[:3])}, "not_allowed")


def as_tokens_say(tx: Transaction, person: Person) -> Person:
    """Whoever is known by an API token alone, with the role of their live tokens: none once these are revoked. Anyone
    else as given."""
    if person.platform != TOKEN:
        return person
    key = f"{person.platform}:{person.workspace_id}:{person.id}"
    held = {token.role for token in tx.people.tokens() if token.person_id == key}
    highest = [role.value for role in Role if role.value in held][-1:]
    return person.model_copy(update={"roles": frozenset(highest)})


async def known_person(person: Person, platforms: Mapping[str, Platform], store: Store, rights: Rights) -> Person:
    """The person as the platform tells, else as it told last. Raises `Later` when nothing is known of the roles."""
    platform = platforms.get(person.platform)
    told = await platform.resolve(person) if platform else person
    if not isinstance(told, Retry):
        return told
    stored = await store.run(lambda tx: tx.people.find(person.platform, person.workspace_id, person.id), read=True)
    if stored is not None and (stored.roles or stored.kind != "human"):
        kind = stored.kind if person.kind == "human" else person.kind
        return stored.model_copy(update={"kind": kind, "name": stored.name or person.name})
    if rights.role(person) is Role.ADMIN:
        return person
    raise Later(f"roles unknown: {told.why}", told.after, ROLE_TRIES)
