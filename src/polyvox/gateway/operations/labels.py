"""Labels of metrics: a bounded number of values, whatever callers send."""

__all__ = ["OTHER", "Labels"]

OTHER = "other"


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
