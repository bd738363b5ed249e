"""What ``polyvox eval`` does once its options are understood: run, show, draw."""

import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyvox import jsontext
from polyvox.cli import exit_codes
from polyvox.cli.answering import interrupt_on_ctrl_c
from polyvox.cli.ask_once import model_named
from polyvox.cli.call_log import call_log
from polyvox.cli.configured import configured_client, logs_here
from polyvox.cli.options import InputError
from polyvox.cli.tables import Column, print_table
from polyvox.cli.terminal import harmless, is_terminal, note, warn
from polyvox.cli.views import usage_as_json
from polyvox.client import AsyncClient
from polyvox.errors import ConfigurationError, error_from_dict
from polyvox.evaluation import Case, ModelReport, Progress, Report, Result, evaluate, load_cases
from polyvox.evaluation.plot import check_plot
from polyvox.evaluation.report import COLUMNS, money
from polyvox.ledger import CallLog, Logged
from polyvox.model import Model
from polyvox.usage import ZERO_USAGE

if TYPE_CHECKING:
    from polyvox.cli.eval import EvalOptions

__all__ = ["run_eval"]

_CHARACTERS = 200
_NEEDED = ("model", "score", "correct", "cost")
"""What the table has in the narrowest terminal, too."""


async def run_eval(options: "EvalOptions", names: Sequence[str]) -> int:
    """Evaluate, and show what came of it. Raises the ``PolyvoxError`` of what is wrong beforehand."""
    cases = _chosen(options)
    for path in options.plots:
        check_plot(path)
    async with configured_client(options.config) as client:
        own_log = logs_here(client, wanted=options.log)
        with call_log(own_log) as log, interrupt_on_ctrl_c() as interrupt, _bar() as told:
            report = await evaluate(
                cases,
                names,
                client=_Logging(client, log),
                grader=options.grader,
                results=options.results,
                repeat=options.repeat,
                concurrency=options.concurrency,
                timeout=options.timeout,
                interrupt=interrupt,
                on_progress=told,
            )
    _show(report, options)
    if not report.complete:
        kept = f"kept in {options.results}" if options.results else "and --results would keep them"
        note(f"Stopped: {len(report.results)} of {report.wanted} answers are there, {kept}.")
        return exit_codes.INTERRUPTED
    if report.results and len(report.errors()) == len(report.results):
        raise error_from_dict(report.errors()[0].error or {})
    _draw(report, options)
    return _judged(report, options.min_score)


class _Logging:
    """Makes models of names, whose calls are written down."""

    def __init__(self, client: AsyncClient, log: CallLog) -> None:
        self._client = client
        self._log = log

    def model(self, name: str) -> Model:
        """The model of that name."""
        return Logged(model_named(self._client, name), self._log)


def _chosen(options: "EvalOptions") -> list[Case]:
    cases = load_cases(options.cases)
    known = sorted({tag for case in cases for tag in case.tags})
    for tag in options.tags:
        if tag not in known:
            hint = f"There are {', '.join(known)}." if known else "No case has any."
            raise InputError(f"no case has the tag {tag!r}", hint)
    wanted = set(options.tags)
    return [case for case in cases if wanted <= set(case.tags)][: options.limit]


@contextmanager
def _bar() -> Generator[Callable[[Progress], None]]:
    """A progress bar on stderr, for a person; it is gone in the end."""
    if not is_terminal(sys.stderr):
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        *(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()),
        TextColumn("{task.fields[right]} right, {task.fields[errors]} errors"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, right=0, errors=0)
        seen: Counter[str] = Counter()

        def told(progress: Progress) -> None:
            if progress.result is not None:
                seen["right"] += progress.result.correct
                seen["errors"] += progress.result.error is not None
            bar.update(
                task,
                total=progress.total,
                completed=progress.done,
                right=seen["right"],
                errors=seen["errors"],
            )

        yield told


