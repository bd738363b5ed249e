"""Embeddings through LiteLLM: it carries each batch, all the rest is as anywhere else."""

from typing import Any

from polyvox import jsontext
from polyvox.dialects import Target
from polyvox.dialects.embedding import untold
from polyvox.dialects.openai_embeddings import OpenAIEmbeddings
from polyvox.embedding import EmbeddingRequest, Embeddings
from polyvox.errors import PolyvoxError
from polyvox.http import Timeouts
from polyvox.layers import Layers
from polyvox.model import Call
from polyvox.providers.batches import Batches
from polyvox.providers.litellm.asking import PROVIDER, about_the_call
from polyvox.providers.litellm.failures import mask_key, translated
from polyvox.providers.litellm.loading import check_installed, loaded
from polyvox.providers.litellm.prices import ListPrice, litellm_cost, no_list
from polyvox.providers.settlement import Settlement
from polyvox.quote import priced, worst_embedding
from polyvox.transport.watch import Watch
from polyvox.usage import UNKNOWN_COST, Cost, Usage

_CODEC = OpenAIEmbeddings(PROVIDER)


class LiteLLMEmbedder:
    """Ask LiteLLM for vectors, a hundred texts at a time. It is imported by the first call.

    ``EmbeddingRequest.options["litellm"]`` are arguments of ``litellm.aembedding`` and go before all
    others. Arguments are those of ``LiteLLMModel``, and so is the error when it is not installed.
    LiteLLM has a way of its own to understand that it shall not try again: it asks OpenAI's format
    up to three times all the same.
    """

    def __init__(
        self,
        model: str,
        *,
        timeouts: Timeouts | None = None,
        price: ListPrice = no_list,
        layers: Layers | None = None,
    ) -> None:
        check_installed()
        self.target = Target(provider=PROVIDER, model=model, base_url="")
        self.timeouts = timeouts or Timeouts()
        self.price = price
        self._batches = Batches(
            self._ask, self.target, timeouts=self.timeouts, pricing=self._cost, layers=layers
        )
        self._answering: tuple[Any, str, str] | None = None

    @property
    def name(self) -> str:
        """The name it is asked by: "litellm/provider/model"."""
        return self.target.producer

    def quote(self, request: EmbeddingRequest) -> Usage:
        """The most that embedding may use, with its cost where the catalog has a price."""
        provider, _, model = self.target.model.partition("/")
        worst = worst_embedding(request.inputs)
        return priced(worst, lambda usage: self.price(provider, model, usage))

    async def embed(self, request: EmbeddingRequest, call: Call) -> Embeddings:
        """The vectors. Raises ``PolyvoxError``; the usage of its ``message`` is what was charged."""
        return await self._batches.run(request, call)

    async def _ask(
        self, request: EmbeddingRequest, call: Call, settlement: Settlement
    ) -> Embeddings:
        try:
            return await self._asked(request, call, settlement)
        except PolyvoxError as error:
            mask_key(error, request.options)
            raise

    async def _asked(
        self, request: EmbeddingRequest, call: Call, settlement: Settlement
    ) -> Embeddings:
        watch = Watch(self.timeouts, call)
        try:
            with watch:
                litellm: Any = await loaded()
            own = request.options.get(PROVIDER, {})
            with watch, translated():
                model, provider, *_ = litellm.get_llm_provider(
                    model=self.target.model,
                    custom_llm_provider=own.get("custom_llm_provider"),
                    api_base=own.get("api_base") or own.get("base_url"),
                )
                self._answering = litellm, provider, model
                settlement.asking()
                answer = await litellm.aembedding(**self._arguments(request))
        finally:
            watch.close()
        embeddings = _CODEC.decode_response(jsontext.encode(answer.model_dump()), self.target)
        embeddings.dropped = untold(request)
        return embeddings

    def _arguments(self, request: EmbeddingRequest) -> dict[str, Any]:
        arguments = {
            "model": self.target.model,
            "input": request.inputs,
            **about_the_call(self.timeouts),
        }
        if request.dimensions is not None:
            arguments["dimensions"] = request.dimensions
        return arguments | request.options.get(PROVIDER, {})

    def _cost(self, usage: Usage) -> Cost:
        if self._answering is None:
            return UNKNOWN_COST
        litellm, provider, model = self._answering
        listed = self.price(provider, model, usage)
        if listed.status != "unknown":
            return listed
        return litellm_cost(litellm, provider, model, usage)
