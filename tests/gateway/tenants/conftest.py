"""Tenants on a database of each kind, at a time that the test sets, and their endpoints over ASGI."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.inside import Clock
from polyvox.config import Config
from polyvox.config.around import BudgetSection, LimitSection
from polyvox.config.serving import KeySection
from polyvox.gateway.database.engine import Database
from polyvox.gateway.tenants.admin import admin_endpoints
from polyvox.gateway.tenants.directory import Directory
from polyvox.gateway.tenants.overview import limit_endpoints
from polyvox.gateway.tenants.own import own_endpoints
from polyvox.gateway.tenants.provider_keys import ProviderKeys
from polyvox.gateway.tenants.sealing import Sealing
from polyvox.gateway.tenants.store import Tenants
from polyvox.gateway.web.endpoints import Endpoint
from polyvox.limits import MemoryLimits
from polyvox.secret import Secret

from .asked import Asked, Over

ADMIN_KEY = "d41f0f7a9b3c58e26a7d1c0b94e8f35a"
BUILD_KEY = "b7e3d2c1a09f48576e1d2c3b4a5f6e7d"
FILE = Config(
    budgets={
        "daily": BudgetSection(limit=20, per="day"),
        "cheap": BudgetSection(limit=3, policy="downgrade", downgrade="simulated/echo"),
        "each": BudgetSection(limit=1, scope="tenant"),
    },
    limits={"burst": LimitSection(requests=9)},
)
SECRET = "5f9c1e7a3b8d2046c5e9f1a7b3d8c204"


@pytest.fixture
def tenants(database: Database, clock: Clock) -> Tenants:
    return Tenants(database, clock=clock)


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def make_directory(database: Database, clock: Clock, snapshot: Path) -> Callable[..., Directory]:
    """A directory as a gateway has it; a second one is that of another replica."""

    def make(**changes: Any) -> Directory:
        said = {"database": database, "snapshot": snapshot, "clock": clock} | changes
        return Directory({"build": KeySection(key=Secret(BUILD_KEY))}, Secret(ADMIN_KEY), **said)

    return make


@pytest.fixture
def directory(make_directory: Callable[..., Directory]) -> Directory:
    return make_directory()


@pytest.fixture
def environ() -> dict[str, str]:
    return {"OPENAI_API_KEY": "sk-canary-from-the-environment"}


@pytest.fixture
def provider_keys(database: Database, clock: Clock, environ: dict[str, str]) -> ProviderKeys:
    return ProviderKeys(database, Sealing(Secret(SECRET), environ), clock=clock)


@pytest.fixture
def limits(clock: Clock) -> MemoryLimits:
    return MemoryLimits(clock=clock)


@pytest.fixture
def endpoints(
    tenants: Tenants,
    directory: Directory,
    provider_keys: ProviderKeys,
    database: Database,
    limits: MemoryLimits,
) -> tuple[Endpoint, ...]:
    return (
        *admin_endpoints(tenants, provider_keys, directory),
        *own_endpoints(database, limits),
        *limit_endpoints(directory, limits, lambda: FILE),
    )


@pytest.fixture
def ask(endpoints: tuple[Endpoint, ...], directory: Directory) -> Asked:
    """Asks the endpoints: ``await ask("GET", "/v1/key", key=secret)``; by default as administrator."""
    return Over(endpoints, directory, ADMIN_KEY)
