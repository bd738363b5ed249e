"""What may be said about an agent and about one of its runs, and what comes of it: a request, a call."""

import time
import weakref
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, cast, get_args

from polyvox.agent.compaction import Compacting
from polyvox.agent.hooks import AfterTool, Approve, BeforeTool, Transform
from polyvox.agent.limits import RunLimits
from polyvox.agent.role import Session
from polyvox.agent.state import RunState
from polyvox.client import AsyncClient
from polyvox.client.settings import (
    CallSettings,
    ModelSettings,
    Settings,
    make_call,
    make_request,
)
from polyvox.errors import BadRequestError, ConfigurationError
from polyvox.messages import Text
from polyvox.model import Caching, Call, Interrupt
from polyvox.request import Request
from polyvox.suggestions import hint_for
from polyvox.tools import Tool, as_tool
from polyvox.tools.toolset import Toolset

if TYPE_CHECKING:
    from polyvox.agent.agent import Agent

__all__ = [
    "AgentOptions",
    "QueueMode",
    "RunSettings",
    "call_of",
    "check_run",
    "mode_of",
    "template_of",
    "tools_of",
]

QueueMode: TypeAlias = Literal["one-at-a-time", "all"]


class RunSettings(TypedDict, total=False):
    """What may be said about a run besides its prompt.

    state: the conversation to go on with; it is changed. Another run's ``result.state``, for one; None
        for a new one.
    session: where the run is kept, event by event; or a word by which its calls are found again.
    deps: what tools get as ``context.deps``.
    limits: how far the run may go, in place of the agent's.
    interrupt: a switch that ends the run from anywhere.
    tenant: for whom it is; nothing cached for one tenant is given to another.
    tags: words by which costs and logs are sorted: ``{"feature": "search"}``.
    fallbacks: whether a router may ask another model in place of the one that was meant.
    caching: what a cache of answers may do: "use" (the default), "skip" or "refresh".
    call: a call that this run is part of: its costs are told there as well.
    """

    state: RunState | None
    session: Session | str | None
    deps: Any
    limits: RunLimits | None
    interrupt: Interrupt
    tenant: str
    tags: dict[str, str]
    fallbacks: bool
    caching: Caching
    call: Call


class AgentOptions(ModelSettings, total=False):
    """What may be said about an agent besides its model and ``output``; also all ``ModelSettings``.

    tools: functions, ``Tool``s and toolsets.
    system: instructions.
    name: what it is called in events, in sessions, and by agents that hand over to it.
    client: who makes models of names; a client of its own by default.
    limits: how far a run may go: 50 turns by default.
    parallel_tools: whether tools of one turn run at the same time; a number: at most so many.
    steering: whether messages said into a run are read "one-at-a-time", a turn each, or "all" at once.
    follow_ups: the same for those that wait until the model is done.
    steer_between_tools: whether a message said into a run is read before tools that were not started
        yet; these are skipped then.
    before_tool: has a say in each call of a tool: goes on, changes its arguments, stops it, or asks.
    after_tool: sees each result first, and may change it.
    approve: approves of calls that need it; without it they suspend the run.
    transform: what the model reads of the conversation.
    compaction: how a conversation that becomes too long is made shorter.
    handoffs: agents that the model may hand the conversation over to.
    """

    tools: Sequence[Any]
    system: str | Sequence[Text | str]
    name: str
    client: AsyncClient
    limits: RunLimits
    parallel_tools: bool | int
    steering: QueueMode
    follow_ups: QueueMode
    steer_between_tools: bool
    before_tool: BeforeTool | None
    after_tool: AfterTool | None
    approve: Approve | None
    transform: Transform | None
    compaction: Compacting | None
    handoffs: "Sequence[Agent[Any]]"


