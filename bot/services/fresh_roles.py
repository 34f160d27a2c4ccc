"""What platforms say of people right before something is done in their name, so that whoever lost a role is refused."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import structlog

from bot.core.inbound import Person
from bot.ports import Platform, Retry
from bot.services.loops import short_ref
from bot.store import Store

log = structlog.get_logger(__name__)

BUDGET_SECONDS: Final = 2.0
"""How long all who are asked for at once may take; P25 allows a follow-up 10 s."""
LIFE_SECONDS: Final = 60.0
"""How long an answer counts; adapters remember theirs for ten minutes."""
REST_SECONDS: Final = 60.0
"""How long a platform is not asked again that did not answer within the budget."""
AT_ONCE: Final = 8
KEPT: Final = 5000
Who = tuple[str, str, str]


@dataclass(slots=True)
class FreshRoles:
    """Asks for each person once in a while. Where a platform does not answer, what it told last counts."""

    store: Store
    platforms: Mapping[str, Platform]
    budget: float = BUDGET_SECONDS
    _told: dict[Who, tuple[float, Person | None]] = field(default_factory=dict[Who, tuple[float, Person | None]])
    _resting: dict[str, float] = field(default_factory=dict[str, float])

    def unasked(self, people: Iterable[Person]) -> dict[Who, Person]:
        """Those of these people who should be asked for now, each once. Nobody who is known by a token alone, or of a
        platform that this process does not serve."""
        if not self.platforms:
            return {}
        now = monotonic()
        wanted = {who_of(one): one for one in people if one.platform in self.platforms}
        return {who: one for who, one in wanted.items() if not self._is_settled(who, now)}

    def of(self, person: Person) -> Person:
        """The person as the platform told lately, else as given."""
        until, told = self._told.get(who_of(person), (0.0, None))
        return told if told is not None and until > monotonic() else person

    async def ask(self, people: Mapping[Who, Person]) -> None:
        """Asks for these people and remembers, also in the store, what changed. Returns within the budget."""
        room = asyncio.Semaphore(AT_ONCE)
        asked = {asyncio.create_task(self._resolve(one, room)): (who, one) for who, one in people.items()}
        _, late = await asyncio.wait(asked, timeout=self.budget)
        for task in late:
            task.cancel()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        until = monotonic() + LIFE_SECONDS
        changed: list[Person] = []
        for answer, (who, given) in zip(answers, asked.values(), strict=True):
            told = answer if isinstance(answer, Person) else None
            self._told.pop(who, None)
            self._told[who] = (until, told)
            if told is not None and (told.roles, told.kind) != (given.roles, given.kind):
                changed.append(told)
        self._told = dict(list(self._told.items())[-KEPT:])
        for slow in {asked[task][1].platform for task in late}:
            log.warning("roles_not_told", platform=slow)
            self._resting[slow] = monotonic() + REST_SECONDS
        if changed:
            await self.store.run(lambda tx: [tx.people.see(one) for one in changed])

    async def _resolve(self, person: Person, room: asyncio.Semaphore) -> Person | Retry | None:
        async with room:
            try:
                return await self.platforms[person.platform].resolve(person)
            except Exception:
                log.exception("roles_failed", platform=person.platform, ref=short_ref())
                return None

    def _is_settled(self, who: Who, now: float) -> bool:
        return self._resting.get(who[0], 0.0) > now or self._told.get(who, (0.0, None))[0] > now


def who_of(person: Person) -> Who:
    """What makes this person one: platform, workspace, id."""
    return (person.platform, person.workspace_id, person.id)
