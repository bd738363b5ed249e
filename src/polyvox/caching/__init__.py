"""Caching: what need not be asked again.

    model = Cached(model, DiskCache("answers.db"), ttl=86_400)
    model = Cached(SemanticCache(model, embed=vector_of, threshold=0.95))

``Cached`` gives the stored answer to the very same request, ``SemanticCache`` that to a similar
question. ``keys`` says which requests are the same, ``answers`` which answers are kept and how they
are told again, ``flights`` how identical calls at the same time ask once. A store (``MemoryCache``,
``DiskCache``, ``RedisCache``) keeps bytes under a key for a time; what goes wrong in it is a miss.

Belongs here: giving an answer a second time.
Does not belong here: a provider's own cache of prompts, limits, asking again, what was spent.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyvox.caching.cached import Cached as Cached
    from polyvox.caching.disk import DiskCache as DiskCache
    from polyvox.caching.memory import MemoryCache as MemoryCache
    from polyvox.caching.near_misses import same_facts as same_facts
    from polyvox.caching.redis import RedisCache as RedisCache
    from polyvox.caching.semantic import SemanticCache as SemanticCache
    from polyvox.caching.similar import SimilarTexts as SimilarTexts
    from polyvox.caching.store import CacheStats as CacheStats
    from polyvox.caching.store import CacheStore as CacheStore

_HOMES = {
    "CacheStats": "store",
    "CacheStore": "store",
    "Cached": "cached",
    "DiskCache": "disk",
    "MemoryCache": "memory",
    "RedisCache": "redis",
    "SemanticCache": "semantic",
    "SimilarTexts": "similar",
    "same_facts": "near_misses",
}

__all__ = [
    "CacheStats",
    "CacheStore",
    "Cached",
    "DiskCache",
    "MemoryCache",
    "RedisCache",
    "SemanticCache",
    "SimilarTexts",
    "same_facts",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
