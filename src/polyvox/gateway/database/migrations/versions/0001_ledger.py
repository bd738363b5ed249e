"""The ledger: calls, attempts, how far the journals were read, balances, versions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_NONE = sa.text("0")
_NO = sa.text("false")


def upgrade() -> None:
    """Make the tables."""
    _calls()
    _attempts()
    op.create_table(
        "journals",
        sa.Column("journal", sa.Text, nullable=False),
        sa.Column("segment", sa.BigInteger, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("journal", name="pk_journals"),
    )
    op.create_table(
        "balances",
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("mark", sa.BigInteger, nullable=False),
        sa.Column("nanos", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("account", "mark", name="pk_balances"),
    )
    op.create_table(
        "versions",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_versions"),
    )


def _calls() -> None:
    tags = sa.JSON().with_variant(JSONB(), "postgresql")
    op.create_table(
        "calls",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        *(_word(name) for name in ("key", "organisation", "team", "end_user")),
        _word("kind", "answer"),
        _word("dialect"),
        *(sa.Column(name, sa.Text) for name in ("session", "context", "prompt")),
        sa.Column("tags", tags, nullable=False, server_default="{}"),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("partial", sa.Boolean, nullable=False, server_default=_NO),
        sa.Column("cached", sa.Boolean, nullable=False, server_default=_NO),
        sa.Column("seconds", sa.Double, nullable=False, server_default=_NONE),
        sa.Column("first_token", sa.Double),
        sa.Column("overhead", sa.Double),
        _number("nanos"),
        sa.Column("cost_status", sa.Text, nullable=False),
        *_numbers("input", "output", "cache_read", "cache_write", "reasoning"),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
    )
    op.create_index("ix_calls_at", "calls", ["at"])
    for name in ("organisation", "team", "key", "model"):
        op.create_index(f"ix_calls_{name}_at", "calls", [name, "at"])
    for name in ("session", "context"):
        there = sa.text(f"{name} IS NOT NULL")
        op.create_index(
            f"ix_calls_{name}_at",
            "calls",
            [name, "at"],
            postgresql_where=there,
            sqlite_where=there,
        )
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("ix_calls_tags", "calls", ["tags"], postgresql_using="gin")


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("call", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False, server_default=_NONE),
        sa.Column("first_byte", sa.Double),
        *_numbers("input", "output", "cache_read", "cache_write", "cache_write_1h"),
        *_numbers("reasoning", "input_audio", "output_audio"),
        _word("basis", "missing"),
        _number("nanos"),
        sa.Column("cost_status", sa.Text, nullable=False),
        _word("cost_source"),
        sa.Column("error", sa.Text),
        sa.Column("status_code", sa.Integer),
        sa.Column("request_id", sa.Text),
        _word("response_model"),
        sa.PrimaryKeyConstraint("call", "number", name="pk_attempts"),
        sa.ForeignKeyConstraint(
            ["call"], ["calls.id"], name="fk_attempts_call", ondelete="CASCADE"
        ),
    )


def _word(name: str, otherwise: str = "") -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False, server_default=otherwise)


def _number(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=_NONE)


def _numbers(*names: str) -> "list[sa.Column[int]]":
    return [_number(f"{name}_tokens") for name in names]
