"""A template says what a request leaves unsaid."""

import pytest

from polyvox.client import Settings, make_request
from polyvox.config import Templated
from polyvox.config.schema import Template
from polyvox.model import Call
from polyvox.providers.simulated import simulated_model
from polyvox.quote import quote_of
from polyvox.request import Reasoning, Request

TEMPLATE = Template(
    system="Be exact.",
    max_tokens=100,
    temperature=0.0,
    top_p=0.5,
    stop=("END",),
    seed=7,
    reasoning="high",
    cache="auto",
    metadata={"a": "1", "b": "1"},
    options={"openai": {"user": "x", "tier": "flex"}, "lab": {"k": 1}},
)


def filled(template: Template = TEMPLATE, **settings: object) -> Request:
    said: Settings = settings  # pyright: ignore[reportAssignmentType]
    return Templated(simulated_model("simulated/echo"), template).filled(make_request("hi", said))


def test_everything_unsaid_is_the_templates():
    request = filled()
    assert [block.text for block in request.system] == ["Be exact."]
    assert (request.max_tokens, request.temperature, request.top_p) == (100, 0.0, 0.5)
    assert (request.stop, request.seed, request.cache) == (["END"], 7, "auto")
    assert request.reasoning == Reasoning(effort="high")


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_tokens", 5), ("temperature", 1.0), ("top_p", 1.0), ("seed", 0), ("cache", "long")],
)
def test_what_is_said_holds(name: str, value: object):
    assert getattr(filled(**{name: value}), name) == value


def test_instructions_stops_and_reasoning_that_are_said_hold():
    request = filled(system="Be brief.", stop="STOP", reasoning=0)
    assert [block.text for block in request.system] == ["Be brief."]
    assert request.stop == ["STOP"]
    assert request.reasoning == Reasoning(budget_tokens=0)


def test_a_number_is_a_budget_of_tokens():
    assert filled(Template(reasoning=2048)).reasoning == Reasoning(budget_tokens=2048)


def test_metadata_and_options_are_joined_key_by_key():
    request = filled(metadata={"b": "2"}, options={"openai": {"user": "me"}, "other": {"z": 1}})
    assert request.metadata == {"a": "1", "b": "2"}
    assert request.options == {
        "openai": {"user": "me", "tier": "flex"},
        "lab": {"k": 1},
        "other": {"z": 1},
    }


def test_the_request_that_was_given_stays_as_it_is():
    request = make_request("hi", {})
    model = Templated(simulated_model("simulated/echo"), TEMPLATE)
    assert model.filled(request) is not request
    assert request == make_request("hi", {})
    assert Templated(model, Template()).filled(request) is request


async def test_the_quote_is_that_of_what_is_asked():
    model = Templated(simulated_model("simulated/echo"), Template(max_tokens=3))
    request = make_request("hi", {})
    assert quote_of(model, request) == quote_of(model.model, model.filled(request))
    assert model.name == "simulated/echo"
    events = [event async for event in model.stream(request, Call())]
    assert events[-1].message.text == "hi"