def template_of(options: AgentOptions, output: type[Any] | None) -> Request:
    """The request that every turn is made of, with no messages."""
    if (
        wrong := options.keys()
        - AgentOptions.__annotations__.keys()
        - ModelSettings.__annotations__.keys()
    ):
        known, otherwise = AgentOptions.__annotations__, "See AgentOptions and ModelSettings."
        raise BadRequestError(
            f"an agent has no setting {min(wrong)!r}", hint=hint_for(min(wrong), known, otherwise)
        )
    _check_kinds(options)
    settings = {
        name: value for name, value in options.items() if name in ModelSettings.__annotations__
    }
    said = cast("Settings", settings)
    if system := options.get("system"):
        said["system"] = system
    if output is not None and output is not str:
        said["response_format"] = output
    request = make_request("-", said)
    request.messages = []
    return request


def tools_of(options: AgentOptions) -> Sequence[Tool | Toolset]:
    """The tools, made of functions once: a function's limits and threads are the same in all runs."""
    return tuple(_tool(each) for each in options.get("tools", ()))


def _tool(each: Any) -> Tool | Toolset:
    if hasattr(each, "as_tool"):  # an agent, which has all that a toolset has
        raise ConfigurationError(
            f"{each!r} is no tool by itself", hint="Give agent.as_tool(), or handoffs=[agent]."
        )
    return each if isinstance(each, Toolset) else as_tool(each)


def check_run(settings: RunSettings) -> None:
    """Raises ``BadRequestError`` for what can't be said about a run."""
    if wrong := settings.keys() - RunSettings.__annotations__.keys():
        raise BadRequestError(
            f"a run has no setting {min(wrong)!r}",
            hint=f"It has {', '.join(RunSettings.__annotations__)}; the others are the agent's.",
        )
    _check_kinds(settings)


_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "tools": ((list, tuple), "Give a list: tools=[weather]."),
    "handoffs": ((list, tuple), "Give a list of agents."),
    "limits": ((RunLimits,), "Give RunLimits(turns=10), for instance."),
    "state": ((RunState,), "Give a result's state, or RunState.from_json(data)."),
}


def _check_kinds(settings: Mapping[str, Any]) -> None:
    """What is of a wrong kind is told here, and not by whatever stumbles over it in a run."""
    for name, (kinds, hint) in _KINDS.items():
        value = settings.get(name)
        if value is not None and not isinstance(value, kinds):
            raise BadRequestError(f"{name} is of type {type(value).__name__}", hint=hint)


def mode_of(field: Literal["steering", "follow_ups"], options: AgentOptions) -> QueueMode:
    """How many waiting messages are read at once. Raises ``ConfigurationError`` for a wrong word."""
    mode: QueueMode = options.get(field) or "one-at-a-time"
    if mode not in get_args(QueueMode):
        raise ConfigurationError(f"{field} is {mode!r}; it may be 'one-at-a-time' or 'all'")
    return mode


_CALL_SETTINGS = ("tenant", "tags", "fallbacks", "caching")


def call_of(settings: RunSettings, limits: RunLimits) -> Call:
    """The call of a run with these settings: a child of the one that it is part of, or its own."""
    around = settings.get("call")
    if around is not None:
        call = around.child()
    else:
        named = {key: value for key, value in settings.items() if key in _CALL_SETTINGS}
        call = make_call(cast("CallSettings", named))
        kept = settings.get("session")
        call.session = kept if isinstance(kept, str) or kept is None else kept.id
    own = Interrupt()
    for outside in (call.interrupt, settings.get("interrupt")):
        if outside is not None:
            forget = outside.listen(partial(_passed_on, outside, weakref.ref(own)))
            weakref.finalize(own, forget)  # it may be there for many runs
    call.interrupt = own
    if limits.seconds is not None:
        deadline = time.monotonic() + limits.seconds
        call.deadline = deadline if call.deadline is None else min(deadline, call.deadline)
    return call


def _passed_on(outside: Interrupt, inside: weakref.ref[Interrupt]) -> None:
    own = inside()
    if own is not None:
        own.set(outside.reason or "interrupted by the caller")
