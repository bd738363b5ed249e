"""Agents as models: "agent/helper" is asked like any other, and its whole run is the answer."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from msgspec.structs import replace

from polyvox.agent import Agent, AgentStream, RunState
from polyvox.assembly import failed
from polyvox.config.agents import PREFIX
from polyvox.dialects.kept import check_kept
from polyvox.errors import BadRequestError, PolyvoxError
from polyvox.events import Event
from polyvox.gateway.asking.calls import Calls
from polyvox.gateway.live.approvals import Approvals, owner_of
from polyvox.gateway.live.following import Follower
from polyvox.gateway.live.suspended import ApprovalView
from polyvox.gateway.live.telling import Telling
from polyvox.gateway.tenants.access import ADMIN
from polyvox.messages import Message, SystemMessage
from polyvox.model import Call, Model
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.usage import NANOS_PER_DOLLAR, Usage

__all__ = ["AgentModel", "Agents"]


_TURNS = 50
"""What is reserved where a run may have any number of turns."""


class Agents:
    """The agents that are offered.

    Args:
        agents: by their names, without "agent/".
        calls: those that are under way: whose a run is stands there.
        approvals: where runs wait.
        keep_seconds: by the name of an agent, for how long.
    """

    def __init__(
        self,
        agents: Mapping[str, Agent[Any]],
        calls: Calls,
        approvals: Approvals,
        keep_seconds: Mapping[str, float] | None = None,
    ) -> None:
        self.approvals = approvals
        self._calls = calls
        keep = keep_seconds or {}
        self._models = {
            PREFIX + name: AgentModel(PREFIX + name, agent, self, keep.get(name, 3600.0))
            for name, agent in agents.items()
        }

    def names(self) -> list[str]:
        """Their names: "agent/helper"."""
        return list(self._models)

    def model(self, name: str) -> Model | None:
        """The agent of that name as a model, or None."""
        return self._models.get(name)

    def suspended(self, call_id: str, model: str, state: RunState, seconds: float) -> ApprovalView:
        """Keep the run of a call until somebody has approved."""
        views = self._calls.seen_by(ADMIN)
        owner = owner_of(next((view for view in views if view.id == call_id), None))
        return self.approvals.keep(answer_id(call_id), model, owner, state, seconds)

    async def aclose(self) -> None:
        """Close what the agents have opened."""
        for model in self._models.values():
            await model.aclose()


class AgentModel:
    """One agent as a model: what it is asked begins a run, which is the answer.

    What is reserved in budgets is what the run's limits allow: turns as dear as the first one can be,
    up to the limits of tokens and of cost.
    """

    def __init__(self, name: str, agent: Agent[Any], agents: Agents, keep_seconds: float) -> None:
        self.name = name
        self._agent = agent
        self._agents = agents
        self._keep_seconds = keep_seconds

    def quote(self, request: Request) -> Usage:
        """The most that a run may use, by the agent's limits."""
        agent, limits = self._agent, self._agent.limits
        model = agent.client.model(agent.model) if isinstance(agent.model, str) else agent.model
        system = [*agent.template.system, *request.system]
        one = quote_of(model, replace(agent.template, messages=request.messages, system=system))
        turns = _TURNS if limits.turns is None else max(1, limits.turns)
        tokens, nanos = one.output_tokens * turns, one.cost.nanos * turns
        if limits.tokens is not None:
            tokens = min(tokens, limits.tokens)
        if limits.cost is not None:
            nanos = min(nanos, int(limits.cost * NANOS_PER_DOLLAR))
        reads = one.input_tokens * turns
        if limits.tokens is not None:
            reads = min(reads, limits.tokens - tokens)
        return Usage(
            input_tokens=reads,
            output_tokens=tokens,
            basis="estimated",
            cost=replace(one.cost, nanos=nanos),
        )

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The run as one answer: its text, and all else nested."""
        follower = self._agents.approvals.followers.of(call.id)
        try:
            check_kept(request)
            prompt = _prompt(request, follower)
            run = self._run(prompt, call, follower)
        except PolyvoxError as error:
            yield failed(error)
            return
        telling = Telling(
            self.name,
            answer_id(call.id),
            request,
            known=len(prompt),
            follows=follower is not None,
        )
        try:
            async with run:
                for event in telling.begin():
                    yield event
                async for happened in run:
                    for event in telling.tell(happened):
                        yield event
                approval = self._kept(run, call) if run.result.outcome == "suspended" else None
                if follower is not None:
                    follower.approval = approval
                for event in telling.end(run.result, run.call.attempts, approval):
                    yield event
        except (GeneratorExit, asyncio.CancelledError):
            if not telling.ended:
                call.leave(telling.left(run.call.attempts))
            raise

    async def aclose(self) -> None:
        """Close the agent's tools."""
        await self._agent.aclose()

    def _run(
        self, prompt: list[Message], call: Call, follower: Follower | None
    ) -> AgentStream[Any]:
        """The run that answers this. Nothing is asked before it is read."""
        going_on = follower.going_on if follower is not None else None
        if follower is not None and going_on is not None:
            state = RunState.from_json(going_on.state)
            run = self._agent.resume_stream(state, follower.approvals, call=call)
        else:
            run = self._agent.stream(prompt, call=call)
        if follower is not None:
            follower.lead(run)
        return run

    def _kept(self, run: AgentStream[Any], call: Call) -> ApprovalView:
        return self._agents.suspended(call.id, self.name, run.state, self._keep_seconds)


def answer_id(call_id: str) -> str:
    """The id of the answer to a call, by which its run is gone on with."""
    return f"run_{call_id.removeprefix('call_')}"


def _prompt(request: Request, follower: Follower | None) -> list[Message]:
    """What the agent is told: the caller's instructions stand before the conversation.

    It is told all of it anew, so that no tool is run that only the caller says was called.

    Raises ``BadRequestError`` for a conversation that leaves nothing to answer.
    """
    if follower is not None and follower.going_on is not None:
        return []
    if not request.messages:
        raise BadRequestError("the request has no messages: there is nothing to ask")
    before: list[Message] = [SystemMessage(request.system)] if request.system else []
    return [*before, *request.messages]
