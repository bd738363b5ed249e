"""The matrix: client by dialect of the provider, and what of it was seen to work."""

from collections.abc import Iterator, Mapping

from .upstreams import DIALECTS

ACTS = {
    "whole": "W",
    "stream": "S",
    "tools": "T",
    "tools_streamed": "t",
    "errors": "E",
    "breaks": "B",
}
"""What is done, and its letter in the table."""

_KEY = "W whole, S streamed, T a round of tools, t the same streamed, E refused, B broken off"


def drawn(rows: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """The lines of the table: by client and dialect the letters of what works."""
    yield _KEY
    yield " " * 26 + "".join(f"{dialect:<20}" for dialect in DIALECTS).rstrip()
    for client, seen in rows.items():
        yield f"{client:<26}" + "".join(f"{seen[dialect]:<20}" for dialect in DIALECTS).rstrip()
