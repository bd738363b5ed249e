import pytest

from polyvox.client import make_request
from polyvox.errors import BadRequestError
from polyvox.messages import SystemMessage, Text, tool_result, user
from polyvox.request import NamedTool, Reasoning, Request, ResponseFormat, ToolDefinition

WEATHER = ToolDefinition("weather", "The weather in a city.")


def test_a_bare_prompt_says_nothing_else():
    assert make_request("hello", {}) == Request(messages=[user("hello")])


def test_every_setting_reaches_the_request():
    request = make_request(
        "hello",
        {
            "system": "Be brief.",
            "tools": [WEATHER, {"name": "clock", "description": "The time."}],
            "tool_choice": "weather",
            "parallel_tool_calls": False,
            "response_format": {"type": "object"},
            "max_tokens": 100,
            "temperature": 0,
            "top_p": 0.9,
            "stop": "END",
            "seed": 7,
            "reasoning": "high",
            "cache": "long",
            "metadata": {"user_id": "u1"},
            "options": {"openai": {"service_tier": "flex"}},
        },
    )
    assert request == Request(
        messages=[user("hello")],
        system=[Text("Be brief.")],
        tools=[WEATHER, ToolDefinition("clock", "The time.")],
        tool_choice=NamedTool("weather"),
        parallel_tool_calls=False,
        response_format=ResponseFormat({"type": "object"}),
        max_tokens=100,
        temperature=0.0,
        top_p=0.9,
        stop=["END"],
        seed=7,
        reasoning=Reasoning(effort="high"),
        cache="long",
        metadata={"user_id": "u1"},
        options={"openai": {"service_tier": "flex"}},
    )


def test_reasoning_may_be_a_budget_in_tokens():
    assert make_request("x", {"reasoning": 2048}).reasoning == Reasoning(budget_tokens=2048)


def test_a_tool_may_be_anything_that_tells_its_definition():
    class Tool:
        definition = WEATHER

    assert make_request("x", {"tools": [Tool()]}).tools == [WEATHER]


def test_system_messages_at_the_head_of_the_prompt_are_instructions():
    prompt = [SystemMessage([Text("One.")]), user("hello"), SystemMessage([Text("Two.")])]
    request = make_request(prompt, {"system": "Zero."})
    assert request.system == [Text("Zero."), Text("One.")]
    assert request.messages == [user("hello"), SystemMessage([Text("Two.")])]


def test_the_callers_own_list_is_left_alone():
    prompt = [SystemMessage([Text("One.")]), user("hello")]
    make_request(prompt, {})
    assert len(prompt) == 2


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"temprature": 1}, "temprature.*\n.*'temperature'"),
        ({"service_tier": "flex"}, "service_tier.*\n.*options="),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens is 0; it must be 1 or more"),
        ({"temperature": "hot"}, "temperature"),
        ({"reasoning": "very"}, "reasoning"),
        ({"tools": [{"description": "nameless"}]}, r"name.*tools"),
        ({"tools": [print]}, r"tools\[0\] is a builtin_function_or_method.*\.definition"),
        ({"metadata": {"n": 1}}, "metadata"),
        ({"cache": "forever"}, "cache"),
    ],
)
def test_a_wrong_setting_is_named(settings, complaint):
    with pytest.raises(BadRequestError, match=f"(?s){complaint}"):
        make_request("hello", settings)


@pytest.mark.parametrize(
    "prompt", ["", "  \n", [], [user("")], [SystemMessage([Text("Be brief.")])]]
)
def test_there_must_be_something_to_ask(prompt):
    with pytest.raises(BadRequestError, match="the prompt is empty"):
        make_request(prompt, {"system": ["Be brief.", Text("Be kind.")]})


def test_a_tool_result_may_be_empty():
    assert make_request(tool_result("call_1", ""), {}).messages == [tool_result("call_1", "")]


def test_a_prompt_that_is_none_is_named():
    with pytest.raises(BadRequestError, match=r"messages\[0\] is of type NoneType"):
        make_request(None, {})
