"""What the anthropic-messages dialect sends for a request."""

import base64
import json
from typing import Any

import msgspec
import pytest

from polyvox.dialects import Quirks, Target
from polyvox.dialects.anthropic_messages import DIALECT
from polyvox.errors import BadRequestError, ProtocolError
from polyvox.messages import (
    AssistantMessage,
    File,
    Image,
    SystemMessage,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
    assistant,
    tool_result,
    user,
)
from polyvox.request import NamedTool, Reasoning, Request, ResponseFormat, ToolDefinition
from polyvox.secret import Secret

WEATHER = ToolDefinition("weather", "The weather.", {"type": "object", "properties": {}})
BUDGET_MODEL, ADAPTIVE_MODEL = "claude-sonnet-4-5", "claude-opus-5"


def target(model: str = BUDGET_MODEL, **changes: Any) -> Target:
    fields = {"provider": "anthropic", "model": model, "base_url": "https://api.example"}
    return Target(**{**fields, **changes})


def sent(request: Request, to: Target | None = None) -> dict[str, Any]:
    return msgspec.json.decode(DIALECT.encode_request(request, to or target()).body)


def ask(*messages: Any, **fields: Any) -> Request:
    return Request(messages=list(messages) or [user("Hi")], **fields)


def dropped(request: Request, to: Target | None = None) -> dict[str, str]:
    return dict(DIALECT.encode_request(request, to or target()).dropped)


# ------------------------------------------------------------------------------------------- head


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.example",
        "https://api.example/",
        "https://api.example/v1",
        "https://api.example/v1/",
    ],
)
def test_the_url_holds_the_version_once(base_url: str):
    request = DIALECT.encode_request(ask(), target(base_url=base_url))
    assert (request.method, request.url) == ("POST", "https://api.example/v1/messages")


def test_the_headers_name_the_version_and_carry_the_key():
    to = target(key=Secret("sk-1"), auth="x-api-key", headers={"anthropic-beta": "files"})
    assert DIALECT.encode_request(ask(), to).headers == {
        "content-type": "application/json",
        "anthropic-version": "2023-06-01",
        "x-api-key": "sk-1",
        "anthropic-beta": "files",
    }


# ----------------------------------------------------------------------------------------- prompt


def test_plain_text_goes_as_strings():
    body = sent(ask(user("Hi"), assistant("Ho"), user("Hm"), system=[Text("Be brief.")]))
    assert body["system"] == "Be brief."
    assert [each["content"] for each in body["messages"]] == ["Hi", "Ho", "Hm"]


def test_blank_texts_are_left_out_because_the_api_refuses_them():
    body = sent(ask(user("", "Hi", " \n"), AssistantMessage([Text("")]), system=[Text(" ")]))
    assert body["messages"] == [{"role": "user", "content": "Hi"}]
    assert "system" not in body


def test_tool_results_and_what_the_user_says_next_make_one_message():
    calls = AssistantMessage([ToolCall("a", "weather"), ToolCall("b", "weather", {"in": 2**70})])
    results = [tool_result("a", "rain"), tool_result("b", "no such city", is_error=True)]
    body = sent(ask(user("?"), calls, *results, user("And now?")))
    assert [each["role"] for each in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"][1]["input"] == {"in": 2**70}
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "rain"},
        {"type": "tool_result", "tool_use_id": "b", "content": "no such city", "is_error": True},
        {"type": "text", "text": "And now?"},
    ]


def test_results_of_different_rounds_stay_apart():
    body = sent(
        ask(
            user("?"),
            AssistantMessage([ToolCall("a", "weather")]),
            tool_result("a", "rain"),
            AssistantMessage([ToolCall("b", "weather")]),
            tool_result("b"),
        )
    )
    assert [each["role"] for each in body["messages"]] == ["user", "assistant"] * 2 + ["user"]
    assert body["messages"][4]["content"] == [{"type": "tool_result", "tool_use_id": "b"}]


