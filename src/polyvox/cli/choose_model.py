"""Which model is asked when none is named, and why.

In this order: the first provider, in the order of the rows, whose key is in the environment, with
the example model of its row; a local Ollama or llama.cpp server, if one answers on this machine;
``simulated/echo``, which is always there.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from polyvox.cli.addresses import is_loopback
from polyvox.client import AsyncClient
from polyvox.errors import PolyvoxError
from polyvox.providers import Provider, Registry

__all__ = ["FALLBACK", "Choice", "LocalServer", "choose_model", "keyed_providers", "look_at"]

_LOCAL_SERVERS = ("ollama", "llama-cpp")
PROBE_SECONDS = 3.0
FALLBACK = "simulated/echo"


class Choice(msgspec.Struct, frozen=True):
    """A model's name, why it is the one, and what there is to know about it."""

    name: str
    why: str
    advice: str = ""

    def __str__(self) -> str:
        return f"Using {self.name}: {self.why} {self.advice}".rstrip()


class LocalServer(msgspec.Struct, frozen=True):
    """What a server on this machine said to the question which models it has.

    ``models`` are their names ("ollama/llama3.2"); ``error`` is why there was no answer.
    """

    provider: str
    title: str
    base_url: str
    models: list[str] = []
    error: str = ""

    @property
    def chat_model(self) -> str | None:
        """Its first model that can talk: those for embeddings can't."""
        return next((name for name in self.models if "embed" not in name.lower()), None)


async def choose_model(client: AsyncClient) -> Choice:
    """The model to ask when the user named none."""
    for row, variable in keyed_providers(client.registry):
        if row.example:
            return Choice(f"{row.name}/{row.example}", f"{variable} is set.")
    rows = client.registry.rows
    local = [rows[name] for name in _LOCAL_SERVERS if name in rows]
    servers = await asyncio.gather(*(look_at(client, row) for row in local))
    for server in servers:
        if server.chat_model:
            return Choice(
                server.chat_model,
                f"no API key is set, and {server.title} answers at {server.base_url}.",
            )
    advice = "It only repeats what you say; 'polyvox doctor' says how to get a real one."
    return Choice(FALLBACK, _why_simulated(servers), advice)


def keyed_providers(registry: Registry) -> list[tuple[Provider, str]]:
    """The providers whose key is in the environment and whose address is known, with the variable."""
    found: list[tuple[Provider, str]] = []
    for row in registry.rows.values():
        variable = next(
            (name for name in row.key_env if registry.environ.get(name, "").strip()), ""
        )
        if variable and not row.local and _address(registry, row):
            found.append((row, variable))
    return found


async def look_at(client: AsyncClient, row: Provider) -> LocalServer:
    """Ask a server for its models, if it is on this machine; never raises, and soon gives up."""
    try:
        base_url = client.registry.base_url(row)
    except PolyvoxError as error:
        return LocalServer(row.name, row.title, "", error=error.text)
    if not is_loopback(base_url):
        return LocalServer(row.name, row.title, base_url, error="not on this machine; not asked")
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            names = await client.models(row.name)
    except PolyvoxError as error:
        return LocalServer(row.name, row.title, base_url, error=error.text)
    except TimeoutError:
        text = f"no answer within {PROBE_SECONDS:g} s"
        return LocalServer(row.name, row.title, base_url, error=text)
    return LocalServer(row.name, row.title, base_url, names)


def _address(registry: Registry, row: Provider) -> str:
    try:
        return registry.base_url(row)
    except PolyvoxError:
        return ""


def _why_simulated(servers: Sequence[LocalServer]) -> str:
    titles = " or ".join(server.title for server in servers)
    empty = next((server.title for server in servers if not server.error), None)
    if empty:
        return f"no API key is set, and {empty} answers but has no model to talk with."
    return f"no API key is set, and no local {titles} server answers."
