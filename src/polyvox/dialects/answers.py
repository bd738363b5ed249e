"""Answers that are read whole, as one struct: lists of models, counts of tokens, embeddings."""

from typing import TypeVar

import msgspec

from polyvox import jsontext
from polyvox.dialects.errors import snippet
from polyvox.errors import ProtocolError

__all__ = ["read_answer"]

_T = TypeVar("_T")


def read_answer(body: bytes, kind: type[_T], problem: str = "not the answer asked for") -> _T:
    """The body as this struct. Raises ``ProtocolError`` with the ``problem`` when it is none."""
    try:
        return jsontext.decode(body, kind)
    except (msgspec.DecodeError, RecursionError) as error:
        what = snippet(body) if body.strip() else "nothing"
        raise ProtocolError(f"{problem} ({error}): {what}") from None
