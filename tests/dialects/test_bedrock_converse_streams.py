"""Answers in bedrock-converse: what a stream or a body says, and what is wrong with it."""

from typing import Any

import msgspec
import pytest

from dialects.bedrock_converse_strategies import TARGET
from polyvox.assembly import unfold
from polyvox.dialects import ServerSentEvent
from polyvox.dialects.bedrock_converse import DIALECT
from polyvox.dialects.event_stream import EventStreamReader
from polyvox.errors import (
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextWindowExceededError,
    OverloadedError,
    PermissionDeniedError,
    PolyvoxError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
)
from polyvox.events import Done, Event, Failed, Warned
from polyvox.messages import AssistantMessage, Text, Thinking, ToolCall, assistant, user
from polyvox.request import Request
from polyvox.usage import Usage

START = ("messageStart", {"role": "assistant"})
USED = {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12}
END = [("messageStop", {"stopReason": "end_turn"}), ("metadata", {"usage": USED})]


def delta(index: int, **piece: Any) -> tuple[str, Any]:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": piece}


def start(index: int, **block: Any) -> tuple[str, Any]:
    return "contentBlockStart", {"contentBlockIndex": index, "start": block}


def stop(index: int) -> tuple[str, Any]:
    return "contentBlockStop", {"contentBlockIndex": index}


def read(*frames: tuple[str, Any]) -> list[Event]:
    decoder = DIALECT.stream_decoder(TARGET)
    events: list[Event] = []
    for name, body in frames:
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        events += decoder.feed(ServerSentEvent(data, name))
    return events + decoder.close()


def message(*frames: tuple[str, Any]) -> AssistantMessage:
    last = read(*frames)[-1]
    assert isinstance(last, Done), last
    return last.message


def failure(*frames: tuple[str, Any]) -> PolyvoxError:
    last = read(*frames)[-1]
    assert isinstance(last, Failed), last
    return last.error


def whole(*content: Any, reason: str = "end_turn", **more: Any) -> AssistantMessage:
    said = {"role": "assistant", "content": list(content)}
    body = {"output": {"message": said}, "stopReason": reason, "usage": USED, **more}
    return DIALECT.decode_response(msgspec.json.encode(body), TARGET)


def warnings(*frames: tuple[str, Any]) -> list[str]:
    return [event.text for event in read(*frames) if isinstance(event, Warned)]


# ---------------------------------------------------------------------------------------- good ones


def test_text_and_reasoning_begin_with_their_first_piece():
    said = message(
        START,
        *(delta(0, reasoningContent={"text": "H"}), delta(0, reasoningContent={"text": "m."})),
        *(delta(0, reasoningContent={"signature": "c2ln"}), stop(0)),
        *(delta(1, text="So"), delta(1, text="."), stop(1)),
        *END,
    )
    assert said.content == [
        Thinking("Hm.", "c2ln", producer=TARGET.producer),
        Text("So."),
    ]
    assert said.stop_reason == "stop"


def test_padding_and_an_empty_start_are_nothing():
    said = message(
        ("messageStart", {"role": "assistant", "p": "abcd"}),
        *(start(0), delta(0, text="So."), stop(0), stop(1), *END),
    )
    assert said.content == [Text("So.")]


def test_hidden_reasoning_is_kept_as_it_came():
    said = message(START, delta(0, reasoningContent={"redactedContent": "aGk="}), stop(0), *END)
    assert said.content == [Thinking("", "aGk=", redacted=True, producer=TARGET.producer)]
    hidden = {"reasoningContent": {"redactedContent": "aGk="}}
    assert whole(hidden).content == said.content
    again = DIALECT.encode_request(Request(messages=[user("?"), said, user("So?")]), TARGET)
    assert msgspec.json.decode(again.body)["messages"][1]["content"] == [hidden]


def test_parallel_calls_and_one_without_arguments():
    call = {"toolUse": {"toolUseId": "a", "name": "look"}}
    frames = (
        *(START, start(0, **call), delta(0, toolUse={"input": '{"x":'})),
        *(delta(0, toolUse={"input": "1}"}), stop(0)),
        *(start(1, toolUse={"toolUseId": "b", "name": "go"}), delta(1, toolUse={"input": ""})),
        stop(1),
    )
    said = message(*frames, ("messageStop", {"stopReason": "tool_use"}), END[1])
    assert said.content == [ToolCall("a", "look", {"x": 1}), ToolCall("b", "go")]
    cut = message(*frames, ("messageStop", {"stopReason": "max_tokens"}), END[1])
    assert cut.stop_reason == "length"
    assert [call.executable for call in cut.tool_calls] == [True, False]


def test_the_caches_tokens_are_added_to_the_input():
    used = {
        **USED,
        "cacheReadInputTokens": 100,
        "cacheWriteInputTokens": 30,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 20}, {"ttl": "5m", "inputTokens": 10}],
    }
    assert whole({"text": "So."}, usage=used).usage == Usage(
        input_tokens=135,
        output_tokens=7,
        cache_read_tokens=100,
        cache_write_tokens=30,
        cache_write_1h_tokens=20,
    )


