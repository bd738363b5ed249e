"""Runs that wait: how many, for how long, and whose they are."""

import pytest

from polyvox.agent import RunState
from polyvox.errors import BadRequestError, NotFoundError
from polyvox.gateway.live.approvals import Approvals
from polyvox.gateway.live.suspended import Decision, Owner
from polyvox.gateway.tenants.access import ADMIN, Access
from polyvox.messages import AssistantMessage, ToolCall, user

OURS, THEIRS = Owner("one", "key_1"), Owner("two", "key_2")
US, THEM = Access(key="key_9", organisation="one"), Access(key="key_2", organisation="two")


def state(text: str = "Please.") -> RunState:
    answer = AssistantMessage([ToolCall("c1", "delete"), ToolCall("c2", "delete")])
    waiting = {"c1": "why not", "c2": ""}
    return RunState(agent="helper", messages=[user(text), answer], waiting=waiting)


def ids(approvals: Approvals, access: Access) -> list[str]:
    return [view.id for view in approvals.seen_by(access)]


def test_who_has_too_many_loses_the_oldest_and_nobody_elses():
    approvals = Approvals(most=2)
    approvals.keep("run_0", "agent/helper", THEIRS, state(), 60)
    for number in (1, 2, 3):
        approvals.keep(f"run_{number}", "agent/helper", OURS, state(), 60)
    assert ids(approvals, US) == ["run_2", "run_3"]
    assert ids(approvals, THEM) == ["run_0"]
    assert ids(approvals, ADMIN) == ["run_0", "run_2", "run_3"]


def test_long_runs_are_fewer():
    approvals = Approvals(most_bytes=25_000)
    for number in (1, 2, 3):
        approvals.keep(f"run_{number}", "agent/helper", OURS, state("x" * 10_000), 60)
    assert ids(approvals, US) == ["run_2", "run_3"]


def test_a_run_is_taken_once_and_may_be_put_back():
    approvals = Approvals()
    approvals.keep("run_1", "agent/helper", OURS, state(), 60)
    with pytest.raises(NotFoundError):
        approvals.take("run_1", THEM)
    run = approvals.take("run_1", US)
    with pytest.raises(NotFoundError):
        approvals.take("run_1", US)
    approvals.put(run)
    assert RunState.from_json(approvals.take("run_1", US).state) == state()


def test_keys_without_an_organisation_see_their_own_alone():
    approvals = Approvals()
    approvals.keep("run_1", "agent/helper", Owner("", "key_1"), state(), 60)
    assert ids(approvals, Access(key="key_1")) == ["run_1"]
    assert ids(approvals, Access(key="key_2")) == []


def test_a_run_that_nobody_is_known_to_have_begun_is_the_administrators():
    approvals = Approvals()
    approvals.keep("run_1", "agent/helper", Owner("", ""), state(), 60)
    assert ids(approvals, Access(key="")) == []
    assert ids(approvals, ADMIN) == ["run_1"]


def test_what_is_decided_of_each_call():
    approvals = Approvals()
    approvals.keep("run_1", "agent/helper", OURS, state(), 60)
    run = approvals.take("run_1", US)
    assert run.decided(Decision(approve=True)) == {"c1": True, "c2": True}
    assert run.decided(Decision(approve=False)) == {"c1": False, "c2": False}
    decision = Decision(approve=False, comment="Not now.", calls={"c2": True})
    assert run.decided(decision) == {"c1": "Not now.", "c2": True}
    with pytest.raises(BadRequestError, match="'c3'"):
        run.decided(Decision(approve=True, calls={"c3": False}))
