"""``simulated/echo``: whatever is said comes back; pictures and files as what they are."""

from collections.abc import Iterable

from polyvox.events import Event
from polyvox.messages import File, Image, Text, UserBlock, UserMessage
from polyvox.providers.simulated.stage import Options, SimulatedModel
from polyvox.request import Request


class Echo(SimulatedModel[Options]):
    """Answer with what the user said last, word for word; a picture is told as "[image/png, 75 bytes]"."""

    def __init__(self) -> None:
        super().__init__("simulated/echo", Options)

    def compose(self, request: Request, options: Options) -> Iterable[Event]:
        """What the user said last, as events."""
        return self.say_text(request, _last_said(request))


def _last_said(request: Request) -> str:
    for message in reversed(request.messages):
        if isinstance(message, UserMessage):
            said = [_said(block) for block in message.content]
            if any(said):
                return "\n".join(said)
    return ""


def _said(block: UserBlock) -> str:
    match block:
        case Text(text=text):
            return text
        case Image(data=bytes(data)) | File(data=bytes(data)):
            return f"[{block.media_type}, {len(data):,} bytes]"
        case Image(url=place) | File(url=str(place)) | File(id=place):
            return f"[{block.media_type or type(block).__name__.lower()}, {place}]"
