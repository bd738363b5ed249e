"""What "gemini" can carry, for hypothesis; and what becomes of the rest, in one place."""

from typing import Any

import msgspec
from hypothesis import strategies as st

from polyvox.dialects import Target
from polyvox.messages import AssistantMessage, File, Message, Text, Thinking, UserMessage
from polyvox.request import Reasoning, Request, ResponseFormat
from strategies import Carries, answers, fractions, names, requests, usages

LEVELS = st.sampled_from(["low", "high"]).map(Reasoning)


BUDGETS = st.integers(1, 24576).map(lambda tokens: Reasoning(budget_tokens=tokens))


OFF = st.just(Reasoning("none"))


SIGNATURES = st.binary(min_size=1, max_size=9).map(lambda data: msgspec.json.encode(data)[1:-1])


SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.fixed_dictionaries({"type": st.sampled_from(["string", "integer", "boolean"])})
    | st.just({"enum": ["a", "b"]}),
    lambda inner: (
        st.builds(lambda each: {"type": "array", "items": each, "minItems": 1}, inner)
        | st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner)
        | st.dictionaries(names, inner, max_size=2).map(
            lambda each: {"type": "object", "properties": each, "required": list(each)}
        )
    ),
    max_leaves=5,
)


COMMON: dict[str, Any] = {
    "provider": "google",
    "tool_errors": True,
    "strict_tools": False,
    "parallel_tool_calls": False,
    "broken_calls": False,
    "max_tokens": st.none() | st.integers(1, 10**5),
    "temperature": st.none() | fractions,
    "top_p": st.none() | fractions,
    "seed": st.none() | st.integers(0, 2**31 - 1),
    "response_format": st.none() | st.just(ResponseFormat()) | SCHEMAS.map(ResponseFormat),
    "usage": usages(cache_writes=False),
}


MODELS = [
    Carries(model="gemini-3-pro-preview", reasoning=st.none() | LEVELS, **COMMON),
    Carries(model="gemini-2.5-flash", reasoning=st.none() | BUDGETS | OFF, **COMMON),
    Carries(model="gemini-2.0-flash", image_urls=False, file_urls=False, **COMMON),
]


ANSWERS = MODELS[0]


def target_of(carries: Carries) -> Target:
    return Target(provider="google", model=carries.model, base_url="https://g.example")


@st.composite
def own_requests(draw: st.DrawFn, carries: Carries) -> Request:
    """A request without what the format has no place for, and with schemas that it takes."""
    request = draw(requests(carries))
    tools = [
        msgspec.structs.replace(tool, parameters={"type": "object", **draw(SCHEMAS)})
        for tool in request.tools
    ]
    messages: list[Message] = []
    for message in request.messages:
        if isinstance(message, AssistantMessage):
            message.content = [_open(block) for block in message.content]
        else:
            message.content = [_unnamed(block) for block in message.content]  # pyright: ignore[reportAttributeAccessIssue]
        if messages and isinstance(message, UserMessage) and isinstance(messages[-1], UserMessage):
            messages[-1].content += message.content  # neighbours are one turn
        else:
            messages.append(message)
    for message in messages:
        _in_order(message, carries)
    return msgspec.structs.replace(request, messages=messages, tools=tools)


def _open(block: Any) -> Any:
    return msgspec.structs.replace(block, redacted=False) if isinstance(block, Thinking) else block


def _unnamed(block: Any) -> Any:
    return msgspec.structs.replace(block, name="") if isinstance(block, File) else block


def _in_order(message: Message, carries: Carries) -> None:
    """Results hold texts, then (from Gemini 3 on) what has bytes; the rest would follow in a turn."""
    if message.__struct_config__.tag != "tool":
        return
    texts = [block for block in message.content if isinstance(block, Text)]
    blobs = [block for block in message.content if getattr(block, "data", None) is not None]
    message.content = texts + (blobs if carries.model.startswith("gemini-3") else [])  # pyright: ignore[reportAttributeAccessIssue]


def as_told(message: AssistantMessage, *, whole: bool) -> AssistantMessage:
    """What comes back of an answer: no empty blocks, and in a stream neighbours of a kind as one."""
    told: list[Any] = []
    for block in map(_open, message.content):
        last = told[-1] if told else None
        if isinstance(block, Text) and not block.text:
            continue
        if not whole and isinstance(block, Text) and isinstance(last, Text):
            told[-1] = msgspec.structs.replace(last, text=last.text + block.text)
        else:
            told.append(block)
    return msgspec.structs.replace(message, content=told)


@st.composite
def own_answers(draw: st.DrawFn) -> AssistantMessage:
    """An answer with signatures in base64, and under the calls."""
    message = draw(answers(ANSWERS))
    blocks: list[Any] = []
    for block in message.content:
        signature = draw(SIGNATURES).decode()
        if isinstance(block, Thinking):
            block = msgspec.structs.replace(block, signature=signature)
        elif not isinstance(block, Text) and draw(st.booleans()):
            meta = {"gemini": {"thoughtSignature": signature}}
            block = msgspec.structs.replace(block, meta=meta, producer=ANSWERS.producer)
        blocks.append(block)
    return msgspec.structs.replace(message, content=blocks)
