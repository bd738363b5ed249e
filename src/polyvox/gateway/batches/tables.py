"""The tables of files and batches."""

from sqlalchemy import BigInteger, Column, Double, Index, Integer, Table, Text

from polyvox.gateway.database.metadata import METADATA, JsonValue, PlainText

__all__ = ["batches", "files"]

files = Table(
    "files",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("filename", PlainText, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
)
"""A file; what is in it stands in the data folder, by its id. ``key`` is who made it."""

Index("ix_files_organisation_id", files.c.organisation, files.c.id)
Index("ix_files_expires", files.c.expires)

batches = Table(
    "batches",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("input_file", Text, nullable=False),
    Column("about", JsonValue),
    Column("keep", Double, nullable=False),
    Column("status", Text, nullable=False),
    Column("errors", JsonValue),
    Column("total", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("output_file", Text),
    Column("error_file", Text),
    Column("created", Double, nullable=False),
    Column("started", Double),
    Column("finalizing", Double),
    Column("cancelling", Double),
    Column("ended", Double),
    Column("expires", Double, nullable=False),
    Column("lease_holder", Text, nullable=False),
    Column("lease_until", Double, nullable=False),
    Column("turn", Integer, nullable=False),
)
"""A batch. ``about`` is what its owner says of it, ``keep`` how long its output is kept, in seconds;
``ended`` when it came to its last status. ``lease_holder`` works on it until ``lease_until``; ``turn``
counts who did so far."""

Index("ix_batches_organisation_id", batches.c.organisation, batches.c.id)
Index("ix_batches_status_id", batches.c.status, batches.c.id)
