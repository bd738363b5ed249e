import copy
import pickle

import pytest

from polyvox.http import HttpRequest
from polyvox.secret import Secret

KEY = "sk-canary-1234567890"


@pytest.mark.parametrize(
    "show", [str, repr, "{}".format, "{!r}".format, lambda s: f"{[s]} { ({'k': s}) }"]
)
def test_a_secret_does_not_show_itself(show):
    assert KEY not in show(Secret(KEY))


def test_a_secret_can_be_revealed_and_compared():
    assert Secret(KEY).reveal() == KEY
    assert Secret(KEY) == Secret(KEY) != Secret("other")
    assert copy.deepcopy(Secret(KEY)) == Secret(KEY)
    assert len({Secret(KEY), Secret(KEY)}) == 1


def test_a_request_does_not_show_its_headers():
    request = HttpRequest("POST", "https://example.com", {"authorization": f"Bearer {KEY}"}, b"{}")
    assert KEY not in repr(request) + str(request)
    assert pickle.loads(pickle.dumps(Secret(KEY))) == Secret(KEY)
