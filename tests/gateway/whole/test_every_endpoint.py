"""However a gateway is asked, the budget of whoever is concerned is debited exactly, and then it holds."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
import pytest

from gateway.running import Running
from polyvox.providers.simulated import simulated_model
from polyvox.testing import MockProvider
from polyvox.usage import Usage

from .doors import DIALECTS, SPOKEN, Asker, doors, paths_of
from .rig import Books, asked_of, get, shipped, until

INPUT, OUTPUT, CACHED = 2_000, 6_000, 500
"""What a token costs, in nano-dollars."""

SAID = {"content": "In short.", "usage": {"input_tokens": 90, "output_tokens": 7}}
PRICE = "{ input = 2, output = 6, cache_read = 0.5 }"
VECTOR = Usage(input_tokens=1)
"""What vectors of "Hello." are told to have used, which the books of a mock don't note."""

TOOLS = '''
from polyvox import tool

@tool
def delete_note(number: int) -> str:
    """Delete a note."""
    return f"note {number} is gone"
'''
AGENT, COMPOSITE = "agent/clerk", "composite/profile/pair"
OWN_AND_ANOTHERS = {
    "chat": ("chat-lab/m", "messages-lab/m"),
    "responses": ("responses-lab/m", "chat-lab/m"),
    "messages": ("messages-lab/m", "chat-lab/m"),
    "gemini": ("gemini-lab/m", "chat-lab/m"),
    "ollama": ("ollama-lab/m", "chat-lab/m"),
}
"""Whom each dialect asks here: one whom it is passed on to as it is, and one for whom it is translated."""

DOORS = doors(OWN_AND_ANOTHERS, "chat-lab/v", AGENT, COMPOSITE)
LEVELS = ("organisation", "team", "key", "end user", "conversation", "configuration")
OF_A_KEY: dict[str, dict[str, Any]] = {
    "tenant": {},
    "session": {"session": "acme"},
    "tag:team": {"tags": {"team": "acme"}},
}
"""What the budget of a key may count apart, with the wishes of a call that is "acme" for each."""


@asynccontextmanager
async def providers() -> AsyncIterator[dict[str, MockProvider]]:
    """One of each dialect, of which some read from a cache; and one that has every tool called."""
    async with AsyncExitStack() as stack:
        mocks: dict[str, MockProvider] = {}
        for name, dialect in DIALECTS.items():
            usage = SAID["usage"] | ({} if name == "ollama" else {"cache_read_tokens": 40})
            turn = {"message": SAID | {"usage": usage}, "repeat": True}
            script = {"m": [turn], "v": [turn]}
            mocks[f"{name}-lab"] = await stack.enter_async_context(
                MockProvider(dialect, script=script)
            )
        shed = MockProvider("openai-chat", model=simulated_model("tools"))
        yield mocks | {"shed": await stack.enter_async_context(shed)}


def toml(mocks: dict[str, MockProvider], database: str, more: str = "") -> str:
    lines = [f'[gateway]\ndatabase = "{database}"\nreload_seconds = 3600']
    for name, mock in mocks.items():
        lines += [f'[providers.{name}]\ndialect = "{mock.dialect.name}"']
        lines += [f'base_url = "{mock.url}"\nkey = "provider-key"']
    lines.append("[prices]")
    lines += [f'"{name}/{model}" = {PRICE}' for name in mocks for model in ("m", "v")]
    lines += ['[agents.clerk]\nmodel = "shed/m"\ntools = ["notes:delete_note"]']
    lines += ['approve = ["delete_*"]', '[profiles.pair]\nstrategy = "moa"']
    lines += ['proposers = ["gemini-lab/m", "responses-lab/m"]\naggregator = "chat-lab/m"', more]
    return "\n".join(lines) + "\n"


def cost(usage: Usage) -> int:
    """In nano-dollars."""
    plain = usage.input_tokens - usage.cache_read_tokens
    return plain * INPUT + usage.cache_read_tokens * CACHED + usage.output_tokens * OUTPUT


class Told(msgspec.Struct, frozen=True):
    """What the providers' own books say of all that they were asked."""

    served: int
    nanos: int

    @classmethod
    def by(cls, mocks: dict[str, MockProvider]) -> "Told":
        served = [each for mock in mocks.values() for each in mock.ledger().served]
        return cls(len(served), sum(cost(each.usage or VECTOR) for each in served))


REFUSED = "allows $0.00"
Shut = Callable[[], Awaitable[object]]


