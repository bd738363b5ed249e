"""Every test here reaches this machine only; what holds for any store is tested with each."""

from collections.abc import AsyncIterator

import pytest

from polyvox.caching import CacheStore, DiskCache, MemoryCache, RedisCache
from redis_server import *  # noqa: F403


@pytest.fixture(autouse=True)
def _this_machine_only(forbid_network):
    pass


@pytest.fixture(params=["memory", "disk", "redis"])
async def store(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[CacheStore]:
    """A store of each kind, empty."""
    if request.param == "memory":
        yield MemoryCache()
        return
    if request.param == "disk":
        kept: DiskCache | RedisCache = DiskCache(tmp_path / "answers.db", timeout=30)
    else:
        kept = RedisCache(request.getfixturevalue("redis_url"), timeout=30)
    yield kept
    await kept.aclose()
