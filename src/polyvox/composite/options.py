"""What may be said of any composite, whatever its strategy."""

from typing import NamedTuple, TypedDict

from polyvox.composite.members import Models, check_seconds
from polyvox.composite.tool_loop import ToolExecutor, ToolLoop, tool_loop
from polyvox.errors import ConfigurationError
from polyvox.suggestions import did_you_mean

__all__ = ["CompositeOptions", "Options", "options_of"]


class CompositeOptions(TypedDict, total=False):
    """What may be said of any composite.

    quorum: how many must answer, 1 by default; whoever does not is left out, and a warning says so.
    timeout: seconds for each stage but the last, after which the answers that are there have to do.
    tool_executor: runs the tools that the last stage calls; without it they are for the caller.
    client: makes models of those that are named; needed only for names.
    name: the name it is asked by.
    """

    quorum: int
    timeout: float | None
    tool_executor: ToolExecutor | ToolLoop | None
    client: Models | None
    name: str


class Options(NamedTuple):
    """The same with the defaults, and checked; of the ``quorum`` only that it is a number."""

    quorum: int
    timeout: float | None
    tool_loop: ToolLoop | None
    client: Models | None
    name: str


def options_of(kind: str, options: CompositeOptions) -> Options:
    """The options of a composite. Raises ``ConfigurationError`` for a wrong one."""
    known = CompositeOptions.__annotations__
    if wrong := options.keys() - known.keys():
        name = min(wrong)
        raise ConfigurationError(f"{kind} has no argument {name!r}{did_you_mean(name, known)}")
    return Options(
        options.get("quorum", 1),
        check_seconds(options.get("timeout")),
        tool_loop(options.get("tool_executor")),
        options.get("client"),
        options.get("name", ""),
    )
