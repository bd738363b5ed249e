"""Of calls the id of the request that they came with, and why they failed."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add them."""
    op.add_column("calls", sa.Column("request_id", sa.Text()))
    op.add_column("calls", sa.Column("reason", sa.Text()))
    op.add_column("attempts", sa.Column("reason", sa.Text()))
    for name, columns, where in (
        ("ix_calls_request_id_at", ["request_id", "at"], "request_id IS NOT NULL"),
        ("ix_calls_failed_at", ["at"], "status != 'ok'"),
    ):
        condition = sa.text(where)
        op.create_index(name, "calls", columns, postgresql_where=condition, sqlite_where=condition)
