"""Fixtures for pytest, there in every run once polyvox is installed; nothing loads before it is used.

    def test_my_program(polyvox_mock, monkeypatch):
        server = polyvox_mock("openai-chat", script=["Hello."])
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        ...
        assert server.requests[0].request.messages[-1].content[0].text == "Hi."

    @pytest.mark.usefixtures("forbid_network")
    def test_that_needs_no_provider(): ...

To keep a whole test suite off the network, say in its ``conftest.py``::

    @pytest.fixture(autouse=True)
    def no_network(forbid_network): ...
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import ParamSpec

    from polyvox.testing import MockProvider, ThreadedMock

    P = ParamSpec("P")


@pytest.fixture
def polyvox_mock() -> Generator[Callable[..., ThreadedMock]]:
    """Make mock providers: takes what ``polyvox.testing.MockProvider`` takes, returns a ``ThreadedMock``.

    They serve from threads, so that synchronous and asynchronous tests use them alike, and are closed
    when the test ends.
    """
    from inspect import signature

    from polyvox.testing import MockProvider

    with ExitStack() as servers:

        def factory(make: Callable[P, MockProvider]) -> Callable[P, ThreadedMock]:
            def start(*args: P.args, **kwargs: P.kwargs) -> ThreadedMock:
                try:
                    signature(make).bind(*args, **kwargs)
                except TypeError as error:
                    raise TypeError(f"polyvox_mock() {error}") from None
                return servers.enter_context(make(*args, **kwargs))

            return start

        yield factory(MockProvider)


@pytest.fixture(name="forbid_network")
def _forbid_network() -> Generator[None]:
    """Let the test reach only this machine: see ``polyvox.testing.forbid_network``."""
    from polyvox.testing import forbid_network

    with forbid_network():
        yield
