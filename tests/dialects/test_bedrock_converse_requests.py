"""Requests in bedrock-converse: botocore's own model of the service judges every body."""

from typing import Any
from urllib.parse import unquote

import botocore.session
import msgspec
import pytest
from botocore.validate import ParamValidator
from hypothesis import given

from dialects import bedrock_converse_strategies as strategies
from polyvox.dialects import Quirks, Target
from polyvox.dialects.base import Place
from polyvox.dialects.bedrock_converse import DIALECT
from polyvox.dialects.bedrock_converse.prompt_out import GONE, SEE
from polyvox.dialects.turns import OPENING
from polyvox.errors import BadRequestError
from polyvox.handover import GO_ON
from polyvox.messages import (
    File,
    Image,
    SystemMessage,
    Text,
    Thinking,
    ToolCall,
    assistant,
    tool_result,
    user,
)
from polyvox.request import NamedTool, Reasoning, Request, ResponseFormat, ToolDefinition
from polyvox.secret import Secret

SERVICE = botocore.session.Session().get_service_model("bedrock-runtime")
CLAUDE = strategies.TARGET.model
LOOK = ToolDefinition("look", "Look.")
PNG = b"\x89PNG\r\n\x1a\n"


def target(model: str = CLAUDE, **quirks: Any) -> Target:
    return Target(
        provider="bedrock",
        model=model,
        base_url="https://bedrock.example",
        quirks=Quirks(**{"cache_control": True, **quirks}),
    )


def sent(request: Request, to: Target | None = None) -> dict[str, Any]:
    """The body, which botocore would send too."""
    http = DIALECT.encode_request(request, to or target())
    body = msgspec.json.decode(http.body)
    model, operation = _address(http.url)
    check(operation, {"modelId": model, **body})
    return body


def _address(url: str) -> tuple[str, str]:
    _, model, operation = url.removeprefix("https://bedrock.example/").split("/")
    return unquote(model), {"converse": "Converse", "converse-stream": "ConverseStream"}[operation]


def check(operation: str, parameters: dict[str, Any]) -> None:
    report = ParamValidator().validate(parameters, SERVICE.operation_model(operation).input_shape)
    # Files are base64 here already; to botocore these are strings, which count as bytes.
    assert not report.has_errors(), report.generate_report()


def notes(request: Request, to: Target | None = None) -> dict[str, str]:
    return dict(DIALECT.encode_request(request, to or target()).dropped)


def asked(*messages: Any, **fields: Any) -> Request:
    return Request(messages=list(messages) or [user("Hi.")], **fields)


@given(strategies.requests)
def test_whatever_is_sent_is_what_botocore_would_send(request: Request):
    sent(request, strategies.TARGET)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("amazon.nova-pro-v1:0", "amazon.nova-pro-v1%3A0"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.a.b-v1:0",
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.a.b-v1%3A0",
        ),
    ],
)
def test_the_address_names_the_model_and_how_it_shall_answer(model: str, path: str, stream: bool):
    http = DIALECT.encode_request(asked(stream=stream), target(model))
    operation = "converse-stream" if stream else "converse"
    assert http.url == f"https://bedrock.example/model/{path}/{operation}"


def test_a_key_is_a_bearers_and_without_one_nothing_is_said_of_it():
    plain = msgspec.structs.replace(target(), auth="aws")
    keyed = msgspec.structs.replace(plain, key=Secret("sk"))
    assert DIALECT.encode_request(asked(), keyed).headers["authorization"] == "Bearer sk"
    assert "authorization" not in DIALECT.encode_request(asked(), plain).headers


def test_turns_alternate_and_results_come_first():
    calls = [ToolCall("a", "look"), ToolCall("b", "look")]
    body = sent(
        asked(
            *(user("One."), user("Two.")),
            assistant("Let me see.", *calls),
            tool_result("a", "A tram.", Image(PNG)),
            tool_result("b", "No.", is_error=True),
            user("Go on."),
            tools=[LOOK],
        )
    )
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    first, second, said = body["messages"][2]["content"]
    assert first["toolResult"]["content"][0] == {"text": "A tram."}
    assert first["toolResult"]["content"][1]["image"]["format"] == "png"
    assert second["toolResult"]["status"] == "error"
    assert said == {"text": "Go on."}


