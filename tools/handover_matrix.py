"""Every dialect's recorded conversation, sent in every other dialect: what arrives.

No network: the server half of one dialect writes the answers that its client half records, and the
server half of another reads what that one's client half sends.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from polyvox.assembly import unfold
from polyvox.dialects import DIALECTS, Place, Quirks, Target, get_dialect
from polyvox.errors import AbortedError
from polyvox.events import TextDelta
from polyvox.handover import NO_RESULT
from polyvox.messages import (
    AssistantMessage,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    tool_result,
    user,
)
from polyvox.request import Request, ToolDefinition

REASONING = "A picture would tell."
SIGNATURE = "c2lnbmF0dXJlLW9mLWl0cy1wcm9kdWNlcg=="
TEXT = "Let me look out of both windows."
CUT_TEXT = "It is raining in the"
ARGUMENTS: list[dict[str, object]] = [{"window": "north", "zoom": 2**60}, {"window": "south"}]
SIGHTS = ["Rain, and a tram.", "Sun, and a dog."]
PICTURE = Image(b"\x89PNG\r\n\x1a\n one pixel")
LOOK = ToolDefinition("look", "Look out of a window.")
MODELS = {"anthropic-messages": "claude-sonnet-4-5", "gemini": "gemini-3-pro"}


def target_of(name: str) -> Target:
    """A provider of this dialect, all of whose opaque data is its own."""
    return Target(
        provider=f"{name}-provider",
        model=MODELS.get(name, "one-large"),
        base_url="https://api.example/v1",
        quirks=Quirks(reasoning_replay="reasoning_content"),
        max_output_tokens=32_000,
    )


def recorded(name: str) -> list[Message]:
    """A conversation as it is recorded with a provider of this dialect, in no good state.

    Reasoning, parallel calls, a picture in a result, an answer that was interrupted, a call that
    nobody has run, and a result of a call that is not there.
    """
    said = _answered(name)
    results = [tool_result(call, text) for call, text in zip(said.tool_calls, SIGHTS, strict=True)]
    results[0].content.append(PICTURE)
    pending = _answered(name)
    return [
        user("What is the weather like?"),
        said,
        *reversed(results),
        _interrupted(name),
        user("Go on."),
        pending,
        tool_result("call_lost", "Fog."),
        user("Never mind."),
    ]


def _answered(name: str) -> AssistantMessage:
    """An answer as it comes out of the wire."""
    calls = [
        ToolCall(f"functions.look:{place}", "look", arguments)
        for place, arguments in enumerate(ARGUMENTS)
    ]
    message = AssistantMessage(
        [Thinking(REASONING, SIGNATURE), Text(TEXT), *calls],
        "tool_calls",
        model="one-large",
        id="answer_1",
    )
    dialect = get_dialect(name)
    return dialect.decode_response(dialect.encode_response(message), target_of(name))


def _interrupted(name: str) -> AssistantMessage:
    """A streamed answer that was interrupted after its first piece of text."""
    dialect, target = get_dialect(name), target_of(name)
    message = AssistantMessage([Thinking(REASONING, SIGNATURE), Text(CUT_TEXT + " streets.")])
    request = Request(messages=[user("Go on.")], tools=[LOOK], model=target.model)
    encoder = dialect.stream_encoder(request)
    reader, decoder = dialect.frame_reader(), dialect.stream_decoder(target)
    for event in unfold(message, lambda text: (text[: len(CUT_TEXT)], text[len(CUT_TEXT) :])):
        frames = reader.feed(encoder.encode(event))
        if any(isinstance(told, TextDelta) for frame in frames for told in decoder.feed(frame)):
            break
    decoder.fail(AbortedError("interrupted"))
    return decoder.message()


@dataclass(frozen=True)
class Arrival:
    """What of the conversation arrives, and the bytes that it was sent in."""

    body: bytes
    notes: tuple[tuple[str, str], ...]
    messages: list[Message]

    @property
    def calls(self) -> list[ToolCall]:
        """All tool calls, in order."""
        return [call for each in self._said() for call in each.tool_calls]

    @property
    def text(self) -> str:
        """Whatever is text, of anybody."""
        blocks = [block for message in self.messages for block in message.content]
        return "\n".join(block.text for block in blocks if isinstance(block, Text))

    @property
    def thinking(self) -> str:
        """Whatever is reasoning."""
        return "\n".join(message.thinking for message in self._said())

    @property
    def pictures(self) -> list[bytes]:
        """All pictures."""
        blocks = [block for message in self.messages for block in message.content]
        return [block.data for block in blocks if isinstance(block, Image) and block.data]

    def lost(self) -> Iterator[str]:
        """What did not arrive."""
        texts = {"text": TEXT, "the interrupted text": CUT_TEXT, "results": SIGHTS[0]}
        texts |= {"the lost result": "Fog.", "the mark of an unanswered call": NO_RESULT}
        yield from (what for what, text in texts.items() if text not in self.text)
        if [call.arguments for call in self.calls] != ARGUMENTS * 2:
            yield "tool calls"
        if PICTURE.data not in self.pictures:
            yield "the picture"
        if REASONING not in self.thinking + self.text:
            yield "reasoning"

    def problems(self) -> Iterator[str]:
        """Why a provider might refuse it: calls that are not answered one by one, ids that clash."""
        ids = [call.id for call in self.calls]
        if len(set(ids)) < len(ids):
            yield f"ids clash: {ids}"
        for place, message in enumerate(self.messages):
            made = message.tool_calls if isinstance(message, AssistantMessage) else []
            behind = self.messages[place + 1 : place + 1 + len(made)]
            answered = [each.tool_call_id for each in behind if isinstance(each, ToolMessage)]
            if answered != [call.id for call in made]:
                yield f"messages[{place}]: calls answered by {answered}"

    def _said(self) -> list[AssistantMessage]:
        return [each for each in self.messages if isinstance(each, AssistantMessage)]


def hand_over(source: str, receiver: str) -> Arrival:
    """Send what was recorded in one dialect in the other one."""
    dialect, target = get_dialect(receiver), target_of(receiver)
    request = Request(messages=recorded(source), tools=[LOOK], stream=False)
    sent = dialect.encode_request(request, target)
    read = dialect.decode_request(sent.body, Place(target.model, stream=False))
    return Arrival(sent.body, sent.dropped, read.messages)


def table() -> str:
    """All pairs, as Markdown."""
    names = list(DIALECTS)
    lines = [f"| from \\ to | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for source in names:
        cells = [_cell(source, receiver) for receiver in names]
        lines.append(f"| **{source}** | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(source: str, receiver: str) -> str:
    lost = list(hand_over(source, receiver).lost())
    return f"all but {', '.join(lost)}" if lost else "all"


if __name__ == "__main__":
    print(table())
