"""The client for asynchronous code; ``Client`` is the same for everyone else."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, Unpack, overload

import msgspec

from polyvox import estimate
from polyvox.catalog import Catalog, ModelFacts
from polyvox.client import structured
from polyvox.client.async_stream import AsyncStream
from polyvox.client.embedding import EmbedSettings, make_embedding_request
from polyvox.client.settings import CommonSettings, Settings, make_call, make_request
from polyvox.client.structured import Parsed
from polyvox.closing import AsyncClosing
from polyvox.embedding import Embedder, Embeddings
from polyvox.errors import ConfigurationError
from polyvox.http import Timeouts, Transport
from polyvox.messages import AssistantMessage, Prompt
from polyvox.model import Model
from polyvox.providers import Provider, ProviderModel, Registry, UrlFetch
from polyvox.providers.fetching import BY_DEFAULT
from polyvox.transport import TransportName, default_transport

if TYPE_CHECKING:
    from polyvox.config import Config, Setup
    from polyvox.limits import LimitStore
    from polyvox.tools.toolset import BaseToolset

_T = TypeVar("_T")
_COMPOSITE = "composite/"


class TokenCount(msgspec.Struct, frozen=True):
    """How many tokens a prompt has; ``estimated`` when the provider could not be asked."""

    tokens: int
    estimated: bool


class AsyncClient(AsyncClosing):
    """Asks any model.

    Args:
        keys: API keys by provider; otherwise each provider's own environment variable is read.
        base_urls: addresses by provider, in place of the usual ones.
        providers: providers of your own: ``{"lab": {"dialect": "openai-chat", "base_url": "http://..."}}``.
        transport: who moves the bytes: "native", "aiohttp" or "auto", in place of what
            POLYVOX_TRANSPORT says; or your own HTTP client, see "Bring your own HTTP client" in the
            documentation.
        timeouts: how long to wait for a connection, the first byte, and between bytes, in seconds.
        catalog: facts and prices of models, to override the packaged ones.
        fetch: how images and files are fetched whose provider does not fetch them from a URL itself;
            None to refuse them.

    One client may be used from several event loops and threads. Close it, or use it in
    ``async with``, to close its connections.

    >>> async with AsyncClient() as client:  # doctest: +SKIP
    ...     reply = await client.complete("anthropic/claude-sonnet-4-5", "Why is the sky blue?")
    ...     print(reply.text, reply.usage.cost)
    """

    def __init__(
        self,
        *,
        keys: Mapping[str, str] | None = None,
        base_urls: Mapping[str, str] | None = None,
        providers: Mapping[str, Provider | dict[str, object]] | None = None,
        transport: Transport | TransportName | None = None,
        timeouts: Timeouts | None = None,
        catalog: Catalog | None = None,
        fetch: UrlFetch | None = BY_DEFAULT,
    ) -> None:
        if transport is None or isinstance(transport, str):
            transport = self._own_transport = default_transport(transport)
        else:
            self._own_transport = None
        self.registry = Registry(
            transport,
            keys=keys,
            base_urls=base_urls,
            providers=providers,
            timeouts=timeouts,
            catalog=catalog,
            fetch=fetch,
        )
        self._setup: Setup | None = None
        self._toolsets: dict[str, BaseToolset] = {}

    @classmethod
    def from_config(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        providers: Mapping[str, Provider | dict[str, object]] | None = None,
        transport: Transport | TransportName | None = None,
        catalog: Catalog | None = None,
    ) -> "AsyncClient":
        """A client that knows what ``polyvox.toml`` says: its names, and what is around every call.

        Without a path the file is the one that POLYVOX_CONFIG names, or the nearest one, or the
        user's; see "Configure with a file" in the documentation. ``providers`` come on top, and a
        ``catalog`` in place of the file's prices.

        Raises ``ConfigurationError``, which names the file, the line, the key and the nearest known one.
        """
        from polyvox.config import load_config  # only its users pay for it

        config = load_config(path, without=["gateway"])  # whose keys only those have who serve
        return cls._of(config, transport, providers=providers, catalog=catalog)

    @classmethod
    def _of(
        cls,
        config: "Config",
        transport: Transport | TransportName | None,
        *,
        providers: Mapping[str, Provider | dict[str, object]] | None = None,
        catalog: Catalog | None = None,
        keys: Mapping[str, str] | None = None,
        tracked: bool = True,
        accounts: "LimitStore | None" = None,
    ) -> "AsyncClient":
        from polyvox.config import Setup  # only its users pay for it
        from polyvox.config.registering import registry_settings

        settings = registry_settings(config)
        settings["providers"] = {**settings["providers"], **(providers or {})}
        settings["catalog"] = catalog or settings["catalog"]
        settings["keys"] = {**(keys or {}), **settings["keys"]}
        client = cls(transport=transport, **settings)
        client._setup = Setup(config, client.registry, tracked=tracked, accounts=accounts)
        return client

    @classmethod
    def of_config(
        cls,
        config: "Config",
        *,
        keys: Mapping[str, str] | None = None,
        tracked: bool = True,
        accounts: "LimitStore | None" = None,
    ) -> "AsyncClient":
        """A client that knows what this configuration says, which was loaded before.

        ``keys`` are those of providers for which the configuration has none. With ``tracked=False``
        its setup's ``tracker`` counts nothing, for programs that keep books of their own; ``accounts``
        is where budgets and limits count, in place of what the configuration says.
        """
        return cls._of(config, None, keys=keys, tracked=tracked, accounts=accounts)

    @property
    def setup(self) -> "Setup | None":
        """What the configuration has built: its names, log and costs; None without one."""
        return self._setup

    def model(self, name: str) -> Model:
        """The model of that name, to be wrapped, nested, or asked directly.

        Raises ``ConfigurationError`` for an unknown name, ``MissingKeyError`` without a key.
        """
        if self._setup is not None:
            return self._setup.model(name)
        if name.startswith(_COMPOSITE):
            from polyvox.composite.names import composite_model  # only its users pay for it

            return composite_model(name, self)
        return self.registry.model(name)

    def embedder(self, name: str) -> Embedder:
        """The embedding model of that name, to be asked directly, or put within ``layered`` ones.

        Raises as ``model`` does, and ``NotFoundError`` when the provider has no embeddings.
        """
        return self.registry.embedder(name) if self._setup is None else self._setup.embedder(name)

    def toolset(self, name: str) -> "BaseToolset":
        """The tools of the server that the configuration calls so: ``[mcp.<name>]``; closed with the client.

        Raises ``ConfigurationError`` for a name that means nothing, and without the extra ``mcp``.
        """
        from polyvox.client.toolsets import toolset_of  # only its users pay for it

        servers = {} if self._setup is None else self._setup.config.mcp
        if name not in servers:
            raise ConfigurationError(
                f"there is no MCP server {name!r} in the configuration",
                hint=f"It has {', '.join(servers)}." if servers else f"Add a section [mcp.{name}].",
            )
        if name not in self._toolsets:
            self._toolsets[name] = toolset_of(name, servers[name])
        return self._toolsets[name]

    def target(self, name: str) -> str:
        """Who is asked under this name: what an alias stands for, else the name itself."""
        return name if self._setup is None else self._setup.target(name)

    def stream(
        self,
        model: str | Model,
        prompt: Prompt,
        **settings: Unpack[Settings],
    ) -> AsyncStream:
        """Ask, and get the answer as it is made.

        Args:
            model: "provider/model", or a ``Model``.
            prompt: a string, a message, or a list of messages.
            **settings: see ``Settings``.

        Nothing is sent before the stream is read. Raises ``BadRequestError`` for a wrong setting
        here, and every other error while the stream is read.
        """
        chosen = self.model(model) if isinstance(model, str) else model
        return AsyncStream(chosen, make_request(prompt, settings), make_call(settings))

    @overload
    async def complete(
        self,
        model: str | Model,
        prompt: Prompt,
        *,
        response_format: type[_T],
        repair: int = 0,
        **settings: Unpack[CommonSettings],
    ) -> Parsed[_T]: ...

    @overload
    async def complete(
        self,
        model: str | Model,
        prompt: Prompt,
        **settings: Unpack[Settings],
    ) -> AssistantMessage: ...

    async def complete(
        self,
        model: str | Model,
        prompt: Prompt,
        *,
        repair: int = 0,
        **settings: Unpack[Settings],
    ) -> AssistantMessage:
        """Ask, and wait for the whole answer; the arguments are those of ``stream``.

        With a type as ``response_format`` the answer is a ``Parsed`` message whose ``parsed`` is a
        value of that type. ``repair`` says how often a model whose answer does not fit is shown what
        is wrong and asked again; usage and cost of all calls are summed, ``timeout`` is for all.

        Raises ``PolyvoxError``; its ``message`` holds what had arrived. ``InvalidAnswerError`` says
        why an answer is no value of the type.
        """
        chosen = self.model(model) if isinstance(model, str) else model
        return await structured.complete(chosen, prompt, settings, repair)

    async def embed(
        self,
        model: str | Embedder,
        inputs: str | Sequence[str],
        **settings: Unpack[EmbedSettings],
    ) -> Embeddings:
        """The vectors of texts, in their order, from an embedding model.

        Args:
            model: "provider/model", or an ``Embedder``.
            inputs: one text or a list; as many as you like, sent in as many requests as it takes.
            **settings: see ``EmbedSettings``.

        Raises ``PolyvoxError``; the usage of its ``message`` is what was charged until then.
        """
        request = make_embedding_request(inputs, settings)
        chosen = self.embedder(model) if isinstance(model, str) else model
        return await chosen.embed(request, make_call(settings))

    async def models(self, provider: str) -> list[str]:
        """The names of the models a provider serves now, as it tells itself: "provider/model", sorted.

        Raises ``PolyvoxError``.
        """
        names = await self.registry.provider_model(provider, "").models()
        return sorted(f"{provider}/{name}" for name in names)

    async def count_tokens(
        self, model: str, prompt: Prompt, **settings: Unpack[Settings]
    ) -> TokenCount:
        """How many input tokens the prompt has with these settings.

        Asks the provider where it has an endpoint for that, else estimates, and says so.
        Raises ``PolyvoxError``.
        """
        request = make_request(prompt, settings)
        target = self.target(model)
        provided = "/" in target and not target.startswith(_COMPOSITE)
        asked = self.registry.model(target) if provided else self.model(target)
        exact = await asked.count_tokens(request) if isinstance(asked, ProviderModel) else None
        return TokenCount(
            estimate.request_tokens(request) if exact is None else exact, exact is None
        )

    def facts(self, model: str) -> ModelFacts | None:
        """What the catalog knows of a model: context window, limits, prices; None if it is unknown.

        Of a router or a composite it is only the smallest context window of its members.
        """
        return self.registry.facts(model) if self._setup is None else self._setup.facts(model)

    async def aclose(self) -> None:
        """Close the connections, unless the transport was brought from outside."""
        for toolset in self._toolsets.values():
            await toolset.aclose()
        if self._setup is not None:
            await self._setup.aclose()
        await self.registry.aclose()
        if self._own_transport is not None:
            await self._own_transport.aclose()
