"""Requests that nobody should send: what the fuzzers throw at a gateway."""

import json
import re
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

DEEP = 20_000
LONG = "x" * (1 << 20)

numbers = st.sampled_from(
    [0, -1, 1, 1e308, -0.0, float("nan"), float("inf"), 2**31, 2**63, -(2**63) - 1, 2**64, 10**400]
)
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            *(
                "",
                "\x00",
                "a\x00b",
                "\ud800",
                "\udfff\ud800",
                "\u202e",
                "\r\nx: y",
                "../../etc/passwd",
            ),
            *(
                "{{7*7}}",
                "{% for a in range(9) %}{{a}}{% endfor %}",
                "${HOME}",
                "env:HOME",
                "%00",
                "*",
            ),
            *("' OR 1=1 --", '"; DROP TABLE keys; --', "http://127.0.0.1:1/", "file:///etc/passwd"),
            *(
                "simulated/echo",
                "simulated/embedding",
                "agent/x",
                "composite/council",
                "openai-chat",
            ),
            *("2026-01-01", "day", "utf-8", "$1", "9" * 400, "a" * 300),
        ]
    ),
)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
segments = st.one_of(
    st.sampled_from(
        [
            *(
                "..",
                ".",
                "%2e%2e",
                "..%2f..",
                "%2F",
                "%00",
                "%ff",
                "%",
                "%zz",
                "a" * 8_000,
                "%c3%28",
            ),
            *("x;y", "*", "%0d%0a", "newest", "1", "-1", "9" * 30, "~", "\\", "%5c", "null", ":x"),
            *("simulated/echo", "simulated%2Fecho", "simulated/echo:generateContent"),
        ]
    ),
    texts.map(lambda text: quote(text.encode("utf-8", "surrogatepass"))),
)
ODD_HEADERS = [
    *("content-type: text/plain", "content-type: multipart/form-data", "content-type: \xff"),
    *(
        "content-type: multipart/form-data; boundary=x",
        "content-type: application/x-www-form-urlencoded",
    ),
    *(
        "content-encoding: gzip",
        "accept: nothing/*",
        "accept-encoding: *;q=0",
        "expect: 100-continue",
    ),
    *(
        "range: bytes=0-1,2-3,4-5",
        "range: bytes=-0",
        "range: lines=1",
        "if-range: x",
        "te: trailers",
    ),
    *("upgrade: h2c", "upgrade: websocket\r\nconnection: upgrade", "connection: keep-alive, x"),
    *(
        "x-polyvox-timeout: NaN",
        "x-polyvox-timeout: 1e999",
        "x-polyvox-context: \xff",
        "x-polyvox-: 1",
    ),
    *(
        "x-polyvox-detach: {",
        "x-polyvox-tags: [[[[",
        "x-polyvox-prompt: {}",
        "x-polyvox-caching: maybe",
    ),
    *("x-polyvox-caching-ttl: 99999999999999999999", "x-polyvox-end-user: " + "u" * 9_000),
    *("x-polyvox-timeout: 0.000000001", "x-polyvox-context: ../x", "x-polyvox-session: '--"),
    *(
        "x-request-id: \xff\xfe",
        "x-request-id: " + "i" * 500,
        "anthropic-version: \xff",
        "cookie: a=b",
    ),
    *(
        "origin: null",
        "host: ",
        "host: [::1",
        "x-forwarded-for: 1.2.3.4",
        "x-http-method-override: DELETE",
    ),
    *(
        "transfer-encoding: gzip",
        "transfer-encoding: chunked, chunked",
        "content-length: 5",
        "a" * 300,
    ),
    *(": empty", "no colon", " folded", "authorization: Basic eA==", "authorization: Bearer"),
    *(
        "x-api-key: \x00",
        "x-goog-api-key: ' OR '1'='1",
        "openai-beta: assistants=v2",
        "a:" + "b" * 9_000,
    ),
]


def written(value: Any) -> bytes:
    return json.dumps(value).encode()


class Raw(bytes):
    """Bytes that are shown in short."""

    def __repr__(self) -> str:
        return repr(bytes(self[:1_500])) + ("..." if len(self) > 1_500 else "")


def cut(draw: st.DrawFn, body: dict[str, Any], names: st.SearchStrategy[str]) -> bytes:
    whole = written(body)
    return whole[: draw(st.integers(0, len(whole)))]


def deep(draw: st.DrawFn, body: dict[str, Any], names: st.SearchStrategy[str]) -> bytes:
    opening = draw(st.sampled_from([b"[", b'{"a":', b'{"messages":[', b'[{"content":']))
    return opening * draw(st.sampled_from([100, DEEP]))


