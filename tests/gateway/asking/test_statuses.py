"""With which status a failure is told: in every dialect the same, whole or streamed, but for one word."""

import pytest

from polyvox.assembly import failed
from polyvox.errors import (
    BudgetExceededError,
    ContentFilterError,
    ContextWindowExceededError,
    NetworkError,
    PolyvoxError,
    ProtocolError,
)
from polyvox.testing import Knobs, MockProvider

from .rig import BEHIND, CALLERS, Acting, asking, upstream

OVERLOADED = {"anthropic-messages": 529}
"""Anthropic's own word for it."""

PROVIDERS: dict[int, int] = {
    400: 400,
    401: 502,  # the gateway's own key: nothing that the caller can mend
    403: 502,
    404: 404,
    408: 504,
    409: 500,
    413: 413,
    415: 400,
    422: 400,
    429: 429,
    500: 500,
    502: 500,
    503: 503,
    504: 504,
    529: 503,
}
"""What a provider says, and what a caller is told."""

BY_STATUS = [dialect for dialect in BEHIND if dialect != "bedrock-converse"]
"""Amazon's errors have names, which say more than their statuses."""


@pytest.mark.parametrize("behind", BY_STATUS)
@pytest.mark.parametrize("caller", CALLERS)
async def test_what_a_provider_says_is_told_as_it_concerns_the_caller(
    serve, caller: str, behind: str
) -> None:
    async with (
        MockProvider(behind) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        for said, told in PROVIDERS.items():
            mock.knobs = Knobs(status=said)
            for stream in (False, True):
                answer = await asking(gateway, caller, stream=stream)
                wanted = OVERLOADED.get(caller, told) if told == 503 else told
                assert answer.status == wanted, (said, answer)


def of_a_provider(error: PolyvoxError) -> PolyvoxError:
    error.provider = "up"
    return error


KINDS: list[tuple[PolyvoxError, set[int]]] = [
    (ContextWindowExceededError("the prompt is too long"), {400}),
    (ContentFilterError("the answer was stopped"), {400}),
    (BudgetExceededError("no money is left"), {402}),
    (of_a_provider(BudgetExceededError("of our key at another gateway", status=402)), {502}),
    (of_a_provider(BudgetExceededError("of the file, in an agent's run")), {402}),
    (of_a_provider(NetworkError("nobody listens")), {500, 502, 503}),
    (of_a_provider(ProtocolError("no frame")), {500, 502}),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("caller", CALLERS)
async def test_failures_that_have_no_status_of_a_provider(serve, caller: str, stream: bool) -> None:
    acting = Acting([])
    async with upstream() as client, serve(client) as gateway:
        gateway.asking.models.add("m", acting)
        for error, statuses in KINDS:
            acting.acts[:] = [[failed(error)]]
            answer = await asking(gateway, caller, "m", stream=stream)
            assert answer.status in statuses, (error, answer)
