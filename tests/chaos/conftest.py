"""Every test here holds for both dialects, and reaches this machine only."""

import pytest

from .rig import DIALECTS


@pytest.fixture(autouse=True)
def _this_machine_only(forbid_network):
    pass


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return request.param
