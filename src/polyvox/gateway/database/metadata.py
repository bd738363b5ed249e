"""Where the tables of all rooms stand together, and the kinds of columns they share.

A room has its tables in ``gateway/<room>/tables.py``, on ``METADATA``, and writes its migration by hand;
a test compares the two.
"""

from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any, cast

from sqlalchemy import JSON, BigInteger, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

__all__ = [
    "METADATA",
    "NAMING",
    "JsonValue",
    "Nanos",
    "PlainText",
    "all_tables",
    "storable",
    "storable_json",
]

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""How constraints and indexes are called: the same on every database, so that a migration finds them."""

METADATA = MetaData(naming_convention=NAMING)

Nanos = BigInteger
"""Money: an integer number of nano-dollars."""


class PlainText(TypeDecorator[str]):
    """Text from anywhere. What PostgreSQL can't hold, NUL and halves of surrogates, becomes "\\ufffd"."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text as it is stored."""
        return None if value is None else storable(value)


class JsonValue(TypeDecorator[Any]):
    """JSON, in PostgreSQL as JSONB; its strings are cleaned like ``PlainText``."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """JSONB where there is such a thing. None is NULL, not JSON's null."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(JSONB(none_as_null=True))
        return dialect.type_descriptor(JSON(none_as_null=True))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """The value as it is stored."""
        return storable_json(value)


def all_tables() -> MetaData:
    """``METADATA`` with the tables of every room, which are imported now."""
    gateway = __name__.rsplit(".", 2)[0]
    for room in iter_modules(import_module(gateway).__path__):
        if room.ispkg and find_spec(f"{gateway}.{room.name}.tables") is not None:
            import_module(f"{gateway}.{room.name}.tables")
    return METADATA


def storable(text: str) -> str:
    """The text as any database can hold it."""
    if "\x00" not in text and text.isascii():
        return text
    return (
        text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


def storable_json(value: Any) -> Any:
    """The same with every text in it as any database can hold it."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {storable(name): storable_json(each) for name, each in items}
    if isinstance(value, list | tuple):
        return [storable_json(each) for each in cast("list[Any]", value)]
    return value
