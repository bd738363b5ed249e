"""Whatever can be asked is a ``Model``: one method, a stream of events.

A provider's model, a router, a cache, a council, a simulated one: all the same shape, so they nest.
A model never raises out of ``stream`` (bad arguments of the program itself excepted) and never
hangs: every failure is the stream's last event. Reading a stream inside a stream, wrap it in
``contextlib.aclosing``: that is what makes closing reach the socket.

A model may offer a second method, for those who care for nothing but the end of the stream:
``async def answer(request, call) -> AssistantMessage``. It keeps the call's books as ``stream`` does,
and raises the error of a ``Failed``, whose ``message`` is what had arrived. ``polyvox.whole`` asks it.
"""

import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import cache, partial
from typing import Literal, Protocol, TypeAlias

import msgspec

from polyvox.attempt import Attempt
from polyvox.chance import random_hex
from polyvox.errors import BadRequestError, ConfigurationError
from polyvox.events import Event
from polyvox.messages import AssistantMessage
from polyvox.request import Request
from polyvox.verbatim import Verbatim

Caching: TypeAlias = Literal["use", "skip", "refresh"]
Kind: TypeAlias = Literal["answer", "embedding"]
Debits: TypeAlias = Mapping[tuple[str, int], int]
"""Nano-dollars by the account of a budget, and the number of the window in which they count."""


