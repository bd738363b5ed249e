"""``polyvox serve`` with a journal that writes nothing down: what is left is all but the ledger.

There is no switch for that. The lines are still made, since metrics read them; they are neither encoded
nor written, and the thread that ships them into the database has nothing to ship.
"""

import sys

from polyvox.attempt import Attempt
from polyvox.cli import main
from polyvox.gateway import records
from polyvox.gateway.journal.file import Journal
from polyvox.gateway.journal.lines import Begun, Ended, Reserved


class Unwritten(Journal):
    """Writes nothing."""

    def begin(self, line: Begun) -> None:
        pass

    def reserve(self, line: Reserved) -> None:
        pass

    def attempt(self, call: str, attempt: Attempt) -> None:
        pass

    def end(self, line: Ended) -> None:
        pass


records.Journal = Unwritten

if __name__ == "__main__":
    sys.exit(main())