def test_instructions_in_the_middle_are_told_as_the_users_text():
    request = asked(user("Hi."), SystemMessage([Text("Be brief.")]))
    assert sent(request)["messages"][0]["content"][1] == {"text": "<system>\nBe brief.\n</system>"}
    assert "messages[1]" in notes(request)


def test_a_tool_that_was_called_and_is_gone_is_named_all_the_same():
    request = asked(user("?"), assistant(ToolCall("a", "look")), tool_result("a", "Rain."))
    (tool,) = sent(request)["toolConfig"]["tools"]
    assert (tool["toolSpec"]["name"], tool["toolSpec"]["description"]) == ("look", GONE)
    read = DIALECT.decode_request(DIALECT.encode_request(request, target()).body, Place("m"))
    assert read.tools == []


def test_none_leaves_the_tools_out_and_says_so():
    request = asked(tools=[LOOK], tool_choice="none")
    assert "toolConfig" not in sent(request)
    assert "tool_choice" in notes(request)


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        (NamedTool("look"), {"tool": {"name": "look"}}),
    ],
)
def test_tool_choices(choice: Any, told: dict[str, Any]):
    assert sent(asked(tools=[LOOK], tool_choice=choice))["toolConfig"]["toolChoice"] == told
    assert ("tool_choice" in notes(asked(tool_choice=choice))) == (choice != "auto")


# ---------------------------------------------------------------------------------- first and last


def test_before_an_answer_that_begins_the_conversation_the_user_says_so():
    request = asked(assistant("Welcome!"), user("Hi."))
    first, *others = sent(request)["messages"]
    assert first == {"role": "user", "content": [{"text": OPENING}]}
    assert [message["role"] for message in others] == ["assistant", "user"]
    assert OPENING in notes(request)["messages[0]"]


@pytest.mark.parametrize(
    ("model", "reasoning"),
    [
        ("global.anthropic.claude-opus-4-6-v1", None),
        (CLAUDE, Reasoning(budget_tokens=1024)),
        ("meta.llama3-3-70b-instruct-v1:0", None),
    ],
)
def test_behind_an_answer_that_is_not_gone_on_with_the_user_asks_for_more(
    model: str, reasoning: Reasoning | None
):
    request = asked(user("Count."), assistant("One, two, "), reasoning=reasoning)
    *_, said, last = sent(request, target(model))["messages"]
    assert said == {"role": "assistant", "content": [{"text": "One, two, "}]}
    assert last == {"role": "user", "content": [{"text": GO_ON}]}
    assert GO_ON in notes(request, target(model))["messages[1]"]


@pytest.mark.parametrize("cache", [None, "short"])
@pytest.mark.parametrize("model", [CLAUDE, "amazon.nova-pro-v1:0"])
def test_an_answer_that_is_gone_on_with_ends_without_white_space(model: str, cache: Any):
    request = asked(user("Count."), assistant(Text("One, two, ", cache=cache)))
    last = sent(request, target(model))["messages"][-1]
    assert (last["role"], last["content"][0]) == ("assistant", {"text": "One, two,"})
    assert "white space" in notes(request, target(model))["messages[1]"]


def test_a_turn_in_which_the_server_ran_tools_goes_back_as_it_came():
    body = {
        "messages": [
            {"role": "user", "content": [{"text": "?"}]},
            {
                "role": "assistant",
                "content": [
                    {"text": "Let me search. "},
                    {"toolResult": {"toolUseId": "a", "content": [{"text": "Found."}]}},
                ],
            },
        ]
    }
    read = DIALECT.decode_request(msgspec.json.encode(body), Place("m"))
    opus = target("global.anthropic.claude-opus-4-6-v1")
    assert sent(read, opus)["messages"] == body["messages"]


# ------------------------------------------------------------------------------------------- files


