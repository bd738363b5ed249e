"""What goes in and out over HTTP.

Source: "Files" and "Batch" in OpenAI's API reference.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

__all__ = [
    "OPEN",
    "BatchError",
    "BatchErrors",
    "BatchObject",
    "BatchQuery",
    "BatchStatus",
    "Counts",
    "Deleted",
    "FileObject",
    "FileQuery",
    "Kept",
    "Listed",
    "NewBatch",
    "Purpose",
    "line_such_as",
    "listed",
]

Purpose: TypeAlias = Literal["batch", "batch_output"]

BatchStatus: TypeAlias = Literal[
    "validating",
    "failed",
    "in_progress",
    "finalizing",
    "completed",
    "expired",
    "cancelling",
    "cancelled",
]

OPEN = ("validating", "in_progress", "finalizing", "cancelling")
"""While a batch has one of these, somebody is to work on it."""


class FileObject(msgspec.Struct, kw_only=True):
    """A file, without what is in it."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None = None
    filename: str
    purpose: Purpose
    status: Literal["processed"] = "processed"


class Deleted(msgspec.Struct, kw_only=True):
    """A file is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: bool = True


class FileQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which files, in which order."""

    after: str | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 10_000
    order: Literal["asc", "desc"] = "desc"
    purpose: str | None = None


class BatchQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which batches; the newest come first."""

    after: str | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class Kept(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How long a file is kept, from when it was made."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=3_600, le=2_592_000)]


class NewBatch(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be worked off."""

    input_file_id: str
    endpoint: Literal["/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/messages"]
    completion_window: Literal["24h"]
    metadata: (
        Annotated[
            dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
            Meta(max_length=16),
        ]
        | None
    ) = None
    output_expires_after: Kept | None = None


class Counts(msgspec.Struct, kw_only=True):
    """What became of the requests so far."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class BatchError(msgspec.Struct, kw_only=True):
    """What is wrong with a file, and in which line of it, counted from 1."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class BatchErrors(msgspec.Struct, kw_only=True):
    """Why a batch was not begun."""

    object: Literal["list"] = "list"
    data: list[BatchError]


class BatchObject(msgspec.Struct, kw_only=True):
    """A batch as it stands. Times are in seconds since the epoch."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    errors: BatchErrors | None = None
    input_file_id: str
    completion_window: Literal["24h"] = "24h"
    status: BatchStatus
    output_file_id: str | None = None
    error_file_id: str | None = None
    created_at: int
    in_progress_at: int | None = None
    expires_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: Counts
    metadata: Any = None


_T = TypeVar("_T", FileObject, BatchObject)


class Listed(msgspec.Struct, Generic[_T], kw_only=True):
    """A part of a list; the next one is got with the last id as ``after``."""

    object: Literal["list"] = "list"
    data: list[_T]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False


def listed(found: Sequence[_T], limit: int) -> Listed[_T]:
    """So many of what was found; where that is more, there is another part."""
    data = [*found[:limit]]
    ids = [each.id for each in data] or [None]
    return Listed(data=data, first_id=ids[0], last_id=ids[-1], has_more=len(found) > limit)


def line_such_as(endpoint: str) -> str:
    """What a line of an input looks like, for whoever has none that is right."""
    return f'{{"custom_id": "1", "method": "POST", "url": "{endpoint}", "body": {{"model": ...}}}}'
