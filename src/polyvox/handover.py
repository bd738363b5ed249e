"""Handover: a conversation recorded with one model, made fit for sending to any other.

Providers refuse a conversation whose tool calls and results don't match. What is recorded often is
such a one: an answer was interrupted, a tool never ran, two providers used the same id. ``mend``
repairs that, and touches nothing else: a conversation in order comes back as the very same list, so
that what a provider has cached of it still counts. What grows at its end leaves the rest as it was.

What a provider's format can't carry is not decided here but in its dialect; what may be replayed to
whom in ``polyvox.messages.replayable``.
"""

import operator
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

import msgspec

from polyvox.messages import (
    AssistantBlock,
    AssistantMessage,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from polyvox.request import Request

__all__ = ["GO_ON", "NO_RESULT", "Mended", "claimed", "made_in", "mend", "mend_request"]

NO_RESULT = "No result: the call was not run."
"""What the model is told about a tool call that has no result."""

GO_ON = "Go on."
"""What the user is made to say behind an answer that can't be gone on with otherwise."""

_BROKEN_OFF = ("error", "aborted", "length")


class Mended(NamedTuple):
    """The conversation to send, and (place, what was changed there) in the recorded one's places."""

    messages: list[Message]
    notes: tuple[tuple[str, str], ...] = ()


def mend(messages: list[Message]) -> Mended:
    """The conversation with every tool call answered once, directly behind the message that made it.

    - A call without a result gets one that says so (``NO_RESULT``, an error); if its arguments broke
      off as well, the call is left out.
    - Results stand in the order of their calls; what stood in between follows them.
    - A result whose call is unknown, or has its result already, becomes the user's text.
    - Of two calls with the same id the later one gets another, and so does its result.
    - Of an answer that broke off the text stays; reasoning at its end is left out. An assistant's
      message in which nothing is left is left out too.

    It is pure and takes time linear in the conversation's length. What is mended stays as it is:
    ``mend(mend(x).messages).messages is mend(x).messages``.

    >>> from polyvox.messages import assistant, user
    >>> asked = [user("Rain?"), assistant(ToolCall("c1", "weather")), user("Never mind.")]
    >>> mended = mend(asked)
    >>> mended.messages[2]
    ToolMessage(tool_call_id='c1', content=[Text(text='No result: the call was not run.')],
        tool_name='weather', is_error=True)
    >>> mend(mended.messages).messages is mended.messages
    True
    """
    if _in_order(messages):
        return Mended(messages)
    mender = _Mender()
    mended = mender.write(_turns(messages))
    same = len(mended) == len(messages) and all(map(operator.is_, mended, messages))
    return Mended(messages if same else mended, tuple(mender.notes))


def mend_request(request: Request) -> tuple[Request, tuple[tuple[str, str], ...]]:
    """The request with its conversation mended, and what was changed. In order: the same object."""
    messages, notes = mend(request.messages)
    if messages is request.messages:
        return request, notes
    return msgspec.structs.replace(request, messages=messages), notes


def _in_order(messages: list[Message]) -> bool:
    """Whether nothing has to be mended, as nearly always, for sure: a look at each message tells."""
    ids: set[str] = set()
    owed: list[str] = []  # the ids of calls whose results must come next, the first of them last
    for message in messages:
        if isinstance(message, ToolMessage):
            if not owed or owed.pop() != message.tool_call_id:
                return False
        elif owed:
            return False
        elif isinstance(message, AssistantMessage):
            something = False
            for block in message.content:
                if isinstance(block, ToolCall):
                    if not block.id or block.id in ids:
                        return False
                    ids.add(block.id)
                    owed.append(block.id)
                something = something or _says_something(block)
            if not something:
                return False
            owed.reverse()
            if message.stop_reason in _BROKEN_OFF and isinstance(message.content[-1], Thinking):
                return False
    return not owed


class _Call:
    """A tool call, and its result when that is found."""

    __slots__ = ("call", "result", "turn")

    def __init__(self, turn: int, call: ToolCall) -> None:
        self.turn = turn
        self.call = call
        self.result: tuple[int, ToolMessage] | None = None

    @property
    def pointless(self) -> bool:
        """Whether nobody could run it, and nobody has answered it."""
        return not self.call.executable and self.result is None


_Turn: TypeAlias = tuple[int, Message, list[_Call]]
"""A message that stays where it stood: its place, itself, and the calls in it."""


def _turns(messages: list[Message]) -> list[_Turn]:
    """Everything but the tools' results, and these with their calls; strays become turns."""
    turns: list[_Turn] = []
    waiting: dict[str, list[_Call]] = {}
    for place, message in enumerate(messages):
        calls: list[_Call] = []
        if isinstance(message, ToolMessage):
            call = _claim(waiting.get(message.tool_call_id, []))
            if call is not None:
                call.result = place, message
                continue
        elif isinstance(message, AssistantMessage):
            calls = [
                _Call(place, block) for block in message.content if isinstance(block, ToolCall)
            ]
            for call in calls:
                waiting.setdefault(call.call.id, []).append(call)
        turns.append((place, message, calls))
    return turns


def _claim(waiting: list[_Call]) -> _Call | None:
    """Of the calls with one id: the first in the latest message that has one open."""
    for index, call in enumerate(waiting):
        if call.turn == waiting[-1].turn:
            return waiting.pop(index)
    return None


class _Mender:
    """Writes the turns out in order; ``notes`` says what was changed."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []
        self._ids: set[str] = set()

    def write(self, turns: Iterable[_Turn]) -> list[Message]:
        written: list[Message] = []
        for place, message, calls in turns:
            if isinstance(message, AssistantMessage):
                written += self._said(place, message, calls)
            elif isinstance(message, ToolMessage):
                self._note(place, "the call of this result is not known: sent as text")
                written.append(_told(message))
            else:
                written.append(message)
        return written

    def _said(self, place: int, said: AssistantMessage, made: list[_Call]) -> list[Message]:
        calls = [call for call in made if not call.pointless]
        content: list[AssistantBlock] = said.content
        if len(calls) < len(made):
            self._note(place, "a tool call that broke off and has no result is left out")
            content = list(_without_pointless(content, made))
        if content is not said.content or said.stop_reason in _BROKEN_OFF:
            content = self._without_last_thoughts(place, content)
        if not any(map(_says_something, content)):
            self._note(place, "nothing is left of this answer: it is left out")
            return []
        names = [self._distinct(place, call.call.id) for call in calls]
        if names != [call.call.id for call in calls]:
            content = list(_renamed(content, names))
        if content is not said.content:
            said = msgspec.structs.replace(said, content=content)
        return [said, *self._results(place, calls, names)]

    def _without_last_thoughts(
        self, place: int, content: list[AssistantBlock]
    ) -> list[AssistantBlock]:
        """Reasoning that nothing follows is unfinished, or leads nowhere; providers refuse it."""
        end = len(content)
        while end and isinstance(content[end - 1], Thinking):
            end -= 1
        if end == len(content):
            return content
        self._note(place, "reasoning at the end of an answer that broke off is left out")
        return content[:end]

    def _distinct(self, place: int, call_id: str) -> str:
        """The id, or one made from it if an earlier call has it."""
        name, number = call_id, 1
        while not name or name in self._ids:
            number += 1
            name = f"{call_id or 'call'}_{number}"
        self._ids.add(name)
        if name != call_id:
            self._note(place, f"the id {call_id!r} is another call's: sent as {name!r}")
        return name

    def _results(self, place: int, calls: list[_Call], names: list[str]) -> Iterator[Message]:
        for call, name in zip(calls, names, strict=True):
            if call.result is None:
                self._note(place, f"the call of {call.call.name!r} has no result: sent as not run")
                yield ToolMessage(name, [Text(NO_RESULT)], call.call.name, is_error=True)
                continue
            stood, result = call.result
            if stood != place + 1:
                self._note(stood, "this result is sent behind its call")
            place = stood
            if result.tool_call_id != name:
                result = msgspec.structs.replace(result, tool_call_id=name)
            yield result

    def _note(self, place: int, text: str) -> None:
        self.notes.append((f"messages[{place}]", text))


def _without_pointless(
    content: list[AssistantBlock], calls: list[_Call]
) -> Iterator[AssistantBlock]:
    each = iter(calls)
    for block in content:
        if not (isinstance(block, ToolCall) and next(each).pointless):
            yield block


def _says_something(block: AssistantBlock) -> bool:
    return not isinstance(block, Text) or bool(block.text or block.meta)


def _renamed(content: list[AssistantBlock], names: list[str]) -> Iterator[AssistantBlock]:
    """The blocks with these ids on the tool calls among them."""
    left = iter(names)
    for block in content:
        is_call = isinstance(block, ToolCall)
        yield msgspec.structs.replace(block, id=next(left)) if is_call else block


def _told(stray: ToolMessage) -> UserMessage:
    """A result as the user's words."""
    what = "error" if stray.is_error else "result"
    who = " ".join(name for name in (stray.tool_name, stray.tool_call_id) if name)
    return UserMessage([Text(f"The {what} of an earlier tool call ({who}):"), *stray.content])


_MADE_IN = "made-in:"


def made_in(dialect: str) -> str:
    """The producer of what a caller brought along: some provider that speaks this dialect."""
    return _MADE_IN + dialect


def claimed(request: Request, dialect: str) -> Request:
    """The request for a provider of this dialect, whose own is what was made in it.

    It is the same request where nothing is known only by its dialect.
    """
    mark = made_in(dialect)
    if not _is_marked(request.messages, mark):  # nearly always
        return request
    messages = [_claimed(message, mark) for message in request.messages]
    return msgspec.structs.replace(request, messages=messages)


def _is_marked(messages: Iterable[Message], mark: str) -> bool:
    for message in messages:
        if isinstance(message, AssistantMessage):
            for block in message.content:
                if block.producer == mark:
                    return True
    return False


def _claimed(message: Message, mark: str) -> Message:
    if not isinstance(message, AssistantMessage) or not _is_marked([message], mark):
        return message
    content = [
        msgspec.structs.replace(block, producer=None) if block.producer == mark else block
        for block in message.content
    ]
    return msgspec.structs.replace(message, content=content)
