"""What a mock provider heard, and what it truly sent."""

import asyncio
import re
import time
from typing import Literal, TypeAlias, TypeVar

import msgspec

from polyvox.embedding import EmbeddingRequest
from polyvox.events import Event
from polyvox.request import Request

Party: TypeAlias = Literal["client", "server"]

KEPT = 10_000
"""So many requests are remembered at least; older ones are forgotten."""

_KEY_HEADERS = ("authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key")
_KEY_IN_PATH = re.compile(r"(?<=[?&]key=)[^&]+")  # so Gemini's API may be told it

_T = TypeVar("_T")


class ReceivedRequest(msgspec.Struct):
    """One HTTP request as it came. Header names are lower-case.

    ``request`` is what the dialect read out of it, ``embedding`` the same of a request for embeddings;
    None when it is no such request. Keys are masked in the ``repr``, which test runners print.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    request: Request | None = None
    embedding: EmbeddingRequest | None = None

    @property
    def safe_path(self) -> str:
        """The path without a key."""
        return _KEY_IN_PATH.sub("***", self.path)

    def __repr__(self) -> str:
        headers = {
            name: "***" if name in _KEY_HEADERS else value for name, value in self.headers.items()
        }
        return (
            f"ReceivedRequest(method={self.method!r}, path={self.safe_path!r}, headers={headers!r},"
            f" body={self.body!r}, request={self.request!r}, embedding={self.embedding!r})"
        )


class SentAnswer(msgspec.Struct):
    """What went out for one request.

    ``status`` is 0 until the head is sent. ``chunks`` are the pieces of the body that the operating
    system took, one per write, without HTTP's own framing. ``events`` are those that were told to the
    dialect. ``hung_up`` says who ended the connection before the answer was ``completed``. ``came`` and
    ``ended`` are seconds of the monotonic clock, ``overlap`` is how many requests were under way when
    this one came, itself included.
    """

    status: int = 0
    events: list[Event] = []
    chunks: list[bytes] = []
    completed: bool = False
    hung_up: Party | None = None
    came: float = 0.0
    ended: float | None = None
    overlap: int = 0

    @property
    def body(self) -> bytes:
        """All that was sent of the body."""
        return b"".join(self.chunks)

    @property
    def bytes_sent(self) -> int:
        """How many bytes of the body were sent."""
        return sum(map(len, self.chunks))


class Record:
    """All exchanges of one mock provider: ``answers[i]`` belongs to ``requests[i]``."""

    def __init__(self) -> None:
        self.requests: list[ReceivedRequest] = []
        self.answers: list[SentAnswer] = []
        self.total = 0
        self.completed = 0
        self.hung_up: dict[Party, int] = {"client": 0, "server": 0}
        self.bytes_sent = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self._arrivals: asyncio.Queue[ReceivedRequest] = asyncio.Queue()
        self._begun: asyncio.Queue[tuple[ReceivedRequest, SentAnswer]] = asyncio.Queue()
        self._hangups: asyncio.Queue[SentAnswer] = asyncio.Queue()

    def arrived(self, request: ReceivedRequest) -> SentAnswer:
        """A request has come; returns the record of its answer."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        answer = SentAnswer(came=time.monotonic(), overlap=self.in_flight)
        self.total += 1
        self.requests.append(request)
        self.answers.append(answer)
        if len(self.requests) > 2 * KEPT:
            del self.requests[:KEPT], self.answers[:KEPT]
        _put(self._arrivals, request)
        return answer

    def began(self, request: ReceivedRequest, answer: SentAnswer) -> None:
        """The head of the answer is sent, or never will be: ``answer.status`` stays as it is."""
        _put(self._begun, (request, answer))

    def sent(self, answer: SentAnswer) -> None:
        """The answer is complete, but for the mark of its end."""
        answer.completed = True
        self.completed += 1
        self.ended(answer)

    def hang_up(self, answer: SentAnswer, who: Party) -> None:
        """The connection ended. The first to be named stays; a mark of the end unsent takes ``sent`` back."""
        if answer.hung_up is not None:
            return
        if answer.completed:
            answer.completed = False
            self.completed -= 1
        answer.hung_up = who
        self.ended(answer)
        self.hung_up[who] += 1
        if who == "client":
            _put(self._hangups, answer)

    def ended(self, answer: SentAnswer) -> None:
        """The answer is under way no more."""
        if answer.ended is None:
            answer.ended = time.monotonic()
            self.in_flight -= 1

    async def next_request(self) -> ReceivedRequest:
        """The next request that nobody has waited for yet."""
        return await self._arrivals.get()

    async def next_answer(self) -> tuple[ReceivedRequest, SentAnswer]:
        """The next request whose status is decided, with its answer, which nobody has waited for yet."""
        return await self._begun.get()

    async def next_hangup(self) -> SentAnswer:
        """The next answer that a client left, which nobody has waited for yet."""
        return await self._hangups.get()

    def summary(self) -> str:
        """All of it in one line."""
        return (
            f"{self.total} request{'' if self.total == 1 else 's'}, {self.completed} answered in full, "
            f"{self.hung_up['client']} left by the client, {self.hung_up['server']} cut by the server, "
            f"{self.bytes_sent:,} bytes sent"
        )


def _put(queue: asyncio.Queue[_T], item: _T) -> None:
    if queue.qsize() >= KEPT:
        queue.get_nowait()
    queue.put_nowait(item)
