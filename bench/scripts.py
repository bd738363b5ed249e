"""What the server says to agents: tools to call, turn by turn, and "done" when there are no more.

The prompt is the script. "agent add 10" asks for ten turns with one call of ``add`` each, "agent
nap 100" for one turn with a hundred calls of ``nap``. The turn is read off the ids of the calls that
stand behind the prompt: whoever tells of a call gives its id, in whatever form. The shapes follow
OpenAI's "The chat completion object" and "The chat completion chunk object".
"""

import json
import re
from functools import cache
from typing import Any, NamedTuple

MODEL = "gpt-5-mini"
DONE = "done"

_PROMPT = re.compile(rb"agent (add|nap) (\d+)")
_CALL_ID = re.compile(rb"call_(\d+)_\d+")
_STREAM = re.compile(rb'"stream": ?true')
_FINAL_TOOL = b"final_answer"
"""Where an agent can end only by calling a tool, that is its name (smolagents')."""


class ScriptedCall(NamedTuple):
    """A tool that is to be called; ``arguments`` are JSON."""

    id: str
    name: str
    arguments: str


def calls_of(kind: str, count: int, turn: int) -> list[ScriptedCall]:
    """What the script has for this turn, counted from 0; nothing once it is played."""
    if kind == "add" and turn < count:
        return [ScriptedCall(f"call_{turn}_0", "add", json.dumps({"a": turn, "b": 1}))]
    if kind == "nap" and turn == 0:
        return [ScriptedCall(f"call_0_{index}", "nap", "{}") for index in range(count)]
    return []


def reply(body: bytes) -> bytes | None:
    """The whole response to a request of an agent; None if this is no such request."""
    prompts = list(_PROMPT.finditer(body))
    if not prompts:
        return None
    last = prompts[-1]
    turn = max(map(int, _CALL_ID.findall(body, last.end())), default=-1) + 1
    streamed = _STREAM.search(body) is not None
    return _response(last[1].decode(), int(last[2]), turn, streamed, _FINAL_TOOL in body)


@cache
def _response(kind: str, count: int, turn: int, streamed: bool, by_tool: bool) -> bytes:
    calls = calls_of(kind, count, turn)
    if not calls and by_tool:
        answer = json.dumps({"answer": DONE})
        calls = [ScriptedCall(f"call_{turn}_0", _FINAL_TOOL.decode(), answer)]
    body = _events(calls) if streamed else _whole(calls)
    media_type = b"text/event-stream" if streamed else b"application/json"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
    return head % (media_type, len(body)) + body


def _whole(calls: list[ScriptedCall]) -> bytes:
    message = {"role": "assistant", "content": None if calls else DONE, "refusal": None}
    if calls:
        message["tool_calls"] = [_call(each) for each in calls]
    choice = {"index": 0, "message": message, "finish_reason": _reason(calls), "logprobs": None}
    return json.dumps(_object("chat.completion", [choice], usage=_USAGE)).encode()


def _events(calls: list[ScriptedCall]) -> bytes:
    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _event(_object("chat.completion.chunk", [choice]))

    events = [chunk({"role": "assistant", "content": None if calls else ""})]
    for index, each in enumerate(calls):
        events.append(chunk({"tool_calls": [{"index": index, **_call(each)}]}))
    if not calls:
        events.append(chunk({"content": DONE}))
    events += [chunk({}, _reason(calls)), _event(_object("chat.completion.chunk", [], _USAGE))]
    return b"".join(events) + b"data: [DONE]\n\n"


def _call(call: ScriptedCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _reason(calls: list[ScriptedCall]) -> str:
    return "tool_calls" if calls else "stop"


_USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def _object(
    kind: str, choices: list[dict[str, Any]], usage: dict[str, int] | None = None
) -> dict[str, Any]:
    shared = {"id": "chatcmpl-bench0123456789", "object": kind, "created": 1_760_000_000}
    counted = {} if usage is None else {"usage": usage}
    return {**shared, "model": MODEL, "choices": choices, **counted}


def _event(value: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % json.dumps(value, separators=(",", ":")).encode()
