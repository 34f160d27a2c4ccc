"""Who may see which code task or follow-up: one rule for chat, HTTP, the command line and forms (docs/decisions/0014).

Admins see everything, others their own and what is open to every viewer: whatever belongs to no chat, and code tasks
but those of a talk with the bot alone. The words of a follow-up stay in its channel: who speaks there sees them.
"""

from bot.core.followups import FollowUp
from bot.core.inbound import Person, ThreadRef
from bot.core.people import Action, Role, is_requester, may
from bot.core.tasks import CodeTask
from bot.services.people import TALK
from bot.store import Requester, Transaction


def seen_by(role: Role | None, person: Person) -> tuple[Requester, ...] | None:
    """For lists: whose things are shown beside those that are open to every viewer; None for an admin, who sees all."""
    if role is Role.ADMIN:
        return None
    return tuple((one.platform, one.workspace_id, one.id) for one in (person, *person.also))


def may_see(
    tx: Transaction, role: Role | None, person: Person, thing: CodeTask | FollowUp, here: ThreadRef | None = None
) -> bool:
    """Whether someone with this role may see it. `here` is where they ask, in chat."""
    if not may(role, Action.VIEW, is_requester=False):
        return False
    if role is Role.ADMIN or is_requester(person, thing):
        return True
    where = _where(tx, thing)
    if where is None or (here is not None and _channel(here) == _channel(where)):
        return True
    return isinstance(thing, CodeTask) and tx.people.setting(where, TALK) is None


def _where(tx: Transaction, thing: CodeTask | FollowUp) -> ThreadRef | None:
    if isinstance(thing, CodeTask):
        return tx.threads.get(thing.thread_id).ref if thing.thread_id is not None else None
    if not thing.platform:
        return None
    return ThreadRef(platform=thing.platform, workspace_id=thing.workspace_id, channel_id=thing.channel_id)


def _channel(place: ThreadRef) -> tuple[str, str, str]:
    return place.platform, place.workspace_id, place.channel_id
