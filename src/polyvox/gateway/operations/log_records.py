"""What the gateway's own modules tell by ``logging``, as lines of its log."""

import logging

from polyvox.errors import in_words
from polyvox.gateway.operations.log_lines import LogLines, Repeats
from polyvox.ledger import Redactor

__all__ = ["LogRecords"]


class LogRecords(logging.Handler):
    """Writes records as lines, each kind so many times a minute, and without keys.

    Of a kind is what one place tells; with ``extra={"repeats_of": ...}``, what it tells of that.
    To be added to the logger "polyvox" where the gateway is the program.
    """

    def __init__(
        self, lines: LogLines, *, repeats: Repeats | None = None, redactor: Redactor | None = None
    ) -> None:
        super().__init__()
        self._lines = lines
        self._repeats = repeats or Repeats()
        self._redactor = redactor or Redactor()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one. Never raises."""
        try:
            of = getattr(record, "repeats_of", None)
            held = self._repeats.passes((record.name, record.levelno, record.msg, of))
            if held is None:
                return
            text = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                text = f"{text}: {in_words(record.exc_info[1])}"
            self._lines.write(
                record.levelname.lower(),
                of=record.name.removeprefix("polyvox."),
                text=self._redactor.text(text),
                held_back=held or None,
            )
        except Exception:  # noqa: BLE001 -- as logging does: a line that can't be made is left out
            self.handleError(record)
