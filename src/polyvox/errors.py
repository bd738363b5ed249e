"""How a call fails.

    PolyvoxError
     |- ConfigurationError            the program's own set-up: an unknown provider, a bad option
     |- BadRequestError               the provider, or we before it, can't take the request as it is
     |   '- ContextWindowExceededError    it is too long for the model
     |- AuthenticationError           the key is wrong
     |   '- MissingKeyError               there is none
     |- PermissionDeniedError         the key may not do this
     |- NotFoundError                 no such model or address
     |- ContentFilterError            the provider's filter stopped the prompt or the answer
     |- RateLimitError                too much in too short a time, or out of quota
     |- OverloadedError               the provider has no room just now
     |- ServerError                   the provider failed
     |- NetworkError                  the connection could not be made, or broke
     |- RequestTimeoutError           a deadline passed; ``phase`` says which
     |- ProtocolError                 the answer breaks its own format, or stopped before its end
     |- InvalidAnswerError            the answer came, but is not the JSON that was asked for
     |- AbortedError                  the caller's interrupt
     |- BudgetExceededError           our own budget does not allow the call
     |   '- UnknownPriceError         ... since nobody knows what it may cost
     '- RunLimitError                 an agent's run came to one of its limits

Every error knows the provider, the model and the request id where there are any, whether asking
again may help (``retryable``), ``attempts``: what was tried before giving up, and ``message``: the
part of the answer that had arrived.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

if TYPE_CHECKING:
    from polyvox.attempt import Attempt
    from polyvox.messages import AssistantMessage

Phase: TypeAlias = Literal["connect", "first_byte", "idle", "total"]
InvalidReason: TypeAlias = Literal["truncated", "refused", "unfinished", "not_json", "mismatch"]


class PolyvoxError(Exception):
    """Anything that can go wrong in a call.

    ``text`` says what happened, ``hint`` what to do about it; ``str(error)`` has both, after the
    model's name. ``message`` is what had arrived of the answer, None if the call had not begun.
    ``status`` is the HTTP status, ``retry_after`` the seconds the provider asks to
    wait, ``provider_code`` the provider's own word for the error.
    """

    kind: ClassVar[str] = "error"
    retryable: bool = False

    def __init__(
        self,
        text: str,
        *,
        hint: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        provider_code: str | None = None,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.status = status
        self.retry_after = retry_after
        self.provider_code = provider_code
        self.provider: str | None = None
        self.model: str | None = None
        self.request_id: str | None = None
        self.message: AssistantMessage | None = None
        self.attempts: list[Attempt] = []
        self.result: Any = None  # of an agent's run that ended with this error: its AgentResult

    def __str__(self) -> str:
        name = "/".join(part for part in (self.provider, self.model) if part)
        about = f"{name}: {self.text}" if name else self.text
        if self.request_id:
            about += f" (request {self.request_id})"
        return f"{about}\n{self.hint}" if self.hint else about

    def to_dict(self) -> dict[str, Any]:
        """The error as plain JSON values, without the partial message; ``error_from_dict`` reads it."""
        values = {name: getattr(self, name, None) for name in _FIELDS}
        return {"kind": self.kind, "text": self.text, "retryable": self.retryable} | {
            name: value for name, value in values.items() if value is not None
        }


class ConfigurationError(PolyvoxError):
    """The program's own set-up is wrong: an unknown provider, a malformed file, a bad option."""

    kind = "configuration"


class BadRequestError(PolyvoxError):
    """The request can't be served as it is; sending it again won't help."""

    kind = "bad_request"


class ContextWindowExceededError(BadRequestError):
    """The prompt, with the answer asked for, is longer than the model's context window."""

    kind = "context_window_exceeded"


class AuthenticationError(PolyvoxError):
    """The provider does not accept the key."""

    kind = "authentication"


class MissingKeyError(AuthenticationError):
    """No key was given for a provider that needs one."""

    kind = "missing_key"


class PermissionDeniedError(PolyvoxError):
    """The key is good but may not do this."""

    kind = "permission_denied"


class NotFoundError(PolyvoxError):
    """The provider knows no such model, or nothing answers at this address."""

    kind = "not_found"


class ContentFilterError(PolyvoxError):
    """The provider's content filter stopped the prompt or the answer."""

    kind = "content_filter"


