"""LangChain's ChatOpenAI."""

from typing import Any

import openai
from common import QUESTION, refused, weather
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

RESPONSES = False


def _model(job: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model=job.model,
        base_url=f"{job.url}/v1",
        api_key=job.key,
        max_retries=0,
        stream_usage=True,
        use_responses_api=RESPONSES,
    )


def _counts(message: Any) -> dict[str, Any]:
    usage = message.usage_metadata
    return {"input": usage["input_tokens"], "output": usage["output_tokens"]}


def whole(job: Any) -> dict[str, Any]:
    answer = _model(job).invoke(QUESTION)
    return {"text": answer.text, **_counts(answer)}


def _joined(chunks: list[AIMessageChunk]) -> Any:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


def stream(job: Any) -> dict[str, Any]:
    chunks: Any = list(_model(job).stream(QUESTION))
    pieces = [chunk.text for chunk in chunks if chunk.text]
    return {"pieces": pieces, **_counts(_joined(chunks))}


def _round(ask: Any) -> dict[str, Any]:
    asked = [HumanMessage(QUESTION)]
    said = ask(asked)
    results = [
        ToolMessage(weather(**call["args"]), tool_call_id=call["id"]) for call in said.tool_calls
    ]
    return {
        "calls": [[call["id"], call["name"], call["args"]] for call in said.tool_calls],
        "text": ask([*asked, said, *results]).text,
    }


def tools(job: Any) -> dict[str, Any]:
    return _round(_model(job).bind_tools([weather]).invoke)


def tools_streamed(job: Any) -> dict[str, Any]:
    model = _model(job).bind_tools([weather])

    def ask(messages: Any) -> Any:
        chunks: Any = list(model.stream(messages))
        return _joined(chunks)

    return _round(ask)


def error(job: Any) -> dict[str, Any]:
    try:
        if job.stream:
            list(_model(job).stream(QUESTION))
        else:
            _model(job).invoke(QUESTION)
    except openai.APIStatusError as error:
        return refused(error)
    raise AssertionError("no error")


def breaks(job: Any) -> dict[str, Any]:
    pieces: list[str] = []
    try:
        for chunk in _model(job).stream(QUESTION):
            pieces += [chunk.text] if chunk.text else []
    except Exception as error:  # noqa: BLE001 - it tells some as ValueError
        return {"pieces": pieces, "raised": str(error)}
    return {"pieces": pieces, "raised": None}
