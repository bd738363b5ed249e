"""Requests of the Responses API: what is sent, what is left out, and what is said about it."""

import json
from typing import Any

import pytest

from polyvox.dialects import Quirks, Target, get_dialect
from polyvox.errors import BadRequestError
from polyvox.messages import (
    AssistantMessage,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    assistant,
    tool_result,
    user,
)
from polyvox.providers.rows import load_providers, quirks_for
from polyvox.request import Reasoning, Request, ResponseFormat, ToolDefinition
from polyvox.secret import Secret

DIALECT = get_dialect("openai-responses")
NAME = "openai-responses"
TARGET = Target(
    provider="acme",
    model="sage-1",
    base_url="https://acme.example/v1/",
    key=Secret("sk-1"),
    quirks=Quirks(strict_tools=True, metadata=True, count_tokens=True),
)
ME, OTHER = "acme/sage-1", "other/sage-1"


def thought(id: str = "rs_1", producer: str = ME, **fields: Any) -> Thinking:
    return Thinking("Hm.", "gAAA", meta={NAME: {"id": id}}, producer=producer, **fields)


def call(producer: str = ME) -> ToolCall:
    return ToolCall("call_1", "f", {"a": 1}, meta={NAME: {"id": "fc_1"}}, producer=producer)


def body(*messages: Message, target: Target = TARGET, **fields: Any) -> dict[str, Any]:
    request = Request(messages=[*messages] or [user("hi")], **fields)
    return json.loads(DIALECT.encode_request(request, target).body)


def turn(*blocks: Any, **options: Any) -> list[dict[str, Any]]:
    """The items of an assistant's turn, between a question and the result of its call, if any."""
    calls = [block for block in blocks if isinstance(block, ToolCall)]
    messages = [
        user("hi"),
        AssistantMessage([*blocks]),
        *(tool_result(each, "ok") for each in calls),
    ]
    sent = body(*messages, options={NAME: options})["input"]
    return sent[1 : len(sent) - len(calls)]


def test_a_plain_request():
    http = DIALECT.encode_request(
        Request(messages=[user("hi")], system=[Text("Be brief.")]), TARGET
    )
    assert http.url == "https://acme.example/v1/responses"
    assert http.headers["authorization"] == "Bearer sk-1"
    assert json.loads(http.body) == {
        "model": "sage-1",
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "hi"}],
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }


def test_what_the_model_itself_said_goes_back_as_it_came():
    said = Text("Wait.", meta={NAME: {"id": "msg_1", "phase": "commentary"}}, producer=ME)
    search = {"type": "web_search_call", "id": "ws_1"}
    assert turn(thought(), Text("", meta={NAME: {"item": search}}, producer=ME), said, call()) == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": "gAAA",
        },
        search,
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "phase": "commentary",
            "content": [
                {"type": "output_text", "text": "Wait.", "annotations": [], "logprobs": []}
            ],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "f",
            "arguments": '{"a":1}',
            "status": "completed",
        },
    ]


def test_another_models_turn_goes_without_reasoning_and_ids():
    sent = turn(thought(producer=OTHER), Text("Wait."), call(OTHER))
    assert [item.get("type") for item in sent] == [None, "function_call"]
    assert sent[0] == {"role": "assistant", "content": "Wait."}
    assert "id" not in sent[1]


def test_reasoning_that_nothing_follows_is_left_out():
    assert turn(Text("Wait."), thought()) == [{"role": "assistant", "content": "Wait."}]


def test_reasoning_without_its_payload_is_sent_only_where_it_was_stored():
    bare = Thinking("Hm.", meta={NAME: {"id": "rs_1"}}, producer=ME)
    left = turn(bare, call())
    assert [item["type"] for item in left] == ["function_call"]
    assert "id" not in left[0]  # it is not known without the reasoning before it
    stored = turn(bare, call(), store=True)
    assert [item.get("id") for item in stored] == ["rs_1", "fc_1"]


def test_nothing_is_stored_unless_options_say_so():
    assert body(options={NAME: {"store": True}})["store"] is True
    goes_on = body(options={"acme": {"previous_response_id": "resp_1"}})
    assert goes_on["previous_response_id"] == "resp_1"
    assert "store" not in goes_on


def test_going_on_from_a_stored_answer_may_begin_with_the_result_of_its_call():
    options = {NAME: {"previous_response_id": "resp_1"}}
    sent = body(tool_result("call_1", "ok"), options=options)["input"]
    assert sent == [{"type": "function_call_output", "call_id": "call_1", "output": "ok"}]


def test_models_that_do_not_reason_are_not_asked_for_reasoning():
    plain = Target(
        provider="a", model="m", base_url="https://a", quirks=Quirks(reasoning_style="none")
    )
    assert "include" not in body(target=plain)
    http = DIALECT.encode_request(
        Request(messages=[user("hi")], reasoning=Reasoning("high")), plain
    )
    assert http.dropped[0][0] == "reasoning"


