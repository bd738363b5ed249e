"""What is counted, and that counting is bounded."""

from functools import partial

import pytest
from prometheus_client.parser import text_string_to_metric_families

from polyvox.attempt import Attempt
from polyvox.gateway.operations.labels import OTHER, Labels
from polyvox.gateway.operations.metrics import Metrics
from polyvox.usage import Cost, Usage

USAGE = Usage(
    input_tokens=100,
    output_tokens=20,
    cache_read_tokens=60,
    reasoning_tokens=5,
    cost=Cost(nanos=2_500_000, status="known"),
)


class Samples(dict[tuple[str, ...], float]):
    """Samples by name and values of labels, whatever the order of the labels."""

    def __getitem__(self, key: tuple[str, ...]) -> float:
        return super().__getitem__((key[0], *sorted(key[1:])))


def samples(metrics: Metrics) -> Samples:
    """Every sample but the worker's label, which all have."""
    found = Samples()
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("worker") == "3"
            found[sample.name, *sorted(labels.values())] = sample.value
    return found


def attempt(provider: str, model: str, error: str | None) -> Attempt:
    return Attempt(provider=provider, model=model, started=0.0, seconds=0.1, error=error)


def told(metrics: Metrics, outcome: str = "ok", model: str = "openai/gpt-5-mini") -> None:
    metrics.call(
        "openai-chat", model, outcome, seconds=1.5, overhead=0.0004, first_token=0.2, usage=USAGE
    )


def test_a_call_is_counted_with_its_times_tokens_and_cost():
    metrics = Metrics(3)
    told(metrics)
    told(metrics)
    told(metrics, "rate_limit")
    found = samples(metrics)
    about = ("openai-chat", "openai/gpt-5-mini")
    assert found["polyvox_calls_total", *about, "ok"] == 2
    assert found["polyvox_calls_total", *about, "rate_limit"] == 1
    assert found["polyvox_call_seconds_sum", *about] == 4.5
    assert found["polyvox_first_token_seconds_count", *about] == 3
    assert found["polyvox_overhead_seconds_bucket", "openai-chat", "0.0005"] == 3
    assert found["polyvox_overhead_seconds_bucket", "openai-chat", "0.00025"] == 0
    assert found["polyvox_tokens_total", "openai/gpt-5-mini", "input"] == 300
    assert found["polyvox_tokens_total", "openai/gpt-5-mini", "cache_read"] == 180
    assert found["polyvox_cost_dollars_total", "openai/gpt-5-mini"] == pytest.approx(0.0075)


def test_a_call_without_an_answer_counts_no_tokens():
    metrics = Metrics(3)
    metrics.call("openai-chat", "m", "budget_exceeded", seconds=0.001)
    found = samples(metrics)
    assert found["polyvox_calls_total", "openai-chat", "m", "budget_exceeded"] == 1
    assert found["polyvox_first_token_seconds_count", "openai-chat", "m"] == 0
    assert found["polyvox_tokens_total", "m", "input"] == 0


def test_tokens_without_a_known_price_are_told_apart_from_free_ones():
    metrics = Metrics(3)
    metrics.call("c", "m", "ok", seconds=1, usage=Usage(input_tokens=1))
    metrics.call("c", "m", "ok", seconds=1, usage=Usage(basis="missing"))
    assert samples(metrics)["polyvox_unpriced_calls_total", "m"] == 1


def test_names_of_models_that_callers_invent_make_no_series_without_end():
    metrics = Metrics(3)
    for number in range(5_000):
        told(metrics, model=f"invented/{number}")
    lines = metrics.text().count(b"\npolyvox_calls_total{")
    assert lines <= 201
    assert samples(metrics)["polyvox_calls_total", "openai-chat", OTHER, "ok"] == 4_800


def test_who_was_asked_is_counted_with_how_that_went():
    metrics = Metrics(3)
    away = attempt("away", "m", "network")
    metrics.attempted([away, attempt("lab", "m", None)])
    metrics.attempted([away])
    found = samples(metrics)
    assert found["polyvox_attempts_total", "away", "m", "network"] == 2
    assert found["polyvox_attempts_total", "lab", "m", "ok"] == 1


def test_models_that_callers_invent_at_a_provider_make_no_series_without_end():
    metrics = Metrics(3)
    for number in range(5_000):
        metrics.attempted([attempt("lab", f"invented-{number}", "not_found")])
    assert metrics.text().count(b"\npolyvox_attempts_total{") <= 201
    assert samples(metrics)["polyvox_attempts_total", "lab", OTHER, "not_found"] == 4_800


def test_what_shadows_hit_is_counted_by_whose_limit_it_was_and_not_by_who():
    metrics = Metrics(3)
    metrics.shadowed("limit", "key:key_0193")
    metrics.shadowed("limit", "key:key_0194")
    metrics.shadowed("limit", "team:red")
    found = samples(metrics)
    assert found["polyvox_shadow_hits_total", "limit", "key"] == 2
    assert found["polyvox_shadow_hits_total", "limit", "team"] == 1


def test_what_is_watched_is_read_when_somebody_asks():
    metrics, waiting = Metrics(3), [1.0]
    metrics.watch("journal_waiting_bytes", "Bytes.", lambda: waiting[0])
    for store, up in (("redis", 0.0), ("database", 1.0)):
        read = partial(dict, {(store,): up})
        metrics.watch_each("store_up", "Whether it answers.", ("store",), read)
    metrics.watch("dropped_total", "Lines.", lambda: 7, counts=True)
    waiting[0] = 9.0
    found = samples(metrics)
    assert found["polyvox_journal_waiting_bytes",] == 9.0
    assert found["polyvox_store_up", "redis"] == 0.0
    assert found["polyvox_store_up", "database"] == 1.0
    text = metrics.text().decode()
    assert "# TYPE polyvox_journal_waiting_bytes gauge" in text
    assert "# TYPE polyvox_dropped_total counter" in text
    assert found["polyvox_dropped_total",] == 7


def test_nothing_is_told_of_when_a_series_began():
    metrics = Metrics(3)
    told(metrics)
    metrics.request("/v1/models", 200)
    assert b"_created" not in metrics.text()


def test_two_gateways_in_one_process_count_apart():
    first, second = Metrics(3), Metrics(3)
    told(first)
    assert not [name for name, *_ in samples(second) if name == "polyvox_calls_total"]


def test_labels_take_so_many_values_and_then_others_together():
    labels = Labels(2)
    assert [labels.of(value) for value in ("a", "b", "c", "a")] == ["a", "b", OTHER, "a"]
