"""The server half of the gemini dialect: requests as clients write them, answers as they read them."""

from typing import Any

import msgspec
import pytest

from polyvox.assembly import unfold
from polyvox.dialects import find_route
from polyvox.dialects.base import Place
from polyvox.dialects.gemini import DIALECT
from polyvox.dialects.gemini.frames import GeminiFrames
from polyvox.errors import BadRequestError, BudgetExceededError, ServerError
from polyvox.events import Done, Failed, TextEnd, TextStart
from polyvox.messages import (
    AssistantMessage,
    File,
    Image,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
    user,
)
from polyvox.request import Reasoning, Request, ResponseFormat

WHOLE = Place("m", False)
SSE = Place("m", True, query="alt=sse")
HELLO = [{"role": "user", "parts": [{"text": "Hi"}]}]


def read(body: Any = None, place: Place = WHOLE, **fields: Any) -> Request:
    given = {"contents": HELLO, **fields} if body is None else body
    return DIALECT.decode_request(msgspec.json.encode(given), place)


def frames(body: bytes) -> list[Any]:
    reader = GeminiFrames()
    read_frames = reader.feed(body) + reader.close()
    return [msgspec.json.decode(frame.data) for frame in read_frames]


def streamed(message: AssistantMessage, **options: Any) -> bytes:
    request = Request(messages=[], model="asked", options={"gemini": options})
    encoder = DIALECT.stream_encoder(request)
    return b"".join(encoder.encode(event) for event in unfold(message))


@pytest.mark.parametrize("version", ["v1beta", "v1"])
@pytest.mark.parametrize(
    ("method", "path", "kind", "stream"),
    [
        ("POST", "models/g-1:generateContent", "answer", False),
        ("POST", "models/g-1:streamGenerateContent?alt=sse", "answer", True),
        ("POST", "models/g-1:countTokens", "count", None),
        ("GET", "models?pageSize=5", "models", None),
    ],
)
def test_the_address_tells_what_is_asked(
    version: str, method: str, path: str, kind: str, stream: bool | None
):
    found = find_route(DIALECT, method, f"/{version}/{path}")
    assert found is not None
    route, place = found
    assert (route.kind, place.stream) == (kind, stream)
    assert place.model == ("g-1" if kind != "models" else "")
    assert place.query == path.partition("?")[2]


def test_names_in_snake_case_are_the_same_fields():
    request = read(
        system_instruction={"parts": {"text": "S"}},
        generation_config={"max_output_tokens": 9, "top_p": 0.5, "stop_sequences": ["a"]},
        tool_config={"function_calling_config": {"mode": "any"}},
        tools=[{"function_declarations": [{"name": "t", "parameters_json_schema": {"a": 1}}]}],
    )
    assert request.system == [Text("S")]
    assert (request.max_tokens, request.top_p, request.stop) == (9, 0.5, ["a"])
    assert request.tool_choice == "required"
    assert request.tools[0].parameters == {"a": 1}


def test_the_address_says_whether_to_stream_and_in_which_form():
    assert read(place=Place("m", False)).stream is False
    assert read(place=SSE).options == {}
    array = read(place=Place("m", True, query="key=k"))
    assert array.stream is True
    assert array.options == {"gemini": {"alt": "json"}}


def test_a_single_content_or_part_counts_as_a_list_and_a_role_may_be_missing():
    assert read({"contents": {"parts": {"text": "Hi"}}}).messages == [user("Hi")]


def test_calls_and_results_without_ids_are_matched_by_name_and_order():
    def call(name: str) -> Any:
        return {"functionCall": {"name": name, "args": {}}}

    def result(name: str, value: Any) -> Any:
        return {"functionResponse": {"name": name, "response": value}}

    answers = [
        result("b", {"output": "2"}),
        result("a", {"output": ["1", "one"]}),
        {"text": "and"},
        result("a", {"error": "no"}),
        result("z", {"temperature": 3}),
    ]
    contents = [
        *HELLO,
        {"role": "model", "parts": [call("a"), call("b"), call("a")]},
        {"role": "user", "parts": answers},
    ]
    request = read({"contents": contents})
    _, said, *rest = request.messages
    assert isinstance(said, AssistantMessage)
    ids = [made.id for made in said.tool_calls]
    assert len(set(ids)) == 3
    assert rest[:4] == [
        ToolMessage(ids[1], [Text("2")], "b"),
        ToolMessage(ids[0], [Text("1"), Text("one")], "a"),
        user("and"),
        ToolMessage(ids[2], [Text("no")], "a", is_error=True),
    ]
    (orphan,) = rest[4:]
    assert isinstance(orphan, ToolMessage)
    assert orphan.tool_call_id not in ids
    assert orphan.content == [Text('{"temperature":3}')]
    # A longer conversation gives the same ids again.
    longer = read({"contents": [*contents, *HELLO]})
    assert longer.messages[: len(request.messages)] == request.messages


