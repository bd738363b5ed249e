"""How simulated models count tokens: a simple rule, the same on every machine.

A token is a run of up to 16 characters without white space, with the white space before it. A
picture or a file counts as 100 tokens. Other parts of a request (names of tools and their schemas,
arguments of tool calls) count as the text or compact JSON they are.
"""

import re

import msgspec

from polyvox import jsontext
from polyvox.assembly import arguments_text
from polyvox.messages import AssistantBlock, AssistantMessage, File, Image, Text, Thinking, ToolCall
from polyvox.request import Request
from polyvox.usage import FREE, Basis, Usage

TOKENS_PER_ATTACHMENT = 100

_TOKEN = re.compile(r"\s*\S{1,16}(?:\s+\Z)?|\s+\Z")


def pieces(text: str) -> list[str]:
    """The tokens of a text; joined, they are the text.

    >>> pieces("to be or  not")
    ['to', ' be', ' or', '  not']
    """
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """How many tokens a text has."""
    return len(pieces(text))


def request_tokens(request: Request) -> int:
    """The tokens of all input: instructions, tools and messages."""
    tools = sum(
        count(tool.name)
        + count(tool.description)
        + count(jsontext.encode(tool.parameters).decode())
        for tool in request.tools
    )
    said = [block for message in request.messages for block in message.content]
    return tools + sum(map(_block_tokens, [*request.system, *said]))


def usage_of(request: Request, message: AssistantMessage, basis: Basis = "reported") -> Usage:
    """The usage of an answer to a request; it costs nothing."""
    thinking = sum(_block_tokens(b) for b in message.content if isinstance(b, Thinking))
    return Usage(
        input_tokens=request_tokens(request),
        output_tokens=sum(map(_block_tokens, message.content)),
        reasoning_tokens=thinking,
        basis=basis,
        cost=FREE,
    )


def with_usage(request: Request, message: AssistantMessage) -> AssistantMessage:
    """The message with its usage counted, unless it says what it used."""
    if message.usage.basis != "missing":
        return message
    return msgspec.structs.replace(message, usage=usage_of(request, message))


def _block_tokens(block: AssistantBlock | File) -> int:
    match block:
        case Text() | Thinking():
            return count(block.text)
        case ToolCall():
            return count(block.name) + count(arguments_text(block))
        case Image() | File():
            return TOKENS_PER_ATTACHMENT