def test_ids_of_other_providers_become_ids_the_api_takes_the_same_everywhere():
    def ids(call_id: str) -> tuple[str, str]:
        call = AssistantMessage([ToolCall(call_id, "weather")])
        messages = sent(ask(user("?"), call, tool_result(call_id, "rain")))["messages"]
        return messages[1]["content"][0]["id"], messages[2]["content"][0]["tool_use_id"]

    assert ids("toolu_01-X") == ("toolu_01-X", "toolu_01-X")
    here, there = ids("functions.weather:0")
    assert here == there
    assert here.replace("_", "").isalnum()
    assert ids("functions.weather:0") != ids("functions_weather.0")
    assert ids("")[0]


def test_pictures_go_as_bytes_or_by_url():
    png = b"\x89PNG\r\n\x1a\n..."
    data_url = "data:image/png;base64," + base64.b64encode(png).decode()
    body = sent(ask(user(Image(png), Image(url="https://a.example/b.png"), Image(url=data_url))))
    inline = {
        "type": "base64",
        "media_type": "image/png",
        "data": base64.b64encode(png).decode(),
    }
    assert [each["source"] for each in body["messages"][0]["content"]] == [
        inline,
        {"type": "url", "url": "https://a.example/b.png"},
        inline,
    ]


def test_a_tool_result_may_hold_a_picture():
    shot = tool_result("a", "See:", Image(url="https://a.example/b.png"))
    content = sent(ask(user("?"), AssistantMessage([ToolCall("a", "look")]), shot))["messages"][2]
    assert [each["type"] for each in content["content"][0]["content"]] == ["text", "image"]


def test_documents_go_as_pdf_text_url_or_id():
    files = [
        File(b"%PDF-1.7", name="report"),
        File("grün".encode(), media_type="text/markdown"),
        File(url="https://a.example/b.pdf"),
        File(id="file_1"),
    ]
    content = sent(ask(UserMessage([*files])))["messages"][0]["content"]
    pdf = base64.b64encode(b"%PDF-1.7").decode()
    assert content[0]["title"] == "report"
    assert [each["source"] for each in content] == [
        {"type": "base64", "media_type": "application/pdf", "data": pdf},
        {"type": "text", "media_type": "text/plain", "data": "grün"},
        {"type": "url", "url": "https://a.example/b.pdf"},
        {"type": "file", "file_id": "file_1"},
    ]


def test_a_file_the_api_does_not_take_is_refused_by_its_place():
    with pytest.raises(BadRequestError, match=r"messages\[0\]\.content\[1\].*application/zip"):
        sent(ask(user("Look", File(b"PK", media_type="application/zip"))))


# --------------------------------------------------------------------------------------- thinking


def test_only_signed_reasoning_of_the_same_model_goes_back():
    own = f"anthropic/{BUDGET_MODEL}"
    said = AssistantMessage(
        [
            Thinking("mine", "sig", producer=own),
            Thinking("", "secret", redacted=True, producer=own),
            Thinking("unsigned", producer=own),
            Thinking("another's", "sig", producer="openai/gpt"),
            Image(url="https://a.example/painted.png"),
            Text("Hello"),
        ]
    )
    request = ask(user("?"), said, user("!"))
    assert sent(request)["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "mine", "signature": "sig"},
        {"type": "redacted_thinking", "data": "secret"},
        {"type": "text", "text": "Hello"},
    ]
    notes = [text for _, text in DIALECT.encode_request(request, target()).dropped]
    assert notes == [
        "reasoning without a signature was dropped",
        "reasoning of another model was dropped",
        "a picture in an answer was dropped: it can't be sent back",
    ]


def test_reasoning_of_others_is_replayed_as_text_where_that_is_wished():
    said = AssistantMessage([Thinking("hm", producer="openai/gpt")])
    to = target(quirks=Quirks(thinking_as_text=True))
    content = sent(ask(user("?"), said, user("!")), to)["messages"][1]["content"]
    assert content == "<think>\nhm\n</think>\n"


