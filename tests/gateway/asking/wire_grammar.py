"""How a streamed answer goes in each dialect, to the letter: what clients read that are strict.

One beginning; blocks that open, grow and close; one end or one error, and nothing behind it. What kind
of answer it is stands at its end, and nowhere before.
"""

import json
from collections.abc import Callable
from typing import Any, Literal

__all__ = ["Ending", "check_wire"]

Ending = Literal["done", "error"]


def check_wire(dialect: str, body: bytes) -> Ending:
    """How it ends. Fails where it is no stream of this dialect."""
    return _CHECKS[dialect](body)


def _events(body: bytes) -> list[tuple[str, str]]:
    """The names and the data of server-sent events."""
    text = body.decode()
    assert text.endswith("\n\n"), text[-200:]
    events: list[tuple[str, str]] = []
    for frame in text.removesuffix("\n\n").split("\n\n"):
        lines = [line for line in frame.split("\n") if not line.startswith(":")]
        fields = dict(line.split(": ", 1) for line in lines)
        assert len(fields) == len(lines), frame
        if fields:
            assert set(fields) <= {"event", "data"}, frame
            events.append((fields.get("event", ""), fields["data"]))
    return events


# ----------------------------------------------------------------------------------- openai-chat


def _chat(body: bytes) -> Ending:
    events = _events(body)
    if "error" in json.loads(events[-1][1] if events[-1][1] != "[DONE]" else "{}"):
        chunks, ending = events[:-1], "error"
    else:
        assert events[-1] == ("", "[DONE]")
        chunks, ending = events[:-1], "done"
    told = [json.loads(data) for _, data in chunks]
    assert not any("error" in chunk for chunk in told)
    assert len({chunk["id"] for chunk in told}) <= 1
    finish = _chat_choices([chunk["choices"][0] for chunk in told if chunk["choices"]])
    if any(not chunk["choices"] for chunk in told):  # what it used comes behind it all
        assert [bool(chunk["choices"]) for chunk in told] == [True] * (len(told) - 1) + [False]
    assert (finish is not None) == (ending == "done")
    return ending


def _chat_choices(choices: list[dict[str, Any]]) -> str | None:
    """The finish reason."""
    roles = [choice["delta"]["role"] for choice in choices if "role" in choice["delta"]]
    assert roles == ["assistant"][: len(choices)], roles
    calls = 0
    for choice in choices:
        for fragment in choice["delta"].get("tool_calls", ()):
            if "id" in fragment:  # with id and name the next one begins; the others go on with it
                assert fragment["index"] == calls
                assert fragment["id"]
                assert fragment["function"]["name"]
                calls += 1
            else:
                assert 0 <= fragment["index"] < calls
                assert "name" not in fragment.get("function", {})
    reasons = [choice["finish_reason"] for choice in choices]
    assert reasons[:-1] == [None] * len(reasons[:-1]), reasons
    reason = reasons[-1] if reasons else None
    assert reason is None or (reason == "tool_calls") == bool(calls)
    return reason


# ------------------------------------------------------------------------------ openai-responses


def _responses(body: bytes) -> Ending:
    events = _events(body)
    told = [json.loads(data) for _, data in events]
    assert [name for name, _ in events] == [event["type"] for event in told]
    kinds = [event["type"] for event in told]
    counted = told[:-1] if kinds[-1] == "error" else told  # it may be ours behind another's
    assert [event["sequence_number"] for event in counted] == list(range(len(counted)))
    if kinds == ["error"]:
        return "error"
    assert kinds[:2] == ["response.created", "response.in_progress"]
    ends = {"response.completed", "response.incomplete", "response.failed", "error"}
    assert [kind in ends for kind in kinds] == [False] * (len(kinds) - 1) + [True]
    items = _Items()
    for event in told[2:-1]:
        items.take(event)
    if kinds[-1] in ("error", "response.failed"):
        return "error"
    assert not items.open
    assert told[-1]["response"]["output"] == [items.done[place] for place in sorted(items.done)]
    return "done"


