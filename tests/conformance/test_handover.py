"""A conversation recorded in any dialect goes on in any other; ``docs/handover.md`` shows the table."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from polyvox.dialects import DIALECTS
from polyvox.messages import AssistantMessage, ToolMessage

ROOT = Path(__file__).resolve().parents[2]
PAIRS = [(source, receiver) for source in DIALECTS for receiver in DIALECTS]


def _matrix() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "handover_matrix", ROOT / "tools/handover_matrix.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look for it there
    spec.loader.exec_module(module)
    return module


matrix = _matrix()


@pytest.mark.parametrize("source", DIALECTS)
def test_what_is_recorded_is_in_no_good_state(source: str):
    messages = matrix.recorded(source)
    calls = [
        call for each in messages if isinstance(each, AssistantMessage) for call in each.tool_calls
    ]
    results = [each for each in messages if isinstance(each, ToolMessage)]
    assert len(calls) == 4
    assert len(results) == 3
    assert matrix.REASONING in messages[1].thinking
    assert any(
        each.stop_reason == "aborted" for each in messages if isinstance(each, AssistantMessage)
    )


@pytest.mark.parametrize(("source", "receiver"), PAIRS)
def test_all_that_is_said_arrives_and_every_call_is_answered(source: str, receiver: str):
    arrival = matrix.hand_over(source, receiver)
    assert list(arrival.problems()) == []
    assert set(arrival.lost()) <= {"reasoning"}
    assert [call.arguments for call in arrival.calls] == matrix.ARGUMENTS * 2
    assert arrival.notes


@pytest.mark.parametrize(("source", "receiver"), PAIRS)
def test_opaque_data_goes_to_its_producer_only(source: str, receiver: str):
    arrival = matrix.hand_over(source, receiver)
    if source != receiver:
        assert matrix.SIGNATURE.encode() not in arrival.body
        assert matrix.REASONING.encode() not in arrival.body
    else:
        assert matrix.REASONING in arrival.thinking
