"""Ids of tool calls in another provider's alphabet and length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.dialects.ids import ANY_ID, FORTY, NINE, WORD, CallIds, IdRule

RULES = [ANY_ID, FORTY, NINE, WORD]
any_ids = st.text(max_size=80) | st.from_regex(r"[a-z0-9]{9}", fullmatch=True)


@pytest.mark.parametrize("rule", RULES)
@given(ids=st.lists(any_ids, max_size=6))
def test_every_id_fits_and_distinct_ones_stay_distinct(rule: IdRule, ids: list[str]):
    mapping = CallIds(rule)
    made = [mapping.of(id) for id in ids]
    assert all(map(rule.accepts, made))
    assert len(set(made)) == len(set(ids))
    assert [mapping.of(id) for id in ids] == made


@pytest.mark.parametrize("rule", RULES)
@given(ids=st.lists(any_ids, max_size=6, unique=True))
def test_ids_that_fit_stay_and_a_longer_conversation_maps_its_beginning_the_same(
    rule: IdRule, ids: list[str]
):
    short, long = CallIds(rule), CallIds(rule)
    for id in ids[:3]:
        assert short.of(id) == long.of(id)
    for id in ids[3:]:
        long.of(id)
    assert [short.of(id) for id in ids[:3]] == [long.of(id) for id in ids[:3]]
    assert all(CallIds(rule).of(id) == id for id in ids if rule.accepts(id))


def test_an_id_that_looks_like_one_made_up_is_kept_apart_from_it():
    made = CallIds(NINE).of("functions.look:0")
    mapping = CallIds(NINE)
    assert mapping.of("functions.look:0") == made
    assert mapping.of(made) != made
