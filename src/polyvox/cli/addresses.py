"""What can be told from an address."""

from ipaddress import ip_address
from urllib.parse import urlsplit

__all__ = ["is_loopback", "without_password"]


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine.

    >>> is_loopback("http://127.0.0.1:11434/v1"), is_loopback("https://api.example.com")
    (True, False)
    """
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def without_password(url: str) -> str:
    """An address that may be shown: the user's name and password, and the query, are left out.

    >>> without_password("http://ada:secret@proxy.example:3128/?key=1")
    'http://***@proxy.example:3128/'
    """
    parts = urlsplit(url)
    _, at, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"***@{place}" if at else place, query="", fragment="").geturl()
