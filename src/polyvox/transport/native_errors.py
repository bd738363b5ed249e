"""What polyvox-native says when an exchange fails, in our words."""

import errno
import os
from collections.abc import Callable

from polyvox_native import Failure

from polyvox.errors import ConfigurationError, NetworkError, PolyvoxError
from polyvox.http import HttpRequest
from polyvox.transport import network_errors as ours
from polyvox.transport.environment import named_certificates, no_certificates

_NO_NAME_SERVER = ("Temporary failure", "Try again", "EAI_AGAIN")
"""How systems say that no name server could be asked; Rust passes on no more than their words."""


def broken_body(failure: Failure, request: HttpRequest) -> NetworkError:
    """The error to raise instead of this one, when the answer had begun."""
    kind, text, _, code = failure.args
    if kind in ("cut", "closed"):
        return ours.cut_short(request)
    return ours.broke_off(request, os.strerror(code) if code else text)


def not_answered(failure: Failure, request: HttpRequest) -> PolyvoxError:
    """The error to raise instead of this one, when no head of an answer has come."""
    kind, text, whom, code = failure.args
    if code and kind != "refused":
        text = os.strerror(code)
    match kind:
        case "connect" | "proxy":
            whom = ours.THE_PROXY if kind == "proxy" else whom
            return ours.not_connected(whom, text, refused=code == errno.ECONNREFUSED)
        case "tls" | "plain":
            return ours.no_tls(whom, text, plain=kind == "plain")
        case "refused":
            return ours.proxy_refused(request, code or 0, text)
        case _ if kind in _OF_HOST:
            return _OF_HOST[kind](whom, text)
        case _ if kind in _OF_REQUEST:
            return _OF_REQUEST[kind](request)
        case _:
            return _WITH_REASON.get(kind, ours.broke)(request, text)


def _unknown_host(host: str, text: str) -> NetworkError:
    return ours.unknown_host(host, text, asked=not any(words in text for words in _NO_NAME_SERVER))


def _no_roots(_: str, text: str) -> ConfigurationError:
    found = named_certificates()
    if found is not None:
        return no_certificates(found)
    return ConfigurationError(
        f"no certificates of authorities are found on this machine {text}".rstrip(),
        hint="Install the system's package of them, or name a PEM file in SSL_CERT_FILE.",
    )


_OF_HOST: dict[str, Callable[[str, str], PolyvoxError]] = {
    "resolve": _unknown_host,
    "certificate": ours.not_trusted,
    "roots": _no_roots,
}
_OF_REQUEST: dict[str, Callable[[HttpRequest], PolyvoxError]] = {
    "timeout": ours.not_in_time,
    "hang-up": ours.hung_up,
    "closed": lambda _: ours.closed_before_sending(),
    "address": ours.no_address,
}
_WITH_REASON: dict[str, Callable[[HttpRequest, str], PolyvoxError]] = {
    "http": ours.no_http,
    "header": ours.not_writable,
}