def test_the_pieces_of_a_streamed_answer_are_one_answer_again():
    pieces = [
        {"text": "Hm, ", "thought": True},
        {"text": "Oslo.", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "It "},
        {"text": "rains."},
        {"functionCall": {"id": "c1", "name": "f", "args": {}}},
    ]
    said = [{"role": "model", "parts": [piece]} for piece in pieces]
    asked = [*HELLO, *said, *HELLO]
    assert read(contents=asked).messages == [
        user("Hi"),
        AssistantMessage([Thinking("Hm, Oslo.", "c2ln"), Text("It rains."), ToolCall("c1", "f")]),
        user("Hi"),
    ]


def test_an_answers_parts_are_read_with_their_signatures():
    parts = [
        {"text": "hm", "thought": True, "thoughtSignature": "dGg="},
        {"text": "a", "thought_signature": "c2ln"},
        {"functionCall": {"id": "c", "name": "t", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
        {
            "functionCall": {"id": "d", "name": "t"},
            "thoughtSignature": "skip_thought_signature_validator",
        },
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
        {"executableCode": {"code": "1"}},
    ]
    signed = {"gemini": {"thoughtSignature": "c2ln"}}
    (said,) = read({"contents": [{"role": "model", "parts": parts}]}).messages
    assert said == AssistantMessage(
        [
            Thinking("hm", "dGg="),
            Text("a", meta=signed),
            ToolCall("c", "t", {"a": 1}, meta=signed),
            ToolCall("d", "t"),
            Image(b"hi", media_type="image/png"),
            Text("", meta={"gemini": {"executableCode": {"code": "1"}}}),
        ]
    )


def test_files_are_read():
    parts = [
        {"inline_data": {"mime_type": "application/pdf", "data": "aGk="}},
        {"fileData": {"fileUri": "https://a.example/v", "mimeType": "video/mp4"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x"}},
    ]
    assert read({"contents": [{"role": "user", "parts": parts}]}).messages == [
        UserMessage(
            [
                File(b"hi", media_type="application/pdf"),
                File(url="https://a.example/v", media_type="video/mp4"),
                File(id="x"),
            ]
        )
    ]


def test_schemas_of_the_api_become_json_schemas():
    schema = {
        "type": "OBJECT",
        "properties": {
            "a": {"type": "STRING", "nullable": True, "max_length": "9"},
            "type": {"type": "ARRAY", "items": {"anyOf": [{"type": "NUMBER"}]}},
        },
        "propertyOrdering": ["a"],
    }
    request = read(
        tools=[{"functionDeclarations": [{"name": "t", "parameters": schema}, {"name": "u"}]}],
        generationConfig={"responseMimeType": "application/json", "responseSchema": schema},
    )
    expected = {
        "type": "object",
        "properties": {
            "a": {"type": ["string", "null"], "maxLength": 9},
            "type": {"type": "array", "items": {"anyOf": [{"type": "number"}]}},
        },
        "propertyOrdering": ["a"],
    }
    assert request.tools[0].parameters == expected
    assert request.tools[1].parameters == {"type": "object", "properties": {}}
    assert request.response_format == ResponseFormat(expected)


@pytest.mark.parametrize(
    ("config", "reasoning", "kept"),
    [
        ({"thinkingLevel": "HIGH", "includeThoughts": True}, Reasoning("high"), False),
        ({"thinkingBudget": 7, "includeThoughts": True}, Reasoning(budget_tokens=7), False),
        ({"thinkingBudget": 0}, Reasoning("none"), False),
        ({"thinkingBudget": -1}, None, True),
        ({"thinkingLevel": "low"}, Reasoning("low"), True),
        ({"includeThoughts": True}, None, True),
    ],
)
def test_thinking_is_read_and_what_we_would_not_write_is_kept(
    config: Any, reasoning: Reasoning | None, kept: bool
):
    request = read(generationConfig={"thinkingConfig": config})
    assert request.reasoning == reasoning
    options = {"gemini": {"generationConfig": {"thinkingConfig": config}}} if kept else {}
    assert request.options == options


def test_what_we_have_no_word_for_is_kept():
    calling = {"mode": "ANY", "allowedFunctionNames": ["a", "b"]}
    request = read(
        safetySettings=[1],
        cachedContent="cachedContents/x",
        tools=[{"googleSearch": {}}, {"functionDeclarations": [{"name": "t"}]}],
        toolConfig={"functionCallingConfig": calling, "retrievalConfig": {}},
        generationConfig={"topK": 3, "responseModalities": ["TEXT"]},
    )
    assert request.tool_choice == "required"
    assert [tool.name for tool in request.tools] == ["t"]
    assert request.options["gemini"] == {
        "safetySettings": [1],
        "cachedContent": "cachedContents/x",
        "tools": [{"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": calling, "retrievalConfig": {}},
        "generationConfig": {"topK": 3, "responseModalities": ["TEXT"]},
    }


def test_a_count_may_hold_a_whole_request():
    inner = {
        "model": "models/m",
        "contents": HELLO,
        "systemInstruction": {"parts": [{"text": "S"}]},
    }
    request = read({"generateContentRequest": inner})
    assert (request.messages, request.system) == ([user("Hi")], [Text("S")])


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"<", "the body"),
        (b"[]", "the body"),
        (b"{}", "contents"),
        (b'{"contents": [7]}', r"contents\[0\]"),
        (b'{"contents": [{"role": "tool", "parts": []}]}', r"contents\[0\].role"),
        (b'{"contents": [{"parts": [{"text": 7}]}]}', r"contents\[0\].parts\[0\].text"),
        (b'{"contents": [{"parts": [{"novel": 7}]}]}', "novel"),
        (b'{"contents": [{"parts": [{"inlineData": {"data": "aGk="}}]}]}', "mimeType"),
        (
            b'{"contents": [], "generationConfig": {"temperature": "x"}}',
            "generationConfig.temperature",
        ),
        (b'{"contents": [], "tools": [{"functionDeclarations": [{}]}]}', r"tools\[0\].*name"),
    ],
)
def test_a_wrong_field_is_named(body: bytes, place: str):
    with pytest.raises(BadRequestError, match=place):
        DIALECT.decode_request(body)


# ---------------------------------------------------------------------------------------- answers


def test_a_stream_is_events_or_one_array():
    message = AssistantMessage([Text("a"), ToolCall("c", "t", {"b": 1})], "tool_calls", id="r")
    events, array = streamed(message), streamed(message, alt="json")
    assert events.startswith(b'data: {"candidates":')
    assert msgspec.json.decode(array) == frames(events) == frames(array)
    text, call, last = frames(events)
    assert text["candidates"][0]["content"] == {"parts": [{"text": "a"}], "role": "model"}
    (part,) = call["candidates"][0]["content"]["parts"]
    assert part == {"functionCall": {"id": "c", "name": "t", "args": {"b": 1}}}
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert (last["responseId"], last["modelVersion"]) == ("r", "asked")


@pytest.mark.parametrize("alt", ["sse", "json"])
def test_a_failed_stream_ends_with_the_error(alt: str):
    encoder = DIALECT.stream_encoder(Request(messages=[], options={"gemini": {"alt": alt}}))
    error = Failed(ServerError("it broke"), AssistantMessage([], "error"))
    (last,) = frames(encoder.encode(error))
    assert last["error"] == {"code": 500, "message": "it broke", "status": "INTERNAL"}


def test_a_block_that_no_delta_told_goes_out_with_its_end():
    encoder = DIALECT.stream_encoder(Request(messages=[]))
    block = Text("a", meta={"gemini": {"thoughtSignature": "c2ln"}})
    assert encoder.encode(TextStart(0)) == b""
    (told,) = frames(encoder.encode(TextEnd(0, block)))
    part = {"text": "a", "thoughtSignature": "c2ln"}
    assert told["candidates"][0]["content"]["parts"] == [part]


def test_a_broken_call_is_left_out_and_the_answer_says_it_was_cut():
    message = AssistantMessage([Text("a"), ToolCall("c", "t", unparsed='{"b')], "tool_calls")
    whole = msgspec.json.decode(DIALECT.encode_response(message))
    for body in (whole, frames(streamed(message))[-1]):
        assert body["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert whole["candidates"][0]["content"]["parts"] == [{"text": "a"}]


def test_a_picture_in_an_answer_goes_out_at_its_end():
    message = AssistantMessage([Image(b"hi", media_type="image/png")], "stop")
    encoder = DIALECT.stream_encoder(Request(messages=[]))
    (last,) = frames(encoder.encode(Done(message)))
    part = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    assert last["candidates"][0]["content"]["parts"] == [part]


def test_a_budget_that_is_spent_is_no_matter_of_rights():
    status, body = DIALECT.encode_error(BudgetExceededError("spent"))
    assert (status, msgspec.json.decode(body)["error"]["status"]) == (402, "RESOURCE_EXHAUSTED")


def test_models_and_counts():
    assert DIALECT.decode_models(DIALECT.encode_models(["a", "b"])) == ["a", "b"]
    counted = DIALECT.encode_count(7)
    assert counted is not None
    assert DIALECT.decode_count(counted) == 7
