"""How a request goes on as it came, to a provider that speaks its caller's dialect.

Of the body only what must differ is written anew: the model's name, and what our own books need. All
the rest stays byte for byte, known or not. The gateway's own field is taken out.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from polyvox import jsontext
from polyvox.dialects.base import PassedFrames, Target
from polyvox.errors import BadRequestError
from polyvox.http import HttpRequest
from polyvox.request import Request
from polyvox.verbatim import Verbatim

__all__ = ["OURS", "JsonPassing", "Patch", "WholeFrames", "name_model"]

OURS = "polyvox"
"""The field of a body that is for the gateway."""

Patch: TypeAlias = Callable[[dict[str, Any], Request, Target], None]
"""Changes the fields of a body, whose values are still JSON, for a target."""

Empty: TypeAlias = Callable[[Request, Target], HttpRequest]

_fields: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LONGEST_FRAME = 16 << 20


class JsonPassing:
    """Passes JSON bodies and server-sent events on.

    ``empty`` makes the request for a target without its body, ``patch`` changes the body's fields,
    ``headers`` are those of the caller that the provider is to see, ``frames`` passes on an answer.
    """

    def __init__(
        self,
        empty: Empty,
        patch: Patch,
        headers: tuple[str, ...] = (),
        frames: Callable[[Request], PassedFrames] | None = None,
    ) -> None:
        self._empty = empty
        self._patch = patch
        self._headers = headers
        self._frames = frames

    def request(self, verbatim: Verbatim, target: Target) -> HttpRequest:
        """The caller's body for this target. Raises ``BadRequestError`` for one that is no object."""
        try:
            fields = _fields.decode(verbatim.body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequestError(f"the body is no JSON object: {error}") from None
        fields.pop(OURS, None)
        self._patch(fields, verbatim.request, target)
        http = self._empty(verbatim.request, target)
        for name in self._headers:
            if name in verbatim.headers:
                http.headers[name] = verbatim.headers[name]
        http.body = jsontext.encode(fields)
        return http

    def frames(self, request: Request) -> PassedFrames:
        """What passes on the answer to this request."""
        return WholeFrames() if self._frames is None else self._frames(request)


def name_model(fields: dict[str, Any], request: Request, target: Target) -> None:
    """Say the provider's own name for the model; nothing else differs."""
    fields["model"] = target.model


class WholeFrames:
    """Cuts after the last blank line that has come, so that a frame is never told in two pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes, /) -> bytes:
        """What ends with a blank line by now; a frame without an end goes on as it is."""
        data = self._rest + chunk if self._rest else chunk
        if data.endswith(b"\n\n"):
            self._rest = b""
            return self._kept(data)
        end = max(data.rfind(b"\n\n") + 2, data.rfind(b"\r\n\r\n") + 4, data.rfind(b"\r\r") + 2)
        end = end if end > 3 or (end == 2 and data[:2] in (b"\n\n", b"\r\r")) else 0
        if not end and len(data) > _LONGEST_FRAME:
            end = len(data)
        self._rest = data[end:]
        return self._kept(data[:end]) if end else b""

    def close(self) -> bytes:
        """The rest."""
        data, self._rest = self._rest, b""
        return self._kept(data) if data else b""

    def _kept(self, frames: bytes) -> bytes:
        """These frames, or those of them that the caller is to see."""
        return frames
