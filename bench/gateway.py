"""The gateway beside other people's, nginx and nobody: requests, latency, chunks, memory, workers."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import median

from bench import gateway_up as up
from bench.gateway_asking import CONNECTIONS, LITELLM, Asking, Found, Sizes, rate_of
from bench.gateway_usage import KNOWN, memory_mb
from bench.plan import Plan
from bench.processes import Loopback
from bench.table import Limit, Row, Section

_DIRECT, _NGINX, _TENSORZERO = "direct", "nginx", "tensorzero"
_OURS = {"polyvox": "aiohttp", "polyvox native": "native"}
_UNRECORDED = ", no ledger"
_TITLE = f"Gateways: 1 KB requests over {CONNECTIONS} connections, calls in turns over one, streams"

_LEAST_TO_LITELLM, _LEAST_TO_TENSORZERO = 45, 0.6
_MOST_MB, _MOST_CHUNK_US, _MOST_LEDGER = 120.0, 30.0, 1.15
_MOST_FIRST = 1.5
_CELLS = (
    "requests/s",
    "CPU us/request",
    "memory MB",
    "p50 us",
    "p99 us",
    "added us",
    "CPU us/chunk",
    "step",
    "crossed",
    "first, added us",
)


def gateway(plan: Plan, server: Loopback) -> Section:
    """Everybody serves at once, and is asked in turns."""
    sizes = Sizes(plan)
    notes = list(_notes(plan))
    found: Found = {}
    scaling: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        root = Path(folder)
        whole = servers.enter_context(up.upstream_of_wholes(root))
        upstream = up.Upstream(whole, server.url)
        with ExitStack() as stack:
            gateways = _started(plan, stack, upstream, root)
            asking = Asking(plan, sizes, gateways, server, root, found)
            asking.latencies(up.WHOLE)
            asking.latencies(up.STREAMED)
            asking.settle()
            asking.rates()
            asking.streams()
            for name, each in gateways.items():
                if each.process and KNOWN:
                    found[name]["memory MB"] = [memory_mb(each.process)]
        if sizes.workers:
            scaling = _scaling(plan, sizes, upstream, root)
    rows = [_row(name, found[name]) for name in found if found[name]]
    return Section("gateway", _TITLE, [*rows, *scaling], list(_limits(found)), notes)


# ------------------------------------------------------------------------------------------- starting


def _wanted(plan: Plan) -> dict[str, up.Start]:
    starts: dict[str, up.Start] = {}
    if _NGINX in plan.gateways and shutil.which("nginx"):
        starts[_NGINX] = up.nginx
    for name, transport in _OURS.items():
        if name in plan.gateways and plan.gateway_python.polyvox and _has_wheel(plan, name):
            starts[name] = up.polyvox(transport)
            starts[name + _UNRECORDED] = up.polyvox(transport, recorded=False)
            if name == "polyvox" and not plan.quick:
                starts[name + ", with its log"] = up.polyvox(transport, log="json")
    if LITELLM in plan.gateways and plan.gateway_python.litellm:
        starts[LITELLM] = up.litellm
    if _TENSORZERO in plan.gateways and plan.gateway_python.tensorzero:
        starts[_TENSORZERO] = up.tensorzero
    return starts


def _has_wheel(plan: Plan, name: str) -> bool:
    if _OURS[name] != "native":
        return True
    code = "import polyvox_native"
    command = [plan.gateway_python.polyvox, "-c", code]
    return not subprocess.run(command, capture_output=True, check=False).returncode


def _started(
    plan: Plan, stack: ExitStack, upstream: up.Upstream, root: Path
) -> dict[str, up.Gateway]:
    """All of them, begun at the same time; one that can't begin costs its own row."""
    found = {_DIRECT: up.direct(upstream)}
    with ThreadPoolExecutor(16) as pool:
        begun = {
            name: pool.submit(
                _entered, start(plan.gateway_python, upstream, root / name.replace(" ", "-"))
            )
            for name, start in _wanted(plan).items()
        }
        for name, future in begun.items():
            with plan.survives(f"gateway: {name} begins"):
                manager, found[name] = future.result()
                stack.push(manager)
    return found


Manager = AbstractContextManager[up.Gateway]


def _entered(manager: Manager) -> tuple[Manager, up.Gateway]:
    return manager, manager.__enter__()


# -------------------------------------------------------------------------------------------- workers


