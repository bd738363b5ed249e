"""What is wrong in a configuration, and where."""

from collections.abc import Iterable

import msgspec

from polyvox.errors import ConfigurationError

__all__ = ["Problem", "error_of"]


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong.

    ``where`` is the place: "polyvox.toml, line 12". A ``warning`` is no reason not to start.
    """

    where: str
    text: str
    hint: str = ""
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


def error_of(problems: Iterable[Problem]) -> ConfigurationError | None:
    """The error that says what is wrong; None if there are warnings at most."""
    wrong = [problem for problem in problems if not problem.warning]
    if not wrong:
        return None
    hints = [wrong[0].hint] if wrong[0].hint else []
    if len(wrong) > 1:
        hints.append(
            f"There are {len(wrong) - 1} more problems: 'polyvox config check' lists them."
        )
    return ConfigurationError(str(wrong[0]), hint=" ".join(hints) or None)
