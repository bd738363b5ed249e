"""The client for synchronous code: the asynchronous one, driven from here."""

import os
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, Unpack, overload

from polyvox.catalog import Catalog, ModelFacts
from polyvox.client import structured
from polyvox.client.async_client import AsyncClient, TokenCount
from polyvox.client.embedding import EmbedSettings
from polyvox.client.loops import LoopDriver, LoopPool
from polyvox.client.settings import CommonSettings, Settings
from polyvox.client.structured import Parsed
from polyvox.client.sync_stream import Stream
from polyvox.closing import Closing
from polyvox.embedding import Embedder, Embeddings
from polyvox.http import Timeouts, Transport
from polyvox.messages import AssistantMessage, Prompt
from polyvox.model import Model
from polyvox.providers import Provider, Registry, UrlFetch
from polyvox.providers.fetching import BY_DEFAULT
from polyvox.transport import TransportName

if TYPE_CHECKING:
    from polyvox.config import Setup
    from polyvox.tools.toolset import BaseToolset

_T = TypeVar("_T")


class Client(Closing):
    """Asks any model, from synchronous code; the arguments are those of ``AsyncClient``.

    May be used from several threads at once, and also where an event loop is running (notebooks).

    >>> with Client() as client:
    ...     print(client.complete("simulated/echo", "hello").text)
    hello
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
        client = AsyncClient(
            keys=keys,
            base_urls=base_urls,
            providers=providers,
            transport=transport,
            timeouts=timeouts,
            catalog=catalog,
            fetch=fetch,
        )
        self._drive(client)

    @classmethod
    def from_config(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        providers: Mapping[str, Provider | dict[str, object]] | None = None,
        transport: Transport | TransportName | None = None,
        catalog: Catalog | None = None,
    ) -> "Client":
        """A client that knows what ``polyvox.toml`` says; see ``AsyncClient.from_config``."""
        client = cls.__new__(cls)
        client._drive(
            AsyncClient.from_config(path, providers=providers, transport=transport, catalog=catalog)
        )
        return client

    def _drive(self, client: AsyncClient) -> None:
        self._client = client
        self._loops = LoopPool()
        # Also for a client that nobody closed: when it is forgotten, or the program ends.
        self._close = weakref.finalize(self, self._loops.close, self._client.aclose)

    @property
    def registry(self) -> Registry:
        """Where names become models."""
        return self._client.registry

    @property
    def setup(self) -> "Setup | None":
        """What the configuration has built; see ``AsyncClient.setup``."""
        return self._client.setup

    def model(self, name: str) -> Model:
        """The model of that name; see ``AsyncClient.model``."""
        return self._client.model(name)

    def embedder(self, name: str) -> Embedder:
        """The embedding model of that name; see ``AsyncClient.embedder``."""
        return self._client.embedder(name)

    def toolset(self, name: str) -> "BaseToolset":
        """The tools of a server of the configuration; see ``AsyncClient.toolset``."""
        return self._client.toolset(name)

    def stream(
        self,
        model: str | Model,
        prompt: Prompt,
        **settings: Unpack[Settings],
    ) -> Stream:
        """Ask, and get the answer as it is made.

        The settings are ``system``, ``tools``, ``tool_choice``, ``parallel_tool_calls``,
        ``max_tokens``, ``temperature``, ``top_p``, ``stop``, ``seed``, ``reasoning``, ``cache``,
        ``metadata``, ``options`` and ``response_format``; ``interrupt``, ``timeout``, ``tenant``,
        ``session``, ``tags``, ``caching`` and ``caching_ttl``: see ``polyvox.Settings``. Nothing is
        sent before the stream is read. Raises as ``AsyncClient.stream`` does.
        """
        stream = self._client.stream(model, prompt, **settings)
        return Stream(stream, self._loops.take(), self._give_back)

    @overload
    def complete(
        self,
        model: str | Model,
        prompt: Prompt,
        *,
        response_format: type[_T],
        repair: int = 0,
        **settings: Unpack[CommonSettings],
    ) -> Parsed[_T]: ...

    @overload
    def complete(
        self,
        model: str | Model,
        prompt: Prompt,
        **settings: Unpack[Settings],
    ) -> AssistantMessage: ...

    def complete(
        self,
        model: str | Model,
        prompt: Prompt,
        *,
        repair: int = 0,
        **settings: Unpack[Settings],
    ) -> AssistantMessage:
        """Ask, and wait for the whole answer.

        The settings are those of ``stream``. With a type as ``response_format`` the reply has its
        value as ``parsed``; ``repair`` is how often to ask again for one that does not fit. Raises
        ``PolyvoxError``; its ``message`` holds what had arrived.
        """
        chosen = self.model(model) if isinstance(model, str) else model
        return self._loops.run(lambda: structured.complete(chosen, prompt, settings, repair))

    def embed(
        self,
        model: str | Embedder,
        inputs: str | Sequence[str],
        **settings: Unpack[EmbedSettings],
    ) -> Embeddings:
        """The vectors of texts, in their order; see ``AsyncClient.embed``.

        The settings are ``dimensions``, ``task`` and ``options``: see ``polyvox.EmbedSettings``.
        """
        return self._loops.run(lambda: self._client.embed(model, inputs, **settings))

    def models(self, provider: str) -> list[str]:
        """The models a provider serves now; see ``AsyncClient.models``."""
        return self._loops.run(lambda: self._client.models(provider))

    def count_tokens(self, model: str, prompt: Prompt, **settings: Unpack[Settings]) -> TokenCount:
        """How many input tokens the prompt has; see ``AsyncClient.count_tokens``."""
        return self._loops.run(lambda: self._client.count_tokens(model, prompt, **settings))

    def facts(self, model: str) -> ModelFacts | None:
        """What the catalog knows of a model; see ``AsyncClient.facts``."""
        return self._client.facts(model)

    def close(self) -> None:
        """Close the connections."""
        self._close()

    def _give_back(self, driver: LoopDriver) -> None:
        # A method of the client, so that a stream keeps its client from being forgotten.
        self._loops.give_back(driver)


@overload
def ask(
    model: str,
    prompt: Prompt,
    *,
    response_format: type[_T],
    repair: int = 0,
    **settings: Unpack[CommonSettings],
) -> Parsed[_T]: ...


@overload
def ask(
    model: str,
    prompt: Prompt,
    **settings: Unpack[Settings],
) -> AssistantMessage: ...


def ask(
    model: str,
    prompt: Prompt,
    *,
    repair: int = 0,
    **settings: Unpack[Settings],
) -> AssistantMessage:
    """Ask a model once: for scripts. A program that asks more often keeps a ``Client``.

    Args:
        model: "provider/model", such as "anthropic/claude-sonnet-4-5" or "simulated/echo".
        prompt: a string, a message, or a list of messages.
        repair: how often an answer that does not fit a type given as ``response_format`` is sent
            back to be corrected; see ``AsyncClient.complete``.
        **settings: see ``Settings``.

    Raises ``PolyvoxError``; its ``message`` holds what had arrived.

    >>> ask("simulated/echo", "hello").text
    'hello'
    """
    with Client() as client:
        chosen = client.model(model)
        return client._loops.run(  # pyright: ignore[reportPrivateUsage]
            lambda: structured.complete(chosen, prompt, settings, repair)
        )


def embed(
    model: str,
    inputs: str | Sequence[str],
    **settings: Unpack[EmbedSettings],
) -> Embeddings:
    """Turn texts into vectors once: for scripts. A program that does so more often keeps a ``Client``.

    The arguments are those of ``AsyncClient.embed``. Raises ``PolyvoxError``.

    >>> len(embed("simulated/embedding", ["cats", "dogs"], dimensions=64).vectors)
    2
    """
    with Client() as client:
        return client.embed(model, inputs, **settings)
