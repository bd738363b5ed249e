"""Requests as OpenAI's likes want them: every wish, every quirk, and what can't be said."""

import json
from typing import Any

import pytest

from polyvox.dialects import Quirks, Target, get_dialect
from polyvox.errors import BadRequestError, ProtocolError
from polyvox.messages import (
    AssistantMessage,
    File,
    Image,
    Message,
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

DIALECT = get_dialect("openai-chat")
PNG = b"\x89PNG\r\n\x1a\n"


def target(**quirks: Any) -> Target:
    return Target(
        provider="acme",
        model="sage-1",
        base_url="https://acme.example/v1/",
        key=Secret("sk-1"),
        quirks=Quirks(**quirks),
    )


def body(request: Request, **quirks: Any) -> dict[str, Any]:
    return json.loads(DIALECT.encode_request(request, target(**quirks)).body)


def sent(*messages: Message, **quirks: Any) -> list[dict[str, Any]]:
    return body(Request(messages=list(messages)), **quirks)["messages"]


def results(*messages: Message, **quirks: Any) -> list[dict[str, Any]]:
    """What is sent for tool results and what follows, all their calls made in one message before."""
    calls = [ToolCall(each.tool_call_id, "f") for each in messages if isinstance(each, ToolMessage)]
    return sent(assistant(*calls), *messages, **quirks)[1:]


def dropped(request: Request, **quirks: Any) -> list[str]:
    return [
        field for field, text in DIALECT.encode_request(request, target(**quirks)).dropped if text
    ]


def ask(**fields: Any) -> Request:
    return Request(messages=[user("hi")], **fields)


def test_where_a_request_goes_and_with_which_key():
    http = DIALECT.encode_request(ask(), target())
    assert (http.method, http.url) == ("POST", "https://acme.example/v1/chat/completions")
    assert http.headers == {"content-type": "application/json", "authorization": "Bearer sk-1"}


def test_the_order_of_fields_is_fixed():
    request = ask(
        model="ignored",
        system=[Text("Be brief.")],
        tools=[ToolDefinition("f")],
        tool_choice="auto",
        parallel_tool_calls=False,
        response_format=ResponseFormat(),
        max_tokens=5,
        temperature=0.5,
        top_p=0.9,
        stop=["."],
        seed=1,
        reasoning=Reasoning("low"),
        metadata={"a": "b"},
    )
    assert list(body(request, metadata=True)) == [
        *("model", "messages", "stream", "stream_options", "max_tokens", "temperature", "top_p"),
        *("stop", "seed", "tools", "tool_choice", "parallel_tool_calls", "reasoning_effort"),
        *("response_format", "metadata"),
    ]


def test_what_is_not_wished_is_not_sent():
    assert body(ask(stream=False)) == {
        "model": "sage-1",
        "messages": [{"role": "user", "content": "hi"}],
    }


@pytest.mark.parametrize(
    ("request_", "quirks", "fields"),
    [
        (ask(), {}, {"stream": True, "stream_options": {"include_usage": True}}),
        (ask(), {"usage_in_stream": False}, {"stream": True}),
        (ask(stream=False, max_tokens=5), {}, {"max_tokens": 5}),
        (
            ask(stream=False, max_tokens=5),
            {"max_tokens_field": "max_completion_tokens"},
            {"max_completion_tokens": 5},
        ),
        (ask(stream=False, seed=0), {"seed_field": "random_seed"}, {"random_seed": 0}),
        (ask(stream=False, seed=0), {"seed": False}, {}),
        (ask(stream=False, temperature=0.0, top_p=1.0), {}, {"temperature": 0.0, "top_p": 1.0}),
        (ask(stream=False, temperature=0.0, top_p=1.0), {"sampling": False}, {}),
        (ask(stream=False, temperature=0.0), {"sampling": "unthinking"}, {"temperature": 0.0}),
        (ask(stream=False, stop=["x"]), {}, {"stop": ["x"]}),
        (ask(stream=False, stop=["x"]), {"stop": False}, {}),
        (ask(stream=False, parallel_tool_calls=False), {}, {}),
        (ask(stream=False, metadata={"a": "b"}), {"metadata": True}, {"metadata": {"a": "b"}}),
        (ask(stream=False, metadata={"a": "b"}), {}, {}),
        (ask(stream=False, tool_choice="required"), {}, {}),
    ],
)
def test_wishes_in_the_words_of_the_target(
    request_: Request, quirks: dict[str, Any], fields: dict[str, Any]
):
    rest = body(request_, **quirks)
    assert {name: rest[name] for name in rest if name not in ("model", "messages")} == fields


@pytest.mark.parametrize(
    ("wanted", "quirks", "fields", "lost"),
    [
        (Reasoning("high"), {}, {"reasoning_effort": "high"}, []),
        (
            Reasoning("medium"),
            {"efforts": ("low", "high")},
            {"reasoning_effort": "high"},
            ["effort"],
        ),
        (
            Reasoning("minimal"),
            {"efforts": ("none", "low")},
            {"reasoning_effort": "low"},
            ["effort"],
        ),
        (Reasoning("none"), {"efforts": ("low", "high")}, {"reasoning_effort": "low"}, ["effort"]),
        (Reasoning(budget_tokens=9), {}, {"reasoning_effort": "minimal"}, ["budget_tokens"]),
        (
            Reasoning(budget_tokens=10_000),
            {"efforts": ("low", "high")},
            {"reasoning_effort": "high"},
            ["budget_tokens"],
        ),
        (Reasoning("low", 9000), {}, {"reasoning_effort": "low"}, ["budget_tokens"]),
        (Reasoning(budget_tokens=0), {}, {"reasoning_effort": "none"}, []),
        (
            Reasoning("low"),
            {"reasoning_style": "enable_thinking"},
            {"enable_thinking": True, "thinking_budget": 2048},
            ["effort"],
        ),
        (
            Reasoning(budget_tokens=20_000),
            {"reasoning_style": "thinking", "efforts": ("low", "high")},
            {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
            ["budget_tokens"],
        ),
        (Reasoning("low"), {"reasoning_style": "openrouter"}, {"reasoning": {"effort": "low"}}, []),
        (
            Reasoning(budget_tokens=9),
            {"reasoning_style": "openrouter"},
            {"reasoning": {"max_tokens": 9}},
            [],
        ),
        (
            Reasoning("low", 9),
            {"reasoning_style": "openrouter"},
            {"reasoning": {"max_tokens": 9}},
            [""],
        ),
        (
            Reasoning("low"),
            {"reasoning_style": "thinking"},
            {"thinking": {"type": "enabled"}},
            ["effort"],
        ),
        (
            Reasoning("none"),
            {"reasoning_style": "thinking"},
            {"thinking": {"type": "disabled"}},
            [],
        ),
        (
            Reasoning("low"),
            {"reasoning_style": "thinking", "efforts": ("low", "max")},
            {"thinking": {"type": "enabled"}, "reasoning_effort": "low"},
            [],
        ),
        (
            Reasoning(budget_tokens=9),
            {"reasoning_style": "enable_thinking"},
            {"enable_thinking": True, "thinking_budget": 9},
            [],
        ),
        (Reasoning("none"), {"reasoning_style": "enable_thinking"}, {"enable_thinking": False}, []),
        (
            Reasoning("medium"),
            {"reasoning_style": "thinking", "efforts": ("low", "max")},
            {"thinking": {"type": "enabled"}, "reasoning_effort": "low"},
            ["effort"],
        ),
        (Reasoning("low"), {"reasoning_style": "none"}, {}, [""]),
        (Reasoning(), {}, {}, []),
    ],
)
def test_how_much_to_think(
    wanted: Reasoning, quirks: dict[str, Any], fields: dict[str, Any], lost: list[str]
):
    request = ask(stream=False, reasoning=wanted)
    rest = body(request, **quirks)
    assert {name: rest[name] for name in rest if name not in ("model", "messages")} == fields
    assert dropped(request, **quirks) == [f"reasoning.{name}".rstrip(".") for name in lost]


def test_a_schema_for_the_answer():
    schema = {"type": "object", "properties": {}, "additionalProperties": False, "required": []}
    request = ask(response_format=ResponseFormat(schema, "city", "A city."))
    assert body(request)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "city", "description": "A city.", "schema": schema, "strict": True},
    }
    assert body(request, json_schema=False)["response_format"] == {"type": "json_object"}
    assert dropped(request, json_schema=False) == ["response_format.schema"]
    assert body(ask(response_format=ResponseFormat()))["response_format"] == {"type": "json_object"}


