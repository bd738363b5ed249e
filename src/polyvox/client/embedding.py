"""The arguments of ``embed``, said once for every method that takes them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from polyvox.client.settings import CallSettings, wrong_setting
from polyvox.embedding import EmbeddingRequest, Task, as_inputs
from polyvox.errors import BadRequestError
from polyvox.suggestions import hint_for

__all__ = ["EmbedSettings", "make_embedding_request"]


class EmbedSettings(CallSettings, total=False):
    """What may be said about embeddings besides their texts: ``CallSettings`` and this.

    dimensions: the length of the vectors, for models that can shorten them.
    task: what they are for: "query", "document", "similarity", "classification", "clustering",
        "question", "fact_check", "code_query". Where the provider has no word for it, it is left out.
    options: vendor fields by provider or dialect, put into the body as they are.
    """

    dimensions: int
    task: Task
    options: dict[str, dict[str, Any]]


def make_embedding_request(
    inputs: str | Sequence[str], settings: EmbedSettings
) -> EmbeddingRequest:
    """The request for these texts with these settings.

    Raises ``BadRequestError`` naming the input or the setting that is wrong.
    """
    for name in settings:
        if name not in EmbedSettings.__annotations__:
            hint = hint_for(name, EmbedSettings.__annotations__)
            raise BadRequestError(f"no setting of embeddings is called {name!r}", hint=hint)
    try:
        about = {k: v for k, v in settings.items() if k not in CallSettings.__annotations__}
        request = msgspec.convert({**about, "inputs": as_inputs(inputs)}, EmbeddingRequest)
    except msgspec.ValidationError as error:
        raise wrong_setting(error) from None
    if request.dimensions is not None and request.dimensions < 1:
        raise BadRequestError(f"dimensions is {request.dimensions}; it must be 1 or more")
    return request
