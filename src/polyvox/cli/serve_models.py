"""Which models a gateway can reach: whose key is there, which servers of this machine answer."""

import asyncio

from polyvox.cli.choose_model import FALLBACK, keyed_providers, look_at
from polyvox.client import AsyncClient
from polyvox.config import Config
from polyvox.config.registering import registry_settings

__all__ = ["reachable"]

_LOOK_SECONDS = 1.0


async def reachable(config: Config) -> list[str]:
    """Names and globs, for people: what the configuration names, "openai/*", "ollama/llama3.2".

    No provider is asked, and servers of this machine only for a moment. ``simulated/echo`` if there
    is nothing else.
    """
    async with AsyncClient(**registry_settings(config)) as client:
        registry = client.registry
        keyed = {row.name for row, _ in keyed_providers(registry)}
        keyed |= {name for name, section in config.providers.items() if section.all_keys}
        local = [row for row in registry.rows.values() if row.local and row.name not in keyed]
        looking = [asyncio.create_task(look_at(client, row)) for row in local]
        done, late = await asyncio.wait(looking, timeout=_LOOK_SECONDS) if looking else ((), ())
        for each in late:
            each.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        found = [name for task in done for name in task.result().models]
    names = [*config.names, *(f"{name}/*" for name in sorted(keyed)), *sorted(found)]
    return names or [FALLBACK]
