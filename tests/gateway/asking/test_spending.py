"""What is reserved for a call, what it is debited in the end, and when there is room again."""

import asyncio
import math
from collections.abc import Iterable
from contextlib import AsyncExitStack
from itertools import islice

import aiohttp
import pytest

from polyvox import AsyncClient
from polyvox.catalog import Catalog
from polyvox.gateway.asking.gates import Gates
from polyvox.gateway.tenants.access import Access, Level
from polyvox.limits import Budget, MemoryLimits, RateLimit
from polyvox.limits.budget import BudgetLimit
from polyvox.limits.rate_limit import limits_of
from polyvox.routing import Router
from polyvox.testing import Knobs, MockProvider

from .accounts import standing

CHAT = "/v1/chat/completions"
INPUT, OUTPUT, CEILING = 2_000, 6_000, 3_000
"""What a token costs, in nano-dollars; and how many a model may write."""

DOLLAR = 1_000_000_000
HEADERS = {"authorization": "Bearer payer"}


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def hello(model: str = "up/m", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], **more}


def upstream(**mocks: MockProvider) -> AsyncClient:
    rows = {
        name: {"dialect": mock.dialect.name, "base_url": mock.url} for name, mock in mocks.items()
    }
    price = {"input": 2, "output": 6, "max_output_tokens": CEILING}
    catalog = Catalog.load({f"{name}/m": price for name in mocks})
    return AsyncClient(providers=rows, keys=dict.fromkeys(rows, "any"), catalog=catalog)


def payer(budgets: Iterable[Budget] = (), rates: Iterable[RateLimit] = ()) -> Access:
    return Access(key="k", levels=(Level("key:k", tuple(budgets), tuple(rates)),))


