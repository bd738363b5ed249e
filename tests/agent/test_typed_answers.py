"""Answers of a type: corrected once, and then an error that holds what was done."""

from typing import Any

import msgspec
import pytest

from polyvox import Text
from polyvox.errors import ContentFilterError, InvalidAnswerError
from polyvox.messages import AssistantMessage
from polyvox.tools import tool

from .rig import agent_of, calls


class City(msgspec.Struct):
    name: str
    people: int


OSLO = '{"name": "Oslo", "people": 700000}'


@tool
def count(city: str) -> int:
    """Count the people of a city."""
    return 700_000


async def test_after_its_tools_the_model_answers_with_a_value():
    agent = agent_of([calls("count"), OSLO], tools=[count], output=City)
    result = await agent.run("Oslo?")
    assert result.output == City("Oslo", 700_000)
    assert all(each.response_format is not None for each in agent.model.requests)


async def test_a_wrong_answer_is_corrected_once():
    agent = agent_of(['{"name": "Oslo"}', OSLO], output=City)
    result = await agent.run("Oslo?")
    assert result.output == City("Oslo", 700_000)
    assert "people" in agent.model.requests[1].messages[-1].content[0].text
    assert result.turns == 2


async def test_a_second_wrong_answer_is_an_error_that_holds_the_run():
    with pytest.raises(InvalidAnswerError, match="no JSON") as caught:
        await agent_of(["Hm.", "Hm, hm."], output=City).run("Oslo?")
    assert caught.value.result.text == "Hm, hm."
    assert caught.value.result.outcome == "error"
    assert len(caught.value.result.messages) == 4


@pytest.mark.parametrize(
    ("stop_reason", "error"),
    [
        ("refusal", InvalidAnswerError),
        ("length", InvalidAnswerError),
        ("content_filter", ContentFilterError),
    ],
)
async def test_what_no_correction_can_mend_is_not_asked_again(stop_reason: Any, error: type):
    agent = agent_of([AssistantMessage([Text("I'd rather")], stop_reason), "Never."], output=City)
    with pytest.raises(error) as caught:
        await agent.run("Oslo?")
    assert len(agent.model.requests) == 1
    assert caught.value.result.text == "I'd rather"


async def test_text_is_the_output_of_an_agent_without_a_type():
    assert (await agent_of(["Hello."]).run("Hi.")).output == "Hello."
    assert (await agent_of(["Hello."], output=str).run("Hi.")).output == "Hello."


async def test_a_follow_up_after_a_value_is_answered_with_another():
    agent = agent_of([OSLO, '{"name": "Bergen", "people": 290000}'], output=City)
    run = agent.stream("Oslo?")
    run.follow_up("And Bergen?")
    assert (await run.finish()).output == City("Bergen", 290_000)