async def subject(gateway: Running, scope: str) -> tuple[Asker, str, Shut]:
    """Who asks, the account that is debited for it, and what leaves nothing to spend."""

    async def made(path: str, body: dict[str, Any]) -> Any:
        return await asked_of(gateway, "POST", path, body)

    async def put(path: str, known: dict[str, Any]) -> Any:
        return await asked_of(gateway, "PUT", path, known | purse(0, scope))

    def ample(*scopes: str) -> dict[str, Any]:
        return purse(1_000, scope) if scope in scopes else {}

    acme = await made("/admin/organisations", {"name": "acme", **ample("organisation")})
    home = "/admin/organisations/acme"
    red = await made(f"{home}/teams", {"name": "red", **ample("team")})
    each = await made(f"{home}/end_users", {"name": "*", **ample("end user")})
    key = {"organisation": "acme", "team": "red", **ample("key", *OF_A_KEY)}
    new = await made("/admin/keys", key)
    asker = Asker(gateway, aiohttp.ClientSession(), new["secret"], OF_A_KEY.get(scope, {}))
    id = new["key"]["id"]
    if scope in OF_A_KEY:
        account = f":{scope.removeprefix('tag:')}:acme"
        return asker, account, lambda: put(f"/admin/keys/{id}", new["key"])
    if scope == "end user":
        asker.wishes = {"end_user": "somebody/never seen"}
        account = quote("somebody/never seen", safe="")
        return asker, f":user:acme/{account}:", lambda: put(f"{home}/end_users/*", each)
    if scope == "conversation":
        budget = {"budget": {"limit": "$1000"}}
        asker.context = (await asker.get("POST", "/v1/contexts", budget))["id"]
        asker.wishes = {"context": asker.context}
        nothing = {"budget": {"limit": "0"}}
        path = f"/v1/contexts/{asker.context}"
        return asker, f":context:{asker.context}:", lambda: asker.get("PATCH", path, nothing)
    if scope == "configuration":
        file = gateway.folder / "polyvox.toml"

        async def refused() -> bool:
            return REFUSED in await (await DOORS["chat, chat-lab/m, whole"](asker))()

        async def reload() -> None:
            file.write_text(file.read_text().replace("limit = 1000", "limit = 0"))
            gateway.process.send_signal(signal.SIGHUP)
            await until(refused)

        return asker, ":house:", reload
    return {
        "organisation": (asker, ":organisation:acme:", lambda: put(home, acme)),
        "team": (asker, ":team:acme/red:", lambda: put(f"{home}/teams/red", red)),
        "key": (asker, f":key:{id}:", lambda: put(f"/admin/keys/{id}", new["key"])),
    }[scope]


def purse(limit: int, scope: str) -> dict[str, Any]:
    budget = {"limit": limit, **({"scope": scope} if scope in OF_A_KEY else {})}
    return {"budgets": {"purse": budget}}


def _fits(scope: str, door: str) -> bool:
    """Vectors are no part of a conversation, nor is a single prompt of Ollama's."""
    return scope != "conversation" or not ("mbed" in door or "prompts, ollama" in door)


@pytest.mark.parametrize("scope", [*LEVELS, *OF_A_KEY])
async def test_the_budget_of_each_is_debited_and_then_holds(scope: str, running, tmp_path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "notes.py").write_text(TOOLS)
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    more = "[budgets.house]\nlimit = 1000" if scope == "configuration" else ""
    fitting = {name: door for name, door in DOORS.items() if _fits(scope, name)}
    async with providers() as mocks:
        gateway = running(toml(mocks, url, more), environ={"PYTHONPATH": str(tools)})
        asker, account, shut = await subject(gateway, scope)
        async with asker.http:
            costs: dict[str, int] = {}
            for name, door in fitting.items():
                ask, before = await door(asker), Told.by(mocks)
                answer = await ask()
                costs[name] = Told.by(mocks).nanos - before.nanos
                assert costs[name] > 0, (name, answer)
            ready = {name: await door(asker) for name, door in fitting.items()}
            await shut()
            before = Told.by(mocks)
            await until(lambda: shipped(gateway))
            assert Books(url).spent(account) == before.nanos
            answers = {name: await ask() for name, ask in ready.items()}
            assert not {name: said for name, said in answers.items() if REFUSED not in said}
            assert Told.by(mocks) == before


async def test_there_is_no_other_way_to_ask(running) -> None:
    tried = {name.partition(",")[0].removeprefix("/v1/batches of ") for name in DOORS}
    tried |= {
        path for each in SPOKEN.values() for path in (each.path, each.streamed.partition("?")[0])
    }
    tried |= {"/v1/batches", "/v1/ws", ""}
    document = await get(running(), "/openapi.json")
    assert set(paths_of(document)) | {"/v1/ws"} <= tried
