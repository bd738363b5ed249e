"""The anthropic SDK."""

from typing import Any

import anthropic
from common import ABOUT, PARAMETERS, QUESTION, refused, weather

TOOLS: Any = [{"name": "weather", "description": ABOUT, "input_schema": PARAMETERS}]
ASKED: Any = [{"role": "user", "content": QUESTION}]


def _asked(job: Any, **more: Any) -> tuple[Any, dict[str, Any]]:
    client = anthropic.Anthropic(base_url=job.url, api_key=job.key, max_retries=0)
    return client.messages, {"model": job.model, "max_tokens": 99, "messages": ASKED, **more}


def _create(job: Any, **more: Any) -> Any:
    messages, fields = _asked(job, **more)
    return messages.create(**fields)


def _streamed(job: Any, **more: Any) -> tuple[list[str], Any]:
    messages, fields = _asked(job, **more)
    with messages.stream(**fields) as events:
        return list(events.text_stream), events.get_final_message()


def _text(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def whole(job: Any) -> dict[str, Any]:
    answer = _create(job)
    assert answer.stop_reason == "end_turn"
    usage = answer.usage
    return {"text": _text(answer), "input": usage.input_tokens, "output": usage.output_tokens}


def stream(job: Any) -> dict[str, Any]:
    pieces, message = _streamed(job)
    assert message.stop_reason == "end_turn"
    usage = message.usage
    return {"pieces": pieces, "input": usage.input_tokens, "output": usage.output_tokens}


def _round(first: Any, ask: Any) -> dict[str, Any]:
    assert first.stop_reason == "tool_use"
    calls = [block for block in first.content if block.type == "tool_use"]
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": weather(**call.input)}
        for call in calls
    ]
    given = [
        *ASKED,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    return {
        "calls": [[call.id, call.name, call.input] for call in calls],
        "text": _text(ask(given)),
    }


def tools(job: Any) -> dict[str, Any]:
    def ask(messages: Any) -> Any:
        return _create(job, messages=messages, tools=TOOLS)

    return _round(ask(ASKED), ask)


def tools_streamed(job: Any) -> dict[str, Any]:
    def ask(messages: Any) -> Any:
        return _streamed(job, messages=messages, tools=TOOLS)[1]

    return _round(ask(ASKED), ask)


def error(job: Any) -> dict[str, Any]:
    try:
        _create(job, stream=job.stream)
    except anthropic.APIStatusError as error:
        return refused(error)
    raise AssertionError("no error")


def breaks(job: Any) -> dict[str, Any]:
    pieces: list[str] = []
    messages, fields = _asked(job)
    try:
        with messages.stream(**fields) as events:
            pieces.extend(events.text_stream)
    except anthropic.APIError as error:
        return {"pieces": pieces, "raised": str(error)}
    return {"pieces": pieces, "raised": None}
