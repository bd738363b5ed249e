"""What every test here shares: hypothesis profiles and the project's own pytest plugin."""

import os

from hypothesis import HealthCheck, settings

# By name and not by its entry point, so that coverage sees the plugin's imports too.
pytest_plugins = ["polyvox.testing.pytest_plugin"]

# A deadline would be a timing assertion; runs in CI repeat exactly.
settings.register_profile("dev", deadline=None, max_examples=100)
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=200,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
