"""``polyvox eval``: the same cases put to several models, side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from polyvox.cli import exit_codes
from polyvox.cli.options import (
    InputError,
    complete_model,
    config_option,
    debug_option,
    gathered,
    log_option,
    quiet_option,
)

__all__ = ["EvalOptions", "command"]


class EvalOptions(msgspec.Struct, kw_only=True):
    """Everything ``polyvox eval`` was told on its command line."""

    cases: Path
    models: tuple[str, ...]
    grader: str | None
    limit: int | None
    tags: tuple[str, ...]
    repeat: int
    concurrency: int
    timeout: float
    results: Path | None
    plots: tuple[Path, ...]
    plot: bool
    fails: bool
    as_json: bool
    min_score: float | None
    log: bool
    quiet: bool
    config: Path | None


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in complete_model(ctx, param, last)]


_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    "eval",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"\b\nExit codes:\n{exit_codes.table()}",
)
@click.argument("cases", type=_FILE, metavar="CASES.jsonl")
@click.option(
    "-m",
    "--models",
    metavar="A,B,...",
    multiple=True,
    required=True,
    shell_complete=_complete,
    help="Whom to compare, composites too. May be repeated.",
)
@click.option(
    "--grader",
    metavar="MODEL",
    shell_complete=complete_model,
    help="Who grades cases of the scorer 'graded'.",
)
@click.option("-n", "--limit", type=click.IntRange(min=1), help="Only the first N cases.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Only cases with this tag.")
@click.option(
    "--repeat",
    type=click.IntRange(min=1),
    default=1,
    help="How often to ask each case. More than once, no cache is asked.",
)
@click.option("--concurrency", type=click.IntRange(min=1), default=8, show_default=True)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    help="For each answer, and each grading.",
)
@click.option(
    "--results",
    metavar="FILE",
    type=_FILE,
    help="Keep every result there as soon as it is known; what is there already is not asked again.",
)
@click.option(
    "--plot",
    "plots",
    metavar="FILE",
    type=_FILE,
    multiple=True,
    help="Draw score against cost there, as .png or .svg. May be repeated. Default: CASES-eval.png and .svg.",
)
@click.option("--no-plot", "plot", flag_value=False, default=True, help="Draw nothing.")
@click.option("--fails", is_flag=True, help="List the wrong answers, and those that failed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--min-score",
    metavar="SCORE",
    type=click.FloatRange(0, 1),
    help="End with 1 if any model's score is below.",
)
@log_option
@config_option
@quiet_option
@debug_option
@gathered(EvalOptions)
def command(options: EvalOptions) -> int:
    """Put the same cases to several models, and compare score, cost and time.

    A case is a line of JSON: a prompt, what is expected, and a scorer: exact, contains, regex, schema
    or graded. Ctrl-C keeps what is done; with --results the same command goes on from there.

    \b
      polyvox eval cases.jsonl --models openai/gpt-5-mini,composite/moa/openai/gpt-5-mini
      polyvox eval cases.jsonl -m simulated/a --results results.jsonl --min-score 0.6
    """
    import asyncio

    if options.plots and not options.plot:
        raise click.UsageError("--plot and --no-plot exclude each other")
    names = _names(options.models)
    from polyvox.cli.eval_run import run_eval

    return asyncio.run(run_eval(options, names))


def _names(given: Sequence[str]) -> list[str]:
    names = [name.strip() for each in given for name in each.split(",") if name.strip()]
    if not names:
        raise InputError("--models names nobody", "Give names, such as simulated/a,simulated/b.")
    return names
