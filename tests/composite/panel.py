"""A panel over processes: mock providers that are programs of their own, and a client that asks them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
import msgspec
from msgspec.structs import replace

import polyvox
from polyvox.catalog import ModelFacts
from polyvox.client.settings import make_call, make_request
from polyvox.events import Done, Failed
from polyvox.messages import AssistantMessage
from polyvox.model import Model
from polyvox.request import Request
from polyvox.testing import Ledger, ServedRequest, check_grammar

DIALECTS = {"openai": "openai-chat", "anthropic": "anthropic-messages"}
PATIENCE = 60.0
NEVER = {"hold_until": 1_000, "hold_limit": PATIENCE}
"""Knobs of an answer that does not come: not even its head."""

Turn = dict[str, Any]


def says(
    text: str, tokens: tuple[int, int] = (10, 5), *, repeat: bool = False, **knobs: Any
) -> Turn:
    """A turn of a script, with so much input and output told."""
    told = {"input_tokens": tokens[0], "output_tokens": tokens[1]}
    turn: Turn = {"message": {"content": text, "usage": told}}
    return turn | ({"knobs": knobs} if knobs else {}) | ({"repeat": True} if repeat else {})


class Server:
    """One mock provider in a process of its own, and its books as it keeps them itself."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url = url

    async def ledger(self, **until: int) -> Ledger:
        """Its books, as soon as they are like that."""
        query = {**until, "within": PATIENCE}
        async with (
            aiohttp.ClientSession() as session,
            session.get(urljoin(self.url, "/_mock/record"), params=query) as response,
        ):
            body = await response.read()
        assert response.status == 200, (until, body)
        return msgspec.json.decode(body, type=Ledger)

    async def release(self) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.post(urljoin(self.url, "/_mock/release")) as response,
        ):
            assert response.status == 204

    async def stop(self) -> None:
        self._process.terminate()
        await self._process.wait()


class Panel:
    """Servers by provider, and one client that knows where they are."""

    def __init__(self, servers: dict[str, Server], client: polyvox.AsyncClient) -> None:
        self.servers = servers
        self.client = client

    def models(self, *names: str) -> list[Model]:
        return [self.client.model(name) for name in names]

    async def ledgers(self, **until: int) -> dict[str, Ledger]:
        found = await asyncio.gather(*(each.ledger(**until) for each in self.servers.values()))
        return dict(zip(self.servers, found, strict=True))

    async def served(self) -> list[tuple[str, ServedRequest]]:
        """All requests of all servers once none is under way, with the names of their models."""
        ledgers = await self.ledgers(in_flight=0)
        return sorted(
            (
                (f"{provider}/{each.request.model}", each)
                for provider, ledger in ledgers.items()
                for each in ledger.served
                if each.request
            ),
            key=lambda pair: pair[1].came,
        )

    async def requests(self, name: str) -> list[Request]:
        """What the server of this model was asked for it."""
        return [
            each.request for asked, each in await self.served() if asked == name and each.request
        ]

    async def release(self) -> None:
        await asyncio.gather(*(each.release() for each in self.servers.values()))

    async def ask(
        self, model: Model, how: str, prompt: Any = "Why?", **settings: Any
    ) -> AssistantMessage:
        """The reply: of ``complete``, of a stream, or of a request for whole answers on the wire."""
        async with asyncio.timeout(PATIENCE):
            if how == "complete":
                return await self.client.complete(model, prompt, **settings)
            request = replace(make_request(prompt, settings), stream=how == "streamed")
            async with aclosing(model.stream(request, make_call(settings))) as events:
                told = [event async for event in events]
            check_grammar(told)
            last = told[-1]
            if isinstance(last, Failed):
                raise last.error
            assert isinstance(last, Done), last
            return last.message


@asynccontextmanager
async def panel(folder: Path, scripts: Mapping[str, Sequence[Turn]]) -> AsyncIterator[Panel]:
    """Start a server for each provider that is named in the scripts: these are by "provider/model"."""
    async with AsyncExitStack() as stack:
        of: dict[str, dict[str, Sequence[Turn]]] = {}
        for name, turns in scripts.items():
            provider, _, model = name.partition("/")
            of.setdefault(provider, {})[model] = turns
        started = await asyncio.gather(*(_start(folder, *each) for each in of.items()))
        for server in started:
            stack.push_async_callback(server.stop)
        servers = dict(zip(of, started, strict=True))
        client = polyvox.AsyncClient(
            base_urls={provider: server.url for provider, server in servers.items()},
            keys=dict.fromkeys(servers, "sk-any-0000"),
        )
        yield Panel(servers, await stack.enter_async_context(client))


async def _start(folder: Path, provider: str, script: Mapping[str, Sequence[Turn]]) -> Server:
    path = folder / f"{provider}.json"
    path.write_text(json.dumps(script))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "polyvox.cli", "mock"),
        *("--dialect", DIALECTS[provider], "--script", str(path)),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    assert url.startswith("http://127.0.0.1:"), "the mock has not begun to serve"
    return Server(process, url)


def words_of(request: Request) -> str:
    """All that a model was told in words."""
    texts = [*(block.text for block in request.system), *(each.text for each in request.messages)]
    return "\n".join(texts)


def nanos_of(facts: ModelFacts, each: ServedRequest) -> int:
    """What a request cost: its tokens times the catalog's plain prices, rounded to the nano-dollar."""
    usage, (prices,) = each.usage, facts.prices
    assert usage is not None
    assert isinstance(prices.input, int)
    assert isinstance(prices.output, int)
    exact = usage.input_tokens * prices.input + usage.output_tokens * prices.output
    return (exact + 500_000) // 1_000_000


def list_items(text: str) -> Iterator[tuple[int, str]]:
    """The items of a numbered list, as whoever reads it sees them: one begins where a line does."""
    number, lines = 0, list[str]()
    for line in text.splitlines():
        head, dot, rest = line.partition(". ")
        if dot and head.isdigit():
            if number:
                yield number, "\n".join(lines).strip()
            number, lines = int(head), [rest]
        elif number:
            lines.append(line)
    if number:
        yield number, "\n".join(lines).strip()


def boxes(text: str, tag: str) -> dict[str, str]:
    """What stands between tags, by their names."""
    found: dict[str, str] = {}
    for part in text.split(f"<{tag} name=")[1:]:
        name, _, rest = part.removeprefix('"').partition('">\n')
        inner, end, _ = rest.partition(f"\n</{tag}>")
        assert end
        found[name] = inner
    return found