def test_a_document_has_a_text_beside_it():
    paper = File(b"%PDF-", name="a.pdf")
    alone = asked(user(paper))
    assert sent(alone)["messages"][0]["content"][1:] == [{"text": SEE}]
    assert SEE in notes(alone)["messages"]
    told = asked(user("Sum it up:"), user(paper))
    assert [*map(list, sent(told)["messages"][0]["content"])] == [["text"], ["document"]]
    assert "messages" not in notes(told)


@pytest.mark.parametrize(
    ("media_type", "kind", "format"),
    [
        ("application/pdf", "document", "pdf"),
        ("text/csv; charset=utf-8", "document", "csv"),
        ("text/x-python", "document", "txt"),
        ("application/json", "document", "txt"),
        ("text/markdown", "document", "md"),
        ("application/msword", "document", "doc"),
        (
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "document",
            "xlsx",
        ),
        ("image/webp", "image", "webp"),
        ("audio/mpeg", "audio", "mp3"),
        ("audio/mp4", "audio", "m4a"),
        ("video/mp4", "video", "mp4"),
    ],
)
def test_files_are_blocks_of_their_kind(media_type: str, kind: str, format: str):
    body = sent(asked(user("See:", File(b"abc", media_type=media_type, name="My file_1.x"))))
    block = body["messages"][0]["content"][1]
    assert block[kind]["format"] == format
    assert block[kind]["source"] == {"bytes": "YWJj"}
    if kind == "document":
        assert block[kind]["name"] == "My file-1"


def test_what_lies_in_s3_is_named_and_nothing_else_is_fetched():
    block = Image(url="s3://bucket/cats/one.jpg")
    content = sent(asked(user(block)))["messages"][0]["content"]
    source = {"s3Location": {"uri": "s3://bucket/cats/one.jpg"}}
    assert content == [{"image": {"format": "jpeg", "source": source}}]
    assert DIALECT.takes_url(block, target())
    assert not DIALECT.takes_url(Image(url="https://a.example/one.jpg"), target())


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (Image(url="https://a.example/one.jpg"), "does not fetch this from a URL"),
        (File(id="file_1"), "an upload's id can't be sent here"),
        (File(b"x", media_type="application/zip"), "type application/zip can't be sent"),
        (File(url="s3://bucket/what"), "type unknown can't be sent"),
    ],
)
def test_what_can_not_be_carried_is_refused_with_its_place(block: Any, problem: str):
    with pytest.raises(BadRequestError, match=problem) as caught:
        DIALECT.encode_request(asked(user("Hi."), user(block)), target())
    assert caught.value.text.startswith("messages[1].content[0]")


def test_a_data_url_is_sent_as_bytes():
    body = sent(asked(user(Image(url="data:image/gif;base64,R0lGOA=="))))
    image = body["messages"][0]["content"][0]["image"]
    assert image == {"format": "gif", "source": {"bytes": "R0lGOA=="}}


# ------------------------------------------------------------------------------------------ caches


def points(body: dict[str, Any]) -> list[Any]:
    """What stands before each cache point, in the prompt's order, and for how long it is kept."""
    lists = [body.get("toolConfig", {}).get("tools", []), body.get("system", [])]
    lists += [message["content"] for message in body["messages"]]
    return [
        (blocks[place - 1], block["cachePoint"].get("ttl", "5m"))
        for blocks in lists
        for place, block in enumerate(blocks)
        if "cachePoint" in block
    ]


def test_auto_marks_what_will_come_again():
    request = asked(
        *(user("One."), assistant("Two."), user("Three.")),
        tools=[LOOK],
        system=[Text("Be brief.")],
        cache="auto",
    )
    found = points(sent(request))
    assert [ttl for _, ttl in found] == ["5m"] * 4
    assert [block.get("text", "tool") for block, _ in found] == [
        *("tool", "Be brief.", "One.", "Three.")
    ]
    assert notes(request) == {}


