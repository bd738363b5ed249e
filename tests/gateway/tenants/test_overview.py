"""What the administrator sees of everybody's limits."""

from typing import Any

import pytest

from polyvox.errors import NetworkError
from polyvox.gateway.operations.gauges import watch_budgets
from polyvox.gateway.operations.metrics import Metrics
from polyvox.gateway.tenants.access import Level
from polyvox.gateway.tenants.directory import Directory
from polyvox.gateway.tenants.overview import BudgetsLeft
from polyvox.gateway.tenants.standing import what_is_left
from polyvox.limits import Budget, MemoryLimits
from polyvox.limits.store import Standing

from .asked import Asked
from .conftest import FILE
from .test_own import DOLLAR, made, spend

OF_FILE = [("file", "daily"), ("file", "cheap"), ("file", "each"), ("file", "burst")]
BUDGET = {"budgets": {"all": {"limit": 5}}}


@pytest.fixture
async def keys(ask: Asked) -> dict[str, tuple[str, str]]:
    """Ids and secrets of keys, by name."""
    for name in ("acme", "umbrella"):
        await ask("POST", "/admin/organisations", {"name": name, **BUDGET})
    await ask("POST", "/admin/organisations/acme/teams", {"name": "core", **BUDGET})
    await ask("POST", "/admin/organisations/acme/teams", {"name": "free"})
    for name in ("ann", "*"):
        await ask("POST", "/admin/organisations/acme/end_users", {"name": name, **BUDGET})
    return {
        "ci": await made(ask, name="ci", organisation="acme", team="core", **BUDGET),
        "lone": await made(ask, name="lone", **BUDGET),
        "free": await made(ask, name="free"),
    }


async def seen(ask: Asked, query: str = "") -> list[dict[str, Any]]:
    answer = await ask("GET", f"/admin/limits?{query}")
    assert answer.status == 200, answer.text
    return answer.json["data"]


def whose(found: list[dict[str, Any]]) -> list[str]:
    return [each["level"] for each in found]


async def test_everybodys_limits_are_there_and_those_of_the_file(
    ask: Asked, keys: dict[str, tuple[str, str]]
) -> None:
    found = await seen(ask)
    assert [(each["level"], each["name"]) for each in found[:4]] == OF_FILE
    assert whose(found[4:]) == [
        *("organisation:acme", "organisation:umbrella", "team:acme/core", "user:acme/ann"),
        *sorted(f"key:{keys[name][0]}" for name in ("ci", "lone")),
    ]
    assert {each["title"] for each in found[-2:]} == {"key ci", "key lone"}


async def test_a_rotated_key_is_told_once_and_a_revoked_one_never(
    ask: Asked, keys: dict[str, tuple[str, str]]
) -> None:
    ci, lone = keys["ci"][0], keys["lone"][0]
    await ask("POST", f"/admin/keys/{ci}/rotate", {"overlap_seconds": 3600})
    await ask("POST", f"/admin/keys/{lone}/revoke")
    levels = whose(await seen(ask))
    assert (levels.count(f"key:{ci}"), levels.count(f"key:{lone}")) == (1, 0)


@pytest.mark.parametrize(
    ("query", "levels"),
    [
        ("organisation=umbrella", ["organisation:umbrella"]),
        ("organisation=acme&team=core", ["team:acme/core"]),
        ("organisation=acme&team=free", []),
        ("organisation=acme&end_user=ann", ["user:acme/ann"]),
        ("organisation=acme&end_user=bob", ["user:acme/bob"]),
        ("organisation=umbrella&end_user=bob", []),
        ("organisation=nobody", []),
    ],
)
async def test_what_is_asked_for_is_told_alone(
    ask: Asked, keys: dict[str, tuple[str, str]], query: str, levels: list[str]
) -> None:
    assert whose(await seen(ask, query)) == levels


async def test_of_an_organisation_all_in_it_are_told(
    ask: Asked, keys: dict[str, tuple[str, str]]
) -> None:
    levels = ["organisation:acme", "team:acme/core", "user:acme/ann", f"key:{keys['ci'][0]}"]
    assert whose(await seen(ask, "organisation=acme")) == levels


