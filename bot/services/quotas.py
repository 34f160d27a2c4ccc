"""How many code tasks one person, and one channel, may file in 24 hours. Admins are not bound: they set the limits."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from bot.core.inbound import Person, ThreadRef
from bot.core.people import Role
from bot.core.texts import Word
from bot.services.people import Rights
from bot.services.refusals import Refused
from bot.store import Transaction

DAY: Final = timedelta(hours=24)


def over_quota(tx: Transaction, rights: Rights, person: Person, channel: ThreadRef | None) -> Refused | None:
    """Why this person may not file one more code task now, None when they may.

    All accounts of the person count together. Two that are filed at the same moment are counted one after the other:
    first the person, then the channel, so that nobody waits in a circle."""
    if rights.role(person) is Role.ADMIN:
        return None
    settings, since = rights.settings, tx.now - DAY
    limit = settings.person_daily_tasks
    actors = sorted({f"{one.platform}:{one.id}" for one in (person, *person.also)})
    own = [at for actor in actors for at in tx.tasks.filed_by(actor, since, max(limit, 1)) if at > since]
    if len(own) >= limit:
        return _refused(rights, "refused.person_quota", limit, own, tx.now)
    if channel is None:
        return None
    limit = settings.channel_daily_tasks
    place = (channel.platform, channel.workspace_id, channel.channel_id)
    there = [at for at in tx.tasks.filed_in(place, since, max(limit, 1)) if at > since]
    return _refused(rights, "refused.channel_quota", limit, there, tx.now) if len(there) >= limit else None


def _refused(rights: Rights, key: str, limit: int, filed: Sequence[datetime], now: datetime) -> Refused:
    if limit == 0:
        return rights.with_admins(f"{key}_none", {}, "state")
    free_at = sorted(filed, reverse=True)[limit - 1] + DAY
    return rights.with_admins(key, {"n": limit, "time": _until(free_at - now)}, "state")


def _until(wait: timedelta) -> Word:
    """A wait in whole minutes or hours, never too short."""
    minutes = max(1, -(-int(wait.total_seconds()) // 60))
    if minutes < 60:
        return Word("duration.minutes", {"n": minutes})
    return Word("duration.hours", {"n": -(-minutes // 60)})
