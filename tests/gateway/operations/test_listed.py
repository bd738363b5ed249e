"""The page for whoever runs a gateway lists every metric, by the name that it has."""

import re
from pathlib import Path

from polyvox.gateway.operations.admission import Admission
from polyvox.gateway.operations.gauges import (
    watch_admission,
    watch_budgets,
    watch_debts,
    watch_deployments,
    watch_journal,
    watch_log,
    watch_parts,
    watch_store,
)
from polyvox.gateway.operations.metrics import Metrics

PAGE = Path(__file__).parents[3] / "docs" / "run-a-gateway.md"


def test_every_metric_is_listed_and_no_other(monkeypatch):
    names: set[str] = set()
    metrics = Metrics()
    for collector in metrics._registry._collector_to_names:
        names.add(collector._name)
    monkeypatch.setattr(metrics, "watch", lambda name, *_, **__: names.add(f"polyvox_{name}"))
    monkeypatch.setattr(metrics, "watch_each", lambda name, *_, **__: names.add(f"polyvox_{name}"))
    nothing = object()
    watch_admission(metrics, Admission(1, 1, 1))
    watch_journal(metrics, nothing, nothing)
    watch_store(metrics, "database", nothing)
    watch_debts(metrics, nothing)
    watch_budgets(metrics, nothing)
    watch_log(metrics, nothing)
    watch_parts(metrics, nothing)
    watch_deployments(metrics, nothing)
    told = PAGE.read_text(encoding="utf-8").partition("## What is counted")[2].partition("\n## ")[0]
    assert set(re.findall(r"polyvox_\w+", told)) == names
