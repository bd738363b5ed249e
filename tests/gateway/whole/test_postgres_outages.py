"""A PostgreSQL that is stopped, falls silent or comes late: calls go on, and their records arrive."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest

from polyvox.gateway.tenants.keys import make_key
from postgres_server import Postgres, start_postgres

from .process import memory
from .rig import (
    Books,
    Callers,
    Outcome,
    ask,
    check_ledger,
    get,
    metric,
    new_key,
    providers,
    shipped,
    toml,
    until,
    used,
)

OUTAGE_SECONDS = float(os.environ.get("POLYVOX_OUTAGE_SECONDS", "3"))
NOTICED_SECONDS = 50.0
"""By then everybody who waits for a silent server has given up: see ``Bounds``."""

MODELS = ["lab/slow", "den/slow"]
CALLERS = 8
DOWN = "the database can't be reached"
MOST_LINES = 20
LOOKED_AT = ("/v1/models", "/v1/key", "/v1/usage", "/v1/contexts")
ASKED = (
    *("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/messages", "/api/chat"),
    *("/v1/messages/count_tokens", "/v1beta/models/m:generateContent", "/v1/files", "/v1/batches"),
)
FULL_AT, BESIDE_IT, MOST_GROWTH = 100_000, 1_500, 16 << 20
KEY = "pv-config00-7hT2mN9kQ4rW8xZ3vB6cL1dF5gJ0pS2aU7yE4iO9tR1"
STRANGE_KEY = make_key("key_00000000")
CONFIGURED_KEY = f"""
[gateway.keys.build]
key = "{KEY}"
budget = {{ limit = "$1000" }}
"""


@contextmanager
def stopped(server: Postgres) -> Iterator[None]:
    """It has ended, and is started again."""
    server.stop()
    yield
    server.start()


@contextmanager
def frozen(server: Postgres) -> Iterator[None]:
    """None of its processes does anything."""
    with psycopg.connect(server.url("postgres")) as connection:
        first = _parents()[connection.info.backend_pid]
    os.kill(first, signal.SIGSTOP)
    processes = [first, *(child for child, parent in _parents().items() if parent == first)]
    try:
        for each in processes:
            os.kill(each, signal.SIGSTOP)
        yield
    finally:
        for each in reversed(processes):
            os.kill(each, signal.SIGCONT)


def _parents() -> dict[int, int]:
    """Of each process its parent; see proc(5)."""
    found: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    return found


@contextmanager
def crowded(server: Postgres) -> Iterator[None]:
    """Others have all its connections."""
    with ExitStack() as taken:
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            take_all(taken, server.url("postgres"))
        yield


def take_all(taken: ExitStack, url: str) -> None:
    while True:
        taken.enter_context(psycopg.connect(url))


async def status_of(
    http: aiohttp.ClientSession, gateway: Any, path: str, key: str, method: str = "GET"
) -> int:
    """The status for this key; a 503 says when to come again."""
    headers = {"authorization": f"Bearer {key}"}
    async with http.request(method, gateway.url + path, headers=headers) as answer:
        assert answer.status != 503 or path == "/ready" or "retry-after" in answer.headers
        return answer.status


async def strange_is(status: int, http: aiohttp.ClientSession, gateway: Any) -> bool:
    """Whether this is what a key is told that may have been made by another gateway."""
    return await status_of(http, gateway, "/v1/key", STRANGE_KEY) == status


async def down(gateway: Any) -> bool:
    report = await get(gateway, "/health")
    return report["status"] == "degraded" and any(DOWN in words for words in report["degraded"])


async def well(gateway: Any) -> bool:
    return (await get(gateway, "/health"))["status"] == "ok"


@pytest.mark.parametrize("outage", [stopped, frozen])
async def test_an_outage_fails_no_call_and_loses_no_record(outage, running) -> None:
    async with providers() as mocks, aiohttp.ClientSession() as http:
        with start_postgres() as server:
            url = server.new_database()
            gateway, books = running(toml(mocks, f'database = "{url}"')), Books(url)
            key = await new_key(gateway, "$100000")
            assert await strange_is(401, http, gateway)
            callers = Callers(gateway, key["secret"], MODELS, 1)
            load = asyncio.create_task(callers.run(CALLERS))
            await callers.finished(20)
            with outage(server):
                await asyncio.sleep(OUTAGE_SECONDS)
                if outage is stopped or OUTAGE_SECONDS > NOTICED_SECONDS:
                    await until(lambda: down(gateway))
                    assert await metric(gateway, "store_up", store="database") == 0
                    assert (await get(gateway, "/ready"))["ready"]
                    await until(lambda: strange_is(503, http, gateway))
                await callers.finished(20)
            await callers.finished(20)
            callers.over.set()
            await load
            assert all(each.good for each in callers.outcomes)
            await until(lambda: shipped(gateway))
            await until(lambda: well(gateway))
            await until(lambda: strange_is(401, http, gateway))
            ended = check_ledger(callers.outcomes, books.rows(), mocks)
            print(f"{ended.total()} calls")
            assert ended == {"ok": len(callers.outcomes)}
            assert await metric(gateway, "store_up", store="database") == 1
            assert await metric(gateway, "journal_dropped_total") == 0
            spent = sum(row.nanos for row in books.rows().values())
            assert await used(gateway, key["secret"]) == spent == books.spent("purse")
            lines = map(json.loads, gateway.log.splitlines())
            told = [line for line in lines if line["about"] != "request"]
            assert len(told) < MOST_LINES, "not a line for each call"


async def test_a_gateway_started_without_its_database_recovers_alone(running) -> None:
    async with providers() as mocks, aiohttp.ClientSession() as http:
        with start_postgres() as server:
            url = server.new_database()
            gateway = running(toml(mocks, f'database = "{url}"', CONFIGURED_KEY))
            outcomes = [Outcome(f"mark-{number}") for number in range(6)]
            for each in outcomes[:3]:
                await ask(http, gateway.url, KEY, each)
            assert await asyncio.to_thread(gateway.stop) == 0
            before = Books(url).spent("build")
            with stopped(server):
                await asyncio.to_thread(gateway.start)
                for each in outcomes[3:]:
                    await ask(http, gateway.url, KEY, each)
                await until(lambda: down(gateway))
                unknown = Outcome("mark-9")
                await ask(http, gateway.url, STRANGE_KEY, unknown)
                headers = {"authorization": f"Bearer {KEY}"}
                async with http.get(f"{gateway.url}/v1/usage", headers=headers) as answer:
                    told = answer.status, "retry-after" in answer.headers
            assert all(each.good for each in outcomes)
            assert unknown.status == 503, "a key may be good that can't be looked up"
            assert told == (503, True)
            await until(lambda: well(gateway))
            await until(lambda: shipped(gateway))
            assert check_ledger(outcomes, Books(url).rows(), mocks) == {"ok": 6}
            assert await used(gateway, KEY) == Books(url).spent("build") > before


@pytest.mark.parametrize("outage", [stopped, crowded, frozen])
async def test_good_keys_that_were_never_read_are_told_to_wait_and_work_when_it_is_back(
    outage, running
) -> None:
    """No fault of the database looks like one of the key, and nobody has to start anything again."""
    async with providers() as mocks, aiohttp.ClientSession() as http:
        with start_postgres() as server:
            gateway = running(toml(mocks, f'database = "{server.new_database()}"'))
            key = (await new_key(gateway))["secret"]
            assert await asyncio.to_thread(gateway.stop) == 0
            for kept in (gateway.folder / "data").glob("keys-*.snapshot"):
                kept.unlink()
            with outage(server):
                await asyncio.to_thread(gateway.start)
                assert await down(gateway)
                for path in LOOKED_AT:
                    assert await status_of(http, gateway, path, key) == 503
                    assert await status_of(http, gateway, path, "none-of-ours") == 401
                for path in ASKED:
                    assert await status_of(http, gateway, path, key, "POST") == 503
                async with http.ws_connect(f"{gateway.url}/v1/ws") as socket:
                    await socket.send_json({"type": "hello", "key": key})
                    assert (await socket.receive_json())["error"]["kind"] == "overloaded"
                assert await status_of(http, gateway, "/admin/keys", gateway.key) == 503
                assert await status_of(http, gateway, "/ready", "") == 503, "others may know keys"

            async def ready() -> bool:
                return await status_of(http, gateway, "/ready", "") == 200

            await until(ready)
            outcome = Outcome("mark-2")
            await ask(http, gateway.url, key, outcome)
            assert outcome.good
            for path in LOOKED_AT:
                assert await status_of(http, gateway, path, key) == 200
            assert await strange_is(401, http, gateway)
            await until(lambda: well(gateway))


async def test_many_keys_at_once_that_nobody_has_used_yet_ask_the_database_nothing(running) -> None:
    async with providers() as mocks, aiohttp.ClientSession() as http:
        with start_postgres() as server:
            url = server.new_database()
            gateway = running(toml(mocks, f'database = "{url}"'))
            made = [await new_key(gateway, "$1000" if number % 2 else None) for number in range(60)]
            outcomes = [Outcome(f"mark-{number}") for number in range(60)]
            strange = [make_key(f"key_{number:08}") for number in range(60)]
            with frozen(server):
                *_, statuses = await asyncio.gather(
                    *(
                        ask(http, gateway.url, key["secret"], each)
                        for key, each in zip(made, outcomes, strict=True)
                    ),
                    asyncio.gather(*(status_of(http, gateway, "/v1/key", key) for key in strange)),
                )
            assert all(each.good for each in outcomes)
            assert set(statuses) == {503}  # another gateway may just have made them
            await until(lambda: shipped(gateway))
            assert check_ledger(outcomes, Books(url).rows(), mocks) == {"ok": 60}


@pytest.mark.parametrize("on_failure", ["allow", "deny"])
async def test_what_there_is_no_room_for_during_an_outage_is_counted_to_the_line_or_refused(
    on_failure: str, running
) -> None:
    journal = f'[gateway.journal]\nmax_bytes = {FULL_AT}\non_failure = "{on_failure}"'
    async with providers() as mocks, aiohttp.ClientSession() as http:
        with start_postgres() as server:
            url = server.new_database()
            config = toml(mocks, f'database = "{url}"', journal)
            gateway = running(config, watched=False)
            callers = Callers(gateway, (await new_key(gateway))["secret"], ["lab/fast"], 1)

            async def is_full() -> bool:
                return await metric(gateway, "journal_failing") == 1

            with stopped(server):
                load = asyncio.create_task(callers.run(CALLERS))
                await until(is_full)
                before = memory(gateway.process.pid)
                await callers.finished(BESIDE_IT)
                assert memory(gateway.process.pid) - before < MOST_GROWTH
                assert await metric(gateway, "journal_waiting_bytes") < 2 * FULL_AT
                callers.over.set()
                await load
                serves = 200 if on_failure == "allow" else 503
                assert await status_of(http, gateway, "/ready", "") == serves
            await until(lambda: shipped(gateway))
            await until(lambda: well(gateway))
            lost = await metric(gateway, "journal_dropped_total")
            rows = Books(url).rows()
            served = [each for each in callers.outcomes if each.good]
            recorded = [each for each in served if each.id in rows]
            assert len(rows) == len(recorded)
            if on_failure == "allow":
                assert len(served) == len(callers.outcomes)
                assert lost == 3 * (len(served) - len(rows)) > 0  # its beginning, attempt and end
            else:
                assert {each.status for each in callers.outcomes} == {200, 503}
                assert (lost, len(rows)) == (0, len(served))
            check_ledger(recorded, rows, mocks)
