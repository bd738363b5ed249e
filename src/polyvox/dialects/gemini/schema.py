"""JSON schemas as the API takes them, and the schemas of its own as JSON schemas.

From "Structured outputs", "Function calling" and the fields ``responseJsonSchema`` and ``Schema`` in
the Gemini API reference: of JSON schema only some keywords are taken; the older ``Schema`` is an
excerpt of OpenAPI 3.0, with types in upper case and ``nullable``.
"""

from typing import Any, cast

from polyvox import jsontext
from polyvox.dialects.gemini.wire import Json

__all__ = ["fitted", "from_openapi"]

_TAKEN = frozenset(
    {
        *("$anchor", "$defs", "$id", "$ref", "additionalProperties", "anyOf", "description"),
        *("enum", "format", "items", "maxItems", "maximum", "minItems", "minimum", "oneOf"),
        *("prefixItems", "properties", "propertyOrdering", "required", "title", "type"),
    }
)
_SILENT = ("$schema", "$comment")  # they tell the model nothing
_BY_NAME = ("properties", "$defs")
_LISTS = ("anyOf", "oneOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")


def fitted(schema: Json, place: str, dropped: list[str]) -> Json:
    """The schema without what the API does not take; the places of that are added to ``dropped``.

    What can be said in other words is: ``const`` as an ``enum`` of one, ``definitions`` as ``$defs``,
    an ``allOf`` of one as that one, ``default`` in the description.

    >>> fitted({"type": "string", "pattern": "^a"}, "parameters", dropped := []), dropped
    ({'type': 'string'}, ['parameters.pattern'])
    >>> fitted({"type": "integer", "default": 3}, "parameters", [])
    {'type': 'integer', 'description': '(default: 3)'}
    """
    fit: Json = {}
    for key, value in _reworded(schema).items():
        where = f"{place}.{key}"
        if key in _BY_NAME and isinstance(value, dict):
            below = cast(Json, value)
            fit[key] = {
                name: _below(each, f"{where}.{name}", dropped) for name, each in below.items()
            }
        elif key in _LISTS and isinstance(value, list):
            each_of = cast(list[Any], value)
            fit[key] = [_below(each, f"{where}[{n}]", dropped) for n, each in enumerate(each_of)]
        elif key in _SINGLE:
            fit[key] = _below(value, where, dropped)
        elif key in _TAKEN:
            fit[key] = _pointing_home(value) if key == "$ref" else value
        elif key not in _SILENT:
            dropped.append(where)
    return fit


def _below(value: Any, place: str, dropped: list[str]) -> Any:
    return fitted(cast(Json, value), place, dropped) if isinstance(value, dict) else value


def _reworded(schema: Json) -> Json:
    said = dict(schema)
    if "definitions" in said and "$defs" not in said:
        said["$defs"] = said.pop("definitions")
    if "const" in said and "enum" not in said and isinstance(said["const"], (str, int, float)):
        said["enum"] = [said.pop("const")]
    if (default := said.pop("default", None)) is not None:
        default = f"(default: {jsontext.encode(default).decode()})"
        said["description"] = f"{said.get('description') or ''} {default}".lstrip()
    parts = said.get("allOf")
    if isinstance(parts, list) and len(cast(list[Any], parts)) == 1 and isinstance(parts[0], dict):
        del said["allOf"]
        said = {**cast(Json, parts[0]), **said}
    return said


def _pointing_home(reference: Any) -> Any:
    if isinstance(reference, str) and reference.startswith("#/definitions/"):
        return "#/$defs/" + reference.removeprefix("#/definitions/")
    return reference


def from_openapi(schema: Any) -> Any:
    """A ``Schema`` of the API as a JSON schema, in keys of either case.

    >>> from_openapi({"type": "STRING", "nullable": True, "max_length": "9"})
    {'type': ['string', 'null'], 'maxLength': 9}
    """
    if not isinstance(schema, dict):
        return schema
    said: Json = {}
    for key, value in cast(Json, schema).items():
        name = _SNAKE.get(key, key)
        if name in _BY_NAME and isinstance(value, dict):
            said[name] = {each: from_openapi(sub) for each, sub in cast(Json, value).items()}
        elif name in _LISTS and isinstance(value, list):
            said[name] = [from_openapi(each) for each in cast(list[Any], value)]
        elif name in _SINGLE:
            said[name] = from_openapi(value)
        elif name == "type" and isinstance(value, str):
            said[name] = value.lower()
        elif name in _COUNTS and isinstance(value, str) and value.isdecimal():
            said[name] = int(value)  # 64-bit integers are strings in the API's JSON
        else:
            said[name] = value
    if said.pop("nullable", False) is True and isinstance(said.get("type"), str):
        said["type"] = [said["type"], "null"]
    return said


_COUNTS = ("maxItems", "minItems", "maxLength", "minLength", "maxProperties", "minProperties")
_SNAKE = {
    "any_of": "anyOf",
    "additional_properties": "additionalProperties",
    "property_ordering": "propertyOrdering",
    "max_items": "maxItems",
    "min_items": "minItems",
    "max_length": "maxLength",
    "min_length": "minLength",
    "max_properties": "maxProperties",
    "min_properties": "minProperties",
    "defs": "$defs",
    "ref": "$ref",
}
