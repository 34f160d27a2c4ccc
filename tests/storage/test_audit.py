"""The chain of the audit trail, checked page by page: the trail may be longer than memory."""

import pytest
import sqlalchemy as sa

from bot.store import AuditFilter
from storage import audit
from storage.engine import Database
from storage.transaction import Tx

PAGE = 3


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "PAGE", PAGE)


def write(tx: Tx, count: int) -> None:
    for number in range(count):
        tx.people.audit("slack:U1", "cancel", f"CT-{number}", {})


@pytest.mark.parametrize("count", [0, 1, PAGE, PAGE + 1, 2 * PAGE])
async def test_a_whole_chain_is_whole_wherever_its_pages_end(store: Database, count: int) -> None:
    await store.run(lambda tx: write(tx, count))
    assert await store.run(lambda tx: tx.people.audit_broken_at(), read=True) is None


async def test_the_first_broken_entry_is_found_on_every_page_with_few_entries_in_memory(store: Database) -> None:
    await store.run(lambda tx: write(tx, 2 * PAGE + 1))
    entries = await store.run(lambda tx: tx.people.audit_entries(AuditFilter()), read=True)
    fetched: list[int] = []

    def look(tx: Tx) -> int | None:
        def note(_connection: object, cursor: object, statement: str, *_: object) -> None:
            fetched.append(statement.count("LIMIT"))

        connection = tx.session.connection()
        sa.event.listen(connection, "after_cursor_execute", note)
        try:
            return tx.people.audit_broken_at()
        finally:
            sa.event.remove(connection, "after_cursor_execute", note)

    for entry in entries:  # the newest first, so that the one changed last is the first that is broken
        forged = sa.text("UPDATE audit SET actor = 'slack:U9' WHERE id = :id").bindparams(id=entry.id)
        await store.run(lambda tx, forged=forged: tx.session.execute(forged))
        assert await store.run(look, read=True) == entry.id
    assert fetched and set(fetched) == {1}, "no statement reads the whole trail"
