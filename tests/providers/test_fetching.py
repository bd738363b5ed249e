"""Images and files by URL, for providers that do not fetch them: who fetches what, and what is refused."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from polyvox.client import AsyncClient
from polyvox.dialects import Quirks, Target, get_dialect
from polyvox.errors import (
    AbortedError,
    BadRequestError,
    ConfigurationError,
    NetworkError,
    PolyvoxError,
    RequestTimeoutError,
)
from polyvox.messages import File, Image, Text, UserBlock, UserMessage, tool_result, user
from polyvox.model import Call, Interrupt
from polyvox.providers import UrlFetch
from polyvox.providers.fetching import UrlFetcher
from polyvox.request import Request
from polyvox.testing import MockProvider
from polyvox.transport import AiohttpTransport

PNG = b"\x89PNG\r\n\x1a\n..."
PDF = b"%PDF-1.7 ..."
INSIDE = UrlFetch(private_addresses=True)
OLLAMA = Target(provider="ollama", model="llama3.2", base_url="http://127.0.0.1:9")


class Site:
    """A web site on the loopback; what it is asked for is written down."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.begun = asyncio.Event()
        self.hung_up = asyncio.Event()
        self.url = ""

    def page(self, path: str, body: bytes, kind: str = "", status: int = 200, **more: str) -> str:
        """Answer with this; returns the address."""
        headers = {"content-length": str(len(body)), "content-type": kind} | {
            name.replace("_", "-"): value for name, value in more.items()
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
        self.pages[path] = f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body
        return self.url + path

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        self.asked.append(path)
        page = self.pages.get(
            path.partition("?")[0], b"HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n"
        )
        writer.write(page)
        self.begun.set()
        if path == "/slow":
            await reader.read()
            self.hung_up.set()
        writer.close()


@asynccontextmanager
async def a_site(host: str = "127.0.0.1") -> AsyncIterator[Site]:
    site = Site()
    server = await asyncio.start_server(site.answer, host, 0)
    async with server:
        site.url = f"http://{host}:{server.sockets[0].getsockname()[1]}"
        yield site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with a_site() as site:
        yield site


async def inlined(*blocks: UserBlock, policy: UrlFetch = INSIDE, call: Call | None = None) -> Any:
    """The blocks as Ollama gets them, which fetches nothing."""
    fetcher = UrlFetcher(policy)
    request = Request(messages=[user("Look:", *blocks)])
    try:
        done = await fetcher.inlined(request, get_dialect("ollama"), OLLAMA, call or Call())
    finally:
        await fetcher.aclose()
    assert request.messages == [user("Look:", *blocks)]  # what was given stays as it is
    message = done.messages[0]
    assert isinstance(message, UserMessage)
    return message.content[1:]


async def refusal(*blocks: UserBlock, **more: Any) -> PolyvoxError:
    with pytest.raises(PolyvoxError) as caught:
        await inlined(*blocks, **more)
    return caught.value


# What is fetched


async def test_bytes_take_the_place_of_the_url_and_all_else_stays(site: Site):
    url = site.page("/cat", PNG, "application/octet-stream")
    (block,) = await inlined(Image(url=url, detail="low", cache="short"))
    assert block == Image(PNG, media_type="image/png", detail="low", cache="short")


async def test_each_url_is_fetched_once(site: Site):
    cat, paper = site.page("/cat.png", PNG), site.page("/paper", PDF, "application/pdf")
    blocks = await inlined(Image(url=cat), File(url=paper), Image(url=cat))
    assert [block.data for block in blocks] == [PNG, PDF, PNG]
    assert sorted(site.asked) == ["/cat.png", "/paper"]


async def test_what_a_tool_gave_is_fetched_too(site: Site):
    fetcher = UrlFetcher(INSIDE)
    shot = tool_result("c1", "See:", Image(url=site.page("/shot", PNG)))
    request = Request(messages=[user("?"), shot])
    done = await fetcher.inlined(request, get_dialect("ollama"), OLLAMA, Call())
    assert done.messages[1] == tool_result("c1", "See:", Image(PNG))
    await fetcher.aclose()


@pytest.mark.parametrize(
    ("dialect", "block", "taken"),
    [
        ("openai-chat", Image(url="https://a.example/a.png"), True),
        ("openai-chat", File(url="https://a.example/a.pdf"), False),
        ("openai-chat", File(url="https://a.example/a.mp3"), False),
        ("openai-responses", Image(url="https://a.example/a.png"), True),
        ("openai-responses", File(url="https://a.example/a.pdf"), True),
        ("anthropic-messages", Image(url="https://a.example/a.png"), True),
        ("anthropic-messages", Image(url="http://a.example/a.png"), False),
        ("anthropic-messages", File(url="https://a.example/a.pdf"), True),
        ("anthropic-messages", File(url="https://a.example/a.md"), False),
        ("gemini", Image(url="https://a.example/a.png"), True),
        ("gemini", Image(url="https://a.example/a.gif"), False),
        ("gemini", Image(url="https://a.example/a"), False),
        ("gemini", Image(url="https://a.example/a", media_type="image/png"), True),
        ("gemini", File(url="gs://a/b"), True),
        ("gemini", File(url="https://www.youtube.com/watch?v=1"), True),
        ("ollama", Image(url="https://a.example/a.png"), False),
    ],
)
def test_what_the_providers_fetch_themselves(dialect: str, block: Image | File, taken: bool):
    target = Target(provider="acme", model="gemini-2.5-pro", base_url="https://acme.example")
    assert get_dialect(dialect).takes_url(block, target) is taken


def test_what_a_provider_fetches_depends_on_its_row_and_model():
    target = Target(provider="acme", model="gemini-2.0-flash", base_url="https://acme.example")
    picture, paper = Image(url="https://a.example/a.png"), File(url="https://a.example/a.pdf")
    assert not get_dialect("gemini").takes_url(picture, target)
    quirks = Quirks(image_urls=False, file_urls=True)
    target = Target(provider="a", model="b", base_url="https://acme.example", quirks=quirks)
    assert not get_dialect("openai-chat").takes_url(picture, target)
    assert get_dialect("openai-chat").takes_url(paper, target)


async def test_what_the_provider_fetches_and_data_urls_are_left_alone():
    request = Request(messages=[user(Image(url="https://a.example/a.png"))])
    inline = Request(messages=[user(Image(url="data:image/png;base64,iVBORw0KGgo="))])
    fetcher, openai, ollama = (
        UrlFetcher(UrlFetch()),
        get_dialect("openai-chat"),
        get_dialect("ollama"),
    )
    assert await fetcher.inlined(request, openai, OLLAMA, Call()) is request
    assert await fetcher.inlined(inline, ollama, OLLAMA, Call()) is inline


# Where to


async def test_redirects_are_followed_as_often_as_is_allowed(site: Site):
    site.page("/two", b"", status=302, location="/cat")
    url = site.page("/one", b"", status=307, location=f"{site.url}/two")
    site.page("/cat", PNG)
    assert (await inlined(Image(url=url)))[0].data == PNG
    policy = UrlFetch(private_addresses=True, redirects=1)
    error = await refusal(Image(url=url), policy=policy)
    assert "messages[0].content[1].url" in error.text
    assert "more than 1 redirects" in error.text


async def test_only_public_hosts_are_asked_unless_it_is_allowed(site: Site):
    error = await refusal(Image(url=site.page("/cat", PNG)), policy=UrlFetch())
    assert isinstance(error, BadRequestError)
    assert error.text.startswith("messages[0].content[1].url ")
    assert "Image(data=...)" in str(error.hint)
    assert site.asked == []


async def test_a_redirect_to_a_private_host_is_refused(site: Site):
    async with a_site("127.0.0.2") as private:
        url = site.page("/out", b"", status=302, location=private.page("/secret", PNG))
        transport = AiohttpTransport(may_reach="127.0.0.1".__eq__)
        fetcher = UrlFetcher(UrlFetch(), transport)
        request = Request(messages=[user(Image(url=url))])
        with pytest.raises(BadRequestError, match="may not be reached"):
            await fetcher.inlined(request, get_dialect("ollama"), OLLAMA, Call())
        await transport.aclose()
        assert (site.asked, private.asked) == (["/out"], [])


@pytest.mark.parametrize("place", ["file:///etc/passwd", "gopher://127.0.0.1/", "http://["])
async def test_a_redirect_to_what_is_no_web_address_is_refused(site: Site, place: str):
    url = site.page("/out", b"", status=302, location=place)
    assert isinstance(await refusal(Image(url=url)), BadRequestError)
    assert site.asked == ["/out"]


@pytest.mark.parametrize(
    "url", ["http://user:pass@a.example/", "http://a.example:port/", "http://"]
)
async def test_odd_addresses_are_refused_before_anybody_is_asked(url: str):
    error = await refusal(Image(url=url))
    assert isinstance(error, BadRequestError)
    assert "user:" not in error.text


async def test_what_may_be_secret_in_a_url_is_not_repeated(site: Site):
    error = await refusal(Image(url=f"{site.url}/none?signature=s3cret"))
    assert "status 404" in error.text
    assert "s3cret" not in str(error)


# How much, how long


async def test_the_bytes_of_a_request_are_bounded(site: Site):
    policy = UrlFetch(private_addresses=True, max_bytes=2 * len(PNG) - 1)
    one, two = site.page("/one", PNG), site.page("/two", PNG)
    assert await inlined(Image(url=one), policy=policy)
    error = await refusal(Image(url=one), Image(url=two), policy=policy)
    assert "longer than allowed" in error.text


async def test_a_body_that_grows_when_it_is_unpacked_is_bounded_too(site: Site):
    bomb = gzip.compress(PNG + bytes(50 << 20))
    url = site.page("/bomb", bomb, "image/png", content_encoding="gzip")
    error = await refusal(
        Image(url=url), policy=UrlFetch(private_addresses=True, max_bytes=1 << 20)
    )
    assert len(bomb) < 1 << 20
    assert "longer than allowed" in error.text


async def test_an_interrupt_ends_the_fetching_at_once(site: Site):
    interrupt = Interrupt()
    site.pages["/slow"] = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n\x89PNG"
    task = asyncio.create_task(
        inlined(Image(url=f"{site.url}/slow"), call=Call(interrupt=interrupt))
    )
    await site.begun.wait()
    interrupt.set("enough")
    with pytest.raises(AbortedError, match="enough"):
        await task
    await site.hung_up.wait()


async def test_a_slow_server_is_given_up_and_may_be_tried_again(site: Site):
    site.pages["/slow"] = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n\x89PNG"
    policy = UrlFetch(private_addresses=True, seconds=0.05)
    error = await refusal(Image(url=f"{site.url}/slow"), policy=policy)
    assert isinstance(error, RequestTimeoutError)
    assert error.retryable
    assert "took longer than 0.05 s" in error.text


async def test_the_calls_own_deadline_holds(site: Site):
    site.pages["/slow"] = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n\x89PNG"
    error = await refusal(Image(url=f"{site.url}/slow"), call=Call.timeout(0.05))
    assert isinstance(error, RequestTimeoutError)
    assert error.text == "the time for the whole call is up"


@pytest.mark.parametrize(
    ("status", "retryable"), [(404, False), (403, False), (429, True), (503, True)]
)
async def test_a_bad_status_says_whether_asking_again_may_help(
    site: Site, status: int, retryable: bool
):
    error = await refusal(Image(url=site.page("/a", b"no", status=status)))
    assert error.retryable is retryable
    assert isinstance(error, NetworkError if retryable else BadRequestError)
    assert f"status {status}" in error.text


# What it is


async def test_a_web_page_is_no_picture(site: Site):
    url = site.page("/cat.png", b"<html>Log in</html>", "text/html; charset=utf-8")
    error = await refusal(Image(url=url))
    assert "what stands there is text/html, no picture" in error.text
    assert "Image(data=...)" in str(error.hint)


async def test_a_web_page_is_a_document_but_no_pdf(site: Site):
    url = site.page("/a", b"<html>Hi</html>", "text/html")
    (block,) = await inlined(File(url=url))
    assert block.media_type == "text/html"
    error = await refusal(File(url=url, media_type="application/pdf"))
    assert "text/html, no application/pdf" in error.text


@pytest.mark.parametrize(
    ("path", "told", "data", "media_type"),
    [
        ("/a", "image/svg+xml", b"<svg/>", "image/svg+xml"),
        ("/a.webp", "", b"??", "image/webp"),
        ("/a", "text/plain", PNG, "image/png"),
    ],
)
async def test_a_pictures_type_is_told_by_its_bytes_its_server_or_its_name(
    site: Site, path: str, told: str, data: bytes, media_type: str
):
    (block,) = await inlined(Image(url=site.page(path, data, told)))
    assert block.media_type == media_type


async def test_nothing_is_no_picture(site: Site):
    assert "is empty" in (await refusal(Image(url=site.page("/a", b"", "image/png")))).text


# In a client


async def test_a_client_fetches_for_the_provider_and_a_refusal_costs_nothing(site: Site):
    url = site.page("/cat", PNG)
    with MockProvider("ollama", ["A cat."]) as ollama:
        keys: dict[str, Any] = {"base_urls": {"ollama": ollama.url}}
        async with AsyncClient(fetch=INSIDE, **keys) as client:
            reply = await client.complete("ollama/llama3.2", [Image(url=url), "What is it?"])
            assert reply.text == "A cat."
            with pytest.raises(BadRequestError) as caught:
                await client.complete("ollama/llama3.2", Image(url=f"{url}/none"))
        received = ollama.requests[0].request
        assert received is not None
        asked = received.messages[0]
        assert asked == UserMessage([Text("What is it?"), Image(PNG)])
        assert len(ollama.requests) == 1
        assert caught.value.message is not None
        assert caught.value.message.usage.input_tokens == 0


async def test_a_client_that_may_not_fetch_says_so():
    async with AsyncClient(fetch=None) as client:
        with pytest.raises(BadRequestError) as caught:
            await client.complete("ollama/llama3.2", Image(url="https://a.example/a.png"))
    assert "messages[0].content[0].url" in caught.value.text
    assert "fetch=UrlFetch()" in str(caught.value.hint)


def test_a_policy_of_the_wrong_kind_is_named():
    with pytest.raises(ConfigurationError, match="fetch is of type dict"):
        AsyncClient(fetch={"max_bytes": 3})  # pyright: ignore[reportArgumentType]