def test_tools_and_their_strictness():
    nothing = {"type": "object", "properties": {}, "additionalProperties": False, "required": []}
    request = ask(tools=[ToolDefinition("f", "Does f.", nothing, strict=True)])
    function = {"name": "f", "description": "Does f.", "parameters": nothing}
    assert body(request)["tools"] == [{"type": "function", "function": function}]
    assert dropped(request) == ["tools[].strict"]
    assert body(request, strict_tools=True)["tools"][0]["function"] == {**function, "strict": True}
    assert dropped(request, strict_tools=True) == []


@pytest.mark.parametrize(
    ("wish", "quirks", "fields"),
    [
        ({"parallel_tool_calls": False}, {}, {"parallel_tool_calls": False}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}, {}),
        ({"tool_choice": "required"}, {}, {"tool_choice": "required"}),
        ({"tool_choice": "required"}, {"tool_choice_required": "any"}, {"tool_choice": "any"}),
        (
            {"tool_choice": NamedTool("f")},
            {},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        ),
    ],
)
def test_how_tools_are_to_be_called(
    wish: dict[str, Any], quirks: dict[str, Any], fields: dict[str, Any]
):
    wire = body(ask(tools=[ToolDefinition("f")], **wish), **quirks)
    assert {name: wire[name] for name in wire if "tool_c" in name} == fields


