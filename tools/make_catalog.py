"""Write the catalog's snapshot from the installed genai-prices package.

Reads that package's data and ``extra.toml``, no network. The same package gives the same bytes. Every
construct that could change a price must be known here: the tool stops at the first that is not,
rather than leave it out.
"""

import dataclasses
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.metadata import version
from pathlib import Path

import msgspec
from genai_prices import types as genai
from genai_prices.data import providers as genai_providers

from polyvox.catalog.model_facts import ModelFacts, Pattern, Price, PriceSet, Tiered
from polyvox.catalog.snapshot import SNAPSHOT_PATH, SnapshotSource, read_snapshot

EXTRA_PATH = Path(SNAPSHOT_PATH).with_name("extra.toml")

NANOS_PER_DOLLAR = 1_000_000_000

# What a Usage counts, by genai-prices' name: our name, and how many of its quantity are a million.
COUNTED = {
    "input_mtok": ("input", 1),
    "cache_read_mtok": ("cache_read", 1),
    "cache_write_mtok": ("cache_write", 1),
    "cache_write_1h_mtok": ("cache_write_1h", 1),
    "output_mtok": ("output", 1),
    "output_reasoning_mtok": ("reasoning", 1),
    "input_audio_mtok": ("input_audio", 1),
    "cache_audio_read_mtok": ("cache_read_audio", 1),
    "output_audio_mtok": ("output_audio", 1),
    "requests_kcount": ("request", 1000),
}

# What it does not count; kept under genai-prices' own name.
NOT_COUNTED = {
    "audio_hours",
    "cache_image_read_mtok",
    "input_annotated_document_kpages",
    "input_audio_hours",
    "input_document_kpages",
    "input_image_mtok",
    "input_mchars",
    "input_text_messages_kcount",
    "input_video_mtok",
    "output_citation_mtok",
    "output_image_mtok",
    "output_video_mtok",
    "storage_searches_kcount",
    "web_searches_kcount",
}

# The fields this tool understands, by type; those after the bar are of no use to the catalog.
FIELDS = {
    genai.Provider: "id name models fallback_model_providers | api_pattern pricing_urls description"
    " price_comments model_match provider_match extractors",
    genai.ModelInfo: "id match name context_window deprecated prices price_variants"
    " | description price_comments",
    genai.ConditionalPrice: "constraint prices",
    genai.PriceVariant: "when prices constraint",
    genai.TieredPrices: "base tiers",
    genai.Tier: "start price",
    genai.StartDateConstraint: "start_date",
    genai.TimeOfDateConstraint: "start_time end_time",
}


class UnknownConstructError(Exception):
    """The package says something that this tool can't carry over."""


