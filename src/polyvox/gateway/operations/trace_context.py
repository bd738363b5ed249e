"""A caller's trace goes on here: the spans of a call stand below the span that its headers name.

Source of the headers ``traceparent`` and ``tracestate``: "Trace Context" of the W3C. Which headers are
read the program's OpenTelemetry decides (``OTEL_PROPAGATORS``).
"""

from opentelemetry import context, propagate

from polyvox.gateway.web.asgi import ASGIApp, Receive, Scope, Send
from polyvox.gateway.web.door import headers_of

__all__ = ["TraceContext"]


class TraceContext:
    """Around the application of a gateway that tells OpenTelemetry of its calls."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request within the trace of its caller."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        token = context.attach(propagate.extract(headers_of(scope)))
        try:
            await self._app(scope, receive, send)
        finally:
            context.detach(token)
