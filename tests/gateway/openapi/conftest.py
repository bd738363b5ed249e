"""A whole gateway for a module, and its document."""

from collections.abc import Iterator

import pytest

from gateway.running import Running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway with nothing but simulated models."""
    made = Running(
        tmp_path_factory.mktemp("gateway"), '[gateway]\nmodels = ["simulated/*"]\n'
    ).start()
    yield made
    made.close()
