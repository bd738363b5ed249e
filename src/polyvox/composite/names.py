"""From a name to a composite: "composite/profile/<name>", or a preset over one model.

composite/profile/board                a profile of the configuration, or a packaged one
composite/moa-4-calls/openai/gpt-5     a preset of ``presets.toml`` over one model
composite/moa/openai/gpt-5             the usual preset of a strategy

A preset's model may be another composite: each level multiplies the calls, so there are few.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from polyvox.composite.profile import Profile
from polyvox.errors import ConfigurationError
from polyvox.model import Model
from polyvox.suggestions import did_you_mean

if TYPE_CHECKING:
    from polyvox.composite.members import Models

__all__ = [
    "PREFIX",
    "Profiles",
    "Shelf",
    "composite_meant",
    "composite_model",
    "packaged",
    "profile_of",
]

PREFIX = "composite/"
_PROFILE = "profile"
_DEEPEST = 3

Profiles: TypeAlias = Mapping[str, Profile]


class Shelf(msgspec.Struct, frozen=True):
    """What is there without a configuration: profiles, presets over a "{model}", their other names."""

    profiles: dict[str, Profile]
    presets: dict[str, dict[str, Any]]
    aliases: dict[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """What a preset may be called."""
        return (*self.aliases, *self.presets)

    def preset(self, name: str, model: str) -> Profile | None:
        """The preset over that model; None if there is none of that name."""
        table = self.presets.get(self.aliases.get(name, name))
        return None if table is None else msgspec.convert(_filled(table, model), Profile)


@cache
def packaged() -> Shelf:
    """What ``presets.toml`` holds."""
    text = Path(__file__).with_name("presets.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Shelf)


def composite_model(name: str, models: "Models", profiles: Profiles | None = None) -> Model:
    """The composite of that name; its members are made by ``models``.

    Raises ``ConfigurationError`` for a name that means nothing.
    """
    return profile_of(name, profiles).model(name, models)


def profile_of(name: str, profiles: Profiles | None = None) -> Profile:
    """What a name such as "composite/moa/openai/gpt-5" stands for; ``profiles`` come first.

    Raises ``ConfigurationError`` for a name that means nothing.
    """
    preset, _, rest = name.removeprefix(PREFIX).partition("/")
    shelf, profiles = packaged(), profiles or {}
    if name.count(PREFIX) > _DEEPEST:
        raise ConfigurationError(f"{name!r} has more than {_DEEPEST} composites in one another")
    if preset == _PROFILE:
        found = profiles.get(rest) or shelf.profiles.get(rest)
    else:
        found = shelf.preset(preset, rest) if rest else None
    if found is None:
        raise _unknown(name, profiles)
    return found


def composite_meant(name: str, profiles: Profiles | None = None) -> str:
    """The composite that is probably meant by a name which lacks the beginning; nothing if none is.

    >>> composite_meant("demo-moa"), composite_meant("moa/openai/gpt-5"), composite_meant("gpt-5")
    ('composite/profile/demo-moa', 'composite/moa/openai/gpt-5', '')
    """
    shelf = packaged()
    if name.removeprefix(f"{_PROFILE}/") in {**(profiles or {}), **shelf.profiles}:
        return f"{PREFIX}{_PROFILE}/{name.removeprefix(f'{_PROFILE}/')}"
    preset, _, model = name.partition("/")
    return f"{PREFIX}{preset}/{model or 'PROVIDER/MODEL'}" if preset in shelf.names else ""


def _unknown(name: str, profiles: Profiles) -> ConfigurationError:
    """What is wrong with a name that means nothing."""
    preset, _, rest = name.removeprefix(PREFIX).partition("/")
    shelf = packaged()
    if preset == _PROFILE:
        guess = did_you_mean(rest, (*profiles, *shelf.profiles))
        hint = "A profile is a section of polyvox.toml: [profiles.NAME]."
        return ConfigurationError(f"there is no profile {rest!r}{guess}", hint=hint)
    if preset in shelf.names:
        hint = f"Say which: {PREFIX}{preset}/provider/model."
        return ConfigurationError(f"{name!r} names no model", hint=hint)
    if not rest and preset in {*profiles, *shelf.profiles}:
        guess = f"; did you mean '{PREFIX}{_PROFILE}/{preset}'?"
    else:
        guess = did_you_mean(preset, shelf.names)
    hint = f"It is {PREFIX}{_PROFILE}/NAME, or {PREFIX}PRESET/provider/model."
    return ConfigurationError(f"{name!r} is no composite{guess}", hint=hint)


def _filled(value: Any, model: str) -> Any:
    """The table with the model's name put in."""
    if isinstance(value, str):
        return value.replace("{model}", model)
    if isinstance(value, dict):
        return {key: _filled(each, model) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_filled(each, model) for each in value]  # pyright: ignore[reportUnknownVariableType]
    return value
