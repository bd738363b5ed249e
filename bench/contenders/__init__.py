"""Who is measured: each module reads an answer as its users would, and does nothing else.

A module has ``connect(url)``, a context manager (asynchronous, save for synchronous clients) that
gives a function ``read(prompt, tell)``. It asks, tells after each piece how many it has seen, and
returns that number. ``VERSIONS`` names the packages whose versions the table shows.

Where something is measured against itself, with more and more around it, a module has
``layers(url)`` in place of ``connect``: several ways to read, by name, in one process. The first is
what the others are measured against, the last has everything.

A panel's module has ``layers(url)``, too: each way to have ``PANEL`` models answer, and one to make
one answer of theirs, told piece by piece.

An agent's module has ``agent(url)``, which gives a function ``run(prompt, history)`` that plays a
script of ``bench.scripts`` with two tools, ``add`` and ``nap``, and returns the agent's last words.
``history(pairs)`` makes a conversation of questions and answers, in the form that ``run`` takes.
"""

from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from types import ModuleType
from typing import NamedTuple, TypeAlias

Tell: TypeAlias = Callable[[int], None]
Pairs: TypeAlias = Iterable[tuple[str, str]]

NAP_SECONDS = 0.1

PANEL = 8
"""So many are asked at the same time where several make one answer."""

LATE_SECONDS = 0.2
"""How long a model thinks where the prompt says "late"."""

NAMES = {
    "bare": "bench.contenders.bare",
    "polyvox": "bench.contenders.polyvox_async",
    "polyvox native": "bench.contenders.polyvox_native",
    "polyvox sync": "bench.contenders.polyvox_sync",
    "polyvox anthropic": "bench.contenders.polyvox_anthropic",
    "polyvox dialects": "bench.contenders.polyvox_dialects",
    "openai": "bench.contenders.openai_sdk",
    "anthropic": "bench.contenders.anthropic_sdk",
    "litellm": "bench.contenders.litellm_sdk",
    "tiny-agent-os": "bench.contenders.tiny_agent_os",
}

LAYERED = {
    "polyvox": "bench.contenders.polyvox_stack",
    "litellm": "bench.contenders.litellm_router",
}

PANELS = {
    "polyvox": "bench.contenders.polyvox_panel",
    "litellm": "bench.contenders.litellm_panel",
}

AGENTS = {
    "polyvox": "bench.contenders.polyvox_agent",
    "pydantic-ai": "bench.contenders.pydantic_ai_agent",
    "openai-agents": "bench.contenders.openai_agents_agent",
    "smolagents": "bench.contenders.smolagents_agent",
}

GATEWAYS = ("direct", "nginx", "polyvox", "polyvox native", "litellm", "tensorzero")
"""Who passes calls on, as a service; see ``bench.gateway_up``."""


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


def load_panel(name: str) -> ModuleType:
    """The module of what the contender has several models do together. Raises ``ImportError``."""
    return import_module(PANELS[name])


def load_agent(name: str) -> ModuleType:
    """The module of the contender's agent. Raises ``ImportError``."""
    return import_module(AGENTS[name])
