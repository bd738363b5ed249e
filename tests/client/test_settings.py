import pytest

from polyvox.client import Settings, make_request
from polyvox.client.settings import make_call
from polyvox.errors import BadRequestError
from polyvox.messages import Image, SystemMessage, Text, ToolCall, tool_result, user
from polyvox.model import Interrupt
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
        ({"reasoning": -5}, "reasoning.budget_tokens is -5; it must be 0 or more.*\n.*out"),
        ({"reasoning": Reasoning(budget_tokens=-1)}, "reasoning.budget_tokens is -1"),
        ({"temperature": "hot"}, "temperature"),
        ({"reasoning": "very"}, "reasoning"),
        ({"tools": [{"description": "nameless"}]}, r"name.*tools"),
        ({"tools": [3]}, r"tools\[0\] is a int.*a function"),
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


def test_messages_and_tools_in_openais_form_are_understood():
    prompt = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look."},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]
    tool = {"type": "function", "function": {"name": "weather", "description": "The weather."}}
    request = make_request(prompt, {"tools": [tool]})
    assert request.system == [Text("Be brief.")]
    assert request.messages[0] == user("Look.", Image(url="https://example.com/a.png"))
    assert request.messages[1].tool_calls == [ToolCall("call_1", "weather", {"city": "Oslo"})]
    assert request.messages[2] == tool_result("call_1", "rain")
    assert request.tools == [ToolDefinition("weather", "The weather.")]


def test_what_is_wrong_in_openais_form_is_named_with_its_place():
    prompt = [user("x"), {"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]
    with pytest.raises(BadRequestError, match=r"messages\[1\].content\[0\].image_url"):
        make_request(prompt, {})


def test_a_word_that_is_none_of_the_known_ones_is_answered_with_them():
    with pytest.raises(BadRequestError, match=r"(?s)hgih.*'low', 'medium', 'high'"):
        make_request("x", {"reasoning": "hgih"})


def test_every_setting_of_a_call_reaches_the_call_and_none_the_request():
    interrupt = Interrupt()
    settings: Settings = {
        "interrupt": interrupt,
        "timeout": 5,
        "tenant": "acme",
        "session": "s1",
        "tags": {"feature": "search"},
        "caching": "refresh",
        "caching_ttl": 60,
    }
    call = make_call(settings)
    assert call.interrupt is interrupt
    assert call.deadline is not None
    assert (call.tenant, call.session, call.tags) == ("acme", "s1", {"feature": "search"})
    assert (call.caching, call.caching_ttl) == ("refresh", 60)
    assert make_request("hello", settings) == Request(messages=[user("hello")])


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"tags": {"a": 1}}, "tags"),
        ({"caching": "no"}, "'use', 'skip', 'refresh'"),
        ({"tenant": 7}, "tenant"),
        ({"timeout": "5"}, "timeout"),
    ],
)
def test_a_wrong_setting_of_a_call_is_named(setting, named):
    with pytest.raises(BadRequestError, match=named):
        make_call(setting)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("stream", "client.stream(...)"),
        ("api_key", "Client(keys="),
        ("api_base", "Client(base_urls="),
        ("num_retries", "Retrying(client.model(...))"),
        ("max_completion_tokens", "'max_tokens'"),
        ("reasoning_effort", "'reasoning'"),
        ("user", "tenant"),
    ],
)
def test_a_setting_of_another_library_leads_to_ours(name: str, hint: str):
    with pytest.raises(BadRequestError, match=f"no setting is called '{name}'") as caught:
        make_request("Hi.", {name: "x"})  # type: ignore[typeddict-item]
    assert hint in (caught.value.hint or "")
