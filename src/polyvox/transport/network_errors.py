"""What can go wrong between us and a server, in words: the same from each transport."""

from urllib.parse import urlsplit

from polyvox.errors import ConfigurationError, NetworkError, ProtocolError, RequestTimeoutError
from polyvox.http import HttpRequest

THE_PROXY = "the proxy that the environment names"


def cut_short(request: HttpRequest) -> NetworkError:
    """The connection ended, and the answer had not."""
    return NetworkError(f"the answer of {host_of(request)} broke off before its end")


def broke_off(request: HttpRequest, reason: str) -> NetworkError:
    """The answer could not be read on."""
    return NetworkError(f"the answer of {host_of(request)} broke off: {reason}")


def broke(request: HttpRequest, reason: str) -> NetworkError:
    """The connection broke before an answer began."""
    return NetworkError(f"the connection to {host_of(request)} broke: {reason}")


def hung_up(request: HttpRequest) -> NetworkError:
    """The server closed the connection instead of answering."""
    return NetworkError(
        f"{host_of(request)} closed the connection before it answered",
        hint="Most often a connection was idle and just being closed, and asking again works. "
        "Whether this request was processed is not known.",
    )


def no_http(request: HttpRequest, reason: str) -> ProtocolError:
    """Something came, but no head of an answer."""
    return ProtocolError(f"the server did not answer in HTTP: {reason}")


def not_in_time(request: HttpRequest) -> RequestTimeoutError:
    """There was no connection when the time for it was up."""
    return RequestTimeoutError(
        f"no connection to {host_of(request)} in time ({request.connect_timeout} s)",
        phase="connect",
    )


def not_connected(whom: str, reason: str, *, refused: bool) -> NetworkError:
    """Nobody is there, or nobody lets us in."""
    return NetworkError(
        f"can't connect to {whom}: {reason}",
        hint="Is the server running, and is this its port?" if refused else None,
    )


def unknown_host(host: str, reason: str, *, asked: bool) -> NetworkError:
    """No address for the name; ``asked`` if a name server said so, and so it will stay."""
    text = f"the host name {host} can't be resolved: {reason}"
    if not asked:
        return NetworkError(text, hint="Is this machine online?")
    return _final(text, hint="Is the base URL spelt right?")


def not_trusted(whom: str, reason: str) -> NetworkError:
    """The server could not show that it is who it says."""
    return _final(
        f"the certificate of {whom} is not accepted: {reason}",
        hint="If a company's proxy or a server of your own signs with its own authority, name "
        "that authority's certificate (a PEM file) in the environment variable SSL_CERT_FILE.",
    )


def no_tls(whom: str, reason: str, *, plain: bool) -> NetworkError:
    """No TLS connection; ``plain`` if the server speaks something else there."""
    text = f"no TLS connection to {whom}: {reason}"
    if plain:
        return _final(text, hint="The server does not speak TLS here. Is http:// meant?")
    return NetworkError(text)


def proxy_refused(request: HttpRequest, status: int, reason: str) -> NetworkError:
    """The proxy opens no tunnel."""
    refused = NetworkError(
        f"the proxy does not let us through to {host_of(request)}: {status} {reason}",
        hint="Name the proxy as http://user:password@host:port in HTTPS_PROXY."
        if status == 407
        else "To go around the proxy, add the host to NO_PROXY.",
        status=status,
    )
    refused.retryable = status >= 500
    return refused


def no_address(request: HttpRequest) -> ConfigurationError:
    """The URL is none that a request could be sent to."""
    shown = request.url.partition("?")[0].rpartition("@")[2]  # keys may stand on either side
    return ConfigurationError(f"{shown!r} is not an http:// or https:// address")


def not_writable(request: HttpRequest, reason: str) -> ConfigurationError:
    """A header holds what no header can."""
    return ConfigurationError(
        f"the request to {host_of(request)} can't be written as HTTP: {reason}",
        hint="Is there a line break in the key, or in a header?",
    )


def closed_before_sending() -> NetworkError:
    """The transport was closed while the request waited for its connection or answer."""
    return _final("the transport was closed before the request could be sent")


def host_of(request: HttpRequest) -> str:
    """Host and port alone: a URL may hold a password."""
    parts = urlsplit(request.url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _final(text: str, hint: str | None = None) -> NetworkError:
    error = NetworkError(text, hint=hint)
    error.retryable = False
    return error