class Interrupt:
    """A switch, safe to throw from any thread or signal handler, that ends the calls it is given to.

    A call ends with an ``error`` event of ``AbortedError`` that keeps all that had arrived. One
    interrupt may serve many calls; once set it stays set.

    >>> interrupt = Interrupt()
    >>> interrupt.set("the user pressed stop")
    >>> interrupt.is_set, interrupt.reason
    (True, 'the user pressed stop')
    """

    def __init__(self) -> None:
        # Reentrant: a signal handler may call set() in the thread that holds the lock.
        self._lock = threading.RLock()
        self._reason: str | None = None
        self._listeners: dict[object, Callable[[], None]] = {}

    def __repr__(self) -> str:
        return f"Interrupt({'set: ' + self._reason if self._reason else 'not set'})"

    @property
    def is_set(self) -> bool:
        """Whether it was thrown."""
        return self._reason is not None

    @property
    def reason(self) -> str | None:
        """Why, in words for a person; None while it is not set."""
        return self._reason

    def set(self, reason: str = "interrupted by the caller") -> None:
        """Throw it. The first reason stays."""
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
        for token in list(self._listeners):
            self._tell(token)

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` once when the interrupt is set, in the thread that sets it, or now if it is.

        Returns a function that takes the listener off again.
        """
        token = object()
        self._listeners[token] = listener  # before looking, so that it is seen by who sets it now
        if self._reason is not None:
            self._tell(token)
        return partial(self._forget, token)

    def _tell(self, token: object) -> None:
        """Once, by whoever takes it off first."""
        listener = self._listeners.pop(token, None)
        if listener is not None:
            listener()

    def _forget(self, token: object) -> None:
        self._listeners.pop(token, None)


def _new_id() -> str:
    return random_hex(16)


class Call(msgspec.Struct, kw_only=True):
    """What is about this one call and not about the prompt.

    ``deadline`` is a point on ``time.monotonic()``; ``timeout`` makes one out of seconds. ``tenant``
    says for whom it is: nothing cached for one tenant is ever given to another. ``session`` and
    ``tags`` are words by which costs and logs are found again. Without ``fallbacks`` no router asks
    another model in place of the one that was meant.

    ``attempts`` grows by one for each time that a provider was asked, and ``on_attempt`` is told of
    it. ``left`` is written by the model when its stream is closed or its task cancelled before the end,
    and makes ``partial``: the message, usage and cost so far, which no event can carry any more.

    ``debits`` is what budgets are debited for it, first what is reserved and then what was used, and
    ``on_debit`` is told of each change.

    ``caching`` says what a cache of answers may do: "use" a stored one, "skip" it (neither look nor
    store), or "refresh" it (ask anew and store); ``caching_ttl`` is how many seconds the answer to
    this call may be stored. ``kind`` is what is asked for: an answer, or vectors (see ``layered``).
    ``verbatim`` is the request in the caller's own words, where a gateway has them.
    """

    id: str = msgspec.field(default_factory=_new_id)
    interrupt: Interrupt | None = None
    deadline: float | None = None
    tenant: str = ""
    session: str | None = None
    tags: dict[str, str] = {}
    fallbacks: bool = True
    caching: Caching = "use"
    caching_ttl: float | None = None
    kind: Kind = "answer"
    verbatim: Verbatim | None = None
    left: Callable[[], AssistantMessage] | None = None
    attempts: list[Attempt] = []
    parent: "Call | None" = None
    on_attempt: Callable[[Attempt], None] | None = None
    debits: dict[tuple[str, int], int] = {}
    on_debit: Callable[[Debits], None] | None = None

    def child(self) -> "Call":
        """A call inside this one, with books of its own: what it records is recorded here as well."""
        return Call(
            id=self.id,
            interrupt=self.interrupt,
            deadline=self.deadline,
            tenant=self.tenant,
            session=self.session,
            tags=self.tags,
            fallbacks=self.fallbacks,
            caching=self.caching,
            caching_ttl=self.caching_ttl,
            kind=self.kind,
            verbatim=self.verbatim,
            parent=self,
        )

    @property
    def partial(self) -> AssistantMessage | None:
        """What had arrived when the reader left, or the task was cancelled; else None."""
        return None if self.left is None else self.left()

    @property
    def is_late(self) -> bool:
        """Whether its deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be done for it: it was interrupted, or is late."""
        return (self.interrupt is not None and self.interrupt.is_set) or self.is_late

    def record(self, attempt: Attempt) -> None:
        """A provider was asked once more, and this is how it went."""
        call: Call | None = self
        while call is not None:
            call.attempts.append(attempt)
            if call.on_attempt is not None:
                call.on_attempt(attempt)
            call = call.parent

    def debit(self, more: Debits) -> None:
        """Budgets were debited so much more for it, or less."""
        call: Call | None = self
        while call is not None:
            for window, nanos in more.items():
                call.debits[window] = call.debits.get(window, 0) + nanos
            if call.on_debit is not None:
                call.on_debit(more)
            call = call.parent

    def leave(self, message: AssistantMessage | Callable[[], AssistantMessage]) -> None:
        """The reader left, or the task was cancelled: this had arrived, or is made at the first look."""
        left = cache(message) if callable(message) else lambda: message
        call: Call | None = self
        while call is not None:
            call.left = left
            call = call.parent

    @classmethod
    def timeout(cls, seconds: float | None, interrupt: Interrupt | None = None) -> "Call":
        """A call that may take so many seconds in all. Raises ``BadRequestError`` for no number."""
        if seconds is not None and not isinstance(seconds, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadRequestError(f"timeout is a {type(seconds).__name__}; give seconds")
        deadline = None if seconds is None else time.monotonic() + seconds
        return cls(deadline=deadline, interrupt=interrupt)


class Model(Protocol):
    """Anything that can be asked."""

    @property
    def name(self) -> str:
        """The name it is asked by, such as "openai/gpt-5-mini"."""
        ...

    def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The answer as events, in the grammar of ``polyvox.events``; closing it stops the work."""
        ...


def checked_model(model: Model, where: str) -> Model:
    """The model itself. Raises ``ConfigurationError`` for what can't be asked, such as a name."""
    if hasattr(model, "name") and hasattr(model, "stream"):
        return model
    if isinstance(model, str):
        raise ConfigurationError(
            f"{where} takes a model, and {model!r} is a string",
            hint=f"A client makes models of names: client.model({model!r}).",
        )
    if hasattr(model, "name") and hasattr(model, "embed"):
        raise ConfigurationError(
            f"{where} takes a model, and {type(model).__name__} is an embedder",
            hint=f"polyvox.layered(embedder, lambda model: {where}(model, ...)) takes both.",
        )
    raise ConfigurationError(
        f"{where} takes a model, not an object of type {type(model).__name__}",
        hint='A client makes models of names: client.model("openai/gpt-5-mini").',
    )
