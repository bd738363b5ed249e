"""Every test here reaches this machine only; most hold for each store."""

from collections.abc import AsyncIterator

import pytest

from polyvox.limits import LimitStore, MemoryLimits, RedisLimits
from redis_server import *  # noqa: F403


@pytest.fixture(autouse=True)
def _this_machine_only(forbid_network):
    pass


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[LimitStore]:
    """A store of each kind, empty."""
    if request.param == "memory":
        yield MemoryLimits()
        return
    limits = RedisLimits(request.getfixturevalue("redis_url"), timeout=30)
    yield limits
    await limits.aclose()
