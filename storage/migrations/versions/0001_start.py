"""Start."""

import sqlalchemy as sa
from alembic import op

revision = "0001_start"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("scopes", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_token_sha256")),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index("ix_audit_actor", ["actor", "id"], unique=False)
        batch_op.create_index("ix_audit_subject", ["subject", "id"], unique=False)

    op.create_table(
        "channel_setting",
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("platform", "workspace_id", "channel_id", "key", name=op.f("pk_channel_setting")),
    )
    op.create_table(
        "forge_delivery",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forge_delivery")),
    )
    op.create_table(
        "inbound",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("natural_key", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("payload", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("available_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('new', 'done', 'failed')", name=op.f("ck_inbound_state_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound")),
        sa.UniqueConstraint(
            "platform", "workspace_id", "natural_key", name=op.f("uq_inbound_platform_workspace_id_natural_key")
        ),
    )
    with op.batch_alter_table("inbound", schema=None) as batch_op:
        batch_op.create_index("ix_inbound_channel", ["platform", "workspace_id", "channel_id", "sent_at"], unique=False)
        batch_op.create_index(
            "ix_inbound_new",
            ["available_at", "id"],
            unique=False,
            sqlite_where=sa.text("state = 'new'"),
            postgresql_where=sa.text("state = 'new'"),
        )

    op.create_table(
        "lease",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "person",
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("roles", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=True),
        sa.Column("locale", sa.String(), nullable=True),
        sa.Column("last_repo", sa.String(), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("platform", "workspace_id", "id", name=op.f("pk_person")),
    )
    op.create_table(
        "person_link",
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("linked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("platform", "workspace_id", "id", name=op.f("pk_person_link")),
    )
    with op.batch_alter_table("person_link", schema=None) as batch_op:
        batch_op.create_index("ix_person_link_person", ["person"], unique=False)

    op.create_table(
        "person_setting",
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("platform", "person_id", "key", name=op.f("pk_person_setting")),
    )
    op.create_table(
        "rate_gate",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_rate_gate")),
    )
    op.create_table(
        "thread",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("thread_key", sa.String(), nullable=False),
        sa.Column("native", sa.String(), nullable=True),
        sa.Column("url", sa.String(), nullable=True),
        sa.Column("next_seq", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_thread")),
        sa.UniqueConstraint(
            "platform",
            "workspace_id",
            "channel_id",
            "thread_key",
            name=op.f("uq_thread_platform_workspace_id_channel_id_thread_key"),
        ),
    )
    op.create_table(
        "worker",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("sandbox", sa.String(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker")),
    )
    op.create_table(
        "agent_session",
        sa.Column("thread_id", sa.Integer(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("repo", sa.String(), nullable=False),
        sa.Column("summary", sa.String(), nullable=False),
        sa.Column("archive", sa.LargeBinary(), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.id"], name=op.f("fk_agent_session_thread_id")),
        sa.PrimaryKeyConstraint("thread_id", "agent", name=op.f("pk_agent_session")),
    )
    op.create_table(
        "card",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("thread_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=True),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.id"], name=op.f("fk_card_thread_id")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_card")),
    )
    op.create_table(
        "code_task",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("thread_id", sa.Integer(), nullable=True),
        sa.Column("requester_platform", sa.String(), nullable=False),
        sa.Column("requester_workspace", sa.String(), nullable=False),
        sa.Column("requester_id", sa.String(), nullable=False),
        sa.Column("requester_name", sa.String(), nullable=False),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("context", sa.String(), nullable=False),
        sa.Column("repo", sa.String(), nullable=False),
        sa.Column("base", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("dedup_key", sa.String(), nullable=True),
        sa.Column("dedup_hash", sa.String(), nullable=True),
        sa.Column("draft", sa.Boolean(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("failure_reason", sa.String(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("failed_at_stage", sa.String(), nullable=True),
        sa.Column("cancelled_by", sa.String(), nullable=True),
        sa.Column("merged_by", sa.String(), nullable=True),
        sa.Column("instruction", sa.String(), nullable=True),
        sa.Column("branch", sa.String(), nullable=True),
        sa.Column("pr_url", sa.String(), nullable=True),
        sa.Column("pr_number", sa.Integer(), nullable=True),
        sa.Column("pr_draft", sa.Boolean(), nullable=False),
        sa.Column("pushed_sha", sa.String(), nullable=True),
        sa.Column("pushing_sha", sa.String(), nullable=True),
        sa.Column("base_sha", sa.String(), nullable=True),
        sa.Column("insertions", sa.Integer(), nullable=True),
        sa.Column("deletions", sa.Integer(), nullable=True),
        sa.Column("tests_passed", sa.Boolean(), nullable=True),
        sa.Column("test_summary", sa.String(), nullable=True),
        sa.Column("test_exit_code", sa.Integer(), nullable=True),
        sa.Column("test_seconds", sa.Float(), nullable=True),
        sa.Column("test_tail", sa.String(), nullable=True),
        sa.Column("cost_usd", sa.Float(), nullable=True),
        sa.Column("tokens", sa.Integer(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("testing_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("review_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(stage = 'failed') = (failure_reason IS NOT NULL)", name=op.f("ck_code_task_failed_has_reason")
        ),
        sa.CheckConstraint(
            "failed_at_stage IN ('queued', 'running', 'testing', 'review', 'merged', 'failed')",
            name=op.f("ck_code_task_failed_at_stage_known"),
        ),
        sa.CheckConstraint(
            "failure_reason IN ('cancelled', 'no_changes', 'agent_failed', 'timed_out', 'tests_failed', 'push_failed', 'pr_closed', 'worker_lost', 'refused', 'budget', 'config')",
            name=op.f("ck_code_task_failure_reason_known"),
        ),
        sa.CheckConstraint(
            "stage IN ('queued', 'running', 'testing', 'review', 'merged', 'failed')",
            name=op.f("ck_code_task_stage_known"),
        ),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.id"], name=op.f("fk_code_task_thread_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_code_task")),
        sa.UniqueConstraint(
            "requester_platform",
            "requester_workspace",
            "requester_id",
            "name",
            name=op.f("uq_code_task_requester_platform_requester_workspace_requester_id_name"),
        ),
        sa.UniqueConstraint("uuid", name=op.f("uq_code_task_uuid")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("code_task", schema=None) as batch_op:
        batch_op.create_index(
            "ix_code_task_requester",
            ["requester_platform", "requester_workspace", "requester_id", "created_at"],
            unique=False,
        )
        batch_op.create_index(
            "ix_code_task_review",
            ["repo"],
            unique=False,
            sqlite_where=sa.text("stage = 'review'"),
            postgresql_where=sa.text("stage = 'review'"),
        )
        batch_op.create_index("ix_code_task_stage", ["stage", "id"], unique=False)
        batch_op.create_index("ix_code_task_thread_id", ["thread_id"], unique=False)
        batch_op.create_index("ux_code_task_dedup_key", ["dedup_key"], unique=True)

    op.create_table(
        "follow_up",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("channel_name", sa.String(), nullable=False),
        sa.Column("thread_id", sa.Integer(), nullable=True),
        sa.Column("anchored", sa.Boolean(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("failure_reason", sa.String(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("if_missed", sa.String(), nullable=False),
        sa.Column("if_busy", sa.String(), nullable=False),
        sa.Column("requester_platform", sa.String(), nullable=False),
        sa.Column("requester_workspace", sa.String(), nullable=False),
        sa.Column("requester_id", sa.String(), nullable=False),
        sa.Column("requester_name", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("by_agent", sa.Boolean(), nullable=False),
        sa.Column("origin_run_id", sa.Integer(), nullable=True),
        sa.Column("chain_depth", sa.Integer(), nullable=False),
        sa.Column("dedup_key", sa.String(), nullable=True),
        sa.Column("dedup_hash", sa.String(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("late_seconds", sa.Integer(), nullable=True),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("triggered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'failed') = (failure_reason IS NOT NULL)", name=op.f("ck_follow_up_failed_has_reason")
        ),
        sa.CheckConstraint(
            "failure_reason IN ('missed', 'agent_failed', 'timed_out', 'worker_lost', 'busy', 'refused', 'config', 'undeliverable')",
            name=op.f("ck_follow_up_failure_reason_known"),
        ),
        sa.CheckConstraint("if_busy IN ('queue', 'skip')", name=op.f("ck_follow_up_if_busy_known")),
        sa.CheckConstraint("if_missed IN ('run', 'skip')", name=op.f("ck_follow_up_if_missed_known")),
        sa.CheckConstraint("kind IN ('agent', 'message')", name=op.f("ck_follow_up_kind_known")),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'success', 'failed', 'cancelled')", name=op.f("ck_follow_up_state_known")
        ),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.id"], name=op.f("fk_follow_up_thread_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_follow_up")),
        sa.UniqueConstraint("uuid", name=op.f("uq_follow_up_uuid")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("follow_up", schema=None) as batch_op:
        batch_op.create_index(
            "ix_follow_up_due",
            ["due_at", "id"],
            unique=False,
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )
        batch_op.create_index(
            "ix_follow_up_origin",
            ["origin_run_id"],
            unique=False,
            sqlite_where=sa.text("origin_run_id IS NOT NULL"),
            postgresql_where=sa.text("origin_run_id IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_follow_up_quota",
            ["requester_platform", "requester_workspace", "requester_id"],
            unique=False,
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )
        batch_op.create_index(
            "ix_follow_up_requester", ["requester_platform", "requester_workspace", "requester_id", "id"], unique=False
        )
        batch_op.create_index("ix_follow_up_thread_id", ["thread_id"], unique=False)
        batch_op.create_index("ux_follow_up_dedup_key", ["dedup_key"], unique=True)

    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("thread_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("dedup_key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("gate", sa.String(), nullable=False),
        sa.Column("card_key", sa.String(), nullable=True),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("available_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("platform_message_id", sa.String(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'sending') = (lease_until IS NOT NULL)", name=op.f("ck_outbox_lease_iff_sending")),
        sa.CheckConstraint("kind IN ('post', 'edit', 'react', 'whisper')", name=op.f("ck_outbox_kind_known")),
        sa.CheckConstraint(
            "state IN ('pending', 'sending', 'sent', 'dead', 'superseded', 'unknown')",
            name=op.f("ck_outbox_state_known"),
        ),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.id"], name=op.f("fk_outbox_thread_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("dedup_key", name=op.f("uq_outbox_dedup_key")),
        sa.UniqueConstraint("thread_id", "seq", name=op.f("uq_outbox_thread_id_seq")),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index(
            "ix_outbox_card_edit",
            ["card_key"],
            unique=False,
            sqlite_where=sa.text("state = 'pending' AND kind = 'edit'"),
            postgresql_where=sa.text("state = 'pending' AND kind = 'edit'"),
        )
        batch_op.create_index(
            "ix_outbox_lane",
            ["thread_id", "seq"],
            unique=False,
            sqlite_where=sa.text("state IN ('pending', 'sending', 'unknown')"),
            postgresql_where=sa.text("state IN ('pending', 'sending', 'unknown')"),
        )
        batch_op.create_index(
            "ix_outbox_lease",
            ["lease_until"],
            unique=False,
            sqlite_where=sa.text("state = 'sending'"),
            postgresql_where=sa.text("state = 'sending'"),
        )
        batch_op.create_index(
            "ix_outbox_ready",
            ["available_at", "id"],
            unique=False,
            sqlite_where=sa.text("state IN ('pending', 'unknown')"),
            postgresql_where=sa.text("state IN ('pending', 'unknown')"),
        )
        batch_op.create_index(
            "ux_outbox_sending",
            ["thread_id"],
            unique=True,
            sqlite_where=sa.text("state = 'sending'"),
            postgresql_where=sa.text("state = 'sending'"),
        )

    op.create_table(
        "suggestion",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("root", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("author_id", sa.String(), nullable=False),
        sa.Column("author_name", sa.String(), nullable=False),
        sa.Column("author_kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("judge", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("text_hash", sa.String(), nullable=False),
        sa.Column("seen_hash", sa.String(), nullable=False),
        sa.Column("evidence", sa.String(), nullable=False),
        sa.Column("question", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("repo", sa.String(), nullable=True),
        sa.Column("guard", sa.String(), nullable=False),
        sa.Column("similar", sa.String(), nullable=False),
        sa.Column("likely_same", sa.Boolean(), nullable=False),
        sa.Column("edited", sa.String(), nullable=False),
        sa.Column("told_hash", sa.String(), nullable=False),
        sa.Column("hidden", sa.Integer(), nullable=False),
        sa.Column("thread_id", sa.Integer(), nullable=True),
        sa.Column("code_task_id", sa.Integer(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shown_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state IN ('filed', 'same')) <= (code_task_id IS NOT NULL)",
            name=op.f("ck_suggestion_filed_names_its_task"),
        ),
        sa.CheckConstraint(
            "kind IN ('feature_request', 'bug_report', 'question', 'in_progress', 'chatter')",
            name=op.f("ck_suggestion_kind_known"),
        ),
        sa.CheckConstraint("mode IN ('off', 'observe', 'suggest', 'auto')", name=op.f("ck_suggestion_mode_known")),
        sa.CheckConstraint(
            "state IN ('waiting', 'skipped', 'open', 'filed', 'same', 'dismissed', 'expired', 'removed')",
            name=op.f("ck_suggestion_state_known"),
        ),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.id"], name=op.f("fk_suggestion_thread_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suggestion")),
        sa.UniqueConstraint(
            "platform",
            "workspace_id",
            "channel_id",
            "message_id",
            name=op.f("uq_suggestion_platform_workspace_id_channel_id_message_id"),
        ),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("suggestion", schema=None) as batch_op:
        batch_op.create_index(
            "ix_suggestion_channel", ["platform", "workspace_id", "channel_id", "created_at"], unique=False
        )
        batch_op.create_index("ix_suggestion_code_task_id", ["code_task_id"], unique=False)
        batch_op.create_index(
            "ix_suggestion_due",
            ["due_at", "id"],
            unique=False,
            sqlite_where=sa.text("state = 'waiting'"),
            postgresql_where=sa.text("state = 'waiting'"),
        )
        batch_op.create_index(
            "ix_suggestion_open",
            ["updated_at"],
            unique=False,
            sqlite_where=sa.text("state = 'open'"),
            postgresql_where=sa.text("state = 'open'"),
        )
        batch_op.create_index(
            "ix_suggestion_shown",
            ["shown_at"],
            unique=False,
            sqlite_where=sa.text("shown_at IS NOT NULL"),
            postgresql_where=sa.text("shown_at IS NOT NULL"),
        )
        batch_op.create_index("ix_suggestion_state", ["state", "id"], unique=False)
        batch_op.create_index(
            "ux_suggestion_collecting",
            ["platform", "workspace_id", "channel_id", "root", "author_id"],
            unique=True,
            sqlite_where=sa.text("state = 'waiting' AND NOT closed"),
            postgresql_where=sa.text("state = 'waiting' AND NOT closed"),
        )

    op.create_table(
        "asker",
        sa.Column("code_task_id", sa.Integer(), nullable=False),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["code_task_id"], ["code_task.id"], name=op.f("fk_asker_code_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("code_task_id", "platform", "workspace_id", "person_id", name=op.f("pk_asker")),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("code_task_id", sa.Integer(), nullable=True),
        sa.Column("follow_up_id", sa.Integer(), nullable=True),
        sa.Column("thread_id", sa.Integer(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("run_state", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("available_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("repo_key", sa.String(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=True),
        sa.Column("session_key", sa.String(), nullable=True),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("workspace", sa.String(), nullable=True),
        sa.Column("host", sa.String(), nullable=True),
        sa.Column("sandbox", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("cost_usd", sa.Float(), nullable=True),
        sa.Column("reported_usd", sa.Float(), nullable=True),
        sa.Column("tokens", sa.Integer(), nullable=True),
        sa.Column("counts_attempt", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("log_bytes", sa.Integer(), nullable=False),
        sa.CheckConstraint("(kind = 'code_task') = (code_task_id IS NOT NULL)", name=op.f("ck_run_of_one_code_task")),
        sa.CheckConstraint("(kind = 'follow_up') = (follow_up_id IS NOT NULL)", name=op.f("ck_run_of_one_follow_up")),
        sa.CheckConstraint("(state = 'active') = (lease_until IS NOT NULL)", name=op.f("ck_run_lease_iff_active")),
        sa.CheckConstraint("kind IN ('code_task', 'follow_up')", name=op.f("ck_run_kind_known")),
        sa.CheckConstraint(
            "run_state IN ('working', 'waiting_for_input', 'idle', 'complete', 'failed')",
            name=op.f("ck_run_run_state_known"),
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'active', 'waiting', 'done', 'failed', 'lost', 'cancelled')",
            name=op.f("ck_run_state_known"),
        ),
        sa.ForeignKeyConstraint(["code_task_id"], ["code_task.id"], name=op.f("fk_run_code_task_id")),
        sa.ForeignKeyConstraint(["follow_up_id"], ["follow_up.id"], name=op.f("fk_run_follow_up_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.create_index(
            "ix_run_lease",
            ["lease_until"],
            unique=False,
            sqlite_where=sa.text("state = 'active'"),
            postgresql_where=sa.text("state = 'active'"),
        )
        batch_op.create_index(
            "ix_run_ready",
            ["kind", "priority", "available_at", "id"],
            unique=False,
            sqlite_where=sa.text("state = 'queued'"),
            postgresql_where=sa.text("state = 'queued'"),
        )
        batch_op.create_index("ix_run_thread", ["thread_id", "finished_at"], unique=False)
        batch_op.create_index(
            "ix_run_waiting",
            ["available_at"],
            unique=False,
            sqlite_where=sa.text("state = 'queued'"),
            postgresql_where=sa.text("state = 'queued'"),
        )
        batch_op.create_index(
            "ux_run_attempt",
            ["code_task_id", "attempt"],
            unique=True,
            sqlite_where=sa.text("code_task_id IS NOT NULL"),
            postgresql_where=sa.text("code_task_id IS NOT NULL"),
        )
        batch_op.create_index(
            "ux_run_follow_up",
            ["follow_up_id"],
            unique=True,
            sqlite_where=sa.text("follow_up_id IS NOT NULL AND state IN ('queued', 'active', 'waiting')"),
            postgresql_where=sa.text("follow_up_id IS NOT NULL AND state IN ('queued', 'active', 'waiting')"),
        )
        batch_op.create_index(
            "ux_run_follow_up_attempt",
            ["follow_up_id", "attempt"],
            unique=True,
            sqlite_where=sa.text("follow_up_id IS NOT NULL"),
            postgresql_where=sa.text("follow_up_id IS NOT NULL"),
        )
        batch_op.create_index(
            "ux_run_open",
            ["code_task_id"],
            unique=True,
            sqlite_where=sa.text("code_task_id IS NOT NULL AND state IN ('queued', 'active', 'waiting')"),
            postgresql_where=sa.text("code_task_id IS NOT NULL AND state IN ('queued', 'active', 'waiting')"),
        )
        batch_op.create_index(
            "ux_run_session",
            ["session_key"],
            unique=True,
            sqlite_where=sa.text("state = 'active'"),
            postgresql_where=sa.text("state = 'active'"),
        )
        batch_op.create_index(
            "ux_run_slot",
            ["repo_key", "slot"],
            unique=True,
            sqlite_where=sa.text("state = 'active'"),
            postgresql_where=sa.text("state = 'active'"),
        )

    op.create_table(
        "subscription",
        sa.Column("code_task_id", sa.Integer(), nullable=False),
        sa.Column("thread_id", sa.Integer(), nullable=False),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("suggestion_id", sa.Integer(), nullable=True),
        sa.Column("from_task_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["code_task_id"], ["code_task.id"], name=op.f("fk_subscription_code_task_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.id"], name=op.f("fk_subscription_thread_id")),
        sa.PrimaryKeyConstraint("code_task_id", "thread_id", name=op.f("pk_subscription")),
    )
    with op.batch_alter_table("subscription", schema=None) as batch_op:
        batch_op.create_index("ix_subscription_thread_id", ["thread_id"], unique=False)

    op.create_table(
        "suggestion_member",
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("suggestion_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["suggestion_id"], ["suggestion.id"], name=op.f("fk_suggestion_member_suggestion_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "platform", "workspace_id", "channel_id", "message_id", name=op.f("pk_suggestion_member")
        ),
    )
    with op.batch_alter_table("suggestion_member", schema=None) as batch_op:
        batch_op.create_index("ix_suggestion_member_suggestion_id", ["suggestion_id", "position"], unique=False)

    op.create_table(
        "task_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("code_task_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("from_stage", sa.String(), nullable=True),
        sa.Column("to_stage", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "from_stage IN ('queued', 'running', 'testing', 'review', 'merged', 'failed')",
            name=op.f("ck_task_event_from_stage_known"),
        ),
        sa.CheckConstraint(
            "to_stage IN ('queued', 'running', 'testing', 'review', 'merged', 'failed')",
            name=op.f("ck_task_event_to_stage_known"),
        ),
        sa.ForeignKeyConstraint(["code_task_id"], ["code_task.id"], name=op.f("fk_task_event_code_task_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_event")),
        sa.UniqueConstraint("code_task_id", "seq", name=op.f("uq_task_event_code_task_id_seq")),
    )
    op.create_table(
        "approval",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("base_sha", sa.String(), nullable=False),
        sa.Column("tree_sha", sa.String(), nullable=False),
        sa.Column("sha", sa.String(), nullable=False),
        sa.Column("reasons", sa.String(), nullable=False),
        sa.Column("facts", sa.String(), nullable=False),
        sa.Column("bundle", sa.LargeBinary(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("verdict IN ('open', 'approved', 'refused')", name=op.f("ck_approval_verdict_known")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_approval_run_id")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_approval")),
    )
    op.create_table(
        "question",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("thread_id", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(length=1000), nullable=False),
        sa.Column("choices", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=True),
        sa.Column("answered_by", sa.String(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_question_run_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.id"], name=op.f("fk_question_thread_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_question")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("question", schema=None) as batch_op:
        batch_op.create_index("ix_question_run_id", ["run_id", "id"], unique=False)
        batch_op.create_index(
            "ix_question_thread_id",
            ["thread_id"],
            unique=False,
            sqlite_where=sa.text("answered_at IS NULL"),
            postgresql_where=sa.text("answered_at IS NULL"),
        )
        batch_op.create_index(
            "ux_question_open",
            ["run_id"],
            unique=True,
            sqlite_where=sa.text("answered_at IS NULL"),
            postgresql_where=sa.text("answered_at IS NULL"),
        )

    op.create_table(
        "run_log",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.CheckConstraint("type IN ('input', 'output', 'event')", name=op.f("ck_run_log_type_known")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_log_run_id")),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_run_log")),
    )


def downgrade() -> None:
    raise RuntimeError("there is no downgrade: restore a backup from before the upgrade")
