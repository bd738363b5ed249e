"""Cancels are measured in every state, over both transports, and judged. No time is judged here."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAD, BODY, HTTP2 = "waiting for the head", "in the body", "in an HTTP/2 stream"

needs_wheel = pytest.mark.skipif(
    find_spec("polyvox_native") is None, reason="polyvox-native is not installed"
)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("polyvox", HEAD),
        ("polyvox", BODY),
        pytest.param("polyvox native", HEAD, marks=needs_wheel),
        pytest.param("polyvox native", BODY, marks=needs_wheel),
        pytest.param("polyvox native", HTTP2, marks=needs_wheel),
    ],
)
def test_the_server_sees_every_cancel_after_it_happened(name: str, state: str):
    from bench.hanging_up import STATES, lacking
    from bench.processes import HERE, run_code

    assert list(STATES) == [HEAD, BODY, HTTP2]
    if state == HTTP2 and lacking():
        pytest.skip(lacking())
    code = f"from bench.hanging_up import main; main({name!r}, {state!r}, 3)"
    took = json.loads(run_code(HERE, code).output)
    assert len(took) == 3
    assert min(took) > 0


@pytest.mark.parametrize("state", [HEAD, BODY])
def test_a_reader_that_keeps_its_socket_is_not_taken_for_one_that_has_gone(
    monkeypatch: pytest.MonkeyPatch, state: str
):
    from bench import contenders, hanging_up

    @asynccontextmanager
    async def connect(url: str) -> AsyncGenerator[Any]:
        host, _, port = url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))

        async def read(prompt: str, tell: Callable[[int], None]) -> int:
            writer.write(b"POST / HTTP/1.1\r\n\r\n{}")
            tell(len(await reader.read(1)))
            await asyncio.Event().wait()
            return 0

        try:
            yield read
        finally:
            writer.close()
            await writer.wait_closed()

    monkeypatch.setattr(contenders, "load", lambda name: SimpleNamespace(connect=connect))
    monkeypatch.setattr(hanging_up, "_PATIENCE", 0.2)
    with pytest.raises(TimeoutError):
        hanging_up.main("who stays", state, 1)


def test_median_and_longest_are_judged_for_both_transports(monkeypatch: pytest.MonkeyPatch):
    from bench.plan import Contender, Plan
    from bench.processes import HERE, Spent

    from bench import native

    def run_code(python: object, code: str) -> Spent:
        slow = "polyvox native" in code and HEAD in code
        return Spent(0.0, 0.0, "[1.0, 2.0, 101.0]" if slow else "[3.0, 1.0, 2.0]")

    monkeypatch.setattr(native, "run_code", run_code)
    monkeypatch.setattr(native, "lacking", lambda: "")
    plan = Plan(quick=True, only=[])
    plan.contenders = [Contender(name, HERE) for name in ("bare", "polyvox", "polyvox native")]
    judge = vars(native)["_cancel_limits"]
    assert [(each.what, each.measured, each.verdict) for each in judge(plan)] == [
        (f"cancelled {HEAD}, median of 20: polyvox", 2, "ok"),
        (f"cancelled {HEAD}, longest of 20: polyvox", 3, "ok"),
        (f"cancelled {HEAD}, median of 20: polyvox native", 2, "ok"),
        (f"cancelled {HEAD}, longest of 20: polyvox native", 101, "over"),
        (f"cancelled {BODY}, median of 20: polyvox", 2, "ok"),
        (f"cancelled {BODY}, longest of 20: polyvox", 3, "ok"),
        (f"cancelled {BODY}, median of 20: polyvox native", 2, "ok"),
        (f"cancelled {BODY}, longest of 20: polyvox native", 3, "ok"),
        (f"cancelled {HTTP2}, median of 20: polyvox native", 2, "ok"),
        (f"cancelled {HTTP2}, longest of 20: polyvox native", 3, "ok"),
    ]
    monkeypatch.setattr(native, "lacking", lambda: "no h2")
    assert not any(HTTP2 in each.what for each in judge(plan))


def test_a_peer_is_measured_among_the_peers_if_it_is_nowhere_else(monkeypatch: pytest.MonkeyPatch):
    from bench import plan

    def python(name: str, *packages: str) -> Any:
        return SimpleNamespace(name=name, has=packages.__contains__)

    others = {
        ".venv": python("newer", "openai"),
        ".venv-peers": python("peers", "openai", "tinyagent"),
    }
    monkeypatch.setattr(plan, "HERE", python("here", "openai", "litellm"))
    monkeypatch.setattr(plan, "_other_python", others.get)
    names = ["openai", "litellm", "anthropic", "tiny-agent-os"]
    found: list[Any] = plan.Plan(only=names).contenders
    assert [(each.name, each.python.name) for each in found] == [
        ("openai", "here"),
        ("openai", "newer"),
        ("litellm", "here"),
        ("tiny-agent-os", "peers"),
    ]
