"""What the holder of a key sees: their rights, what they have used, what is left."""

import asyncio
from typing import Any

import aiohttp
import pytest
from sqlalchemy import insert

from gateway.whole.rig import Outcome, get, nanos_of, new_key, providers, shipped, toml, until
from gateway.whole.rig import ask as ask_model
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.reports import NAMES
from polyvox.gateway.database.tables import calls
from polyvox.gateway.tenants.own import OwnUsageQuery
from polyvox.limits import Budget, MemoryLimits
from polyvox.limits.budget import BudgetLimit
from polyvox.model import Call
from polyvox.usage import Cost, Usage

from .asked import Asked
from .conftest import BUILD_KEY, Clock

DOLLAR = 1_000_000_000


async def made(ask: Asked, **fields: Any) -> tuple[str, str]:
    """The id and the secret of a new key."""
    answer = await ask("POST", "/admin/keys", fields)
    assert answer.status == 201, answer.text
    return answer.json["key"]["id"], answer.json["secret"]


async def spend(limits: MemoryLimits, budget: Budget, dollars: int, *, settled: bool) -> None:
    """As a call does that is let in."""
    limit = BudgetLimit(budget)
    hold = limit.hold(Usage(cost=Cost("known", dollars * DOLLAR)), Call())
    assert await limits.reserve(f"{dollars}-{settled}", [hold]) == []
    if settled:
        await limits.settle(f"{dollars}-{settled}", [hold], [dollars * DOLLAR])


async def test_everybody_sees_what_is_left_of_each_limit(ask: Asked, limits: MemoryLimits) -> None:
    organisation = {
        "name": "acme",
        "budgets": {"daily": {"limit": "$10", "per": "day"}},
        "limits": {"burst": {"requests": 60, "tokens": 1000}},
        "shadow": True,
    }
    await ask("POST", "/admin/organisations", organisation)
    id, secret = await made(
        ask, organisation="acme", budgets={"all": {"limit": 5, "policy": "warn"}}
    )
    await spend(limits, Budget(10, per="day", name="organisation:acme:daily"), 3, settled=True)
    await spend(limits, Budget(10, per="day", name="organisation:acme:daily"), 2, settled=False)
    for _ in range(3):  # looking costs nothing
        own = (await ask("GET", "/v1/key", key=secret)).json
    daily, requests, tokens, whole = own["limits"]
    assert (daily["level"], daily["name"]) == ("organisation:acme", "daily")
    assert (daily["limit"], daily["used"], daily["reserved"], daily["left"]) == (
        10 * DOLLAR,
        5 * DOLLAR,
        2 * DOLLAR,
        5 * DOLLAR,
    )
    assert daily["shadow"]
    assert daily["resets"] > 0
    assert [(each["unit"], each["left"]) for each in (requests, tokens)] == [
        ("requests", 60),
        ("tokens", 1000),
    ]
    assert (whole["level"], whole["left"], whole["resets"]) == (f"key:{id}", 5 * DOLLAR, None)


async def test_a_debt_is_below_zero(ask: Asked, limits: MemoryLimits) -> None:
    id, secret = await made(ask, budgets={"all": {"limit": 5}})
    await spend(limits, Budget(9, name=f"key:{id}:all"), 7, settled=True)
    [left] = (await ask("GET", "/v1/key", key=secret)).json["limits"]
    assert left["left"] == -2 * DOLLAR


async def test_what_counts_by_session_is_told_without_a_sum(ask: Asked) -> None:
    _, secret = await made(ask, limits={"each": {"requests": 5, "scope": "session"}})
    [left] = (await ask("GET", "/v1/key", key=secret)).json["limits"]
    assert (left["limit"], left["used"], left["left"]) == (5, None, None)


async def test_a_key_of_the_configuration_sees_itself(ask: Asked) -> None:
    own = (await ask("GET", "/v1/key", key=BUILD_KEY)).json
    assert (own["id"], own["name"], own["admin"], own["limits"]) == (
        "config:build",
        "build",
        False,
        [],
    )
    assert BUILD_KEY not in str(own)


