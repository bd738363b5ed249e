"""What a gateway is made of that stands in its configuration: made anew when that changes."""

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property

from polyvox.client import AsyncClient
from polyvox.config import Config
from polyvox.gateway.asking.calls import Calls
from polyvox.gateway.asking.models import Models
from polyvox.gateway.live.agents import Agents
from polyvox.gateway.live.approvals import Approvals
from polyvox.gateway.live.loading import load_agents
from polyvox.limits import LimitStore
from polyvox.providers import Provider, Registry, load_providers
from polyvox.routing import Router
from polyvox.secret import Secret

__all__ = ["Configured"]

_log = logging.getLogger(__name__)

_SIMULATED = ["simulated/echo"]


def _has_credentials(registry: Registry, row: Provider) -> bool:
    return registry.key(row) is not None or registry.credentials(row) is not None


def _usable(config: Config, keys: Mapping[str, Sequence[Secret]]) -> dict[str, Sequence[Secret]]:
    """Those of providers that there are; one of another must not keep all others from being used."""
    known = {*load_providers(), *config.providers}
    for name in keys:
        if name not in known:
            _log.warning("there is a key of %r, which is no provider here", name)
    return {name: own for name, own in keys.items() if own and name in known}


class Configured:
    """The models of one configuration.

    Args:
        config: what is wanted.
        keys: further keys of providers, by the provider's name, where the configuration has none.
        calls: those that are under way.
        approvals: where runs of agents wait.
        limits: where its budgets and limits count, which outlives it.

    Raises ``ConfigurationError`` for an agent that can't be made.
    """

    def __init__(
        self,
        config: Config,
        keys: Mapping[str, Sequence[Secret]],
        calls: Calls,
        approvals: Approvals,
        limits: LimitStore,
    ) -> None:
        self.config = config
        first = {name: own[0].reveal() for name, own in _usable(config, keys).items()}
        self.client = AsyncClient.of_config(config, keys=first, tracked=False, accounts=limits)
        agents = load_agents(config.agents, config.templates, self.client)
        keep = {name: section.keep_seconds for name, section in config.agents.items()}
        self.agents = Agents(agents, calls, approvals, keep)
        self.models = Models(
            self.client, config.gateway.models, lambda: self._listed, {"agent": self.agents}
        )

    @cached_property
    def _listed(self) -> list[str]:
        """The names that are told in lists: those of the configuration, and of providers with a key."""
        registry = self.client.registry
        names = [
            *self.config.names,
            *(f"composite/profile/{name}" for name in self.config.profiles),
        ]
        for row in registry.rows.values():
            if not row.local and _has_credentials(registry, row):
                known = registry.catalog.models(row.catalog or row.name)
                names += [f"{row.name}/{facts.id}" for facts in known if not facts.deprecated]
        return names or _SIMULATED

    @property
    def routers(self) -> list[Router]:
        """Those that were asked so far."""
        return [] if self.client.setup is None else self.client.setup.routers

    async def aclose(self) -> None:
        """Close the connections."""
        await self.agents.aclose()
        await self.client.aclose()
