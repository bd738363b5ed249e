"""What it costs to begin: imports, a first call, the catalog, memory."""

from collections.abc import Mapping
from statistics import median

from bench.plan import Plan
from bench.processes import HERE, CrashError, Interpreter, Loopback, Spent, run_code
from bench.table import Limit, Row, Section

_BARE = "a bare interpreter"
_POLYVOX = "import polyvox"
_AIOHTTP = "import aiohttp"
_FIRST_CALL = "all modules of a first call"

_COUNT = "\nimport sys; print(len(sys.modules))"
_RECORD = """
import sys
class Recorder:
    names = []
    @staticmethod
    def find_spec(name, path=None, target=None):
        Recorder.names.append(name)
sys.meta_path.insert(0, Recorder)
{code}
print(*[name for name in Recorder.names if name in sys.modules])
"""
"""Asked first for each module, it finds none, and so notes the order in which imports begin."""

_CATALOG = """
import time
from polyvox.catalog import Catalog
began = time.process_time()
Catalog.load().find("openai", "gpt-5-mini")
print((time.process_time() - began) * 1e3)
"""


def imports(plan: Plan, server: Loopback) -> Section:
    """Imports, without site: what the packages cost and not what an environment adds to them."""
    title = "CPU of imports (whole processes, python -S)"
    with plan.survives("imports"):
        codes = {_BARE: "pass", _POLYVOX: "import polyvox", _AIOHTTP: "import aiohttp"}
        codes[_FIRST_CALL] = _importing(_modules_of_first_call(server))
        spent = interleaved(
            HERE, {name: code + _COUNT for name, code in codes.items()}, plan.starts
        )
        cost = {name: median(each.cpu_ms for each in runs) for name, runs in spent.items()}
        rows = [
            Row(
                name,
                {
                    "CPU ms": cost[name],
                    "x interpreter": cost[name] / cost[_BARE],
                    "x aiohttp": cost[name] / cost[_AIOHTTP],
                    "modules": int(runs[0].output),
                },
            )
            for name, runs in spent.items()
        ]
        limits = [
            Limit(f"{_POLYVOX} / {_BARE}", cost[_POLYVOX] / cost[_BARE], 1.3),
            Limit(f"{_FIRST_CALL} / {_AIOHTTP}", cost[_FIRST_CALL] / cost[_AIOHTTP], 1.25),
        ]
        return Section("imports", title, rows, limits, [])
    return Section("imports", title, [], [], [])


def first_call(plan: Plan, server: Loopback) -> Section:
    """A script that asks once and ends, whole: interpreter, imports, data files, call."""
    rows: list[Row] = []
    base: float | None = None
    ours = ("polyvox", "polyvox native", "polyvox sync")
    for each in plan.named("bare", *ours, "openai", "litellm"):
        with plan.survives(f"first call: {each.name}"):
            code = _first_call(each.name, server) + _COUNT
            runs = [run_code(each.python, code) for _ in range(max(3, plan.rounds))]
            cpu = median(run.cpu_ms for run in runs)
            base = cpu if each.name == "bare" else base
            cells = {
                "CPU ms": cpu,
                "x bare": cpu / base if base else None,
                "peak memory MiB": median(run.max_rss_mb for run in runs),
                "modules": int(runs[0].output),
            }
            where = "" if each.python == HERE else " (of make setup)"
            rows.append(Row(each.name + where, cells))
    title = "A whole script that asks once (python -S)"
    return Section("first-call", title, rows, [], [])


def catalog(plan: Plan, server: Loopback) -> Section:
    """Loading the catalog and finding a model in it, imports not counted."""
    rows: list[Row] = []
    limits: list[Limit] = []
    with plan.survives("catalog"):
        runs = [float(run_code(HERE, _CATALOG).output) for _ in range(plan.starts)]
        rows.append(Row("load and find one model", {"CPU ms": median(runs)}))
        limits.append(Limit("load the catalog", median(runs), 20.0, "ms"))
    return Section(
        "catalog", "The catalog of models and prices, at its first use", rows, limits, []
    )


def interleaved(
    python: Interpreter, codes: Mapping[str, str], times: int
) -> dict[str, list[Spent]]:
    """What each of these programs took, in rounds in which every one has its turn."""
    spent: dict[str, list[Spent]] = {name: [] for name in codes}
    for code in codes.values():
        run_code(python, code)  # once before, so that all byte code is written
    for _ in range(times):
        for name, code in codes.items():
            spent[name].append(run_code(python, code))
    return spent


def _modules_of_first_call(server: Loopback) -> list[str]:
    """In the order in which their import began, without those that measure."""
    code = _RECORD.format(code=_first_call("polyvox", server))
    names = dict.fromkeys(run_code(HERE, code).output.split())
    return [name for name in names if name.partition(".")[0] != "bench"]


def _importing(modules: list[str]) -> str:
    if not modules:
        raise CrashError("the first call loads nothing")
    return "import " + ", ".join(modules)


def _first_call(name: str, server: Loopback) -> str:
    return f"from bench.first_call import main; main({name!r}, {server.url!r})"
