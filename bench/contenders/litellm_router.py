"""LiteLLM's Router over three deployments, beside ``acompletion`` itself."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from bench.contenders import Layer, Tell, litellm_sdk
from bench.contenders.litellm_sdk import litellm  # whose environment is set there

_ROUTERS = {
    "Router, 3 deployments": "simple-shuffle",  # its default
    "Router, by latency": "latency-based-routing",
}


@asynccontextmanager
async def layers(url: str) -> AsyncGenerator[dict[str, Layer]]:
    """How to read with each; none of them has anything to wait for at the end."""
    found = {"acompletion": Layer(_reader(litellm.acompletion, **litellm_sdk.settings(url)))}
    for name, strategy in _ROUTERS.items():
        router = litellm.Router(
            model_list=[_deployment(mine, url) for mine in ("mine",) * 3 + ("other",)],
            routing_strategy=strategy,
            num_retries=2,
            fallbacks=[{"mine": ["other"]}],
        )
        found[name] = Layer(_reader(router.acompletion, model="mine"))
    yield found


def _deployment(name: str, url: str) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": litellm_sdk.settings(url)}


def _reader(ask: Any, **settings: Any) -> Callable[[str, Tell], Awaitable[int]]:
    return lambda prompt, tell: litellm_sdk.read_stream(ask, prompt, tell, **settings)
