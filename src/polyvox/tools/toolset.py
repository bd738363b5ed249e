"""Sets of tools: combined, prefixed, filtered, and closed by whoever uses them.

A set may be a server elsewhere, whose tools are known only once it is asked; hence ``tools()`` is
asynchronous, and is also what opens a connection if one is needed.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol, TypeAlias, runtime_checkable

from polyvox.closing import AsyncClosing
from polyvox.errors import ConfigurationError
from polyvox.tools.tool import Tool, as_tool

__all__ = ["BaseToolset", "FunctionToolset", "ToolLike", "Toolset", "combine"]


@runtime_checkable
class Toolset(Protocol):
    """Some tools that belong together."""

    @property
    def name(self) -> str:
        """What the set is called where something is said about it."""
        ...

    async def tools(self) -> Sequence[Tool]:
        """The tools, as they are now."""
        ...

    async def aclose(self) -> None:
        """Let go of what the tools need. Closing twice does nothing."""
        ...


ToolLike: TypeAlias = Tool | Toolset | Callable[..., Any]
"""What may be given where tools are wanted: a tool, a set of them, a function."""


class BaseToolset(AsyncClosing):
    """What every set of ours can do: change what it offers, and close itself at the end of a block."""

    name: str = "tools"

    @abstractmethod
    async def tools(self) -> Sequence[Tool]:
        """The tools, as they are now."""

    async def aclose(self) -> None:
        """Let go of what the tools need. Closing twice does nothing."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def prefixed(self, prefix: str) -> "BaseToolset":
        """The same tools, with this before each name."""
        return _Changed(self, lambda tools: [tool.renamed(prefix + tool.name) for tool in tools])

    def filtered(self, wanted: Callable[[Tool], bool] | Collection[str]) -> "BaseToolset":
        """Only the tools of these names, or those for which the function says so.

        ``tools()`` raises ``ConfigurationError`` for a name that no tool has.
        """
        if callable(wanted):
            return _Changed(self, lambda tools: [tool for tool in tools if wanted(tool)])
        names = {wanted} if isinstance(wanted, str) else set(wanted)
        return _Changed(self, lambda tools: _named(tools, names, self.name))


class FunctionToolset(BaseToolset):
    """A set of functions and tools. Raises ``ConfigurationError`` when two have the same name."""

    def __init__(self, *tools: Tool | Callable[..., Any], name: str = "tools") -> None:
        self.name = name
        self._tools = [as_tool(each) for each in tools]
        _check_names((tool, name) for tool in self._tools)

    def __len__(self) -> int:
        """How many tools there are."""
        return len(self._tools)

    def __iter__(self) -> Iterator[Tool]:
        """The tools, also where nobody can wait."""
        return iter(self._tools)

    async def tools(self) -> Sequence[Tool]:
        """The tools."""
        return self._tools


def combine(*tools: ToolLike, name: str = "tools") -> BaseToolset:
    """One set of all these: of tools, functions and other sets, which are closed with it.

    ``tools()`` raises ``ConfigurationError`` when two tools have the same name.
    """
    return _Combined(tools, name)


class _Combined(BaseToolset):
    """Several sets as one."""

    def __init__(self, parts: Sequence[ToolLike], name: str) -> None:
        self.name = name
        self._sets: list[Toolset] = [
            part if isinstance(part, Toolset) else FunctionToolset(part, name=name)
            for part in parts
        ]

    async def tools(self) -> Sequence[Tool]:
        # One after the other: a set may have to be closed by the task that opened it.
        found = [(tool, each.name) for each in self._sets for tool in await each.tools()]
        _check_names(found)
        return [tool for tool, _ in found]

    async def aclose(self) -> None:
        async with AsyncExitStack() as stack:  # all are closed, even when closing one fails
            for each in self._sets:
                stack.push_async_callback(each.aclose)


class _Changed(BaseToolset):
    """What a function makes of another set's tools; closing it closes that set."""

    def __init__(
        self, inner: BaseToolset, change: Callable[[Sequence[Tool]], Sequence[Tool]]
    ) -> None:
        self.name = inner.name
        self._inner = inner
        self._change = change

    async def tools(self) -> Sequence[Tool]:
        return self._change(await self._inner.tools())

    async def aclose(self) -> None:
        await self._inner.aclose()


def _named(tools: Sequence[Tool], wanted: Collection[str], source: str) -> list[Tool]:
    known = {tool.name for tool in tools}
    for name in sorted(wanted):
        if name not in known:
            raise ConfigurationError(
                f"{source} has no tool {name!r}",
                hint=f"It has {', '.join(sorted(known)) or 'none'}.",
            )
    return [tool for tool in tools if tool.name in wanted]


def _check_names(tools: Iterable[tuple[Tool, str]]) -> None:
    """Raises ``ConfigurationError`` naming both when two tools have one name."""
    sources: dict[str, str] = {}
    for tool, place in tools:
        source = tool.origin or f"one of {place}"
        if tool.name in sources:
            raise ConfigurationError(
                f"two tools are called {tool.name!r}: {sources[tool.name]} and {source}",
                hint='Name one otherwise, @tool(name="..."), or prefix its set: .prefixed("...").',
            )
        sources[tool.name] = source
