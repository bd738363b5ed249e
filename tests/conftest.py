"""What every test here shares: hypothesis profiles, the project's own pytest plugin, a home for data."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# By name and not by its entry point, so that coverage sees the plugin's imports too.
pytest_plugins = ["polyvox.testing.pytest_plugin"]

# A deadline would be a timing assertion; runs in CI repeat exactly. ``make fuzz`` looks elsewhere each time,
# and POLYVOX_FUZZ times as often.
TIMES = int(os.environ.get("POLYVOX_FUZZ", "0"))
DEV = settings(deadline=None, max_examples=100)
CI = settings(DEV, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
FUZZ = settings(
    DEV, max_examples=100 * TIMES or 1, print_blob=True, suppress_health_check=[*HealthCheck]
)
settings.register_profile("polyvox", FUZZ if TIMES else CI if os.environ.get("CI") else DEV)
settings.load_profile("polyvox")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """More than there are processors: many a test waits, for a program, a server, or a time to pass."""
    return (os.cpu_count() or 1) * 3 // 2


@pytest.fixture(scope="session", autouse=True)
def data_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test, and no program that one runs, writes among the user's own data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("POLYVOX_LOG", raising=False)
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield
