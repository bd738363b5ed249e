"""A trace on a terminal, or beside a pipe."""

import os
from shutil import get_terminal_size
from typing import IO

import click

from polyvox.cli.terminal import coloured, is_terminal
from polyvox.trace import TraceNode
from polyvox.trace_text import drawn

__all__ = ["print_tree"]

_WIDTH = 100
"""How wide a tree is where nobody says how much room there is."""

_COLOURS = {"ok": "green", "error": "red", "timeout": "red"}


def print_tree(trace: TraceNode, stream: IO[str]) -> None:
    """Draw it there, as wide as the terminal is, in colours by how each part ended."""
    colours = coloured(stream)
    text = drawn(trace, _width(stream), _painted if colours else lambda text, look: text)
    click.echo(text, file=stream, color=colours)


def _painted(text: str, look: str) -> str:
    if not text or look == "":
        return text
    if look == "dim":
        return click.style(text, dim=True)
    return click.style(text, fg=_COLOURS.get(look, "yellow"))


def _width(stream: IO[str]) -> int:
    if is_terminal(stream) and not os.environ.get("COLUMNS"):
        return os.get_terminal_size(stream.fileno()).columns or _WIDTH
    return get_terminal_size((_WIDTH, 24)).columns
