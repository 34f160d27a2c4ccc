"""Who may do what here: people as their platforms know them, their roles, and the refusals that say whom to ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bot.core.followups import FollowUp
from bot.core.inbound import Person, ThreadRef
from bot.core.people import CONSOLE, TOKEN, Role, RolePolicy, channel_is_heard, ids_of, role_of
from bot.core.tasks import CodeTask
from bot.core.texts import Word
from bot.ports import Platform, Retry
from bot.services.later import Later
from bot.services.refusals import RefusalKind, Refused
from bot.settings import Settings
from bot.store import Store, Transaction

ROLE_TRIES: Final = 5
"""How often a person's roles are asked for before the person is told that it did not work."""
PAGE: Final = 500
TALK: Final = "direct"
"""The channel setting that remembers a talk with the bot alone, for platforms whose buttons do not tell."""


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

    def is_only_admin(self, tx: Transaction, person: Person) -> bool:
        """Whether nobody else is known who is an admin here. Whoever ADMINS names and nobody has seen is somebody else;
        the console and tokens are nobody's second account."""
        own, named, after = {one.account for one in (person, *person.also)}, set(self.settings.admins), ""
        for one in (person, *person.also):
            named -= ids_of(one)
        while page := tx.people.known(after, PAGE):
            for one in page:
                named -= ids_of(one)
                if one.account not in own and one.platform not in (CONSOLE, TOKEN) and self.role(one) is Role.ADMIN:
                    return False
            after = page[-1].account
        return not named

    def hears(self, tx: Transaction, where: ThreadRef | None, direct: bool | None = None) -> bool:
        """Whether the bot is used in a channel. `direct` as the event tells it; None: as it was told before. A place
        without a channel (the command line; a message that is yet to be found) is heard."""
        listed = self.settings.channels
        if not listed or where is None or not where.channel_id:
            return True
        if direct is None:
            direct = tx.people.setting(where, TALK) is not None
        return channel_is_heard({*listed, self.settings.admin_channel}, where, direct=direct)

    def refuse_channel(self) -> Refused:
        return self.with_admins("refused.channel_unheard", {})

    def refuse_filing(self) -> Refused:
        return self.with_admins("refused.may_not_file", {})

    def refuse_viewing(self) -> Refused:
        return self.with_admins("refused.may_not_view", {})

    def refuse_acting(self, task: CodeTask, verb: str) -> Refused:
        requester = f"@{task.requester_name or task.requester_id}"
        act = Word(f"act.{verb}", {"ref": task.ref})
        return self.with_admins("refused.may_not_act", {"act": act, "requester": requester})

    def refuse_following_up(self) -> Refused:
        return self.with_admins("refused.may_not_follow_up", {})

    def refuse_changing(self, follow_up: FollowUp, verb: str) -> Refused:
        requester = f"@{follow_up.requester_name or follow_up.requester_id}"
        act = Word(f"act.{verb}", {"ref": follow_up.ref})
        return self.with_admins("refused.may_not_act_follow_up", {"act": act, "requester": requester})

    def refuse_deciding(self, task: CodeTask) -> Refused:
        """Who filed a code task has no more say over its waiting change than anyone: nobody but admins is named."""
        return Refused("refused.may_not_decide", {"ref": task.ref}, "not_allowed")

    def refuse_judging(self, ref: str) -> Refused:
        return self.with_admins("refused.may_not_judge", {"ref": ref})

    def with_admins(self, key: str, values: dict[str, object], kind: RefusalKind = "not_allowed") -> Refused:
        """A refusal that says whom to ask; its text has a twin `..._nobody` for where no admin is named."""
        names = [name.rpartition(":")[2] for name in self.settings.admins]
        if not names:
            return Refused(f"{key}_nobody", values, kind)
        return Refused(key, {**values, "admins": tuple(f"@{name}" for name in names[:3])}, kind)


def as_tokens_say(tx: Transaction, person: Person) -> Person:
    """Whoever is known by an API token alone, with the role of their live tokens: none once these are revoked. Anyone
    else as given."""
    if person.platform != TOKEN:
        return person
    key = f"{person.platform}:{person.workspace_id}:{person.id}"
    held = {token.role for token in tx.people.tokens() if token.person_id == key}
    highest = [role.value for role in Role if role.value in held][-1:]
    return person.model_copy(update={"roles": frozenset(highest)})


def with_links(tx: Transaction, person: Person) -> Person:
    """The person with the other accounts that an admin linked, each as its platform told of it last."""
    if person.platform in (CONSOLE, TOKEN):
        return person
    also = [find_account(tx, account) for account in sorted(tx.people.linked(person))]
    return person.model_copy(update={"also": tuple(one for one in also if one is not None)})


def find_account(tx: Transaction, account: str) -> Person | None:
    """Someone seen before, by `platform:workspace:id`."""
    platform, _, rest = account.partition(":")
    workspace_id, _, person_id = rest.partition(":")
    return tx.people.find(platform, workspace_id, person_id)


def remember_talk(tx: Transaction, where: ThreadRef, direct: bool | None) -> None:
    """Remembers that a channel is a talk with the bot alone."""
    if direct and tx.people.setting(where, TALK) is None:
        tx.people.set_setting(where, TALK, "yes")


async def known_person(person: Person, platforms: Mapping[str, Platform], store: Store, rights: Rights) -> Person:
    """The person with all their accounts as the platforms tell, else as they told last. Raises `Later` when nothing is
    known of the roles."""
    found = await _told(person, platforms, store, rights)
    linked = await store.run(lambda tx: with_links(tx, found), read=True)
    also = [await _lately(one, platforms) for one in linked.also]
    return linked.model_copy(update={"also": tuple(also)}) if also else linked


async def _lately(account: Person, platforms: Mapping[str, Platform]) -> Person:
    platform = platforms.get(account.platform)
    told = await platform.resolve(account) if platform else account
    return account if isinstance(told, Retry) else told


async def _told(person: Person, platforms: Mapping[str, Platform], store: Store, rights: Rights) -> Person:
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