class Rule(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One rule of ``extra.toml``, where its keys are explained."""

    providers: list[str]
    source: str
    contains: str = ""
    ends: str = ""
    cache_write_1h_of_input: int | None = None
    free: bool = False


class Extra(msgspec.Struct, forbid_unknown_fields=True):
    """The whole of ``extra.toml``."""

    rules: list[Rule]


def main() -> None:
    """Write the snapshot and say what is in it."""
    text = snapshot_text(date_read())
    Path(SNAPSHOT_PATH).write_text(text, "utf-8")
    snapshot = read_snapshot()
    models = text.count('\n{"id":')
    print(
        f"{models} models of {len(snapshot.providers)} providers"
        f" from {snapshot.source.package} {snapshot.source.version}: {len(text):,} bytes"
    )


def date_read() -> date:
    """The day on which this version was first read, so that reading it again changes nothing."""
    today = datetime.now(UTC).date()
    try:
        source = read_snapshot().source
    except (OSError, msgspec.DecodeError):
        return today
    return source.read if source.version == version("genai-prices") else today


def snapshot_text(read: date) -> str:
    """The snapshot, a line per model."""
    check_fields()
    source = SnapshotSource(
        package="genai-prices",
        version=version("genai-prices"),
        read=read,
        license="MIT",
        copyright="Copyright (c) Pydantic Services Inc. 2025 to present",
        homepage="https://github.com/pydantic/genai-prices",
    )
    rules = msgspec.convert(tomllib.loads(EXTRA_PATH.read_text("utf-8")), Extra).rules
    converted = {
        provider.id: [convert_model(m) for m in provider.models] for provider in genai_providers
    }
    for rule in rules:
        apply_rule(rule, converted)
    providers = sorted(genai_providers, key=lambda provider: provider.id)
    entries = (provider_text(provider, converted[provider.id]) for provider in providers)
    return f'{{"source":{json(source)},\n"providers":{{\n' + ",\n".join(entries) + "\n}}\n"


def provider_text(provider: genai.Provider, models: list[ModelFacts]) -> str:
    """A provider's entry: the lines of its models between two of its own."""
    check_fallbacks(provider)
    head = f'"name":{json(provider.name)},'
    if provider.fallback_model_providers:
        head += f'"fallbacks":{json(provider.fallback_model_providers)},'
    lines = ",\n".join(json(model) for model in models)
    return f'{json(provider.id)}:{{{head}"models":[\n{lines}\n]}}'


def json(value: object) -> str:
    """Compact JSON."""
    return msgspec.json.encode(value).decode()


# ------------------------------------------------------------------------------- what is not known


def check_fields() -> None:
    """Stop if the package's types have grown."""
    for kind, known in FIELDS.items():
        names = {field.name for field in dataclasses.fields(kind)}
        if names != set(known.replace("|", "").split()):
            raise UnknownConstructError(f"{kind.__name__} has changed: {sorted(names)}")


def check_fallbacks(provider: genai.Provider) -> None:
    """Fallbacks go one step: those of a fallback don't count."""
    known = {other.id: other for other in genai_providers}
    for fallback in provider.fallback_model_providers or ():
        if fallback not in known or known[fallback].fallback_model_providers:
            raise UnknownConstructError(f"{provider.id} falls back on {fallback}")


# ----------------------------------------------------------------------------------------- models


def convert_model(model: genai.ModelInfo) -> ModelFacts:
    """A model in our form."""
    is_plain = isinstance(model.match, genai.ClauseEquals) and is_id(model, model.match)
    try:
        return ModelFacts(
            id=model.id,
            name=model.name or "",
            match=() if is_plain else tuple(convert_match(model.match)),
            context_window=model.context_window,
            deprecated=bool(model.deprecated),
            prices=tuple(convert_prices(model.prices)),
            variants=tuple(convert_variants(model.price_variants or [])),
        )
    except UnknownConstructError as error:
        raise UnknownConstructError(f"{model.id}: {error}") from error


def is_id(model: genai.ModelInfo, clause: genai.ClauseEquals) -> bool:
    """Whether the clause says no more than the id."""
    return clause.equals.lower() == model.id.lower()


def convert_match(clause: object) -> Iterator[str | Pattern]:
    """The alternatives of a rule."""
    match clause:
        case genai.ClauseOr(or_=alternatives):
            for alternative in alternatives:
                yield from convert_match(alternative)
        case genai.ClauseEquals(equals=name):
            yield name.lower()
        case genai.ClauseAnd(and_=parts):
            yield convert_pattern(parts)
        case _:
            yield convert_pattern([clause])


def convert_pattern(clauses: Iterable[object]) -> Pattern:
    """A pattern that has all the conditions, at most one of a kind."""
    conditions: dict[str, str] = {}
    for clause in clauses:
        match clause:
            case genai.ClauseStartsWith(starts_with=text):
                key, text = "starts", text.lower()
            case genai.ClauseEndsWith(ends_with=text):
                key, text = "ends", text.lower()
            case genai.ClauseContains(contains=text):
                key, text = "contains", text.lower()
            case genai.ClauseRegex(regex=text):
                key = "regex"
                re.compile(text)
            case _:
                raise UnknownConstructError(f"the rule {clause!r}")
        if key in conditions or not text:
            raise UnknownConstructError(f"the rule {clause!r} beside {conditions}")
        conditions[key] = text
    return Pattern(**conditions)


# ----------------------------------------------------------------------------------------- prices


def convert_prices(
    prices: genai.ModelPrice | list[genai.ConditionalPrice],
) -> Iterator[PriceSet]:
    """All price sets of a model, in order."""
    if isinstance(prices, genai.ModelPrice):
        yield convert_set(prices)
        return
    for conditional in prices:
        yield convert_set(conditional.prices, conditional.constraint)


def convert_variants(variants: list[genai.PriceVariant]) -> Iterator[PriceSet]:
    """The prices for special terms; a variant without any price changes none."""
    for variant in variants:
        prices = convert_set(variant.prices, variant.constraint, variant.when)
        if prices != convert_set(genai.ModelPrice(), variant.constraint, variant.when):
            yield prices


def convert_set(
    prices: genai.ModelPrice, constraint: object = None, terms: dict[str, str] | None = None
) -> PriceSet:
    """One price set with its conditions."""
    counted: dict[str, Price] = {}
    other: dict[str, Price] = {}
    for key, value in sorted(vars(prices).items()):
        if value is None:
            continue
        if key in COUNTED:
            part, quantities = COUNTED[key]
            counted[part] = convert_price(value, quantities)
        elif key in NOT_COUNTED:
            other[key] = convert_price(value)
        else:
            raise UnknownConstructError(f"a price for {key}")
    since, hours = convert_constraint(constraint)
    return PriceSet(since=since, hours=hours, terms=terms or {}, other=other, **counted)


def convert_constraint(constraint: object) -> tuple[date | None, tuple[time, time] | None]:
    """The day from which, and the hours between which a price holds."""
    match constraint:
        case None:
            return None, None
        case genai.StartDateConstraint(start_date=day):
            return day, None
        case genai.TimeOfDateConstraint(start_time=start, end_time=end):
            if start.tzinfo not in (None, UTC) or end.tzinfo not in (None, UTC):
                raise UnknownConstructError(f"hours outside UTC: {constraint!r}")
            return None, (start.replace(tzinfo=None), end.replace(tzinfo=None))
        case _:
            raise UnknownConstructError(f"the constraint {constraint!r}")


def convert_price(value: object, quantities: int = 1) -> Price:
    """A price in nano-dollars."""
    match value:
        case Decimal():
            return nano_dollars(value * quantities)
        case genai.TieredPrices(base=base, tiers=tiers):
            steps = [(tier.start, nano_dollars(tier.price * quantities)) for tier in tiers]
            if steps != sorted(steps, key=lambda step: step[0]):
                raise UnknownConstructError(f"tiers out of order: {value!r}")
            return Tiered(nano_dollars(base * quantities), tuple(steps))
        case _:
            raise UnknownConstructError(f"the price {value!r}")


def nano_dollars(dollars: Decimal) -> int:
    """Dollars as nano-dollars, exactly.

    Some prices are what a division of floats left over (0.08333333333333334): those with sixteen
    decimals or more may be rounded, by less than a hundred-millionth of themselves.
    """
    nanos = dollars * NANOS_PER_DOLLAR
    rounded = nanos.to_integral_value(ROUND_HALF_EVEN)
    decimals = -int(dollars.normalize().as_tuple().exponent)
    if rounded != nanos and (decimals < 16 or abs(rounded - nanos) > nanos / 100_000_000):
        raise UnknownConstructError(f"a price too fine for nano-dollars: {dollars}")
    if nanos < 0:
        raise UnknownConstructError(f"a negative price: {dollars}")
    return int(rounded)


# ------------------------------------------------------------------------------------------ rules


def apply_rule(rule: Rule, converted: dict[str, list[ModelFacts]]) -> None:
    """Change the models that a rule of ``extra.toml`` is about."""
    changed = 0
    for provider in rule.providers:
        for place, model in enumerate(converted[provider]):
            if rule.contains in model.id and model.id.endswith(rule.ends):
                converted[provider][place] = amended = amend(rule, model)
                changed += amended != model
    if not changed:
        raise UnknownConstructError(f"a rule that changes nothing: {rule}")


def amend(rule: Rule, model: ModelFacts) -> ModelFacts:
    """The model under a rule."""
    return msgspec.structs.replace(
        model,
        prices=tuple(amend_set(rule, prices) for prices in model.prices),
        variants=tuple(amend_set(rule, prices, is_variant=True) for prices in model.variants),
    )


def amend_set(rule: Rule, prices: PriceSet, *, is_variant: bool = False) -> PriceSet:
    """One price set under a rule."""
    factor = rule.cache_write_1h_of_input
    if factor and prices.cache_write_1h is None and None not in (prices.input, prices.cache_write):
        assert prices.input is not None
        return msgspec.structs.replace(prices, cache_write_1h=times(prices.input, factor))
    if rule.free and prices == PriceSet(since=prices.since, hours=prices.hours) and not is_variant:
        return msgspec.structs.replace(prices, input=0, output=0)
    return prices


def times(price: Price, factor: int) -> Price:
    """A multiple of a price."""
    if isinstance(price, int):
        return price * factor
    return Tiered(price.base * factor, tuple((over, rate * factor) for over, rate in price.tiers))


if __name__ == "__main__":
    try:
        main()
    except UnknownConstructError as error:
        sys.exit(f"genai-prices has something new, teach it to tools/make_catalog.py: {error}")
