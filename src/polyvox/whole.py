"""A whole answer from any model, by the shortest way it has."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing

from polyvox.errors import ServerError
from polyvox.events import Done, Event, Failed
from polyvox.messages import AssistantMessage
from polyvox.model import Call, Model
from polyvox.request import Request

__all__ = ["drained", "whole"]


async def whole(model: Model, request: Request, call: Call) -> AssistantMessage:
    """The answer when all of it is there. Raises ``PolyvoxError``; its ``message`` is what had arrived.

    A model that has ``answer`` is asked that, and makes no events; any other one's stream is drained.
    """
    answer: Callable[[Request, Call], Awaitable[AssistantMessage]] | None
    answer = getattr(model, "answer", None)
    return await (drained(model, request, call) if answer is None else answer(request, call))


async def drained(model: Model, request: Request, call: Call) -> AssistantMessage:
    """The message that the model's stream ends with. Raises as ``whole`` does."""
    last: Event | None = None
    async with aclosing(model.stream(request, call)) as events:
        async for event in events:  # to its very end, so that the connection serves again
            last = event
    match last:
        case Done(message=message):
            return message
        case Failed(error=error, message=message):
            error.message = message
            raise error
        case _:
            raise ServerError("the model ended its stream without an ending")
