"""Reports: scores with their intervals, costs, times, and the table."""

from typing import Any

import pytest

from polyvox.evaluation import Case, Report, Result
from polyvox.evaluation.report import money, wilson
from polyvox.usage import FREE, UNKNOWN_COST, Cost, Usage


def case(name: str, weight: float = 1.0) -> Case:
    return Case(id=name, prompt=name, expected="x", weight=weight)


def result(name: str, score: float | None, sample: int = 0, **fields: object) -> Result:
    usage = fields.pop("usage", Usage(10, 2, cost=Cost("known", nanos=2_000_000)))
    correct = score is not None and score >= 0.5
    error = {"text": "it broke"} if score is None else None
    known: Any = {"correct": correct, "error": error, "usage": usage, **fields}
    return Result(model="m", case=name, digest="d", sample=sample, score=score, **known)


def report(cases: list[Case], results: list[Result]) -> Report:
    return Report(cases, ["m"], results, wanted=len(results))


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    # Computed by hand with the formula in R. G. Newcombe, "Two-sided confidence intervals for the
    # single proportion" (1998), whose table I has the first three.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_the_interval_is_wilsons(right: int, count: int, low: float, high: float):
    assert wilson(right / count, count) == pytest.approx((low, high), abs=0.00006)


def test_a_score_is_the_weighted_mean():
    found = report(
        [case("a", 3), case("b"), case("c")], [result("a", 1), result("b", 0), result("c", 0.5)]
    )
    assert found.models[0].score == pytest.approx(3.5 / 5)
    # 25 / 11 cases is what weights of 3, 1 and 1 are worth.
    assert (found.models[0].low, found.models[0].high) == pytest.approx(wilson(0.7, 25 / 11))


@pytest.mark.parametrize("weight", [1e308, 1e-320])
def test_only_the_proportions_of_weights_matter(weight: float):
    results = [result("a", 1), result("b", 0)]
    found = report([case("a", weight), case("b", weight)], results).models[0]
    plain = report([case("a"), case("b")], results).models[0]
    assert (found.score, found.low, found.high) == (plain.score, plain.low, plain.high)


def test_samples_of_one_case_are_one_observation():
    once = report([case("a"), case("b")], [result("a", 1), result("b", 0)]).models[0]
    often = report(
        [case("a"), case("b")],
        [
            result(name, score, sample)
            for name, score in (("a", 1), ("b", 0))
            for sample in range(9)
        ],
    ).models[0]
    assert (often.score, often.low, often.high) == (once.score, once.low, once.high)
    assert (often.answered, often.correct) == (18, 9)
    unequal = report(
        [case("a"), case("b")],
        [result("a", 1), result("a", 0, 1), result("a", 0, 2), result("b", 1)],
    )
    assert unequal.models[0].score == pytest.approx((1 / 3 + 1) / 2)


def test_who_answered_nothing_has_no_score_and_no_cost_per_correct():
    found = report([case("a")], [result("a", None, usage=Usage(cost=FREE))]).models[0]
    assert (found.score, found.low, found.seconds, found.cost_per_correct) == (None,) * 4
    assert (found.errors, found.answered) == (1, 0)


def test_costs_are_shared_out_and_unknown_is_never_nothing():
    found = report([case(name) for name in "abc"], [result("a", 1), result("b", 1), result("c", 0)])
    assert found.models[0].cost_per_correct == Cost("known", nanos=3_000_000)
    assert found.models[0].cost_per_case == Cost("known", nanos=2_000_000)
    unknown = report([case("a")], [result("a", 1, usage=Usage(1, 1, cost=UNKNOWN_COST))])
    assert money(unknown.models[0].cost) == "unknown"


def test_times_are_those_of_answers_and_not_of_failures():
    results = [result(str(place), 1, seconds=float(place)) for place in range(1, 21)]
    results.append(result("late", None, seconds=300.0))
    found = report([case(each.case) for each in results], results).models[0]
    assert (found.seconds, found.seconds_p95) == (10.0, 19.0)


def test_the_table_has_a_line_for_each_model():
    table = report([case("a"), case("b")], [result("a", 1), result("b", None)]).table()
    head, line = table.splitlines()
    assert head.split("  ")[0] == "MODEL"
    assert line.split() == [
        *("m", "1.00", "0.21", "to", "1.00", "1/1", "1"),
        *("20", "4", "$0.004", "$0.004", "0.00", "0.00"),
    ]
    assert len(head) == len(line)
