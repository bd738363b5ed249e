"""An answer's body on its way to events: bytes through the frames' reader and the dialect's decoder."""

from collections.abc import AsyncGenerator

from polyvox.assembly import unfold
from polyvox.dialects import Dialect, FrameReader, ServerSentEvent, StreamDecoder, Target
from polyvox.dialects.base import PassedFrames, Passing
from polyvox.errors import ProtocolError
from polyvox.events import Done, Event, Failed, Passed
from polyvox.messages import AssistantMessage
from polyvox.transport import read_all
from polyvox.verbatim import Verbatim

__all__ = [
    "ENDINGS",
    "MAX_WHOLE_BODY",
    "LastWord",
    "PassedOn",
    "PassingOn",
    "Reading",
    "Told",
    "check_head",
    "first_bytes",
    "with_bytes",
]

MAX_WHOLE_BODY = 256 << 20
ENDINGS = (Done, Failed)


class PassedOn:
    """A call whose answer goes on as it comes."""

    def __init__(self, verbatim: Verbatim, passing: Passing) -> None:
        self._verbatim = verbatim
        self._passing = passing

    def whole(self, answer: bytes) -> bool:
        """It came whole: whether the caller, who may have asked for a stream, can have it so."""
        verbatim = self._verbatim
        verbatim.used = not verbatim.request.stream
        verbatim.answer = answer if verbatim.used else b""
        return verbatim.used

    def streamed(self) -> PassedFrames | None:
        """It comes as a stream: what passes that on, if the caller has asked for one."""
        verbatim = self._verbatim
        verbatim.used = verbatim.request.stream
        return self._passing.frames(verbatim.request) if verbatim.used else None

    def unseen(self) -> None:
        """It comes as a stream, and nobody gets more of that than the end."""
        self._verbatim.used = False


class Reading:
    """Bytes of a body in, events out: the frames' reader and the dialect's decoder as one."""

    def __init__(
        self, frames: FrameReader, decoder: StreamDecoder, head: bytes, body: AsyncGenerator[bytes]
    ) -> None:
        self._frames = frames
        self._decoder = decoder
        self._head: bytes | None = head
        self._pull = body.__anext__
        self._over = False

    async def batch(self) -> list[Event]:
        """The next events, as many as came at once; none when there are no more."""
        events: list[Event] = []
        while not (events or self._over or self._decoder.ended):
            chunk, self._head = self._head, None
            try:
                events = self._feed(await self._pull() if chunk is None else chunk)
            except StopAsyncIteration:
                self._over = True
                return self._close()
        return events

    def _feed(self, chunk: bytes) -> list[Event]:
        frames = self._frames.feed(chunk)
        if len(frames) == 1:  # nearly always
            return self._decoder.feed(frames[0])
        return self._decode(frames)

    def _close(self) -> list[Event]:
        return self._decode(self._frames.close()) + self._decoder.close()

    def _decode(self, frames: list[ServerSentEvent]) -> list[Event]:
        return [event for frame in frames for event in self._decoder.feed(frame)]


class PassingOn(Reading):
    """The same, with the bytes themselves behind the events that were read from them."""

    def __init__(
        self,
        frames: FrameReader,
        decoder: StreamDecoder,
        head: bytes,
        body: AsyncGenerator[bytes],
        passed: PassedFrames,
    ) -> None:
        super().__init__(frames, decoder, head, body)
        self._passed = passed
        self._begun = False
        self._early = b""

    def _feed(self, chunk: bytes) -> list[Event]:
        events = super()._feed(chunk)
        data = self._passed.feed(chunk)
        if events and type(events[-1]) in ENDINGS:
            data += self._passed.close()
        return self._both(events, data)

    def _close(self) -> list[Event]:
        ended = self._decode(self._frames.close())
        data = self._passed.close()
        if ended and type(ended[-1]) is Done:
            return self._both(ended, data)
        return [*ended, *self._decoder.close()]  # a frame that broke off is not told

    def _both(self, events: list[Event], data: bytes) -> list[Event]:
        if not self._begun:  # a stream begins with its start
            if not events:
                self._early += data
                return events
            data, self._begun = self._early + data, True
        return with_bytes(events, data) if data else events


class Told:
    """The events of an answer that came whole, in one batch."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    async def batch(self) -> list[Event]:
        """All of them; then none."""
        events, self._events = self._events, []
        return events


class LastWord:
    """Reads an answer for nothing but its end; ``is_stream`` when it is a stream all the same."""

    def __init__(self, dialect: Dialect, target: Target) -> None:
        self._dialect = dialect
        self._target = target
        self._decoder: StreamDecoder | None = None
        self.is_stream = False

    @property
    def decoder(self) -> StreamDecoder:
        """What knows how much had arrived of an answer that is none; seldom needed."""
        if self._decoder is None:
            self._decoder = self._dialect.stream_decoder(self._target)
        return self._decoder

    async def read(
        self, head: bytes, body: AsyncGenerator[bytes], passed: PassedOn | None
    ) -> Event:
        """The last event. A stream is read up to there, also if none was asked for."""
        if head.startswith(self._dialect.whole):
            answer = head + await read_all(body, MAX_WHOLE_BODY)
            message = self._dialect.decode_response(answer, self._target)
            if passed is not None:
                passed.whole(answer)
            return _ending(message)
        self.is_stream = True
        if passed is not None:
            passed.unseen()
        reading = Reading(self._dialect.frame_reader(), self.decoder, head, body)
        last: list[Event] = []
        while events := await reading.batch():
            last = events
        return last[-1]


def _ending(message: AssistantMessage) -> Event:
    if message.stop_reason in ("error", "aborted"):
        *_, last = unfold(message)
        return last
    return Done(message)


def with_bytes(events: list[Event], data: bytes) -> list[Event]:
    """The events, and their bytes before the last one if that is the end."""
    if events and type(events[-1]) in ENDINGS:
        return [*events[:-1], Passed(data, ends=True), events[-1]]
    return [*events, Passed(data)]


def check_head(head: bytes) -> None:
    """Raises ``ProtocolError`` for a body that begins like a web page."""
    if head[:1] != b"<":
        return
    raise ProtocolError(
        f"the answer is a web page, not a model's: {head[:80].decode('utf-8', 'replace')!r}",
        hint="Check the base URL, and whether a proxy or a login page stands in between.",
    )


async def first_bytes(body: AsyncGenerator[bytes]) -> bytes:
    """The body up to and including its first piece that isn't blank; no leading white space."""
    async for chunk in body:
        if head := chunk.lstrip():
            return head
    return b""
