"""Routing: who is asked, and whether again.

    model = Router([client.model("openai/gpt-5-mini"), client.model("anthropic/claude-haiku-4-5")])
    reply = await client.complete(Retrying(model), "Why is the sky blue?")

Belongs here: asking again, choosing among deployments, fallbacks, cooldowns, and the commit point,
after which an answer is never begun anew.
Does not belong here: what may be spent, what need not be asked, what was asked; how a provider is
spoken to.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyvox.routing.breaker import COOLDOWNS, Cooldown
    from polyvox.routing.deployment import Deployment, DeploymentStatus
    from polyvox.routing.keys import key_pool
    from polyvox.routing.pool import Pool
    from polyvox.routing.retrying import Retrying, RetryPolicy
    from polyvox.routing.router import Router
    from polyvox.routing.strategies import Strategy

__all__ = [
    "COOLDOWNS",
    "Cooldown",
    "Deployment",
    "DeploymentStatus",
    "Pool",
    "RetryPolicy",
    "Retrying",
    "Router",
    "Strategy",
    "key_pool",
]

_HOMES = {
    "COOLDOWNS": "breaker",
    "Cooldown": "breaker",
    "Deployment": "deployment",
    "DeploymentStatus": "deployment",
    "Pool": "pool",
    "RetryPolicy": "retrying",
    "Retrying": "retrying",
    "Router": "router",
    "Strategy": "strategies",
    "key_pool": "keys",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
