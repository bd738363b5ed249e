"""aiohttp's exceptions, in our words."""

import errno
import os
import socket
import ssl

import aiohttp

from polyvox.errors import NetworkError, PolyvoxError
from polyvox.http import HttpRequest
from polyvox.transport import network_errors as ours

BODY_ERRORS = (aiohttp.ClientError, OSError)
"""What comes out of aiohttp when a body can't be read on. A ``TimeoutError`` is an ``OSError``."""

SEND_ERRORS = (*BODY_ERRORS, ValueError)
"""What comes out of aiohttp for what a network, a server or a bad address can do."""


def broken_body(error: Exception, request: HttpRequest) -> NetworkError:
    """The error to raise instead of this one, when the answer had begun."""
    if isinstance(error, aiohttp.ClientPayloadError):  # its own text tells of a "400"
        return ours.cut_short(request)
    return ours.broke_off(request, _said(error))


def not_answered(error: Exception, request: HttpRequest) -> PolyvoxError:
    """The error to raise instead of this one, when no head of an answer has come."""
    match error:
        case aiohttp.ClientConnectorError():
            return _not_connected(error)
        case TimeoutError():
            return ours.not_in_time(request)
        case aiohttp.ClientHttpProxyError():
            return ours.proxy_refused(request, error.status, error.message)
        case aiohttp.ClientResponseError():
            return ours.no_http(request, error.message)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return ours.no_address(request)
        case ValueError():  # all others of aiohttp's are about headers
            return ours.not_writable(request, str(error))
        case aiohttp.ServerDisconnectedError():
            return ours.hung_up(request)
        case _:
            return ours.broke(request, _said(error))


def _not_connected(error: aiohttp.ClientConnectorError) -> NetworkError:
    if isinstance(error, aiohttp.ClientSSLError):
        return _no_tls(error)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        # EAI_AGAIN: no name server could be asked. Everything else is an answer.
        asked = error.os_error.errno != socket.EAI_AGAIN
        return ours.unknown_host(error.host, _said(error.os_error), asked=asked)
    whom = f"{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        whom = ours.THE_PROXY
    refused = error.os_error.errno == errno.ECONNREFUSED
    return ours.not_connected(whom, _reason(error.os_error), refused=refused)


def _no_tls(error: aiohttp.ClientSSLError) -> NetworkError:
    whom = f"{error.host}:{error.port}"
    reason = error.__cause__ or error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return ours.not_trusted(whom, reason.verify_message)
    plain = isinstance(reason, ssl.SSLError) and reason.reason == "WRONG_VERSION_NUMBER"
    return ours.no_tls(whom, _said(reason), plain=plain)


def _reason(error: OSError) -> str:
    # asyncio's own text for this repeats the address.
    return os.strerror(error.errno) if error.errno else _said(error)


def _said(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