class RateLimitError(PolyvoxError):
    """Too many requests or tokens in too short a time; ``retry_after`` says how long to wait, if known."""

    kind = "rate_limit"
    retryable = True


class OverloadedError(PolyvoxError):
    """The provider has no capacity at the moment."""

    kind = "overloaded"
    retryable = True


class ServerError(PolyvoxError):
    """The provider failed on its side."""

    kind = "server"
    retryable = True


class NetworkError(PolyvoxError):
    """The connection could not be made, or broke."""

    kind = "network"
    retryable = True


class RequestTimeoutError(PolyvoxError):
    """A deadline passed: ``phase`` is "connect", "first_byte", "idle" (between bytes) or "total"."""

    kind = "timeout"
    retryable = True

    def __init__(self, text: str, *, phase: Phase = "total", hint: str | None = None) -> None:
        super().__init__(text, hint=hint)
        self.phase: Phase = phase


class ProtocolError(PolyvoxError):
    """The answer breaks its own format: not the promised JSON, or an end without an ending."""

    kind = "protocol"
    retryable = True


class InvalidAnswerError(PolyvoxError):
    """The answer came, but no value of the type or schema asked for can be read from it.

    ``reason`` says why: "truncated" at a token limit, "refused" by the model, "unfinished" (it
    called tools, or paused), "not_json", or "mismatch" with the schema; ``path`` is then the place
    in the JSON, such as "$.people[0].age". ``message`` holds the answer.
    """

    kind = "invalid_answer"

    def __init__(
        self,
        text: str,
        *,
        reason: InvalidReason = "mismatch",
        path: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(text, hint=hint)
        self.reason: InvalidReason = reason
        self.path = path


class AbortedError(PolyvoxError):
    """The caller interrupted the call; ``message`` holds what had arrived."""

    kind = "aborted"


class BudgetExceededError(PolyvoxError):
    """The call would cost more than its budget allows."""

    kind = "budget_exceeded"


class UnknownPriceError(BudgetExceededError):
    """Nobody knows what the call may cost, so that its budget can't be kept; nothing is used up."""

    kind = "unknown_price"


class RunLimitError(PolyvoxError):
    """An agent's run came to one of its limits; ``result`` is what it had done by then."""

    kind = "run_limit"


def in_words(error: BaseException) -> str:
    """Any exception in one line: its kind, and what it says if it says something.

    >>> in_words(KeyError("city")), in_words(TimeoutError())
    ("KeyError: 'city'", 'TimeoutError')
    """
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


_NEVER_A_PROVIDERS = frozenset(
    (
        *("network", "missing_key", "configuration", "timeout", "aborted"),
        *("budget_exceeded", "unknown_price", "run_limit"),
    )
)
_MAYBE_A_PROVIDERS = frozenset(
    (
        *("rate_limit", "overloaded", "server"),
        *("authentication", "permission_denied", "not_found"),
    )
)


def in_our_words(kind: object, status: object, provider: object) -> bool:
    """Whether what such an error says is our own; what a provider says may repeat what it was asked.

    An error with a status is an answer.

    >>> in_our_words("timeout", None, "openai"), in_our_words("timeout", 504, "openai")
    (True, False)
    """
    if status is not None:
        return False
    return kind in _NEVER_A_PROVIDERS or (not provider and kind in _MAYBE_A_PROVIDERS)


_FIELDS = (
    "hint",
    "status",
    "retry_after",
    "provider_code",
    "provider",
    "model",
    "request_id",
    "phase",
    "reason",
    "path",
)


def _subclasses(cls: type[PolyvoxError]) -> list[type[PolyvoxError]]:
    return [cls, *(below for sub in cls.__subclasses__() for below in _subclasses(sub))]


def error_from_dict(fields: dict[str, Any]) -> PolyvoxError:
    """The error that ``PolyvoxError.to_dict`` wrote.

    Only ``text`` is required. An unknown or missing ``kind`` gives a plain ``PolyvoxError``.
    """
    kinds = {cls.kind: cls for cls in reversed(_subclasses(PolyvoxError))}
    error = kinds.get(str(fields.get("kind")), PolyvoxError)(str(fields["text"]))
    for name in ("retryable", *_FIELDS):
        if name in fields:
            setattr(error, name, fields[name])
    return error
