"""Labels of metrics: a bounded number of values, whatever callers send."""

import re
from functools import lru_cache

__all__ = ["OTHER", "Labels", "route_label"]

OTHER = "other"

_ID = re.compile(r"[^/]*\d[^/]*|[^/]{25,}|[^/]*[^\x21-\x7e/][^/]*")
_VERSIONS = ("v1", "v1beta")
_PARTS = 5
_SHORT, _MOST_KNOWN = 60, 500  # most requests go to a few short paths


class Labels:
    """Takes the first so many values as they are; whatever comes after those is ``other``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def of(self, value: str) -> str:
        """The value itself, or ``other``."""
        known = self._known
        if value in known:
            return value
        if len(known) >= self._most:
            return OTHER
        known.add(value)
        return value


def route_label(path: str) -> str:
    """A path without what is different in every request: ids and names of models.

    >>> (
    ...     route_label("/v1/contexts/ctx_0193c1a2/messages"),
    ...     route_label("/v1beta/models/m1:generateContent"),
    ... )
    ('/v1/contexts/*/messages', '/v1beta/models/*')
    """
    return _known(path) if len(path) <= _SHORT else _label(path)


def _label(path: str) -> str:
    parts = path.split("/", _PARTS + 1)
    if len(parts) > _PARTS + 1:
        parts[-1] = "*"
    return "/".join(part if part in _VERSIONS or not _ID.fullmatch(part) else "*" for part in parts)


_known = lru_cache(_MOST_KNOWN)(_label)
