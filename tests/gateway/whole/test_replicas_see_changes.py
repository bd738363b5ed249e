"""Whatever is created, edited or deleted at one of three gateways on one database holds at all of them."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from gateway.running import Running
from polyvox.assembly import unfold
from polyvox.events import Event
from polyvox.messages import AssistantMessage, Text
from polyvox.model import Call
from polyvox.request import Request
from polyvox.testing import MockProvider

from .rig import Outcome, ask, asked_of, toml, until

REPLICAS = 3
ANSWER = {"message": {"content": "Hello."}, "repeat": True}
NOTHING: dict[str, Any] = {"budgets": {"purse": {"limit": 0}}}
AMPLE: dict[str, Any] = {"budgets": {"purse": {"limit": 1000}}}
LAB_KEY = "the-key-of-the-lab-4f1b8c2e9d7a6053"


class Parrot:
    """Says what it was told first."""

    name = "mock/parrot"

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        for event in unfold(AssistantMessage([Text(request.messages[0].text)])):
            yield event


class Replicas:
    """Gateways of which the first is changed, and all are asked with ``wish``."""

    def __init__(self, gateways: list[Running], http: aiohttp.ClientSession) -> None:
        self.gateways, self.http = gateways, http
        self.wish: dict[str, Any] = {}
        self.secret, self.model = "", "lab/fast"
        self._turn = 0

    async def change(self, method: Any, path: str, body: dict[str, Any] | None = None) -> Any:
        """Change it at each gateway in turn."""
        self._turn += 1
        return await asked_of(self.gateways[self._turn % REPLICAS], method, path, body)

    async def new_key(self, **fields: Any) -> dict[str, Any]:
        made = await self.change("POST", "/admin/keys", {"name": "tester", **fields})
        self.secret = made["secret"]
        return made["key"]

    async def answer(self, status: int, words: str = "") -> None:
        """Until all of them answer so."""
        for gateway in self.gateways:

            async def so(gateway: Running = gateway) -> bool:
                outcome = Outcome("mark-1")
                await ask(
                    self.http, gateway.url, self.secret, outcome, self.model, polyvox=self.wish
                )
                return outcome.status == status and words in outcome.text

            await until(so)


Change = Callable[[Replicas], Awaitable[None]]


@asynccontextmanager
async def started(running: Callable[..., Running], database: str) -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as stack:
        lab = await stack.enter_async_context(
            MockProvider("openai-chat", script={"fast": [ANSWER]})
        )
        shut = await stack.enter_async_context(
            MockProvider("openai-chat", script={"fast": [ANSWER]}, expect_key=LAB_KEY)
        )
        echo = await stack.enter_async_context(MockProvider("openai-chat", model=Parrot()))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        rows = [f'[providers.shut]\ndialect = "openai-chat"\nbase_url = "{shut.url}"']
        rows += [f'[providers.echo]\ndialect = "openai-chat"\nbase_url = "{echo.url}"\nkey = "x"']
        settings = f'database = "{database}"\nreload_seconds = 0.2\nsecret = "{LAB_KEY}"'
        config = toml({"lab": lab}, settings, "\n".join(rows))
        yield Replicas([running(config) for _ in range(REPLICAS)], http)


async def a_key(all_of: Replicas) -> None:
    key = await all_of.new_key()
    path = f"/admin/keys/{key['id']}"
    await all_of.answer(200)
    await all_of.change("PUT", path, key | {"models": ["lab/slow"]})
    await all_of.answer(403)
    await all_of.change("PUT", path, key | AMPLE)
    await all_of.answer(200)
    await all_of.change("PUT", path, key | NOTHING)
    await all_of.answer(402)
    await all_of.change("PUT", path, key)
    await all_of.answer(200)
    secret = (await all_of.change("POST", f"{path}/rotate", {"overlap_seconds": 0}))["secret"]
    await all_of.answer(401)
    all_of.secret = secret
    await all_of.answer(200)
    await all_of.change("DELETE", path)
    await all_of.answer(401)


async def the_limits_of_an_organisation(all_of: Replicas) -> None:
    acme = await all_of.change("POST", "/admin/organisations", {"name": "acme"})
    key = await all_of.new_key(organisation="acme")
    await limits_come_and_go(all_of, "/admin/organisations/acme", acme)
    await all_of.change("DELETE", f"/admin/keys/{key['id']}")
    await all_of.change("DELETE", "/admin/organisations/acme")
    await all_of.answer(401)
    again = await all_of.change("POST", "/admin/organisations", {"name": "acme", **NOTHING})
    await all_of.new_key(organisation=again["name"])
    await all_of.answer(402)


async def the_limits_of_a_team(all_of: Replicas) -> None:
    await all_of.change("POST", "/admin/organisations", {"name": "acme"})
    teams = "/admin/organisations/acme/teams"
    red = await all_of.change("POST", teams, {"name": "red"})
    await all_of.new_key(organisation="acme", team="red")
    await limits_come_and_go(all_of, f"{teams}/red", red)


async def the_limits_of_an_end_user(all_of: Replicas) -> None:
    await all_of.change("POST", "/admin/organisations", {"name": "acme"})
    await all_of.new_key(organisation="acme")
    all_of.wish = {"end_user": "ada"}
    users = "/admin/organisations/acme/end_users"
    await all_of.answer(200)
    everybody = await all_of.change("POST", users, {"name": "*", **NOTHING})
    await all_of.answer(402)
    ada = await all_of.change("POST", users, {"name": "ada"})
    await limits_come_and_go(all_of, f"{users}/ada", ada)
    await all_of.change("DELETE", f"{users}/ada")
    await all_of.answer(402)
    await all_of.change("DELETE", f"{users}/{everybody['name']}")
    await all_of.answer(200)


async def limits_come_and_go(all_of: Replicas, path: str, known: dict[str, Any]) -> None:
    await all_of.answer(200)
    await all_of.change("PUT", path, known | NOTHING)
    await all_of.answer(402)
    await all_of.change("PUT", path, known | AMPLE)
    await all_of.answer(200)


async def a_providers_key(all_of: Replicas) -> None:
    """One that is deleted is used by nobody any more."""
    await all_of.new_key()
    all_of.model = "shut/fast"
    await all_of.answer(502)
    key = {"name": "ours", "provider": "shut", "value": "a-wrong-one"}
    made = await all_of.change("POST", "/admin/provider_keys", key)
    await all_of.answer(502, "shut refuses")
    await all_of.change("PUT", "/admin/provider_keys/ours", made | {"value": LAB_KEY})
    await all_of.answer(200)
    await all_of.change("DELETE", "/admin/provider_keys/ours")
    await all_of.answer(502)


async def a_template(all_of: Replicas) -> None:
    await all_of.new_key()
    all_of.model, all_of.wish = "echo/any", {"prompt": "greeting@live"}
    await all_of.answer(404)
    versions, live = "/v1/prompts/greeting/versions", "/v1/prompts/greeting/tags/live"
    for number, words in enumerate(("Good morning.", "Good evening."), 1):
        message = {"role": "user", "text": words}
        await all_of.change("POST", versions, {"messages": [message]})
        await all_of.change("PUT", live, {"version": number})
        await all_of.answer(200, words)
    await all_of.change("DELETE", "/v1/prompts/greeting")
    await all_of.answer(404)


CHANGES: list[Change] = [
    a_key,
    the_limits_of_an_organisation,
    the_limits_of_a_team,
    the_limits_of_an_end_user,
    a_providers_key,
    a_template,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_what_is_created_edited_or_deleted_at_one_holds_at_all(
    change: Change, running, postgres_url
) -> None:
    async with started(running, postgres_url) as all_of:
        await change(all_of)
