"""Ids of requests: the caller's own if it can be written down as it is, else a new one."""

import re
from collections.abc import Iterable

from polyvox.gateway.web.ids import new_id

__all__ = ["HEADER", "request_id"]

HEADER = b"x-request-id"

_SANE = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The id of a request, by its headers.

    What is longer than 128 characters, or has others than those of usual ids, is not taken: it goes
    into logs and answers.

    >>> request_id([(b"x-request-id", b"trace-7")])
    'trace-7'
    """
    for name, value in headers:
        if name == HEADER and _SANE.fullmatch(value):
            return value.decode("ascii")
    return new_id("req")
