"""Retention: what is forgotten once it is old. Message keys stay for good, so that nothing is ever filed twice."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from bot.core.tasks import Stage
from storage.models import (
    ApprovalRow,
    CardRow,
    CodeTaskRow,
    ForgeDeliveryRow,
    InboundRow,
    OutboxRow,
    RateGateRow,
    RunLogRow,
    RunRow,
    TaskEventRow,
)


def prune(session: Session, before: datetime) -> dict[str, int]:
    """Empties the payloads of handled events and removes deliveries and finished code tasks of before that instant."""
    tasks = select(CodeTaskRow.id).where(
        col(CodeTaskRow.stage).in_((Stage.MERGED, Stage.FAILED)), col(CodeTaskRow.finished_at) < before
    )
    runs = select(RunRow.id).where(col(RunRow.code_task_id).in_(tasks))
    ref = sa.literal("CT-", sa.String()) + sa.cast(CodeTaskRow.id, sa.String)
    refs = select(ref).where(col(CodeTaskRow.id).in_(tasks))
    statements = {
        "payloads": sa.update(InboundRow)
        .where(sa.text("state != 'new'"), col(InboundRow.received_at) < before, InboundRow.payload != "")
        .values(payload=""),
        "deliveries": sa.delete(OutboxRow).where(
            sa.text("state IN ('sent', 'dead', 'superseded')"), col(OutboxRow.created_at) < before
        ),
        "gates": sa.delete(RateGateRow).where(col(RateGateRow.blocked_until) < before),
        "forge_deliveries": sa.delete(ForgeDeliveryRow).where(col(ForgeDeliveryRow.received_at) < before),
        "logs": sa.delete(RunLogRow).where(col(RunLogRow.run_id).in_(runs)),
        "cards": sa.delete(CardRow).where(col(CardRow.key).in_(refs)),
        "approvals": sa.delete(ApprovalRow).where(col(ApprovalRow.run_id).in_(runs)),
        "runs": sa.delete(RunRow).where(col(RunRow.code_task_id).in_(tasks)),
        "events": sa.delete(TaskEventRow).where(col(TaskEventRow.code_task_id).in_(tasks)),
        "code_tasks": sa.delete(CodeTaskRow).where(
            col(CodeTaskRow.stage).in_((Stage.MERGED, Stage.FAILED)), col(CodeTaskRow.finished_at) < before
        ),
    }
    return {name: session.execute(statement).rowcount for name, statement in statements.items()}
