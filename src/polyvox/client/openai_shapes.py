"""Messages and tools in the shapes of OpenAI's API, which many programs have at hand."""

from typing import Any, cast

from polyvox import jsontext
from polyvox.dialects import get_dialect
from polyvox.errors import BadRequestError
from polyvox.messages import Message, SystemMessage

_PARTS = ("image_url", "input_audio", "refusal")


def is_openai_message(part: object) -> bool:
    """Whether this is a dict that only OpenAI's form of a message explains."""
    if not isinstance(part, dict):
        return False
    fields: dict[str, Any] = part  # pyright: ignore[reportUnknownVariableType]
    content = fields.get("content")
    parts: list[Any] = content if isinstance(content, list) else []  # pyright: ignore[reportUnknownVariableType]
    return (
        "tool_calls" in fields
        or fields.get("role") == "developer"
        or any(isinstance(each, dict) and _is_openai_part(each) for each in parts)  # pyright: ignore[reportUnknownArgumentType]
    )


def _is_openai_part(part: dict[str, Any]) -> bool:
    return part.get("type") in _PARTS or (part.get("type") == "file" and "file" in part)


def openai_message(fields: dict[str, Any], place: int) -> Message:
    """The message that such a dict means. Raises ``BadRequestError``, which names the field."""
    body = jsontext.encode({"model": "-", "messages": [fields]})
    try:
        request = get_dialect("openai-chat").decode_request(body)
    except BadRequestError as error:
        error.text = error.text.replace("messages[0]", f"messages[{place}]")
        raise
    return request.messages[0] if request.messages else SystemMessage(request.system)


def openai_tool(tool: object) -> object:
    """A tool's own fields, out of the wrapping that OpenAI puts around them."""
    if not isinstance(tool, dict):
        return tool
    fields = cast(dict[str, object], tool)
    wrapped = fields.get("type") == "function" and isinstance(fields.get("function"), dict)
    return fields["function"] if wrapped else fields
