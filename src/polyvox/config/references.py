"""References to environment variables in strings: ``${NAME}`` and ``${NAME:-otherwise}``."""

import re
from collections.abc import Mapping

import msgspec

__all__ = ["SECRET", "Expanded", "expand"]

SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
"""What is in the names of variables and fields that hold what must not be told."""

_REFERENCE = re.compile(r"\$(\$\{)|\$\{((?:(?!\$\{)[^}])*)\}|\$\{")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


class Expanded(msgspec.Struct):
    """A string with its references replaced.

    ``variables`` are those it refers to. ``problem`` is what is wrong with a reference, if anything.
    """

    text: str
    variables: list[str] = []
    problem: str = ""


def expand(text: str, environ: Mapping[str, str]) -> Expanded:
    """Put in what the variables hold; ``$${`` stands for the characters ``${``.

    A variable that is set to nothing counts as not set, as in a shell.

    >>> expand("${SCHEME:-https}://${HOST}", {"HOST": "lab"}).text
    'https://lab'
    """
    expanded = Expanded(text)
    if "${" not in text:
        return expanded

    def put_in(reference: re.Match[str]) -> str:
        if reference[1]:
            return "${"
        inside = _INSIDE.fullmatch(reference[2] or "")
        if inside is None:
            expanded.problem = expanded.problem or (
                f"{reference[0]!r} is no reference: it is ${{NAME}} or ${{NAME:-otherwise}}"
            )
            return ""
        name, otherwise = inside.groups()
        expanded.variables.append(name)
        value = environ.get(name) or otherwise
        if value is None:
            expanded.problem = expanded.problem or f"the environment variable {name} is not set"
        return value or ""

    expanded.text = _REFERENCE.sub(put_in, text)
    return expanded
