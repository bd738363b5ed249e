"""The lines of an input: where each begins, and what is wrong with it.

Source: "Batch", "The request input object" in OpenAI's API reference.
"""

import os
from array import array
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from polyvox.gateway.batches.bounds import Bounds
from polyvox.gateway.batches.shapes import BatchError, line_such_as

__all__ = ["Line", "Scan", "line_at", "scan"]

_MOST_ERRORS = 100


class Line(msgspec.Struct):
    """One request of a batch."""

    custom_id: Annotated[str, Meta(min_length=1, max_length=512)]
    method: Literal["POST"]
    url: str
    body: msgspec.Raw


class _Head(msgspec.Struct):
    model: Annotated[str, Meta(min_length=1, max_length=512)]
    stream: bool | None = None


class Scan:
    """What is in an input: where its lines begin, which models they name (and where first), what is wrong."""

    def __init__(self) -> None:
        self.starts: array[int] = array("q")
        self.models: dict[str, int] = {}
        self.errors: list[BatchError] = []

    def __len__(self) -> int:
        return len(self.starts)


_line = msgspec.json.Decoder(Line)
_head = msgspec.json.Decoder(_Head)


def scan(path: Path, endpoint: str, bounds: Bounds) -> Scan:
    """Read an input through; of it no more than a line is in memory at a time."""
    found, seen = Scan(), dict[bytes, int]()
    with path.open("rb") as file:
        for number, start, text in _lines(file.fileno(), bounds.line_bytes):
            if len(found) == bounds.lines:
                text = f"it has more than {bounds.lines:,} requests"
                found.errors.append(BatchError(code="too_many_requests", message=text, line=number))
                break
            error = _look(text, endpoint, bounds, number, found.models, seen)
            if error is not None:
                found.errors.append(error)
                if len(found.errors) == _MOST_ERRORS or error.code == "line_too_long":
                    break
            found.starts.append(start)
    if not found.starts and not found.errors:
        text = f"it has no requests: each line is one, such as {line_such_as(endpoint)}"
        found.errors.append(BatchError(code="empty_file", message=text))
    return found


def line_at(path: Path, start: int) -> Line:
    """The line that begins there; it was looked at before."""
    with path.open("rb") as file:
        file.seek(start)
        return _line.decode(file.readline())


def _lines(file: int, most: int) -> Iterator[tuple[int, int, bytes]]:
    """Each line that isn't blank: its number, where it begins, and its text up to one byte too many."""
    with os.fdopen(os.dup(file), "rb") as lines:
        number = start = 0
        while text := lines.readline(most + 1):
            number += 1
            if text.strip():
                yield number, start, text
            start += len(text)


def _look(
    text: bytes,
    endpoint: str,
    bounds: Bounds,
    number: int,
    models: dict[str, int],
    seen: dict[bytes, int],
) -> BatchError | None:
    def wrong(code: str, message: str, param: str | None = None) -> BatchError:
        return BatchError(code=code, message=message, param=param, line=number)

    if len(text) > bounds.line_bytes:
        return wrong("line_too_long", f"the line is longer than {bounds.line_bytes:,} bytes")
    try:
        line = _line.decode(text)
    except msgspec.ValidationError as error:
        return wrong("invalid_request", f"the line is not right: {error}")
    except (msgspec.DecodeError, RecursionError) as error:
        return wrong("invalid_json_line", f"the line is no JSON: {error}")
    if line.url != endpoint:
        told = f"url is {line.url!r}; the batch is for {endpoint}"
        return wrong("mismatched_endpoint", told, "url")
    first = seen.setdefault(_digest(line.custom_id), number)
    if first != number:
        told = f"custom_id {line.custom_id!r} is that of line {first}, too"
        return wrong("duplicate_custom_id", told, "custom_id")
    try:
        head = _head.decode(line.body)
    except (msgspec.DecodeError, RecursionError) as error:
        return wrong("invalid_body", f"the body is not right: {error}", "body")
    if head.stream:
        return wrong("invalid_body", "a batch does not stream: leave stream out", "body.stream")
    models.setdefault(head.model, number)
    return None


def _digest(custom_id: str) -> bytes:
    return blake2b(custom_id.encode(), digest_size=16).digest()
