"""One journal on its way into the database, from wherever it was left."""

import os
import time
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import Connection, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from polyvox.errors import BadRequestError, in_words
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.tables import journals
from polyvox.gateway.journal.file import LONGEST_LINE, Journal
from polyvox.gateway.journal.folders import Folder
from polyvox.gateway.journal.joining import Joiner
from polyvox.gateway.journal.reading import MOST, Reader
from polyvox.gateway.journal.rows import Batch, write, write_calls

__all__ = ["REFUSED", "Shipment"]

REFUSED = "refused.jsonl"
"""Beside the folders: the lines of calls that the database would not take for what they hold."""


class Shipment:
    """Ships the lines of a folder, in batches. ``journal`` writes them; None if its process is dead.

    Of the folder's files and the position in the database follows which calls are open: whatever is
    killed when, the next reader of the same lines comes to the same. It holds one batch, and the calls
    that are open, of which there are no more than calls in flight. A batch is ``most`` bytes of lines.

    ``done`` says that all is shipped and the folder deleted; ``until`` is a time up to which all is
    shipped; ``caught_up`` whether nothing was left behind the last batch; ``refused`` counts the calls
    that the database would not take, ``refusal`` says why not.
    """

    def __init__(
        self,
        folder: Folder,
        database: Database,
        journal: Journal | None = None,
        *,
        clock: Callable[[], float] = time.time,
        most: int = MOST,
    ) -> None:
        self.folder = folder
        self.done = False
        self.until: float | None = None
        self.caught_up = False
        self.refused = 0
        self.refusal: str | None = None
        self.joiner = Joiner()
        self._database = database
        self._journal = journal
        self._clock = clock
        self._most = most
        self._reader: Reader | None = None
        self._carried = 0  # the last segment of which it is written down what was open
        self._batch: Batch | None = None

    @property
    def waiting_bytes(self) -> int:
        """How much of it isn't shipped."""
        reader = self._reader
        if reader is None:
            return self.folder.size()
        return self.folder.size(reader.segment, reader.offset)

    def ship(self) -> int:
        """Ship a batch: how many calls that was, or -1 when there is nothing more for now.

        Raises ``OverloadedError`` when the database can't take it now, ``OSError`` for a file that can't
        be read or deleted; then it is tried again.
        """
        if self._reader is None:
            self._reader = self._found_again()
        if self._batch is None:
            self._batch = self._gather(self._reader)
        batch = self._batch
        if batch is None:
            return -1
        calls = len(batch.calls)
        self._write(batch)
        if batch.last:
            self.folder.remove()
            self.done = True
        else:
            self.folder.drop_before(self._needed(batch.segment))
        self._batch = None
        if self._journal is not None:
            self._journal.shipped += batch.size
        if batch.until is not None:
            self.until = batch.until
        self.caught_up = batch.until is not None and not batch.last
        return calls

    def _found_again(self) -> Reader:
        """A reader at the position that the database knows, and the calls that are open there."""
        position = self._database.run_now(self._position, read_only=True)
        first = next(iter(self.folder.segments()), 1)
        segment, offset = max(position, (first, 0))
        base = self.folder.carried_until(segment) or first
        joiner = Joiner()
        self._carries(joiner, base)
        self._carried = base
        reader = Reader(self.folder, base)
        while (reader.segment, reader.offset) < (segment, offset):
            lines = reader.read()
            if not lines or reader.segment > segment:
                break
            if reader.segment == segment:
                lines = lines[: lines.rfind(b"\n", 0, offset - reader.offset) + 1]
            joiner.read(lines, reader.segment)
            reader.pass_by(len(lines))
            if not lines:
                break
        joiner.strays = joiner.torn = 0  # those of lines that are shipped
        self.joiner = joiner
        return Reader(self.folder, segment, offset)

    def _position(self, connection: Connection) -> tuple[int, int]:
        row = connection.execute(
            select(journals.c.segment, journals.c.offset).where(
                journals.c.journal == self.folder.name
            )
        ).first()
        return (0, 0) if row is None else (row.segment, row.offset)

    def _gather(self, reader: Reader) -> Batch | None:
        """The calls that are over in the lines that come next, or None without any."""
        # Looked at before the reading: nothing comes after.
        over = self._journal is None or self._journal.closed
        now = self._clock()
        newest = max(self.folder.segments(), default=0)
        lines = reader.read(self._most)
        if reader.offset == 0 and self._carried < reader.segment:
            # Written before? Then it is more than we know, if segments before it are gone already.
            if self._carries(self.joiner, reader.segment):
                self._carried = reader.segment
            else:
                self._carry(reader.segment)
        if not lines and not over:
            self.until = now
            return None
        calls = self.joiner.read(lines, reader.segment)
        if not lines:
            if tail := reader.tail():  # whole, but for the line feed?
                calls += self.joiner.read(tail, reader.segment)
            calls += self.joiner.cut_off()
        size = len(lines)
        # So short that nothing was left that stood there when it was read: with more than that waiting,
        # a batch would be full.
        short = not over and size < self._most - LONGEST_LINE and reader.segment >= newest
        reader.pass_by(size)
        return Batch(
            journal=self.folder.name,
            segment=reader.segment,
            offset=reader.offset,
            calls=calls,
            size=size,
            until=now if short or not lines else None,
            last=not lines,
        )

    def _carries(self, joiner: Joiner, segment: int) -> bool:
        """Open the calls that were written down to be open where the segment begins, if that was done."""
        try:
            lines = self.folder.carried(segment).read_bytes()
        except FileNotFoundError:
            return False
        joiner.open.clear()
        joiner.read(lines, segment)
        return True

    def _carry(self, segment: int) -> None:
        """Write down which calls are open where the segment begins, so that those before it can go.

        Where that can't be written, a segment stays as long as a call of it is open.
        """
        path = self.folder.carried(segment)
        making = path.with_suffix(".making")
        with suppress(OSError):
            with open(making, "wb") as file:
                file.writelines(self.joiner.carried())
                file.flush()
                os.fsync(file.fileno())
            making.replace(path)
            self._carried = segment

    def _needed(self, segment: int) -> int:
        """The first segment that has to stay."""
        oldest = min((call.segment for call in self.joiner.open.values()), default=segment)
        return max(oldest, self._carried)

    def _write(self, batch: Batch) -> None:
        try:
            self._database.run_now(lambda connection: write(connection, batch, self._clock()))
        except Exception as error:
            if not _is_of_a_value(error):
                raise
            self._write_singly(batch)

    def _write_singly(self, batch: Batch) -> None:
        """There is a call in it that the database refuses for what it is: it is put aside."""
        while batch.calls:
            call = batch.calls[0]
            try:
                self._database.run_now(
                    lambda connection, call=call: write_calls(connection, [call])
                )
            except Exception as error:
                if not _is_of_a_value(error):
                    raise
                with open(self.folder.path.with_name(REFUSED), "ab") as file:
                    file.writelines(call.lines())
                self.refused += 1
                self.refusal = f"the call {call.id!r}: {in_words(error)}"
            batch.calls.pop(0)
        self._database.run_now(lambda connection: write(connection, batch, self._clock()))


def _is_of_a_value(error: Exception) -> bool:
    """Whether it is about what stands in a row, and not about the database, its tables or our doing."""
    if isinstance(error, DBAPIError):
        return isinstance(error, DataError | IntegrityError)
    return isinstance(error, StatementError | BadRequestError | ValueError | OverflowError)
