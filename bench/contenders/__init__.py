"""Who is measured: each module reads an answer as its users would, and does nothing else.

A module has ``connect(url)``, a context manager (asynchronous, save for synchronous clients) that
gives a function ``read(prompt, tell)``. It asks, tells after each piece how many it has seen, and
returns that number. ``VERSIONS`` names the packages whose versions the table shows.

Where something is measured against itself, with more and more around it, a module has
``layers(url)`` in place of ``connect``: several ways to read, by name, in one process. The first is
what the others are measured against, the last has everything.
"""

from collections.abc import Awaitable, Callable
from importlib import import_module
from types import ModuleType
from typing import NamedTuple, TypeAlias

Tell: TypeAlias = Callable[[int], None]

NAMES = {
    "bare": "bench.contenders.bare",
    "polyvox": "bench.contenders.polyvox_async",
    "polyvox sync": "bench.contenders.polyvox_sync",
    "polyvox anthropic": "bench.contenders.polyvox_anthropic",
    "polyvox dialects": "bench.contenders.polyvox_dialects",
    "openai": "bench.contenders.openai_sdk",
    "anthropic": "bench.contenders.anthropic_sdk",
    "litellm": "bench.contenders.litellm_sdk",
}

LAYERED = {
    "polyvox": "bench.contenders.polyvox_stack",
    "litellm": "bench.contenders.litellm_router",
}


class Layer(NamedTuple):
    """One way to read, and how to wait for the work that it leaves to others."""

    read: Callable[[str, Tell], Awaitable[int]]
    settle: Callable[[], object] = lambda: None


def load(name: str) -> ModuleType:
    """The contender's module, with all it needs imported. Raises ``ImportError``."""
    return import_module(NAMES[name])


def load_layers(name: str) -> ModuleType:
    """The module of the contender's layers. Raises ``ImportError``."""
    return import_module(LAYERED[name])
