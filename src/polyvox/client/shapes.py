"""What an answer shall be: a type, or a JSON schema, and how a value of it is read from a text.

Types as schemas, and values of them, are the business of ``polyvox.tools.typed``.
"""

import re
import types
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar, cast, get_args, get_origin

import msgspec

from polyvox import jsontext
from polyvox.dialects.schema import Schema, resolved
from polyvox.dialects.schema_nulls import without_nulls
from polyvox.errors import BadRequestError
from polyvox.request import ResponseFormat
from polyvox.tools.conformance import problems
from polyvox.tools.typed import Misfit, schema_and_convert

_T = TypeVar("_T")
_WRAPPER = "answer"
_FENCE = re.compile(r"```[a-zA-Z]*\n(.*?)\n?```", re.DOTALL)


class Shape(Generic[_T]):
    """What is asked for, as the provider is told (``format``), and how it is read back.

    ``schema`` tells what a value is. With ``wrapped`` it travels in an object, under "answer".
    """

    def __init__(
        self,
        format: ResponseFormat,
        name: str,
        schema: Schema,
        convert: Callable[[Any], _T],
        *,
        wrapped: bool = False,
    ) -> None:
        self.format = format
        self.name = name
        self._schema = schema
        self._convert = convert
        self._wrapped = wrapped

    def read(self, texts: Iterator[str]) -> _T:
        """The value that the first of these texts holds which is JSON. Raises ``Misfit``."""
        value = _first_json(texts)
        if self._wrapped and isinstance(value, dict) and _WRAPPER in value:
            value = cast("Schema", value)[_WRAPPER]
        return self._convert(without_nulls(value, self._schema))


def is_type(wanted: object) -> bool:
    """Whether this is a type, or made of types, as ``list[int]`` and ``int | None`` are."""
    return isinstance(wanted, (type, types.UnionType)) or get_origin(wanted) is not None


def shape_of(wanted: type[_T]) -> Shape[_T]:
    """The shape of a type. Raises ``BadRequestError`` for one that has no JSON schema.

    Providers want an object at the top: a type of anything else travels inside one.
    """
    name = getattr(wanted, "__name__", None) if not get_args(wanted) else None
    name = name or str(wanted)
    try:
        schema, convert = schema_and_convert(wanted)
    except (TypeError, ValueError, NameError) as error:
        raise BadRequestError(
            f"response_format: no JSON schema can be made of {name}: {error}".splitlines()[0],
            hint="Give a msgspec Struct, a dataclass, a TypedDict or a pydantic model.",
        ) from error
    label = re.sub(r"[^a-zA-Z0-9_-]+", "_", name.rpartition(".")[2]).strip("_")[:64] or "answer"
    schema = _at_the_top(schema)
    wrapped = schema.get("type") != "object"
    asked = ResponseFormat(_wrapped(schema) if wrapped else schema, label)
    return Shape(asked, name, schema, convert, wrapped=wrapped)


def shape_of_schema(schema: Schema) -> Shape[object]:
    """The shape of a JSON schema: values are what the JSON holds, checked."""

    def checked(value: object) -> object:
        for path, text in problems(value, schema):
            raise Misfit(text, path)
        return value

    return Shape(ResponseFormat(schema), "the schema", schema, checked)


def texts_in(text: str, blocks: list[str]) -> Iterator[str]:
    """Where the JSON of an answer may be: all of it, its last block, a code fence, between braces."""
    yield text
    yield from blocks[-1:]
    yield from reversed(_FENCE.findall(text))
    start = min((place for place in (text.find("{"), text.find("[")) if place >= 0), default=-1)
    end = max(text.rfind("}"), text.rfind("]"))
    if 0 <= start < end:
        yield text[start : end + 1]


def _first_json(texts: Iterator[str]) -> object:
    complaint = ""
    for text in texts:
        try:
            return jsontext.decode(text, object)
        except msgspec.DecodeError as error:
            complaint = complaint or (str(error) if text.strip() else "the answer is empty")
    raise Misfit(complaint)


def _at_the_top(schema: Schema) -> Schema:
    """The schema with what it refers to as a whole written out at its top."""
    ref: str | None = schema.get("$ref")
    if ref is None:
        return schema
    top = resolved(schema, schema)
    own = ref.rpartition("/")[2]
    others = {name: below for name, below in top["$defs"].items() if name != own}
    rest = {**top, "$defs": others}
    if f'"{ref}"'.encode() not in jsontext.encode(rest):
        top = rest
    return top if top["$defs"] else {key: top[key] for key in top if key != "$defs"}


def _wrapped(schema: Schema) -> Schema:
    inside = {key: value for key, value in schema.items() if key != "$defs"}
    outside: Schema = {
        "type": "object",
        "properties": {_WRAPPER: inside},
        "required": [_WRAPPER],
        "additionalProperties": False,
    }
    return {**outside, "$defs": schema["$defs"]} if "$defs" in schema else outside
