"""Metrics in the format of Prometheus, in a registry of this gateway's own.

A call is observed once, when it is over, by counters that are found once for each combination of
route, model and outcome: a microsecond or two. What a part counts itself is read when somebody asks.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Final

from polyvox.attempt import Attempt
from polyvox.errors import ConfigurationError
from polyvox.gateway.operations.counting import Count, Counts, Readings, Spread, Spreads
from polyvox.gateway.operations.labels import OTHER, Labels
from polyvox.usage import Usage

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_MODELS = 200
_ROUTES = 100
_NANOS = 1e-9
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
_OVERHEAD = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
_SELDOM = ("cache_read", "cache_write", "reasoning")
_seldom_of: Callable[[Usage], tuple[int, ...]] = attrgetter(*(f"{part}_tokens" for part in _SELDOM))


class Metrics:
    """What one worker counts. To be told on one thread, the event loop's; may be read from any.

    Args:
        worker: its number, a label of everything.

    Raises ``ConfigurationError`` without the extra ``gateway``.
    """

    def __init__(self, worker: int = 1) -> None:
        try:
            from prometheus_client import CollectorRegistry
        except ImportError:
            raise ConfigurationError(
                "metrics need prometheus-client", hint="pip install 'polyvox[gateway]'"
            ) from None
        self._registry = CollectorRegistry(auto_describe=True)
        self._worker = str(worker)
        self._models = Labels(_MODELS)
        self._routes = Labels(_ROUTES)
        self._readings: dict[str, Readings] = {}
        self._rows: dict[tuple[str, str, str], _Row] = {}
        self._paths: dict[tuple[str, int], Count] = {}
        self._targets = Labels(_MODELS)
        self._asked: dict[tuple[str, str, str | None], Count] = {}
        self._book = _Book(self)
        about = "How late the event loop was, measured four times a second."
        lag = self.histogram("loop_lag_seconds", about, (), _OVERHEAD)
        self.loop_lag: Callable[[float], None] = lag.of(self._worker).observe
        self._shadowed = self.counter("shadow_hits_total", _SHADOW, ("what", "level"))
        asked = ("provider", "model", "outcome")
        self._attempts = self.counter("attempts_total", "How often providers were asked.", asked)
        self._http = self.counter("http_requests_total", "Requests over HTTP.", ("route", "status"))

    def call(
        self,
        route: str,
        model: str,
        outcome: str,
        *,
        seconds: float,
        overhead: float | None = None,
        first_token: float | None = None,
        usage: Usage | None = None,
    ) -> None:
        """A call is over: in which dialect, who was asked, "ok" or the kind of error, times, what it used."""
        row = self._rows.get((route, model, outcome))
        if row is None:
            row = self._row(route, model, outcome)
        row.observe(seconds, overhead, first_token, usage)

    def attempted(self, attempts: Sequence[Attempt]) -> None:
        """Providers were asked for a call that is over."""
        known = self._asked
        for each in attempts:
            asked = each.provider, each.model, each.error
            if asked in known:
                known[asked].value += 1
            else:
                self._count_of(each).value += 1

    def request(self, route: str, status: int) -> None:
        """A request over HTTP was answered; ``route`` as the gateway's own table has it."""
        count = self._paths.get((route, status))
        if count is None:
            count = self._http.of(self._worker, route, str(status))
            if len(self._paths) < 10 * _ROUTES:
                self._paths[route, status] = count
        count.value += 1

    def shadowed(self, what: str, level: str) -> None:
        """A call would have been refused by a level that only counts: "key:<id>" counts as "key"."""
        self._shadowed.of(self._worker, what, level.partition(":")[0]).value += 1

    def watch(
        self, name: str, about: str, read: Callable[[], float], *, counts: bool = False
    ) -> None:
        """A number that is read whenever somebody asks for the metrics; one that only grows ``counts``."""
        self.watch_each(name, about, (), lambda: {(): read()}, counts=counts)

    def watch_each(
        self,
        name: str,
        about: str,
        labels: tuple[str, ...],
        read: Callable[[], Mapping[tuple[str, ...], float]],
        *,
        counts: bool = False,
    ) -> None:
        """Numbers by the values of these labels; several may be read of one name, with one set of labels."""
        if name not in self._readings:
            every = ("worker", *labels)
            self._readings[name] = Readings(f"polyvox_{name}", about, every, counts=counts)
            self._registry.register(self._readings[name])
        worker = self._worker
        self._readings[name].reads.append(
            lambda: {(worker, *values): number for values, number in read().items()}
        )

    def counter(self, name: str, about: str, labels: tuple[str, ...]) -> Counts:
        """A counter of this registry, with the label ``worker`` first."""
        counts = Counts(f"polyvox_{name}", about, ("worker", *labels))
        self._registry.register(counts)
        return counts

    def histogram(
        self, name: str, about: str, labels: tuple[str, ...], bounds: tuple[float, ...]
    ) -> Spreads:
        """A histogram of this registry, with the label ``worker`` first."""
        spreads = Spreads(f"polyvox_{name}", about, ("worker", *labels), bounds)
        self._registry.register(spreads)
        return spreads

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)

    def _count_of(self, attempt: Attempt) -> Count:
        name = self._targets.of(attempt.name)
        model = attempt.model if name != OTHER else OTHER
        count = self._attempts.of(self._worker, attempt.provider, model, attempt.error or "ok")
        if len(self._asked) < _MODELS * 20:
            self._asked[attempt.provider, attempt.model, attempt.error] = count
        return count

    def _row(self, route: str, model: str, outcome: str) -> "_Row":
        labels = self._routes.of(route), self._models.of(model)
        row = self._book.row(self._worker, *labels, outcome)
        if len(self._rows) < _MODELS * 20:
            self._rows[route, model, outcome] = row
        return row


