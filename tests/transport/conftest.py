"""The transports under test, and a certificate of our own."""

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest

from polyvox.http import Transport
from polyvox.transport import AiohttpTransport
from polyvox.transport.native import NativeTransport

AnyTransport: TypeAlias = AiohttpTransport | NativeTransport
MakeTransport: TypeAlias = Callable[..., AnyTransport]

needs_wheel = pytest.mark.skipif(
    find_spec("polyvox_native") is None, reason="polyvox-native is not installed"
)

# Every implementation of the seam passes the same tests. Keyword: max_connections.
TRANSPORTS: list[object] = [
    pytest.param(AiohttpTransport, id="aiohttp"),
    pytest.param(NativeTransport, id="native", marks=needs_wheel),
]

NETWORK_VARIABLES = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NETWORK_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=TRANSPORTS)
def transport_class(request: pytest.FixtureRequest) -> MakeTransport:
    return request.param


@pytest.fixture
async def transport(
    transport_class: MakeTransport,
) -> AsyncIterator[Transport]:
    async with transport_class() as transport:
        yield transport


class Certificate(NamedTuple):
    """A self-signed certificate for localhost and 127.0.0.1: a server's and its authority's in one."""

    file: Path
    hash: str  # under which OpenSSL looks for it in a directory
    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    place = tmp_path_factory.mktemp("certificate")
    key, file = place / "key.pem", place / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-keyout", str(key), "-out", str(file)]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    command = [openssl, "x509", "-in", str(file), "-noout", "-hash"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file, key)
    client = ssl.create_default_context(cafile=str(file))
    return Certificate(file, done.stdout.strip(), server, client)


@asynccontextmanager
async def trusting(make: MakeTransport, certificate: Certificate) -> AsyncIterator[AnyTransport]:
    """A transport to which this certificate's server is who it says it is."""
    if make is AiohttpTransport:
        async with make(ssl_context=certificate.client) as transport:
            yield transport
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(certificate.file))
        async with make() as transport:
            yield transport
