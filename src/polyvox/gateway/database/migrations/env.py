"""Runs migrations on the connection that ``migrating`` gives, in its transaction."""

from alembic import context

from polyvox.gateway.database.metadata import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
