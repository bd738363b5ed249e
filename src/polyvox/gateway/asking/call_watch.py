"""Who looks on while calls are asked, for the metrics and for the journal."""

from polyvox.errors import OverloadedError, PolyvoxError
from polyvox.gateway.asking.plan import Plan, Watch
from polyvox.gateway.journal.file import Journal
from polyvox.gateway.journal.lines import Ended
from polyvox.gateway.operations.metrics import Metrics

__all__ = ["CallWatch"]


class CallWatch(Watch):
    """Counts calls, and refuses those that could not be recorded."""

    def __init__(self, metrics: Metrics, journal: Journal) -> None:
        self._metrics = metrics
        self._journal = journal

    def refusal(self) -> PolyvoxError | None:
        journal = self._journal
        if journal.failing is None or journal.section.on_failure == "allow":
            return None
        return OverloadedError(
            "the gateway can't record calls just now, and serves none unrecorded",
            hint="Ask again in a moment; nothing was sent to a provider.",
            status=503,
            retry_after=2.0,
        )

    def reason(self, error: PolyvoxError) -> str | None:
        return self._journal.reasons.of(error)

    def ended(self, plan: Plan, line: Ended) -> None:
        self._metrics.call(
            plan.asked.dialect or plan.call.kind,
            plan.asked.request.model,
            line.error or "ok",
            seconds=line.seconds,
            overhead=line.overhead,
            first_token=line.first_token,
            usage=plan.usage,
        )
        self._metrics.attempted(plan.call.attempts)
