"""Proxies and certificates as the environment names them."""

import asyncio
import base64
from pathlib import Path

import pytest

from polyvox.errors import ConfigurationError, NetworkError
from polyvox.http import HttpRequest, Transport
from polyvox.transport import read_all
from polyvox.transport.environment import Proxies
from waiting import soon

from .conftest import Certificate, MakeTransport, trusting
from .raw_server import Proxy, RawServer, answering

PROXY = "http://proxy.test:3128"


async def body_of(transport: Transport, url: str) -> bytes:
    response = await transport.send(HttpRequest("POST", url, {}, b"{}"))
    try:
        return await read_all(response.body, 1000)
    finally:
        await response.aclose()


# ------------------------------------------------------------------------------ which proxy


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, "https://a.test/", None),
        ({"HTTPS_PROXY": PROXY}, "https://a.test/", PROXY),
        ({"HTTPS_PROXY": PROXY}, "http://a.test/", None),
        ({"https_proxy": PROXY}, "https://a.test/", PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, "https://a.test/", PROXY),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, "https://a.test/", PROXY),
        ({"HTTP_PROXY": PROXY}, "http://a.test/", PROXY),
        ({"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, "http://a.test/", None),
        ({"http_proxy": PROXY, "REQUEST_METHOD": "GET"}, "http://a.test/", PROXY),
        ({"HTTPS_PROXY": PROXY, "REQUEST_METHOD": "GET"}, "https://a.test/", PROXY),
        ({"ALL_PROXY": PROXY}, "http://a.test/", PROXY),
        ({"ALL_PROXY": PROXY}, "https://a.test/", PROXY),
        ({"ALL_PROXY": "http://other", "HTTPS_PROXY": PROXY}, "https://a.test/", PROXY),
        ({"ALL_PROXY": "socks5://s.test", "HTTPS_PROXY": PROXY}, "https://a.test/", PROXY),
        ({"HTTPS_PROXY": "proxy.test:3128"}, "https://a.test/", PROXY),
        (
            {"HTTPS_PROXY": "http://u:p%40@proxy.test"},
            "https://a.test/",
            "http://u:p%40@proxy.test",
        ),
    ],
)
def test_the_proxy_of_a_url(environ: dict[str, str], url: str, proxy: str | None):
    assert Proxies(environ).for_url(url) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("*", "http://a.test/", True),
        ("localhost", "http://localhost/", True),
        ("localhost", "http://localhost:8080/", True),
        ("localhost", "http://LOCALHOST:8080/", True),
        ("localhost", "http://localhost.test/", False),
        ("localhost", "http://notlocalhost/", False),
        ("localhost:8080", "http://localhost:8080/", True),
        ("localhost:8080", "http://localhost:8081/", False),
        ("a.test:443", "https://a.test/", True),
        ("a.test:443", "http://a.test/", False),
        ("a.test", "http://b.a.test/", True),
        (".a.test", "http://b.a.test/", True),
        (".a.test", "http://a.test/", True),
        ("*.a.test", "http://b.a.test/", True),
        ("a.test", "http://ba.test/", False),
        ("a.test", "http://a.test./", True),
        ("x.test, a.test", "http://a.test/", True),
        ("x.test a.test", "http://a.test/", True),
        ("", "http://a.test/", False),
        (" , ,", "http://a.test/", False),
        ("127.0.0.1", "http://127.0.0.1:11434/", True),
        ("127.0.0.1:1", "http://127.0.0.1:11434/", False),
        ("127.0.0.0/8", "http://127.0.0.1/", True),
        ("10.0.0.0/8", "http://11.0.0.1/", False),
        ("0.0.1", "http://127.0.0.1/", False),
        ("::1", "http://[::1]:8080/", True),
        ("[::1]", "http://[::1]:8080/", True),
        ("[::1]:8080", "http://[::1]:8080/", True),
        ("[::1]:8081", "http://[::1]:8080/", False),
        ("a.test", "http://127.0.0.1/", False),
    ],
)
def test_what_no_proxy_covers(no_proxy: str, url: str, direct: bool):
    environ = {"ALL_PROXY": PROXY, "NO_PROXY": no_proxy}
    assert Proxies(environ).for_url(url) == (None if direct else PROXY)
    environ = {"all_proxy": PROXY, "no_proxy": no_proxy}
    assert Proxies(environ).for_url(url) == (None if direct else PROXY)


