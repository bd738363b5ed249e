"""Asks the gateways, everybody in turns, and notes what each of them took."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bench import gateway_up as up
from bench.gateway_usage import KNOWN, cpu_seconds, settled
from bench.plan import Plan
from bench.processes import ROOT, SRC, CrashError, Loopback, clean_environment

CONNECTIONS = 32
STREAMS = 4
LITELLM = "litellm"

_PROMPT = "why? " * 180

Found = dict[str, dict[str, list[float]]]


class Sizes:
    """How much is asked. LiteLLM answers some dozens a second, and would hold up everybody."""

    def __init__(self, plan: Plan) -> None:
        self.rounds = plan.rounds
        self.seconds = 1.0 if plan.quick else 3.0
        self.turns = 10 if plan.quick else 40
        self.firsts = 3 if plan.quick else 20
        self.chunks = plan.chunks * (4 if plan.quick else 1)  # CPU is told in ticks of 10 ms
        self.workers = () if plan.quick else (1, 2, 4)

    def each(self, name: str) -> int:
        """So many calls in one turn."""
        return 2 if name == LITELLM else 20

    def streams(self, name: str) -> int:
        """So many chunks in a stream."""
        return self.chunks // 10 if name == LITELLM else self.chunks


class Asking:
    """Asks all of them, and notes what each of them took."""

    def __init__(
        self,
        plan: Plan,
        sizes: Sizes,
        gateways: dict[str, up.Gateway],
        server: Loopback,
        root: Path,
        found: Found,
    ) -> None:
        self._plan = plan
        self._sizes = sizes
        self._gateways = gateways
        self._server = server
        self._root = root
        self._found = found
        found.update({name: {} for name in gateways})

    def settle(self) -> None:
        """Wait until nobody has anything left to do."""
        for each in self._gateways.values():
            if each.process and KNOWN:
                settled(each.process)

    def rates(self) -> None:
        """As much as they answer, in rounds."""
        for number in range(self._plan.quick, self._sizes.rounds + 1):
            seconds = self._sizes.seconds if number else 1.0
            for name, each in self._gateways.items():
                with self._plan.survives(f"gateway, requests, round {number}: {name}"):
                    rate, cpu_us = rate_of(each, seconds, self._root)
                    if number:  # the first one warms up
                        self._note(name, "requests/s", rate)
                        self._note(name, "CPU us/request", cpu_us)

    def latencies(self, kind: str) -> None:
        """One call after the other, everybody in turns."""
        first = kind == up.STREAMED
        named = {
            name: each.ways[kind]
            for name, each in self._gateways.items()
            if not first or _in_streams(name)
        }
        wanted: dict[str, Any] = {
            "ways": [*named.values()],
            "prompt": "flow text 20" if first else _PROMPT,
            "rounds": self._sizes.firsts if first else self._sizes.turns,
            "each": [self._sizes.each(name) for name in named],
            "first": first,
        }
        with self._plan.survives(f"gateway: calls in turns, {kind}"):
            took = load("turns", wanted)
            floor = median(took[0])
            for name, times in zip(named, took, strict=True):
                if first:
                    self._note(name, "first, added us", median(times) - floor)
                    continue
                self._note(name, "p50 us", median(times))
                self._note(name, "p99 us", quantiles(times, n=100)[98])
                self._note(name, "added us", median(times) - floor)

    def streams(self) -> None:
        """CPU of a chunk: as fast as it is read, one by one, and across dialects."""
        ways = {
            "CPU us/chunk": (up.STREAMED, "flow", STREAMS),
            "step": (up.STREAMED, "step", 1),
            "crossed": (up.CROSSED, "flow", STREAMS),
        }
        for _ in range(self._sizes.rounds):
            for name, each in self._gateways.items():
                for column, (kind, pattern, at_once) in ways.items():
                    if self._plan.quick and pattern == "step":
                        continue
                    if KNOWN and each.process and _in_streams(name) and kind in each.ways:
                        with self._plan.survives(f"gateway, streams, {column}: {name}"):
                            chunks = self._sizes.streams(name)
                            took = self._stream(each, kind, f"{pattern} text {chunks}", at_once)
                            self._note(name, column, took * 1e6 / (chunks * at_once))

    def _stream(self, each: up.Gateway, kind: str, prompt: str, at_once: int) -> float:
        wanted = {
            "way": each.ways[kind],
            "prompt": prompt,
            "at_once": at_once,
            "counter": self._server.counter,
        }
        before = cpu_seconds(each.process)
        load("streams", wanted)
        settled(each.process)
        return cpu_seconds(each.process) - before

    def _note(self, name: str, column: str, value: float) -> None:
        self._found[name].setdefault(column, []).append(value)


def _in_streams(name: str) -> bool:
    return "," not in name


def rate_of(each: up.Gateway, seconds: float, root: Path) -> tuple[float, float]:
    """Requests a second, and CPU microseconds of one, with what is left for afterwards."""
    watched = KNOWN and each.process
    before = cpu_seconds(each.process) if watched else 0.0
    way = each.ways[up.WHOLE]
    found = _wrk(way, seconds, root) if shutil.which("wrk") else _rate(way, seconds)
    if not found["requests"] or found["failed"]:
        raise CrashError(f"{found['failed']:.0f} of {found['requests']:.0f} requests failed")
    if watched:
        settled(each.process)
    spent = cpu_seconds(each.process) - before if watched else 0.0
    return found["requests"] / found["seconds"], spent * 1e6 / found["requests"]


def _rate(way: dict[str, str], seconds: float) -> dict[str, float]:
    wanted = {"way": way, "prompt": _PROMPT, "connections": CONNECTIONS, "seconds": seconds}
    return load("rate", wanted)


_SCRIPT = """
wrk.method, wrk.body = "POST", [[%s]]
wrk.headers["content-type"], wrk.headers["authorization"] = "application/json", "Bearer %s"
function done(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('\\n{"requests": %%d, "seconds": %%f, "failed": %%d}\\n',
    summary.requests, summary.duration / 1e6, failed))
end
"""


def _wrk(way: dict[str, str], seconds: float, root: Path) -> dict[str, float]:
    body = {"model": way["model"], "messages": [{"role": "user", "content": _PROMPT}]}
    script = root / "wrk.lua"
    script.write_text(_SCRIPT % (json.dumps(body), way["key"]), encoding="utf-8")
    # It takes whole seconds only, and lets go in the middle of answers: longer is more exact.
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
    done = subprocess.run(
        [*command, "-s", str(script), way["url"]], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CrashError((done.stderr.strip().splitlines() or ["wrk failed"])[-1])
    return json.loads(done.stdout.splitlines()[-1])


def load(what: str, wanted: dict[str, Any]) -> Any:
    """What ``bench.gateway_load`` found. Raises ``CrashError``."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.gateway_load", what, json.dumps(wanted)],
        cwd=ROOT,
        env={**clean_environment(), "PYTHONPATH": os.pathsep.join([str(SRC), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CrashError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return json.loads(done.stdout)
