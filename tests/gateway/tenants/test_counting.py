"""Several workers that don't count together let a budget of one be spent by each: none is given out."""

import msgspec
import pytest

from polyvox.config.serving import ContextsSection
from polyvox.errors import BadRequestError
from polyvox.gateway.contexts.contexts import Contexts
from polyvox.gateway.contexts.shapes import Change, NewContext, Spending
from polyvox.gateway.database.engine import Database
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.tenants.objects import Key, Organisation, TenantBudget, TenantLimit
from polyvox.gateway.tenants.store import KEYS, ORGANISATIONS, Tenants

BUDGETS = {"daily": TenantBudget(limit="$10", per="day")}
LIMITED = [{"budgets": BUDGETS}, {"limits": {"burst": TenantLimit(requests=60)}}]


@pytest.mark.parametrize("said", LIMITED)
async def test_nobody_is_given_limits_that_each_worker_would_count_for_itself(
    database: Database, said: dict
):
    tenants = Tenants(database, together=False)
    adding = tenants.add(ORGANISATIONS, Organisation(name="acme", **said))
    for giving in (adding, tenants.create_key(Key(**said))):
        with pytest.raises(BadRequestError, match=f"{next(iter(said))}: .* several") as refused:
            await giving
        assert "redis" in (refused.value.hint or "")


async def test_limits_of_before_stay_and_go_but_do_not_change(database: Database):
    apart = Tenants(database, together=False)
    key = (await Tenants(database).create_key(Key(budgets=BUDGETS))).key
    assert await apart.change_key(key.id, lambda before, stays: key) == key
    dearer = msgspec.structs.replace(key, budgets={"daily": TenantBudget(limit="$11", per="day")})
    with pytest.raises(BadRequestError, match="several workers"):
        await apart.change_key(key.id, lambda before, stays: dearer)
    assert await Tenants(database).get(KEYS, key.id) == key
    none = msgspec.structs.replace(key, budgets={})
    free = await apart.change_key(key.id, lambda before, stays: none)
    assert free.budgets == {}


async def test_no_conversation_is_given_a_budget_either(database: Database):
    contexts = Contexts(database, ContextsSection(), together=False)
    ada = Access(key="key_ada", organisation="acme")
    spending = Spending(limit="$1")
    with pytest.raises(BadRequestError, match="several workers"):
        await contexts.create(ada, NewContext(budget=spending))
    id = (await contexts.create(ada, NewContext(name="trip"))).id
    with pytest.raises(BadRequestError, match="several workers"):
        await contexts.change(ada, id, Change(budget=spending))
    assert (await contexts.change(ada, id, Change(budget=None))).budget is None
