"""What a server's tool answers, as a result of ours; and the names that its tools have with us."""

import base64
import re
from collections.abc import Iterable, Iterator
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from polyvox import jsontext
from polyvox.messages import File, Image, Text, ToolResultBlock
from polyvox.tools.result import ToolResult

if TYPE_CHECKING:
    from mcp.types import CallToolResult, ContentBlock

__all__ = ["block_of", "legal_names", "result_of"]

_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_NO_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST = 64


def result_of(answer: "CallToolResult") -> ToolResult:
    """The result; structured data that nothing shows is shown as JSON."""
    content: list[ToolResultBlock] = [block_of(block) for block in answer.content]
    if not content and answer.structured_content is not None:
        content = [Text(jsontext.encode(answer.structured_content).decode())]
    return ToolResult(
        content=content, details=answer.structured_content, is_error=bool(answer.is_error)
    )


def block_of(block: "ContentBlock") -> ToolResultBlock:
    """One block of an answer, as one of ours."""
    from mcp.types import EmbeddedResource, ResourceLink, TextContent, TextResourceContents

    if isinstance(block, TextContent):
        return Text(block.text)
    if isinstance(block, ResourceLink):
        told = f" ({block.description})" if block.description else ""
        return Text(f"{block.title or block.name}: {block.uri}{told}")
    if not isinstance(block, EmbeddedResource):
        return _of_bytes(block.data, block.mime_type, "")
    resource = block.resource
    if isinstance(resource, TextResourceContents):
        return Text(resource.text)
    name = unquote(urlsplit(resource.uri).path.rpartition("/")[2])
    return _of_bytes(resource.blob, resource.mime_type or "", name)


def _of_bytes(encoded: str, media_type: str, name: str) -> ToolResultBlock:
    data = base64.b64decode(encoded)
    if media_type in _PICTURES:
        return Image(data, media_type=media_type)
    return File(data, media_type=media_type, name=name)


def legal_names(names: Iterable[str]) -> dict[str, str]:
    """A name by which a model can call it for each name, no two alike.

    >>> legal_names(["read", "files.read", "files/read"])
    {'read': 'read', 'files.read': 'files_read', 'files/read': 'files_read_2'}
    """
    names = list(dict.fromkeys(names))
    legal = {name: name for name in names if _legal(name) == name}
    taken = set(legal)
    for name in names:
        if name not in legal:
            free = (each for each in _candidates(_legal(name)) if each not in taken)
            legal[name] = next(free)
            taken.add(legal[name])
    return {name: legal[name] for name in names}


def _candidates(name: str) -> Iterator[str]:
    yield name
    for number in count(2):
        tail = f"_{number}"
        yield name[: _LONGEST - len(tail)] + tail


def _legal(name: str) -> str:
    return _NO_NAME.sub("_", name)[:_LONGEST] or "_"
