"""CPU of streamed answers: per chunk, per call, and how it grows with length."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from bench.plan import Contender, Plan
from bench.processes import Loopback, Reading, read_answers
from bench.table import Limit, Row, Section

_QUICK = ("bare", "polyvox", "polyvox sync", "polyvox anthropic")
_SLOW = ("openai", "litellm", "anthropic")
_LIMITS = {"bare": 2.0, "openai": 1 / 15, "litellm": 1 / 45}

_FLOW = "CPU per streamed chunk, the server writing as fast as the client reads"
_STEP = "CPU per streamed chunk, one chunk for each read"


class Readings:
    """What each contender's rounds brought, with a label that says its version."""

    def __init__(self) -> None:
        self.of: dict[Contender, list[Reading]] = defaultdict(list)

    def median_cpu_us(self, contender: Contender) -> float:
        """For one answer."""
        return median(each for reading in self.of[contender] for each in reading.cpu_us)

    def median_wall_us(self, contender: Contender) -> float:
        """For one answer."""
        return median(each for reading in self.of[contender] for each in reading.wall_us)

    def label(self, contender: Contender) -> str:
        """Its name with the versions of what it stands on."""
        versions = dict(self.of[contender][0].versions)
        own = versions.pop(contender.name, "")
        more = ", ".join(f"{name} {version}" for name, version in versions.items())
        name = f"{contender.name} {own}".strip()
        return f"{name} ({more})" if more else name

    def times(self, contender: Contender, base: list[Contender]) -> float | None:
        """Its CPU in that of the first of these; None if nobody of them was measured."""
        if not base or contender not in self.of:
            return None
        return self.median_cpu_us(contender) / self.median_cpu_us(base[0])

    def named(self, name: str) -> list[Contender]:
        """All contenders of this name that were measured."""
        return [each for each in self.of if each.name == name]


def flow(plan: Plan, server: Loopback) -> Section:
    """The pattern that the limits are about."""
    readings = measure(plan, server, f"flow text {plan.chunks}", plan.answers, often=4)
    limits = _limits(readings, _LIMITS)
    return Section("flow", _FLOW, _per_chunk(plan, server, "flow", readings), limits, [])


def step(plan: Plan, server: Loopback) -> Section:
    """Every reader wakes up for every chunk: the price of the socket, the same for all, comes on top."""
    readings = measure(plan, server, f"step text {plan.chunks}", plan.answers)
    limits = _limits(readings, {"bare": _LIMITS["bare"]})
    notes = ["Waking up for each chunk is most of this, for the bare loop too; see README.md."]
    return Section("step", _STEP, _per_chunk(plan, server, "step", readings), limits, notes)


def call(plan: Plan, server: Loopback) -> Section:
    """What a call costs apart from its chunks, over a connection that is there already."""
    readings = measure(plan, server, "flow text 1", plan.calls)
    rows = [
        Row(
            readings.label(each),
            {
                "CPU us/call": readings.median_cpu_us(each),
                "x bare": _to_bare(readings, each),
                "wall us/call": readings.median_wall_us(each),
            },
        )
        for each in readings.of
    ]
    title = "One call with one chunk, over a warm connection: CPU, and time from asking to the end"
    return Section("call", title, rows, [], [])


def linear(plan: Plan, server: Loopback) -> Section:
    """Ten times as long costs ten times as much, and a huge tool argument no more than its pieces."""
    rows: list[Row] = []
    limits: list[Limit] = []
    short, long, fragments = plan.chunks, plan.chunks * 10, plan.chunks * 20
    for each in plan.named("bare", "polyvox", "polyvox anthropic"):
        sizes = [("text", short, plan.answers * 4), ("text", long, plan.answers)]
        if each.name != "bare":
            sizes.append(("tool", fragments, plan.answers))
        costs: list[float] = []
        with plan.survives(f"linear: {each.name}"):
            for kind, count, times in sizes:
                prompt = f"flow {kind} {count}"
                reading = read_answers(each.python, server, each.name, prompt, prompt, times)
                costs.append(median(reading.cpu_us))
            growth = costs[1] / costs[0]
            cells = {
                f"{short:,} ms": costs[0] / 1e3,
                f"{long:,} ms": costs[1] / 1e3,
                "x shorter": growth,
            }
            tool_s = costs[2] / 1e6 if len(costs) > 2 else None
            rows.append(Row(each.name, {**cells, f"tool, {fragments:,} s": tool_s}))
            if tool_s is not None:
                limits.append(Limit(f"{each.name}: {long:,} chunks / {short:,}", growth, 11.0))
                limits.append(Limit(f"{each.name}: {fragments:,} fragments", tool_s, 2.0, "s"))
    title = "CPU against length: text, and one tool argument in fragments of 10 bytes"
    return Section("linear", title, rows, limits, [])


def measure(
    plan: Plan,
    server: Loopback,
    prompt: str,
    times: int,
    *,
    often: int = 1,
    quick: Sequence[str] = _QUICK,
    slow: Sequence[str] = _SLOW,
) -> Readings:
    """Rounds in which everybody has a turn, so that a noisy machine hurts all alike.

    With ``often``, the quick ones, which a moment of noise would hurt most, read so many times as
    many answers, and have their turn again before each of the slow ones.
    """
    readings = Readings()
    pattern, kind, count = prompt.split()
    warm_up = f"{pattern} {kind} {min(int(count), 300)}"
    fast = plan.named(*quick)
    order = [*fast, *plan.named(*slow)]
    if often > 1:
        order = [each for peer in plan.named(*slow) for each in (*fast, peer)] or fast
    for number in range(plan.rounds):
        for each in order:
            with plan.survives(f"{prompt}, round {number + 1} of {plan.rounds}: {each.name}"):
                turns = times * often if each.name in quick else times
                reading = read_answers(each.python, server, each.name, prompt, warm_up, turns)
                readings.of[each].append(reading)
    return readings


def _per_chunk(plan: Plan, server: Loopback, pattern: str, readings: Readings) -> list[Row]:
    rows: list[Row] = []
    prompt = f"{pattern} text {plan.chunks}"
    for each in readings.of:
        reads = None
        with plan.survives(f"{prompt}, counting reads: {each.name}"):
            counted = read_answers(each.python, server, each.name, prompt, prompt, 0)
            reads = counted.reads
        own = readings.named("polyvox anthropic" if each.name == "anthropic" else "polyvox")
        cells = {
            "CPU us/chunk": readings.median_cpu_us(each) / plan.chunks,
            "x bare": _to_bare(readings, each),
            "x polyvox": readings.times(each, own),
            "reads": reads,
        }
        rows.append(Row(readings.label(each), cells))
    return rows


def _to_bare(readings: Readings, contender: Contender) -> float | None:
    return readings.times(contender, readings.named("bare"))


def _limits(readings: Readings, most: dict[str, float]) -> list[Limit]:
    """Ours against everybody who has a limit."""
    return [
        Limit(f"{ours.name} / {readings.label(peer)}", ratio, most[peer.name])
        for ours in (*readings.named("polyvox"), *readings.named("polyvox sync"))
        for name in most
        for peer in readings.named(name)
        if (ratio := readings.times(ours, [peer])) is not None
    ]
