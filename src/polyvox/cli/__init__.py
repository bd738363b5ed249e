"""The command line: ``polyvox ask``, ``chat``, ``agent`` and the commands beside them.

Belongs here: options and their meaning, what is shown to a person or a script, exit codes.
Does not belong here: anything a program would want too; that stands on a floor below.

Starts fast: a command's module is imported when the command is run, and ``rich``,
``prompt_toolkit`` and ``aiohttp`` only when they are really used.
"""

import sys
from collections.abc import Sequence

__all__ = ["main"]

_EXTRA = ("click", "rich", "prompt_toolkit")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code.

    ``arguments`` are those of the process by default. The exit codes stand in
    ``polyvox.cli.exit_codes``.
    """
    try:
        from polyvox.cli.app import run

        code = run(arguments)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        print(f"error: {error.name} is not installed", file=sys.stderr)
        print("hint: pip install 'polyvox[cli]'", file=sys.stderr)
        code = 3
    sys.exit(code)