def test_a_choice_of_no_tools_is_not_sent_as_it_would_be_refused():
    request = ask(tool_choice="auto", parallel_tool_calls=False)
    assert sorted(dropped(request)) == ["parallel_tool_calls", "tool_choice"]
    searching = ask(tool_choice="required", options={"acme": {"tools": [{"type": "search"}]}})
    assert body(searching)["tool_choice"] == "required"


@pytest.mark.parametrize("wanted", [Reasoning("low"), Reasoning(budget_tokens=5000)])
def test_models_that_sample_only_while_they_dont_think_are_not_asked_for_both(wanted: Reasoning):
    request = ask(temperature=0.5, top_p=0.5, reasoning=wanted)
    assert "temperature" not in body(request, sampling="unthinking")
    assert {"temperature", "top_p"} <= {*dropped(request, sampling="unthinking")}
    unthinking = ask(temperature=0.5, reasoning=Reasoning("none"))
    assert body(unthinking, sampling="unthinking")["temperature"] == 0.5


TOOLS = [ToolDefinition("f", "", {"type": "object", "properties": {}})]


@pytest.mark.parametrize(
    ("rule", "wanted", "told", "noted"),
    [
        (True, Reasoning("high"), "high", False),
        (False, Reasoning("high"), None, True),
        (False, Reasoning(budget_tokens=4000), None, True),
        (False, Reasoning("none"), "none", False),
        (False, None, None, False),
        ("none", Reasoning("high"), "none", True),
        ("none", Reasoning("none"), "none", False),
        ("none", Reasoning(budget_tokens=0), "none", False),
        ("none", Reasoning(), "none", True),
        ("none", None, "none", True),
    ],
)
def test_an_effort_beside_tools_gives_way_where_both_are_refused(
    rule: Any, wanted: Reasoning | None, told: str | None, noted: bool
):
    request = ask(reasoning=wanted, tools=TOOLS)
    assert body(request, effort_with_tools=rule).get("reasoning_effort") == told
    notes = dict(DIALECT.encode_request(request, target(effort_with_tools=rule)).dropped)
    assert list(notes) == (["reasoning"] if noted else [])
    assert not noted or "openai-responses" in notes["reasoning"]
    alone = ask(reasoning=Reasoning("high"))
    assert body(alone, effort_with_tools=rule)["reasoning_effort"] == "high"


def test_tools_of_the_options_count_as_tools_beside_an_effort():
    tool = {"type": "function", "function": {"name": "f"}}
    request = ask(reasoning=Reasoning("high"), options={"acme": {"tools": [tool]}})
    assert body(request, effort_with_tools="none")["reasoning_effort"] == "none"


def test_the_responses_format_takes_an_effort_beside_tools():
    request = ask(reasoning=Reasoning("high"), tools=TOOLS)
    to = target(effort_with_tools="none")
    http = get_dialect("openai-responses").encode_request(request, to)
    assert json.loads(http.body)["reasoning"] == {"effort": "high"}
    assert http.dropped == ()


def test_more_stop_strings_than_the_provider_takes_are_refused_before_they_are_sent():
    four, five = ask(stop=list("abcd")), ask(stop=list("abcde"))
    assert body(four, most_stops=4)["stop"] == list("abcd")
    with pytest.raises(
        BadRequestError, match="stop holds 5 strings; acme/sage-1 takes 4"
    ) as caught:
        body(five, most_stops=4)
    assert caught.value.hint
    assert body(five)["stop"] == list("abcde")
    assert dropped(five, stop=False, most_stops=4) == ["stop"]


