"""A provider's embedding model: its dialect's codec over a transport."""

from polyvox.embedding import EmbeddingRequest, Embeddings
from polyvox.errors import NotFoundError
from polyvox.layers import Layers
from polyvox.model import Call
from polyvox.providers.batches import Batches
from polyvox.providers.provider_model import ProviderModel
from polyvox.providers.settlement import Settlement
from polyvox.usage import Usage

__all__ = ["ProviderEmbedder", "no_embeddings"]


class ProviderEmbedder:
    """Ask one model of one provider for vectors, in as many requests as its limits want.

    Raises ``NotFoundError`` when the provider's format has no embeddings.

    Args:
        model: the same model, as it is asked for answers.
        layers: what is around each request that is sent, such as ``Retrying``.
    """

    def __init__(self, model: ProviderModel, *, layers: Layers | None = None) -> None:
        codec = model.dialect.embeddings
        if codec is None:
            raise no_embeddings(model.target.provider)
        self._codec = codec
        self._model = model
        self._batches = Batches(
            self._ask,
            model.target,
            timeouts=model.timeouts,
            pricing=model.pricing,
            layers=layers,
        )

    @property
    def name(self) -> str:
        """The name it is asked by: "provider/model"."""
        return self._model.name

    def quote(self, request: EmbeddingRequest) -> Usage:
        """The most that embedding may use, with its cost."""
        return self._batches.quote(request)

    async def embed(self, request: EmbeddingRequest, call: Call) -> Embeddings:
        """The vectors. Raises ``PolyvoxError``; the usage of its ``message`` is what was charged."""
        return await self._batches.run(request, call)

    async def _ask(
        self, request: EmbeddingRequest, call: Call, settlement: Settlement
    ) -> Embeddings:
        http = self._codec.encode_request(request, self._model.target)
        settlement.asking()
        body = await self._model.fetch(http, call, settlement.heard)
        answer = self._codec.decode_response(body, self._model.target)
        answer.dropped = http.dropped
        return answer


def no_embeddings(provider: str) -> NotFoundError:
    """The error that a provider can't be asked for embeddings."""
    error = NotFoundError(
        "there are no embeddings at this provider",
        hint="Ask another, such as openai/text-embedding-3-small, google/gemini-embedding-001 or"
        " ollama/nomic-embed-text; without a network: simulated/embedding.",
    )
    error.provider = provider
    return error