class TestUsage:
    @pytest.fixture
    async def keys(self, ask: Asked, database: Database, clock: Clock) -> dict[str, str]:
        """Secrets by name; each key has made one call for a dollar."""
        await ask("POST", "/admin/organisations", {"name": "acme"})
        await ask("POST", "/admin/organisations", {"name": "umbrella"})
        secrets = dict[str, str]()
        for name, fields in {
            "member": {"organisation": "acme"},
            "manager": {"organisation": "acme", "manager": True},
            "stranger": {"organisation": "umbrella", "manager": True},
            "loner": {},
        }.items():
            id, secrets[name] = await made(ask, name=name, **fields)
            row = {
                "id": f"call_{name}",
                "at": clock.now,
                "model": f"simulated/{name}",
                "key": id,
                "organisation": fields.get("organisation", ""),
                "status": "ok",
                "cost_status": "known",
                "nanos": DOLLAR,
                "tags": {},
            }
            await database.run(lambda c, row=row: c.execute(insert(calls).values(row)).rowcount)
        return secrets

    async def seen(self, ask: Asked, key: str | None, query: str = "") -> set[str]:
        answer = await ask("GET", f"/v1/usage?by=model{query}", key=key)
        assert answer.status == 200, answer.text
        return {row["by"]["model"].removeprefix("simulated/") for row in answer.json["rows"]}

    async def test_one_sees_ones_own(self, ask: Asked, keys: dict[str, str]) -> None:
        for name, secret in keys.items():
            assert await self.seen(ask, secret) == {name}
            assert await self.seen(ask, secret, "&of=key") == {name}

    async def test_a_manager_sees_the_organisation(self, ask: Asked, keys: dict[str, str]) -> None:
        of = "&of=organisation"
        assert await self.seen(ask, keys["manager"], of) == {"member", "manager"}
        assert await self.seen(ask, keys["stranger"], of) == {"stranger"}
        for name in ("member", "loner"):
            assert (await ask("GET", "/v1/usage?of=organisation", key=keys[name])).status == 403

    async def test_keys_have_the_names_that_people_know(
        self, ask: Asked, keys: dict[str, str], database: Database, clock: Clock
    ) -> None:
        used = {"at": clock.now, "model": "m", "organisation": "", "status": "ok", "tags": {}}
        used |= {"cost_status": "unknown", "nanos": 7}
        for key in ("config:build", "admin", "key_gone"):
            row = {"id": key, "key": key, **used}
            await database.run(lambda c, row=row: c.execute(insert(calls).values(row)).rowcount)
        report = (await ask("GET", "/v1/usage?by=key")).json
        rows = [row["by"] for row in report["rows"]]
        known = {row["key_name"]: row["key"] for row in rows if row["key_name"]}
        assert {*known} == {*keys, "build"}
        assert known["build"] == "config:build"
        assert all(known[name].startswith("key_") for name in keys)
        nameless = {row["key"] for row in rows if not row["key_name"]}
        assert nameless == {"admin", "key_gone"}

    async def test_several_things_may_make_a_row(self, ask: Asked, keys: dict[str, str]) -> None:
        query = "of=organisation&by=organisation&by=key&by=model"
        report = (await ask("GET", f"/v1/usage?{query}", key=keys["manager"])).json
        for row in report["rows"]:
            name = row["by"]["key_name"]
            assert {**row["by"], "key": ""} == {
                "organisation": "acme",
                "key": "",
                "key_name": name,
                "model": f"simulated/{name}",
            }
        assert {row["by"]["key_name"] for row in report["rows"]} == {"member", "manager"}
        many = "&".join(f"by=tag:{number}" for number in range(9))
        assert (await ask("GET", f"/v1/usage?{many}")).status == 400

    def test_usage_can_be_filtered_by_whatever_makes_a_row(self) -> None:
        fields = {*OwnUsageQuery.__struct_fields__}
        assert fields - {"of", "per", "by", "zone", "since", "until"} == {*NAMES}

    async def test_nobody_sees_more_by_a_filter(self, ask: Asked, keys: dict[str, str]) -> None:
        for query in ("&organisation=umbrella", "&model=simulated/stranger"):
            assert await self.seen(ask, keys["manager"], "&of=organisation" + query) == set()

    async def test_the_administrator_sees_all(self, ask: Asked, keys: dict[str, str]) -> None:
        assert await self.seen(ask, None) == set(keys)
        assert await self.seen(ask, None, "&organisation=acme") == {"member", "manager"}
        assert await self.seen(ask, None, "&organisation=") == {"loner"}

    @pytest.mark.parametrize(
        "query", ["by=nonsense", "by=", "per=decade", "zone=Mars&per=day", "x=1"]
    )
    async def test_what_cant_be_asked_is_a_bad_request(
        self, ask: Asked, keys: dict[str, str], query: str
    ) -> None:
        assert (await ask("GET", f"/v1/usage?{query}", key=keys["loner"])).status == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1"},
        {"x-forwarded-for": "10.1.1.1"},
        {"forwarded": "for=10.1.1.1"},
        {"x-real-ip": "10.1.1.1"},
    ],
)
async def test_only_the_connections_own_address_counts(ask: Asked, headers: dict[str, str]) -> None:
    _, secret = await made(ask, addresses=["10.0.0.0/8"])
    refused = await ask("GET", "/v1/key", key=secret, client="192.0.2.1", headers=headers)
    assert refused.status == 403
    assert (await ask("GET", "/v1/key", key=secret, client="10.1.1.1")).status == 200


async def test_many_new_keys_at_once_are_all_there(ask: Asked) -> None:
    found = await asyncio.gather(*(made(ask, name=f"k{number}") for number in range(20)))
    for number, (_, secret) in enumerate(found):
        assert (await ask("GET", "/v1/key", key=secret)).json["name"] == f"k{number}"
    assert len({id for id, _ in found}) == 20


async def test_over_http_everybody_sees_what_they_have_spent_with_nothing_but_their_key(
    running,
) -> None:
    async with providers() as mocks, aiohttp.ClientSession() as http:
        gateway = running(toml(mocks))
        keys = [(await new_key(gateway, "$5"))["secret"] for _ in range(2)]
        for times, key in zip((1, 3), keys, strict=True):
            for _ in range(times):
                await ask_model(http, gateway.url, key, Outcome("mark-1"))
        await until(lambda: shipped(gateway))
        cost = nanos_of(mocks["lab"].ledger().served[0])
        for times, key in zip((1, 3), keys, strict=True):
            [row] = (await get(gateway, "/v1/usage?by=model", key))["rows"]
            told = (row["by"]["model"], row["calls"], row["nanos"])
            assert told == ("lab/fast", times, times * cost)
            [row] = (await get(gateway, "/v1/usage?by=provider&by=response_model", key))["rows"]
            assert row["by"] == {"provider": "lab", "response_model": "fast"}
            [left] = (await get(gateway, "/v1/key", key))["limits"]
            assert (left["used"], left["left"]) == (times * cost, 5 * DOLLAR - times * cost)
            with pytest.raises(AssertionError, match="403"):
                await get(gateway, "/admin/keys", key)
