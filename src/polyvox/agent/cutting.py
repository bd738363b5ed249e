"""Where a conversation may be cut, and what is left of it with its tools' results taken out."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from polyvox.estimate import message_tokens
from polyvox.messages import AssistantMessage, Message, Text, ToolMessage

__all__ = ["characters", "place_to_cut", "turn_places", "without_results"]


def place_to_cut(messages: Sequence[Message], costs: Sequence[int], keep: int) -> int:
    """How many messages are the older part: behind them stand whole turns of at most ``keep`` tokens.

    ``costs`` are the tokens of each message. The last turn stays also when it is longer; 0: there is
    no other. No call is cut off from its result, and nothing that was said from its answer.
    """
    places = set(turn_places(messages))
    best = tail = 0
    for place in range(len(messages) - 1, 0, -1):
        tail += costs[place]
        if place in places:
            if tail > keep:
                return best or place
            best = place
    return best


def without_results(messages: Sequence[Message]) -> list[Message]:
    """The messages, with a few words for each result of a tool that is longer than these."""
    return [_emptied(each) if isinstance(each, ToolMessage) else each for each in messages]


def characters(message: Message) -> int:
    """How much text is in a message."""
    return sum(len(block.text) for block in message.content if isinstance(block, Text))


def turn_places(messages: Sequence[Message]) -> Iterator[int]:
    """The places at which a turn begins while no call before it waits for its result."""
    last_result = _last_results(messages)
    furthest = 0
    for place, before in enumerate(messages[:-1], start=1):
        furthest = max(furthest, last_result.get(place - 1, 0))
        if (
            furthest < place
            and isinstance(before, (AssistantMessage, ToolMessage))
            and not isinstance(messages[place], ToolMessage)
        ):
            yield place


def _last_results(messages: Sequence[Message]) -> dict[int, int]:
    """Of each answer that calls tools: where the last of their results stands.

    Ids may come again: a result belongs to the latest call of its id that is open, as in ``mend``.
    """
    found: dict[int, int] = {}
    waiting: dict[str, list[int]] = {}
    for place, message in enumerate(messages):
        if isinstance(message, AssistantMessage):
            for call in message.tool_calls:
                waiting.setdefault(call.id, []).append(place)
        elif isinstance(message, ToolMessage) and waiting.get(message.tool_call_id):
            found[waiting[message.tool_call_id].pop()] = place
    return found


def _emptied(result: ToolMessage) -> ToolMessage:
    others = sum(not isinstance(block, Text) for block in result.content)
    more = f" and {others} {'file' if others == 1 else 'files'}" if others else ""
    stub = replace(result, content=[Text(f"[removed: {characters(result):,} characters{more}]")])
    return stub if message_tokens(stub) < message_tokens(result) else result
