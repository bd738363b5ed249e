"""Whole gateways, each for a whole module of tests that only ask it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.running import Running
from redis_server import *  # noqa: F403


@pytest.fixture(scope="module")
def running_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """``running_here(config, ...)`` is ``running`` for a whole module."""
    made: list[Running] = []

    def start(config: str = "", **more: Any) -> Running:
        made.append(Running(tmp_path_factory.mktemp("gateway"), config, **more))
        return made[-1].start()

    yield start
    for gateway in made:
        gateway.close()
