"""What a composite says that it costs: never less than it does, and each attempt once."""

from collections.abc import AsyncGenerator

import pytest

from polyvox.assembly import failed
from polyvox.attempt import Stopwatch
from polyvox.caching import Cached
from polyvox.composite import Council, Member, MixtureOfAgents, ToolLoop
from polyvox.errors import ServerError
from polyvox.events import Event
from polyvox.ledger import CostTracker, Tracked
from polyvox.messages import AssistantMessage, ToolCall, assistant, user
from polyvox.model import Call, Model
from polyvox.quote import quote_of
from polyvox.request import Request, ToolDefinition
from polyvox.routing import Retrying, RetryPolicy
from polyvox.usage import UNKNOWN_COST, ZERO_USAGE, Cost, Usage

from .council_rig import Voice
from .speakers import NANOS, Speaker, ask, reply_of

LOOK = ToolDefinition("look")
WHY = Request(messages=[user("Why?")])
NOTHING = assistant("")
CALLS = AssistantMessage([ToolCall("c1", "look", {})], "tool_calls")


def looking(rounds: int) -> ToolLoop:
    return ToolLoop(lambda call: "seen", rounds)


def mixture(**more) -> MixtureOfAgents:
    settings = {"aggregator": Speaker("judge", "Because."), **more}
    return MixtureOfAgents([Speaker("a", "A."), Speaker("b", ServerError("x"))], **settings)


def in_turn() -> list[Speaker]:
    """Two who spend their tokens and say nothing, and one who answers."""
    return [Speaker("one", NOTHING), Speaker("two", NOTHING), Speaker("three", "Because.")]


def council(**more) -> Council:
    voices = [Voice(f"acme/{name}", name) for name in "abc"]
    return Council(voices, **{"chairman": Voice("acme/chair", "-"), **more})


COMPOSITES = [
    mixture,
    lambda: mixture(layers=3),
    lambda: mixture(aggregator=in_turn()),
    lambda: mixture(aggregator=in_turn()[:2]),
    lambda: mixture(aggregator=in_turn(), layers=4, window_tokens=20),
    lambda: mixture(aggregator=Speaker("judge", CALLS), tool_executor=looking(3)),
    lambda: MixtureOfAgents([mixture(name="inner"), council()], aggregator=mixture(name="last")),
    lambda: MixtureOfAgents(
        [Member(Speaker("a", "A."), samples=5)], aggregator=in_turn(), window_tokens=20
    ),
    council,
    lambda: council(chairman=in_turn()),
    lambda: council(chairman=Speaker("chair", CALLS), tool_executor=looking(2)),
    lambda: council(reviewers=[Member(Voice("acme/r", ""), samples=3)]),
]


@pytest.mark.parametrize("make", COMPOSITES)
async def test_the_quote_is_never_less_than_the_bill_and_all_books_say_the_same(make):
    request = Request(messages=[user("Why?")], tools=[LOOK])
    tracker, call, model = CostTracker(), Call(), make()
    quote = quote_of(model, request)
    reply = (await ask(Tracked(model, tracker), request, call))[-1].message
    spent = sum((attempt.usage for attempt in call.attempts), ZERO_USAGE)
    assert reply.usage == reply.trace.total == spent
    assert tracker.running_cost.nanos == spent.cost.nanos
    assert quote.cost.nanos >= spent.cost.nanos
    assert quote.output_tokens >= spent.output_tokens


def test_every_round_of_tools_reads_the_calls_before_it_again():
    class PerWord(Speaker):
        def quote(self, request: Request) -> Usage:
            return Usage(len(self.prompt_of(request)), 100)

    def read(rounds: int) -> int:
        moa = mixture(aggregator=PerWord("judge", "x"), tool_executor=looking(rounds))
        return quote_of(moa, Request(messages=[user("Why?")], tools=[LOOK])).input_tokens

    first, second, third = (read(rounds + 1) - read(rounds) for rounds in range(3))
    assert second - first == third - second >= 400


async def test_what_comes_out_of_a_cache_is_nobodys_expense_again():
    inner = Cached(mixture(name="inner"))
    judges = [Speaker("judge", "x") for _ in range(2)]
    first, second = [
        await reply_of(MixtureOfAgents([inner], aggregator=judge), WHY) for judge in judges
    ]
    assert first.usage.cost.nanos == 4 * NANOS
    assert second.usage.cost.nanos == NANOS
    assert second.trace
    assert second.trace.total == second.usage


async def test_a_try_whose_price_nobody_knows_stays_unknown():
    class Unpriced(Speaker):
        async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
            if self.requests:
                async for event in super().stream(request, call):
                    yield event
                return
            self.requests.append(request)
            error = ServerError("down")
            call.record(Stopwatch().attempt("test", self.name, AssistantMessage([]), error))
            yield failed(error)

    inner = MixtureOfAgents([Unpriced("a", "A.")], aggregator=Speaker("judge", "x"))
    again: Model = Retrying(inner, RetryPolicy(attempts=2, base=0.0))
    reply = await reply_of(MixtureOfAgents([again], aggregator=Speaker("judge", "x")))
    assert reply.usage.cost.status == UNKNOWN_COST.status
    assert reply.trace
    assert reply.trace.total == reply.usage


def test_a_price_that_nobody_knows_makes_the_quote_unknown_also_that_of_a_later_aggregator():
    class Unpriced(Speaker):
        def quote(self, request: Request) -> Usage:
            return Usage(1, 1)

    moa = mixture(aggregator=[Speaker("judge", "x"), Unpriced("other", "x")])
    assert quote_of(moa, WHY).cost == Cost("unknown", nanos=3 * NANOS)