def test_opaque_data_of_others_is_not_sent():
    meta = {"anthropic-messages": {"type": "server_tool_use", "id": "s"}}
    said = AssistantMessage([Text("", meta=meta, producer="anthropic/claude-old"), Text("Hi")])
    assert sent(ask(user("?"), said))["messages"][1]["content"] == "Hi"


def test_an_answer_of_nothing_but_foreign_reasoning_is_left_out():
    said = AssistantMessage([Thinking("hm", producer="openai/gpt")])
    assert [each["role"] for each in sent(ask(user("?"), said))["messages"]] == ["user"]


def test_older_models_get_a_budget_that_fits_below_the_limit():
    def thinking(reasoning: Reasoning, max_tokens: int = 20000) -> Any:
        return sent(ask(reasoning=reasoning, max_tokens=max_tokens)).get("thinking")

    assert thinking(Reasoning(budget_tokens=3000)) == {"type": "enabled", "budget_tokens": 3000}
    assert thinking(Reasoning(budget_tokens=50000))["budget_tokens"] == 19999
    assert thinking(Reasoning(budget_tokens=5))["budget_tokens"] == 1024
    assert thinking(Reasoning("high"))["budget_tokens"] == 10000
    assert thinking(Reasoning("low"))["budget_tokens"] == 2048
    assert thinking(Reasoning("none")) == {"type": "disabled"}
    assert thinking(Reasoning("high"), max_tokens=1024) is None
    assert "reasoning" in dropped(ask(reasoning=Reasoning("high"), max_tokens=1024))


def test_newer_models_get_an_effort():
    to = target(ADAPTIVE_MODEL)
    body = sent(ask(reasoning=Reasoning("xhigh")), to)
    assert body["thinking"] == {"type": "adaptive"}
    assert body["output_config"] == {"effort": "xhigh"}
    assert sent(ask(reasoning=Reasoning("minimal")), to)["output_config"] == {"effort": "low"}
    old = target("claude-opus-4-6")
    assert sent(ask(reasoning=Reasoning("xhigh")), old)["output_config"] == {"effort": "high"}
    assert "reasoning" in dropped(ask(reasoning=Reasoning("xhigh")), old)


def test_a_budget_becomes_the_nearest_effort_where_models_take_none_and_says_so():
    request = ask(reasoning=Reasoning(budget_tokens=10000))
    assert sent(request, target("claude-mythos-preview"))["output_config"] == {"effort": "medium"}
    assert sent(request, target(ADAPTIVE_MODEL))["output_config"] == {"effort": "medium"}
    assert "medium" in dropped(request, target(ADAPTIVE_MODEL))["reasoning"]


@pytest.mark.parametrize("model", ["claude-fable-5", "claude-opus-5-5"])
def test_a_model_that_always_thinks_is_not_told_to_stop(model: str):
    body = sent(ask(reasoning=Reasoning("none")), target(model))
    assert "thinking" not in body
    assert body["output_config"] == {"effort": "low"}


@pytest.mark.parametrize("choice", ["required", NamedTool("weather")])
@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-fable-5-1"])
def test_a_model_that_refuses_a_forced_tool_call_is_left_the_choice(model: str, choice: Any):
    request = ask(tools=[WEATHER], tool_choice=choice, parallel_tool_calls=False)
    chosen = sent(request, target(model))["tool_choice"]
    assert chosen == {"type": "auto", "disable_parallel_tool_use": True}
    assert "auto" in dropped(request, target(model))["tool_choice"]
    assert "tool_choice" not in dropped(request, target("claude-opus-5"))


def test_thinking_gives_way_to_a_forced_tool_call():
    request = ask(tools=[WEATHER], tool_choice="required", reasoning=Reasoning("high"))
    for model in (BUDGET_MODEL, ADAPTIVE_MODEL):
        body = sent(request, target(model))
        assert body["tool_choice"] == {"type": "any"}
        assert body["thinking"] == {"type": "disabled"}
        assert "reasoning" in dropped(request, target(model))


