"""What these tests share: providers of known prices, callers who remember, and a look at the books."""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar

import aiohttp
import msgspec
from sqlalchemy import create_engine, func, select
from sqlalchemy.engine import Connection

from gateway.running import Running
from polyvox.gateway.database.tables import attempts, balances, calls
from polyvox.testing import MockProvider
from polyvox.testing.ledger import ServedRequest

PATIENCE = 40.0
INPUT, OUTPUT = 2_000, 6_000
"""What a token costs, in nano-dollars."""

MOST_OUTPUT = 40
DEAREST = 400 * INPUT + MOST_OUTPUT * OUTPUT
"""No call of these tests costs more, nor is more reserved for one."""

_PRICE = "{ input = 2, output = 6 }"
_MARK = re.compile(r"mark-\d+")
_T = TypeVar("_T")

WORDS = " ".join(f"word{number}" for number in range(12))


def script() -> dict[str, list[Any]]:
    """What each model says, by its name."""
    answer = {"message": {"content": WORDS}}
    scripts = {
        "fast": [answer],
        "slow": [answer | {"knobs": {"delay_chunks": 0.01, "delay_headers": 0.02}}],
        "long": [answer | {"knobs": {"delay_chunks": 0.2}}],
        "broken": [answer | {"knobs": {"status": 500}}],
        "flaky": [answer | {"knobs": {"status": 500}}, answer] * 3_000,
        "cut": [answer | {"knobs": {"cut_after": 900, "cut_mode": "rst"}}],
    }
    for turns in scripts.values():
        turns[-1] = turns[-1] | {"repeat": True}
    return scripts


@asynccontextmanager
async def providers() -> AsyncIterator[dict[str, MockProvider]]:
    """A provider of two dialects each, which never have anything else to say."""
    async with (
        MockProvider("openai-chat", script=script()) as lab,
        MockProvider("anthropic-messages", script=script()) as den,
    ):
        yield {"lab": lab, "den": den}


def toml(mocks: dict[str, MockProvider], gateway: str = "", more: str = "") -> str:
    """A configuration with these providers."""
    lines = ["[gateway]", gateway, "[retry]\nattempts = 2\nbase = 0.01", more]
    for name, mock in mocks.items():
        lines += [f"[providers.{name}]", f'dialect = "{mock.dialect.name}"']
        lines += [f'base_url = "{mock.url}"', 'key = "provider-key"']
        lines += [f'[prices."{name}/{model}"]\ninput = 2\noutput = 6' for model in script()]
    return "\n".join(lines) + "\n"


class Outcome(msgspec.Struct):
    """What a caller knows of a call. ``finished``: the answer, or a refusal, came whole."""

    mark: str
    id: str = ""
    status: int = 0
    finished: bool = False
    good: bool = False
    text: str = ""


class Callers:
    """Several who ask one after the other, each time something else, until it is over."""

    def __init__(self, gateway: Running, key: str, models: Sequence[str], seed: int) -> None:
        self.gateway, self.key, self.models = gateway, key, models
        self.chance = random.Random(seed)
        self.outcomes: list[Outcome] = []
        self.over = asyncio.Event()
        self._changed = asyncio.Event()

    async def run(self, many: int) -> None:
        """Ask, until somebody says that it is over or the gateway is gone."""
        async with aiohttp.ClientSession() as http:
            await asyncio.gather(*(self._ask_on(http) for _ in range(many)))

    async def finished(self, more: int) -> None:
        """Until so many more calls are finished."""
        wanted = self._finished() + more
        async with asyncio.timeout(PATIENCE):
            while self._finished() < wanted:
                self._changed.clear()
                await self._changed.wait()

    def _finished(self) -> int:
        return sum(each.finished for each in self.outcomes)

    async def _ask_on(self, http: aiohttp.ClientSession) -> None:
        while not self.over.is_set():
            outcome = Outcome(f"mark-{len(self.outcomes)}")
            self.outcomes.append(outcome)
            try:
                model, stream = self.chance.choice(self.models), self.chance.random() < 0.5
                await ask(http, self.gateway.url, self.key, outcome, model, stream=stream)
            except (aiohttp.ClientError, ConnectionError):
                if not outcome.status:
                    return  # the gateway is gone
            finally:
                self._changed.set()


async def ask(
    http: aiohttp.ClientSession,
    url: str,
    key: str,
    outcome: Outcome,
    model: str = "lab/fast",
    *,
    stream: bool = False,
    **more: Any,
) -> None:
    """Ask once, and note what came of it."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": f"Say something of {outcome.mark}."}],
        "max_tokens": MOST_OUTPUT,
        "stream": stream,
        **({"stream_options": {"include_usage": True}} if stream else {}),
        **more,
    }
    headers = {"authorization": f"Bearer {key}"}
    async with http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
        outcome.status, outcome.id = answer.status, answer.headers.get("x-polyvox-call-id", "")
        outcome.text = (await answer.read()).decode()
    if answer.status == 200 and stream:
        outcome.good = outcome.text.endswith("data: [DONE]\n\n") and '"error"' not in outcome.text
        outcome.finished = outcome.good
    else:
        outcome.finished, outcome.good = True, answer.status == 200


class Row(msgspec.Struct):
    """A call in the database."""

    id: str
    status: str
    nanos: int
    partial: bool
    attempts: int = 0
    attempts_nanos: int = 0


class Books:
    """What stands in the database. Reading fails where a call or an attempt stands there twice."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("postgresql://", "postgresql+psycopg://")

    def rows(self) -> dict[str, Row]:
        """The calls by id."""
        return self._read(_rows)

    def spent(self, account: str) -> int:
        """What an account was debited in all."""
        query = select(func.coalesce(func.sum(balances.c.nanos), 0))
        return self._read(
            lambda connection: int(
                connection.scalar(query.where(balances.c.account.contains(account))) or 0
            )
        )

    def _read(self, read: Callable[[Connection], _T]) -> _T:
        engine = create_engine(self._url)
        try:
            with engine.connect() as connection:
                return read(connection)
        finally:
            engine.dispose()


