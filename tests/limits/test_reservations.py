"""Each call's reservation has a name of its own among all processes that share a store."""

import os

import pytest

from polyvox.limits import Budget, MemoryLimits
from polyvox.limits.budget import BudgetLimit
from polyvox.limits.gate import Gate
from polyvox.model import Call
from polyvox.quote import quote_of

from .rig import HI, Priced, dollars


def a_gate() -> Gate:
    return Gate(MemoryLimits(), [BudgetLimit(Budget(100))])


async def reservation(gate: Gate) -> str:
    model = Priced(dollars(1))
    admission = await gate.enter(model, quote_of(model, HI), Call(id="the same"))
    return admission.reservation


async def test_reservations_differ_among_calls_and_gates():
    gate = a_gate()
    names = [await reservation(each) for each in (gate, gate, a_gate(), a_gate())]
    assert len(set(names)) == 4


async def test_reservations_differ_between_a_process_and_one_that_forked_off(
    monkeypatch: pytest.MonkeyPatch,
):
    parent, child = a_gate(), a_gate()
    vars(child).update(_mark=vars(parent)["_mark"])  # as it is after a fork
    here = await reservation(parent)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert await reservation(child) != here
