"""How a run is shown where nobody looks: the answer alone in a pipe, or every event as JSON."""

import sys
from collections.abc import Iterator
from typing import Any, Protocol

import click

from polyvox.agent import AgentEvent, AgentResult, encode_agent_event
from polyvox.cli.agent_tools import ToolLine, ToolLines, call_text
from polyvox.cli.answering import usage_text
from polyvox.cli.terminal import note

__all__ = ["AgentView", "EventLines", "PlainLines", "run_line"]


class AgentView(Protocol):
    """Shows a run while it goes on."""

    tools: ToolLines

    def event(self, event: AgentEvent) -> None:
        """Show what happens."""
        ...

    def pause(self) -> None:
        """Something else is written now; the next event goes on."""
        ...

    def end(self, result: AgentResult[Any]) -> None:
        """The run is over."""
        ...


class EventLines:
    """Every event as one line of JSON on what is stdout at the start."""

    def __init__(self) -> None:
        self.tools = ToolLines()
        self._out = sys.stdout

    def event(self, event: AgentEvent) -> None:
        """Print the event."""
        self.tools.apply(event)
        click.echo(encode_agent_event(event), file=self._out)

    def pause(self) -> None:
        """Nothing is in the way."""

    def end(self, result: AgentResult[Any]) -> None:
        """Its last event has told everything."""


class PlainLines:
    """The last answer on what is stdout at the start, the tools, with those inside, on stderr."""

    def __init__(self, *, quiet: bool) -> None:
        self.tools = ToolLines()
        self._out = sys.stdout
        self._quiet = quiet

    def event(self, event: AgentEvent) -> None:
        """Tell which tools are done."""
        self.tools.apply(event)
        for line in self.tools.take_finished():
            for text in _lines(line) if not self._quiet else ():
                note(text)

    def pause(self) -> None:
        """Nothing is in the way."""

    def end(self, result: AgentResult[Any]) -> None:
        """Print the answer."""
        if result.outcome == "done" and result.text:
            self._out.write(f"{result.text.rstrip()}\n")
            self._out.flush()


def run_line(result: AgentResult[Any], tools: int, seconds: float) -> str:
    """What a run took, in one line for a person."""
    parts = [_count(result.turns, "turn"), _count(tools, "tool")]
    return " · ".join([*parts, usage_text(result.usage), f"{seconds:.1f} s"])


def _lines(line: ToolLine, indent: str = "") -> Iterator[str]:
    yield f"{indent}{line.mark or '✗'} {call_text(line.call)} {line.took}"
    if line.error:
        yield f"{indent}  {line.error}"
    for each in line.inside:
        yield from _lines(each, f"{indent}  ")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
