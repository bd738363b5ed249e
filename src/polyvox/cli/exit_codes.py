"""Exit codes: what a script can tell from how the command ended."""

from polyvox.errors import PolyvoxError

__all__ = [
    "BY_KIND",
    "EXIT_CODES",
    "FAILED",
    "INTERRUPTED",
    "READER_GONE",
    "SUSPENDED",
    "USAGE",
    "exit_code",
    "table",
]

FAILED = 1
USAGE = 2
SUSPENDED = 16
INTERRUPTED = 130
READER_GONE = 141

EXIT_CODES: tuple[tuple[int, tuple[str, ...], str], ...] = (
    (0, (), "done"),
    (FAILED, ("error",), "any other failure, or nothing found"),
    (USAGE, (), "the command was not understood"),
    (3, ("configuration", "missing_key"), "the set-up: no key, an unknown provider or name"),
    (4, ("authentication", "permission_denied"), "the key is wrong or may not do this"),
    (5, ("not_found",), "no such model or address"),
    (6, ("bad_request", "context_window_exceeded"), "the request can't be served, or is too long"),
    (7, ("content_filter",), "stopped by the provider's content filter"),
    (8, ("rate_limit",), "too many requests, or out of quota"),
    (9, ("overloaded", "server"), "the provider is overloaded or failed"),
    (10, ("network",), "no connection, or it broke"),
    (11, ("timeout",), "a deadline passed"),
    (12, ("protocol",), "the answer breaks its own format"),
    (13, ("budget_exceeded", "unknown_price"), "over the budget, or nobody knows the price"),
    (14, ("invalid_answer",), "the answer is not the JSON that was asked for"),
    (15, ("run_limit",), "a limit of the agent's run was reached"),
    (SUSPENDED, (), "the agent's run waits for an approval"),
    (INTERRUPTED, ("aborted",), "interrupted by Ctrl-C"),
    (READER_GONE, (), "whoever read the output went away"),
)
"""Every code, the kinds of error that end with it, and what it means."""

BY_KIND = {kind: code for code, kinds, _ in EXIT_CODES for kind in kinds}


def exit_code(error: PolyvoxError) -> int:
    """The code for an error, by its kind or that of the nearest kind above it.

    >>> from polyvox.errors import RateLimitError
    >>> exit_code(RateLimitError("slow down"))
    8
    """
    kinds = (getattr(kind, "kind", "") for kind in type(error).__mro__)
    return next(BY_KIND[kind] for kind in kinds if kind in BY_KIND)


def table() -> str:
    """The codes as lines of text, for ``--help``."""
    return "\n".join(f"  {code:>3}  {meaning}" for code, _, meaning in EXIT_CODES)
