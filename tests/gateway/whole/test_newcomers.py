"""What one process makes is good at once in each other one, which nobody has told of it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.running import Running

from .rig import asked_of

NEVER = "reload_seconds = 100000"
ECHO: dict[str, Any] = {"model": "simulated/echo", "messages": [{"role": "user", "content": "Hi."}]}


@pytest.fixture(params=["replicas", "workers"])
def others(
    request: pytest.FixtureRequest, running: Callable[..., Running], postgres_url: str
) -> list[Running]:
    """Where it is made, and where else it is used."""
    if request.param == "workers":
        return [running(f"[gateway]\nworkers = 3\n{NEVER}")] * 12
    config = f'[gateway]\ndatabase = "{postgres_url}"\n{NEVER}'
    return [running(config) for _ in range(2)]


async def all_answer(gateways: list[Running], secret: str, **body: Any) -> None:
    """Each connection goes to some worker; between them they see most."""
    path, body = "/v1/chat/completions", ECHO | body
    await asyncio.gather(*(asked_of(each, "POST", path, body, secret) for each in gateways))


async def test_a_key_is_good_everywhere_as_soon_as_it_is_made_and_so_is_a_rotated_one(
    others: list[Running],
) -> None:
    made = await asked_of(others[0], "POST", "/admin/keys", {"name": "ci"})
    await all_answer(others, made["secret"])
    path = f"/admin/keys/{made['key']['id']}/rotate"
    rotated = await asked_of(others[0], "POST", path, {})
    await all_answer(others, rotated["secret"])
    await all_answer(others, made["secret"])


async def test_a_template_can_be_used_everywhere_as_soon_as_it_is_pushed(
    others: list[Running],
) -> None:
    organisation = "/admin/organisations"
    await asked_of(others[0], "POST", organisation, {"name": "acme"})
    made = await asked_of(others[0], "POST", "/admin/keys", {"organisation": "acme"})
    await all_answer(others, made["secret"])
    for version in (1, 2):
        template = {"messages": [{"role": "system", "text": f"Be kind {version} times."}]}
        path = "/v1/prompts/kind/versions"
        await asked_of(others[0], "POST", path, template, made["secret"])
        use = {"name": "kind", "version": version}
        await all_answer(others, made["secret"], polyvox={"prompt": use})
