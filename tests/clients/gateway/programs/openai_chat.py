"""The openai SDK, chat completions."""

import json
from typing import Any

import openai
from common import ABOUT, PARAMETERS, QUESTION, refused, weather

TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": "weather", "description": ABOUT, "parameters": PARAMETERS},
    }
]
ASKED: Any = [{"role": "user", "content": QUESTION}]


def _client(job: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{job.url}/v1", api_key=job.key, max_retries=0)


def _chat(job: Any) -> Any:
    return _client(job).chat.completions


def whole(job: Any) -> dict[str, Any]:
    answer = _chat(job).create(model=job.model, messages=ASKED)
    usage = answer.usage
    return {
        "text": answer.choices[0].message.content,
        "input": usage.prompt_tokens,
        "output": usage.completion_tokens,
    }


def stream(job: Any) -> dict[str, Any]:
    wanted = {"include_usage": True}
    chunks = list(
        _chat(job).create(model=job.model, messages=ASKED, stream=True, stream_options=wanted)
    )
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    usage = chunks[-1].usage
    return {
        "pieces": [piece for piece in pieces if piece],
        "input": usage.prompt_tokens,
        "output": usage.completion_tokens,
    }


def _answered(message: Any) -> list[Any]:
    results = [
        {
            "role": "tool",
            "tool_call_id": call.id,
            "content": weather(**json.loads(call.function.arguments)),
        }
        for call in message.tool_calls
    ]
    return [*ASKED, message, *results]


def _called(message: Any, text: str) -> dict[str, Any]:
    return {
        "calls": [
            [c.id, c.function.name, json.loads(c.function.arguments)] for c in message.tool_calls
        ],
        "text": text,
    }


def tools(job: Any) -> dict[str, Any]:
    first = _chat(job).create(model=job.model, messages=ASKED, tools=TOOLS).choices[0]
    assert first.finish_reason == "tool_calls"
    last = _chat(job).create(model=job.model, messages=_answered(first.message), tools=TOOLS)
    return _called(first.message, last.choices[0].message.content)


def tools_streamed(job: Any) -> dict[str, Any]:
    def streamed(messages: Any) -> Any:
        with _chat(job).stream(model=job.model, messages=messages, tools=TOOLS) as stream:
            return stream.get_final_completion().choices[0]

    first = streamed(ASKED)
    assert first.finish_reason == "tool_calls"
    return _called(first.message, streamed(_answered(first.message)).message.content)


def error(job: Any) -> dict[str, Any]:
    try:
        _chat(job).create(model=job.model, messages=ASKED, stream=job.stream)
    except openai.APIStatusError as error:
        return refused(error)
    raise AssertionError("no error")


def breaks(job: Any) -> dict[str, Any]:
    pieces: list[str] = []
    try:
        for chunk in _chat(job).create(model=job.model, messages=ASKED, stream=True):
            pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
    except openai.APIError as error:
        return {"pieces": pieces, "raised": str(error)}
    return {"pieces": pieces, "raised": None}
