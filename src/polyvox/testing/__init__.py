"""Testing: what programs over language models are tested with, without a network and without keys.

    from polyvox.errors import RateLimitError
    from polyvox.testing import MockProvider, ScriptedModel

    model = ScriptedModel(["Hello.", RateLimitError("slow down")])   # a Model, in the process

    async with MockProvider("openai-chat", script=["Hello."]) as mock:
        client = openai.AsyncOpenAI(base_url=mock.url, api_key="any")   # or any other program

With pytest the fixtures ``polyvox_mock`` and ``forbid_network`` are there by themselves; see
``polyvox.testing.pytest_plugin``.

Belongs here: mock providers over real sockets, scripted models, checks and guards for tests; all of
it public.
Does not belong here: tests, and anything that a program needs in production.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyvox.providers.simulated import Script as Script
    from polyvox.providers.simulated import ScriptedModel as ScriptedModel
    from polyvox.providers.simulated import load_script as load_script
    from polyvox.providers.simulated.grammar import check_grammar as check_grammar
    from polyvox.testing.agent_events import assert_events as assert_events
    from polyvox.testing.agent_events import event_words as event_words
    from polyvox.testing.knobs import Knobs as Knobs
    from polyvox.testing.ledger import Ledger as Ledger
    from polyvox.testing.ledger import ServedRequest as ServedRequest
    from polyvox.testing.mock import MockProvider as MockProvider
    from polyvox.testing.mock import run_mock as run_mock
    from polyvox.testing.no_network import NetworkForbiddenError as NetworkForbiddenError
    from polyvox.testing.no_network import forbid_network as forbid_network
    from polyvox.testing.record import ReceivedRequest as ReceivedRequest
    from polyvox.testing.record import SentAnswer as SentAnswer
    from polyvox.testing.threaded import ThreadedMock as ThreadedMock

_HOMES = {
    "Knobs": "polyvox.testing.knobs",
    "Ledger": "polyvox.testing.ledger",
    "MockProvider": "polyvox.testing.mock",
    "NetworkForbiddenError": "polyvox.testing.no_network",
    "ReceivedRequest": "polyvox.testing.record",
    "Script": "polyvox.providers.simulated",
    "ScriptedModel": "polyvox.providers.simulated",
    "SentAnswer": "polyvox.testing.record",
    "ServedRequest": "polyvox.testing.ledger",
    "ThreadedMock": "polyvox.testing.threaded",
    "assert_events": "polyvox.testing.agent_events",
    "check_grammar": "polyvox.providers.simulated.grammar",
    "event_words": "polyvox.testing.agent_events",
    "forbid_network": "polyvox.testing.no_network",
    "load_script": "polyvox.providers.simulated",
    "run_mock": "polyvox.testing.mock",
}

__all__ = [
    "Knobs",
    "Ledger",
    "MockProvider",
    "NetworkForbiddenError",
    "ReceivedRequest",
    "Script",
    "ScriptedModel",
    "SentAnswer",
    "ServedRequest",
    "ThreadedMock",
    "assert_events",
    "check_grammar",
    "event_words",
    "forbid_network",
    "load_script",
    "run_mock",
]


def __getattr__(name: str) -> object:
    # pytest loads the plugin below this room in every run; nothing else may come with it.
    if name in _HOMES:
        value: object = getattr(import_module(_HOMES[name]), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
