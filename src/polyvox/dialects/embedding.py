"""What a dialect knows of embeddings: a codec for texts on the way out and vectors on the way back."""

from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import msgspec

from polyvox import jsontext
from polyvox.dialects.errors import snippet
from polyvox.embedding import EmbeddingRequest, Embeddings
from polyvox.errors import ProtocolError
from polyvox.http import HttpRequest

if TYPE_CHECKING:
    from polyvox.dialects.base import Place, Target

__all__ = ["EmbedQuirks", "EmbeddingCodec", "read_answer", "untold"]

_T = TypeVar("_T")


class EmbedQuirks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a provider's embeddings differ. The defaults are careful guesses for one that says nothing.

    ``path``             where they are, below the base URL; "" if there are none
    ``batch``            how many texts a request may hold
    ``tokens``           how many tokens all texts of a request may have; None: no limit is known
    ``encoding``         how vectors are asked for: "base64" (of 32-bit floats) is the fastest to read
    ``dimensions_field`` the name under which the length of the vectors travels
    ``tasks``            the words that ``input_type`` has for our tasks
    """

    path: str = "/embeddings"
    batch: int = 100
    tokens: int | None = None
    encoding: Literal["float", "base64", "base64_int8"] = "float"
    dimensions_field: str = "dimensions"
    tasks: dict[str, str] = {}


class EmbeddingCodec(Protocol):
    """The embeddings of a wire format, as a codec in both directions. Stateless.

    The client half raises ``BadRequestError`` for what the format can't carry, the server half for a
    body that is no request.
    """

    def encode_request(self, request: EmbeddingRequest, target: "Target") -> HttpRequest:
        """The request as the provider wants it; its ``dropped`` says what it can't tell."""
        ...

    def decode_response(self, body: bytes, target: "Target") -> Embeddings:
        """The vectors in the order of the inputs. Raises the error that the body tells, or
        ``ProtocolError``. How many there are is not looked at.
        """
        ...

    def decode_request(self, body: bytes, place: "Place") -> EmbeddingRequest:
        """The request that a client sent. Fields unknown to us are kept in ``options[name]``."""
        ...

    def encode_response(
        self, result: Embeddings, request: EmbeddingRequest, place: "Place"
    ) -> bytes:
        """The answer to this request, which came to this place."""
        ...


def untold(request: EmbeddingRequest) -> tuple[tuple[str, str], ...]:
    """The task as a wish that can't be told, if there is one."""
    if request.task is None:
        return ()
    return (("task", "not sent: the provider has no word for it"),)


def read_answer(body: bytes, kind: type[_T]) -> _T:
    """The body as this struct. Raises ``ProtocolError`` when it is none."""
    try:
        return jsontext.decode(body, kind)
    except (msgspec.DecodeError, RecursionError) as error:
        what = snippet(body) if body.strip() else "nothing"
        raise ProtocolError(f"these are no embeddings ({error}): {what}") from None
