"""Named leases: one owner at a time, by the database's clock."""

from datetime import timedelta
from typing import TYPE_CHECKING

from storage.models import LeaseRow

if TYPE_CHECKING:
    from storage.transaction import Tx

RENEW = "UPDATE lease SET until = :until WHERE name = :name AND owner = :owner"
TAKE_OVER = "UPDATE lease SET owner = :owner, until = :until, fence = fence + 1 WHERE name = :name AND until <= :now"
END = "UPDATE lease SET until = :now WHERE name = :name AND owner = :owner AND until > :now"


class Leases:
    """See `bot.store.LeaseQueries`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx

    def hold(self, name: str, owner: str, ttl: timedelta) -> bool:
        now = self._tx.now
        mine = {"name": name, "owner": owner, "until": now + ttl}
        return bool(
            self._tx.affected(RENEW, **mine)
            or self._tx.affected(TAKE_OVER, **mine, now=now)
            or self._tx.insert_new(LeaseRow, {**mine, "fence": 1})
        )

    def release(self, name: str, owner: str) -> None:
        self._tx.affected(END, name=name, owner=owner, now=self._tx.now)
