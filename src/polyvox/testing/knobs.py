"""Knobs: how a mock provider answers when it does not answer well."""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from polyvox.errors import ConfigurationError
from polyvox.suggestions import hint_for

UsagePlace: TypeAlias = Literal["last", "with_finish", "every", "none"]

_Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
_Size: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class Knobs(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """How an answer is bent. The defaults bend nothing.

    A chunk is one frame of a streamed answer, as the dialect makes them: a server-sent event, or a
    line. Whole answers heed all knobs but those marked (s), which are about streams.

    Waiting, in seconds:

    ``delay_headers``       before the head of the answer
    ``delay_first_chunk``   between the head and the first chunk
    ``delay_chunks``        before each further chunk (s)
    ``hold_limit``          as long as ``hold_until`` waits, before it fails

    Waiting for others:

    ``hold_until``          answer only once so many requests wait together, so that who sends one after
                            the other gets an error; ``MockProvider.release`` lets them go, too

    Cutting up:

    ``text_piece``          characters in each piece of text and reasoning; None: as the model tells it (s)
    ``arguments_piece``     the same for the arguments of tool calls (s)
    ``write_size``          bytes in each write to the socket, wherever that cuts

    Breaking:

    ``cut_after``           end the connection after so many bytes of the body
    ``cut_mode``            ... with "fin" (closed), "rst" (reset) or "stall" (silent until the client leaves)
    ``malformed_chunk``     the chunk, counted from 0, that holds broken JSON; a whole answer is broken itself
    ``error_after_chunks``  after so many chunks comes an error in the dialect's own form, and the end (s)
    ``huge_line``           pad the first chunk with white space, which JSON allows, to so many bytes
    ``ping_every``          a comment after every so many chunks (s)
    ``usage``               where a stream's usage stands (openai-chat): in a chunk at the end, beside the
                            finish reason, in every chunk, or nowhere; None: where the dialect puts it
    ``manner``              who is imitated (openai-chat): "openai"; or "mistral", who streams each tool call
                            whole, and puts reasoning among the content
    ``content_encoding``    "gzip" compresses the body, chunk by chunk

    Instead of the answer:

    ``status``              answer with this status and an error that suits it
    ``retry_after``         seconds that an error's Retry-After header asks for
    ``retry_after_form``    ... as "seconds" or as a "date"
    ``body``                "empty": no body at all; "html": a web page, with status 200 or ``status``
    """

    delay_headers: _Seconds = 0.0
    delay_first_chunk: _Seconds = 0.0
    delay_chunks: _Seconds = 0.0
    hold_limit: _Seconds = 30.0
    hold_until: _Size | None = None
    text_piece: _Size | None = None
    arguments_piece: _Size | None = None
    write_size: _Size | None = None
    cut_after: _Count | None = None
    cut_mode: Literal["fin", "rst", "stall"] = "fin"
    malformed_chunk: _Count | None = None
    error_after_chunks: _Count | None = None
    huge_line: _Size | None = None
    ping_every: _Size | None = None
    usage: UsagePlace | None = None
    manner: Literal["openai", "mistral"] = "openai"
    content_encoding: Literal["identity", "gzip"] = "identity"
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] | None = None
    retry_after: _Seconds | None = None
    retry_after_form: Literal["seconds", "date"] = "seconds"
    body: Literal["answer", "empty", "html"] = "answer"

    def but(self, changes: dict[str, Any], where: str = "knobs") -> "Knobs":
        """These knobs with some turned differently.

        Raises ``ConfigurationError`` naming what is no knob, with the nearest one, or no setting of
        one, after ``where``.

        >>> Knobs().but({"delay_chunks": 0.5}).delay_chunks
        0.5
        """
        for name in changes:
            if name not in Knobs.__struct_fields__:
                hint = hint_for(name, Knobs.__struct_fields__)
                raise ConfigurationError(f"{where}: there is no knob {name!r}", hint=hint)
        try:
            return msgspec.convert({**msgspec.to_builtins(self), **changes}, Knobs)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"{where}: {error}") from None
