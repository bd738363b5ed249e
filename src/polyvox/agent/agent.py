"""An agent: a model, its tools and its instructions, and how a run of it goes."""

import weakref
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from os import PathLike
from typing import (
    Any,
    Generic,
    Unpack,
    overload,
)

from msgspec.structs import replace

from polyvox.agent.limits import RunLimits
from polyvox.agent.result import AgentResult, Output
from polyvox.agent.role import Role, Session, Terms
from polyvox.agent.run import Run
from polyvox.agent.settings import (
    AgentOptions,
    RunSettings,
    call_of,
    check_run,
    mode_of,
    template_of,
    tools_of,
)
from polyvox.agent.state import Approval, RunState
from polyvox.agent.stream import AgentStream
from polyvox.client import AsyncClient
from polyvox.client.loops import LoopPool
from polyvox.closing import AsyncClosing
from polyvox.errors import BadRequestError, ConfigurationError
from polyvox.messages import Message, Prompt, Text, as_messages
from polyvox.model import Model
from polyvox.request import Request, ToolDefinition
from polyvox.tools import Tool, ToolContext, ToolResult, error_result
from polyvox.tools.toolset import combine

__all__ = ["Agent"]


class Agent(AsyncClosing, Generic[Output]):
    """A model with tools, asked again until it is done.

    Args:
        model: "provider/model", a name of the client's configuration, or a ``Model``.
        output: the type of the answer (see "Get typed answers"); text by default. A model whose answer
            does not fit is told why, once.
        **options: see ``AgentOptions`` and ``ModelSettings``.

    One agent may have any number of runs at once; a run's conversation is its own. Close an agent, or
    use it in ``async with``, to close its client and toolsets.

    Raises ``ConfigurationError`` and ``BadRequestError`` for what can't work.

        agent = Agent("openai/gpt-5-mini", tools=[weather], system="Be brief.")
        print(agent.run_sync("Is it raining in Oslo?").text)
    """

    @overload
    def __init__(
        self: "Agent[str]", model: str | Model, **options: Unpack[AgentOptions]
    ) -> None: ...

    @overload
    def __init__(
        self, model: str | Model, *, output: type[Output], **options: Unpack[AgentOptions]
    ) -> None: ...

    def __init__(
        self,
        model: str | Model,
        *,
        output: type[Any] | None = None,
        **options: Unpack[AgentOptions],
    ) -> None:
        self.model = model
        self.output = output
        self.name = options.get("name", "agent")
        self._template = template_of(options, output)
        self.tools = tools_of(options)
        self.limits = options.get("limits", RunLimits())
        self.parallel_tools = options.get("parallel_tools", True)
        self.steering = mode_of("steering", options)
        self.follow_ups = mode_of("follow_ups", options)
        self.steer_between_tools = options.get("steer_between_tools", False)
        self.before_tool = options.get("before_tool")
        self.after_tool = options.get("after_tool")
        self.approve = options.get("approve")
        self.transform = options.get("transform")
        self.compaction = options.get("compaction")
        self.handoffs = options.get("handoffs", ())
        self._own_clients: list[AsyncClient] = []
        self._client = options.get("client")
        self._loops = LoopPool()
        weakref.finalize(self, self._loops.close, partial(_close, self._own_clients))

    @classmethod
    def from_file(
        cls,
        path: str | PathLike[str],
        *,
        model: str | Model | None = None,
        client: AsyncClient | None = None,
    ) -> "Agent[Any]":
        """The agent that a TOML file describes; see ``polyvox.agent.files.load_agent``."""
        from polyvox.agent.files import load_agent  # only its users pay for it

        return load_agent(path, model=model, client=client)

    def __repr__(self) -> str:
        model = self.model if isinstance(self.model, str) else self.model.name
        return f"Agent({self.name!r}, {model!r})"

    # ------------------------------------------------------------------------------ to run it

    def stream(
        self, prompt: Prompt | None = None, **settings: Unpack[RunSettings]
    ) -> AgentStream[Output]:
        """Run it, and see what happens as it happens.

        Args:
            prompt: a string, a message, or a list of messages; None to go on where the state stands.
            **settings: see ``RunSettings``.

        Nothing is asked before the stream is read. Raises ``BadRequestError`` for a wrong setting.
        """
        return self._started([] if prompt is None else as_messages(prompt), settings, {})

    async def run(
        self, prompt: Prompt | None = None, **settings: Unpack[RunSettings]
    ) -> AgentResult[Output]:
        """Run it to its end; the arguments are those of ``stream``.

        Raises ``PolyvoxError`` when the model can't be asked, ``AbortedError`` after an interrupt, and
        ``RunLimitError`` at a limit; ``error.result`` holds what had been done. A run that waits for
        an approval raises nothing: its outcome is "suspended".
        """
        async with self.stream(prompt, **settings) as run:
            return await run.finish()

    async def stream_text(
        self, prompt: Prompt | None = None, **settings: Unpack[RunSettings]
    ) -> AsyncIterator[str]:
        """Run it, and get the pieces of its text alone, of all turns. Raises as ``run`` does."""
        async with self.stream(prompt, **settings) as run:
            async for piece in run.text():
                yield piece

    def run_sync(
        self, prompt: Prompt | None = None, **settings: Unpack[RunSettings]
    ) -> AgentResult[Output]:
        """``run`` for code that is not asynchronous."""
        return self._loops.run(lambda: self.run(prompt, **settings))

    def resume_stream(
        self,
        start: RunState | Session,
        approvals: Mapping[str, Approval] | None = None,
        **settings: Unpack[RunSettings],
    ) -> AgentStream[Output]:
        """Go on with a run that was suspended, stopped, or whose process died.

        Args:
            start: its state, or the session that it was kept in.
            approvals: by the id of a call that waits: True; or False, or a text that says why not; or a
                dict of other arguments. A call that is not named goes on waiting.
            **settings: see ``RunSettings``.

        Calls that have a result are not run again.
        """
        if isinstance(start, Session):
            settings["session"] = start
        else:
            settings["state"] = start
        return self._started([], settings, approvals or {})

    async def resume(
        self,
        start: RunState | Session,
        approvals: Mapping[str, Approval] | None = None,
        **settings: Unpack[RunSettings],
    ) -> AgentResult[Output]:
        """``resume_stream``, to its end. Raises as ``run`` does."""
        async with self.resume_stream(start, approvals, **settings) as run:
            return await run.finish()

    # ------------------------------------------------------------------------------ as part of more

    def as_tool(self, name: str = "", description: str = "") -> Tool:
        """The agent as a tool of another: it gets a task in words, and its answer is the result.

        What happens in it is told as ``NestedRun``; what it costs is on the books of the run around it.
        """

        async def work(values: dict[str, Any], context: ToolContext[Any]) -> ToolResult:
            settings: RunSettings = {"call": context.call, "deps": context.deps}
            async with self.stream(values["task"], **settings) as run:
                async for event in run:
                    context.nested(event)
            result = run.result
            if result.error is not None:
                raise result.error
            if result.outcome == "suspended":
                return error_result(_UNDECIDED.format(self.name, result.detail))
            return ToolResult(content=[Text(result.text)], details=result.output)

        about = (
            description
            or f"Give a task to {self.name}, who has tools of its own, and get the answer."
        )
        return Tool.from_schema(ToolDefinition(name or self.name, about, _TASK), work)

    # ------------------------------------------------------------------------------ to close it

    async def aclose(self) -> None:
        """Close its toolsets, and its client if it made one."""
        clients = self._own_clients[:]
        self._own_clients.clear()
        try:
            await combine(*self.tools, name=self.name).aclose()
        finally:
            await _close(clients)

    # ------------------------------------------------------------------------------ inside

    def _started(
        self, prompt: list[Message], settings: RunSettings, approvals: Mapping[str, Approval]
    ) -> AgentStream[Output]:
        check_run(settings)
        kept = settings.get("session")
        session = None if isinstance(kept, str) or kept is None else kept
        state = session.state if session is not None else settings.get("state") or RunState()
        state.agent = state.agent or self.name
        _check_approvals(state, approvals)
        limits = settings.get("limits") or self.limits
        terms = Terms(session, limits, settings.get("deps"), approvals)
        call = call_of(settings, limits)
        run = Run(self.role_of, prompt, state, call, terms)
        return AgentStream(run)

    async def role_of(self, name: str) -> Role:
        """The agent of that name among this one and those it hands over to, ready to be asked.

        Raises ``ConfigurationError`` when there is none, or its tools don't go together.
        """
        named = [agent for agent in _reachable(self) if agent.name == name]
        if len(named) > 1:
            raise ConfigurationError(
                f"two agents that hand over to each other are called {name!r}",
                hint='Give each a name of its own: Agent(..., name="billing").',
            )
        found = named[0] if named else None
        if found is None:
            raise ConfigurationError(
                f"the conversation is with {name!r}, and {self.name!r} can't hand over to any such agent",
                hint="Go on with the agent that began it.",
            )
        model = found.model
        if isinstance(model, str):
            model = self.client.model(model)
        tools = {each.name: each for each in await combine(*found.tools, name=found.name).tools()}
        handoffs = {f"transfer_to_{agent.name}": agent for agent in found.handoffs}
        tools |= {name: _handoff(name, agent) for name, agent in handoffs.items()}
        request = replace(found._template, tools=[each.definition for each in tools.values()])
        return Role(found, model, tools, request, handoffs)

    @property
    def template(self) -> Request:
        """The request that every turn is made of, with no messages and no tools."""
        return self._template

    @property
    def has_client(self) -> bool:
        """Whether it was given a client, and does not make one of its own."""
        return self._client is not None

    @property
    def client(self) -> AsyncClient:
        """Who makes models of names."""
        if self._client is not None:
            return self._client
        if not self._own_clients:
            self._own_clients.append(AsyncClient())
        return self._own_clients[0]


