"""URLs as they are sent: what is proper stays untouched, what is not is encoded."""

import re
from urllib.parse import quote, urlsplit, urlunsplit

AS_IT_IS = re.compile(r"(?:[\w.~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+", re.ASCII)
"""URLs with nothing left to encode (RFC 3986, section 2), and so no line ends either. They are sent
untouched: who would decode what looks needless, such as %3A, would make a signature not fit any more."""

_IN_PATH = "/:@!$&'()*+,;=~%"
_IN_QUERY = _IN_PATH + "?"
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def encoded(url: str) -> str:
    """The URL with everything encoded that can't be sent as it is; line ends are left out.

    Raises ``ValueError`` where that can't be done.

    >>> encoded("http://bücher.test/a b?x=ü y")
    'http://xn--bcher-kva.test/a%20b?x=%C3%BC+y'
    """
    parts = urlsplit(_STRAY_PERCENT.sub("%25", url))
    user, at, place = parts.netloc.rpartition("@")
    if not place.isascii():
        place = place.encode("idna").decode("ascii")
    path = quote(parts.path, safe=_IN_PATH)
    query = quote(parts.query.replace(" ", "+"), safe=_IN_QUERY)
    return urlunsplit((parts.scheme, f"{user}{at}{place}", path, query, ""))
