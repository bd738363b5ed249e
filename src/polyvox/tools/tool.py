"""A tool: what a model is told of it, how its arguments are read, and what is then done.

``@tool`` makes one of a function, which stays callable as the function it was. A tool that is no
function, such as one of a server elsewhere, is made ``from_schema``.
"""

import asyncio
import copy
import functools
import inspect
import re
from collections.abc import Awaitable, Callable
from typing import (
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    Self,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    overload,
)
from weakref import WeakKeyDictionary

import msgspec

from polyvox.errors import ConfigurationError
from polyvox.request import ToolDefinition
from polyvox.tools.arguments import SchemaArguments
from polyvox.tools.context import ToolContext
from polyvox.tools.parameters import Parameters, is_method, parameters_of, underlying
from polyvox.tools.result import ToolResult, as_result
from polyvox.tools.threads import Threads

__all__ = ["FunctionTool", "Tool", "ToolOptions", "as_tool", "tool"]

P = ParamSpec("P")
R = TypeVar("R", covariant=True)  # noqa: PLC0105 - it is a result everywhere
_Owner = TypeVar("_Owner")
_Rest = ParamSpec("_Rest")
_Result = TypeVar("_Result")

Approval: TypeAlias = bool | Callable[[dict[str, Any], ToolContext[Any]], bool]
Execute: TypeAlias = Callable[[dict[str, Any], ToolContext[Any]], Awaitable[object]]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Arguments(Protocol):
    """Reads what a model wrote into the values that a tool takes."""

    def read(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The values. Raises ``ToolArgumentsError``."""
        ...


class RunOptions(TypedDict, total=False):
    """How a tool is run.

    timeout: seconds after which a call of it is given up; the model is told.
    max_parallel: how many calls of it may run at once (in one event loop).
    sequential: nothing else runs beside it.
    needs_approval: whether somebody has to agree first; or a function of the values and the context
        that tells, call by call.
    max_retries: how often in a row it may ask the model for another try (``ToolRetry``).
    """

    timeout: float | None
    max_parallel: int | None
    sequential: bool
    needs_approval: Approval
    max_retries: int


class ToolOptions(RunOptions, total=False):
    """What may be said about a tool besides its function: ``RunOptions`` and this.

    name: by which the model calls it; else the function's.
    description: what the model is told of it; else what the docstring says.
    strict: ask the provider to hold the model to the schema, where it can.
    """

    name: str
    description: str
    strict: bool | None


class Tool:
    """Something that a model may call.

    ``definition`` is what the model is told. A call is prepared with ``read``, which checks and
    converts the arguments, and then run with ``polyvox.tools.run_tool``, which calls ``execute``.
    """

    def __init__(
        self,
        definition: ToolDefinition,
        arguments: Arguments,
        execute: Execute,
        **options: Unpack[RunOptions],
    ) -> None:
        self._definition = _checked(definition)
        self._arguments = arguments
        self._execute = execute
        self._take(options)

    @classmethod
    def from_schema(
        cls, definition: ToolDefinition, execute: Execute, **options: Unpack[RunOptions]
    ) -> "Tool":
        """A tool without a function: ``execute(values, context)`` gets what the schema admits, as it is."""
        arguments = SchemaArguments(definition.parameters)
        return Tool(definition, arguments, execute, **options)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    @property
    def name(self) -> str:
        """By which the model calls it."""
        return self.definition.name

    @property
    def definition(self) -> ToolDefinition:
        """What the model is told."""
        return self._definition

    @property
    def origin(self) -> str:
        """Where it is written, "module:function"; empty for what is no function."""
        return ""

    def read(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The values for ``execute``, checked. Raises ``ToolArgumentsError``, whose text is for the model."""
        return self._arguments.read(arguments)

    async def call(self, values: dict[str, Any], context: ToolContext[Any]) -> object:
        """Do it, and give back what comes of it as it is."""
        return await self._execute(values, context)

    async def execute(self, values: dict[str, Any], context: ToolContext[Any]) -> ToolResult:
        """Do it. Raises whatever goes wrong; ``run_tool`` makes results of that."""
        return as_result(await self.call(values, context))

    def approval_needed(self, values: dict[str, Any], context: ToolContext[Any]) -> bool:
        """Whether somebody has to agree to this call."""
        if callable(self.needs_approval):
            return self.needs_approval(values, context)
        return self.needs_approval

    def renamed(self, name: str) -> Self:
        """The same tool under another name; limits such as ``max_parallel`` hold for both together."""
        other = copy.copy(self)
        other._definition = _checked(msgspec.structs.replace(self.definition, name=name))
        return other

    def slots(self) -> asyncio.Semaphore | None:
        """What a call in the running loop has to hold while it runs; None if there is no limit."""
        if self.max_parallel is None:
            return None
        loop = asyncio.get_running_loop()
        return self._slots.setdefault(loop, asyncio.Semaphore(self.max_parallel))

    def _take(self, options: RunOptions) -> None:
        _check_options(options, RunOptions)
        self.timeout = options.get("timeout")
        self.max_parallel = options.get("max_parallel")
        self.sequential = options.get("sequential", False)
        self.needs_approval: Approval = options.get("needs_approval", False)
        self.max_retries = options.get("max_retries", 2)
        self._slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            WeakKeyDictionary()
        )