def _rows(connection: Connection) -> dict[str, Row]:
    columns = (calls.c.id, calls.c.status, calls.c.nanos, calls.c.partial)
    found = [Row(*row) for row in connection.execute(select(*columns))]
    rows = {row.id: row for row in found}
    assert len(rows) == len(found), "a call stands there twice"
    for call, nanos in connection.execute(select(attempts.c.call, attempts.c.nanos)):
        rows[call].attempts += 1
        rows[call].attempts_nanos += nanos
    return rows


class Told(msgspec.Struct):
    """What providers told of one question."""

    nanos: int = 0
    served: int = 0


def told_by(mocks: dict[str, MockProvider]) -> dict[str, Told]:
    """By the mark of the question, what the providers' own books say of it."""
    told: dict[str, Told] = {}
    for mock in mocks.values():
        for served in mock.ledger().served:
            one = told.setdefault(mark_of(served), Told())
            one.served += 1
            one.nanos += nanos_of(served)
    return told


def mark_of(served: ServedRequest) -> str:
    """The mark in the question."""
    assert served.request is not None
    found = _MARK.search(str(served.request.messages[-1].content))
    assert found is not None
    return found[0]


def nanos_of(served: ServedRequest) -> int:
    """What it cost by the tokens that were told."""
    usage = served.usage
    return usage.input_tokens * INPUT + usage.output_tokens * OUTPUT if usage else 0


async def get(gateway: Running, path: str, key: str | None = None) -> Any:
    """What stands at a path."""
    return await asked_of(gateway, "GET", path, key=key)


async def asked_of(
    gateway: Running,
    method: Literal["GET", "POST", "PUT", "DELETE"],
    path: str,
    body: dict[str, Any] | None = None,
    key: str | None = None,
) -> Any:
    """The JSON, or the text, that a gateway answers; its administrator asks unless ``key`` does."""
    headers = {"authorization": f"Bearer {key or gateway.key}"}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as http,
        http.request(method, gateway.url + path, json=body, headers=headers) as answer,
    ):
        text = await answer.text()
        assert answer.status < 300, (answer.status, text)
        return json.loads(text) if text[:1] in ("{", "[") else text


async def until(
    wanted: Callable[[], Awaitable[_T]], seconds: float = PATIENCE, *, every: float = 0.02
) -> _T:
    """Look again and again until it is true, at most so long."""
    async with asyncio.timeout(seconds):
        while not (found := await wanted()):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(every)
    return found


async def shipped(gateway: Running) -> bool:
    """Whether the database has everything."""
    parts = (await get(gateway, "/health"))["parts"]
    (journal,) = (part for part in parts if part["name"] == "journal")
    return journal["numbers"]["waiting_bytes"] == 0


async def metric(gateway: Running, name: str, **labels: str) -> float:
    """A number of /metrics; 0 where it isn't told."""
    text = await get(gateway, "/metrics")
    for line in text.splitlines():
        if line.startswith(f"polyvox_{name}{{") and all(
            f'{label}="{value}"' in line for label, value in labels.items()
        ):
            return float(line.rpartition(" ")[2])
    return 0.0


async def new_key(gateway: Running, limit: str | None = None, **more: Any) -> dict[str, Any]:
    """A new key, with a budget if one is said."""
    budgets = {"budgets": {"purse": {"limit": limit}}} if limit else {}
    return await asked_of(gateway, "POST", "/admin/keys", {"name": "tester", **budgets, **more})


async def used(gateway: Running, key: str) -> float | None:
    """What the budget of a key has used, as its holder sees it; None where nobody can tell."""
    (left,) = (await get(gateway, "/v1/key", key))["limits"]
    return left["used"]


def check_ledger(
    outcomes: list[Outcome], rows: dict[str, Row], mocks: dict[str, MockProvider]
) -> Counter[str]:
    """The laws: what was finished stands there once, at the provider's price; returns how calls ended."""
    told = told_by(mocks)
    finished = [each for each in outcomes if each.finished and each.status != 503]
    lost = [each for each in finished if each.id not in rows]
    assert not lost, lost[:3]
    good = [each for each in finished if each.good]
    wrong = [
        (each, rows[each.id], told[each.mark])
        for each in good
        if rows[each.id].nanos != told[each.mark].nanos or rows[each.id].status != "ok"
    ]
    assert not wrong, wrong[:3]
    assert sum(rows[each.id].nanos for each in good) == sum(told[each.mark].nanos for each in good)
    assert all(row.nanos == row.attempts_nanos for row in rows.values())
    failed = [each for each in finished if not each.good]
    assert all(rows[each.id].status not in ("ok", "unsettled") for each in failed)
    unsettled = {row.id for row in rows.values() if row.status == "unsettled"}
    assert not unsettled & {each.id for each in finished}
    unanswered = sum(not each.finished for each in outcomes)
    assert len(rows) - len(finished) <= unanswered
    assert len(unsettled) <= unanswered
    return Counter(row.status for row in rows.values())
