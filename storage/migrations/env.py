"""Alembic's entry: migrates the connection that `storage.schema` hands in (there is no other way to run it)."""

from alembic import context

from storage.models import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    compare_type=True,
    transaction_per_migration=False,
    render_item=context.config.attributes.get("render_item"),
)
context.run_migrations()