def test_every_wish_that_is_not_told_is_named():
    request = ask(
        tools=[ToolDefinition("f")],
        stop=["x"],
        parallel_tool_calls=True,
        seed=1,
        metadata={"a": "b"},
        temperature=1.0,
        top_p=0.5,
        cache="short",
    )
    lacking = {"parallel_tool_calls": False, "seed": False, "sampling": False, "stop": False}
    assert sorted(dropped(request, **lacking)) == [
        *("cache", "metadata", "parallel_tool_calls", "seed", "stop", "temperature", "top_p")
    ]
    assert dropped(ask()) == []


def test_vendor_options_go_into_the_body_untouched_and_last():
    options = {
        "openai-chat": {"top_k": 4, "stream_options": {"extra": 1}},
        "acme": {"top_k": 5, "max_tokens": 7},
        "other": {"top_k": 6},
    }
    wire = body(ask(max_tokens=5, options=options))
    assert (wire["top_k"], wire["max_tokens"]) == (5, 7)
    assert wire["stream_options"] == {"include_usage": True, "extra": 1}


# Messages


def test_instructions_at_the_start_and_in_the_middle():
    request = Request(
        messages=[user("hi"), SystemMessage([Text("Now in French.")])],
        system=[Text("Be brief."), Text("Be kind.")],
    )
    first, _, last = body(request)["messages"]
    assert first == {
        "role": "system",
        "content": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
    }
    assert last == {"role": "system", "content": "Now in French."}
    assert body(request, developer_role=True)["messages"][0]["role"] == "developer"


def test_pictures_and_files():
    (message,) = sent(
        user(
            "Look:",
            Image(PNG, detail="low"),
            Image(url="https://a.example/b.png"),
            File(b"%PDF-1", name="a.pdf"),
            File(id="file-1"),
            File(b"%PDF-1"),
        )
    )
    assert message["content"] == [
        {"type": "text", "text": "Look:"},
        {
            "type": "image_url",
            "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
        },
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0x"},
        },
        {"type": "file", "file": {"file_id": "file-1"}},
        {
            "type": "file",
            "file": {
                "filename": "document.pdf",
                "file_data": "data:application/pdf;base64,JVBERi0x",
            },
        },
    ]


@pytest.mark.parametrize(
    ("message", "place"),
    [
        (user("a", Image(url="file:///etc/passwd")), "messages[1].content[1].url"),
        (user(File(url="https://a.example/b.pdf")), "messages[1].content[0].url"),
        (UserMessage([]), "messages[1].content"),
    ],
)
def test_what_cant_be_carried_is_named_with_its_place(message: Message, place: str):
    with pytest.raises(BadRequestError) as caught:
        sent(user("hi"), message)
    assert caught.value.text.startswith(f"{place}:")


def test_a_file_may_be_given_by_url_where_that_is_understood():
    (message,) = sent(user(File(url="https://a.example/b.pdf")), file_urls=True)
    assert message["content"][0]["file"]["file_data"] == "https://a.example/b.pdf"


def test_an_assistants_blocks_are_sorted_into_its_fields():
    message = assistant("One, ", ToolCall("a", "f", {"x": 1}), Text("two."))
    assert sent(message)[0] == {
        "role": "assistant",
        "content": "One, two.",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
        ],
    }


def test_an_assistants_picture_is_left_out_and_that_is_said():
    request = Request(messages=[user("Draw."), assistant("Here:", Image(PNG))])
    assert body(request)["messages"][1] == {"role": "assistant", "content": "Here:"}
    assert dropped(request) == ["messages[1].content[1]"]


def test_a_budget_stays_below_the_limit_of_the_answer():
    request = ask(reasoning=Reasoning(budget_tokens=5000), max_tokens=1000)
    assert body(request, reasoning_style="openrouter")["reasoning"] == {"max_tokens": 999}
    assert body(request, reasoning_style="enable_thinking")["thinking_budget"] == 999
    assert dropped(request, reasoning_style="openrouter") == ["reasoning.budget_tokens"]
    graded = ask(reasoning=Reasoning("high"), max_tokens=1000)
    assert body(graded, reasoning_style="enable_thinking")["thinking_budget"] == 500


def test_arguments_that_broke_off_are_sent_as_an_empty_object_and_that_is_said():
    broken = assistant("a", ToolCall("a", "f", unparsed='{"x'))
    request = Request(messages=[broken, tool_result("a", "That was no JSON.", is_error=True)])
    (call,) = body(request)["messages"][0]["tool_calls"]
    assert call["function"]["arguments"] == "{}"
    assert dropped(request) == ["messages[0].content[1].arguments"]


