"""Whom the gateway asks in these tests: a provider of each dialect, whose models do what their name says.

``words``   says SAID
``tools``   asks for the weather in three cities at once, then repeats what the tools said of each
``thinks``  thinks, with a signature; in the next turn it tells which signatures came back
``sees``    tells which pictures it was given
``json``    says a JSON object
``busy``    is out of room, for SECONDS
``breaks``  fails in the middle of its answer
``loses``   does so in the middle of a tool call
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gateway.running import Running
from polyvox.assembly import failed, unfold
from polyvox.errors import RateLimitError, ServerError
from polyvox.events import (
    Event,
    Start,
    TextDelta,
    TextStart,
    ToolCallDelta,
    ToolCallStart,
)
from polyvox.messages import (
    AssistantMessage,
    Image,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from polyvox.providers.simulated.stage import Options, SimulatedModel, break_off
from polyvox.providers.simulated.tokens import pieces
from polyvox.request import Request
from polyvox.testing import MockProvider, ThreadedMock

from .novel import NOVEL, novelties

DIALECTS = ("openai-chat", "openai-responses", "anthropic-messages", "gemini", "ollama")
MODELS = ("words", "tools", "thinks", "sees", "json", "busy", "breaks", "loses")
SAID = "It rains in Oslo."
CITIES = ("Oslo", "Bergen", "Rom")
ANSWERED = "Oslo: rain in Oslo. Bergen: rain in Bergen. Rom: rain in Rom."
SECONDS = 7
SIGNATURE = "c2lnbmVkIGJ5IG1l"  # base64, as all that sign have it
POOR = "pv-poor0000-6fXk2mQp9sVt4wYz7bCd1eGh3jLn5rUa8xZ0"


class Actor(SimulatedModel[Options]):
    """Does what the name of the model says, the same for the same conversation."""

    def __init__(self) -> None:
        super().__init__("simulated/actor", Options)

    def compose(self, request: Request, options: Options) -> Iterable[Event]:
        """The answer of the model that is asked."""
        match request.model:
            case "tools":
                return self._weather(request)
            case "thinks":
                return self._thoughts(request)
            case "sees":
                return self.say_text(request, _pictures(request))
            case "json":
                return self.say_text(request, '{"city": "Oslo", "degrees": 4}')
            case "busy":
                return [failed(RateLimitError("no room", retry_after=SECONDS))]
            case "breaks":
                said: list[Event] = [TextStart(0), TextDelta(0, "It"), TextDelta(0, " rains")]
                return self._broken(request, said)
            case "loses":
                call = [ToolCallStart(0, "call_1", "weather"), ToolCallDelta(0, '{"city": "Os')]
                return self._broken(request, call)
            case _:
                return self.say_text(request, SAID)

    def _weather(self, request: Request) -> Iterable[Event]:
        told = [each for each in request.messages if isinstance(each, ToolMessage)]
        if told:
            return self.say_text(request, " ".join(_said_of(request, result) for result in told))
        calls = [
            ToolCall(f"call_{place}", "weather", {"city": city})
            for place, city in enumerate(CITIES)
        ]
        return unfold(self.say(request, [Text("Let me see."), *calls], "tool_calls"), pieces)

    def _thoughts(self, request: Request) -> Iterable[Event]:
        thoughts = [
            block
            for message in request.messages
            if isinstance(message, AssistantMessage)
            for block in message.content
            if isinstance(block, Thinking)
        ]
        signed = [block.signature for block in thoughts if block.signature]
        text = f"{len(signed)} of mine: {' '.join(signed)}" if signed else "I had no thought."
        message = self.say(request, [Thinking("Hm, Oslo.", SIGNATURE), Text(text)])
        return unfold(message, pieces)

    def _broken(self, request: Request, said: list[Event]) -> Iterable[Event]:
        start = Start("simulated", request.model, "sim_1")
        told: list[Event] = [start, *said]
        return [*told, *break_off(told, ServerError("the power is out"), request)]


def _said_of(request: Request, result: ToolMessage) -> str:
    for message in request.messages:
        for block in message.content:
            if isinstance(block, ToolCall) and block.id == result.tool_call_id:
                return f"{block.arguments['city']}: {result.text}."
    return f"nobody asked for {result.tool_call_id}: {result.text}."


def _pictures(request: Request) -> str:
    found = [
        block
        for message in request.messages
        if isinstance(message, UserMessage)
        for block in message.content
        if isinstance(block, Image)
    ]
    return "; ".join(f"{each.media_type}, {len(each.data or b'')} bytes" for each in found)


class Upstreams:
    """A gateway, and what is behind it. Its models are ``up-<dialect>/<what it does>``."""

    def __init__(self, gateway: Running, mocks: dict[str, ThreadedMock]) -> None:
        self.gateway = gateway
        self.mocks = mocks
        self.url = gateway.url
        self.key = gateway.key

    def last(self, dialect: str) -> Request:
        """The last request that this provider got to answer."""
        read = [received.request for received in self.mocks[dialect].requests]
        return next(request for request in reversed(read) if request is not None)


@contextmanager
def upstreams(folder: Path) -> Iterator[Upstreams]:
    """All of them, and a gateway before them."""
    with ExitStack() as stack:
        mocks = {
            dialect: stack.enter_context(MockProvider(dialect, model=Actor()))
            for dialect in DIALECTS
        }
        novel = stack.enter_context(novelties())
        gateway = Running(folder, _config(mocks, novel))
        stack.callback(gateway.close)
        yield Upstreams(gateway.start(), mocks)


def _config(mocks: dict[str, ThreadedMock], novel: str) -> str:
    lines = [f'[gateway.keys.poor]\nkey = "{POOR}"\nbudget = {{ limit = "$0.000000001" }}\n']
    for dialect, mock in mocks.items():
        name = f"up-{dialect}"
        lines.append(f'[providers.{name}]\ndialect = "{dialect}"\nbase_url = "{mock.url}"')
        lines.append('auth = "none"\n')
        lines += [f'[prices."{name}/{model}"]\ninput = 1\noutput = 2\n' for model in MODELS]
    for name, dialect in NOVEL.items():
        lines.append(f'[providers.{name}]\ndialect = "{dialect}"\nbase_url = "{novel}"')
        lines.append('auth = "none"\n')
    return "\n".join(lines)