def test_the_stop_string_is_told_where_the_model_tells_it():
    more = {"stop_sequence": "END"}
    said = whole({"text": "So."}, reason="stop_sequence", additionalModelResponseFields=more)
    assert (said.stop_reason, said.stop_sequence) == ("stop_sequence", "END")
    asked = Request(messages=[user("Hi.")], stop=["END"])
    body = msgspec.json.decode(DIALECT.encode_request(asked, TARGET).body)
    assert body["additionalModelResponseFieldPaths"] == ["/stop_sequence"]
    assert "additionalModelResponseFieldPaths" not in msgspec.json.decode(
        DIALECT.encode_request(Request(messages=[user("Hi.")]), TARGET).body
    )


def test_citations_stay_with_their_text_and_go_back():
    cited = {"title": "Paper", "sourceContent": [{"text": "It is."}]}
    said = message(START, delta(0, text="So."), delta(0, citation=cited), stop(0), *END)
    assert said.text == "So."
    block = {"citationsContent": {"content": [{"text": "So."}], "citations": [cited]}}
    assert whole(block).content == said.content
    again = DIALECT.encode_request(Request(messages=[user("?"), said, user("So?")]), TARGET)
    assert msgspec.json.decode(again.body)["messages"][1]["content"] == [block]


def test_a_tool_that_the_server_runs_is_no_call_of_ours_and_goes_back_whole():
    use = {"toolUseId": "s1", "name": "nova_grounding", "type": "server_tool_use"}
    result = {"toolUseId": "s1", "type": "nova_grounding_result"}
    frames = (
        *(START, start(0, toolUse=use), delta(0, toolUse={"input": '{"q":1}'}), stop(0)),
        *(start(1, toolResult=result), delta(1, toolResult=[{"text": "Found."}]), stop(1)),
        *(delta(2, text="So."), stop(2), *END),
    )
    said = message(*frames)
    assert (said.text, said.tool_calls) == ("So.", [])
    blocks = [
        {"toolUse": {**use, "input": {"q": 1}}},
        {"toolResult": {**result, "content": [{"text": "Found."}]}},
        {"text": "So."},
    ]
    assert whole(*blocks).content == said.content
    again = DIALECT.encode_request(Request(messages=[user("?"), said, user("So?")]), TARGET)
    assert msgspec.json.decode(again.body)["messages"][1]["content"] == blocks
    assert len(warnings(*frames)) == 2


def test_an_answer_whose_usage_was_lost_is_whole():
    said = message(START, delta(0, text="So."), stop(0), END[0])
    assert (said.text, said.usage.basis) == ("So.", "missing")


# ---------------------------------------------------------------------------------------- bad ones


@pytest.mark.parametrize(
    ("name", "kind", "retryable"),
    [
        ("throttlingException", RateLimitError, True),
        ("modelStreamErrorException", ServerError, True),
        ("validationException", BadRequestError, False),
        ("internalServerException", ServerError, True),
        ("serviceUnavailableException", OverloadedError, True),
        ("modelTimeoutException", RequestTimeoutError, True),
        ("brandNewException", ServerError, True),
    ],
)
def test_exceptions_end_the_stream_and_keep_what_arrived(
    name: str, kind: type[PolyvoxError], retryable: bool
):
    error = failure(START, delta(0, text="So"), (name, {"message": "It went wrong."}))
    assert (type(error), error.text, error.retryable) == (kind, "It went wrong.", retryable)
    assert (error.provider_code, error.status) == (name, None)
    assert error.message is not None
    assert error.message.text == "So"


@pytest.mark.parametrize(
    "text",
    [
        "Input is too long for requested model.",
        "The model returned the following errors: prompt is too long: 215000 tokens > 200000 maximum",
        "Too many input tokens. Max input tokens: 300000, request input token count: 300009 ",
    ],
)
def test_a_prompt_that_is_too_long_is_known_by_its_words(text: str):
    body = msgspec.json.encode({"message": text})
    assert type(DIALECT.decode_error(400, {}, body)) is ContextWindowExceededError
    error = failure(START, ("validationException", {"message": text}))
    assert type(error) is ContextWindowExceededError


def test_too_many_tokens_for_the_moment_are_no_matter_of_length():
    body = b'{"message": "Too many tokens, please wait before trying again."}'
    headers = {"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/"}
    error = DIALECT.decode_error(429, headers, body)
    assert (type(error), error.provider_code) == (RateLimitError, "ThrottlingException")


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (403, "UnrecognizedClientException", AuthenticationError),
        (403, "ExpiredTokenException", AuthenticationError),
        (403, "AccessDeniedException", PermissionDeniedError),
        (424, "ModelErrorException", ServerError),
        (429, "ModelNotReadyException", OverloadedError),
        (400, "ServiceQuotaExceededException", RateLimitError),
    ],
)
def test_a_name_says_more_than_a_status(status: int, name: str, kind: type[PolyvoxError]):
    headers = {"x-amzn-errortype": name, "x-amzn-requestid": "r1"}
    for body, told in ((b'{"message":"No."}', headers), (b'{"__type":"a#%s"}' % name.encode(), {})):
        error = DIALECT.decode_error(status, told, body)
        assert (type(error), error.status, error.provider_code) == (kind, status, name)
    assert DIALECT.decode_error(status, headers, b"").request_id == "r1"


