"""Agent sessions: one agent's conversation in one thread, with the agent's packed state."""

from typing import TYPE_CHECKING

from bot.store import AgentSession
from storage.models import AgentSessionRow

if TYPE_CHECKING:
    from storage.transaction import Tx

LAST_USED = "SELECT agent FROM agent_session WHERE thread_id = :thread_id ORDER BY last_used_at DESC LIMIT 1"


class Sessions:
    """See `bot.store.SessionQueries`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx

    def get(self, thread_id: int, agent: str) -> AgentSession | None:
        where = "thread_id = :thread_id AND agent = :agent"
        row = self._tx.first(AgentSessionRow, where, thread_id=thread_id, agent=agent)
        return AgentSession(**row) if row is not None else None

    def agent_of(self, thread_id: int) -> str | None:
        return self._tx.scalar(LAST_USED, thread_id=thread_id)

    def save(self, session: AgentSession) -> None:
        values: dict[str, object] = {
            "thread_id": session.thread_id,
            "agent": session.agent,
            "ref": session.ref,
            "repo": session.repo,
            "summary": session.summary,
            "archive": session.archive,
            "last_used_at": self._tx.now,
        }
        if self._tx.insert_new(AgentSessionRow, values) is None:
            known = {"thread_id": session.thread_id, "agent": session.agent}
            new = {name: value for name, value in values.items() if name not in known}
            self._tx.change(AgentSessionRow, new, "thread_id = :thread_id AND agent = :agent", **known)

    def forget(self, thread_id: int, agent: str) -> None:
        where = "DELETE FROM agent_session WHERE thread_id = :thread_id AND agent = :agent"
        self._tx.affected(where, thread_id=thread_id, agent=agent)
