"""Answers and tools whose JSON a provider holds to a schema.

An answer's schema is cut to what a provider takes (``schema``). A tool's arguments are checked by
whoever runs it, against the schema as it was given, so that nothing may be put differently here: a
tool with a schema that strict mode would refuse is sent without ``strict``, and that is told.
"""

from collections.abc import Iterable, Iterator

import msgspec

from polyvox.dialects.quirks import Quirks
from polyvox.dialects.schema import OPENAI_STRICT, Note, Schema, SchemaLimits, adapt
from polyvox.errors import BadRequestError
from polyvox.request import ResponseFormat, ToolDefinition

__all__ = ["as_openai_takes_it", "only_schema", "strict_tool"]


def as_openai_takes_it(wanted: ResponseFormat) -> tuple[ResponseFormat, tuple[Note, ...]]:
    """The wish as OpenAI's formats carry it: strict where the schema can be made so, else as it is."""
    if wanted.schema is None or not wanted.strict:
        return wanted, ()
    adapted = adapt(wanted.schema, OPENAI_STRICT)
    if adapted.obstacle is None:
        notes = tuple(_told_from_request(adapted.notes))
        return msgspec.structs.replace(wanted, schema=adapted.schema), notes
    path, text = adapted.obstacle
    about = f"not sent: {path or 'the schema'} {text}, which strict mode does not take"
    return msgspec.structs.replace(wanted, strict=False), (("response_format.strict", about),)


def only_schema(
    wanted: ResponseFormat | None, quirks: Quirks, limits: SchemaLimits
) -> tuple[Schema | None, tuple[Note, ...]]:
    """The answer's schema as it is taken where there is no looser mode, and what became of the wish.

    Raises ``BadRequestError`` for one that can't be brought within the limits.
    """
    if wanted is None:
        return None, ()
    if wanted.schema is None or not quirks.json_schema:
        return None, (("response_format", "dropped: only JSON of a given schema can be asked for"),)
    adapted = adapt(wanted.schema, limits)
    if adapted.obstacle is not None:
        path, text = adapted.obstacle
        raise BadRequestError(
            f"response_format.schema{'.' if path else ''}{path} {text}",
            hint="Structured outputs can't hold that here; offer it as a tool instead.",
        )
    return adapted.schema, tuple(_told_from_request(adapted.notes))


def _told_from_request(notes: Iterable[Note]) -> Iterator[Note]:
    return ((f"response_format.schema.{path}", text) for path, text in notes)


def strict_tool(tool: ToolDefinition, limits: SchemaLimits) -> tuple[ToolDefinition, str | None]:
    """The tool as strict mode takes it, or not strict and the reason.

    >>> from polyvox.dialects.schema import OPENAI_STRICT
    >>> city = {"type": "string", "minLength": 1}
    >>> schema = {"type": "object", "properties": {"city": city}, "required": ["city"]}
    >>> strict_tool(ToolDefinition("f", parameters=schema, strict=True), OPENAI_STRICT)[1]
    'not sent: strict mode does not take properties.city.minLength'
    """
    if not tool.strict:
        return tool, None
    adapted = adapt(tool.parameters, limits)
    loose = msgspec.structs.replace(tool, strict=False)
    if adapted.obstacle is not None:
        place, what = adapted.obstacle
        return loose, f"not sent: {place or 'the schema'} {what}, which strict mode does not take"
    for place, _ in adapted.notes:
        return loose, f"not sent: strict mode does not take {place}"
    return msgspec.structs.replace(tool, parameters=adapted.schema), None