def test_auto_marks_no_tools_for_other_makers_and_nothing_where_caches_are_not_known():
    request = asked(tools=[LOOK], system=[Text("Be brief.")], cache="auto")
    nova = target("amazon.nova-pro-v1:0")
    assert [block["text"] for block, _ in points(sent(request, nova))] == ["Be brief.", "Hi."]
    llama = target("meta.llama3-3-70b-instruct-v1:0", cache_control=False)
    assert points(sent(request, llama)) == []
    assert notes(request, llama) == {}


def test_a_mark_is_kept_for_as_long_as_asked_and_told_where_it_can_not_be():
    request = asked(user(Text("Hi.", cache="long"), "So."))
    assert points(sent(request)) == [({"text": "Hi."}, "1h")]
    assert points(sent(request, target(long_cache=False))) == [({"text": "Hi."}, "5m")]
    assert "messages[0].content[0].cache" in notes(request, target(cache_control=False))


def test_a_mark_within_a_result_stands_behind_it():
    call = ToolCall("a", "look")
    request = asked(user("?"), assistant(call), tool_result(call, Text("Rain.", cache="short")))
    ((block, _),) = points(sent(request))
    assert block["toolResult"]["content"] == [{"text": "Rain."}]


def test_behind_a_document_that_is_no_pdf_stands_no_mark():
    notes_txt = File(b"abc", media_type="text/plain", name="notes")
    request = asked(user("See:", notes_txt), cache="auto")
    assert points(sent(request)) == [({"text": "See:"}, "5m")]
    marked = File(b"abc", media_type="text/plain", cache="short")
    assert points(sent(asked(user("See:", marked)))) == []
    assert "messages[0].content[1].cache" in notes(asked(user("See:", marked)))
    assert len(points(sent(asked(user("See:", File(b"%PDF-", cache="short")))))) == 1


def test_never_more_than_four():
    blocks = [Text(f"{number}.", cache="short") for number in range(6)]
    found = points(sent(asked(user(*blocks))))
    assert [block["text"] for block, _ in found] == ["2.", "3.", "4.", "5."]
    assert "only the last 4 of 6" in notes(asked(user(*blocks)))["cache"]


# --------------------------------------------------------------------------------------- reasoning


@pytest.mark.parametrize(
    ("model", "reasoning", "fields", "effort"),
    [
        (
            CLAUDE,
            Reasoning(budget_tokens=2000),
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            None,
        ),
        ("global.anthropic.claude-opus-4-6-v1", Reasoning("max"), {"thinking": {"type": "adaptive"}}, "max"),
        (CLAUDE, Reasoning("none"), {"thinking": {"type": "disabled"}}, None),
        (
            "us.amazon.nova-2-lite-v1:0",
            Reasoning("xhigh"),
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
            None,
        ),
        ("amazon.nova-2-lite-v1:0", Reasoning("none"), {"reasoningConfig": {"type": "disabled"}}, None),
        ("openai.gpt-oss-120b-1:0", Reasoning(budget_tokens=9000), {"reasoning_effort": "medium"}, None),
        ("meta.llama3-3-70b-instruct-v1:0", Reasoning("high"), None, None),
    ],
)  # fmt: skip
def test_each_family_is_asked_in_its_own_words(
    model: str, reasoning: Reasoning, fields: Any, effort: str | None
):
    request = asked(reasoning=reasoning)
    body = sent(request, target(model))
    assert body.get("additionalModelRequestFields") == fields
    assert body.get("outputConfig", {}).get("effort") == effort
    assert ("reasoning" in notes(request, target(model))) == (
        fields is None or "xhigh" in str(reasoning)
    )
    read = DIALECT.decode_request(DIALECT.encode_request(request, target(model)).body, Place(model))
    assert (read.reasoning is None) == (fields is None)


def test_a_budget_has_a_limit_beside_it_and_an_answer_room():
    body = sent(asked(reasoning=Reasoning(budget_tokens=2000)))
    assert body["inferenceConfig"]["maxTokens"] > 2000
    assert "inferenceConfig" not in sent(asked())


def test_nova_with_high_effort_takes_no_limits():
    request = asked(reasoning=Reasoning("high"), max_tokens=100, temperature=0.5, top_p=0.9)
    nova = target("us.amazon.nova-2-lite-v1:0")
    assert "inferenceConfig" not in sent(request, nova)
    assert notes(request, nova).keys() == {"max_tokens", "temperature", "top_p"}


