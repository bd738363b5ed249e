"""Why something failed, as it may be written down: short, without keys, and in our own words.

What a provider says of a failure may repeat what it was asked, which stands nowhere in the ledger and in
no log. So its code is written down, if that is a plain word, and what it says only where that was allowed.
"""

import re

from msgspec.structs import replace

from polyvox.attempt import Attempt
from polyvox.errors import PolyvoxError, in_our_words
from polyvox.ledger import Redactor

__all__ = ["Reasons"]

_LONGEST = 500
_LOOKED_AT = 4 * _LONGEST
_CODE = re.compile(r"[A-Za-z][\w.-]{0,63}", re.ASCII)


class Reasons:
    """Says why something failed.

    Args:
        redactor: masks keys.
        quoting: whether what providers say may be written down.
    """

    def __init__(self, redactor: Redactor | None = None, *, quoting: bool = False) -> None:
        self._redactor = redactor or Redactor()
        self._quoting = quoting

    def of(self, error: PolyvoxError) -> str | None:
        """Why a call failed."""
        status = error.status if error.provider else None  # else it is a refusal of the gateway's
        ours = in_our_words(error.kind, status, error.provider)
        return self._told(error.provider_code, error.text if ours or self._quoting else None)

    def within(self, attempt: Attempt) -> Attempt:
        """The attempt, with the reason that may be written down."""
        ours = in_our_words(attempt.error, attempt.status, attempt.provider)
        text = attempt.reason if ours or self._quoting else None
        return replace(attempt, code=None, reason=self._told(attempt.code, text))

    def _told(self, code: str | None, text: str | None) -> str | None:
        said = [code] if code and _CODE.fullmatch(code) else []
        if text:
            if len(text) > _LOOKED_AT:
                text = text[:_LOOKED_AT].rpartition(" ")[0]  # half a key would not be known for one
            said.append(" ".join(text.split()))
        told = self._redactor.text(": ".join(said))
        return (told if len(told) <= _LONGEST else f"{told[: _LONGEST - 3]}...") or None
