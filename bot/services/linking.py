"""Several accounts of one person: an admin links them, and from then on they count as one where something is decided.

Their highest role holds, what one account filed belongs to all of them, and they count once where people are counted.
"""

from dataclasses import dataclass

from bot.core.inbound import Person
from bot.core.people import CONSOLE, TOKEN
from bot.core.quoting import code_span
from bot.services.people import find_account, with_links
from bot.services.refusals import Refused
from bot.services.tasks import actor_of
from bot.store import Transaction


@dataclass(frozen=True, slots=True)
class Linked:
    """The person with all their accounts. `fresh` is false when they were linked before."""

    person: Person
    fresh: bool = True


def link_accounts(tx: Transaction, one: str, other: str, by: Person) -> Linked | Refused:
    """Says that two accounts (`platform:workspace:id`) are the same person's, with all that either was linked to."""
    first, second = _account(tx, one), _account(tx, other)
    if isinstance(first, Refused):
        return first
    if isinstance(second, Refused):
        return second
    if first.account == second.account:
        return Refused("refused.same_account", {"account": first.account})
    before = {account: sorted(tx.people.linked(whose)) for account, whose in ((one, first), (other, second))}
    fresh = tx.people.link(first, second)
    if fresh:
        tx.people.audit(actor_of(by), "person.link", first.account, {"with": second.account, "before": before})
    return Linked(with_links(tx, first), fresh)


def unlink_account(tx: Transaction, account: str, by: Person) -> Refused | None:
    """Takes an account out of its person: it stands for itself from then on. None when that was done."""
    person = _account(tx, account)
    if isinstance(person, Refused):
        return person
    before = sorted(tx.people.linked(person))
    if not tx.people.unlink(person):
        return Refused("refused.not_linked", {"account": person.account}, "not_found")
    tx.people.audit(actor_of(by), "person.unlink", person.account, {"before": before})
    return None


def _account(tx: Transaction, account: str) -> Person | Refused:
    """Someone who has been seen. Only people have accounts to link: no bot, no token, not the console."""
    person = find_account(tx, account)
    if account.partition(":")[0] in (CONSOLE, TOKEN) or (person is not None and person.kind in ("bot", "webhook")):
        return Refused("refused.unlinkable", {"account": account})
    return person or Refused(
        "refused.unknown_account", {"account": account, "whoami": code_span("whoami")}, "not_found"
    )
