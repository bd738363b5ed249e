"""A deployment that fails is left alone for a while, and a caller who finds all so is told for how long."""

import asyncio
from typing import Any

import pytest

from polyvox import AsyncClient
from polyvox.routing import Router
from polyvox.testing import Knobs, MockProvider

CHAT = "/v1/chat/completions"
HEADERS = {"authorization": "Bearer good"}
NEVER = 0

# How often it may answer so in a row before it is left alone.
TABLE: dict[int, int] = {
    400: NEVER,
    401: 1,
    402: 1,
    403: 1,
    404: 1,
    408: 2,
    413: NEVER,
    422: NEVER,
    429: 1,
    500: 3,
    502: 3,
    503: 1,
    504: 2,
    529: 1,
}


def hello(stream: bool) -> dict[str, Any]:
    return {"model": "team", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}


def upstream(*mocks: MockProvider) -> AsyncClient:
    rows = {f"up{n}": {"dialect": m.dialect.name, "base_url": m.url} for n, m in enumerate(mocks)}
    return AsyncClient(providers=rows, keys=dict.fromkeys(rows, "any"))


async def told(gateway: Any, stream: bool) -> tuple[int, str | None]:
    """The status, and after how many seconds one may come again."""
    async with gateway.http.post(gateway.url + CHAT, json=hello(stream), headers=HEADERS) as answer:
        await answer.read()
        return answer.status, answer.headers.get("retry-after")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", TABLE)
async def test_so_many_answers_of_a_status_and_it_is_asked_no_more(
    serve, status: int, stream: bool
) -> None:
    async with (
        MockProvider("openai-chat", knobs=Knobs(status=status)) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        gateway.asking.models.add("team", Router([client.model("up0/m")], name="team"))
        answers = [await told(gateway, stream) for _ in range(5)]
        asked = TABLE[status] or len(answers)
        assert len(mock.requests) == asked
        for told_status, wait in answers[asked:]:
            assert told_status == 429
            assert wait is not None
            assert int(wait) > 0


CREDIT = "Your credit balance is too low to access the Anthropic API."


async def test_one_whose_credit_is_used_up_is_asked_no_more_whatever_status_it_says_so_with(
    serve,
) -> None:
    poor = {"error": {"kind": "bad_request", "text": CREDIT, "status": 400}, "repeat": True}
    async with (
        MockProvider("anthropic-messages", script=[poor]) as mock,
        MockProvider("openai-chat", script=["Hello."] * 3) as other,
        upstream(mock, other) as client,
        serve(client) as gateway,
    ):
        models = [client.model("up0/m"), client.model("up1/m")]
        gateway.asking.models.add("team", Router(models, name="team", strategy="priority"))
        assert [await told(gateway, stream=False) for _ in range(3)] == [(200, None)] * 3
        assert (mock.answers[0].status, len(mock.requests), len(other.requests)) == (400, 1, 3)


async def test_of_two_failures_at_once_the_longer_rest_counts(serve) -> None:
    turns = [
        {"message": {"content": ""}, "knobs": {"status": 429, "retry_after": seconds}}
        for seconds in (3_600, 2)
    ]
    async with (
        MockProvider("openai-chat", script=turns, knobs=Knobs(hold_until=2)) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        gateway.asking.models.add("team", Router([client.model("up0/m")], name="team"))
        both = await asyncio.gather(told(gateway, stream=False), told(gateway, stream=True))
        assert sorted(both) == [(429, "2"), (429, "3600")]
        status, wait = await told(gateway, stream=False)
        assert (status, len(mock.requests)) == (429, 2)
        assert wait is not None
        assert 2 < int(wait) <= 3_600


async def test_a_router_may_wait_for_the_end_of_a_rest_but_no_longer_than_allowed(serve) -> None:
    def resting(seconds: float) -> list[dict[str, Any]]:
        knobs = {"status": 429, "retry_after": seconds}
        return [{"message": {"content": ""}, "knobs": knobs}, {"message": {"content": "Hello."}}]

    async with (
        MockProvider("openai-chat", script=resting(0.05)) as short,
        MockProvider("openai-chat", script=resting(3_600)) as long,
        upstream(short, long) as client,
        serve(client) as gateway,
    ):
        for name, most, status, mock in (("up0/m", 60, 200, short), ("up1/m", 0.05, 429, long)):
            router = Router([client.model(name)], name="team", wait_seconds=most)
            gateway.asking.models.add("team", router)
            assert (await told(gateway, stream=False))[0] == 429
            assert (await told(gateway, stream=False))[0] == status
            assert len(mock.requests) == (2 if status == 200 else 1)
