"""The user's own prices and limits, over those of the snapshot."""

import tomllib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeAlias, cast

import msgspec

from polyvox.catalog.model_facts import PARTS, ModelFacts, PriceSet
from polyvox.errors import ConfigurationError
from polyvox.suggestions import hint_for
from polyvox.usage import NANOS_PER_DOLLAR

Overrides: TypeAlias = Mapping[str, Mapping[str, Any]]

_LIMITS = ("context_window", "max_output_tokens")
_KEYS = (*PARTS, *_LIMITS, "name", "free")


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """What the user says about one model; None and "" mean nothing said."""

    provider: str
    model: str
    prices: PriceSet | None = None
    name: str = ""
    context_window: int | None = None
    max_output_tokens: int | None = None

    def over(self, provider: str, known: ModelFacts | None) -> ModelFacts:
        """The facts as the user wants them: prices replaced as a whole, the rest one by one.

        ``provider`` is the catalog's name of it. If the name in the override is not the id of a model
        of that provider, the outcome is a model of its own that answers to exactly this name.
        """
        facts = known or ModelFacts(id=self.model)
        if facts.provider != provider or facts.id.lower() != self.model.lower():
            facts = msgspec.structs.replace(
                facts, provider=provider, id=self.model, match=(), variants=()
            )
        facts = msgspec.structs.replace(
            facts,
            name=self.name or facts.name,
            context_window=self.context_window or facts.context_window,
            max_output_tokens=self.max_output_tokens or facts.max_output_tokens,
        )
        if self.prices is None:
            return facts
        return msgspec.structs.replace(facts, prices=(self.prices,), variants=(), source="override")


def read_overrides(overrides: Overrides | str | Path | None) -> list[Override]:
    """Check the overrides, given as a mapping or as the path of a TOML file with the same content.

    Raises ``ConfigurationError``, which names the entry and the nearest known key.
    """
    if overrides is None:
        return []
    if isinstance(overrides, str | Path):
        overrides = _read_file(Path(overrides))
    return [_parse(name, entry) for name, entry in overrides.items()]


def _read_file(path: Path) -> Overrides:
    try:
        return tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The price overrides in {path} can't be read: {error}") from error


def _parse(full_name: str, entry: Any) -> Override:
    provider, slash, model = full_name.partition("/")
    if not (provider and slash and model):
        raise ConfigurationError(
            f"Price override {full_name!r} is not the name of a model.",
            hint='Write provider/model, in TOML between quotes: ["openai/gpt-5-mini"].',
        )
    if not isinstance(entry, Mapping):
        raise ConfigurationError(
            f"Price override {full_name!r} must be a table of keys and values."
        )
    values = dict(cast("Mapping[str, Any]", entry))
    for key in values:
        if key not in _KEYS:
            raise _unknown_key(full_name, str(key))
    return Override(
        provider=provider,
        model=model,
        prices=_prices(full_name, values),
        name=_text(full_name, values.get("name", "")),
        context_window=_limit(full_name, values, "context_window"),
        max_output_tokens=_limit(full_name, values, "max_output_tokens"),
    )


def _unknown_key(full_name: str, key: str) -> ConfigurationError:
    return ConfigurationError(
        f"Price override {full_name!r} has the unknown key {key!r}.",
        hint=hint_for(key, _KEYS, f"Known keys: {', '.join(_KEYS)}."),
    )


def _prices(full_name: str, values: dict[str, Any]) -> PriceSet | None:
    stated: dict[str, Any] = {
        part: _price(full_name, part, values[part]) for part in PARTS if part in values
    }
    free = values.get("free", False)
    if not isinstance(free, bool):
        raise ConfigurationError(f"Price override {full_name!r}: 'free' must be true or false.")
    if free and stated:
        raise ConfigurationError(f"Price override {full_name!r} has prices and is free: say one.")
    if free:
        return PriceSet(input=0, output=0)
    return PriceSet(**stated) if stated else None


def _price(full_name: str, part: str, dollars: Any) -> int:
    """Dollars per million as nano-dollars per million, exactly."""
    wrong = ConfigurationError(
        f"Price override {full_name!r}: {part!r} can't be {dollars!r}.",
        hint="Prices are US dollars per million tokens: 0 or more, at most nine decimals.",
    )
    if isinstance(dollars, bool) or not isinstance(dollars, int | float | Decimal):
        raise wrong
    try:
        nanos = Decimal(str(dollars)) * NANOS_PER_DOLLAR
        exact = int(nanos)
    except (InvalidOperation, OverflowError, ValueError):  # not a number, or infinite
        raise wrong from None
    if exact != nanos or nanos < 0:
        raise wrong
    return exact


def _limit(full_name: str, values: dict[str, Any], key: str) -> int | None:
    value = values.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ConfigurationError(
            f"Price override {full_name!r}: {key!r} must be a number of tokens, not {value!r}."
        )
    return value


def _text(full_name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"Price override {full_name!r}: 'name' must be text.")
    return value