class _Items:
    """The items of a response, and what grows in them."""

    def __init__(self) -> None:
        self.open: dict[int, dict[str, Any]] = {}
        self.done: dict[int, dict[str, Any]] = {}
        self._grown: dict[int, str] = {}
        self._part: set[int] = set()

    def take(self, event: dict[str, Any]) -> None:
        kind, place = event["type"], event["output_index"]
        if kind == "response.output_item.added":
            assert place == len(self.open) + len(self.done)
            self.open[place] = event["item"]
            return
        assert place in self.open, event
        if kind == "response.output_item.done":
            assert place not in self._part
            assert event["item"]["id"] == self.open.pop(place)["id"]
            self.done[place] = event["item"]
            return
        assert event["item_id"] == self.open[place]["id"]
        if kind.endswith("_part.added"):
            self._part.add(place)
        elif kind.endswith("_part.done"):
            self._part.remove(place)
        elif kind.endswith(".delta"):
            assert event["delta"]
            self._grown[place] = self._grown.get(place, "") + event["delta"]
        elif "arguments" in event:  # the same, in white space of our own
            assert json.loads(event["arguments"]) == json.loads(self._grown[place])
        else:
            assert event["text"] == self._grown.get(place, "")


# ---------------------------------------------------------------------------- anthropic-messages


def _messages(body: bytes) -> Ending:
    events = _events(body)
    told = [json.loads(data) for _, data in events]
    assert [name for name, _ in events] == [event["type"] for event in told]
    told = [event for event in told if event["type"] != "ping"]
    kinds = [event["type"] for event in told]
    ending: Ending = "error" if kinds[-1] == "error" else "done"
    assert kinds[0] == "message_start" or kinds == ["error"]
    assert told[0].get("message", {}).get("stop_reason") is None
    count, current, uses = 0, None, False
    behind = 1 if ending == "error" else 2
    for event in told[1:-behind]:
        match event["type"]:
            case "content_block_start":
                assert (event["index"], current) == (count, None)
                count, current = count + 1, count
                uses = uses or event["content_block"]["type"] == "tool_use"
            case "content_block_delta":
                assert event["index"] == current
                assert len(event["delta"]) == 2
                assert all(event["delta"].values()), "a delta of nothing"
            case "content_block_stop":
                assert event["index"] == current
                current = None
            case kind:
                raise AssertionError(f"{kind} in the middle")
    if ending == "done":
        assert current is None
        assert kinds[-2:] == ["message_delta", "message_stop"]
        assert (told[-2]["delta"]["stop_reason"] == "tool_use") == uses
    return ending


# --------------------------------------------------------------------------------- gemini, ollama


def _gemini(body: bytes) -> Ending:
    told = [json.loads(data) for _, data in _events(body)]
    ending: Ending = "error" if "error" in told[-1] else "done"
    frames = told[:-1] if ending == "error" else told
    assert len({frame["responseId"] for frame in frames}) <= 1
    finishes = ["finishReason" in frame["candidates"][0] for frame in frames]
    assert finishes == [ending == "done" and frame is told[-1] for frame in frames]
    return ending


def _ollama(body: bytes) -> Ending:
    assert body.endswith(b"\n")
    told = [json.loads(line) for line in body.splitlines()]
    ending: Ending = "error" if "error" in told[-1] else "done"
    lines = told[:-1] if ending == "error" else told
    assert [line["done"] for line in lines] == [
        ending == "done" and line is told[-1] for line in lines
    ]
    assert all("done_reason" not in line for line in lines if not line["done"])
    return ending


_CHECKS: dict[str, Callable[[bytes], Ending]] = {
    "openai-chat": _chat,
    "openai-responses": _responses,
    "anthropic-messages": _messages,
    "gemini": _gemini,
    "ollama": _ollama,
}
