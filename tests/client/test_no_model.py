"""Layers around models: what is no model, store or sink is told when the layer is made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import polyvox
from polyvox.caching import Cached, SemanticCache
from polyvox.ledger import CallLog, CostTracker, Logged, Traced, Tracked
from polyvox.limits import Budget, Budgeted, RateLimit, RateLimited
from polyvox.routing import Deployment, Retrying, Router

LAYERS: dict[str, Callable[[Any], object]] = {
    "Retrying": Retrying,
    "a deployment": Deployment,
    "a deployment ": lambda model: Router([model]),
    "a deployment  ": lambda model: Router(
        [polyvox.Client().model("simulated/echo")], fallbacks=[model]
    ),
    "Cached": Cached,
    "SemanticCache": lambda model: SemanticCache(model, embed=lambda text: [1.0], threshold=0.9),
    "Budgeted": lambda model: Budgeted(model, Budget("$1")),
    "downgrade": lambda model: Budget("$1", policy="downgrade", downgrade=model),
    "RateLimited": lambda model: RateLimited(model, RateLimit(requests=1)),
    "Logged": lambda model: Logged(model, CallLog()),
    "Tracked": lambda model: Tracked(model, CostTracker()),
    "Traced": Traced,
}


@pytest.mark.parametrize("who", LAYERS)
def test_a_name_in_place_of_a_model_is_told_with_what_to_write(who: str):
    if who == "Traced":
        pytest.importorskip("opentelemetry")
    with pytest.raises(polyvox.ConfigurationError) as caught:
        LAYERS[who]("openai/gpt-5-mini")
    assert caught.value.text == f"{who.strip()} takes a model, and 'openai/gpt-5-mini' is a string"
    assert "client.model('openai/gpt-5-mini')" in (caught.value.hint or "")


def test_what_is_no_model_at_all_is_told_by_its_type():
    with pytest.raises(
        polyvox.ConfigurationError, match="Retrying takes a model, not an object of type dict"
    ):
        Retrying({"model": "openai/gpt-5-mini"})  # type: ignore[arg-type]
    with (
        polyvox.Client() as client,
        pytest.raises(polyvox.ConfigurationError, match="of type Client"),
    ):
        Cached(client)  # type: ignore[arg-type]


@pytest.mark.parametrize("names", ["simulated/echo", "s"])
def test_a_string_is_no_list_of_deployments(names: Any):
    with pytest.raises(polyvox.ConfigurationError, match=f"and '{names}' is a string") as caught:
        Router(names)
    assert caught.value.hint == f"Give [client.model({names!r})]."


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_no_store_and_no_sink(kind: Callable[[str], Any], tmp_path: Path):
    path = kind(str(tmp_path / "x.db"))
    with (
        polyvox.Client() as client,
        pytest.raises(polyvox.ConfigurationError, match="is a path") as store,
    ):
        Cached(client.model("simulated/echo"), path)
    assert store.value.hint == f"Give DiskCache({str(path)!r})."
    with pytest.raises(polyvox.ConfigurationError, match="is a path") as sink:
        CallLog(path)
    assert sink.value.hint == f"Give SqliteSink({str(path)!r})."
    assert not list(tmp_path.iterdir())
