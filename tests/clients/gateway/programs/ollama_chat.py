"""The ollama client; it knows no keys, so that its key is a header."""

from typing import Any

import ollama
from common import QUESTION, weather

ASKED: Any = [{"role": "user", "content": QUESTION}]


def _client(job: Any) -> ollama.Client:
    return ollama.Client(host=job.url, headers={"Authorization": f"Bearer {job.key}"})


def whole(job: Any) -> dict[str, Any]:
    answer = _client(job).chat(job.model, ASKED)
    return {
        "text": answer.message.content,
        "input": answer.prompt_eval_count,
        "output": answer.eval_count,
    }


def stream(job: Any) -> dict[str, Any]:
    parts = list(_client(job).chat(job.model, ASKED, stream=True))
    last = parts[-1]
    assert last.done
    return {
        "pieces": [part.message.content for part in parts if part.message.content],
        "input": last.prompt_eval_count,
        "output": last.eval_count,
    }


def _round(ask: Any) -> dict[str, Any]:
    text, calls = ask(ASKED)
    results = [
        {
            "role": "tool",
            "tool_name": call.function.name,
            "content": weather(**call.function.arguments),
        }
        for call in calls
    ]
    said = {"role": "assistant", "content": text, "tool_calls": calls}
    return {
        "calls": [
            [str(place), call.function.name, dict(call.function.arguments)]
            for place, call in enumerate(calls)
        ],
        "text": ask([*ASKED, said, *results])[0],
    }


def tools(job: Any) -> dict[str, Any]:
    def ask(messages: Any) -> Any:
        message = _client(job).chat(job.model, messages, tools=[weather]).message
        return message.content, list(message.tool_calls or [])

    return _round(ask)


def tools_streamed(job: Any) -> dict[str, Any]:
    def ask(messages: Any) -> Any:
        parts = list(_client(job).chat(job.model, messages, tools=[weather], stream=True))
        calls = [call for part in parts for call in part.message.tool_calls or []]
        return "".join(part.message.content or "" for part in parts), calls

    return _round(ask)


def error(job: Any) -> dict[str, Any]:
    try:
        answer = _client(job).chat(job.model, ASKED, stream=job.stream)
        if job.stream:
            list(answer)
    except ollama.ResponseError as error:
        # It keeps no headers, so that when to come again has to stand in the words.
        return {
            "status": error.status_code,
            "retry_after": "not kept",
            "text": error.error,
            "kind": type(error).__name__,
        }
    raise AssertionError("no error")


def breaks(job: Any) -> dict[str, Any]:
    pieces: list[str] = []
    try:
        for part in _client(job).chat(job.model, ASKED, stream=True):
            pieces += [part.message.content] if part.message.content else []
    except ollama.ResponseError as error:
        return {"pieces": pieces, "raised": error.error}
    return {"pieces": pieces, "raised": None}
