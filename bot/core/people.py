"""Who may do what: roles from platform ids, and the table of rights (product rule 9).

Buttons and commands ask again each time they act; nothing about rights is remembered.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bot.core.followups import FollowUp
from bot.core.inbound import Person, ThreadRef
from bot.core.tasks import CodeTask

CONSOLE: Final = "console"
"""The platform of whoever works on the machine itself (the CLI with the local token): an admin."""

TOKEN: Final = "token"
"""The platform of whoever is known only by an API token: their one role is the word that its admin gave it."""

DIRECT: Final = "dm"
"""What stands for every talk with the bot alone in the list of channels that are heard."""

_PLATFORM_ADMINS: Final = frozenset({"owner", "admin"})
_EVERYONE: Final = "*"


class Role(StrEnum):
    """What a person is here. Someone without a role may do nothing and sees nothing."""

    VIEWER = "viewer"
    FILER = "filer"
    ADMIN = "admin"


class Action(StrEnum):
    VIEW = "view"
    FILE = "file"
    SEND = "send"
    CANCEL = "cancel"
    STOP = "stop"
    UNDO = "undo"
    RETRY = "retry"
    EDIT = "edit"
    DELETE = "delete"
    MERGED = "merged"
    RUN_NOW = "run_now"
    JUDGE = "judge"
    """File a trusted suggestion, call it the same as another, or not a request."""
    APPROVE = "approve"
    CONFIGURE = "configure"
    """Channel settings, tokens, workers, roles."""
    OWN_SETTINGS = "own_settings"


_ANYONE: Final = frozenset({Action.VIEW, Action.OWN_SETTINGS})
_FILERS: Final = _ANYONE | {Action.FILE, Action.SEND, Action.JUDGE}
_OWN: Final = frozenset(
    {
        Action.CANCEL,
        Action.STOP,
        Action.UNDO,
        Action.RETRY,
        Action.EDIT,
        Action.DELETE,
        Action.MERGED,
        Action.RUN_NOW,
    }
)


@dataclass(frozen=True, slots=True)
class RolePolicy:
    """Which ids hold which role.

    An id is written `slack:U123` (any workspace), `slack:T1:U123`, or `U123` (any platform); the id of a platform's
    group or role works the same, and so do the words `owner`, `admin`, `member`. `*` in `filers` or `viewers` is every
    member.
    `members` is the role of an unlisted member, None for none; `open_filing` makes every member a filer.
    `platform_admins`: a workspace's owners and admins are admins here.
    """

    admins: frozenset[str] = frozenset()
    filers: frozenset[str] = frozenset()
    viewers: frozenset[str] = frozenset()
    members: Role | None = Role.VIEWER
    open_filing: bool = False
    platform_admins: bool = True

    @classmethod
    def of(cls, admins: Iterable[str] = (), filers: Iterable[str] = (), viewers: Iterable[str] = ()) -> "RolePolicy":
        """The policy of the settings ADMINS, FILERS and VIEWERS. Naming viewers leaves other members without a role."""
        listed = frozenset(viewers)
        return cls(frozenset(admins), frozenset(filers), listed, members=None if listed else Role.VIEWER)

    @property
    def is_open(self) -> bool:
        """Whether every member may file; `doctor` warns."""
        return self.open_filing or _EVERYONE in self.filers or "member" in self.filers


def role_of(person: Person, policy: RolePolicy) -> Role | None:
    """The highest role of a person, over all accounts that an admin linked. Bots, webhooks, guests and external people:
    only if their own id is listed."""
    held = {_role_of_account(account, policy) for account in (person, *person.also)}
    return next((role for role in (Role.ADMIN, Role.FILER, Role.VIEWER) if role in held), None)


def _role_of_account(person: Person, policy: RolePolicy) -> Role | None:
    if person.platform == CONSOLE:
        return Role.ADMIN
    if person.platform == TOKEN:
        return next((role for role in Role if role.value in person.roles), None)
    ids = ids_of(person)
    if policy.admins & ids:
        return Role.ADMIN
    if person.kind != "human":
        return Role.FILER if policy.filers & ids else Role.VIEWER if policy.viewers & ids else None
    if policy.platform_admins and person.roles & _PLATFORM_ADMINS:
        return Role.ADMIN
    if policy.open_filing or policy.filers & (ids | {_EVERYONE}):
        return Role.FILER
    if policy.viewers & (ids | {_EVERYONE}):
        return Role.VIEWER
    return policy.members


def may(role: Role | None, action: Action, *, is_requester: bool) -> bool:
    """Whether the role allows the action. `is_requester`: the code task or follow-up is the person's own.

    `APPROVE` also needs an admin who is not the requester, unless that is switched off; the caller checks it."""
    match role:
        case None:
            return False
        case Role.VIEWER:
            return action in _ANYONE
        case Role.FILER:
            return action in _FILERS or (is_requester and action in _OWN)
        case Role.ADMIN:
            return True


def is_requester(person: Person, thing: CodeTask | FollowUp) -> bool:
    """Whether the code task or follow-up belongs to this person, by whichever of their accounts."""
    theirs = (thing.requester_platform, thing.requester_workspace, thing.requester_id)
    return any(bool(one.id) and (one.platform, one.workspace_id, one.id) == theirs for one in (person, *person.also))


def channel_is_heard(listed: Collection[str], where: ThreadRef, *, direct: bool) -> bool:
    """Whether the bot is used in this channel: everywhere when nothing is listed.

    A channel is listed as `slack:T1:C1`, `slack:C1` or `C1`. A talk with the bot alone (`direct`) is listed by its own
    id, or with all others by the word `dm` (`slack:dm` for those of one platform)."""
    names = {where.channel_id, DIRECT} if direct else {where.channel_id}
    places = ("", f"{where.platform}:", f"{where.platform}:{where.workspace_id}:")
    return not listed or any(f"{place}{name}" in listed for place in places for name in names if name)


def ids_of(person: Person) -> frozenset[str]:
    """Every way in which a list of ids can name this person. Groups and roles count for people only."""
    names = {person.id} | (person.roles if person.kind == "human" else frozenset[str]())
    places = ("", f"{person.platform}:", f"{person.platform}:{person.workspace_id}:")
    return frozenset(f"{place}{name}" for place in places for name in names if name and name != _EVERYONE)
