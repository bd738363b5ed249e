"""Values as strict modes give them, read back: null there also means "left out".

Strict modes want every property required, so ``polyvox.dialects.schema`` asks for an optional one as
nullable. What comes back is compared with the schema as it was before.
"""

from typing import Any

from polyvox.dialects.schema import Schema, allows_null, resolved, types_of


def without_nulls(value: Any, schema: Schema) -> Any:
    """A value read back: without the nulls that stand for optional properties left out.

    >>> without_nulls({"a": None}, {"properties": {"a": {"type": "string"}}})
    {}
    """
    return _without_nulls(value, schema, schema)


def _without_nulls(value: Any, schema: Any, root: Schema) -> Any:
    if not isinstance(schema, dict):
        return value
    here = _branch_for(value, resolved(schema, root), root)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, list):
        items: Any = here.get("items")
        return [_without_nulls(each, items, root) for each in value]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(value, dict):
        return value
    properties: Schema = here.get("properties", {})
    more: Any = here.get("additionalProperties")
    required: list[str] = here.get("required", [])
    kept: Schema = {}
    for name, below in value.items():  # pyright: ignore[reportUnknownVariableType]
        wanted = properties.get(name, more)  # pyright: ignore[reportUnknownArgumentType]
        left_out = below is None and name in properties and name not in required
        if not left_out or allows_null(wanted, root):
            kept[name] = _without_nulls(below, wanted, root)
    return kept


def _branch_for(value: Any, schema: Schema, root: Schema) -> Schema:
    """The branch of a union that the value is of, told by its keys and constants."""
    branches: list[Schema] = schema.get("anyOf") or schema.get("oneOf") or []
    if not isinstance(value, (dict, list)):
        return schema
    for branch in (resolved(each, root) for each in branches):
        if _fits(value, branch, root):  # pyright: ignore[reportUnknownArgumentType]
            return _branch_for(value, branch, root)  # pyright: ignore[reportUnknownArgumentType]
    return schema


def _fits(value: dict[str, Any] | list[Any], schema: Schema, root: Schema) -> bool:
    if isinstance(value, list):
        return "array" in types_of(schema) or "items" in schema
    properties: Schema = schema.get("properties", {})
    if not set(schema.get("required", ())) <= value.keys():
        return False
    closed = not schema.get("additionalProperties", "properties" not in schema)
    if closed and not value.keys() <= properties.keys():
        return False
    fixed = {name: resolved(each, root) for name, each in properties.items() if name in value}
    return all(
        value[name] in each.get("enum", [value[name]])
        and value[name] == each.get("const", value[name])
        for name, each in fixed.items()
        if value[name] is not None
    )
