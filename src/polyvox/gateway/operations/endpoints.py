"""The endpoints for whoever runs the gateway: health, readiness, metrics."""

import asyncio
from collections.abc import Callable

import msgspec
from starlette.responses import Response

from polyvox.errors import PermissionDeniedError
from polyvox.gateway.operations.health import Health, HealthReport
from polyvox.gateway.operations.metrics import CONTENT_TYPE
from polyvox.gateway.operations.ready import Readiness, ReadyReport
from polyvox.gateway.web.endpoints import Arrived, Endpoint

__all__ = ["EXEMPT", "Operations"]

EXEMPT = frozenset(("/health", "/ready", "/metrics"))
"""Paths that are answered however busy the gateway is, and stay out of the access log while all is well."""

USE = "metrics"


class Operations:
    """Answers whoever watches the gateway. ``counted`` is what is told of the metrics."""

    def __init__(self, health: Health, readiness: Readiness, counted: Callable[[], bytes]) -> None:
        self._health = health
        self._readiness = readiness
        self._counted = counted

    def endpoints(self) -> list[Endpoint]:
        """The endpoints of this room."""
        return [
            Endpoint(
                "GET",
                "/health",
                "How the gateway is; always 200 while it can answer.",
                self.health,
                who="anyone",
                gives=HealthReport,
            ),
            Endpoint(
                "GET",
                "/ready",
                "Whether calls should be sent here: 200, else 503.",
                self.ready,
                who="anyone",
                gives=ReadyReport,
            ),
            Endpoint(
                "GET",
                "/metrics",
                "What is counted, for Prometheus. Takes the administrator's key, or one for 'metrics'.",
                self.metrics,
                use=USE,
                writes=("text/plain",),
            ),
        ]

    async def health(self, arrived: Arrived) -> HealthReport:
        """What every part says of itself."""
        return self._health.report()

    async def ready(self, arrived: Arrived) -> Response:
        """Whether calls should come."""
        report = self._readiness.report()
        status = 200 if report.ready else 503
        return Response(msgspec.json.encode(report), status, media_type="application/json")

    async def metrics(self, arrived: Arrived) -> Response:
        """Everybody's models and costs: not for a key that is good for "*" because nobody said more."""
        if not (arrived.access.admin or USE in arrived.access.routes):
            raise PermissionDeniedError(
                "this key may not read the metrics",
                hint='Take the administrator\'s key, or one with routes = ["metrics"].',
                status=403,
            )
        text = await asyncio.to_thread(self._counted)
        return Response(text, headers={"content-type": CONTENT_TYPE})
