"""Who is asking: bearer tokens, their scopes, and the person each acts for.

A token acts for one person: someone on a platform (roles are asked again at
every request), the console, or nobody else's account, with the one role its admin gave it.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from fastapi import Request

from bot.core.inbound import Person
from bot.core.people import CONSOLE, TOKEN, Role
from bot.services.people import Rights, with_links
from bot.store import Store, Transaction
from bot.web.errors import ApiError
from bot.web.tokens import digest

_BEARER: Final = re.compile(r"[Bb]earer +([\x21-\x7e]{8,200})")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever a request comes from: the person it acts for, what the token allows, and the person's role here."""

    person: Person
    scopes: frozenset[str]
    role: Role | None


def caller_with(scope: str) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency that answers the caller, and refuses one without a live token (401) or without `scope` (403)."""

    async def depend(request: Request) -> Caller:
        found = await find_caller(request.app.state.parts.store, request.app.state.parts.tasks.rights, request)
        if found is None:
            raise ApiError(401)
        if scope not in found.scopes:
            raise ApiError(403, "missing_scope", f"This token lacks the scope {scope}.")
        return found

    return depend


async def find_caller(store: Store, rights: Rights, request: Request) -> Caller | None:
    """Whose token the request carries, None without a live one."""
    given = _BEARER.fullmatch(request.headers.get("authorization", "").strip())
    if given is None:
        return None
    sha256 = digest(given[1])
    return await store.run(lambda tx: _caller(tx, rights, sha256), read=True)


def _caller(tx: Transaction, rights: Rights, sha256: str) -> Caller | None:
    found = tx.people.token(sha256)
    if found is None:
        return None
    key, scopes, role = found
    platform, _, rest = key.partition(":")
    workspace_id, _, person_id = rest.partition(":")
    person = tx.people.find(platform, workspace_id, person_id) if platform not in (CONSOLE, TOKEN) else None
    if person is None:
        roles = frozenset({role}) if platform == TOKEN and role else frozenset[str]()
        person = Person(platform=platform, workspace_id=workspace_id, id=person_id, name=person_id, roles=roles)
    person = with_links(tx, person)
    return Caller(person, scopes, rights.role(person))