def test_an_error_never_repeats_the_request_that_was_signed():
    text = (
        "The request signature we calculated does not match.\n\nThe Canonical String for this"
        " request should have been\n'POST\nx-amz-security-token:tok-secret\n'"
    )
    headers = {"x-amzn-errortype": "InvalidSignatureException"}
    error = DIALECT.decode_error(403, headers, msgspec.json.encode({"message": text}))
    assert error.text == "The request signature we calculated does not match."
    assert isinstance(error, AuthenticationError)


@pytest.mark.parametrize("reason", ["guardrail_intervened", "content_filtered"])
def test_what_a_filter_stopped_is_an_error_with_what_arrived(reason: str):
    frames = [START, delta(0, text="So"), stop(0), ("messageStop", {"stopReason": reason}), END[1]]
    error = failure(*frames)
    assert isinstance(error, ContentFilterError)
    assert error.message is not None
    assert (error.message.text, error.message.usage.output_tokens) == ("So", 7)
    with pytest.raises(ContentFilterError):
        whole({"text": "So"}, reason=reason)


def test_a_malformed_answer_may_be_asked_for_again():
    with pytest.raises(ServerError) as caught:
        whole({"text": "So"}, reason="malformed_tool_use")
    assert caught.value.retryable


def test_an_error_outside_the_model_is_told_by_its_code():
    error = failure(START, ("error", {"code": "internalServerException", "message": "Oh."}))
    assert (type(error), error.text) == (ServerError, "Oh.")


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        ([START], "before messageStop"),
        ([START, delta(0, toolUse={"input": "{}"})], "block 0, which is not open"),
        ([START, start(0, toolUse={"toolUseId": "a", "name": "b"})] * 2, "starts twice"),
        (
            [START, delta(0, text="a"), delta(0, reasoningContent={"text": "b"})],
            "does not suit it, which is text",
        ),
        ([START, ("contentBlockDelta", b"{")], "contentBlockDelta: "),
        ([START, ("metadata", b"[]")], "metadata: "),
        ([START, ("", b"{}")], "a message without a name"),
    ],
)
def test_what_breaks_the_format_is_a_protocol_error(frames: list[Any], problem: str):
    error = failure(*frames)
    assert isinstance(error, ProtocolError)
    assert problem in error.text


def test_what_is_new_is_told_once_and_does_no_harm():
    told = warnings(START, ("novelty", {}), ("novelty", {}), delta(0, text="So."), stop(0), *END)
    assert told == ["events of type 'novelty' are not known here"]
    assert warnings(START, ("initial-response", {}), *END) == []
    assert whole({"text": "So."}, reason="brand_new").stop_reason == "stop"


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"output":{}}', b'{"message":"No."}', b'{"output":{"message":{"content":[{}]}}}'],
)
def test_a_body_that_is_no_answer(body: bytes):
    with pytest.raises(ProtocolError) as caught:
        DIALECT.decode_response(body, TARGET)
    assert caught.value.model == TARGET.model


@pytest.mark.parametrize(
    "block",
    [
        {"reasoningContent": {"reasoningText": "Hm."}},
        {"citationsContent": {"content": ["So."]}},
        {"citationsContent": {"content": [{"text": "So."}], "citations": 7}},
    ],
)
def test_a_block_of_another_shape_is_no_answer(block: dict[str, Any]):
    with pytest.raises(ProtocolError, match="no answer"):
        whole(block)


# ------------------------------------------------------------------------------------- server half


def test_blocks_that_grow_side_by_side_go_out_one_after_the_other():
    first, second = list(unfold(assistant("One."))), list(unfold(assistant("Two.")))
    encoder = DIALECT.stream_encoder(Request(messages=[]))
    mixed = [first[0], first[1]]
    mixed += [msgspec.structs.replace(event, index=1) for event in second[1:3]]  # pyright: ignore[reportCallIssue]
    mixed += [first[2], first[3], msgspec.structs.replace(second[3], index=1)]  # pyright: ignore[reportCallIssue]
    frames = EventStreamReader().feed(b"".join(encoder.encode(event) for event in mixed))
    places = [msgspec.json.decode(frame.data).get("contentBlockIndex") for frame in frames]
    assert places == [None, 0, 0, 1, 1]


def test_a_failure_is_an_exception_of_the_stream():
    encoder = DIALECT.stream_encoder(Request(messages=[]))
    told = encoder.encode(Failed(RateLimitError("Slow down."), AssistantMessage([])))
    (frame,) = EventStreamReader().feed(told)
    assert frame == ServerSentEvent(b'{"message":"Slow down."}', "throttlingException")
