"""Keys that don't show themselves, and addresses without theirs."""

from urllib.parse import urlsplit

_SHORTEST_KEY = 8


class Secret:
    """A string whose ``repr`` and ``str`` are masked; ``reveal`` gives it away.

    >>> Secret("sk-123456")
    Secret('***')
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself: for the wire, never for a log."""
        return self._value

    def masked_in(self, text: str) -> str:
        """The text with the secret masked wherever it stands in it.

        What is shorter than a key ever is, is some placeholder, and left where it stands.

        >>> Secret("sk-123456").masked_in("the key sk-123456 is wrong")
        'the key *** is wrong'
        """
        return text.replace(self._value, "***") if len(self._value) >= _SHORTEST_KEY else text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def without_password(url: str) -> str:
    """An address that may be shown: the user's name and password, and the query, are left out.

    >>> without_password("http://ada:secret@proxy.example:3128/?key=1")
    'http://***@proxy.example:3128/'
    """
    parts = urlsplit(url)
    _, at, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"***@{place}" if at else place, query="", fragment="").geturl()
