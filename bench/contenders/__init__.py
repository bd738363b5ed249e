"""Who is measured: each module reads an answer as its users would, and does nothing else.

A module has ``connect(url)``, a context manager (asynchronous, save for synchronous clients) that
gives a function ``read(prompt, tell)``. It asks, tells after each piece how many it has seen, and
returns that number. ``VERSIONS`` names the packages whose versions the table shows.
"""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TypeAlias

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


def load(name: str) -> ModuleType:
    """The contender's module, with all it needs imported. Raises ``ImportError``."""
    return import_module(NAMES[name])
