"""Alembic's entry point. The connection comes from `schema.upgrade`, which holds the key."""

from alembic import context

from auth_server.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite changes a column by making its table anew.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
