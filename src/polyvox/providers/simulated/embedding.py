"""``simulated/embedding``: vectors without a model, near each other for texts that share words.

A text is cut into its words, and these into their three-letter pieces, so that "cat" is near "cats"
too. Each word and piece adds to one dimension or takes from it, chosen by its checksum; the vector is
then brought to length 1. The same text has the same vector on every machine.
"""

import re
from array import array
from collections.abc import Iterator
from math import hypot
from zlib import crc32

from polyvox.dialects import Target
from polyvox.dialects.quirks import EmbedQuirks, Quirks
from polyvox.embedding import EmbeddingRequest, Embeddings
from polyvox.model import Call
from polyvox.providers.batches import Batches
from polyvox.providers.settlement import Settlement
from polyvox.providers.simulated.tokens import count
from polyvox.usage import FREE, Usage

__all__ = ["HashedWords", "vector_of"]

DIMENSIONS = 256

_WORD = re.compile(r"\w+")
_TARGET = Target(
    provider="simulated",
    model="embedding",
    base_url="",
    quirks=Quirks(embed=EmbedQuirks(batch=10_000)),
)


class HashedWords:
    """Turn texts into vectors by the checksums of their words. Tasks make no difference."""

    name = "simulated/embedding"

    def __init__(self) -> None:
        self._batches = Batches(self._ask, _TARGET, pricing=lambda usage: FREE)

    def quote(self, request: EmbeddingRequest) -> Usage:
        """The most that embedding may use, which is free."""
        return self._batches.quote(request)

    async def embed(self, request: EmbeddingRequest, call: Call) -> Embeddings:
        """The vectors, of 256 dimensions if the request doesn't say."""
        return await self._batches.run(request, call)

    async def _ask(
        self, request: EmbeddingRequest, call: Call, settlement: Settlement
    ) -> Embeddings:
        settlement.asking()
        dimensions = request.dimensions or DIMENSIONS
        return Embeddings(
            vectors=[vector_of(text, dimensions) for text in request.inputs],
            usage=Usage(input_tokens=sum(map(count, request.inputs))),
            provider=_TARGET.provider,
            model=_TARGET.model,
            response_model=_TARGET.model,
        )


def vector_of(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """The vector of a text; its numbers are 32-bit floats, as they travel.

    >>> vector_of("cats") == vector_of("Cats!")
    True
    """
    sums = [0.0] * dimensions
    for piece in _pieces(text.casefold()):
        code = crc32(piece.encode("utf-8", "replace"))
        sums[code % dimensions] += 1.0 if code >> 31 else -1.0
    if not any(sums):  # everything cancelled out
        sums[0] = 1.0
    length = hypot(*sums)
    return list(array("f", [each / length for each in sums]))


def _pieces(text: str) -> Iterator[str]:
    for word in _WORD.findall(text) or [text]:
        yield word
        framed = f" {word} "
        yield from (framed[place : place + 3] for place in range(len(framed) - 2))