def test_instructions_in_mid_conversation_go_as_such_where_the_model_takes_them():
    request = ask(user("Hi"), SystemMessage([Text("Rhyme.")]), assistant("Ho"), user("?"))
    roles = [each["role"] for each in sent(request, target(ADAPTIVE_MODEL))["messages"]]
    assert roles == ["user", "system", "assistant", "user"]
    older = sent(request)["messages"][1]
    assert older == {"role": "user", "content": "<system>\nRhyme.\n</system>"}
    assert "messages[1]" in dropped(request)


# ------------------------------------------------------------------------------------------ cache


def test_cache_hints_become_breakpoints():
    body = sent(
        ask(
            user(Text("long", cache="long"), "tail"),
            system=[Text("rules", cache="long")],
            tools=[msgspec.structs.replace(WEATHER, cache="long")],
            cache="short",
        )
    )
    long = {"type": "ephemeral", "ttl": "1h"}
    assert body["tools"][0]["cache_control"] == long
    assert body["system"][0]["cache_control"] == long
    assert body["messages"][0]["content"][0]["cache_control"] == long
    assert body["messages"][0]["content"][1]["cache_control"] == {"type": "ephemeral"}


def test_reasoning_and_blank_text_bear_no_breakpoint():
    said = AssistantMessage([Thinking("hm", "sig", cache="short"), Text(" ", cache="short")])
    assert "cache_control" not in json.dumps(sent(ask(user("?"), said)))
    assert "messages[1].content[0].cache" in dropped(ask(user("?"), said))


def test_caching_the_whole_prompt_marks_the_last_block_that_can_be_marked():
    said = AssistantMessage([Text("So"), Thinking("hm", "sig")])
    blocks = sent(ask(user("?"), said, cache="short"))["messages"][1]["content"]
    assert [("cache_control" in each) for each in blocks] == [True, False]


def test_of_more_than_four_cache_hints_the_last_four_are_sent():
    request = ask(user(*[Text(str(number), cache="short") for number in range(6)]))
    content = sent(request)["messages"][0]["content"]
    assert ["cache_control" in each for each in content] == [False, False] + [True] * 4
    assert "last 4 of 6" in dropped(request)["cache"]


def test_a_long_cache_hint_after_a_short_one_becomes_short():
    request = ask(user(Text("a", cache="short"), Text("b", cache="long")))
    assert sent(request)["messages"][0]["content"][1]["cache_control"] == {"type": "ephemeral"}
    assert "cache" in dropped(request)


def test_where_there_is_no_long_cache_its_hints_are_short():
    to = target(quirks=Quirks(long_cache=False))
    content = sent(ask(user(Text("a", cache="long"))), to)["messages"][0]["content"]
    assert content[0]["cache_control"] == {"type": "ephemeral"}


# ------------------------------------------------------------------------------------------ tools


def test_tools_and_their_choice():
    def choice(**fields: Any) -> Any:
        return sent(ask(tools=[WEATHER], **fields)).get("tool_choice")

    assert sent(ask(tools=[WEATHER]))["tools"] == [
        {
            "name": "weather",
            "description": "The weather.",
            "input_schema": {"type": "object", "properties": {}},
        }
    ]
    assert choice() is None
    assert choice(tool_choice="auto") == {"type": "auto"}
    assert choice(tool_choice="none", parallel_tool_calls=False) == {"type": "none"}
    assert choice(tool_choice="required") == {"type": "any"}
    assert choice(tool_choice=NamedTool("weather")) == {"type": "tool", "name": "weather"}
    assert choice(parallel_tool_calls=False) == {
        "type": "auto",
        "disable_parallel_tool_use": True,
    }


def test_a_provider_without_the_field_is_not_told_about_parallel_calls():
    to = target(quirks=Quirks(parallel_tool_calls=False))
    request = ask(tools=[WEATHER], parallel_tool_calls=False)
    assert "tool_choice" not in sent(request, to)
    assert "parallel_tool_calls" in dropped(request, to)


def test_a_tool_choice_without_tools_is_dropped_visibly():
    assert "tool_choice" not in sent(ask(tool_choice="required"))
    assert "tool_choice" in dropped(ask(tool_choice="required"))