def test_reasoning_goes_back_to_its_producer_only_and_signed():
    blocks = [
        Thinking("Hm.", "c2ln", producer=target().producer),
        Thinking("", "aGlkZGVu", redacted=True, producer=target().producer),
        Thinking("Else.", "x", producer="else/one"),
        Thinking("Unsigned."),
    ]
    request = asked(user("?"), assistant(*blocks, "So."), user("Go on."))
    assert sent(request)["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "aGlkZGVu"}},
        {"text": "So."},
    ]


# ---------------------------------------------------------------------------------------- the rest


def test_a_schema_is_asked_for():
    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer"}},
        "required": ["age"],
        "additionalProperties": False,
    }
    body = sent(asked(response_format=ResponseFormat(schema, "person", "A person.")))
    told = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert msgspec.json.decode(told["schema"]) == schema
    assert (told["name"], told["description"]) == ("person", "A person.")
    assert "response_format" in notes(asked(response_format=ResponseFormat()))


def test_options_of_the_provider_and_the_dialect_are_laid_over_the_body():
    options = {
        "bedrock": {"serviceTier": {"type": "flex"}},
        "bedrock-converse": {"additionalModelRequestFields": {"top_k": 5}},
    }
    body = sent(asked(reasoning=Reasoning(budget_tokens=1024), options=options))
    assert body["serviceTier"] == {"type": "flex"}
    assert body["additionalModelRequestFields"].keys() == {"thinking", "top_k"}
    read = DIALECT.decode_request(msgspec.json.encode(body), Place("m"))
    assert read.options["bedrock-converse"] == {
        "serviceTier": {"type": "flex"},
        "additionalModelRequestFields": {"top_k": 5},
    }


def test_what_has_no_place_is_told():
    request = asked(seed=1, parallel_tool_calls=False, temperature=1.5)
    assert notes(request).keys() == {"seed", "parallel_tool_calls", "temperature"}


def test_tokens_are_counted_for_the_model_behind_a_profile():
    to = target(count_tokens=True)
    http = DIALECT.count_request(asked(system=[Text("Be brief.")]), to)
    assert http is not None
    assert http.url.endswith("/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens")
    check("CountTokens", {"modelId": "m", **msgspec.json.decode(http.body)})
    place = Place("m", path="/model/{model}/count-tokens")
    assert DIALECT.decode_request(http.body, place).system == [Text("Be brief.")]
    assert DIALECT.decode_count(b'{"inputTokens": 7}') == 7
    assert DIALECT.count_request(asked(), target()) is None


def test_models_are_listed_at_the_other_service():
    to = msgspec.structs.replace(
        target(), base_url="https://bedrock-runtime.eu-west-1.amazonaws.com"
    )
    http = DIALECT.models_request(to)
    assert http is not None
    assert http.url.startswith("https://bedrock.eu-west-1.amazonaws.com/foundation-models")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{}", "messages: is missing"),
        (b'{"messages": [{"role": "x", "content": []}]}', "messages[0].role"),
        (
            b'{"messages": [{"role": "user", "content": [{"toolUse": {"toolUseId": "a"}}]}]}',
            "messages[0].content[0].toolUse.name",
        ),
        (
            b'{"messages": [{"role": "user", "content": [{"image": {"format": "png"}}]}]}',
            "messages[0].content[0].image.source",
        ),
        (b'{"messages": [], "toolConfig": {"toolChoice": {}}}', "toolConfig.toolChoice"),
        (
            b'{"messages": [], "outputConfig": {"textFormat": {"type": "json_schema"}}}',
            "outputConfig.textFormat.structure",
        ),
    ],
)
def test_a_body_that_is_no_request_is_refused_with_the_field(body: bytes, problem: str):
    with pytest.raises(BadRequestError) as caught:
        DIALECT.decode_request(body, Place("m"))
    assert caught.value.text.startswith(problem)
