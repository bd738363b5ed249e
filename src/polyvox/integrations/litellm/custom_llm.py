"""The ``litellm.CustomLLM``: LiteLLM calls it, a composite answers.

LiteLLM's four functions differ in who waits. Work without ``await`` runs in event loops that are kept
between calls; where one runs in the thread already, in a helper thread: members are always asked at
the same time. One client serves all, whose connections belong to the loop that they were made in.
"""

import threading
import weakref
from collections.abc import AsyncGenerator, Coroutine, Generator, Mapping
from contextlib import aclosing, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from polyvox.client import AsyncClient, AsyncStream, Client, Stream
from polyvox.client.loops import LoopPool
from polyvox.composite.names import PREFIX
from polyvox.config.finding import is_configured
from polyvox.errors import BadRequestError
from polyvox.integrations.litellm.answers import ChunkWriter, whole_answer
from polyvox.integrations.litellm.failures import raising
from polyvox.integrations.litellm.members import Members
from polyvox.integrations.litellm.parameters import (
    access_of,
    check_client,
    request_of,
    split,
)
from polyvox.integrations.litellm.wanted import composite_of
from polyvox.model import Call, Model
from polyvox.providers.litellm import load
from polyvox.request import Request

if TYPE_CHECKING:

    class _CustomLLM:
        """What LiteLLM calls; its package is an extra."""

else:
    _CustomLLM = load().CustomLLM

__all__ = ["CompositeLLM"]


class _Asked(NamedTuple):
    """A call, ready to be made. ``name`` is the model's as LiteLLM knows it."""

    name: str
    model: Model
    request: Request
    call: Call
    summary: bool

    def stream(self) -> AsyncStream:
        return AsyncStream(self.model, self.request, self.call)


class CompositeLLM(_CustomLLM):
    """Answers what LiteLLM is asked under ``composite/...``; ``register`` makes one.

    Args:
        config: the path of a ``polyvox.toml``; without one it is found.
        client: who makes models of names, instead.

    Nothing is read or opened before the first call.
    """

    def __init__(
        self, *, config: str | Path | None = None, client: AsyncClient | Client | None = None
    ) -> None:
        super().__init__()
        self._made_of = config, client
        self._clients = _Clients(config, client)
        self._loops = LoopPool()
        # When it is forgotten, or the program ends.
        weakref.finalize(self, _close, self._loops, self._clients)

    def is_made_of(self, config: str | Path | None, client: AsyncClient | Client | None) -> bool:
        """Whether it was made with these arguments; none of them suits any."""
        return (config, client) in (self._made_of, (None, None))

    def completion(self, **said: Any) -> Any:
        """The whole answer, a ``ModelResponse``. Raises LiteLLM's exceptions, as all four do."""
        asked = self._asked(said)
        return self._loops.run(lambda: _awaited(asked))

    def acompletion(self, **said: Any) -> Coroutine[Any, Any, Any]:
        """The same, for who awaits it."""
        return _awaited(self._asked(said))

    def streaming(self, **said: Any) -> Generator[Any]:
        """The answer as ``ModelResponseStream`` chunks; closing it ends the whole composite."""
        return self._streamed(self._asked(said))

    def astreaming(self, **said: Any) -> AsyncGenerator[Any]:
        """The same, for asynchronous code."""
        return _streamed(self._asked(said))

    def _streamed(self, asked: _Asked) -> Generator[Any]:
        writer = ChunkWriter(asked.name, summary=asked.summary)
        with (
            raising(asked.name),
            closing(Stream(asked.stream(), self._loops.take(), self._loops.give_back)) as stream,
        ):
            for event in stream:
                yield from writer.write(event)

    def _asked(self, said: Mapping[str, Any]) -> _Asked:
        model = f"{PREFIX}{said['model']}"
        litellm_params: dict[str, Any] = said.get("litellm_params") or {}
        with raising(model):
            check_client(litellm_params)
            own, openais = split(said["optional_params"])
            access = access_of({**said, "max_retries": litellm_params.get("max_retries")})
            members = Members(self._clients.of(own.get("config_file_path")), access)
            request = request_of(said["messages"], openais)
            return _Asked(
                model,
                composite_of(model, own, members, request),
                request,
                Call.timeout(_seconds(said.get("timeout"))),
                own.get("include_stage_summaries_in_reasoning", True),
            )


async def _awaited(asked: _Asked) -> Any:
    with raising(asked.name):
        return await whole_answer(asked.stream(), asked.name, summary=asked.summary)


async def _streamed(asked: _Asked) -> AsyncGenerator[Any]:
    writer = ChunkWriter(asked.name, summary=asked.summary)
    with raising(asked.name):
        async with aclosing(asked.stream()) as stream:
            async for event in stream:
                for chunk in writer.write(event):
                    yield chunk


def _seconds(timeout: Any) -> float | None:
    """LiteLLM's timeout, which may be one of its HTTP client's."""
    return getattr(timeout, "read", timeout)


class _Clients:
    """The clients of a handler, made when they are first needed: one, and one for each other file."""

    def __init__(self, config: str | Path | None, client: AsyncClient | Client | None) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._given = client
        self.made: dict[str | Path | None, AsyncClient] = {}

    def of(self, path: object) -> AsyncClient | Client:
        """The client for a configuration; None: the handler's own.

        Raises ``ConfigurationError`` for a file that is wrong, ``BadRequestError`` for what is none.
        """
        if not isinstance(path, str | Path | None):
            raise BadRequestError("config_file_path is no path")
        if path is None and self._given is not None:
            return self._given
        with self._lock:
            if path not in self.made:
                self.made[path] = _configured(path or self._config)
            return self.made[path]

    async def aclose(self) -> None:
        """Close those that were made here."""
        for client in self.made.values():
            await client.aclose()


def _configured(config: str | Path | None) -> AsyncClient:
    if config is None and not is_configured():
        return AsyncClient()
    return AsyncClient.from_config(config)


def _close(loops: LoopPool, clients: _Clients) -> None:
    if clients.made:
        loops.run(clients.aclose)
    loops.close(_nothing)


async def _nothing() -> None:
    """A loop that is closed closes the connections that were made in it."""
