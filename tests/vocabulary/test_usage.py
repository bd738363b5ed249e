import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.usage import FREE, NO_USAGE, UNKNOWN_COST, ZERO_USAGE, Cost, Usage


@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        (Cost("known", 0), "$0.00"),
        (Cost("known", 1), "$0.000000001"),
        (Cost("known", 1_234_500), "$0.0012345"),
        (Cost("known", 2_000_000_000), "$2.00"),
        (Cost("known", 12_500_000_000), "$12.50"),
        (FREE, "free"),
        (UNKNOWN_COST, "unknown"),
        (Cost("unknown", 5_000_000), "unknown (at least $0.005)"),
    ],
)
def test_a_cost_reads_well(cost, shown):
    assert str(cost) == shown


def test_one_unknown_cost_makes_the_sum_unknown_but_keeps_what_is_known():
    total = Cost("known", 5, output_nanos=5) + UNKNOWN_COST + FREE
    assert (total.status, total.nanos, total.output_nanos) == ("unknown", 5, 5)


def test_free_and_known_are_known():
    assert (FREE + Cost("known", 5)).status == "known"
    assert (FREE + FREE).status == "free"


counts = st.integers(0, 10**12)
costs = st.builds(Cost, st.sampled_from(["known", "free", "unknown"]), counts, counts)
usages = st.builds(
    Usage,
    counts,
    counts,
    counts,
    counts,
    basis=st.sampled_from(["reported", "missing"]),
    cost=costs,
)


@given(usages, usages, usages)
def test_adding_usage_is_associative_and_commutative(a, b, c):
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a


def test_missing_usage_is_not_zero_usage():
    assert Usage() != NO_USAGE
    assert (Usage(5, 5) + NO_USAGE).basis == "missing"


def test_total_counts_inclusive_tokens_once():
    assert Usage(100, 20, cache_read_tokens=90, reasoning_tokens=15).total_tokens == 120


def test_usages_can_be_summed():
    assert sum([Usage(1, 2), Usage(3, 4)]) == Usage(4, 6)
    assert sum([Usage(1, cost=FREE)], ZERO_USAGE) == Usage(1, cost=FREE)
    assert sum([], ZERO_USAGE) == ZERO_USAGE
