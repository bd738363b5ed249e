"""What the terminal can take: colours only where somebody looks, and nothing that bends it."""

import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO

import click

from polyvox.cli.local_servers import start_hint
from polyvox.errors import AbortedError, PolyvoxError

__all__ = [
    "coloured",
    "forget_output",
    "harmless",
    "is_terminal",
    "note",
    "progress",
    "report_error",
    "say_error",
    "styled",
    "unechoed",
    "visible",
    "warn",
]

# Control characters but tab and newline: a model's answer may not move the cursor, retitle the
# window or hide what it wrote. C1 controls (U+0080 to U+009F) do the same on some terminals.
_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}


def harmless(text: str) -> str:
    """The text without control characters; only for terminals, a pipe gets what was said.

    >>> harmless("red: \\x1b[31m!")
    'red: [31m!'
    """
    return text if text.isprintable() else text.translate(_CONTROLS)


def visible(text: str) -> str:
    """The text with an escape for each character that can't be seen, or that moves others about.

    For what somebody must know whole before they approve of it.

    >>> visible("gpj.\\u202eexe\\x9b")
    'gpj.\\\\u202eexe\\\\u009b'
    """
    shown = (
        each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text
    )
    return "".join(shown)


def is_terminal(stream: IO[str]) -> bool:
    """Whether a person sees what is written there."""
    return not stream.closed and stream.isatty()


def coloured(stream: IO[str]) -> bool:
    """Whether colours may be written there: a terminal, and no wish against it (NO_COLOR)."""
    return (
        is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def styled(text: str, stream: IO[str], *, colour: str | None = None, dim: bool = False) -> str:
    """The text in a style, if the stream takes colours."""
    return click.style(text, fg=colour, dim=dim or None) if coloured(stream) else text


def note(text: str) -> None:
    """Say something by the way: one dim line on stderr."""
    _say(styled(_safe(text), sys.stderr, dim=True))


def warn(text: str) -> None:
    """Say that something is not as one might think: a line on stderr."""
    _say(f"{styled('warning:', sys.stderr, colour='yellow')} {_safe(text)}")


def report_error(error: PolyvoxError) -> None:
    """Say on stderr what happened, and below it what to do."""
    if isinstance(error, AbortedError):
        note(error.text)
        return
    about = str(error)
    if error.hint:
        about = about.removesuffix(error.hint).rstrip("\n")
    say_error(about, error.hint, start_hint(error), _retry_hint(error))


def say_error(text: str, *hints: str | None) -> None:
    """Say on stderr that something failed, and below it what to do."""
    _say(f"{styled('error:', sys.stderr, colour='red')} {_safe(text)}")
    for hint in filter(None, hints):
        _say(f"{styled('hint:', sys.stderr, colour='cyan')} {_safe(hint)}")


@contextmanager
def unechoed() -> Generator[None]:
    """While an answer is drawn the terminal does not show what is typed; it waits for the next prompt.

    Even the "^C" of a Ctrl-C would move the cursor away from where the drawing left it. A Ctrl-C
    stops the answer only: it does not throw away what was typed before it.
    """
    try:
        import termios
    except ImportError:  # not a Unix
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    silent = [*before]
    silent[3] = silent[3] & ~termios.ECHO | termios.NOFLSH
    termios.tcsetattr(terminal, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def forget_output(descriptor: int) -> None:
    """Nothing can be written there any more: what is still buffered must not fail when the process ends."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, descriptor)
    os.close(sink)


def progress(text: str) -> None:
    """Write over the current line of stderr; an empty text clears it."""
    sys.stderr.write(f"\r\x1b[2K{styled(text, sys.stderr, dim=True)}")
    sys.stderr.flush()


def _retry_hint(error: PolyvoxError) -> str:
    """When to ask again, where nothing else was said of what to do."""
    if error.retry_after is not None and error.hint is None:
        return f"Ask again in {error.retry_after:g} s."
    return ""


def _safe(text: str) -> str:
    return harmless(text) if is_terminal(sys.stderr) else text


def _say(line: str) -> None:
    try:
        click.echo(line, err=True, color=True)
    except OSError:  # nobody hears it: no reason to fail
        forget_output(2)
