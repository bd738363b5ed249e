"""Counters and histograms of our own say what those of prometheus_client say."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from polyvox.gateway.operations.counting import Counts, Spreads

LABELS = ("worker", "model")
VALUES = [("1", "m"), ("1", 'q"\n\\'), ("2", "m")]
BOUNDS = (0.1, 1, 320)
SEEN = (0.0, 0.1, 0.10000001, 1, 2.5, 320, 321, 1e9)


def text(registry: CollectorRegistry) -> list[bytes]:
    """Without when something was made, which ours don't tell, and nobody reads."""
    lines = generate_latest(registry).splitlines()
    return [line for line in lines if b"_created" not in line]


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
