"""The tables of the ledger: what was asked, of whom, what it cost, and how far it was written down."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    text,
)

from polyvox.gateway.database.metadata import METADATA, JsonValue, Nanos, PlainText

__all__ = ["attempts", "balances", "calls", "journals", "versions"]

_EMPTY = text("''")
_NONE = text("0")
_NO = text("false")

calls = Table(
    "calls",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("model", PlainText, nullable=False),
    Column("key", Text, nullable=False, server_default=_EMPTY),
    Column("organisation", Text, nullable=False, server_default=_EMPTY),
    Column("team", Text, nullable=False, server_default=_EMPTY),
    Column("end_user", PlainText, nullable=False, server_default=_EMPTY),
    Column("kind", Text, nullable=False, server_default="answer"),
    Column("dialect", Text, nullable=False, server_default=_EMPTY),
    Column("session", PlainText),
    Column("context", PlainText),
    Column("prompt", PlainText),
    Column("tags", JsonValue, nullable=False, server_default="{}"),
    Column("request_id", PlainText),
    Column("status", Text, nullable=False),
    Column("reason", PlainText),
    Column("partial", Boolean, nullable=False, server_default=_NO),
    Column("cached", Boolean, nullable=False, server_default=_NO),
    Column("seconds", Double, nullable=False, server_default=_NONE),
    Column("first_token", Double),
    Column("overhead", Double),
    Column("nanos", Nanos, nullable=False, server_default=_NONE),
    Column("cost_status", Text, nullable=False),
    Column("input_tokens", BigInteger, nullable=False, server_default=_NONE),
    Column("output_tokens", BigInteger, nullable=False, server_default=_NONE),
    Column("cache_read_tokens", BigInteger, nullable=False, server_default=_NONE),
    Column("cache_write_tokens", BigInteger, nullable=False, server_default=_NONE),
    Column("reasoning_tokens", BigInteger, nullable=False, server_default=_NONE),
)
"""One row per call that is over. ``at`` is seconds since the epoch; ``status`` "ok", the kind of the error,
or "unsettled" for a call that was cut off with its process; ``request_id`` is that of the caller's request,
in ``attempts`` the provider's. Money and tokens are the sums of its attempts;
``cost_status`` is "known", "free" or "unknown", and then ``nanos`` is a lower bound."""

Index("ix_calls_at", calls.c.at)
Index("ix_calls_organisation_at", calls.c.organisation, calls.c.at)
Index("ix_calls_team_at", calls.c.team, calls.c.at)
Index("ix_calls_key_at", calls.c.key, calls.c.at)
Index("ix_calls_model_at", calls.c.model, calls.c.at)
Index(
    "ix_calls_failed_at",
    calls.c.at,
    postgresql_where=calls.c.status != text("'ok'"),
    sqlite_where=calls.c.status != text("'ok'"),
)
for _sparse in (calls.c.session, calls.c.context, calls.c.request_id):
    Index(
        f"ix_calls_{_sparse.name}_at",
        _sparse,
        calls.c.at,
        postgresql_where=_sparse.isnot(None),
        sqlite_where=_sparse.isnot(None),
    )
Index("ix_calls_tags", calls.c.tags, postgresql_using="gin", info={"only_on": "postgresql"}).ddl_if(
    dialect="postgresql"
)

attempts = Table(
    "attempts",
    METADATA,
    Column("call", Text, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("provider", PlainText, nullable=False),
    Column("model", PlainText, nullable=False),
    Column("at", Double, nullable=False),
    Column("seconds", Double, nullable=False, server_default=_NONE),
    Column("first_byte", Double),
    Column("input_tokens", BigInteger, nullable=False, server_default=_NONE),
    Column("output_tokens", BigInteger, nullable=False, server_default=_NONE),
    Column("cache_read_tokens", BigInteger, nullable=False, server_default=_NONE),
    Column("cache_write_tokens", BigInteger, nullable=False, server_default=_NONE),
    Column("cache_write_1h_tokens", BigInteger, nullable=False, server_default=_NONE),
    Column("reasoning_tokens", BigInteger, nullable=False, server_default=_NONE),
    Column("input_audio_tokens", BigInteger, nullable=False, server_default=_NONE),
    Column("output_audio_tokens", BigInteger, nullable=False, server_default=_NONE),
    Column("basis", Text, nullable=False, server_default="missing"),
    Column("nanos", Nanos, nullable=False, server_default=_NONE),
    Column("cost_status", Text, nullable=False),
    Column("cost_source", Text, nullable=False, server_default=_EMPTY),
    Column("error", Text),
    Column("status_code", Integer),
    Column("reason", PlainText),
    Column("request_id", PlainText),
    Column("response_model", PlainText, nullable=False, server_default=_EMPTY),
)
"""Of each call who was asked, in order; the columns are those of ``polyvox.attempt.Attempt``."""

journals = Table(
    "journals",
    METADATA,
    Column("journal", Text, primary_key=True),
    Column("segment", BigInteger, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
)
"""How far each journal has been read; written in the transaction that writes its calls."""

balances = Table(
    "balances",
    METADATA,
    Column("account", PlainText, primary_key=True),
    Column("mark", BigInteger, primary_key=True),
    Column("nanos", Nanos, nullable=False),
    Column("at", Double, nullable=False),
)
"""What each account of a budget has used in the window of its calendar that has this mark (see
``polyvox.limits.meters``), and when that was last added to."""

versions = Table(
    "versions",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
)
"""A number per thing that processes hold in memory; it grows with every change (``bump``)."""
