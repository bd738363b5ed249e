"""Reports: what an evaluation comes to, model by model.

A score is the mean of its cases' scores by their weights, each case's being the mean of its samples.
Its interval is Wilson's, for 95 %: E. B. Wilson, "Probable Inference, the Law of Succession, and
Statistical Inference" (1927). It takes the cases for a sample of all that could be asked, and
samples of one case for one observation; where weights differ, as many cases as they are worth (L. Kish,
"Survey Sampling", 1965: the effective sample size). For scores between 0 and 1 it errs on the wide side.
"""

from collections.abc import Sequence
from math import ceil, sqrt
from os import PathLike

import msgspec

from polyvox.evaluation.cases import Case
from polyvox.evaluation.results import Result
from polyvox.usage import ZERO_USAGE, Cost, Usage

__all__ = ["COLUMNS", "ModelReport", "Report", "wilson"]

Z = 1.959964
"""How many standard errors the middle 95 % of a normal distribution reach to either side."""

COLUMNS = (
    *("model", "score", "95 %", "correct", "errors", "in", "out", "cost", "per correct"),
    *("p50 s", "p95 s"),
)
"""The heads of ``Report.rows``."""


class ModelReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one model.

    ``score`` and the interval from ``low`` to ``high`` are None when it has answered nothing.
    ``answered`` counts answers that have a score, ``correct`` the right ones of them, ``errors`` those
    that failed. ``usage`` is of all answers, failed ones too, with everything a composite has asked
    for them; ``grading`` is what it took to grade them. ``seconds`` is the median of an answer's time,
    ``seconds_p95`` what 95 % of them stay within.
    """

    name: str
    score: float | None
    low: float | None
    high: float | None
    answered: int
    correct: int
    errors: int
    usage: Usage
    grading: Usage
    seconds: float | None
    seconds_p95: float | None

    @property
    def cost(self) -> Cost:
        """What its answers cost, without the grading."""
        return self.usage.cost

    @property
    def cost_per_correct(self) -> Cost | None:
        """What one right answer costs; None if there is none."""
        return _share(self.cost, self.correct) if self.correct else None

    @property
    def cost_per_case(self) -> Cost | None:
        """What one answer costs; None if there is none."""
        return _share(self.cost, self.answered) if self.answered else None

    @property
    def tokens_per_case(self) -> float:
        """How many tokens one answer takes, in and out."""
        return self.usage.total_tokens / self.answered if self.answered else 0.0


class Report:
    """What an evaluation comes to. ``models`` are in the order in which they were given.

    Attributes:
        cases: what was asked.
        results: every answer with its score, or its error.
        wanted: how many answers there should be; fewer results are there if it was interrupted.
    """

    def __init__(
        self, cases: Sequence[Case], names: Sequence[str], results: Sequence[Result], wanted: int
    ) -> None:
        self.cases = list(cases)
        self.results = list(results)
        self.wanted = wanted
        self.models = [
            _model(name, self.cases, [each for each in self.results if each.model == name])
            for name in names
        ]

    @property
    def complete(self) -> bool:
        """Whether every answer is there, be it an error."""
        return len(self.results) == self.wanted

    def fails(self) -> list[Result]:
        """The wrong answers; those that failed are none."""
        return [each for each in self.results if each.error is None and not each.correct]

    def errors(self) -> list[Result]:
        """The answers that failed."""
        return [each for each in self.results if each.error is not None]

    def rows(self) -> list[list[str]]:
        """The table's rows, as texts; ``COLUMNS`` are above them."""
        return [_row(model) for model in self.models]

    def table(self) -> str:
        """The models side by side, as plain text."""
        rows = [[head.upper() for head in COLUMNS], *self.rows()]
        widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
        lines = (
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        )
        return "\n".join(lines)

    def save(self, path: str | PathLike[str]) -> None:
        """Draw score against cost, as PNG or SVG by the file's name.

        Raises ``ConfigurationError`` for another ending, and without the extra ``eval``.
        """
        from polyvox.evaluation.plot import draw  # only its users pay for it

        draw(self.models, path)


def wilson(mean: float, count: float) -> tuple[float, float]:
    """The interval in which the true mean of so many observations lies, with 95 % confidence.

    >>> [round(bound, 3) for bound in wilson(0.9, 10)]
    [0.596, 0.982]
    """
    square = Z * Z
    middle = (mean + square / (2 * count)) / (1 + square / count)
    reach = Z / (1 + square / count) * sqrt(mean * (1 - mean) / count + square / (4 * count**2))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _model(name: str, cases: Sequence[Case], results: Sequence[Result]) -> ModelReport:
    scored = [each for each in results if each.score is not None]
    score, low, high = _score(cases, scored)
    seconds = sorted(each.seconds for each in scored)
    return ModelReport(
        name=name,
        score=score,
        low=low,
        high=high,
        answered=len(scored),
        correct=sum(each.correct for each in scored),
        errors=len(results) - len(scored),
        usage=sum((each.usage for each in results), ZERO_USAGE),
        grading=sum((each.grading for each in results), ZERO_USAGE),
        seconds=_percentile(seconds, 0.5),
        seconds_p95=_percentile(seconds, 0.95),
    )


def _score(
    cases: Sequence[Case], scored: Sequence[Result]
) -> tuple[float | None, float | None, float | None]:
    """The mean and its interval; a case counts once, however often it was asked."""
    samples: dict[str, list[float]] = {}
    for each in scored:
        samples.setdefault(each.case, []).append(each.score or 0.0)
    most = max((case.weight for case in cases if case.id in samples), default=0.0)
    if not most:
        return None, None, None
    weights = {case.id: case.weight / most for case in cases if case.id in samples}
    total = sum(weights.values())
    means = {id: sum(scores) / len(scores) for id, scores in samples.items()}
    mean = min(1.0, sum(weights[id] * means[id] for id in weights) / total)
    effective = total**2 / sum(weight**2 for weight in weights.values())
    return mean, *wilson(mean, effective)


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """The least value that this share of all does not exceed."""
    return ordered[ceil(share * len(ordered)) - 1] if ordered else None


def _share(cost: Cost, count: int) -> Cost:
    return Cost(cost.status, nanos=round(cost.nanos / count))


def _row(model: ModelReport) -> list[str]:
    return [
        model.name,
        _number(model.score),
        "-" if model.low is None or model.high is None else f"{model.low:.2f} to {model.high:.2f}",
        f"{model.correct}/{model.answered}",
        str(model.errors),
        f"{model.usage.input_tokens:,}",
        f"{model.usage.output_tokens:,}",
        money(model.cost),
        "-" if model.cost_per_correct is None else money(model.cost_per_correct),
        _number(model.seconds),
        _number(model.seconds_p95),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def money(cost: Cost) -> str:
    """A cost in three significant digits.

    >>> money(Cost("known", nanos=1_234_567)), money(Cost("unknown"))
    ('$0.00123', 'unknown')
    """
    digits = 3 - len(str(cost.nanos))
    return str(Cost(cost.status, nanos=round(cost.nanos, min(0, digits))))
