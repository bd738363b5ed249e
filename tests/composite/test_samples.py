"""Several answers of one model: what would make them all the same is kept away from them."""

import pytest

from polyvox.caching import Cached
from polyvox.composite import Council, Member, MixtureOfAgents
from polyvox.messages import user
from polyvox.model import Call
from polyvox.request import Request

from .council_rig import Voice, is_review
from .speakers import Speaker, ask, reply_of, warnings

WHY = [user("Why?")]
ALIKE = "a: samples at temperature 0 are much the same"


def sampled(model: Speaker | Cached, **settings: object) -> MixtureOfAgents:
    member = Member(model, samples=3, label="a", settings=settings)
    return MixtureOfAgents([member], aggregator=Speaker("judge", "x"))


async def test_a_seed_is_another_one_for_each_sample():
    model, judge = Speaker("a", "A."), Speaker("judge", "x")
    moa = MixtureOfAgents([Member(model, samples=3)], aggregator=judge)
    await reply_of(moa, Request(messages=WHY, seed=5))
    assert [request.seed for request in model.requests] == [5, 6, 7]
    assert [request.seed for request in judge.requests] == [5]


async def test_the_seed_of_a_member_goes_up_too_and_without_one_there_is_none():
    told, silent = Speaker("a", "A."), Speaker("a", "A.")
    await reply_of(sampled(told, seed=9))
    await reply_of(sampled(silent))
    assert [request.seed for request in told.requests] == [9, 10, 11]
    assert [request.seed for request in silent.requests] == [None] * 3


async def test_members_that_are_one_model_keep_their_own_seeds():
    model = Speaker("a", "A.")
    members = [Member(model, settings={"seed": seed}) for seed in (1, 1)]
    await reply_of(MixtureOfAgents(members, aggregator=Speaker("judge", "x")))
    assert [request.seed for request in model.requests] == [1, 1]


async def test_the_opinions_of_a_council_are_samples_too():
    model = Voice("acme/one", "One.")
    council = Council([Member(model, samples=2)], chairman=Voice("acme/chair", "-"))
    await reply_of(council, Request(messages=WHY, seed=5))
    opinions = [request for request in model.requests if not is_review(request)]
    assert [request.seed for request in opinions] == [5, 6]


@pytest.mark.parametrize("seed", [None, 5])
async def test_a_cache_around_a_member_gives_no_sample_for_another(seed: int | None):
    model = Speaker("a", "first", "second", "third", "fourth")
    judge = Speaker("judge", "x")
    moa = MixtureOfAgents([Member(Cached(model), samples=3)], aggregator=judge)
    await reply_of(moa, Request(messages=WHY, seed=seed))
    assert len(model.requests) == 3
    assert all(word in judge.prompt for word in ("first", "second", "third"))


async def test_what_the_cache_has_is_still_used_for_the_first_sample():
    model = Speaker("a", "first", "second", "third", "fourth")
    cached = Cached(model)
    call = Call()
    await reply_of(cached, Request(messages=WHY))
    await reply_of(sampled(cached), Request(messages=WHY), call)
    assert len(model.requests) == 3
    assert call.caching == "use"


@pytest.mark.parametrize(
    ("moa", "temperature", "warned"),
    [
        (sampled(Speaker("a", "A.")), 0.0, [ALIKE]),
        (sampled(Speaker("a", "A."), temperature=0), 1.0, [ALIKE]),
        (sampled(Speaker("a", "A."), temperature=1.0), 0.0, []),
        (sampled(Speaker("a", "A.")), None, []),
    ],
)
async def test_samples_that_can_not_differ_are_warned_of_once(
    moa: MixtureOfAgents, temperature: float | None, warned: list[str]
):
    assert warnings(await ask(moa, Request(messages=WHY, temperature=temperature))) == warned


async def test_one_answer_at_temperature_0_is_nothing_to_warn_of():
    moa = MixtureOfAgents([Speaker("a", "A."), Speaker("b", "B.")], aggregator=Speaker("j", "x"))
    assert warnings(await ask(moa, Request(messages=WHY, temperature=0))) == []
