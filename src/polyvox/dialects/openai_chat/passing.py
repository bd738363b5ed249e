"""Chat completions that are passed on as they came."""

import re
from itertools import pairwise
from typing import Any

import msgspec

from polyvox.dialects.base import PassedFrames, Target, auth_headers
from polyvox.dialects.passing import JsonPassing, WholeFrames
from polyvox.http import HttpRequest
from polyvox.request import Request

__all__ = ["PASSING"]

_OWN = "openai-chat"
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_END = re.compile(rb"\n\n|\r\n\r\n")


def _empty(request: Request, target: Target) -> HttpRequest:
    return HttpRequest(
        "POST",
        target.base_url.rstrip("/") + "/chat/completions",
        {"content-type": "application/json", **auth_headers(target)},
    )


def _patch(fields: dict[str, Any], request: Request, target: Target) -> None:
    fields["model"] = target.model
    wanted = target.quirks.max_tokens_field
    other = "max_tokens" if wanted == "max_completion_tokens" else "max_completion_tokens"
    if other in fields and wanted not in fields:
        fields[wanted] = fields.pop(other)
    if request.stream and target.quirks.usage_in_stream:
        wanted_too = {**_object(fields.get("stream_options")), "include_usage": True}
        fields["stream_options"] = wanted_too


def _object(raw: Any) -> dict[str, Any]:
    try:
        return {} if raw is None else msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}  # the provider would have refused what stood there


class _Unasked(WholeFrames):
    """Without the frame of the usage, which our books need and the caller has not asked for.

    It has no choices; many a client looks at the first one without asking whether there is one.
    """

    def _kept(self, frames: bytes) -> bytes:
        if b'"usage"' not in frames:
            return frames
        return b"".join(
            [
                frame
                for frame in _each(frames)
                if b'"usage"' not in frame or not _NO_CHOICES.search(frame)
            ]
        )


def _each(frames: bytes) -> list[bytes]:
    if b"\r\n\r\n" not in frames:
        *ended, last = frames.split(b"\n\n")  # several times as fast as by a pattern
        return [*(frame + b"\n\n" for frame in ended), last]
    ends = [0, *(match.end() for match in _END.finditer(frames)), len(frames)]
    return [frames[start:end] for start, end in pairwise(ends)]


def _frames(request: Request) -> PassedFrames:
    match request.options.get(_OWN, {}).get("stream_options"):
        case {"include_usage": True}:
            return WholeFrames()
        case _:
            return _Unasked()


PASSING = JsonPassing(_empty, _patch, ("openai-beta",), _frames)