def test_strict_tools_are_asked_for_where_they_are_known():
    request = ask(tools=[ToolDefinition("a", strict=True)])
    assert sent(request, target(quirks=Quirks(strict_tools=True)))["tools"][0]["strict"] is True
    assert "strict" not in sent(request)["tools"][0]
    assert "tools[0].strict" in dropped(request)


# ------------------------------------------------------------------------------------------ knobs


def test_a_limit_is_always_named():
    assert sent(ask(max_tokens=7))["max_tokens"] == 7
    assert sent(ask(), target(max_output_tokens=64000))["max_tokens"] == 64000
    other = target("MiniMax-M3")
    assert sent(ask(), other)["max_tokens"] == 8192
    assert sent(ask(reasoning=Reasoning("high")), other)["max_tokens"] == 8192 + 16384


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("claude-sonnet-4-5", 64_000),
        ("claude-haiku-4-5-20251001", 64_000),
        ("claude-opus-4-1-20250805", 32_000),
        ("claude-sonnet-4-6", 128_000),
        ("claude-opus-5", 128_000),
        ("claude-haiku-5-5", 128_000),
    ],
)
def test_unasked_the_limit_is_the_most_that_the_model_can_write(model: str, limit: int):
    assert sent(ask(), target(model))["max_tokens"] == limit
    thinking = ask(reasoning=Reasoning("low"))
    assert sent(thinking, target(model))["max_tokens"] == limit


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("claude-3-7-sonnet-20250219", 64000),
        ("claude-opus-4-1-20250805", 32000),
        ("claude-sonnet-4-5", 64000),
        ("claude-opus-4-6", 128_000),
        ("claude-like", 8192 + 65536),
    ],
)
def test_room_to_think_is_made_below_the_models_own_limit(model: str, limit: int):
    body = sent(ask(reasoning=Reasoning("max")), target(model))
    assert body["max_tokens"] == limit
    assert body["thinking"].get("budget_tokens", 0) < limit


# -------------------------------------------------------------------------------------------- end


def test_a_model_that_does_not_go_on_with_an_answer_is_told_to_by_the_user():
    broken = AssistantMessage([Text("The answer")], "aborted")
    newer, thinking = target("claude-opus-4-6"), ask(user("q"), broken, reasoning=Reasoning("low"))
    for request, to in ((ask(user("q"), broken), newer), (thinking, target())):
        assert [turn["role"] for turn in sent(request, to)["messages"]] == [
            *("user", "assistant", "user")
        ]
        assert "messages[1]" in dropped(request, to)
    assert len(sent(ask(user("q"), broken))["messages"]) == 2
    assert dropped(ask(user("q"), broken)) == {}


def test_a_paused_turn_goes_back_as_the_last_one():
    request = ask(user("q"), AssistantMessage([Text("Searching.")], "pause"))
    assert sent(request, target("claude-opus-4-6"))["messages"][-1]["role"] == "assistant"


@pytest.mark.parametrize("text", [Text("So: \n"), Text("So: \n", cache="short")])
def test_an_answer_to_go_on_with_ends_without_white_space(text: Text):
    request = ask(user("q"), AssistantMessage([text]))
    (last,) = sent(request)["messages"][1:]
    content = last["content"]
    assert (content if isinstance(content, str) else content[0]["text"]) == "So:"
    assert "messages[1]" in dropped(request)


def test_sampling_goes_only_where_the_model_takes_it():
    both = ask(temperature=0.5, top_p=0.9, stop=["END"])

    def knobs(request: Request, model: str) -> set[str]:
        return {"temperature", "top_p"} & sent(request, target(model)).keys()

    assert sent(both)["stop_sequences"] == ["END"]
    assert knobs(both, "claude-3-5-haiku-20241022") == {"temperature", "top_p"}
    assert knobs(both, BUDGET_MODEL) == {"temperature"}
    assert knobs(both, ADAPTIVE_MODEL) == set()
    assert dropped(both, target(ADAPTIVE_MODEL)).keys() == {"temperature", "top_p"}
    assert dropped(ask(temperature=1), target(ADAPTIVE_MODEL)) == {}
    assert knobs(ask(temperature=0.5, reasoning=Reasoning("low")), BUDGET_MODEL) == set()
    assert sent(ask(temperature=1.5))["temperature"] == 1
    assert "temperature" in dropped(ask(temperature=1.5))