def _scaling(plan: Plan, sizes: Sizes, upstream: up.Upstream, root: Path) -> list[Row]:
    """Several workers that count together in Redis; one more line for each number of them."""
    rows: list[Row] = []
    if shutil.which("redis-server") is None or not plan.gateway_python.polyvox:
        return rows
    with _redis(root) as url:
        section = f'\n[accounts]\nkind = "redis"\nurl = "{url}"\n'
        for workers in sizes.workers if "polyvox" in plan.gateways else ():
            name = f"polyvox, {workers} worker{'s' if workers > 1 else ''}, Redis"
            with plan.survives(f"gateway: {name}"):
                start = up.polyvox("aiohttp", workers=workers, redis=section)
                with start(plan.gateway_python, upstream, root / f"workers-{workers}") as each:
                    rate_of(each, 1, root)
                    rate, cpu_us = rate_of(each, sizes.seconds, root)
                    found = {"requests/s": [rate], "CPU us/request": [cpu_us]}
                    if KNOWN:
                        found["memory MB"] = [memory_mb(each.process)]
                    rows.append(_row(name, found))
    return rows


@contextmanager
def _redis(root: Path) -> Generator[str]:
    port = up.free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    folder = root / "redis"
    folder.mkdir()
    with up.running([*command, "--dir", str(folder)], folder) as process:
        up.wait(process, port, folder)
        yield f"redis://127.0.0.1:{port}/0"


# --------------------------------------------------------------------------------------------- judging


def _row(name: str, found: dict[str, list[float]]) -> Row:
    cells = {column: median(found[column]) if found.get(column) else None for column in _CELLS}
    return Row(name, cells)


def _limits(found: Found) -> Iterator[Limit]:
    def value(name: str, column: str) -> float | None:
        values = found.get(name, {}).get(column)
        return median(values) if values else None

    def ratio(what: str, over: float | None, under: float | None, most: float) -> Iterator[Limit]:
        if over and under:
            yield Limit(what, over / under, most)

    def at_most(what: str, found: float | None, most: float | None, unit: str) -> Iterator[Limit]:
        if found is not None and most is not None:
            yield Limit(what, found, most, unit)

    rate: Callable[[str], float | None] = lambda name: value(name, "requests/s")  # noqa: E731
    ours, native = _OURS
    yield from ratio(
        f"requests/s: litellm / {ours}", rate(LITELLM), rate(ours), 1 / _LEAST_TO_LITELLM
    )
    yield from ratio(
        f"requests/s: tensorzero / {native}",
        rate(_TENSORZERO),
        rate(native),
        1 / _LEAST_TO_TENSORZERO,
    )
    added = "added us"
    what = f"added to a call: {native}, against tensorzero"
    yield from at_most(what, value(native, added), value(_TENSORZERO, added), "us")
    for name in _OURS:
        yield from at_most(f"memory after load: {name}", value(name, "memory MB"), _MOST_MB, "MB")
        chunk = value(name, "CPU us/chunk")
        yield from at_most(f"a chunk, same dialect: {name}", chunk, _MOST_CHUNK_US, "us")
        first = value(name, "first, added us")
        yield from ratio(
            f"first chunk, added / a call: {name}", first, value(name, added), _MOST_FIRST
        )
        for column, upwards in (("requests/s", False), ("CPU us/request", True)):
            pairs = zip(
                found.get(name, {}).get(column, ()),
                found.get(name + _UNRECORDED, {}).get(column, ()),
                strict=False,
            )
            ratios = [kept / bare if upwards else bare / kept for kept, bare in pairs if bare]
            if ratios:
                yield Limit(
                    f"with the ledger / without, {column}: {name}", median(ratios), _MOST_LEDGER
                )


def _notes(plan: Plan) -> Iterator[str]:
    asker = "wrk" if shutil.which("wrk") else "bench.gateway_load, since wrk is not there"
    server = (
        "nginx" if shutil.which("nginx") else "bench.gateway_upstream, since nginx is not there"
    )
    yield f"Asked by {asker}; whole answers by {server}, streams by bench.server."
    yield "Ours with a key, a budget, a limit of rate and SQLite, --log off; litellm with its one key."
    yield "litellm, nginx and ours: 1 worker; tensorzero: threads on all cores. CPU is that of all threads."
    python = plan.gateway_python
    missing = {_NGINX: bool(shutil.which("nginx")), "polyvox": bool(python.polyvox)}
    missing |= {LITELLM: bool(python.litellm), _TENSORZERO: bool(python.tensorzero)}
    if python.polyvox:
        missing["polyvox native"] = _has_wheel(plan, "polyvox native")
    for name, there in missing.items():
        if not there and name in plan.gateways:
            yield f"{name} is not installed, so not measured."
    if not KNOWN:
        yield "CPU and memory of a running process are only known on Linux."
    if not shutil.which("redis-server"):
        yield "Workers share limits in Redis; redis-server is not there, so they are not measured."
