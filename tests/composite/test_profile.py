"""A composite written down: what a profile may say, what it makes of it, and what is wrong."""

from typing import Any

import msgspec
import pytest

from polyvox.composite import Council, MemberProfile, MixtureOfAgents, Profile
from polyvox.errors import ConfigurationError
from polyvox.messages import user
from polyvox.request import Reasoning, Request

from .cast import Cast
from .speakers import reply_of


def profile(**said: Any) -> Profile:
    return msgspec.convert(said, Profile)


def test_a_mixture_has_what_its_profile_says():
    said = profile(
        strategy="moa",
        proposers=["a", {"model": "b", "samples": 2}],
        aggregator=["c", "d"],
        layers=4,
        quorum=2,
        timeout=9,
        window_tokens=500,
    )
    moa = said.model("composite/profile/x", Cast())
    assert isinstance(moa, MixtureOfAgents)
    assert [seat.label for seat in moa.seats] == ["a", "b", "b #2"]
    assert [each.name for each in moa.aggregators] == ["c", "d"]
    assert (moa.layers, moa.quorum, moa.timeout, moa.window_tokens) == (4, 2, 9, 500)
    assert moa.name == "composite/profile/x"


def test_a_council_has_what_its_profile_says():
    said = profile(
        strategy="council",
        members=["a", "b"],
        reviewers=[{"model": "c", "samples": 2}],
        chairman="d",
        exclude_own=False,
        seed=0,
        quorum=2,
    )
    council = said.model("composite/profile/x", Cast())
    assert isinstance(council, Council)
    assert [each.name for each in council.reviewers] == ["c", "c"]
    assert [each.name for each in council.chairmen] == ["d"]
    assert (council.seed, council.quorum) == (0, 2)


@pytest.mark.parametrize(("said", "own"), [(None, 1), (True, 1), (False, 2)])
async def test_nobody_reviews_their_own_unless_the_profile_says_so(said: bool | None, own: int):
    cast = Cast()
    wanted = {} if said is None else {"exclude_own": said}
    await reply_of(
        profile(strategy="council", members=["a", "b"], chairman="c", **wanted).model("x", cast)
    )
    review = cast.speakers["a"].requests[1].messages[-1].text
    assert review.count("<response name=") == own


async def test_a_member_is_asked_with_what_its_table_says():
    table = {
        "model": "a",
        "label": "ann",
        "system": "Be bold.",
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "seed": 0,
        "reasoning": "high",
        "options": {"openai": {"store": False}},
    }
    cast = Cast()
    moa = profile(strategy="moa", proposers=[table], aggregator="b").model("x", cast)
    assert isinstance(moa, MixtureOfAgents)
    await reply_of(moa, Request(messages=[user("?")], temperature=0.1, max_tokens=99))
    (asked,) = cast.speakers["a"].requests
    assert asked.system[0].text == "Be bold."
    assert (asked.max_tokens, asked.temperature, asked.top_p) == (7, 0.5, 0.9)
    assert (asked.stop, asked.seed, asked.reasoning) == (["END"], 0, Reasoning(effort="high"))
    assert asked.options == {"openai": {"store": False}}
    assert [seat.label for seat in moa.seats] == ["ann"]


async def test_what_a_table_does_not_say_is_as_the_caller_said_it():
    cast = Cast()
    request = Request(messages=[user("?")], temperature=0.0, stop=["."], seed=3)
    said = profile(strategy="moa", proposers=[{"model": "a"}], aggregator={"model": "b"})
    await reply_of(said.model("x", cast), request)
    assert cast.speakers["a"].requests == [request]


def test_reasoning_may_be_a_number_of_tokens_even_none():
    assert MemberProfile(model="a", reasoning=0).member.settings == {
        "reasoning": Reasoning(budget_tokens=0)
    }


MOA = {"strategy": "moa", "proposers": ["a", "b"], "aggregator": "c"}
COUNCIL = {"strategy": "council", "members": ["a", "b"], "chairman": "c"}


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (
            {"strategy": "moa", "aggregator": "c"},
            "proposers is missing: a moa has proposers and agg",
        ),
        ({**MOA, "aggregator": []}, "aggregator is missing"),
        ({**MOA, "aggregator": ""}, "aggregator is missing"),
        (
            {**COUNCIL, "members": []},
            "members is missing: a council has members, reviewers and cha",
        ),
        ({"strategy": "council", "members": ["a"]}, "chairman is missing"),
        ({**MOA, "chairman": "c"}, "chairman is no key of the strategy 'moa'"),
        ({**MOA, "exclude_own": False}, "exclude_own is no key of the strategy 'moa'"),
        ({**MOA, "seed": 0}, "seed is no key of the strategy 'moa'"),
        ({**COUNCIL, "layers": 3}, "layers is no key of the strategy 'council'"),
        ({**COUNCIL, "window_tokens": 9}, "window_tokens is no key of the strategy 'council'"),
        ({**MOA, "aggregator": {"model": "c", "samples": 2}}, "aggregator gives one answer: sam"),
        ({**COUNCIL, "chairman": ["c", {"model": "d", "samples": 2}]}, "chairman gives one answer"),
        ({**MOA, "quorum": 3}, "quorum is 3, and there are 2 proposers"),
        ({**COUNCIL, "quorum": 3}, "quorum is 3, and there are 2 members"),
    ],
)
def test_what_does_not_make_a_composite_is_told(said: dict[str, Any], problem: str):
    with pytest.raises(ConfigurationError) as caught:
        profile(**said)
    assert caught.value.text[: len(problem)] == problem


def test_the_first_wrong_key_is_told_whatever_else_is_wrong():
    said = {**COUNCIL, "layers": 3, "window_tokens": 9, "aggregator": "a"}
    with pytest.raises(ConfigurationError, match=r"^aggregator is no key"):
        profile(**said)


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({**MOA, "strategy": "mao"}, "$.strategy"),
        ({**MOA, "layers": 1}, "$.layers"),
        ({**MOA, "quorum": 0}, "$.quorum"),
        ({**MOA, "timeout": 0}, "$.timeout"),
        ({**COUNCIL, "reviewers": []}, "$.reviewers"),
        ({**MOA, "proposers": [{"model": "a", "samples": 0}]}, "$.proposers[0].samples"),
        ({**MOA, "proposers": [{"samples": 1}]}, "$.proposers[0]"),
        ({**MOA, "proposers": [{"model": "a", "modle": "b"}]}, "$.proposers[0]"),
    ],
)
def test_a_value_out_of_its_bounds_is_told_with_its_place(said: dict[str, Any], place: str):
    with pytest.raises(msgspec.ValidationError) as caught:
        profile(**said)
    assert str(caught.value).endswith(f"`{place}`")


def test_samples_count_for_the_quorum():
    assert profile(**{**MOA, "proposers": [{"model": "a", "samples": 3}], "quorum": 3}).quorum == 3


def test_who_takes_part_is_told_by_the_way_there():
    said = profile(**{**COUNCIL, "members": ["a", {"model": "b"}], "chairman": ["c", "d"]})
    assert said.names == {
        "members[0]": "a",
        "members[1]": "b",
        "chairman[0]": "c",
        "chairman[1]": "d",
    }