def deep_within(draw: st.DrawFn, body: dict[str, Any], names: st.SearchStrategy[str]) -> bytes:
    nested = b"[" * DEEP + b"]" * DEEP
    return b'{"%s":%s,' % (draw(names).encode("ascii", "replace"), nested) + written(body)[1:]


def no_text(draw: st.DrawFn, body: dict[str, Any], names: st.SearchStrategy[str]) -> bytes:
    bad = draw(st.sampled_from([b'"\xff', b'"\xed\xa0\x80', b'"\x00']))
    return written(body).replace(b'"', bad)


WAYS = [
    cut,
    deep,
    deep_within,
    no_text,
    lambda draw, body, names: draw(st.binary(max_size=200)),
    lambda draw, body, names: written(body)[:-1] + b"," + written(body)[1:],  # each key twice
    lambda draw, body, names: written({**body, draw(names): LONG}),
    lambda draw, body, names: written(draw(values)),
    lambda draw, body, names: written(body).decode().encode("utf-16"),
    *[lambda draw, body, names: written(body)] * 4,
]


@st.composite
def bodies(draw: st.DrawFn, fields: list[str], sample: dict[str, Any]) -> bytes:
    """A body: a likely one, which is then broken in one of many ways."""
    names = st.sampled_from(fields) | texts if fields else texts
    body = {**sample, **draw(st.dictionaries(names, values, max_size=3))}
    return Raw(draw(st.sampled_from(WAYS))(draw, body, names))


def framed(draw: st.DrawFn, body: bytes) -> tuple[bytes, bytes]:
    """The headers that tell of a body, and the body as it goes over the wire; some of it is wrong."""
    match draw(st.integers(0, 9)):
        case 0:
            return b"transfer-encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        case 1:
            cut = b"%x\r\n%s" % (len(body) + 9, body)
            return b"transfer-encoding: chunked\r\n", cut
        case 2:
            return b"transfer-encoding: chunked\r\n", b"zz\r\n" + body
        case 3:
            return b"content-length: %d\r\n" % (len(body) + 100), body
        case 4:
            told = draw(st.sampled_from([b"-1", b"0x9", b"", b"9" * 30, b"1, 1", b"999999999999"]))
            return b"content-length: %s\r\n" % told, body
        case 5:
            both = b"transfer-encoding: chunked\r\ncontent-length: 3\r\n"
            return both, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        case _:
            return b"content-length: %d\r\n" % len(body), body


def filled(draw: st.DrawFn, template: str, names: list[str]) -> str:
    """The path with something in its holes: names that are there, or what nobody is called."""
    some = st.sampled_from(names) | segments
    path = re.sub(r"\{\w+\}", lambda hole: draw(some), template)
    if draw(st.integers(0, 9)) == 0:
        path = draw(
            st.sampled_from(["/" + path, path + "/", path + "//..", "/x/.." + path, path + ";a=b"])
        )
    return path


def query(draw: st.DrawFn, fields: list[str]) -> str:
    names = st.sampled_from(fields) if fields else segments
    given = draw(st.lists(st.tuples(names | segments, segments), max_size=3))
    return "?" + "&".join(f"{name}={value}" for name, value in given) if given else ""


@st.composite
def requests(draw: st.DrawFn, route: Any, keys: list[str], names: list[str]) -> bytes:
    """The bytes of one request to a route, after which the caller has nothing more to say."""
    method = draw(st.sampled_from([route.method] * 6 + ["GET", "PUT", "HEAD", "BREW", "get", ""]))
    path = filled(draw, route.path, names) + query(draw, route.query)
    version = draw(st.sampled_from([b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/9.9", b"", b"ICY"]))
    if draw(st.integers(0, 30)) == 0:
        path = draw(
            st.sampled_from(["http://127.0.0.1:1/v1/models", "*", "//x/", "x", "\xff", "/\x01"])
        )
    key = draw(st.sampled_from([keys[0]] * 4 + keys))
    odd = draw(st.lists(st.sampled_from(ODD_HEADERS), max_size=2))
    headers = ["host: x", f"authorization: Bearer {key}", *odd]
    if draw(st.integers(0, 5)):
        headers.append("content-type: application/json")
    framing, body = b"", b""
    if route.method != "GET" or draw(st.booleans()):
        framing, body = framed(draw, draw(bodies(route.fields, route.sample)))
    lines = "\r\n".join(headers).encode("latin-1", "replace")
    close = draw(st.sampled_from([b"connection: close\r\n"] * 3 + [b""]))
    first = b"%s %s %s\r\n" % (method.encode(), path.encode("latin-1", "replace"), version)
    return Raw(first + lines + b"\r\n" + close + framing + b"\r\n" + body)
