"""What the environment says about the network: proxies, and whose certificates to trust.

The names and their meaning are those of curl(1), section "Environment", and of OpenSSL's
``SSL_CTX_load_verify_locations(3)``; ``REQUESTS_CA_BUNDLE`` is from the documentation of Requests.
"""

import os
import ssl
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from polyvox.errors import ConfigurationError

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Proxies:
    """Which proxy a URL goes through.

    ``http_proxy`` and ``https_proxy`` are for URLs of that scheme, ``all_proxy`` for both;
    ``no_proxy`` lists what is reached directly: hosts with all below them, ``host:port``, networks
    such as ``10.0.0.0/8``, or ``*``. Upper case will do, lower case is stronger. ``HTTP_PROXY`` is
    not believed inside a CGI program, where whoever sends a ``Proxy`` header can set it.

    >>> proxies = Proxies({"HTTPS_PROXY": "proxy.example:3128", "NO_PROXY": "localhost,.internal"})
    >>> proxies.for_url("https://api.openai.com/v1/models")
    'http://proxy.example:3128'
    >>> proxies.for_url("https://llm.internal/v1/models") is None
    True
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        cgi = "REQUEST_METHOD" in environ
        everything = _either_case(environ, "all_proxy")
        self._by_scheme = {
            "http": environ.get("http_proxy", "") if cgi else _either_case(environ, "http_proxy"),
            "https": _either_case(environ, "https_proxy"),
        }
        for scheme, proxy in self._by_scheme.items():
            self._by_scheme[scheme] = proxy or everything
        self._any = any(self._by_scheme.values())
        self._direct = _either_case(environ, "no_proxy").lower().replace(",", " ").split()

    def for_url(self, url: str) -> str | None:
        """The proxy's own URL, with its user name and password if it has any; None to go directly.

        Raises ``ConfigurationError`` for a proxy of a kind that we can't use (SOCKS).
        """
        if not self._any:
            return None
        parts = urlsplit(url)
        proxy = self._by_scheme.get(parts.scheme)
        if not proxy or any(_covers(entry, parts) for entry in self._direct):
            return None
        if "://" not in proxy:
            proxy = f"http://{proxy}"
        if urlsplit(proxy).scheme not in _DEFAULT_PORTS:
            raise ConfigurationError(
                f"the environment names a {urlsplit(proxy).scheme} proxy, which can't be used",
                hint=f"Set {parts.scheme.upper()}_PROXY to an http:// proxy, or NO_PROXY to "
                f"{parts.hostname} to go directly.",
            )
        return proxy


def _either_case(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def _covers(entry: str, url: SplitResult) -> bool:
    """Whether this entry of ``no_proxy`` is about this URL."""
    host = (url.hostname or "").rstrip(".")
    if entry == "*":
        return True
    if _is_address(host):
        return _covers_address(entry, host, url)
    name, _, port = entry.partition(":")
    name = name.removeprefix("*").strip(".")
    return _is_port_of(port, url) and (host == name or host.endswith(f".{name}"))


def _covers_address(entry: str, host: str, url: SplitResult) -> bool:
    name, port = entry, ""
    if entry.startswith("["):  # [::1] or [::1]:8080
        name, _, port = entry[1:].partition("]")
    elif entry.count(":") == 1:
        name, _, port = entry.partition(":")
    try:
        network = ip_network(name, strict=False)
    except ValueError:
        return False
    return _is_port_of(port.removeprefix(":"), url) and ip_address(host) in network


def _is_port_of(port: str, url: SplitResult) -> bool:
    return not port or port == str(url.port or _DEFAULT_PORTS.get(url.scheme))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class Certificates(NamedTuple):
    """Where the environment says that trusted certificates are, by the name of the variable."""

    named: dict[str, str]
    files: list[str]
    directories: list[str]


def named_certificates() -> Certificates | None:
    """What the environment names, or None when it names nothing.

    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` take the place of OpenSSL's own file and directory;
    ``REQUESTS_CA_BUNDLE``, a file or directory, is heard when neither is set, in place of both.
    Raises ``ConfigurationError`` when one of them is not there or is not readable; OpenSSL itself
    would say nothing, and then trust nobody.
    """
    named = {
        name: place for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if (place := os.environ.get(name))
    }
    bundle = None if named else os.environ.get("REQUESTS_CA_BUNDLE")
    if bundle:
        named["REQUESTS_CA_BUNDLE"] = bundle
    if not named:
        return None
    for name, place in named.items():
        # SSL_CERT_DIR may list several directories; one of them is enough.
        if not any(os.access(part, os.R_OK) for part in (place, *place.split(os.pathsep))):
            raise ConfigurationError(f"{name} names {place}, which can't be read")
    if bundle:
        files, directories = ([], [bundle]) if os.path.isdir(bundle) else ([bundle], [])
        return Certificates(named, files, directories)
    usual = ssl.get_default_verify_paths()
    directories = named.get("SSL_CERT_DIR", usual.openssl_capath).split(os.pathsep)
    return Certificates(named, [named.get("SSL_CERT_FILE", usual.openssl_cafile)], directories)


def no_certificates(found: Certificates) -> ConfigurationError:
    """The error when none of the places that the environment names holds any."""
    names = " and ".join(f"{name} names {place}" for name, place in found.named.items())
    return ConfigurationError(f"{names}, which holds no certificates in PEM format")


def tls_context() -> ssl.SSLContext | None:
    """A context that trusts what the environment names, or None when it names nothing.

    Raises ``ConfigurationError`` as ``named_certificates`` does.
    """
    found = named_certificates()
    if found is None:
        return None
    # The other variables are read by OpenSSL itself.
    is_bundle = "REQUESTS_CA_BUNDLE" in found.named
    context = _trusting(found) if is_bundle else ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _trusting(found: Certificates) -> ssl.SSLContext:
    try:
        if found.directories:
            return ssl.create_default_context(capath=found.directories[0])
        return ssl.create_default_context(cafile=found.files[0])
    except ssl.SSLError as error:
        raise no_certificates(found) from error