_TASK = {
    "type": "object",
    "properties": {"task": {"type": "string", "description": "All that has to be known to do it."}},
    "required": ["task"],
}


async def _close(clients: Sequence[AsyncClient]) -> None:
    for client in clients:
        await client.aclose()


_UNDECIDED = "{} {}; nobody can give it here: an approve function of that agent could."


def _check_approvals(state: RunState, approvals: Mapping[str, Approval]) -> None:
    """An id that is another call's, or none's, must not approve of whatever comes to have it."""
    open_calls = [call.id for call in state.unanswered]
    for id in approvals:
        if id not in open_calls:
            known = ", ".join(map(repr, open_calls)) or "none"
            raise BadRequestError(f"no call {id!r} waits for an approval", hint=f"Open: {known}.")


def _reachable(agent: Agent[Any]) -> "Iterator[Agent[Any]]":
    """The agent, and all that a conversation can come to from it."""
    seen: list[Agent[Any]] = []
    waiting = [agent]
    while waiting:
        each = waiting.pop(0)
        if each not in seen:
            seen.append(each)
            waiting += each.handoffs
            yield each


def _handoff(name: str, agent: Agent[Any]) -> Tool:
    async def transfer(values: dict[str, Any], context: ToolContext[Any]) -> str:
        return f"From here on {agent.name} goes on."

    about = f"Hand the conversation over to {agent.name}, who then goes on with it."
    return Tool.from_schema(ToolDefinition(name, about), transfer, sequential=True)
