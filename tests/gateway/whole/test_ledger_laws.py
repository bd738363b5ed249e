"""Whatever a gateway dies of, and when: its ledger says what its callers got, and its budgets know it."""

import asyncio
import os
import random

import pytest

from .rig import (
    DEAREST,
    Books,
    Callers,
    check_ledger,
    new_key,
    providers,
    shipped,
    toml,
    until,
    used,
)

ROUNDS = int(os.environ.get("POLYVOX_ROUNDS", "3"))
CALLERS = 12
MODELS = [
    f"{name}/{model}" for name in ("lab", "den") for model in ("fast", "fast", "slow", "slow")
]
MODELS += ["lab/broken", "den/cut", "lab/flaky", "den/flaky", "lab/long", "den/long"]


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGKILL"])
async def test_a_gateway_that_ends_at_random_moments_has_a_ledger_that_is_right(
    signal: str, running, database_url: str
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with providers() as mocks:
        config = toml(mocks, f'database = "{database_url}"\ndrain_seconds = 0.3')
        gateway, books = running(config, watched=False), Books(database_url)
        key = await new_key(gateway, "$100000")
        callers = Callers(gateway, key["secret"], MODELS, seed)
        for number in range(ROUNDS):
            load = asyncio.create_task(callers.run(CALLERS))
            await callers.finished(chance.randrange(1, 120))
            if signal == "SIGTERM":
                assert await asyncio.to_thread(gateway.stop) == 0
            else:
                await asyncio.to_thread(gateway.kill)
            await load
            await asyncio.to_thread(gateway.start)
            await until(lambda: shipped(gateway))
            rows = books.rows()
            ended = check_ledger(callers.outcomes, rows, mocks)
            spent = await used(gateway, key["secret"])
            unsettled = ended["unsettled"]
            known = sum(row.nanos for row in rows.values() if row.status != "unsettled")
            print(number, dict(ended), "spent", spent, "in the ledger", known)
            assert spent == books.spent("purse")
            assert spent is not None
            assert known <= spent <= known + unsettled * DEAREST
            if signal == "SIGTERM":
                assert unsettled == 0
        load = asyncio.create_task(callers.run(CALLERS))
        await callers.finished(CALLERS)
        callers.over.set()
        await load
        before = await used(gateway, key["secret"])
        assert await asyncio.to_thread(gateway.stop) == 0
        await asyncio.to_thread(gateway.start)
        assert await used(gateway, key["secret"]) == before == books.spent("purse")
        check_ledger(callers.outcomes, books.rows(), mocks)
