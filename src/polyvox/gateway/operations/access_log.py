"""Around every request: its id, its line in the log, its count."""

import time
import traceback
from collections.abc import Awaitable
from typing import Any

from polyvox.attempt import Attempt
from polyvox.dialects.openai_errors import encode_error
from polyvox.errors import PolyvoxError, ServerError, in_words
from polyvox.gateway.journal.reasons import Reasons
from polyvox.gateway.operations.endpoints import EXEMPT
from polyvox.gateway.operations.log_lines import LogLines, Repeats
from polyvox.gateway.operations.metrics import Metrics
from polyvox.gateway.operations.request_ids import HEADER, request_id
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.asgi import ASGIApp, Message, Receive, Scope, Send
from polyvox.gateway.web.door import ACCESS, CALL, FAILURE, REQUEST_ID, ROUTE, headers_of
from polyvox.ledger import Redactor

__all__ = ["AccessLog"]

_FAILURES = (401, 403, 429)
_GONE = 499


class AccessLog:
    """Gives each request an id, and writes a line when it is over.

    It says whose key that was, which model was called and who answered, and why it failed. The path
    stands there without its query, which may hold a key; no header does. Failures of one kind are written
    so many times a minute. ``/health`` and the like only if they fail.

    Args:
        app: what is within.
        lines: where the lines go.
        metrics: is told of each request.
        worker: the number of this worker.
        repeats: how many lines of a kind are enough.
        redactor: masks keys in what an unforeseen error says.
        reasons: what may be said of the others.
    """

    def __init__(
        self,
        app: ASGIApp,
        lines: LogLines,
        metrics: Metrics,
        *,
        worker: int = 1,
        repeats: Repeats | None = None,
        redactor: Redactor | None = None,
        reasons: Reasons | None = None,
    ) -> None:
        self._app = app
        self._lines = lines
        self._metrics = metrics
        self._worker = worker
        self._repeats = repeats or Repeats()
        self._redactor = redactor or Redactor()
        self._reasons = reasons or Reasons()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        seen = _Seen(scope, send)
        try:
            await self._app(scope, receive, seen.send)
        except Exception as error:  # noqa: BLE001 -- whatever the application raises, the request is over
            await self._failed(scope, seen, error)
        finally:
            self._tell(scope, seen)

    async def _failed(self, scope: Scope, seen: "_Seen", error: Exception) -> None:
        """What nobody foresaw: in the log with what it says, to the caller without."""
        seen.failure, seen.where = self._redactor.text(in_words(error)), _where(error)
        if seen.status == 0 and scope["type"] == "http":
            await _answer_500(seen)

    def _tell(self, scope: Scope, seen: "_Seen") -> None:
        status = seen.status or _GONE
        path: str = scope["path"]
        self._metrics.request(scope.get(ROUTE, "none"), status)
        if self._lines.form == "off" or (path in EXEMPT and status < 500):
            return
        failure: PolyvoxError | None = scope.pop(FAILURE, None) if FAILURE in scope else None
        held = 0
        if status >= 500 or status in _FAILURES:
            passes = self._repeats.passes((status, failure and failure.kind, seen.failure[:80]))
            if passes is None:
                return
            held = passes
        client = scope.get("client")
        line: dict[str, Any] = {
            "at": self._lines.clock(),
            "about": "request",
            "id": seen.id,
            "worker": self._worker,
            "method": scope.get("method", "WS"),
            "path": path[:500],
            "status": status,
            "ms": round((time.perf_counter() - seen.began) * 1000, 2),
            "bytes": seen.bytes,
        }
        if client:
            line["client"] = client[0]
        if ACCESS in scope:
            _tell_whose(line, scope)
        if held:
            line["held_back"] = held
        if seen.failure:
            line |= {"error": seen.failure, "where": seen.where}
        elif failure is not None:
            line["error"] = failure.kind
            cause = failure.__cause__  # what was told in other words
            if reason := self._reasons.of(cause if isinstance(cause, PolyvoxError) else failure):
                line["reason"] = reason
        self._lines.add(line)


def _tell_whose(line: dict[str, Any], scope: Scope) -> None:
    """Whose request it is, and what came of the call that it asks for."""
    access: Access = scope[ACCESS]
    line["key"] = access.name or access.key
    if access.organisation:
        line["organisation"] = access.organisation
    if access.team:
        line["team"] = access.team
    if CALL not in scope:
        return
    attempts: list[Attempt]
    line["call"], model, attempts = scope[CALL]
    line["model"] = model[:200]
    if attempts:
        last = attempts[-1]
        line["by"] = f"{last.provider}/{last.model}"[:200]
        if len(attempts) > 1:
            line["attempts"] = len(attempts)


class _Seen:
    """What is seen of one request on its way out."""

    __slots__ = ("_send", "began", "bytes", "failure", "id", "status", "where")

    def __init__(self, scope: Scope, send: Send) -> None:
        self.began = time.perf_counter()
        self._send = send
        self.id = scope[REQUEST_ID] = request_id(headers_of(scope))
        self.status = 0
        self.bytes = 0
        self.failure = self.where = ""

    def send(self, message: Message) -> Awaitable[None]:
        """Look at it, and pass it on: what is given back is the sending itself."""
        if self.status:
            self.bytes += len(message.get("body", b""))
        elif (kind := message["type"]) in _BEGINNINGS:
            self.status = message.get("status", _BEGINNINGS[kind])
            ours = _HEADER, self.id.encode()
            message["headers"] = [*message.get("headers", ()), ours, _SERVER]
        return self._send(message)


_HEADER = HEADER.encode()
_SERVER = b"server", b"polyvox"
_BEGINNINGS = {
    "http.response.start": 200,
    "websocket.accept": 101,
    "websocket.close": 403,
    "websocket.http.response.start": 403,
}


def _where(error: Exception) -> str:
    """The innermost place of ours that an error went through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "polyvox" in frame.filename] or frames
    return f"{ours[-1].filename.rpartition('polyvox/')[2]}:{ours[-1].lineno}" if ours else ""


async def _answer_500(seen: _Seen) -> None:
    error = ServerError("the gateway failed", hint=f"Its log says more of request {seen.id}.")
    status, body = encode_error(error)
    headers = [(b"content-type", b"application/json")]
    await seen.send({"type": "http.response.start", "status": status, "headers": headers})
    await seen.send({"type": "http.response.body", "body": body})