def test_reasoning_goes_back_to_its_producer_only():
    own, other = (Thinking("Hm.", producer=name) for name in ("acme/sage-1", "else/one"))
    field = {"reasoning_replay": "reasoning_content"}
    assert sent(assistant(own, "Yes."), **field)[0]["reasoning_content"] == "Hm."
    assert "reasoning_content" not in sent(assistant(other, "Yes."), **field)[0]
    assert sent(assistant(own, "Yes.")) == [{"role": "assistant", "content": "Yes."}]
    (as_text,) = sent(assistant(other, "Yes."), thinking_as_text=True)
    assert as_text["content"] == "<think>\nHm.\n</think>\nYes."


def test_tool_calls_that_need_reasoning_beside_them_get_a_blank_where_there_is_none_to_tell():
    field = {"reasoning_replay": "reasoning_content", "reasoning_with_calls": True}
    call = ToolCall("a", "f")
    own, other = (Thinking("Hm.", producer=name) for name in ("acme/sage-1", "else/one"))
    assert sent(assistant(own, call), **field)[0]["reasoning_content"] == "Hm."
    assert sent(assistant(other, call), **field)[0]["reasoning_content"] == " "
    assert "reasoning_content" not in sent(assistant(other, "Yes."), **field)[0]


def test_openrouters_details_go_back_in_the_place_of_the_text():
    details = [{"type": "reasoning.text", "text": "Hm.", "signature": "c2ln"}]
    thinking = Thinking("Hm.", meta={"reasoning_details": details}, producer="acme/sage-1")
    (message,) = sent(assistant(thinking, "Yes."), reasoning_replay="reasoning")
    assert message == {"role": "assistant", "content": "Yes.", "reasoning_details": details}


def test_a_geminis_signature_goes_back_with_the_call():
    meta = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    own = ToolCall("a", "f", meta=meta, producer="acme/sage-1")
    message = sent(assistant(own))[0]
    assert message["tool_calls"][0]["extra_content"] == meta["extra_content"]
    foreign = ToolCall("a", "f", meta=meta, producer="else/one")
    assert "extra_content" not in sent(assistant(foreign))[0]["tool_calls"][0]


def test_an_answer_of_which_nothing_can_be_told_is_left_out():
    silent = AssistantMessage([Thinking("Hm.", producer="else/one")])
    assert sent(user("a"), silent, user("b")) == [
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
    ]


def test_an_answer_at_the_end_says_that_it_is_to_be_gone_on_with_where_that_must_be_said():
    last = sent(user("a"), assistant("So"), prefix=True)[-1]
    assert last == {"role": "assistant", "content": "So", "prefix": True}
    assert "prefix" not in sent(user("a"), assistant("So"))[-1]
    earlier = sent(user("a"), assistant("So"), user("b"), prefix=True)
    assert [message for message in earlier if "prefix" in message] == []


def test_an_answer_stands_between_results_and_the_user_where_the_order_is_strict():
    call = assistant(ToolCall("a", "f"))
    picture = ToolMessage("a", [Image(PNG)])
    for said in ([call, tool_result("a", "1"), user("stop")], [call, picture]):
        strict, roles = sent(*said, answer_after_results=True), ["assistant", "tool"]
        assert [message["role"] for message in strict] == [*roles, "assistant", "user"]
        assert strict[2]["content"]
        assert [message["role"] for message in sent(*said)] == [*roles, "user"]


def test_content_is_null_only_beside_tool_calls():
    own = Thinking("Hm.", producer="acme/sage-1")
    (silent,) = sent(assistant(own), reasoning_replay="reasoning")
    assert silent == {"role": "assistant", "content": "", "reasoning": "Hm."}
    assert sent(assistant(ToolCall("a", "f")))[0]["content"] is None


def test_tool_results_are_one_text():
    result = ToolMessage("a", [Text("sunny"), Text("21 C")], tool_name="weather")
    assert results(result) == [{"role": "tool", "tool_call_id": "a", "content": "sunny\n21 C"}]
    assert results(result, tool_result_name=True)[0]["name"] == "weather"


def test_the_result_of_a_failed_tool_says_so():
    assert (
        results(tool_result("a", "no such city", is_error=True))[0]["content"]
        == "Error: no such city"
    )
    assert results(tool_result("a", "Error: gone", is_error=True))[0]["content"] == "Error: gone"