class FunctionTool(Tool, Generic[P, R]):
    """A function as a tool; calling it calls the function.

    In a class it is a method: ``shop.price`` is the tool of that shop.
    """

    def __init__(self, function: Callable[P, R], **options: Unpack[ToolOptions]) -> None:
        _check_options(options, ToolOptions)
        said = {
            name: value for name, value in options.items() if name in RunOptions.__annotations__
        }
        self._take(cast("RunOptions", said))
        self._function = _callable(function)
        self._binds = is_method(function)
        self._options = options
        self._parameters: Parameters | None = None
        self._threads = Threads()
        functools.update_wrapper(self, function, updated=())
        if not self._binds:  # that of a method is looked at when it is bound
            self._describe()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        return self._function(*args, **kwargs)

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(
        self: "FunctionTool[Concatenate[_Owner, _Rest], _Result]",
        instance: _Owner,
        owner: type[_Owner] | None = None,
    ) -> "FunctionTool[_Rest, _Result]": ...

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """The tool of the instance that it is looked up on."""
        if instance is None or not self._binds:
            return self
        bound = copy.copy(self)
        bound._function = cast("Callable[P, R]", self._function.__get__(instance, owner))
        bound._binds = False
        bound._parameters = None
        return bound

    @property
    def definition(self) -> ToolDefinition:
        """What the model is told."""
        self._describe()
        return self._definition

    @property
    def origin(self) -> str:
        """Where it is written: "module:function"."""
        target = underlying(self._function)
        return f"{target.__module__}:{target.__qualname__}"

    def read(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The values, as the types that the parameters are annotated with. Raises ``ToolArgumentsError``."""
        return self._describe().read(arguments)

    async def call(self, values: dict[str, Any], context: ToolContext[Any]) -> object:
        """Call the function: a coroutine here, any other in a thread."""
        injected = self._describe().context
        given = {**values, injected: context} if injected else values
        call = cast("Callable[[], Any]", functools.partial(self._function, **given))
        if inspect.iscoroutinefunction(underlying(self._function)):
            return await call()
        value = await self._threads.run(call)
        return await value if inspect.isawaitable(value) else value

    def renamed(self, name: str) -> Self:
        """The same tool under another name; limits such as ``max_parallel`` hold for both together."""
        other = copy.copy(self)
        other._options = {**self._options, "name": name}
        other._parameters = None
        return other

    def _describe(self) -> Parameters:
        if self._parameters is None:
            parameters = parameters_of(self._function, self._options.get("name"))
            definition = ToolDefinition(
                parameters.name,
                self._options.get("description", parameters.description),
                parameters.schema,
                strict=self._options.get("strict"),
            )
            self._definition = _checked(definition)
            self._parameters = parameters
        return self._parameters


@overload
def tool(function: Callable[P, R], /, **options: Unpack[ToolOptions]) -> FunctionTool[P, R]: ...


@overload
def tool(
    function: None = None, /, **options: Unpack[ToolOptions]
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...


def tool(
    function: Callable[P, R] | None = None, /, **options: Unpack[ToolOptions]
) -> FunctionTool[P, R] | Callable[[Callable[P, R]], FunctionTool[P, R]]:
    """Make a tool of a typed function: ``@tool``, or ``@tool(timeout=10)``.

    The docstring tells the model what it does and, where it describes them, what the parameters are.
    A parameter of the type ``ToolContext`` is filled in by whoever runs it.

    >>> @tool
    ... def weather(city: str) -> str:
    ...     "Tell the weather in a city."
    ...     return f"Sunny in {city}."
    >>> weather("Oslo"), weather.definition.name
    ('Sunny in Oslo.', 'weather')
    """
    if function is None:
        return lambda function: FunctionTool(function, **options)
    return FunctionTool(function, **options)


def as_tool(thing: Tool | Callable[..., Any]) -> Tool:
    """The tool itself, or one made of a function. Raises ``ConfigurationError`` for anything else."""
    if isinstance(thing, Tool):
        return thing
    if isinstance(thing, ToolDefinition):
        raise ConfigurationError(
            f"the ToolDefinition {thing.name!r} does not say what to do when it is called",
            hint="Tool.from_schema(definition, execute) makes a tool of it.",
        )
    return FunctionTool(thing)


def _callable(function: Any) -> Any:
    """What is to be called. Raises ``ConfigurationError`` for what can't be a tool."""
    if isinstance(function, staticmethod):
        return cast("Any", function).__func__
    if isinstance(function, classmethod):
        raise ConfigurationError(
            "a classmethod is not a tool by itself: which class it is for is not known here",
            hint="Leave @tool away, and make a tool of Shop.method: as_tool(Shop.method).",
        )
    if isinstance(function, functools.partial):
        inner = cast("Any", function)
        return functools.partial(_callable(inner.func), *inner.args, **inner.keywords)
    if isinstance(function, FunctionTool):
        return cast("Any", function)._function
    return function


def _checked(definition: ToolDefinition) -> ToolDefinition:
    if not _NAME.fullmatch(definition.name):
        raise ConfigurationError(
            f"no model can call a tool by the name {definition.name!r}",
            hint="Give 1 to 64 letters (a to z), digits, _ or -: @tool(name=...).",
        )
    return definition


def _check_options(options: Any, known: Any) -> None:
    for name in options:
        if name not in known.__annotations__:
            raise TypeError(
                f"a tool has no option {name!r}; it has {', '.join(known.__annotations__)}"
            )
    for name in ("timeout", "max_parallel"):
        value = options.get(name)
        if value is not None and not value > 0:
            raise ConfigurationError(f"{name} is {value!r}; it must be more than 0")
