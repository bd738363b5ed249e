"""What the strategies stand on: ranks, weights, the window of a minute, the latency."""

from collections import deque
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.routing.latency import Latency
from polyvox.routing.ranking import Ranking, Weights
from polyvox.routing.window import MinuteWindow


@given(st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 4))))
def test_a_ranking_gives_the_least_and_of_equals_the_one_that_came_first(changes):
    ranking: Ranking[int] = Ranking()
    model: dict[int, int] = {}
    for item, rank in changes:
        if rank is None:
            ranking.drop(item)
            model.pop(item, None)
        else:
            ranking.put(item, rank)
            if model.get(item) != rank:
                model.pop(item, None)
                model[item] = rank
        assert len(ranking) == len(model)
        least = min(model, key=model.__getitem__, default=None)
        assert ranking.least() == (None if least is None else (model[least], least))


def test_a_ranking_holds_on_to_nothing_that_is_gone():
    ranking: Ranking[int] = Ranking()
    for change in range(10_000):
        ranking.put(change % 3, change)
    assert len(ranking._heap) <= 2 * 3 + 16


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(0, 39), st.integers(0, 5))),
)
def test_each_point_of_the_weights_falls_on_its_place(weights, changes):
    tree = Weights()
    assert [tree.append(weight) for weight in weights] == list(range(len(weights)))
    for place, weight in changes:
        if place < len(weights):
            weights[place] = weight
            tree.set(place, weight)
    expected = [place for place, weight in enumerate(weights) for _ in range(weight)]
    assert tree.total == len(expected)
    assert [tree.at(point) for point in range(tree.total)] == expected


@given(st.lists(st.tuples(st.floats(0, 50), st.integers(1, 12))), st.integers(1, 20))
def test_no_minute_ever_holds_more_than_the_limit(steps, limit):
    window, now = MinuteWindow(limit), 1_000.0
    taken: deque[tuple[float, int]] = deque()
    for pause, amount in steps:
        now += pause
        amount = min(amount, limit)
        due = window.room_at(amount, now)
        inside = sum(used for when, used in taken if when > now - 60)
        if inside + amount > limit:
            assert due > now
        if due > now:
            now = due
            assert window.room_at(amount, now) <= now
        window.add(amount, now)
        taken.append((now, amount))
        assert sum(used for when, used in taken if when > now - 60) <= limit


def test_what_was_not_used_is_given_back_and_what_was_is_a_debt():
    window = MinuteWindow(100)
    entry = window.add(80, 10.0)
    assert window.room_at(50, 11.0) > 11.0
    window.correct(entry, -60, 12.0)
    assert window.room_at(50, 12.0) == 0
    window.correct(entry, 200, 12.0)
    assert window.room_at(1, 12.0) == 71.0


def test_a_correction_that_comes_after_the_minute_changes_nothing():
    window = MinuteWindow(100)
    entry = window.add(80, 10.0)
    window.add(10, 75.0)
    window.correct(entry, -80, 75.0)
    assert window.room_at(90, 75.0) == 0
    assert window.room_at(91, 75.0) > 75.0


def test_more_than_the_limit_has_room_in_an_empty_window_only():
    window = MinuteWindow(100)
    assert window.room_at(500, 10.0) == 0
    window.add(1, 10.0)
    assert window.room_at(500, 10.0) == 71.0


def test_a_rise_of_the_latency_counts_at_once_and_a_fall_little_by_little():
    latency = Latency()
    latency.observe(0.1, 0.0)
    latency.observe(2.0, 1.0)
    assert latency.at(1.0) == 2.0
    latency.observe(0.1, 4.0)
    assert 1.5 < latency.at(4.0) < 2.0
    for second in range(5, 300, 5):
        latency.observe(0.1, float(second))
    assert latency.at(300.0) == pytest.approx(0.1, rel=0.2)


def test_the_latency_of_one_that_is_not_asked_fades():
    latency = Latency()
    latency.observe(5.0, 0.0)
    assert latency.at(300.0) < 0.01
    assert latency.last == 5.0


def test_weights_are_drawn_in_their_shares():
    tree, random = Weights(), Random(3)
    for weight in (1, 2, 7):
        tree.append(weight)
    drawn = [tree.at(random.randrange(tree.total)) for _ in range(10_000)]
    assert [round(drawn.count(place) / 1_000) for place in range(3)] == [1, 2, 7]