def test_pictures_in_tool_results_wait_for_the_last_result():
    picture = Image(url="https://a.example/b.png")
    first, second, after, last = results(
        tool_result("a", "drawn", picture), tool_result("b", picture), user("Nice.")
    )
    assert (first["role"], first["content"]) == ("tool", "drawn")
    assert (second["role"], second["content"]) == ("tool", "(see the user message after this)")
    assert after["role"] == "user"
    assert [part["type"] for part in after["content"]] == ["text", "image_url", "text", "image_url"]
    assert last == {"role": "user", "content": "Nice."}
    assert results(tool_result("a", picture))[-1]["role"] == "user"


def test_pictures_in_tool_results_stay_where_that_is_understood():
    (message,) = results(
        tool_result("a", "drawn", Image(url="https://a.example/b.png")), tool_result_images=True
    )
    assert [part["type"] for part in message["content"]] == ["text", "image_url"]


@pytest.mark.parametrize("rule", ["forty", "nine"])
def test_foreign_call_ids_are_made_to_fit_the_same_way_everywhere(rule: str):
    long = "toolu_" + "x" * 60
    made, result, _, again = sent(
        assistant(ToolCall(long, "f")),
        tool_result(long, "ok"),
        assistant(ToolCall("abcdefghi", "f")),
        tool_result("abcdefghi", "ok"),
        call_ids=rule,
    )
    (id,) = {made["tool_calls"][0]["id"], result["tool_call_id"]}
    assert len(id) == 9 if rule == "nine" else len(id) <= 40
    assert again["tool_call_id"] == "abcdefghi"


def test_cache_hints_become_marks_only_where_they_are_understood():
    request = Request(
        messages=[
            user(Text("long", cache="long")),
            assistant(Text("ok"), ToolCall("a", "f")),
            ToolMessage("a", [Text("r")], cache="short"),
            user("last"),
        ],
        tools=[ToolDefinition("f", cache="long")],
        cache="short",
    )
    short, long = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
    wire = body(request, cache_control=True)
    assert wire["messages"][0]["content"][0]["cache_control"] == long
    assert wire["messages"][2]["content"][0]["cache_control"] == short
    assert wire["messages"][3]["content"][0]["cache_control"] == short
    assert wire["tools"][0]["cache_control"] == long
    assert dropped(request, cache_control=True) == []
    shorter = body(request, cache_control=True, long_cache=False)
    assert shorter["messages"][0]["content"][0]["cache_control"] == short
    assert "cache_control" not in json.dumps(body(request))
    assert dropped(request) == ["cache"]


def test_of_more_than_four_cache_hints_the_last_four_are_sent():
    texts = [Text(str(number), cache="short") for number in range(5)]
    request = Request(messages=[user(*texts)], tools=[ToolDefinition("f", cache="short")])
    wire = body(request, cache_control=True)
    assert json.dumps(wire).count("cache_control") == 4
    assert "cache_control" not in wire["messages"][0]["content"][0]
    assert dropped(request, cache_control=True) == ["cache"]


def test_a_long_cache_hint_behind_a_short_one_is_sent_as_a_short_one():
    request = Request(messages=[user(Text("a", cache="short"), Text("b", cache="long"))])
    wire = body(request, cache_control=True)["messages"][0]["content"]
    assert [part["cache_control"] for part in wire] == [{"type": "ephemeral"}] * 2
    assert dropped(request, cache_control=True) == ["cache"]


# Other requests


def test_the_list_of_models():
    http = DIALECT.models_request(target())
    assert http is not None
    assert (http.method, http.url) == ("GET", "https://acme.example/v1/models")
    assert http.headers == {"authorization": "Bearer sk-1"}
    assert DIALECT.models_request(target(models_path="")) is None
    assert DIALECT.decode_models(b'{"data": [{"id": "a"}, {"id": "b"}, {}]}') == ["a", "b"]
    assert DIALECT.decode_models(b'[{"id": "a"}]') == ["a"]
    assert DIALECT.decode_models(b'{"models": [{"name": "a"}]}') == ["a"]
    for nonsense in (b"<html>", b"{}", b"5"):
        with pytest.raises(ProtocolError):
            DIALECT.decode_models(nonsense)
    assert DIALECT.decode_models(DIALECT.encode_models(["a", "b/c"])) == ["a", "b/c"]


def test_tokens_cant_be_counted():
    assert DIALECT.count_request(ask(), target()) is None
    assert DIALECT.encode_count(5) is None
