"""Running: every case put to every model, some at a time, each result kept as soon as it is there."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from os import PathLike
from typing import Any, NamedTuple, Protocol, TypedDict, Unpack

import msgspec

from polyvox.client import AsyncClient, AsyncStream, Client
from polyvox.errors import AbortedError, BadRequestError, ConfigurationError, PolyvoxError
from polyvox.evaluation.cases import Case, check_cases, grader_of
from polyvox.evaluation.grading import graded
from polyvox.evaluation.report import Report
from polyvox.evaluation.results import Key, Result, ResultsFile
from polyvox.evaluation.scorers import Graded, Verdict
from polyvox.messages import AssistantMessage, assistant
from polyvox.model import Call, Interrupt, Model, checked_model
from polyvox.usage import ZERO_USAGE

__all__ = ["EvaluationSettings", "Models", "Progress", "evaluate", "evaluate_sync"]

TIMEOUT_SECONDS = 300.0


class Models(Protocol):
    """Makes models of names, as a client does."""

    def model(self, name: str) -> Model:
        """The model of that name. Raises ``ConfigurationError`` for one that means nothing."""
        ...


class Progress(NamedTuple):
    """How far an evaluation is: ``done`` of ``total`` answers; ``result`` is the newest.

    At the beginning ``done`` are those that were there already, and there is no newest.
    """

    done: int
    total: int
    result: Result | None = None


class EvaluationSettings(TypedDict, total=False):
    """What may be said about an evaluation besides its cases and models.

    repeat: how often each model is asked each case (1). More than once, no cache is asked.
    concurrency: how many cases are under way at once, all models together (8).
    timeout: seconds for each answer and for each grading (300); a case may say its own.
    interrupt: a switch that ends the evaluation from anywhere; what is done is kept.
    on_progress: told at the beginning and after every result.
    """

    repeat: int
    concurrency: int
    timeout: float | None
    interrupt: Interrupt | None
    on_progress: Callable[[Progress], None]


class _Plan(msgspec.Struct, kw_only=True):
    """``EvaluationSettings`` with their defaults."""

    repeat: int = 1
    concurrency: int = 8
    timeout: float | None = TIMEOUT_SECONDS
    interrupt: Interrupt | None = None
    on_progress: Callable[[Progress], None] = lambda progress: None

    def __post_init__(self) -> None:
        for name in ("repeat", "concurrency"):
            if getattr(self, name) < 1:
                raise BadRequestError(f"{name} is {getattr(self, name)}; give 1 or more")


async def evaluate(
    cases: Iterable[Case],
    models: Sequence[str | Model],
    *,
    client: Models | None = None,
    grader: str | Model | None = None,
    results: str | PathLike[str] | None = None,
    **settings: Unpack[EvaluationSettings],
) -> Report:
    """Put every case to every model, and score the answers.

    Args:
        cases: see ``load_cases``.
        models: names, or ``Model``s; what retries and caches they shall have they bring along.
        client: who makes models of names.
        grader: who grades the cases that want to be graded and name nobody.
        results: a file in which every result is kept as soon as it is there. What is in there already
            is not asked again, unless it failed or its case has been changed since.
        **settings: see ``EvaluationSettings``.

    An answer that fails is told apart from one that is wrong. Raises ``ConfigurationError`` for what
    is wrong with cases, names or the file before anything is asked.
    """
    plan = _Plan(**settings)
    chosen = check_cases(cases)
    async with AsyncExitStack() as stack:
        if client is None:
            client = await stack.enter_async_context(AsyncClient())
        asked = _asked(models, client)
        graders = _graders(chosen, grader, client)
        file = None if results is None else stack.enter_context(ResultsFile(results))
        run = _Run(plan, asked, graders, file)
        return await run.report(chosen, _default_grader(grader))


def evaluate_sync(
    cases: Iterable[Case],
    models: Sequence[str | Model],
    *,
    client: Client | None = None,
    grader: str | Model | None = None,
    results: str | PathLike[str] | None = None,
    **settings: Unpack[EvaluationSettings],
) -> Report:
    """``evaluate`` for code that is not asynchronous.

    >>> evaluate_sync([Case(prompt="hello", expected="hello")], ["simulated/echo"]).models[0].score
    1.0
    """
    if client is None:
        with Client() as own:
            return evaluate_sync(
                cases, models, client=own, grader=grader, results=results, **settings
            )
    return client._loops.run(  # pyright: ignore[reportPrivateUsage]
        lambda: evaluate(cases, models, client=client, grader=grader, results=results, **settings)
    )


class _Job(NamedTuple):
    """One answer that is wanted."""

    case: Case
    grader: str
    key: Key


class _Run:
    """One evaluation."""

    def __init__(
        self,
        plan: _Plan,
        models: Mapping[str, Model],
        graders: Mapping[str, Model],
        file: ResultsFile | None,
    ) -> None:
        self._plan = plan
        self._models = models
        self._graders = graders
        self._file = file
        self._known = file.done if file is not None else {}
        self._results: dict[Key, Result] = {}
        self._total = 0

    async def report(self, cases: Sequence[Case], grader: str) -> Report:
        """Ask what is not known yet, and say what came of it."""
        jobs = list(self._jobs(cases, grader))
        self._total = len(jobs)
        answered = {key: each for key, each in self._known.items() if each.error is None}
        self._results = {job.key: answered[job.key] for job in jobs if job.key in answered}
        self._plan.on_progress(Progress(len(self._results), self._total))
        await self._work_off([job for job in jobs if job.key not in self._results])
        kept = [self._results[job.key] for job in jobs if job.key in self._results]
        return Report(cases, list(self._models), kept, wanted=self._total)

    def _jobs(self, cases: Sequence[Case], default: str) -> Iterator[_Job]:
        """All that is wanted, the models side by side."""
        for sample in range(self._plan.repeat):
            for case in cases:
                grader = grader_of(case, default)
                digest = case.digest(grader)
                for model in self._models:
                    yield _Job(case, grader, Key(model, case.id, digest, sample))

    async def _work_off(self, jobs: Sequence[_Job]) -> None:
        """A few tasks that share what is to be done; one for each job would be thousands."""
        waiting = iter(jobs)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._plan.concurrency, len(jobs))):
                    group.create_task(self._worker(waiting))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _worker(self, jobs: Iterator[_Job]) -> None:
        interrupt = self._plan.interrupt
        for job in jobs:
            if interrupt is not None and interrupt.is_set:
                return
            result = await self._result(job)
            if result is None:  # interrupted: it was neither right nor wrong, and did not fail
                return
            if self._file is not None:
                self._file.append(result)
            self._results[job.key] = result
            self._plan.on_progress(Progress(len(self._results), self._total, result))

    async def _result(self, job: _Job) -> Result | None:
        """The result of one case; None if the evaluation was interrupted meanwhile."""
        result = Result(**job.key._asdict())
        try:
            message = await self._answer(job, result)
            verdict = await self._verdict(job, message, result)
        except AbortedError as error:
            if self._plan.interrupt is not None and self._plan.interrupt.is_set:
                return None
            result.error = error.to_dict()
            return result
        except PolyvoxError as error:
            result.error = error.to_dict()
            return result
        result.score, result.note = verdict
        threshold = job.case.scorer.threshold if isinstance(job.case.scorer, Graded) else 1.0
        result.correct = verdict.score >= threshold
        return result

    async def _answer(self, job: _Job, result: Result) -> AssistantMessage:
        """Ask the model. What it took is in the result, also when it raises.

        An answer that is known, and only could not be graded, is not asked for again.
        """
        before = self._known.get(job.key)
        if before is not None and before.text:
            result.usage, result.seconds, result.text = before.usage, before.seconds, before.text
            return assistant(before.text)
        seconds = job.case.settings.get("timeout", self._plan.timeout)
        call = Call.timeout(seconds, self._plan.interrupt)
        call.tags = {"case": job.case.id}
        call.caching = "skip" if self._plan.repeat > 1 else "use"
        began = time.monotonic()
        try:
            stream = AsyncStream(self._models[job.key.model], job.case.request(), call)
            async with stream:
                message = await stream.result()
        except PolyvoxError as error:
            result.usage = _spent(error)
            raise
        finally:
            result.seconds = round(time.monotonic() - began, 3)
        result.usage, result.text = message.usage, message.text
        return message

    async def _verdict(self, job: _Job, message: AssistantMessage, result: Result) -> Verdict:
        scorer = job.case.scorer
        if not isinstance(scorer, Graded):
            return scorer.judge(message, job.case.expected)
        plan = self._plan
        settings: Any = {"timeout": plan.timeout, "interrupt": plan.interrupt}
        settings["tags"] = {"case": job.case.id}
        try:
            reply = await graded(job.case, message, self._graders[job.grader], settings)
        except PolyvoxError as error:
            result.grading = _spent(error)
            error.text = f"the grader failed: {error.text}"
            raise
        result.grading = reply.usage
        return Verdict(reply.parsed.score, reply.parsed.reason)


def _spent(error: PolyvoxError) -> Any:
    """What a call that failed has used; nothing of one that was never answered."""
    usage = error.message.usage if error.message is not None else ZERO_USAGE
    return usage if usage.total_tokens else ZERO_USAGE


def _asked(models: Sequence[str | Model], client: Models) -> dict[str, Model]:
    """The models by the names they were given by. Raises ``ConfigurationError``."""
    if isinstance(models, str):
        raise ConfigurationError(f"models is the string {models!r}", hint="Give a list of names.")
    asked: dict[str, Model] = {}
    for each in models:
        name = each if isinstance(each, str) else checked_model(each, "evaluate").name
        if name in asked:
            hint = "Results are told apart by names; repeat=2 asks a model twice."
            raise ConfigurationError(f"the model {name!r} is named twice", hint=hint)
        asked[name] = client.model(each) if isinstance(each, str) else each
    if not asked:
        raise ConfigurationError("there are no models to evaluate")
    return asked


def _default_grader(grader: str | Model | None) -> str:
    return "" if grader is None else grader if isinstance(grader, str) else grader.name


def _graders(cases: Iterable[Case], grader: str | Model | None, client: Models) -> dict[str, Model]:
    """Whoever grades, by name. Raises ``ConfigurationError`` for a case that nobody would grade."""
    default = _default_grader(grader)
    graders: dict[str, Model] = {}
    for case in cases:
        name = grader_of(case, default)
        if isinstance(case.scorer, Graded) and not name:
            raise ConfigurationError(
                f"the case {case.id!r} is to be graded, and there is no grader",
                hint='Give one (grader="...", --grader on the command line), or "model" in its scorer.',
            )
        if name and name not in graders:
            given = grader is not None and not isinstance(grader, str) and name == default
            graders[name] = checked_model(grader, "grader") if given else client.model(name)  # pyright: ignore[reportArgumentType]
    return graders