def _show(report: Report, options: "EvalOptions") -> None:
    if options.as_json:
        click.echo(jsontext.encode(_as_json(report, fails=options.fails)))
        return
    columns = [
        Column(head, right=place > 0, whole=True, spare=head not in _NEEDED)
        for place, head in enumerate(COLUMNS)
    ]
    print_table(columns, report.rows())
    if options.fails:
        for line in _failing(report):
            click.echo(harmless(line) if is_terminal(sys.stdout) else line)
    graded = sum((model.grading for model in report.models), ZERO_USAGE)
    if graded.total_tokens and not options.quiet:
        note(f"Grading: {graded.total_tokens:,} tokens, {money(graded.cost)}, not in the table.")
    _tell_errors(report)


def _tell_errors(report: Report) -> None:
    for model in report.models:
        errors = [each for each in report.errors() if each.model == model.name]
        if errors:
            told = Counter(str((each.error or {}).get("text", "")) for each in errors)
            text, count = told.most_common(1)[0]
            share = "" if count == len(errors) else f"; {count} with"
            warn(f"{model.name}: {len(errors)} failed and are in no score{share}: {text}")


def _failing(report: Report) -> Iterator[str]:
    """Every wrong or failed answer, in a few lines."""
    prompts = {case.id: case.prompt for case in report.cases}
    for each in [*report.fails(), *report.errors()]:
        prompt = prompts[each.case]
        asked = prompt if isinstance(prompt, str) else jsontext.encode(prompt).decode()
        yield ""
        yield f"{each.model}, case {each.case}: {_cut(asked)}"
        if each.error is not None:
            yield f"  failed: {_cut(str(each.error.get('text', '')))}"
            continue
        yield f"  said: {_cut(each.text)}"
        score = "" if each.score == 0 or each.score is None else f"{each.score:.2f}: "
        yield f"  {score}{_cut(each.note)}"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…"


def _as_json(report: Report, *, fails: bool) -> dict[str, Any]:
    values: dict[str, Any] = {
        "cases": len(report.cases),
        "complete": report.complete,
        "models": [_model_as_json(model) for model in report.models],
    }
    if fails:
        values["fails"] = [_result_as_json(each) for each in report.fails()]
        values["errors"] = [_result_as_json(each) for each in report.errors()]
    return values


def _model_as_json(model: ModelReport) -> dict[str, Any]:
    per_correct = model.cost_per_correct
    known = per_correct is not None and per_correct.status != "unknown"
    return {
        **{name: getattr(model, name) for name in ("name", "score", "low", "high")},
        **{name: getattr(model, name) for name in ("answered", "correct", "errors")},
        "usage": usage_as_json(model.usage),
        "grading": usage_as_json(model.grading),
        "dollars_per_correct": per_correct.dollars if per_correct and known else None,
        "seconds": {"p50": model.seconds, "p95": model.seconds_p95},
    }


def _result_as_json(result: Result) -> dict[str, Any]:
    fields = ("model", "case", "sample", "score", "note", "text", "error")
    return {name: getattr(result, name) for name in fields}


def _draw(report: Report, options: "EvalOptions") -> None:
    """The plots that were asked for, or the usual ones where they can be drawn."""
    if not options.plot:
        return
    paths = list(options.plots)
    if not paths:
        paths = [Path(f"{options.cases.stem}-eval.{kind}") for kind in ("png", "svg")]
        try:
            check_plot(paths[0])
        except ConfigurationError as error:
            note(f"No plot: {error.text}. {error.hint}, or --no-plot.")
            return
    for path in paths:
        report.save(path)
    if not options.quiet:
        note(f"Plot of score against cost: {' and '.join(map(str, paths))}.")


def _judged(report: Report, least: float | None) -> int:
    """The exit code that the scores deserve."""
    if least is None:
        return 0
    below = [model for model in report.models if model.score is None or not model.score >= least]
    for model in below:
        score = "has no score" if model.score is None else f"scores {model.score:.3f}"
        warn(f"{model.name} {score}, which is below {least:g}")
    return exit_codes.FAILED if below else 0
