"""The tool that writes the snapshot: the same bytes each time, and loud about what is new."""

import dataclasses
import importlib.util
from datetime import UTC, date, time, timedelta, timezone
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest
from genai_prices import types as genai

from polyvox.catalog import Catalog, PriceSet, Tiered
from polyvox.catalog.snapshot import SNAPSHOT_PATH

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_catalog", ROOT / "tools/make_catalog.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_snapshot_is_what_the_tool_makes_of_the_installed_package(tool: ModuleType):
    source = Catalog.load().source
    assert source.version == version("genai-prices"), "run 'make catalog'"
    assert Path(SNAPSHOT_PATH).read_text("utf-8") == tool.snapshot_text(source.read)
    assert tool.date_read() == source.read


def test_the_snapshot_names_its_source_and_licence():
    source = Catalog.load().source
    assert (source.package, source.license) == ("genai-prices", "MIT")
    notice = Path(SNAPSHOT_PATH).with_name("NOTICE").read_text("utf-8")
    assert source.copyright in notice
    assert source.homepage in notice


def test_prices_become_whole_nano_dollars(tool: ModuleType):
    assert tool.nano_dollars(Decimal("0.0125")) == 12_500_000
    assert tool.nano_dollars(Decimal("0.08333333333333334")) == 83_333_333
    assert tool.convert_set(genai.ModelPrice(requests_kcount=Decimal(5))) == PriceSet(
        request=5_000_000_000_000
    )
    tiers = genai.TieredPrices(base=Decimal(1), tiers=[genai.Tier(start=10, price=Decimal(2))])
    assert tool.convert_price(tiers) == Tiered(1_000_000_000, ((10, 2_000_000_000),))


@pytest.mark.parametrize(
    "price", ["0.0000000001", "0.00000000083333333333333334", "-1", "0.12345678912"]
)
def test_a_price_that_would_lose_something_stops_the_tool(tool: ModuleType, price: str):
    with pytest.raises(tool.UnknownConstructError):
        tool.nano_dollars(Decimal(price))


@dataclasses.dataclass
class Novelty:
    """A construct of a later version."""

    value: str = "new"


def test_unknown_constructs_stop_the_tool(tool: ModuleType):
    ten = time(10, tzinfo=timezone(timedelta(hours=9)))
    for attempt in (
        lambda: tool.convert_set(genai.ModelPrice(cache_audio_write_mtok=Decimal(1))),
        lambda: tool.convert_set(genai.ModelPrice(), Novelty()),
        lambda: tool.convert_price(Novelty()),
        lambda: list(tool.convert_match(Novelty())),
        lambda: tool.convert_constraint(genai.TimeOfDateConstraint(ten, ten)),
        lambda: list(
            tool.convert_match(
                genai.ClauseAnd([genai.ClauseContains("a"), genai.ClauseContains("b")])
            )
        ),
    ):
        with pytest.raises(tool.UnknownConstructError):
            attempt()


def test_a_type_that_has_grown_stops_the_tool(tool: ModuleType, monkeypatch: pytest.MonkeyPatch):
    tool.check_fields()
    grown = dataclasses.make_dataclass(
        "ModelInfo", ["discount"], bases=(genai.ModelInfo,), kw_only=True
    )
    monkeypatch.setitem(tool.FIELDS, grown, tool.FIELDS[genai.ModelInfo])
    with pytest.raises(tool.UnknownConstructError, match="discount"):
        tool.check_fields()


def test_a_superfluous_rule_stops_the_tool(tool: ModuleType):
    rule = tool.Rule(providers=["openai"], source="-", contains="nothing is called so", free=True)
    with pytest.raises(tool.UnknownConstructError, match="changes nothing"):
        tool.apply_rule(rule, {"openai": []})


def test_one_hour_writes_are_added_with_their_tiers(tool: ModuleType):
    rule = tool.Rule(providers=["p"], source="-", cache_write_1h_of_input=2)
    prices = PriceSet(input=Tiered(3, ((10, 5),)), cache_write=4, since=date(2026, 1, 1))
    assert tool.amend_set(rule, prices).cache_write_1h == Tiered(6, ((10, 10),))
    uncached = PriceSet(input=3)
    assert tool.amend_set(rule, uncached) is uncached
    priced = PriceSet(input=3, cache_write=4, cache_write_1h=5)
    assert tool.amend_set(rule, priced) is priced


def test_hours_in_utc_are_kept(tool: ModuleType):
    hours = genai.TimeOfDateConstraint(time(16, 30, tzinfo=UTC), time(0, 30, tzinfo=UTC))
    assert tool.convert_constraint(hours) == (None, (time(16, 30), time(0, 30)))
