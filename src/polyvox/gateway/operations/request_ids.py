"""Ids of requests: the caller's own if it can be written down as it is, else a new one."""

import re
from collections.abc import Mapping

from polyvox.gateway.web.ids import new_id

__all__ = ["HEADER", "request_id"]

HEADER = "x-request-id"

_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")


def request_id(headers: Mapping[str, str]) -> str:
    """The id of a request, by its headers.

    What is longer than 128 characters, or has others than those of usual ids, is not taken: it goes
    into logs and answers.

    >>> request_id({"x-request-id": "trace-7"})
    'trace-7'
    """
    given = headers.get(HEADER)
    if given is None:
        return new_id("req")
    # Of several the one that was there before the others.
    return next(filter(_SANE.fullmatch, given.split(", ")), None) or new_id("req")
