"""Evaluation: the same questions put to several models, and how good, dear and fast each of them is.

    from polyvox.evaluation import evaluate, load_cases

    report = await evaluate(
        load_cases("cases.jsonl"),
        ["openai/gpt-5-mini", "composite/moa/openai/gpt-5-mini"],
        results="results.jsonl",
    )
    print(report.table())
    report.save("plot.svg")

Belongs here: cases, scorers, running them within bounds, what comes of it as numbers and as a plot.
Does not belong here: retries, caches and budgets (those are the models' own), what a terminal shows.
"""

from polyvox.evaluation.cases import Case, load_cases
from polyvox.evaluation.report import ModelReport, Report
from polyvox.evaluation.results import Result
from polyvox.evaluation.running import (
    EvaluationSettings,
    Models,
    Progress,
    evaluate,
    evaluate_sync,
)
from polyvox.evaluation.scorers import Contains, Exact, Graded, Regex, Schema, Scorer

__all__ = [
    "Case",
    "Contains",
    "EvaluationSettings",
    "Exact",
    "Graded",
    "ModelReport",
    "Models",
    "Progress",
    "Regex",
    "Report",
    "Result",
    "Schema",
    "Scorer",
    "evaluate",
    "evaluate_sync",
    "load_cases",
]
