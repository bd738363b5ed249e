"""The tables of templates."""

from sqlalchemy import Column, Double, ForeignKeyConstraint, Integer, Table, Text

from polyvox.gateway.database.metadata import METADATA, PlainText

__all__ = ["prompt_tags", "prompt_versions", "prompts"]

prompts = Table(
    "prompts",
    METADATA,
    Column("organisation", PlainText, primary_key=True),
    Column("name", PlainText, primary_key=True),
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
)

prompt_versions = Table(
    "prompt_versions",
    METADATA,
    Column("organisation", PlainText, primary_key=True),
    Column("name", PlainText, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("template", Text, nullable=False),
    Column("note", PlainText, nullable=False),
    Column("author", PlainText, nullable=False),
    Column("created", Double, nullable=False),
    ForeignKeyConstraint(["organisation", "name"], ["prompts.organisation", "prompts.name"]),
)
"""What a template said from the number on; a row never changes. ``template`` is JSON."""

prompt_tags = Table(
    "prompt_tags",
    METADATA,
    Column("organisation", PlainText, primary_key=True),
    Column("name", PlainText, primary_key=True),
    Column("tag", PlainText, primary_key=True),
    Column("number", Integer, nullable=False),
    ForeignKeyConstraint(["organisation", "name"], ["prompts.organisation", "prompts.name"]),
)
