"""Health, readiness and metrics over HTTP: who may ask, and with which status they answer."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.whole.rig import get, providers, toml
from polyvox.errors import PermissionDeniedError
from polyvox.gateway.operations.endpoints import Operations
from polyvox.gateway.operations.health import Health
from polyvox.gateway.operations.metrics import Metrics
from polyvox.gateway.operations.ready import Readiness
from polyvox.gateway.tenants.access import ADMIN, Access
from polyvox.model import Interrupt

CALLS = SimpleNamespace(in_flight=0, queued=0)


def operations(draining: Interrupt) -> dict[str, Any]:
    room = Operations(Health([], CALLS, draining=draining), Readiness(draining), Metrics().text)
    return {endpoint.path: endpoint for endpoint in room.endpoints()}


def arrived(access: Access) -> Any:
    return SimpleNamespace(access=access)


async def test_while_it_drains_it_is_alive_and_not_ready():
    draining = Interrupt()
    found = operations(draining)
    assert (await found["/ready"].handler(arrived(Access(key="")))).status_code == 200
    draining.set()
    assert (await found["/health"].handler(arrived(Access(key="")))).status == "draining"
    answer = await found["/ready"].handler(arrived(Access(key="")))
    assert answer.status_code == 503
    assert b"being stopped" in answer.body


def test_anybody_may_ask_how_it_is_but_not_what_was_used():
    who = {path: endpoint.who for path, endpoint in operations(Interrupt()).items()}
    assert who == {"/health": "anyone", "/ready": "anyone", "/metrics": "key"}


@pytest.mark.parametrize("access", [ADMIN, Access(key="p", routes=("metrics",))])
async def test_the_metrics_are_for_the_administrator_and_for_keys_made_for_them(access: Access):
    answer = await operations(Interrupt())["/metrics"].handler(arrived(access))
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"polyvox_calls_total" in answer.body


async def test_a_key_for_everything_is_not_one_for_everybodys_metrics():
    with pytest.raises(PermissionDeniedError) as caught:
        await operations(Interrupt())["/metrics"].handler(arrived(Access(key="k", routes=("*",))))
    assert caught.value.status == 403


async def test_how_it_is_is_told_without_asking_any_provider(running):
    async with providers() as mocks:
        gateway = running(toml(mocks))
        for _ in range(5):
            assert (await get(gateway, "/health"))["status"] == "ok"
            assert (await get(gateway, "/ready"))["ready"]
            assert "polyvox_in_flight" in await get(gateway, "/metrics")
        for mock in mocks.values():
            assert (mock.ledger().total, mock.ledger().sockets) == (0, 0)
