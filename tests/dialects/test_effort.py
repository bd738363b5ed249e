"""The effort scale and what an effort is worth: the same in all dialects, and never a 400."""

from itertools import pairwise
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.dialects import DIALECTS, Quirks, Target, get_dialect
from polyvox.dialects.effort import BUDGETS, EFFORTS, budget_of, effort_of, nearest_effort
from polyvox.messages import user
from polyvox.request import Effort, Reasoning, Request

STYLES = ["effort", "openrouter", "thinking", "enable_thinking"]
CLAUDES = ["claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5", "claude-fable-5"]
wishes = st.builds(
    Reasoning, st.none() | st.sampled_from(EFFORTS), st.none() | st.integers(0, 10**6)
)


def test_the_table_has_every_effort_and_grows():
    assert tuple(BUDGETS) == EFFORTS == get_args(Effort)
    assert all(more > less for less, more in pairwise(BUDGETS.values()))


@pytest.mark.parametrize("effort", EFFORTS)
def test_an_effort_and_its_worth_are_the_same_wish(effort: Effort):
    assert effort_of(budget_of(effort)) == effort
    assert budget_of(effort, below=100) <= 50


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_more_tokens_are_never_less_effort(one: int, other: int):
    less, more = sorted([one, other])
    assert EFFORTS.index(effort_of(less)) <= EFFORTS.index(effort_of(more))
    assert effort_of(less) != "none"


def test_of_two_efforts_as_near_one_is_chosen():
    known: tuple[Effort, ...] = ("low", "high")
    assert nearest_effort("medium", known) == "high"
    assert nearest_effort("medium", known, of_two="lower") == "low"
    assert nearest_effort("minimal", ("none", "low")) == "low"
    assert nearest_effort("high", ("none",)) == "none"


def sent(
    name: str, model: str, request: Request, **quirks: Any
) -> tuple[dict[str, Any], list[str]]:
    target = Target(
        provider="acme", model=model, base_url="https://acme.example", quirks=Quirks(**quirks)
    )
    http = get_dialect(name).encode_request(request, target)
    return msgspec.json.decode(http.body), [field for field, _ in http.dropped]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("efforts", [(), ("low", "high"), ("none", "medium")])
@given(wish=wishes, limit=st.none() | st.integers(1, 10**5))
def test_openais_likes_get_what_they_know_or_a_note_says_otherwise(
    style: str, efforts: tuple[Effort, ...], wish: Reasoning, limit: int | None
):
    request = Request(messages=[user("?")], reasoning=wish, max_tokens=limit)
    body, dropped = sent("openai-chat", "m", request, reasoning_style=style, efforts=efforts)
    nested = body.get("reasoning", {})
    effort = body.get("reasoning_effort", nested.get("effort"))
    budget = body.get("thinking_budget", nested.get("max_tokens"))
    assert effort is None or not efforts or effort in efforts
    assert budget is None or limit is None or budget <= max(limit - 1, 1)
    if effort != wish.effort and not (effort == "none" and wish.budget_tokens == 0):
        told = wish.effort == "none" and style in ("thinking", "enable_thinking")
        assert dropped or told or budget == wish.budget_tokens


@pytest.mark.parametrize("model", CLAUDES)
@given(wish=wishes, limit=st.integers(1, 10**5))
def test_claudes_get_a_budget_within_the_limit_or_an_effort_they_know(
    model: str, wish: Reasoning, limit: int
):
    request = Request(messages=[user("?")], reasoning=wish, max_tokens=limit)
    body, dropped = sent("anthropic-messages", model, request)
    thinking = body.get("thinking", {})
    effort = body.get("output_config", {}).get("effort")
    if thinking.get("type") == "enabled":
        assert 1024 <= thinking["budget_tokens"] < limit
    assert effort in (None, "low", "medium", "high", "xhigh", "max")
    off = wish.effort == "none" or (wish.effort is None and wish.budget_tokens == 0)
    if off and "fable" not in model:
        assert thinking == {"type": "disabled"}
    if effort is not None and wish.budget_tokens:
        assert "reasoning" in dropped


@pytest.mark.parametrize("name", DIALECTS)
@given(wish=wishes, limit=st.none() | st.integers(1, 10**5))
def test_no_wish_is_ever_refused(name: str, wish: Reasoning, limit: int | None):
    request = Request(messages=[user("?")], reasoning=wish, max_tokens=limit)
    body, _ = sent(name, "one-large", request)
    assert body
