"""Whatever event of a provider means that its answer failed, the caller is told so, in their own dialect."""

import json
from typing import Any

import pytest

from polyvox.dialects import get_dialect
from polyvox.dialects.event_stream import encode_message
from polyvox.events import Failed, Start, TextDelta, TextStart
from polyvox.routing import Router
from polyvox.testing import MockProvider

from .rig import ASKED, CALLERS, asking, read
from .test_passing_on import behind, raw
from .wire_grammar import check_wire

BEGUN = Start("up", "m", "id_1"), TextStart(0), TextDelta(0, "It rains")
SAID = "Something broke."


def data(value: Any, name: str = "") -> bytes:
    named = f"event: {name}\n" if name else ""
    return f"{named}data: {json.dumps(value)}\n\n".encode()


def finish(reason: str, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {}, "finish_reason": reason, **more}
    chunk = {"id": "id_1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return data(chunk) + b"data: [DONE]\n\n"


def response(status: str, **more: Any) -> bytes:
    kind = f"response.{status}"
    body = {
        "id": "id_1",
        "object": "response",
        "model": "m",
        "output": [],
        "status": status,
        **more,
    }
    return data({"type": kind, "sequence_number": 9, "response": body}, kind)


def gemini(reason: str) -> bytes:
    return data({"candidates": [{"content": {"parts": []}, "finishReason": reason}]})


def exception(name: str) -> bytes:
    return encode_message(json.dumps({"message": SAID}).encode(), name, "exception")


def stopped(reason: str) -> bytes:
    return encode_message(json.dumps({"stopReason": reason}).encode(), "messageStop")


OPENAI = {"message": SAID, "type": "server_error", "code": None, "param": None}
FAILURES: dict[str, list[bytes]] = {
    "openai-chat": [
        data({"error": OPENAI}),
        data(OPENAI, "error"),
        finish("error"),
        finish("error", error={"message": SAID, "code": 502}),
        finish("content_filter"),
        finish("insufficient_system_resource"),
    ],
    "openai-responses": [
        response("failed", error={"code": "server_error", "message": SAID}),
        response("failed", error=None),
        response("incomplete", incomplete_details={"reason": "content_filter"}),
        data({"type": "error", "sequence_number": 9, **OPENAI}, "error"),
        data({"type": "error", "error": OPENAI}),
    ],
    "anthropic-messages": [
        data({"type": "error", "error": {"type": kind, "message": SAID}}, "error")
        for kind in ("overloaded_error", "api_error", "rate_limit_error", "invalid_request_error")
    ],
    "gemini": [
        data({"error": {"code": 503, "message": SAID, "status": "UNAVAILABLE"}}),
        data({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}),
        *map(gemini, ("SAFETY", "RECITATION", "BLOCKLIST", "SPII", "MALFORMED_FUNCTION_CALL")),
    ],
    "ollama": [json.dumps({"error": SAID}).encode() + b"\n"],
    "bedrock-converse": [
        *map(
            exception,
            (
                "internalServerException",
                "modelStreamErrorException",
                "throttlingException",
                "validationException",
                "serviceUnavailableException",
                "tomorrowsException",
            ),
        ),
        *map(stopped, ("guardrail_intervened", "content_filtered", "malformed_model_output")),
    ],
}
MEDIA = {"ollama": "application/x-ndjson", "bedrock-converse": "application/vnd.amazon.eventstream"}


@pytest.mark.parametrize("provider", FAILURES)
@pytest.mark.parametrize("caller", CALLERS)
async def test_the_caller_is_told_of_it_in_the_middle_of_an_answer(
    serve, caller: str, provider: str
) -> None:
    encoder = get_dialect(provider).stream_encoder(ASKED)
    begun = b"".join(map(encoder.encode, BEGUN))
    async with (
        raw(b"", MEDIA.get(provider, "text/event-stream")) as up,
        behind(up.url, provider) as client,
        serve(client) as gateway,
    ):
        for failure in FAILURES[provider]:
            up.body = begun + failure
            answer = await asking(gateway, caller, stream=True)
            assert answer.status == 200
            failed = read(caller, answer.body)[-1]
            assert isinstance(failed, Failed), failure
            assert failed.message.text == "It rains"
            assert gateway.books.ended[-1].error is not None
            if caller != provider:
                assert check_wire(caller, answer.body) == "error", failure
                assert SAID.encode() not in failure or SAID in failed.error.text


@pytest.mark.parametrize("provider", FAILURES)
@pytest.mark.parametrize("caller", CALLERS)
async def test_as_the_only_event_it_is_no_success_and_another_may_be_asked(
    serve, caller: str, provider: str
) -> None:
    begun = get_dialect(provider).stream_encoder(ASKED).encode(BEGUN[0])
    async with (
        raw(b"", MEDIA.get(provider, "text/event-stream")) as up,
        behind(up.url, provider) as client,
        MockProvider("openai-chat") as good,
        behind(good.url, "openai-chat") as elsewhere,
        serve(client) as gateway,
    ):
        for failure in FAILURES[provider]:
            for up.body in (failure, begun + failure):
                answer = await asking(gateway, caller, stream=True)
                assert answer.status >= 400, failure
                told = get_dialect(caller).decode_error(answer.status, {}, answer.body)
                assert SAID.encode() not in failure or SAID in told.text
                assert gateway.books.ended[-1].error is not None
            fallbacks = [elsewhere.model("up/m")]
            router = Router([client.model("up/m")], fallbacks=fallbacks)
            gateway.asking.models.add("both", router)
            answer = await asking(gateway, caller, "both", stream=True)
            assert answer.status in (200, 400), failure  # 400: it is the request that is at fault
            if answer.status == 200:
                assert check_wire(caller, answer.body) == "done"
        assert good.requests