async def test_of_a_key_all_that_hold_for_it_are_told_by_its_name_or_id(
    ask: Asked, keys: dict[str, tuple[str, str]], limits: MemoryLimits
) -> None:
    id = keys["ci"][0]
    await spend(limits, Budget(5, name=f"key:{id}:all"), 2, settled=True)
    await spend(limits, Budget(20, per="day", name="daily"), 7, settled=False)
    await spend(limits, Budget(3, name="cheap"), 1, settled=True)
    by_name, by_id = await seen(ask, "key=ci"), await seen(ask, f"key={id}")
    assert by_name == by_id
    assert whose(by_name[4:]) == ["organisation:acme", "team:acme/core", f"key:{id}"]
    daily, cheap, each, *_, own = by_name
    assert (daily["used"], daily["reserved"]) == (7 * DOLLAR, 7 * DOLLAR)
    assert (cheap["left"], own["left"]) == (2 * DOLLAR, 3 * DOLLAR)
    assert each["left"] == 1 * DOLLAR  # of the key's organisation
    assert (await seen(ask))[2]["left"] is None  # of nobody in particular


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("key=nobody", 404, "there is no key 'nobody'"),
        ("team=core", 400, "organisation is missing"),
        ("end_user=ann", 400, "organisation is missing"),
        ("name=ann", 400, "name"),
    ],
)
async def test_what_can_not_be_found_is_said(
    ask: Asked, query: str, status: int, told: str
) -> None:
    answer = await ask("GET", f"/admin/limits?{query}")
    assert answer.status == status
    assert told in answer.error


async def test_a_part_at_a_time_is_all_of_it(ask: Asked, keys: dict[str, tuple[str, str]]) -> None:
    found, after = list[dict[str, Any]](), ""
    for _ in range(7):
        page = (await ask("GET", f"/admin/limits?limit=1{after}")).json
        found += page["data"]
        after = f"&after={page['next']}"
    assert page["next"] is None
    assert found == await seen(ask)


async def test_nobody_else_sees_them(ask: Asked, keys: dict[str, tuple[str, str]]) -> None:
    assert (await ask("GET", "/admin/limits", key=keys["ci"][1])).status == 403


class Counted(MemoryLimits):
    """Knows how much it was asked at once."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    async def reserve(self, reservation: str, holds: Any) -> list[Standing]:
        self.asked.append(len(holds))
        return await super().reserve(reservation, holds)


class Away(MemoryLimits):
    async def reserve(self, reservation: str, holds: Any) -> list[Standing]:
        raise NetworkError("it is away")


async def test_a_store_is_asked_for_so_many_at_once_and_keeps_nothing_reserved() -> None:
    levels = [Level(f"key:{n}", (Budget(n + 1, name=f"key:{n}:all"),)) for n in range(450)]
    store = Counted()
    for _ in range(2):
        left = await what_is_left(levels, "", store)
        assert [each.left for each in left] == [(n + 1) * DOLLAR for n in range(450)]
    assert store.asked == [200, 200, 50] * 2


async def test_where_the_store_is_away_the_limits_are_told_without_what_is_left() -> None:
    [left] = await what_is_left([Level("file", (Budget(1, name="b"),))], "", Away())
    assert (left.limit, left.used, left.left) == (DOLLAR, None, None)


async def test_budgets_of_many_are_measured_in_dollars(
    ask: Asked, keys: dict[str, tuple[str, str]], directory: Directory, limits: MemoryLimits
) -> None:
    budgets, metrics = BudgetsLeft(directory, limits, lambda: FILE), Metrics()
    watch_budgets(metrics, budgets)
    await spend(limits, Budget(9, name="organisation:acme:all"), 7, settled=True)
    await budgets.look()
    assert budgets.left == {
        ("file", "daily"): 20,
        ("file", "cheap"): 3,
        ("organisation:acme", "all"): -2,
        ("organisation:umbrella", "all"): 5,
        ("team:acme/core", "all"): 5,
    }
    assert budgets.limit["organisation:acme", "all"] == 5
    [line] = [each for each in metrics.text().decode().splitlines() if each.endswith(" -2.0")]
    assert line.startswith("polyvox_budget_left_dollars{")
    assert 'level="organisation:acme"' in line
    assert 'budget="all"' in line


async def test_so_many_budgets_are_measured_and_what_nobody_can_tell_is_left_out(
    ask: Asked, directory: Directory
) -> None:
    budgets = {f"b{n}": {"limit": n + 1} for n in range(20)}
    for name in ("acme", "evil", "hooli", "initech", "umbrella"):
        made = await ask("POST", "/admin/organisations", {"name": name, "budgets": budgets})
        assert made.status == 201, made.text
    left = BudgetsLeft(directory, MemoryLimits(), lambda: FILE)
    await left.look()
    assert len(left.limit) == 100 - 1  # one of the file counts by tenant
    away = BudgetsLeft(directory, Away(), lambda: FILE)
    await away.look()
    assert away.left == away.limit == {}
