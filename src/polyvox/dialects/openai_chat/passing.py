"""Chat completions that are passed on as they came."""

import re
from typing import Any

import msgspec

from polyvox.dialects.base import PassedFrames, Target, auth_headers
from polyvox.dialects.passing import JsonPassing, WholeFrames
from polyvox.http import HttpRequest
from polyvox.request import Request

__all__ = ["PASSING"]

_OWN = "openai-chat"
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_BETWEEN = re.compile(rb"(?<=\n\n)|(?<=\r\n\r\n)")


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
        if b'"usage"' not in frames or _NO_CHOICES.search(frames) is None:
            return frames
        parts = _BETWEEN.split(frames)
        return b"".join(
            part for part in parts if b'"usage"' not in part or not _NO_CHOICES.search(part)
        )


def _frames(request: Request) -> PassedFrames:
    match request.options.get(_OWN, {}).get("stream_options"):
        case {"include_usage": True}:
            return WholeFrames()
        case _:
            return _Unasked()


PASSING = JsonPassing(_empty, _patch, ("openai-beta",), _frames)