class _Book:
    """The metrics of calls."""

    def __init__(self, metrics: Metrics) -> None:
        by = ("route", "model")
        self._calls = metrics.counter("calls_total", "Calls that are over.", (*by, "outcome"))
        self._seconds = metrics.histogram(
            "call_seconds", "How long calls took in all.", by, _SECONDS
        )
        self._first = metrics.histogram("first_token_seconds", _FIRST, by, _SECONDS)
        self._overhead = metrics.histogram("overhead_seconds", _OURS, ("route",), _OVERHEAD)
        self._tokens = metrics.counter("tokens_total", _TOKENS, ("model", "part"))
        self._cost = metrics.counter("cost_dollars_total", "What calls cost.", ("model",))
        self._unpriced = metrics.counter("unpriced_calls_total", _UNPRICED, ("model",))

    def row(self, worker: str, route: str, model: str, outcome: str) -> "_Row":
        return _Row(
            self._calls.of(worker, route, model, outcome),
            self._seconds.of(worker, route, model),
            self._first.of(worker, route, model),
            self._overhead.of(worker, route),
            [self._tokens.of(worker, model, part) for part in ("input", "output", *_SELDOM)],
            self._cost.of(worker, model),
            self._unpriced.of(worker, model),
        )


class _Row:
    """What is counted for one combination of route, model and outcome."""

    __slots__ = (
        "_calls",
        "_cost",
        "_first",
        "_input",
        "_output",
        "_overhead",
        "_seconds",
        "_seldom",
        "_unpriced",
    )

    def __init__(
        self,
        calls: Count,
        seconds: Spread,
        first: Spread,
        overhead: Spread,
        tokens: list[Count],
        cost: Count,
        unpriced: Count,
    ) -> None:
        self._calls, self._seconds, self._first = calls, seconds, first
        self._overhead = overhead
        self._input, self._output, *self._seldom = tokens
        self._cost, self._unpriced = cost, unpriced

    def observe(
        self,
        seconds: float,
        overhead: float | None,
        first_token: float | None,
        usage: Usage | None,
    ) -> None:
        self._calls.value += 1
        self._seconds.observe(seconds)
        if overhead is not None:
            self._overhead.observe(overhead)
        if first_token is not None:
            self._first.observe(first_token)
        if usage is None:
            return
        self._input.value += usage.input_tokens
        self._output.value += usage.output_tokens
        if any(seldom := _seldom_of(usage)):
            for count, tokens in zip(self._seldom, seldom, strict=True):
                count.value += tokens
        cost = usage.cost
        if cost.nanos:
            self._cost.value += cost.nanos * _NANOS
        if cost.status == "unknown" and usage.basis != "missing":
            self._unpriced.value += 1


_SHADOW = "Calls that a level in shadow mode would have refused."
_FIRST = "Time until the first content of an answer."
_OURS = "The part of a call's time that was the gateway's own."
_TOKENS = "Tokens used; cache_read, cache_write and reasoning are parts of input and output."
_UNPRICED = "Calls that used tokens whose price nobody knows."