def test_a_socks_proxy_is_refused_not_ignored():
    proxies = Proxies({"ALL_PROXY": "socks5://user:secret@s.test", "NO_PROXY": "localhost"})
    assert proxies.for_url("http://localhost/") is None
    with pytest.raises(ConfigurationError, match="socks5 proxy") as caught:
        proxies.for_url("https://a.test/")
    assert "HTTPS_PROXY" in str(caught.value)
    assert "secret" not in str(caught.value)


# ------------------------------------------------------------------------ through real proxies


@pytest.mark.parametrize("credentials", ["", "ada:s%40cret@"])
async def test_http_goes_through_the_proxy_in_absolute_form(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, credentials: str
):
    async with RawServer(answering) as server:
        proxy = Proxy(server)
        async with RawServer(proxy.script) as front:
            monkeypatch.setenv("HTTP_PROXY", f"http://{credentials}{front.authority}")
            assert await soon(body_of(transport, "http://model.test/v1")) == b"ok"
            assert await soon(body_of(transport, "http://model.test/v1")) == b"ok"
            assert len(proxy.heads) == 1  # kept alive
        head = proxy.heads[0].decode()
        assert head.startswith("POST http://model.test/v1 HTTP/1.1\r\n")
        assert (f"proxy-authorization: {basic()}" in lower_names(head)) == bool(credentials)


def lower_names(head: str) -> str:
    lines = (line.partition(": ") for line in head.split("\r\n"))
    return "\n".join(f"{name.lower()}: {value}" for name, _, value in lines)


def basic() -> str:
    return "Basic " + base64.b64encode(b"ada:s@cret").decode()


@pytest.mark.parametrize("credentials", ["", "ada:s%40cret@"])
async def test_https_goes_through_a_tunnel(
    transport_class: MakeTransport,
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    credentials: str,
):
    async with RawServer(answering, tls=certificate.server) as server:
        proxy = Proxy(server)
        async with (
            RawServer(proxy.script) as front,
            trusting(transport_class, certificate) as transport,
        ):
            monkeypatch.setenv("https_proxy", f"http://{credentials}{front.authority}")
            assert await soon(body_of(transport, "https://localhost:444/v1")) == b"ok"
            assert await soon(body_of(transport, "https://localhost:444/v1")) == b"ok"
            assert len(proxy.heads) == 1
    head = proxy.heads[0].decode()
    assert head.startswith("CONNECT localhost:444 HTTP/1.1\r\n")
    assert (f"proxy-authorization: {basic()}" in lower_names(head)) == bool(credentials)
    assert server.paths == ["/v1", "/v1"]


async def test_no_proxy_goes_directly(transport: Transport, monkeypatch: pytest.MonkeyPatch):
    async with RawServer(answering) as server:
        proxy = Proxy(server)
        async with RawServer(proxy.script) as front:
            monkeypatch.setenv("ALL_PROXY", front.url())
            monkeypatch.setenv("NO_PROXY", f"other.test,localhost:{server.port}")
            assert await soon(body_of(transport, f"http://localhost:{server.port}/")) == b"ok"
            assert proxy.heads == []
            assert await soon(body_of(transport, "http://localhost:1/")) == b"ok"
            assert len(proxy.heads) == 1


@pytest.mark.parametrize(
    ("refusal", "hint", "retryable"),
    [
        (b"407 Proxy Authentication Required", "user:password@", False),
        (b"403 Forbidden", "NO_PROXY", False),
        (b"502 Bad Gateway", "NO_PROXY", True),
    ],
)
async def test_a_proxy_that_refuses_a_tunnel_says_so(
    transport: Transport,
    monkeypatch: pytest.MonkeyPatch,
    refusal: bytes,
    hint: str,
    retryable: bool,
):
    async with RawServer(answering) as server, RawServer(Proxy(server, refusal).script) as front:
        monkeypatch.setenv("HTTPS_PROXY", front.url())
        with pytest.raises(NetworkError, match="does not let us through") as caught:
            await soon(body_of(transport, "https://model.test/"))
    assert hint in str(caught.value)
    assert caught.value.status == int(refusal[:3])
    assert caught.value.retryable == retryable


