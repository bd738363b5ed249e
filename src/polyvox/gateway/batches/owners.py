"""Whose a file or a batch is."""

from typing import Any

from sqlalchemy import ColumnElement, Table, and_, true

from polyvox.gateway.tenants.access import Access

__all__ = ["belongs", "owned"]


def owned(table: Table, access: Access) -> ColumnElement[bool]:
    """The rows that this access may see: its organisation's; a key without one sees its own."""
    if access.admin:
        return true()
    if access.organisation:
        return table.c.organisation == access.organisation
    return belongs(table, "", access.key)


def belongs(table: Table, organisation: str, key: str) -> ColumnElement[bool]:
    """The rows that count together: an organisation's, or a key's that has none."""
    mine: Any = table.c.organisation == organisation
    return mine if organisation else and_(mine, table.c.key == key)