def test_a_schema_for_the_answer_goes_as_output_format():
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    request = ask(response_format=ResponseFormat(schema), reasoning=Reasoning("low"))
    assert sent(request, target(ADAPTIVE_MODEL))["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": schema},
    }
    assert "output_config" not in sent(ask(response_format=ResponseFormat()))
    assert "response_format" in dropped(ask(response_format=ResponseFormat()))


def test_what_the_format_has_no_word_for_is_dropped_visibly():
    request = ask(
        user(Image(url="https://a.example/b", detail="high")),
        seed=1,
        metadata={"user_id": "u", "team": "t"},
    )
    assert sent(request)["metadata"] == {"user_id": "u"}
    assert "seed" not in sent(request)
    assert dropped(request).keys() == {"seed", "metadata.team", "messages[0].content[0].detail"}
    assert dropped(ask()) == {}


def test_vendor_options_have_the_last_word():
    request = ask(
        tools=[WEATHER],
        reasoning=Reasoning("high"),
        options={
            "anthropic-messages": {
                "thinking": {"display": "omitted"},
                "tools": [
                    {"name": "weather", "defer_loading": True},
                    {"type": "web_search_20260318", "name": "web_search"},
                ],
            },
            "anthropic": {"service_tier": "auto"},
            "openai": {"service_tier": "flex"},
        },
    )
    body = sent(request, target(ADAPTIVE_MODEL))
    assert body["thinking"] == {"type": "adaptive", "display": "omitted"}
    assert body["service_tier"] == "auto"
    assert [each["name"] for each in body["tools"]] == ["weather", "web_search"]
    assert body["tools"][0]["defer_loading"] is True
    assert body["tools"][0]["input_schema"] == WEATHER.parameters


def test_a_call_that_broke_off_goes_back_as_one_without_arguments():
    said = AssistantMessage([ToolCall("a", "weather", unparsed='{"city": "Os')])
    body = sent(ask(user("?"), said, ToolMessage("a", [Text("broken off")], is_error=True)))
    assert body["messages"][1]["content"][0]["input"] == {}


# ----------------------------------------------------------------------------- models and counting


def test_a_list_or_a_count_that_is_none_is_a_protocol_error():
    with pytest.raises(ProtocolError, match="Bad Gateway"):
        DIALECT.decode_models(b"<h1>Bad Gateway</h1>")
    with pytest.raises(ProtocolError):
        DIALECT.decode_count(b"{}")


def test_the_list_of_models_is_asked_for_and_read():
    request = DIALECT.models_request(target(key=Secret("k"), auth="x-api-key"))
    assert request is not None
    assert (request.method, request.url) == ("GET", "https://api.example/v1/models?limit=1000")
    assert request.headers["x-api-key"] == "k"
    assert DIALECT.decode_models(DIALECT.encode_models(["a", "b"])) == ["a", "b"]
    assert DIALECT.models_request(target(quirks=Quirks(models_path=""))) is None


def test_tokens_are_counted_by_the_same_prompt_without_what_only_an_answer_needs():
    to = target(quirks=Quirks(count_tokens=True))
    request = ask(
        tools=[WEATHER],
        temperature=0.5,
        stop=["x"],
        metadata={"user_id": "u"},
        options={"anthropic": {"service_tier": "auto"}},
    )
    counting = DIALECT.count_request(request, to)
    assert counting is not None
    assert counting.url == "https://api.example/v1/messages/count_tokens"
    body = msgspec.json.decode(counting.body)
    assert body.keys() == {"model", "messages", "tools"}
    assert DIALECT.count_request(request, target()) is None
    assert DIALECT.decode_count(DIALECT.encode_count(17) or b"") == 17
