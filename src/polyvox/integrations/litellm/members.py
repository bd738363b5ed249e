"""Who is asked in one call of LiteLLM, with the keys and addresses that came with it."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from polyvox.composite.names import PREFIX, Profiles, composite_model
from polyvox.errors import ConfigurationError
from polyvox.events import Event
from polyvox.model import Call, Model
from polyvox.providers.litellm import OUR_NAMES, load
from polyvox.request import Request
from polyvox.routing import Retrying, RetryPolicy
from polyvox.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyvox.catalog import ModelFacts
    from polyvox.client import AsyncClient, Client
    from polyvox.composite.members import Models

__all__ = ["Access", "Members"]

_LITELLM = "litellm"
_ALIAS = "\0"


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How somebody is asked in this call, besides what the client knows already."""

    key: Secret | None = None
    base_url: str | None = None
    headers: Mapping[str, str] = {}
    retries: int = 0

    @property
    def is_usual(self) -> bool:
        """Whether it is as the client would ask."""
        return self.key is None and self.base_url is None and not self.headers

    def over(self, other: "Access") -> "Access":
        """What it says itself, and what the other one says besides."""
        return Access(
            key=self.key or other.key,
            base_url=self.base_url or other.base_url,
            headers={**other.headers, **self.headers},
            retries=self.retries or other.retries,
        )


class Members:
    """Makes models of names: those of Polyvox where it knows the provider, else those of LiteLLM.

    A name means what it means to LiteLLM: where that calls another provider so than we do, LiteLLM is
    who is asked. Names of the configuration, its aliases and routers, go before both.
    """

    def __init__(self, client: "AsyncClient | Client", access: Access) -> None:
        self._client = client
        self._models: Models = client
        self._access = access
        self._own: dict[str, tuple[str, Access]] = {}

    @property
    def profiles(self) -> Profiles:
        """The profiles of the configuration."""
        setup = self._client.setup
        return {} if setup is None else setup.config.profiles

    @property
    def are_usual(self) -> bool:
        """Whether the call says nothing of how to ask."""
        return self._access == Access()

    def configured(self, name: str) -> Model:
        """The composite of that name, with all that the configuration puts around it."""
        try:
            return self._client.model(name)
        except ConfigurationError:
            if self._client.setup is not None:
                raise
            return composite_model(name, self)  # of somebody whom only LiteLLM knows

    def composite(self, name: str, make: "Callable[[Models], Model]") -> Model:
        """The composite that is made of these members, with all that the configuration puts around it."""
        setup = self._client.setup
        return make(self) if setup is None else setup.composite(name, partial(self._made, make))

    def _made(self, make: "Callable[[Models], Model]", models: "Models") -> Model:
        self._models = models
        return make(self)

    def known_as(self, name: str, access: Access) -> str:
        """A name for one who is asked in a way of their own; only these members know it."""
        alias = f"{name}{_ALIAS}{len(self._own)}"
        self._own[alias] = name, access.over(self._access)
        return alias

    def model(self, name: str) -> Model:
        """The model of that name. Raises ``ConfigurationError`` for one that means nothing."""
        name, access = self._own.get(name, (name, self._access))
        model = self._model(name, access)
        if access.retries and not name.startswith(PREFIX):
            return Retrying(model, RetryPolicy(attempts=access.retries + 1))
        return model

    def facts(self, model: str) -> "ModelFacts | None":
        """What the catalog knows of it."""
        return self._client.facts(self._own.get(model, (model, self._access))[0])

    def _model(self, name: str, access: Access) -> Model:
        setup, registry = self._client.setup, self._client.registry
        provider, _, model = name.partition("/")
        if name.startswith(PREFIX) and access != Access():
            return composite_model(name, Members(self._client, access), self.profiles)
        if setup is not None and name in setup.names:
            return self._models.model(name)
        ours = provider in registry.rows and OUR_NAMES.get(provider, "") not in registry.rows
        if provider == _LITELLM or (not ours and _is_litellms(name)):
            asked = registry.model(f"{_LITELLM}/{name.removeprefix(f'{_LITELLM}/')}")
            return asked if access.is_usual else _Told(asked, access)
        if access.is_usual or not model or provider not in registry.rows:
            return self._models.model(name)
        return registry.provider_model(
            provider, model, key=access.key, base_url=access.base_url, headers=access.headers
        )


def _is_litellms(name: str) -> bool:
    """Whether LiteLLM knows the provider, or without one the model; told without its own printing."""
    litellm: Any = load()
    provider, slash, _ = name.partition("/")
    return provider in litellm.provider_list if slash else name in litellm.model_cost


class _Told:
    """A model that LiteLLM reaches, asked with this key, at this address."""

    def __init__(self, model: Model, access: Access) -> None:
        self.name = model.name
        self._model = model
        self._told: dict[str, Any] = {}
        if access.key is not None:
            self._told["api_key"] = access.key.reveal()
        if access.base_url is not None:
            self._told["api_base"] = access.base_url
        if access.headers:
            self._told["extra_headers"] = dict(access.headers)

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The model's own events."""
        told = self._told | request.options.get(_LITELLM, {})
        asked = msgspec.structs.replace(request, options={**request.options, _LITELLM: told})
        async with aclosing(self._model.stream(asked, call)) as events:
            async for event in events:
                yield event
