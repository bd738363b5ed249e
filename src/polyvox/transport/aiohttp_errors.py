"""aiohttp's exceptions, in our words."""

import errno
import os
import socket
import ssl
from urllib.parse import urlsplit

import aiohttp

from polyvox.errors import (
    ConfigurationError,
    NetworkError,
    PolyvoxError,
    ProtocolError,
    RequestTimeoutError,
)
from polyvox.http import HttpRequest

BODY_ERRORS = (aiohttp.ClientError, OSError)
"""What comes out of aiohttp when a body can't be read on. A ``TimeoutError`` is an ``OSError``."""

SEND_ERRORS = (*BODY_ERRORS, ValueError)
"""What comes out of aiohttp for what a network, a server or a bad address can do."""


def broken_body(error: Exception, request: HttpRequest) -> NetworkError:
    """The error to raise instead of this one, when the answer had begun."""
    if isinstance(error, aiohttp.ClientPayloadError):  # its own text tells of a "400"
        return NetworkError(f"the answer of {_host(request)} broke off before its end")
    return NetworkError(f"the answer of {_host(request)} broke off: {_said(error)}")


def not_answered(error: Exception, request: HttpRequest) -> PolyvoxError:
    """The error to raise instead of this one, when no head of an answer has come."""
    match error:
        case aiohttp.ClientSSLError():
            return _no_tls(error)
        case aiohttp.ClientConnectorError():
            return _not_connected(error)
        case TimeoutError():
            return RequestTimeoutError(
                f"no connection to {_host(request)} in time ({request.connect_timeout} s)",
                phase="connect",
            )
        case aiohttp.ClientHttpProxyError():
            return _proxy_refused(error, request)
        case aiohttp.ClientResponseError():
            return ProtocolError(f"{_host(request)} did not answer in HTTP: {error.message}")
        case aiohttp.NonHttpUrlClientError() | ValueError():
            return _unusable(error, request)
        case aiohttp.ServerDisconnectedError():
            return _hung_up(request)
        case _:
            return NetworkError(f"the connection to {_host(request)} broke: {_said(error)}")


def _hung_up(request: HttpRequest) -> NetworkError:
    return NetworkError(
        f"{_host(request)} closed the connection before it answered",
        hint="Most often a connection was idle and just being closed, and asking again works. "
        "Whether this request was processed is not known.",
    )


def _not_connected(error: aiohttp.ClientConnectorError) -> NetworkError:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _unknown_host(error)
    whom = f"{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        whom = "the proxy that the environment names"
    refused = error.os_error.errno == errno.ECONNREFUSED
    return NetworkError(
        f"can't connect to {whom}: {_reason(error.os_error)}",
        hint="Is the server running, and is this its port?" if refused else None,
    )


def _no_tls(error: aiohttp.ClientSSLError) -> NetworkError:
    whom = f"{error.host}:{error.port}"
    reason = error.__cause__ or error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return _final(
            f"the certificate of {whom} is not accepted: {reason.verify_message}",
            hint="If a company's proxy or a server of your own signs with its own authority, name "
            "that authority's certificate (a PEM file) in the environment variable SSL_CERT_FILE.",
        )
    text = f"no TLS connection to {whom}: {_said(reason)}"
    if isinstance(reason, ssl.SSLError) and reason.reason == "WRONG_VERSION_NUMBER":
        return _final(text, hint="The server does not speak TLS here. Is http:// meant?")
    return NetworkError(text)


def _unknown_host(error: aiohttp.ClientConnectorDNSError) -> NetworkError:
    text = f"the host name {error.host} can't be resolved: {_said(error.os_error)}"
    # EAI_AGAIN: no name server could be asked. Everything else is an answer, and it will stay.
    if error.os_error.errno == socket.EAI_AGAIN:
        return NetworkError(text, hint="Is this machine online?")
    return _final(text, hint="Is the base URL spelt right?")


def _proxy_refused(error: aiohttp.ClientHttpProxyError, request: HttpRequest) -> NetworkError:
    refused = NetworkError(
        f"the proxy does not let us through to {_host(request)}: {error.status} {error.message}",
        hint="Name the proxy as http://user:password@host:port in HTTPS_PROXY."
        if error.status == 407
        else "To go around the proxy, add the host to NO_PROXY.",
        status=error.status,
    )
    refused.retryable = error.status >= 500
    return refused


def _unusable(error: Exception, request: HttpRequest) -> ConfigurationError:
    # An InvalidURL says the URL alone; aiohttp's other ValueErrors are about headers.
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        shown = request.url.partition("?")[0].rpartition("@")[2]  # keys may stand on either side
        return ConfigurationError(f"{shown!r} is not an http:// or https:// address")
    return ConfigurationError(
        f"the request to {_host(request)} can't be written as HTTP: {error}",
        hint="Is there a line break in the key, or in a header?",
    )


def _final(text: str, hint: str) -> NetworkError:
    error = NetworkError(text, hint=hint)
    error.retryable = False
    return error


def _host(request: HttpRequest) -> str:
    """Host and port alone: a URL may hold a password."""
    parts = urlsplit(request.url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _reason(error: OSError) -> str:
    # asyncio's own text for this repeats the address.
    return os.strerror(error.errno) if error.errno else _said(error)


def _said(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
