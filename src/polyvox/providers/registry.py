"""From a name to a model: "provider/model" looked up in the rows."""

import os
from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from polyvox.catalog import Catalog, ModelFacts
from polyvox.catalog.prices import Tariff
from polyvox.dialects import Quirks, Target, get_dialect
from polyvox.embedding import Embedder
from polyvox.errors import ConfigurationError
from polyvox.http import Signer, Timeouts, Transport
from polyvox.layers import Layers
from polyvox.model import Model
from polyvox.providers.aws import AwsSigner
from polyvox.providers.fetching import BY_DEFAULT, UrlFetch, UrlFetcher
from polyvox.providers.provider_model import ProviderModel
from polyvox.providers.rows import (
    Provider,
    address_of,
    base_url_of,
    key_of,
    load_providers,
    missing_key,
    provider_named,
    quirks_for,
    read_row,
)
from polyvox.providers.settlement import Pricing, unknown_price
from polyvox.providers.simulated import simulated_embedder, simulated_model
from polyvox.secret import Secret
from polyvox.usage import FREE, Cost, Usage

SIMULATED = "simulated"
LITELLM = "litellm"
_MOST_LOOKED_UP = 10_000

_Known: TypeAlias = tuple[Quirks, ModelFacts | None, Pricing]


class Registry:
    """Makes models out of names, all over one transport.

    Args:
        transport: who moves the bytes.
        keys: API keys by provider, before those of the environment.
        base_urls: addresses by provider, before those of the environment and the rows.
        providers: further rows, or others of the same name; a dict has a row's fields.
        timeouts: how long the models wait, in seconds.
        catalog: facts and prices; the packaged one by default, read on first use.
        fetch: how URLs are fetched that a provider does not fetch itself; None to refuse them.
        environ: where keys and addresses are looked up; ``os.environ`` by default.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        keys: Mapping[str, str] | None = None,
        base_urls: Mapping[str, str] | None = None,
        providers: Mapping[str, Provider | dict[str, object]] | None = None,
        timeouts: Timeouts | None = None,
        catalog: Catalog | None = None,
        fetch: UrlFetch | None = BY_DEFAULT,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.transport = transport
        if not isinstance(timeouts, (Timeouts, type(None))):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"timeouts is of type {type(timeouts).__name__}",
                hint="Give polyvox.Timeouts(connect=..., first_byte=..., idle=..., total=...), in seconds.",
            )
        self.timeouts = timeouts or Timeouts()
        if not isinstance(fetch, (UrlFetch, type(None))):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"fetch is of type {type(fetch).__name__}",
                hint="Give polyvox.UrlFetch(max_bytes=..., seconds=...), or None to fetch nothing.",
            )
        self.fetcher = None if fetch is None else UrlFetcher(fetch)
        self.environ = os.environ if environ is None else environ
        self._keys = {name: Secret(key) for name, key in (keys or {}).items() if key}
        self._extra = {name: _as_row(name, row) for name, row in (providers or {}).items()}
        self._rows: dict[str, Provider] | None = None
        self._catalog = catalog
        self._aws = AwsSigner(self.environ)
        self._looked_up: dict[tuple[str, str], _Known] = {}
        for name in self._keys:
            provider_named(self.rows, name)
        self._base_urls = {
            name: address_of(provider_named(self.rows, name), f"base_urls[{name!r}]", url)
            for name, url in (base_urls or {}).items()
        }

    @property
    def rows(self) -> dict[str, Provider]:
        """All providers by name."""
        if self._rows is None:
            self._rows = load_providers() | self._extra
        return self._rows

    @property
    def catalog(self) -> Catalog:
        """Facts and prices of models."""
        if self._catalog is None:
            self._catalog = Catalog.load()
        return self._catalog

    async def aclose(self) -> None:
        """Close the connections to what was fetched; those of the transport are its owner's."""
        if self.fetcher is not None:
            await self.fetcher.aclose()

    def model(self, name: str) -> Model:
        """The model of that name, such as "openai/gpt-5-mini" or "simulated/echo".

        Raises ``ConfigurationError`` for a name that means nothing, ``MissingKeyError`` when the
        provider needs a key and there is none.
        """
        provider, model = self._split(name)
        if provider == SIMULATED:
            return simulated_model(name, self._catalog and self._catalog.find(provider, model))
        if provider == LITELLM:
            from polyvox.providers.litellm import LiteLLMModel  # only its users pay for it

            return LiteLLMModel(model, timeouts=self.timeouts, price=self._litellm_cost)
        return self.provider_model(provider, model)

    def embedder(self, name: str, *, layers: Layers | None = None) -> Embedder:
        """The embedding model of that name, such as "openai/text-embedding-3-small".

        ``layers`` are put around each request that it sends: many texts may take several.
        ``layered`` puts them around the whole.

        Raises as ``model`` does, and ``NotFoundError`` when the provider has no embeddings.
        """
        provider, model = self._split(name)
        if provider == SIMULATED:
            return simulated_embedder(name)
        if provider == LITELLM:
            from polyvox.providers.litellm import LiteLLMEmbedder

            return LiteLLMEmbedder(
                model, timeouts=self.timeouts, price=self._litellm_cost, layers=layers
            )
        from polyvox.providers.embedder import ProviderEmbedder, no_embeddings

        if get_dialect(provider_named(self.rows, provider).dialect).embeddings is None:
            raise no_embeddings(provider)  # rather than that its key is missing
        return ProviderEmbedder(self.provider_model(provider, model), layers=layers)

    def provider_model(
        self,
        provider: str,
        model: str,
        *,
        key: Secret | None = None,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ProviderModel:
        """The model of that name at that provider, asked with this key or else the provider's.

        ``base_url`` is asked in place of its usual address, ``headers`` are sent besides its own.
        Raises as ``model`` does, and ``ConfigurationError`` for what is no address.
        """
        row = provider_named(self.rows, provider)
        key = key or self.key(row)
        if key is None and not row.local and row.auth not in ("none", "aws"):
            raise missing_key(row)
        quirks, facts, pricing = self._known(row, model)
        target = Target(
            provider=provider,
            model=model,
            base_url=address_of(row, "base_url", base_url) if base_url else self.base_url(row),
            key=key,
            auth=row.auth,
            headers={**row.headers, **(headers or {})},
            quirks=quirks,
            max_output_tokens=facts.max_output_tokens if facts else None,
        )
        return ProviderModel(
            get_dialect(row.dialect),
            target,
            self.transport,
            timeouts=self.timeouts,
            pricing=pricing,
            fetcher=self.fetcher,
            signer=self._signer() if row.auth == "aws" and key is None else None,
        )

    def _known(self, row: Provider, model: str) -> _Known:
        """What stands in tables about this model; looking it up takes longer than most of a call."""
        known = self._looked_up.get((row.name, model))
        if known is None:
            facts = self.facts(f"{row.name}/{model}")
            known = quirks_for(row, model), facts, _pricing(row, facts)
            if len(self._looked_up) < _MOST_LOOKED_UP:
                self._looked_up[row.name, model] = known
        return known

    def key(self, row: Provider) -> Secret | None:
        """The key for a provider: the one passed in, else the environment's."""
        return self._keys.get(row.name) or key_of(row, self.environ)

    def credentials(self, row: Provider) -> str | None:
        """Where credentials are seen for a provider that takes them in place of a key; a guess."""
        if row.auth != "aws":
            return None
        from polyvox.providers.aws_credentials import seen_credentials  # reads files; seldom asked

        return seen_credentials(self.environ)

    def base_url(self, row: Provider) -> str:
        """Where a provider is asked: the address passed in, else the environment's or the row's."""
        if row.name in self._base_urls:
            return self._base_urls[row.name]
        return base_url_of(row, self._aws.environ() if row.auth == "aws" else self.environ)

    def _signer(self) -> Signer:
        """Who signs for those that want requests signed by Amazon's rules."""
        self._aws.check_installed()
        return self._aws

    def facts(self, name: str) -> ModelFacts | None:
        """What the catalog knows of the model "provider/model"."""
        provider, _, model = name.partition("/")
        row = self.rows.get(provider)
        return self.catalog.find((row and row.catalog) or provider, model)

    def _litellm_cost(self, provider: str, model: str, usage: Usage) -> Cost:
        from polyvox.providers.litellm import OUR_NAMES

        name = OUR_NAMES.get(provider, provider)
        row = self.rows.get(name)
        if row is not None and row.local:
            return FREE
        return self.catalog.cost((row and row.catalog) or name, model, usage)

    def _split(self, name: str) -> tuple[str, str]:
        provider, slash, model = name.partition("/")
        if not slash or not model:
            raise ConfigurationError(f"{name!r} is no model name", hint=self._suggestion(name))
        return provider, model

    def _suggestion(self, name: str) -> str:
        if name in self.rows:
            example = self.rows[name].example
            return f"A model is named provider/model, such as {name}/{example or '<model>'}."
        known = [row.name for row in self.rows.values() if self.facts(f"{row.name}/{name}")]
        if known:
            return (
                "Did you mean " + " or ".join(f"{provider}/{name}" for provider in known[:3]) + "?"
            )
        return "A model is named provider/model, such as openai/gpt-5-mini or simulated/echo."


def _pricing(row: Provider, facts: ModelFacts | None) -> Pricing:
    """What a model's usage costs."""
    if row.local:
        return lambda usage: FREE
    if facts is None:
        return unknown_price
    return Tariff(facts)


def _as_row(name: str, row: Provider | dict[str, object]) -> Provider:
    return (
        msgspec.structs.replace(row, name=name)
        if isinstance(row, Provider)
        else read_row(name, row)
    )