async def test_a_proxy_that_is_not_there_is_blamed(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
):
    async with RawServer(answering) as gone:
        pass
    monkeypatch.setenv("HTTPS_PROXY", f"http://ada:secret@{gone.authority}")
    with pytest.raises(NetworkError, match="the proxy that the environment names") as caught:
        await soon(body_of(transport, "https://model.test/"))
    assert "secret" not in str(caught.value)


# ----------------------------------------------------------------------------- certificates


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
async def test_a_certificate_file_named_by_the_environment_is_trusted(
    transport: Transport, certificate: Certificate, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setenv(name, str(certificate.file))
    async with RawServer(answering, tls=certificate.server) as server:
        assert await soon(body_of(transport, server.url())) == b"ok"


@pytest.mark.parametrize("name", ["SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
async def test_a_certificate_directory_named_by_the_environment_is_trusted(
    transport: Transport,
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
):
    (tmp_path / f"{certificate.hash}.0").write_bytes(certificate.file.read_bytes())
    monkeypatch.setenv(name, str(tmp_path))
    async with RawServer(answering, tls=certificate.server) as server:
        assert await soon(body_of(transport, server.url())) == b"ok"


async def test_without_it_the_error_names_the_variable(
    transport: Transport, certificate: Certificate
):
    async with RawServer(answering, tls=certificate.server) as server:
        with pytest.raises(NetworkError, match=r"certificate of .* is not accepted") as caught:
            await soon(body_of(transport, server.url()))
        assert "SSL_CERT_FILE" in str(caught.value)
        assert not caught.value.retryable
        assert server.paths == []


async def test_a_certificate_for_another_name_is_not_accepted(
    transport: Transport, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    async with RawServer(answering, tls=certificate.server) as server:
        url = server.url().replace("127.0.0.1", "127.0.0.2")
        async with RawServer(Proxy(server).script) as front:
            monkeypatch.setenv("HTTPS_PROXY", front.url())
            with pytest.raises(NetworkError, match=r"certificate of .* is not accepted"):
                await soon(body_of(transport, url))


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
async def test_a_file_that_is_not_there_is_a_configuration_error(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
):
    monkeypatch.setenv(name, str(tmp_path / "nothing.pem"))
    with pytest.raises(ConfigurationError, match=rf"{name} names .*nothing\.pem"):
        await soon(body_of(transport, "https://127.0.0.1:1/"))


async def test_a_bundle_without_certificates_is_a_configuration_error(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "bundle.pem").write_text("not a certificate")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "bundle.pem"))
    with pytest.raises(ConfigurationError, match="no certificates"):
        await soon(body_of(transport, "https://127.0.0.1:1/"))


async def test_https_to_a_server_of_http_says_so(transport: Transport):
    async def plain(peer: object) -> None:
        await peer.take(1)  # type: ignore[attr-defined]
        peer.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")  # type: ignore[attr-defined]

    async with RawServer(plain) as server:
        with pytest.raises(NetworkError, match="no TLS connection") as caught:
            await soon(body_of(transport, server.url().replace("http:", "https:")))
    assert "Is http:// meant?" in str(caught.value)
    assert not caught.value.retryable


def test_certificates_are_read_once_for_all_loops(
    transport_class: MakeTransport,
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    async def ask() -> bytes:
        async with RawServer(answering, tls=certificate.server) as server:
            return await soon(body_of(transport, server.url()))

    file = tmp_path / "authority.pem"
    file.write_bytes(certificate.file.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    transport = transport_class()
    assert asyncio.run(ask()) == b"ok"
    file.unlink()
    assert [asyncio.run(ask()) for _ in range(2)] == [b"ok"] * 2
