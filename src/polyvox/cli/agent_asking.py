"""What a person at the terminal is asked while an agent works: whether a tool may be run, what to say."""

import sys
from collections.abc import Callable
from typing import Any

import click
import msgspec

from polyvox import jsontext
from polyvox.agent import Approval, ToolUse
from polyvox.cli.terminal import note, visible, warn
from polyvox.model import Interrupt
from polyvox.tools import ToolArgumentsError

__all__ = ["Person"]

_QUESTION = "Run it? [y]es, [n]o, [e]dit, [a]lways: "


class Person:
    """Who sits at the terminal: approves of calls, and says something when the agent was stopped.

    ``pause`` and ``interrupt`` are those of the present run. "Always" holds for a tool, as long as
    this process lasts.
    """

    def __init__(self) -> None:
        from prompt_toolkit import PromptSession  # now, so that a run does not begin without it

        self._prompts = PromptSession[str]
        self.pause: Callable[[], None] = lambda: None
        self.interrupt = Interrupt()
        self._always: set[str] = set()

    async def line(self, prompt: str, default: str = "") -> str:
        """A line that they type. Raises ``EOFError``, ``KeyboardInterrupt``."""
        return await self._prompts().prompt_async(prompt, default=default)

    async def approve(self, use: ToolUse, reason: str) -> Approval:
        """Whether the call may be carried out."""
        if use.tool.name in self._always:
            return True
        self.pause()
        _forget_typed()
        _show(use, reason)
        try:
            return await self._decision(use)
        except (EOFError, KeyboardInterrupt):
            self.interrupt.set("interrupted by Ctrl-C")
            return "Not run: the user interrupted the agent."

    async def _decision(self, use: ToolUse) -> Approval:
        while True:
            word, _, why = (await self.line(_QUESTION)).strip().partition(" ")
            match word.lower():
                case "y" | "yes":
                    return True
                case "n" | "no":
                    why = why.strip() or (await self.line("Why not (may be empty)? ")).strip()
                    return f"Not run: the user says: {why}" if why else False
                case "e" | "edit":
                    return await self._edited(use)
                case "a" | "always":
                    self._always.add(use.tool.name)
                    return True
                case _:
                    note("Type y, n, e or a, and Enter.")

    async def _edited(self, use: ToolUse) -> dict[str, Any]:
        """Other arguments, which the tool takes."""
        text = jsontext.encode(use.arguments).decode()
        while True:
            text = await self.line("Arguments: ", text)
            try:
                values = msgspec.json.decode(text, type=dict[str, Any])
                use.tool.read(values)
            except msgspec.DecodeError as error:
                warn(f"this is no JSON object: {error}")
            except ToolArgumentsError as error:
                warn(error.text)
            else:
                return values


def _show(use: ToolUse, reason: str) -> None:
    arguments = msgspec.json.format(jsontext.encode(use.arguments), indent=2).decode()
    click.echo(visible(f"{use.tool.name} {arguments}"))
    note(f"It needs an approval: {reason}.")


def _forget_typed() -> None:
    """What was typed before the question is no answer to it."""
    try:
        import termios
    except ImportError:  # not a Unix
        return
    termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
