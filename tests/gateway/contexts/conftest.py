"""Conversations on a database of each kind, at a time that the test sets."""

from collections.abc import AsyncIterator

import pytest

from gateway.inside import Clock
from polyvox.config.serving import ContextsSection
from polyvox.gateway.contexts.contexts import Contexts
from polyvox.gateway.database.engine import Database
from polyvox.gateway.tenants.access import Access

ADA = Access(key="ada", organisation="acme")
BOB = Access(key="bob", organisation="binary")


@pytest.fixture
async def contexts(database: Database, clock: Clock) -> AsyncIterator[Contexts]:
    contexts = Contexts(database, ContextsSection(wait_seconds=0), clock=clock)
    yield contexts
    await contexts.aclose()