@pytest.mark.parametrize("per", ["hour", "day", "week", "month"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_budget_is_whole_again_when_its_refusal_said(serve, per: str, stream: bool) -> None:
    said = {"message": {"content": "Hello.", "usage": {"input_tokens": 9, "output_tokens": 900}}}
    async with (
        MockProvider("openai-chat", script=[said | {"repeat": True}]) as mock,
        upstream(up=mock) as client,
        serve(client) as gateway,
    ):
        clock = Clock()
        gateway.asking.gates = Gates(MemoryLimits(clock=clock))
        most = CEILING * OUTPUT + 100 * INPUT
        gateway.keys.known["payer"] = payer([Budget(most / DOLLAR, per=per, name="key:k")])
        body = hello(stream=stream)

        async def ask() -> aiohttp.ClientResponse:
            async with gateway.http.post(gateway.url + CHAT, json=body, headers=HEADERS) as answer:
                await answer.read()
                return answer

        passed: list[int] = []
        for _ in range(3):
            before = len(mock.requests)
            while (answer := await ask()).status == 200:
                pass
            assert answer.status == 402
            passed.append(len(mock.requests) - before)
            wait = int(answer.headers["retry-after"])
            clock.now += wait - 1
            assert (await ask()).status == 402
            clock.now += 1
        assert passed[0] > 0
        assert passed == passed[:1] * 3


async def test_of_a_burst_of_long_streams_only_those_begin_that_have_room(serve) -> None:
    """Nobody has answered yet, so that it is known of none what it uses."""
    room, came = 3, 12
    knobs = Knobs(hold_until=10_000, hold_limit=60)
    async with (
        MockProvider("openai-chat", script=["word " * 500] * came, knobs=knobs) as mock,
        upstream(up=mock) as client,
        serve(client) as gateway,
    ):
        rate = RateLimit(tokens=room * 1_100, per="day", name="few")
        gateway.keys.known["payer"] = payer(rates=[rate])
        body = hello(stream=True, max_tokens=1_000)

        async def ask() -> tuple[int, str]:
            async with gateway.http.post(gateway.url + CHAT, json=body, headers=HEADERS) as answer:
                await answer.read()
                return answer.status, answer.headers.get("retry-after", "")

        asking = [asyncio.create_task(ask()) for _ in range(came)]
        for _ in range(room):
            await mock.wait_for_request()
        refused = [await each for each in islice(asyncio.as_completed(asking), came - room)]
        assert {status for status, _ in refused} == {429}
        assert all(int(wait) > 0 for _, wait in refused)
        assert mock.ledger().total == room
        mock.release()
        assert sorted(status for status, _ in await asyncio.gather(*asking))[:room] == [200] * room
        [(used, held)] = await standing(gateway, *limits_of(rate))
        told = mock.ledger().usage
        assert math.isclose(used, told.total_tokens, abs_tol=1)  # a little has drained
        assert held == 0


FAILURES = {
    "refused": Knobs(status=503),
    "broken off before any content": Knobs(cut_after=0),
    "failed in the stream": Knobs(error_after_chunks=0),
}


@pytest.mark.parametrize(
    ("failure", "stream"),
    [
        *((failure, True) for failure in FAILURES),
        ("refused", False),
        ("broken off before any content", False),
    ],
)
async def test_a_call_that_fell_back_uses_what_its_attempts_did_each_once(
    serve, failure: str, stream: bool
) -> None:
    async with (
        MockProvider("openai-chat", knobs=FAILURES[failure]) as bad,
        MockProvider("openai-chat", script=["Hello there."]) as good,
        upstream(bad=bad, good=good) as client,
        serve(client) as gateway,
    ):
        router = Router([client.model("bad/m"), client.model("good/m")])
        gateway.asking.models.add("routed", router)
        budget = Budget(100, name="key:k")
        rate = RateLimit(requests=1_000, tokens=10_000_000, per=1e9, name="key:k")
        gateway.keys.known["payer"] = payer([budget], [rate])
        async with gateway.http.post(
            gateway.url + CHAT, json=hello("routed", stream=stream, max_tokens=50), headers=HEADERS
        ) as answer:
            assert answer.status == 200
            assert "Hello" in await answer.text()
        found = await standing(gateway, BudgetLimit(budget), *limits_of(rate))
        usages = [attempt.usage for _, attempt in gateway.books.attempts]
        assert (len(bad.requests), len(good.requests), len(usages)) == (1, 1, 2)
        (money, _), (requests, _), (tokens, _) = found
        assert money == sum(usage.cost.nanos for usage in usages) > 0
        assert requests == pytest.approx(2, abs=0.01)
        assert tokens == pytest.approx(sum(usage.total_tokens for usage in usages), abs=1)
        told = good.ledger().usage
        assert usages[1].cost.nanos == told.input_tokens * INPUT + told.output_tokens * OUTPUT


@pytest.mark.parametrize("stream", [False, True])
async def test_the_first_calls_of_an_end_user_whom_nobody_knows_are_counted_together(
    serve, stream: bool
) -> None:
    room, came = 4, 20
    knobs = Knobs(hold_until=10_000, hold_limit=60)
    async with (
        MockProvider("openai-chat", script=["Hello."] * came, knobs=knobs) as mock,
        upstream(up=mock) as client,
        serve(client) as gateway,
    ):
        most = room * (1_000 * OUTPUT + 50 * INPUT) / DOLLAR
        each = Level("user:acme/*", (Budget(most, name="user:acme/*:purse"),))
        gateway.keys.known["payer"] = Access(key="k", organisation="acme", end_users=each)
        for user in ("somebody", "somebody else"):
            body = hello(stream=stream, max_tokens=1_000, polyvox={"end_user": user})
            asking = [
                asyncio.create_task(_read(gateway.http, gateway.url + CHAT, body))
                for _ in range(came)
            ]
            for _ in range(room):
                await mock.wait_for_request()
            refused = [await one for one in islice(asyncio.as_completed(asking), came - room)]
            assert all(b"budget_exceeded" in told for told in refused)
            mock.release()
            answered = [told for told in await asyncio.gather(*asking) if told not in refused]
            assert len(answered) == room
        assert mock.ledger().total == 2 * room


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_call_costs_beyond_its_reservation_is_a_debt_that_blocks_the_next(
    serve, stream: bool
) -> None:
    """A provider that bills a hundred times what anybody could foresee, and for more than is left."""
    usage = {"input_tokens": 100_000, "output_tokens": 10}
    said = {"message": {"content": "Hello.", "usage": usage}, "repeat": True}
    async with (
        MockProvider("openai-chat", script=[said]) as mock,
        upstream(up=mock) as client,
        serve(client) as gateway,
    ):
        cost = 100_000 * INPUT + 10 * OUTPUT
        budget = Budget(2.5 * cost / DOLLAR, name="key:k")
        gateway.keys.known["payer"] = payer([budget])
        statuses: list[int] = []
        for _ in range(5):
            async with gateway.http.post(
                gateway.url + CHAT, json=hello(stream=stream, max_tokens=10), headers=HEADERS
            ) as answer:
                await answer.read()
                statuses.append(answer.status)
        assert statuses == [200, 200, 200, 402, 402]
        assert mock.ledger().total == 3
        [(used, held)] = await standing(gateway, BudgetLimit(budget))
        assert (used, held) == (3 * cost, 0)
        limit = BudgetLimit(budget).limit
        assert limit < used < limit + cost, "by no more than one call was wrong"


@pytest.mark.parametrize("stream", [False, True])
async def test_who_says_no_max_tokens_reserves_the_models_ceiling_and_gets_the_rest_back(
    serve, stream: bool
) -> None:
    async with (
        MockProvider("openai-chat", script=["Hi."], knobs=Knobs(hold_until=2)) as mock,
        upstream(up=mock) as client,
        serve(client) as gateway,
    ):
        budget = Budget(100, name="key:k")
        rate = RateLimit(tokens=10_000_000, per=1e9, name="key:k")
        limits = [BudgetLimit(budget), *limits_of(rate)]
        gateway.keys.known["payer"] = payer([budget], [rate])
        url = gateway.url + CHAT
        asking = asyncio.create_task(_read(gateway.http, url, hello(stream=stream)))
        await mock.wait_for_request()
        (money, held), (tokens, _) = await standing(gateway, *limits)
        assert money == held
        prompt = round(tokens) - CEILING
        assert 0 < prompt < 50
        assert money == CEILING * OUTPUT + prompt * INPUT
        mock.release()
        await asking
        (money, held), (tokens, _) = await standing(gateway, *limits)
        told = mock.ledger().usage
        assert (money, held) == (told.input_tokens * INPUT + told.output_tokens * OUTPUT, 0)
        assert tokens == pytest.approx(told.total_tokens, abs=1)


async def _read(http: aiohttp.ClientSession, url: str, body: object) -> bytes:
    async with http.post(url, json=body, headers=HEADERS) as answer:
        return await answer.read()


@pytest.mark.parametrize("bytes_read", [0, 1, 500, 1_500, 3_000, 6_000])
async def test_who_leaves_in_the_middle_pays_for_the_prompt_at_least_and_for_the_whole_at_most(
    serve, bytes_read: int
) -> None:
    knobs = Knobs(cut_after=7_000, cut_mode="stall")
    said = {"message": {"content": "word " * 400, "usage": {"input_tokens": 9}}}
    async with AsyncExitStack() as stack:
        mock = await stack.enter_async_context(
            MockProvider("openai-chat", script=[said], knobs=knobs)
        )
        client = await stack.enter_async_context(upstream(up=mock))
        gateway = await stack.enter_async_context(serve(client))
        budget = Budget(100, name="key:k")
        gateway.keys.known["payer"] = payer([budget])
        body = hello(stream=True, max_tokens=500)
        async with (
            aiohttp.ClientSession() as http,
            http.post(gateway.url + CHAT, json=body, headers=HEADERS) as answer,
        ):
            seen = 0
            while seen < bytes_read:
                seen += len(await answer.content.readany())
        await mock.wait_for_hangup()
        ended = await gateway.books.next_end()
        await gateway.calls.over()
        [(_, attempt)] = gateway.books.attempts
        assert (ended.error, ended.partial, attempt.usage.basis) == ("aborted", True, "partial")
        [(used, held)] = await standing(gateway, BudgetLimit(budget))
        assert (used, held) == (attempt.usage.cost.nanos, 0)
        assert INPUT < used <= 100 * INPUT + 500 * OUTPUT
