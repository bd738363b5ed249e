"""What a plan says is what is asked: counted on models that keep books."""

from typing import Any

import pytest

from polyvox.composite import (
    Council,
    Member,
    MemberProfile,
    MixtureOfAgents,
    Plan,
    Profile,
    explain,
)
from polyvox.errors import ConfigurationError
from polyvox.routing import Retrying, RetryPolicy

from .cast import Cast
from .speakers import Speaker, reply_of

THREE = ("a", "b", "c")


def moa(*, cast: Cast, **said: Any) -> MixtureOfAgents:
    given: dict[str, Any] = {"proposers": THREE, "aggregator": "d", **said}
    return MixtureOfAgents(given.pop("proposers"), client=cast, **given)


def council(*, cast: Cast, **said: Any) -> Council:
    given: dict[str, Any] = {"members": THREE, "chairman": "d", **said}
    return Council(given.pop("members"), client=cast, **given)


CASES: list[tuple[Any, dict[str, Any], int, int]] = [
    (moa, {}, 4, 2),
    (moa, {"layers": 5}, 13, 5),
    (moa, {"proposers": [Member("a", samples=4), "b"], "layers": 3}, 11, 3),
    (moa, {"aggregator": ["d", "e"]}, 4, 2),
    (moa, {"proposers": ["a"]}, 2, 2),
    (council, {}, 7, 3),
    (council, {"members": ["a"]}, 2, 2),  # nobody is left who could review it
    (council, {"members": ["a"], "exclude_own": False}, 3, 3),
    (council, {"members": [Member("a", samples=3)]}, 4, 2),
    (council, {"members": [Member("a", samples=3), "b"]}, 7, 3),
    (council, {"reviewers": ["r"]}, 5, 3),
    (council, {"reviewers": [Member("r", samples=4), "s"]}, 9, 3),
    (council, {"reviewers": ["a", "r"], "exclude_own": False}, 6, 3),
    (council, {"members": [Member("a", samples=2)], "reviewers": ["a"]}, 3, 2),
    (council, {"chairman": ["d", "e"]}, 7, 3),
    (moa, {"proposers": ["composite/council/x", "y"]}, 9, 4),
    (council, {"members": ["composite/moa/x", "y"], "chairman": "composite/moa-7-calls/z"}, 17, 7),
]


@pytest.mark.parametrize(("make", "said", "calls", "turns"), CASES)
async def test_as_many_are_asked_as_the_plan_says(
    make: Any, said: dict[str, Any], calls: int, turns: int
):
    cast = Cast()
    composite = make(cast=cast, **said)
    plan = composite.plan()
    assert (plan.calls, plan.turns) == (calls, turns)
    await reply_of(composite)
    assert sum(cast.asked.values()) == calls


def labels(plan: Plan) -> list[tuple[str, list[str], bool]]:
    return [
        (stage.label, [each.label for each in stage.asked], stage.streamed) for stage in plan.stages
    ]


async def test_the_stages_of_a_plan_are_those_of_the_trace():
    cast = Cast()
    composite = moa(cast=cast, layers=3, proposers=[Member("a", samples=2)])
    plan = composite.plan()
    assert labels(plan) == [
        ("layer 1", ["a", "a #2"], False),
        ("layer 2", ["a", "a #2"], False),
        ("aggregation", ["d"], True),
    ]
    trace = (await reply_of(composite)).trace
    assert trace is not None
    told = [[part.label for part in node.children] or [node.label] for node in trace.children]
    assert told == [asked for _, asked, _ in labels(plan)]


def test_a_plan_sees_composites_within_other_models():
    cast = Cast()
    wrapped = Retrying(moa(cast=cast), RetryPolicy())
    assert MixtureOfAgents([wrapped], aggregator=Speaker("x", "x")).plan().calls == 5


NAMES = [
    "composite/moa/lab/m",
    "composite/council/lab/m",
    "composite/profile/demo-council",
    "composite/profile/mine",
    "composite/moa/composite/profile/mine",
]
MINE = Profile(
    strategy="council",
    members=("a", MemberProfile(model="composite/moa/b", label="bees")),
    chairman="c",
)


@pytest.mark.parametrize("name", NAMES)
async def test_explaining_a_name_says_what_the_composite_would_say_itself(name: str):
    cast = Cast({"mine": MINE})
    composite = cast.model(name)
    plan = explain(name, {"mine": MINE})
    assert plan == composite.plan()  # pyright: ignore[reportAttributeAccessIssue]
    await reply_of(composite)
    assert sum(cast.asked.values()) == plan.calls


def test_aliases_are_explained_by_what_they_stand_for():
    aliases = {"fast": "openai/gpt-5-mini", "panel": "composite/profile/mine"}
    profiles = {
        "mine": MINE,
        "outer": Profile(strategy="moa", proposers=("fast", "panel"), aggregator="fast"),
    }
    plan = explain("composite/profile/outer", profiles, lambda name: aliases.get(name, name))
    first, second = plan.stages[0].asked
    assert (first.label, first.model, first.calls) == ("fast", "openai/gpt-5-mini", 1)
    assert (second.label, second.calls) == ("panel", 11)


def test_who_takes_the_last_place_is_told_and_not_counted():
    profiles = {"two": Profile(strategy="moa", proposers=("a",), aggregator=("b", "c", "d"))}
    plan = explain("composite/profile/two", profiles)
    last = plan.stages[-1]
    assert [each.label for each in last.asked] == ["b"]
    assert [each.label for each in last.instead] == ["c", "d"]
    assert (last.streamed, plan.calls) == (True, 2)


def test_explaining_asks_nobody_and_needs_no_key(
    monkeypatch: pytest.MonkeyPatch, forbid_network: None
):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert explain("composite/moa-13-calls/openai/gpt-5").calls == 13


def test_a_profile_that_asks_itself_is_told():
    mine = Profile(strategy="moa", proposers=("composite/profile/other",), aggregator="a")
    other = Profile(strategy="moa", proposers=("b",), aggregator="composite/profile/mine")
    with pytest.raises(ConfigurationError, match=r"asks itself: \S+/mine -> \S+/other -> \S+/mine"):
        explain("composite/profile/mine", {"mine": mine, "other": other})


@pytest.mark.parametrize("name", ["openai/gpt-5", "composite", "fast"])
def test_a_plain_model_has_no_plan(name: str):
    with pytest.raises(ConfigurationError, match="is no composite"):
        explain(name)
