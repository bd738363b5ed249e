"""The tables of conversations."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from polyvox.gateway.database.metadata import METADATA, PlainText

__all__ = ["context_messages", "contexts"]

contexts = Table(
    "contexts",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", PlainText, nullable=False),
    Column("name", PlainText, nullable=False),
    Column("title", PlainText, nullable=False),
    Column("about", Text, nullable=False),
    Column("summary", PlainText, nullable=False),
    Column("summarised", Integer, nullable=False),
    Column("parent", Text, nullable=False),
    Column("messages", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created", Double, nullable=False),
    Column("used", Double, nullable=False),
    Column("lease_holder", Text, nullable=False),
    Column("lease_until", Double, nullable=False),
    UniqueConstraint("organisation", "name"),
)
"""A conversation. ``about`` is what its owner says of it, as JSON. Messages are only ever added: what
stands at a place stays. ``summary`` stands for the first ``summarised`` of them. ``version`` grows with
every change. ``lease_holder`` writes to it until ``lease_until``."""

Index("ix_contexts_used_id", contexts.c.used, contexts.c.id)

context_messages = Table(
    "context_messages",
    METADATA,
    Column(
        "number",
        BigInteger().with_variant(Integer, "sqlite"),  # only INTEGER keys count up in SQLite
        primary_key=True,
        autoincrement=True,
    ),
    Column("context", Text, ForeignKey("contexts.id"), nullable=False),
    Column("place", Integer, nullable=False),
    Column("created", Double, nullable=False),
    Column("message", Text, nullable=False),
    Column("folded", PlainText, nullable=False),
    UniqueConstraint("context", "place"),
)
"""What was said, as JSON; ``folded`` is its text without upper case, to be searched."""
