"""What the rules of deploy/ and the pages say of the metrics is there, by these names and labels."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.running import Running

from .rig import asked_of, get

ROOT = Path(__file__).resolve().parents[3]
ALERTS = ROOT / "deploy" / "alerts.yml"
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*gateway*.md")), DOCS / "come-from-litellm-proxy.md"]
CONFIG = """
[accounts]
kind = "redis"
url = "{redis}"

[routers.chat]
deployments = ["simulated/echo"]
"""
HELLO = [{"role": "user", "content": "Hello."}]
_NAME = re.compile(r"\bpolyvox_[a-z_]+[a-z]\b")
_USE = re.compile(r"\b(polyvox_[a-z_]+)(?:\{([^}]*)\})")
_BY = re.compile(r"by \(([^)]*)\)[^)]*?\b(polyvox_[a-z_]+)")
_SAMPLE = re.compile(r"^(polyvox_\w+)\{([^}]*)\}", re.MULTILINE)
_LABEL = re.compile(r"(\w+)(?:=|!=|=~|!~)\"")
_OURS = {"instance"}
"""Prometheus' own."""


@pytest.fixture
async def told(running: Callable[..., Running], redis_url: str) -> str:
    """The metrics of a gateway that has answered."""
    gateway = running(CONFIG.format(redis=redis_url))
    body = {"model": "chat", "messages": HELLO}
    await asked_of(gateway, "POST", "/v1/chat/completions", body)
    return await get(gateway, "/metrics")


async def test_every_metric_that_is_named_anywhere_is_there(told: str) -> None:
    there = set(re.findall(r"^# TYPE (polyvox_\w+) ", told, re.MULTILINE))
    there |= {name for name, _ in _SAMPLE.findall(told)}
    for page in (ALERTS, *PAGES):
        assert set(_NAME.findall(page.read_text("utf-8"))) <= there, page


async def test_every_label_of_a_rule_is_there(told: str) -> None:
    labels: dict[str, set[str]] = {}
    for name, said in _SAMPLE.findall(told):
        labels.setdefault(name, set()).update(_LABEL.findall(said))
    rules = ALERTS.read_text("utf-8")
    used = [(name, _LABEL.findall(said)) for name, said in _USE.findall(rules)]
    used += [(name, re.split(r",\s*", said)) for said, name in _BY.findall(rules)]
    assert len(used) >= 8
    for name, wanted in used:
        assert set(wanted) - _OURS <= labels[name], name


def test_the_rules_are_rules() -> None:
    yaml = pytest.importorskip("yaml")
    (group,) = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    for rule in group["rules"]:
        assert {"alert", "expr", "annotations"} <= rule.keys() <= {*rule, "for", "labels"}
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert "summary" in rule["annotations"]