def test_effort_stands_beside_what_options_add():
    sent = body(reasoning=Reasoning("low"), options={NAME: {"reasoning": {"summary": "auto"}}})
    assert sent["reasoning"] == {"effort": "low", "summary": "auto"}


def test_tool_results_may_hold_pictures_and_failures_say_so():
    picture = Image(url="https://a.example/b.png")
    made = assistant(ToolCall("a", "f"), ToolCall("b", "f"))
    results = [tool_result("a", "See:", picture), tool_result("b", "boom", is_error=True)]
    one, two = body(user("hi"), made, *results)["input"][-2:]
    assert one["output"] == [
        {"type": "input_text", "text": "See:"},
        {"type": "input_image", "detail": "auto", "image_url": "https://a.example/b.png"},
    ]
    assert two["output"] == "Error: boom"


def test_strictness_of_tools_is_always_said():
    tools = [ToolDefinition("f"), ToolDefinition("g", strict=True)]
    assert [tool["strict"] for tool in body(tools=tools)["tools"]] == [False, True]


def test_a_schema_for_the_answer():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert body(response_format=ResponseFormat(schema, "n"))["text"] == {
        "format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}
    }


def test_what_the_format_cannot_say_is_said_to_be_dropped():
    request = Request(
        messages=[
            user("hi"),
            assistant(ToolCall("a", "f", unparsed='{"x')),
            tool_result("a", "ok"),
        ],
        stop=["."],
        seed=7,
        cache="long",
    )
    dropped = dict(DIALECT.encode_request(request, TARGET).dropped)
    assert {"stop", "seed", "cache", "messages[1].content[0].arguments"} <= dropped.keys()


def test_long_call_ids_are_shortened_the_same_way_in_call_and_result():
    made = ToolCall("x" * 100, "f")
    _, sent, result = body(user("hi"), assistant(made), tool_result(made, "ok"))["input"]
    assert sent["call_id"] == result["call_id"]
    assert len(sent["call_id"]) <= 64


def test_what_cannot_be_sent_is_refused_before_the_network():
    with pytest.raises(BadRequestError, match=r"messages\[0\].content\[0\]"):
        body(user(Image(url="file:///etc/passwd")))


def test_tokens_are_counted_by_an_endpoint_that_takes_the_prompt_only():
    request = Request(messages=[user("hi")], max_tokens=99, reasoning=Reasoning("low"))
    http = DIALECT.count_request(request, TARGET)
    assert http
    assert http.url == "https://acme.example/v1/responses/input_tokens"
    assert json.loads(http.body).keys() == {"model", "input", "reasoning"}
    assert DIALECT.decode_count(b'{"object": "response.input_tokens", "input_tokens": 7}') == 7


def test_the_row_is_openais_in_another_dialect():
    rows = load_providers()
    row, openai = rows["openai-responses"], rows["openai"]
    assert (row.key_env, row.base_url, row.base_url_env, row.models) == (
        *(openai.key_env, openai.base_url, openai.base_url_env),
        openai.models,
    )
    assert openai.dialect == "openai-chat"
    assert quirks_for(row, "gpt-4o").reasoning_style == "none"
    assert quirks_for(row, "gpt-5").efforts == quirks_for(openai, "gpt-5").efforts


# The server half


def read(*items: Any, **fields: Any) -> Request:
    given = {"model": "sage-1", "input": list(items) or "hi", **fields}
    return DIALECT.decode_request(json.dumps(given).encode())


def test_items_of_the_models_turn_are_one_answer():
    search = {"type": "web_search_call", "id": "ws_1"}
    request = read(
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        search,
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": '{"x'},
        {"type": "function_call_output", "call_id": "a", "output": ""},
    )
    assert request.system == [Text("Be brief.")]
    assert request.messages[1:] == [
        AssistantMessage(
            [
                Thinking("", "gAAA", redacted=True, meta={NAME: {"id": "rs_1"}}),
                Text("", meta={NAME: {"item": search}}),
                Text("No.", meta={NAME: {"refusal": True}}),
                ToolCall("a", "f", unparsed='{"x'),
            ],
            "tool_calls",
        ),
        tool_result(ToolCall("a", "f")),
    ]


def test_nulls_mean_not_said():
    nulls = dict.fromkeys(
        [
            *("instructions", "max_output_tokens", "temperature", "top_p", "tools", "tool_choice"),
            *("stream", "text", "reasoning", "metadata", "parallel_tool_calls"),
        ]
    )
    assert read(**nulls) == Request(messages=[user("hi")], model="sage-1", stream=False)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "x"}]}]}, "input[0].content[0].type"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0]"),
        ({"input": [{"type": "function_call_output", "call_id": "a"}]}, "input[0]"),
        ({"model": 5}, "model"),
        ({"temperature": "hot"}, "temperature"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"reasoning": {"effort": "frantic"}}, "reasoning.effort"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], place: str):
    with pytest.raises(BadRequestError) as caught:
        read(**fields)
    assert caught.value.text.startswith(f"{place}:")
