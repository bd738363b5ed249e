"""Several deployments behind one name."""

import time
from collections.abc import AsyncGenerator, Sequence

from polyvox.assembly import failed
from polyvox.errors import ConfigurationError, PolyvoxError, RateLimitError
from polyvox.events import Event, Failed
from polyvox.model import Call, Model
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.routing.account import tell
from polyvox.routing.breaker import cooldown_kind
from polyvox.routing.commit import Opening, opening
from polyvox.routing.deployment import Deployment, DeploymentStatus, Lane
from polyvox.routing.pool import Pool, Seat
from polyvox.routing.strategies import Strategy, cost_rank
from polyvox.usage import Usage
from polyvox.waiting import Waiter

__all__ = ["Router"]

_MOST_NAMED = 3
_NEVER = float("inf")


class Router:
    """Ask one deployment, and if it can't answer another; with its first content an answer is final.

    Each deployment is asked at most once per call. An error that another one could not help, such as a
    bad request, ends the call at once.

    Args:
        deployments: who may be asked, best first; bare models, ``Deployment``, or a ``Pool``.
        strategy: who of them is asked first; a ``Pool`` has its own.
        fallbacks: who is asked in their place when none of them could answer, in this order.
        on_context_window: who is asked when the prompt was too long for the model.
        on_content_filter: who is asked when the provider's filter stopped the prompt or the answer.
        wait_seconds: how long to wait when nobody can be asked; the error comes at once by default.
        attempts: how many of the deployments are asked for one call, fallbacks not counted.
        name: the name it is asked by.

    ``Call(fallbacks=False)`` asks the deployments alone. Raises ``ConfigurationError`` for a wrong
    argument.
    """

    def __init__(
        self,
        deployments: Sequence[Deployment | Model] | Pool,
        *,
        strategy: Strategy = "priority",
        fallbacks: Sequence[Deployment | Model] = (),
        on_context_window: Sequence[Deployment | Model] = (),
        on_content_filter: Sequence[Deployment | Model] = (),
        wait_seconds: float = 0.0,
        attempts: int = 5,
        name: str = "router",
    ) -> None:
        pool = deployments if isinstance(deployments, Pool) else Pool(deployments, strategy)
        if not pool.lanes:
            raise ConfigurationError(f"the router {name!r} has no deployments")
        if attempts < 1:
            raise ConfigurationError(f"attempts is {attempts}; the first one counts: 1 or more")
        if not wait_seconds >= 0:
            raise ConfigurationError(f"wait_seconds is {wait_seconds}; give 0 or more")
        self.name = name
        self.pool = pool
        self.wait_seconds = wait_seconds
        self.attempts = attempts
        self.fallbacks, on_window, on_filter = (
            Pool(models, clock=pool.clock, random=pool.random)
            for models in (fallbacks, on_context_window, on_content_filter)
        )
        self.special = {"context_window_exceeded": on_window, "content_filter": on_filter}
        self._pools = [pool, self.fallbacks, on_window, on_filter]
        # Deployments of one name have one price.
        self._models = {lane.model.name: lane.model for each in self._pools for lane in each.lanes}

    def status(self) -> list[DeploymentStatus]:
        """How each deployment stands, then each fallback."""
        return [each for pool in self._pools for each in pool.status()]

    @property
    def models(self) -> list[Model]:
        """Who may be asked, fallbacks among them; one of each name."""
        return list(self._models.values())

    def quote(self, request: Request) -> Usage:
        """The most that any of them may use, with the dearest cost; one of each name is asked."""
        quotes = [quote_of(model, request) for model in self._models.values()]
        if len(quotes) == 1:
            return quotes[0]
        return Usage(
            input_tokens=max(quote.input_tokens for quote in quotes),
            output_tokens=max(quote.output_tokens for quote in quotes),
            basis="estimated",
            cost=max((quote.cost for quote in quotes), key=cost_rank),
        )

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The first answer that begins, or the failure that says most."""
        route = _Route(self, request, call.child())
        while (seat := route.free_seat() or await route.patiently()) is not None:
            with seat:
                events = seat.lane.model.stream(request, seat.call)
                try:
                    begun = await opening(events)
                    if begun.failed is None:
                        seat.answered()
                        for event in begun.events:
                            yield event
                        async for event in events:
                            if type(event) is Failed:
                                seat.failed(event.error)
                                tell(event.error, route.call.attempts)
                            yield event
                        return
                    seat.failed(begun.failed.error)
                finally:
                    await events.aclose()
            route.failed(seat, begun)
        for event in route.ending():
            yield event


class _Route:
    """One call's way through the deployments: who was asked, what came of it, who is next."""

    def __init__(self, router: Router, request: Request, call: Call) -> None:
        self._router = router
        self._request = request
        self.call = call
        self._pool = router.pool
        self._passed: dict[Pool, list[Lane]] = {}
        self._last: PolyvoxError | None = None
        self._elsewhere = True
        self._outcome: Opening | None = None
        self._due = _NEVER

    def free_seat(self) -> Seat | None:
        """A place at whoever is asked next; None when nobody can be asked now, or the call is over."""
        self._due = _NEVER
        if self._last is not None and self.call.is_over:
            return None
        for pool in self._next_pools():
            seat = pool.take(self._request, self.call, self._passed.get(pool, ()))
            if isinstance(seat, Seat):
                return seat
            self._due = min(self._due, seat.due)
        return None

    async def patiently(self) -> Seat | None:
        """A place for which the call has waited, as long as nobody was asked; None when it is over."""
        if self._last is not None:
            return None
        clock = self._router.pool.clock
        patience = clock() + self._router.wait_seconds
        seat: Seat | None = None
        try:
            with Waiter(self.call) as waiter, self._router.pool.waiting(waiter):
                while (seat := self.free_seat()) is None and clock() < patience:
                    seconds = min(self._due, patience) - clock()
                    await waiter.until(time.monotonic() + seconds)
        except PolyvoxError as error:
            self._end(error)
            return seat
        if seat is None:
            self._end(self._nobody())
        return seat

    def failed(self, seat: Seat, begun: Opening) -> None:
        """It failed before the commit point."""
        assert begun.failed is not None
        error = self._last = begun.failed.error
        self._pool = seat.pool
        self._passed.setdefault(seat.pool, []).append(seat.lane)
        rule = seat.lane.cooldowns.get(cooldown_kind(error))
        self._elsewhere = rule is not None and rule.elsewhere
        # Of several failures the last one is told, but rather one after which asking again may help.
        before = self._outcome and self._outcome.failed
        if before is None or error.retryable or not before.error.retryable:
            self._outcome = begun

    def ending(self) -> list[Event]:
        """The events that end a call that nobody has answered."""
        outcome = self._outcome or Opening([], None)
        if outcome.failed is not None:
            tell(outcome.failed.error, self.call.attempts)
        return outcome.events

    def _next_pools(self) -> list[Pool]:
        """Who may be asked after the last error."""
        router = self._router
        special = router.special.get(self._last.kind) if self._last is not None else None
        if special is not None:
            return [special] if self.call.fallbacks else []
        if not self._elsewhere:
            return []
        asked = len(self._passed.get(router.pool, ()))
        pools = [self._pool] if self._pool is not router.pool or asked < router.attempts else []
        return [*pools, router.fallbacks] if self.call.fallbacks else pools

    def _end(self, error: PolyvoxError) -> None:
        event = failed(error)
        self._outcome = Opening([event], event)

    def _nobody(self) -> RateLimitError:
        pool = self._router.pool
        wait = None if self._due == _NEVER else max(0.0, self._due - pool.clock())
        standing = [str(status) for status in pool.status()[:_MOST_NAMED]]
        more = len(pool.lanes) - len(standing)
        others = f"; and {more} more" if more > 0 else ""
        return RateLimitError(
            f"none of the {len(pool.lanes)} deployments of {self._router.name!r} can be asked now",
            hint=f"{'; '.join(standing)}{others}.",
            retry_after=wait,
        )
