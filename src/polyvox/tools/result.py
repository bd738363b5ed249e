"""What a tool gives back: blocks for the model, data for the program."""

import dataclasses
from pathlib import PurePath
from typing import Any, cast

import msgspec

from polyvox import jsontext
from polyvox.messages import File, Image, Text, ToolCall, ToolMessage, ToolResultBlock

__all__ = ["ToolResult", "as_result", "error_result", "message_of", "plain_value"]


class ToolResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The result of one tool call.

    ``content`` is what the model sees, ``details`` what only the program does. ``is_error`` tells the
    model that it did not work, ``retry`` that the tool asks for another try (``ToolRetry``). With
    ``terminate`` the run ends after this batch of calls, without asking the model again.
    """

    content: list[ToolResultBlock]
    details: Any = None
    is_error: bool = False
    terminate: bool = False
    retry: bool = False

    @property
    def text(self) -> str:
        """All text blocks, joined without a separator."""
        return "".join(block.text for block in self.content if isinstance(block, Text))


def as_result(value: object) -> ToolResult:
    """What a function returned, as a result: text and blocks as they are, anything else as JSON.

    Raises ``TypeError`` for a value that has no JSON.

    >>> as_result("sunny").content, as_result({"celsius": 21}).content
    ([Text(text='sunny')], [Text(text='{"celsius":21}')])
    """
    if isinstance(value, ToolResult):
        return value
    if value is None:
        return ToolResult(content=[Text("")])
    if isinstance(value, (str, Text, Image, File)):
        return ToolResult(content=[_block(value)])
    if isinstance(value, (list, tuple)) and _holds_blocks(cast("list[object]", value)):
        return ToolResult(content=[_block(part) for part in cast("list[Any]", value)])
    return ToolResult(content=[Text(jsontext.encode(plain_value(cast("object", value))).decode())])


def error_result(text: str, *, retry: bool = False) -> ToolResult:
    """The result that tells the model what went wrong."""
    return ToolResult(content=[Text(text)], is_error=True, retry=retry)


def message_of(result: ToolResult, call: ToolCall) -> ToolMessage:
    """The message that answers the call with this result."""
    return ToolMessage(call.id, list(result.content), tool_name=call.name, is_error=result.is_error)


def plain_value(value: object, *, sort: bool = False) -> Any:
    """The value as plain JSON values, whatever made it: structs, dataclasses, pydantic's models.

    A set has no order of its own, and another in each process unless it is to be ``sort``ed.

    Raises ``TypeError`` for one that has no JSON.
    """
    order = "deterministic" if sort else None
    return msgspec.to_builtins(value, str_keys=True, enc_hook=_plain, order=order)


def _plain(value: Any) -> Any:
    """What msgspec does not know by itself."""
    kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(kind, "model_dump"):  # pydantic's way, which need not be installed
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(kind):  # one that holds a model of pydantic's
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(kind)}
    raise TypeError(f"a {kind.__name__} has no JSON; return text, blocks or plain values")


def _holds_blocks(parts: list[object]) -> bool:
    """Whether this is a list for the model to see: of blocks, perhaps with texts between them."""
    return any(isinstance(part, (Text, Image, File)) for part in parts) and all(
        isinstance(part, (str, Text, Image, File)) for part in parts
    )


def _block(part: str | ToolResultBlock) -> ToolResultBlock:
    return Text(part) if isinstance(part, str) else part
