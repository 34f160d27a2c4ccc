"""Who may see which code task, follow-up or suggestion: one rule for chat, HTTP, the command line and forms
(docs/decisions/0014).

Admins see everything, others their own and what is open to every viewer: whatever belongs to no chat, and code tasks
but those of a talk with the bot alone. The words of a follow-up stay in its channel: who speaks there sees them. So do
those of a suggestion, until they are filed; what was never shown is for admins only.
"""

from bot.core.followups import FollowUp
from bot.core.inbound import Person, ThreadRef
from bot.core.people import Action, Role, is_requester, may
from bot.core.suggestions import FILED, SKIPPED, WAITING, Suggestion
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


def may_see_suggestion(
    tx: Transaction, role: Role | None, person: Person, suggestion: Suggestion, here: ThreadRef | None = None
) -> bool:
    """Whether someone with this role may see it, its words and all. `here` is where they ask, in chat.

    A filed one is seen by whoever may see its code task, which has the same words."""
    if not may(role, Action.VIEW, is_requester=False):
        return False
    if role is Role.ADMIN:
        return True
    if suggestion.state in (WAITING, SKIPPED):
        return False
    place = (suggestion.platform, suggestion.workspace_id, suggestion.channel_id)
    if _is_author(person, suggestion) or (here is not None and _channel(here) == place):
        return True
    filed = suggestion.code_task_id if suggestion.state is FILED else None
    task = tx.tasks.get(filed) if filed is not None else None
    return task is not None and may_see(tx, role, person, task, here)


def _is_author(person: Person, suggestion: Suggestion) -> bool:
    author = (suggestion.platform, suggestion.workspace_id, suggestion.author_id)
    return author in [(one.platform, one.workspace_id, one.id) for one in (person, *person.also)]


def _where(tx: Transaction, thing: CodeTask | FollowUp) -> ThreadRef | None:
    if isinstance(thing, CodeTask):
        return tx.threads.get(thing.thread_id).ref if thing.thread_id is not None else None
    if not thing.platform:
        return None
    return ThreadRef(platform=thing.platform, workspace_id=thing.workspace_id, channel_id=thing.channel_id)


def _channel(place: ThreadRef) -> tuple[str, str, str]:
    return place.platform, place.workspace_id, place.channel_id
