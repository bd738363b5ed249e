"""What a mixture and a council cost beyond the calls that they make."""

import json
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from bench.contenders import LATE_SECONDS, PANEL, PANELS
from bench.panels import LONG, SHORT, USUAL
from bench.plan import Contender, Plan
from bench.processes import Loopback, run_code
from bench.table import Limit, Row, Section

_MOST_PER_CALL = 1.3
_MOST_BY_CLOCK = 1.05
_MOST_WHEN_LONGER = 11.0
_OURS = "polyvox"
_BY_HAND = "by hand"
_STAGES = {_BY_HAND: 2, "MixtureOfAgents": 2, "Council": 3}

_NOTES = [
    f"us/call: {PANEL + 1} calls each, a council {2 * PANEL + 1}; {SHORT} or {USUAL} chunks an answer.",
    f"x stages: by the clock, where every call takes {LATE_SECONDS} s: 2 stages, a council's 3.",
    "first us: from the last model's first piece to the reader, in process.",
]


class _Asked(NamedTuple):
    """What the ways of one contender took, in every round."""

    cpu_us: dict[str, dict[str, list[float]]]
    wall_us: dict[str, list[float]]
    first_us: dict[str, list[float]]
    versions: dict[str, str]

    def call_us(self, way: str, chunks: int) -> float:
        """The CPU of one call."""
        return median(self.cpu_us[str(chunks)][way]) / _calls(way)

    def by_hand(self, way: str, chunks: int) -> float:
        """The CPU of a call against one by hand: of the ratios of all rounds the one in the middle."""
        rounds = self.cpu_us[str(chunks)]
        pairs = zip(rounds[way], rounds[_BY_HAND], strict=True)
        return median(one / other for one, other in pairs) * _calls(_BY_HAND) / _calls(way)

    def longer(self, way: str) -> float | None:
        """What long answers cost against usual ones."""
        rounds = self.cpu_us[str(LONG)][way]
        return median(rounds) / median(self.cpu_us[str(USUAL)][way]) if rounds else None

    def stages(self, way: str) -> float:
        """By the clock, against the stages one after the other."""
        return median(self.wall_us[way]) / (_STAGES[way] * LATE_SECONDS * 1e6)


def composites(plan: Plan, server: Loopback) -> Section:
    """Each way to have a panel's answer against the calls by hand, in one process, in turns."""
    rows: list[Row] = []
    limits: list[Limit] = []
    mixture: float | None = None
    for name in filter(PANELS.__contains__, dict.fromkeys(each.name for each in plan.contenders)):
        contender = plan.named(name)[0]
        for place, url in _places(name, server):
            with plan.survives(f"composites: {name}{place}"):
                asked = _asked(plan, contender, url)
                if name == _OURS and url:
                    mixture = asked.call_us("MixtureOfAgents", USUAL)
                label = f"{name} {asked.versions.get(name, '')}".rstrip() + place
                shown = mixture if url else None
                rows += (Row(f"{label}: {way}", _cells(asked, way, shown)) for way in asked.wall_us)
                limits += _judged(label, asked, judge_cpu=bool(url)) if name == _OURS else ()
    title = f"{PANEL} models and one that makes an answer of theirs: CPU of a call, and time"
    return Section("composites", title, rows, limits, _NOTES)


def _places(name: str, server: Loopback) -> Iterator[tuple[str, str]]:
    if name == _OURS:
        yield ", in process", ""
    yield "", server.url


def _asked(plan: Plan, contender: Contender, url: str) -> _Asked:
    arguments = ", ".join(map(repr, (contender.name, url, *plan.panel_rounds(contender.name))))
    code = f"from bench.panels import main; main({arguments})"
    return _Asked(**json.loads(run_code(contender.python, code).output.splitlines()[-1]))


def _calls(way: str) -> int:
    return (_STAGES[way] - 1) * PANEL + 1


def _cells(asked: _Asked, way: str, mixture: float | None) -> dict[str, float | None]:
    usual = asked.call_us(way, USUAL)
    return {
        f"us/call, {SHORT}": asked.call_us(way, SHORT),
        f"us/call, {USUAL}": usual,
        "x by hand": asked.by_hand(way, SHORT),
        f"x by hand, {USUAL}": asked.by_hand(way, USUAL),
        "x mixture": usual / mixture if mixture else None,
        f"x {LONG:,}/{USUAL}": asked.longer(way),
        "x stages": asked.stages(way),
        "first us": median(asked.first_us[way]) if asked.first_us else None,
    }


def _judged(label: str, asked: _Asked, *, judge_cpu: bool) -> Iterator[Limit]:
    """In process nothing else is done than to pass events on: there CPU has nothing to stand against."""
    for way in (each for each in asked.wall_us if each != _BY_HAND):
        who = f"{label}: {way}"
        if judge_cpu:
            for chunks in (SHORT, USUAL):
                what = f"{who}: a call of {chunks} / by hand"
                yield Limit(what, asked.by_hand(way, chunks), _MOST_PER_CALL)
        yield Limit(f"{who}: time / its stages'", asked.stages(way), _MOST_BY_CLOCK)
        longer = asked.longer(way)
        if longer is not None:
            yield Limit(f"{who}: {LONG:,} chunks / {USUAL}", longer, _MOST_WHEN_LONGER)
