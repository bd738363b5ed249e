"""Headers are read once for each request, all of them, and nothing that a caller sends is taken for them."""

from typing import Any

from polyvox.gateway.web.door import HEADERS, headers_of


def test_values_of_one_name_are_joined_in_their_order() -> None:
    pairs = [(b"via", b"a"), (b"host", b"h"), (b"via", b"b"), (b"via", b"c")]
    assert headers_of({"headers": pairs}) == {"via": "a, b, c", "host": "h"}


def test_bytes_that_are_no_ascii_come_through() -> None:
    assert headers_of({"headers": [(b"x-name", "\xe9".encode("latin-1"))]}) == {"x-name": "\xe9"}


def test_they_are_read_once() -> None:
    scope: dict[str, Any] = {"headers": [(b"host", b"h")]}
    assert headers_of(scope) is headers_of(scope)


def test_a_header_with_the_name_of_our_place_is_a_header() -> None:
    scope: dict[str, Any] = {"headers": [(HEADERS.encode(), b"x"), (b"host", b"h")]}
    assert headers_of(scope) == {HEADERS: "x", "host": "h"}


def test_a_server_may_bring_them_as_they_are_wanted() -> None:
    ready = {"host": "h"}
    assert headers_of({"headers": [], HEADERS: ready}) is ready
