"""One batch, from its first line to its output.

Every step can be the last one that this process makes; whoever goes on begins with the step that was
not written down. An input is read through anew, a line without an answer is asked again, an output that
has no row yet is written anew.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from polyvox.errors import AbortedError, OverloadedError, PolyvoxError
from polyvox.gateway.batches import rows
from polyvox.gateway.batches.answering import Answer, Answering, unanswered
from polyvox.gateway.batches.bounds import Bounds
from polyvox.gateway.batches.files import Files
from polyvox.gateway.batches.lines import Line, Scan, line_at, scan
from polyvox.gateway.batches.progress import MOST_STARTS, Progress
from polyvox.gateway.batches.rows import Held
from polyvox.gateway.batches.shapes import BatchError, BatchErrors
from polyvox.gateway.batches.turns import Turns
from polyvox.gateway.database.engine import Database
from polyvox.gateway.web.ids import new_id

__all__ = ["Halt", "Tools", "Work"]

_log = logging.getLogger(__name__)

Halt: TypeAlias = Literal["", "cancelled", "expired", "stopped", "lost"]
"""Why no further line is asked: by its owner, by time, because we are to stop, because it isn't ours."""

_UNASKED = {
    "cancelled": "The batch was cancelled before this request was answered.",
    "expired": "The batch expired before this request was answered.",
}


class Tools(msgspec.Struct, frozen=True):
    """What working on a batch takes. ``folder`` has the progress of all batches, ``holder`` is our name."""

    database: Database
    files: Files
    folder: Path
    answering: Answering
    turns: Turns
    bounds: Bounds
    holder: str
    clock: Callable[[], float] = time.time
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep


