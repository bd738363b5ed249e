"""Tools whose arguments a provider holds to the schema: only where it takes the schema for that.

An answer's schema is cut to what a provider takes (``schema``). A tool's arguments are checked by
whoever runs it, against the schema as it was given, so that nothing may be put differently here: a
tool with a schema that strict mode would refuse is sent without ``strict``, and that is told.
"""

import msgspec

from polyvox.dialects.schema import SchemaLimits, adapt
from polyvox.request import ToolDefinition

__all__ = ["strict_tool"]


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
