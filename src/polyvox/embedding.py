"""Texts as vectors: what is asked, what comes back, and who can be asked."""

from typing import Any, Literal, Protocol, TypeAlias, cast

import msgspec

from polyvox.errors import BadRequestError
from polyvox.model import Call
from polyvox.usage import NO_USAGE, Usage

__all__ = ["Embedder", "EmbeddingRequest", "Embeddings", "Encoding", "Task", "as_inputs"]

Task: TypeAlias = Literal[
    "query",
    "document",
    "similarity",
    "classification",
    "clustering",
    "question",
    "fact_check",
    "code_query",
]
"""What the vectors are for. The first two belong together: documents are searched with queries."""

Encoding: TypeAlias = Literal["float", "base64"]


class EmbeddingRequest(msgspec.Struct, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """Texts to be turned into vectors.

    None means "not said": the model's default holds. ``dimensions`` is the length of the vectors,
    for models that can shorten them. ``options`` are vendor fields, by provider or dialect name, and
    go into the body untouched: ``{"ollama": {"truncate": False}}``. ``encoding`` is how a client of
    a server wants the vectors written; when a provider is asked, its own row decides.
    """

    inputs: list[str]
    model: str = ""
    dimensions: int | None = None
    task: Task | None = None
    options: dict[str, dict[str, Any]] = {}
    encoding: Encoding = "float"


class Embeddings(msgspec.Struct, kw_only=True):
    """The vectors of some texts, in the order of the texts.

    ``provider`` and ``model`` say who was asked, ``response_model`` the exact model that the
    provider says answered. ``dropped`` names each wish that could not be told to the provider, with
    what became of it.
    """

    vectors: list[list[float]]
    usage: Usage = NO_USAGE
    provider: str = ""
    model: str = ""
    response_model: str = ""
    dropped: tuple[tuple[str, str], ...] = ()


class Embedder(Protocol):
    """Anything that can turn texts into vectors.

    It may have a method ``quote(request) -> Usage``, the most that this may use and cost: without one
    its price is unknown to budgets. ``layered`` puts around it what there is for models.
    """

    @property
    def name(self) -> str:
        """The name it is asked by, such as "openai/text-embedding-3-small"."""
        ...

    async def embed(self, request: EmbeddingRequest, call: Call) -> Embeddings:
        """The vectors. Raises ``PolyvoxError``; the usage of its ``message`` is what was charged."""
        ...


def as_inputs(given: object, name: str = "inputs") -> list[str]:
    """The texts of what was given: one string or a list of them.

    Raises ``BadRequestError``, which calls the place by ``name``, for what no provider could embed.

    >>> as_inputs("cats")
    ['cats']
    """
    if not isinstance(given, (str, list, tuple)):
        kind = type(given).__name__
        raise BadRequestError(f"{name} is a {kind}", hint="Give a string, or a list of strings.")
    texts = [given] if isinstance(given, str) else cast("list[object]", list(given))  # pyright: ignore[reportUnknownArgumentType]
    if not texts:
        raise BadRequestError(f"{name} is empty", hint="Give one text at least.")
    return [_text(text, f"{name}[{place}]") for place, text in enumerate(texts)]


def _text(text: object, place: str) -> str:
    if not isinstance(text, str):
        kind = type(text).__name__
        raise BadRequestError(f"{place} is a {kind}", hint="Only texts are embedded: strings.")
    if not text:
        raise BadRequestError(f"{place} is empty", hint="Leave it out, or put a word there.")
    return text