class Work:
    """A batch that is ours."""

    def __init__(self, batch: Held, tools: Tools) -> None:
        self.batch = batch
        self.until = tools.clock() + tools.bounds.lease
        self._tools = tools
        self._input = tools.files.path(batch.input_file)
        self._scan = Scan()
        self._progress: Progress | None = None
        self._left: Iterator[int] = iter(())
        self._halt: Halt = ""
        self._workers: list[asyncio.Task[None]] = []
        self._waiting: set[asyncio.Task[Any]] = set()
        self._told: dict[str, int] = {}

    @property
    def expires(self) -> float:
        """When it expires."""
        return self.batch.expires

    def news(self) -> dict[str, int]:
        """What has changed of its counts since this was last asked."""
        if self._progress is None:
            return {}
        now = {"completed": self._progress.completed, "failed": self._progress.failed}
        changed = {} if now == self._told else now
        self._told = now
        return changed

    def halt(self, why: Halt) -> None:
        """Ask no further line. What is under way goes on to its end where it may still be told."""
        if self._halt in ("lost", why) or (self._halt == "stopped" and why != "lost"):
            return
        self._halt = why
        stopped = self._workers if why in ("expired", "lost") else self._waiting
        for task in list(stopped):
            task.cancel()

    def cut(self) -> None:
        """End what is under way; it is asked again another time."""
        for task in self._workers:
            task.cancel()

    async def force(self) -> None:
        """What is written of its progress, onto the disk."""
        if self._progress is not None:
            await asyncio.to_thread(self._progress.force)

    async def run(self) -> None:
        """Work on it until it is over, or halted. Raises ``PolyvoxError`` when it can't go on now."""
        if self._halt == "expired" and not await asyncio.to_thread(self._input.is_file):
            await self._over("expired", [])  # whoever had its input never came back
            return
        try:
            await self._begin()
            if self._progress is not None:
                await self._ask_all()
                if self._halt not in ("stopped", "lost"):
                    await self._finish(self._progress)
        finally:
            if self._progress is not None:
                self._progress.close()

    async def _begin(self) -> None:
        """Look through the input; with nothing wrong, or when it was begun already, find what is left."""
        tools, batch = self._tools, self.batch
        self._scan = await asyncio.to_thread(scan, self._input, batch.endpoint, tools.bounds)
        if batch.started is None:
            errors = self._scan.errors or await self._refused()
            if errors:
                await self._over("failed", [], errors=BatchErrors(data=errors))
                return
            now, total = tools.clock(), len(self._scan)
            await self._move("in_progress", "validating", started=now, total=total)
        self._progress = await asyncio.to_thread(
            Progress, tools.folder, batch.id, batch.turn, len(self._scan)
        )
        self._left = self._progress.left()

    async def _refused(self) -> list[BatchError]:
        """The models that the key may not ask."""
        try:
            wrong = await self._tools.answering.check_models(self.batch.key, self._scan.models)
        except OverloadedError:
            raise
        except PolyvoxError as error:
            return [BatchError(code=error.kind, message=error.text)]
        return [
            BatchError(code=error.kind, message=error.text, param="body.model", line=number)
            for _, number, error in wrong
        ]

    async def _ask_all(self) -> None:
        if self._halt:
            return
        count = self._tools.bounds.per_batch
        self._workers = [asyncio.create_task(self._ask_some()) for _ in range(count)]
        try:
            await asyncio.wait(self._workers, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            if not all(map(_ended_well, self._workers)):
                self.cut()
            ends = await asyncio.gather(*self._workers, return_exceptions=True)
        failures = [end for end in ends if isinstance(end, Exception)]
        if failures:
            raise failures[0]

    async def _ask_some(self) -> None:
        for number in self._left:  # one iterator for all: each takes the next that nobody has
            if self._halt:
                return
            await self._ask(number)

    async def _ask(self, number: int) -> None:
        progress = self._progress
        assert progress is not None
        line = await asyncio.to_thread(line_at, self._input, self._scan.starts[number])
        if progress.is_spent(number):
            told = f"It was under way {MOST_STARTS} times when the gateway died; it is not asked again."
            progress.end(number, unanswered(line.custom_id, "interrupted", told), good=False)
            return
        tries = 0
        while True:
            error = await self._try(number, line, progress)
            if error is None:
                return
            wait = error.retry_after or min(2.0**tries, self._tools.bounds.longest_wait)
            tries += 1
            wait = min(wait, self._tools.bounds.longest_wait) * random.uniform(1.0, 1.25)
            with self._in_vain():
                await self._tools.pause(wait)

    async def _try(self, number: int, line: Line, progress: Progress) -> PolyvoxError | None:
        """Ask, when it is the line's turn; the error if there was no room for it."""
        turns = self._tools.turns
        with self._in_vain():
            await turns.take(self.batch.organisation or self.batch.key)
        try:
            progress.begin(number)
            answer = await self._answer(line)
        except PolyvoxError as error:
            progress.give_back(number)
            return error
        except asyncio.CancelledError:
            progress.give_back(number)
            raise
        finally:
            turns.back()
        progress.end(number, answer.told, good=answer.good)
        return None

    async def _answer(self, line: Line) -> Answer:
        answer = await self._tools.answering.answer(line, self.batch.key, self.batch.id)
        if self._halt == "stopped" and not answer.good:
            # Its call may have been ended with the gateway's; that is no answer.
            raise AbortedError("the gateway is being stopped")
        return answer

    @contextmanager
    def _in_vain(self) -> Generator[None]:
        """Wait in the block for what a halt makes needless."""
        task = asyncio.current_task()
        assert task is not None
        if self._halt:
            raise asyncio.CancelledError
        self._waiting.add(task)
        try:
            yield
        finally:
            self._waiting.discard(task)

    async def _finish(self, progress: Progress) -> None:
        """Write the output, and make it known."""
        tools = self._tools
        await self._move("finalizing", "in_progress", finalizing=tools.clock())
        why = self._halt or ("cancelled" if await self._is_cancelled() else "completed")
        code = why if why in _UNASKED else "expired"

        def unasked(number: int) -> bytes:
            line = line_at(self._input, self._scan.starts[number])
            return unanswered(line.custom_id, f"batch_{code}", _UNASKED[code])

        ids = new_id("file", tools.clock), new_id("file", tools.clock)
        paths = [tools.files.path(id) for id in ids]
        sizes = await asyncio.to_thread(progress.write, paths[0], paths[1], unasked)
        made = [(id, size) for id, size in zip(ids, sizes, strict=True) if size]
        done = await self._over(
            why,
            [self._row(id, size) for id, size in made],
            output_file=ids[0] if sizes.answers else None,
            error_file=ids[1] if sizes.errors else None,
            completed=progress.completed,
            failed=progress.failed,
            total=len(self._scan),
        )
        for path, size in zip(paths, sizes, strict=True):
            if not done or not size:
                path.unlink(missing_ok=True)
        if done:
            await asyncio.to_thread(progress.forget)

    def _row(self, id: str, size: int) -> dict[str, Any]:
        batch = self.batch
        return self._tools.files.values(
            id, batch.organisation, batch.key, size, batch.keep, "batch_output"
        )

    async def _is_cancelled(self) -> bool:
        holder = self._tools.holder
        held = await self._tools.database.run(
            lambda connection: rows.held(connection, holder), read_only=True
        )
        return held.get(self.batch.id) == "cancelling"

    async def _move(self, status: str, before: str, **values: Any) -> bool:
        id, holder = self.batch.id, self._tools.holder
        return await self._tools.database.run(
            lambda connection: rows.moved(connection, id, holder, status, before, **values)
        )

    async def _over(
        self,
        status: str,
        made: list[dict[str, Any]],
        errors: BatchErrors | None = None,
        **values: Any,
    ) -> bool:
        values |= {"status": status, "ended": self._tools.clock()}
        if errors is not None:
            values["errors"] = msgspec.to_builtins(errors)
        id, holder = self.batch.id, self._tools.holder
        return await self._tools.database.run(
            lambda connection: rows.ended(connection, id, holder, made, values)
        )


def _ended_well(task: "asyncio.Task[None]") -> bool:
    """Whether it ended by itself, or by a halt."""
    return task.done() and (task.cancelled() or task.exception() is None)
