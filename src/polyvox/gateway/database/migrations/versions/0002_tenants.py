"""The tables of the room ``tenants``: organisations, teams, keys, end users, keys of providers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    _documents("organisations", "name")
    _documents("teams", "organisation", "name")
    _documents("end_users", "organisation", "name")
    _documents("provider_keys", "name")
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("team", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
    )
    op.create_index("ix_keys_organisation_team", "keys", ["organisation", "team"])
    op.create_index("ix_keys_version", "keys", ["version"])
    op.create_table(
        "key_secrets",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("until", sa.Double),
        sa.PrimaryKeyConstraint("digest", name="pk_key_secrets"),
    )
    op.create_index("ix_key_secrets_key", "key_secrets", ["key"])


def _documents(table: str, *key: str) -> None:
    op.create_table(
        table,
        *(sa.Column(name, sa.Text, nullable=False) for name in key),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint(*key, name=f"pk_{table}"),
    )
