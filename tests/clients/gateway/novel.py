"""A provider that says things in each dialect that nobody knows yet, the same whatever it is asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

NOVEL = {
    "novel-chat": "openai-chat",
    "novel-responses": "openai-responses",
    "novel-messages": "anthropic-messages",
    "novel-gemini": "gemini",
}
"""Its names, and the dialect that it speaks under each."""

_NEW = {"novelty": {"a": [1, 2.5]}}
_COUNTS = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "novel_tokens": 1}
_CHAT = {"id": "c1", "created": 1, "model": "m", **_NEW}
_DETAILS = {
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}
_MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hi.", "annotations": []}],
}
_RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "status": "completed",
    "output": [_MESSAGE],
    "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5, **_DETAILS},
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    **_NEW,
}
_CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hi."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
    **_NEW,
}
_GEMINI = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": "Hi."}]}, "finishReason": "STOP"}
    ],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
    **_NEW,
}

_WHOLE: dict[str, Any] = {
    "/chat/completions": {
        **_CHAT,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi.", "mood": "good"},
                "finish_reason": "stop",
            }
        ],
        "usage": _COUNTS,
    },
    "/responses": _RESPONSE,
    "/v1/messages": _CLAUDE,
    ":generateContent": _GEMINI,
}


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {**_CHAT, "object": "chat.completion.chunk", "choices": [choice]}


_PLACE = {"output_index": 0, "item_id": "msg_1", "content_index": 0}
_PART = {"type": "output_text", "text": "Hi.", "annotations": []}
_EVENTS: dict[str, list[dict[str, Any]]] = {
    "/chat/completions": [
        _chunk({"role": "assistant", "content": "Hi", "mood": "good"}),
        _chunk({"content": "."}, "stop"),
    ],
    "/responses": [
        {"type": "response.created", "response": {**_RESPONSE, "status": "in_progress"}},
        {"type": "response.novel", "novelty": 1},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**_MESSAGE, "content": []},
        },
        {"type": "response.content_part.added", **_PLACE, "part": {**_PART, "text": ""}},
        {"type": "response.output_text.delta", **_PLACE, "delta": "Hi."},
        {"type": "response.output_text.done", **_PLACE, "text": "Hi."},
        {"type": "response.content_part.done", **_PLACE, "part": _PART},
        {"type": "response.output_item.done", "output_index": 0, "item": _MESSAGE},
        {"type": "response.completed", "response": _RESPONSE},
    ],
    "/v1/messages": [
        {"type": "message_start", "message": {**_CLAUDE, "content": [], "stop_reason": None}},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        },
        {"type": "novel_event", "novelty": 1},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "Hi."},
        },
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 2},
        },
        {"type": "message_stop"},
    ],
    ":streamGenerateContent": [_GEMINI],
}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = self.path.partition("?")[0]
        if asked.get("stream") or path.endswith(":streamGenerateContent"):
            events = next(said for end, said in _EVENTS.items() if path.endswith(end))
            frames = [self._frame(number, event) for number, event in enumerate(events)]
            end = "data: [DONE]\n\n" if path.endswith("/chat/completions") else ""
            self._answer("text/event-stream", "".join(frames) + end)
        else:
            said = next(said for end, said in _WHOLE.items() if path.endswith(end))
            self._answer("application/json", json.dumps(said))

    def _frame(self, number: int, event: dict[str, Any]) -> str:
        kind = event.get("type")
        if kind is not None and kind.startswith("response."):
            event = {**event, "sequence_number": number}
        named = f"event: {kind}\n" if kind else ""
        return f"{named}data: {json.dumps(event)}\n\n"

    def _answer(self, media_type: str, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def novelties() -> Iterator[str]:
    """Its address, while it serves."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
