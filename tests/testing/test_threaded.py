"""Mock providers in threads, for synchronous programs."""

import json
import threading
import urllib.error
import urllib.request
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from polyvox.testing import Knobs, MockProvider, ThreadedMock


def post(server: ThreadedMock, text: str = "hi") -> bytes:
    fields = {"model": "m", "messages": [{"role": "user", "content": text}], "stream": True}
    url = f"{server.url}/chat/completions"
    with urllib.request.urlopen(url, json.dumps(fields).encode(), timeout=30) as answer:
        return answer.read()


def test_it_serves_while_the_context_lasts():
    threads = set(threading.enumerate())
    with MockProvider("openai-chat", ["hello"]) as server:
        body = post(server)
        assert b'"hello"' in body
        assert server.requests[0].request is not None
        assert server.answers[0].completed
        assert server.answers[0].body == body
    with pytest.raises(urllib.error.URLError):
        post(server)
    assert set(threading.enumerate()) <= threads


def test_the_record_is_complete_as_soon_as_the_client_has_read():
    with MockProvider("openai-chat") as server:
        for number in range(50):
            body = post(server)
            answer = server.answers[number]
            assert (answer.body, answer.completed, answer.hung_up) == (body, True, None)


def test_knobs_may_be_turned_between_requests():
    with MockProvider("openai-chat") as server:
        server.knobs = Knobs(status=503)
        with pytest.raises(urllib.error.HTTPError, match="503"):
            post(server)
        server.knobs = Knobs()
        assert b'"hi"' in post(server)


def test_hanging_up_can_be_waited_for():
    with MockProvider("openai-chat", knobs=Knobs(delay_headers=3600)) as server:
        url = urlsplit(server.url)
        connection = HTTPConnection(url.hostname or "", url.port)
        fields = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        connection.request("POST", f"{url.path}/chat/completions", json.dumps(fields))
        assert server.wait_for_request().request is not None
        with pytest.raises(TimeoutError):
            server.wait_for_hangup(timeout=0)
        connection.close()
        assert server.wait_for_hangup().hung_up == "client"


def test_a_server_that_cannot_start_says_so():
    with MockProvider("openai-chat") as server:
        port = urlsplit(server.url).port
        taken = MockProvider("openai-chat", port=port or 0)
        with pytest.raises(OSError, match="address already in use"), taken:
            pass


def test_closing_twice_does_nothing():
    server = ThreadedMock(MockProvider("openai-chat"))
    server.close()
    server.close()
