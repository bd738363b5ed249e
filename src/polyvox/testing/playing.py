"""Who answers a mock provider's next request, and how that answer is bent."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast

import msgspec

from polyvox import jsontext
from polyvox.dialects import Dialect
from polyvox.errors import BadRequestError, ConfigurationError
from polyvox.model import Model
from polyvox.providers.simulated import Script, ScriptedModel, load_script
from polyvox.providers.simulated.script import TurnLike
from polyvox.testing.knobs import Knobs
from polyvox.testing.shaping import USAGE_DIALECT, has_comments

OneScript: TypeAlias = bytes | str | Path | Sequence[TurnLike] | Script
ScriptLike: TypeAlias = OneScript | Mapping[str, OneScript]
"""A script, or one for each model by the name that it is asked by."""

_ANY = ""


class Player:
    """Plays the next turn of a script for each request, or of the script of the model that is asked.

    Without a script the ``model`` answers. Raises ``ConfigurationError`` for a wrong script.
    """

    def __init__(self, script: ScriptLike | None, model: Model) -> None:
        self._scripts = {} if script is None else _scripts(script)
        self._model = model
        self._played: Counter[str] = Counter()

    def next_turn(self, name: str, knobs: Knobs) -> tuple[Model, Knobs]:
        """Who answers a request to the model of that name. Raises ``BadRequestError``: nobody does."""
        if not self._scripts:
            return self._model, knobs
        key = _ANY if _ANY in self._scripts else name
        if key not in self._scripts:
            known = ", ".join(self._scripts)
            raise BadRequestError(f"there is no script for {name!r}", hint=f"There are {known}.")
        number = self._played[key]
        self._played[key] += 1
        try:
            turn = self._scripts[key].turn(number)
        except ConfigurationError as error:
            # Not for the server to be blamed: no client should ask again.
            raise BadRequestError(error.text, hint=error.hint) from None
        return ScriptedModel(Script((turn,))), knobs.but(turn.knobs)

    def check(self, knobs: Knobs, dialect: Dialect) -> None:
        """Raises ``ConfigurationError`` for knobs that don't suit the dialect, those of turns included."""
        everywhere = [
            knobs.but(turn.knobs, f"script[{number}].knobs")
            for script in self._scripts.values()
            for number, turn in enumerate(script.turns)
        ]
        for each in (knobs, *everywhere):
            _check(each, dialect)


def _scripts(source: ScriptLike) -> dict[str, Script]:
    if isinstance(source, (bytes, str, Path)):
        return _scripts_in(source)
    if not isinstance(source, Mapping):
        return {_ANY: load_script(source)}
    if not source:
        raise ConfigurationError("there is a script for no model", hint='{"model-name": [...]}')
    return {name: _script_of(name, script) for name, script in source.items()}


def _scripts_in(source: bytes | str | Path) -> dict[str, Script]:
    try:
        text = source.read_bytes() if isinstance(source, Path) else source
        value: object = jsontext.decode(text)
    except (OSError, msgspec.DecodeError):
        value = None  # the reader of scripts says what is wrong
    if isinstance(value, dict):
        return _scripts(cast("dict[str, OneScript]", value))
    return {_ANY: load_script(source)}


def _script_of(name: str, script: OneScript) -> Script:
    try:
        return load_script(script)
    except ConfigurationError as error:
        raise ConfigurationError(f"for {name!r}: {error.text}", hint=error.hint) from None


def _check(knobs: Knobs, dialect: Dialect) -> None:
    for name in ("usage", "manner"):
        turned = getattr(knobs, name) != getattr(Knobs(), name)
        if turned and dialect.name != USAGE_DIALECT:
            raise ConfigurationError(
                f"the knob {name} is for {USAGE_DIALECT}, not for {dialect.name}"
            )
    if knobs.ping_every and not has_comments(dialect):
        raise ConfigurationError(
            f"the knob ping_every is for server-sent events, not for {dialect.name}"
        )
