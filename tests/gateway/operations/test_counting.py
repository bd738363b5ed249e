"""Counters and histograms of our own say what those of prometheus_client say."""

from itertools import pairwise

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from polyvox.gateway.operations.counting import Counts, Spreads

LABELS = ("worker", "model")
VALUES = [("1", "m"), ("1", 'q"\n\\'), ("2", "m")]
BOUNDS = (0.1, 1, 320)
SEEN = (0.0, 0.1, 0.10000001, 1, 2.5, 320, 321, 1e9)


def text(registry: CollectorRegistry) -> list[bytes]:
    """Without when something was made, which is now."""
    lines = generate_latest(registry).splitlines()
    return [line.rpartition(b" ")[0] if b"_created{" in line else line for line in lines]


def test_a_counter_reads_as_theirs() -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry(auto_describe=True)
    counter = Counter("calls_total", "Calls.", LABELS, registry=theirs)
    counts = Counts("calls_total", "Calls.", LABELS)
    ours.register(counts)
    assert text(ours) == text(theirs)
    for number, values in enumerate(VALUES):
        counter.labels(*values).inc(number * 1.5)
        counts.of(*values).value += number * 1.5
    assert text(ours) == text(theirs)


def test_a_histogram_reads_as_theirs() -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry(auto_describe=True)
    histogram = Histogram("call_seconds", "Times.", LABELS, buckets=BOUNDS, registry=theirs)
    spreads = Spreads("call_seconds", "Times.", LABELS, BOUNDS)
    ours.register(spreads)
    assert text(ours) == text(theirs)
    for values in VALUES:
        for seen in SEEN:
            histogram.labels(*values).observe(seen)
            spreads.of(*values).observe(seen)
    assert text(ours) == text(theirs)


def test_when_something_was_made_is_told() -> None:
    registry = CollectorRegistry(auto_describe=True)
    spreads = Spreads("call_seconds", "Times.", ("model",), BOUNDS)
    registry.register(spreads)
    made = [spreads.of(model).created for model in ("a", "b")]
    told = [
        registry.get_sample_value("call_seconds_created", {"model": model}) for model in ("a", "b")
    ]
    assert told == made
    assert all(first <= then for first, then in pairwise(made))
