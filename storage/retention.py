"""Retention: what is forgotten once it is old. Message keys stay for good, so that nothing is ever filed twice.

Each kind is one statement that takes a limited number of rows, so that SQLite's only writer is never held for long. The
kinds come in an order in which no row is removed before those that point to it.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Final

from bot.core.suggestions import KEPT
from bot.store import Forgotten

if TYPE_CHECKING:
    from storage.transaction import Tx

ENDED = "stage IN ('merged', 'failed') AND finished_at < :before"
OVER = "state IN ('success', 'failed', 'cancelled') AND completed_at < :before"
RUNS = f"""SELECT id FROM run WHERE code_task_id IN (SELECT id FROM code_task WHERE {ENDED})
        OR follow_up_id IN (SELECT id FROM follow_up WHERE {OVER})"""
UNWANTED = """((state IN ('skipped', 'expired', 'removed') AND updated_at < :undecided)
        OR (state IN ('filed', 'same', 'dismissed') AND updated_at < :before))"""
SUPERSEDED = "state = 'superseded' AND created_at < :before"
UNSENT = "SELECT card_key FROM outbox WHERE state IN ('pending', 'sending', 'unknown') AND card_key IS NOT NULL"
ORPHANED = f"""SELECT key FROM card WHERE key NOT IN ({UNSENT}) EXCEPT SELECT 'CT-' || id FROM code_task
        EXCEPT SELECT 'CT-' || id || '-like' FROM code_task EXCEPT SELECT 'RQ-' || id FROM suggestion"""
STATEMENTS: Final[dict[Forgotten, str]] = {
    "superseded": f"DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE {SUPERSEDED} LIMIT :most)",
    "payloads": """UPDATE inbound SET payload = '' WHERE id IN (
        SELECT id FROM inbound WHERE state <> 'new' AND received_at < :before AND payload <> '' LIMIT :most)""",
    "deliveries": """DELETE FROM outbox WHERE id IN (
        SELECT id FROM outbox WHERE state IN ('sent', 'dead', 'superseded') AND created_at < :before LIMIT :most)""",
    "gates": """DELETE FROM rate_gate WHERE blocked_until < :before AND scope IN (
        SELECT scope FROM rate_gate WHERE blocked_until < :before LIMIT :most)""",
    "forge_deliveries": """DELETE FROM forge_delivery WHERE id IN (
        SELECT id FROM forge_delivery WHERE received_at < :before LIMIT :most)""",
    "logs": f"""DELETE FROM run_log WHERE (run_id, seq) IN (
        SELECT run_id, seq FROM run_log WHERE run_id IN ({RUNS}) LIMIT :most)""",
    "approvals": f"""DELETE FROM approval WHERE run_id IN (
        SELECT run_id FROM approval WHERE run_id IN ({RUNS}) LIMIT :most)""",
    "runs": f"""DELETE FROM run WHERE id IN ({RUNS} LIMIT :most)
        AND NOT EXISTS (SELECT 1 FROM run_log l WHERE l.run_id = run.id)""",
    "events": f"""DELETE FROM task_event WHERE id IN (
        SELECT id FROM task_event WHERE code_task_id IN (SELECT id FROM code_task WHERE {ENDED}) LIMIT :most)""",
    # The stage is looked at again under the row's lock: a retry may have come in between.
    "code_tasks": f"""DELETE FROM code_task WHERE {ENDED} AND id IN (SELECT id FROM code_task WHERE {ENDED} LIMIT :most)
        AND NOT EXISTS (SELECT 1 FROM run r WHERE r.code_task_id = code_task.id)
        AND NOT EXISTS (SELECT 1 FROM task_event e WHERE e.code_task_id = code_task.id)""",
    "follow_ups": f"""DELETE FROM follow_up WHERE {OVER} AND id IN (SELECT id FROM follow_up WHERE {OVER} LIMIT :most)
        AND NOT EXISTS (SELECT 1 FROM run r WHERE r.follow_up_id = follow_up.id)""",
    "sessions": """DELETE FROM agent_session WHERE (thread_id, agent) IN (
        SELECT thread_id, agent FROM agent_session WHERE last_used_at < :before AND NOT EXISTS (
            SELECT 1 FROM follow_up f WHERE f.thread_id = agent_session.thread_id
            AND f.state IN ('pending', 'running')) LIMIT :most)""",
    # Their members go with them; the state is looked at again, as a person may have filed one in between.
    "suggestions": f"""DELETE FROM suggestion WHERE {UNWANTED} AND id IN (
        SELECT id FROM suggestion WHERE {UNWANTED} LIMIT :most)""",
    "cards": f"DELETE FROM card WHERE key IN (SELECT key FROM ({ORPHANED}) orphaned LIMIT :most)",
}


def prune(tx: "Tx", kind: Forgotten, before: datetime, most: int) -> int:
    """Forgets at most `most` rows of one kind that ended before that instant; cards, once their code task is gone;
    suggestions that nobody decided about after `KEPT`, whatever the instant."""
    known = {"before": before, "undecided": tx.now - KEPT}
    bound = {name: instant for name, instant in known.items() if f":{name}" in STATEMENTS[kind]}
    return tx.affected(STATEMENTS[kind], most=most, **bound)
