"""What the user types in a chat: edited lines with a history on a terminal, plain lines from a pipe."""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from polyvox.cli.terminal import is_terminal, warn

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

__all__ = ["Lines", "PipedLines", "TypedLines", "open_lines", "read_message", "state_folder"]

QUOTES = '"""'


class Lines(Protocol):
    """Where input comes from. ``interactive`` says that a person types it."""

    @property
    def interactive(self) -> bool:
        """Whether a person types it."""
        ...

    async def read(self, prompt: str) -> str:
        """The next line, or lines typed as one. Raises ``EOFError``, ``KeyboardInterrupt``."""
        ...


class PipedLines:
    """Lines from a pipe or file. Reading blocks: nothing else wants the event loop meanwhile."""

    interactive = False

    def __init__(self) -> None:
        # asyncio's own handler would wait for the loop, which stands still until there is a line.
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    async def read(self, prompt: str) -> str:
        """The next line; nothing is shown."""
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\r\n")


class TypedLines:
    """Lines that a person edits; Alt-Enter begins a new one in the same message."""

    interactive = True

    def __init__(
        self,
        history_file: Path | None,
        commands: Sequence[str],
        models: Callable[[], Iterable[str]],
    ) -> None:
        from polyvox.cli.chat_completion import ChatCompleter

        self._session = _prompt_session(history_file, ChatCompleter(commands, models))

    async def read(self, prompt: str) -> str:
        """The next message, edited and kept in the history."""
        return await self._session.prompt_async(prompt)


def open_lines(commands: Sequence[str], models: Callable[[], Iterable[str]]) -> Lines:
    """Edited lines where a person sits, plain ones elsewhere."""
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        return PipedLines()
    return TypedLines(_history_file(), commands, models)


async def read_message(lines: Lines) -> str:
    '''The next message: a line, or everything between two `"""`.'''
    text = await lines.read("> ")
    if not text.lstrip().startswith(QUOTES):
        return text
    text = text.lstrip().removeprefix(QUOTES)
    parts = [text]
    while not parts[-1].rstrip().endswith(QUOTES):
        parts.append(await lines.read(". "))
    return "\n".join(parts).rstrip().removesuffix(QUOTES).strip("\n")


def state_folder() -> Path:
    """Where the command line keeps what it remembers: XDG_STATE_HOME/polyvox, or the like."""
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    else:
        base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "polyvox"


def _history_file() -> Path | None:
    """The history, for the user's eyes only; None when it can't be kept."""
    path = state_folder() / "chat-history"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        warn(f"the history is not kept: {path}: {error.strerror}")
        return None
    return path


def _prompt_session(history_file: Path | None, completer: object) -> "PromptSession[str]":
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    assert isinstance(completer, Completer)
    return PromptSession(
        history=FileHistory(str(history_file)) if history_file else InMemoryHistory(),
        completer=completer,
        complete_while_typing=False,
        multiline=True,
        key_bindings=_key_bindings(),
        prompt_continuation=". ",
        enable_open_in_editor=True,
    )


def _key_bindings() -> "KeyBindings":
    """Enter sends, Alt-Enter begins a new line."""
    from prompt_toolkit.filters import completion_is_selected
    from prompt_toolkit.key_binding import KeyBindings

    bindings = KeyBindings()

    def send(event: "KeyPressEvent") -> None:
        event.current_buffer.validate_and_handle()

    def new_line(event: "KeyPressEvent") -> None:
        event.current_buffer.insert_text("\n")

    bindings.add("enter", filter=~completion_is_selected)(send)
    bindings.add("escape", "enter")(new_line)
    return bindings
