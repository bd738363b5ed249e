"""What a dialect knows of embeddings: a codec for texts on the way out and vectors on the way back."""

from typing import TYPE_CHECKING, Protocol

from polyvox.embedding import EmbeddingRequest, Embeddings
from polyvox.http import HttpRequest

if TYPE_CHECKING:
    from polyvox.dialects.base import Place, Target

__all__ = ["EmbeddingCodec", "untold"]


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
