import pytest

from polyvox.suggestions import did_you_mean, hint_for, nearest

KNOWN = ("routers", "retry", "getWeather")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("rotuer", "routers"),
        ("RETYR", "retry"),
        ("getWether", "getWeather"),
        ("GETWEATHER", "getWeather"),
        ("zzz", None),
        ("", None),
    ],
)
def test_the_nearest_name_is_found_whatever_its_case(name: str, meant: str | None):
    assert nearest(name, KNOWN) == meant


def test_a_higher_cutoff_takes_only_what_is_more_alike():
    assert nearest("nope", ["openai"]) == "openai"
    assert nearest("nope", ["openai"], cutoff=0.7) is None
    assert hint_for("nope", ["openai"], cutoff=0.7) == "Known are: openai."


@pytest.mark.parametrize(
    ("name", "rest", "sentence"),
    [
        ("rotuer", "; did you mean 'routers'?", "Did you mean 'routers'?"),
        ("zzz", "; known are getWeather, retry, routers", "Known are: getWeather, retry, routers."),
    ],
)
def test_what_was_meant_is_told_or_else_what_there_is(name: str, rest: str, sentence: str):
    assert did_you_mean(name, iter(KNOWN)) == rest
    assert hint_for(name, iter(KNOWN)) == sentence


@pytest.mark.parametrize("otherwise", ["", "See the list."])
def test_something_else_may_be_told_where_nothing_is_near(otherwise: str):
    assert did_you_mean("zzz", KNOWN, otherwise) == hint_for("zzz", KNOWN, otherwise) == otherwise
    assert hint_for("rotuer", KNOWN, otherwise) == "Did you mean 'routers'?"


def test_nothing_is_told_where_nothing_is_known():
    assert did_you_mean("zzz", []) == hint_for("zzz", []) == ""
