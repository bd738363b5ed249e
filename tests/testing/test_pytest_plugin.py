"""The plugin as a user's own test run sees it."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"

TESTS = """
import json, socket, sys, urllib.request
import pytest

def test_nothing_was_loaded_beforehand():
    assert not {"aiohttp", "asyncio", "msgspec"} & BEFORE

def test_a_mock(polyvox_mock):
    server = polyvox_mock("openai-chat", script=["hello"])
    other = polyvox_mock("anthropic-messages")
    assert server.url != other.url
    fields = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    url = server.url + "/chat/completions"
    with urllib.request.urlopen(url, json.dumps(fields).encode()) as answer:
        assert json.load(answer)["choices"][0]["message"]["content"] == "hello"
    SERVERS.append(server)

def test_mocks_are_closed_after_their_test():
    assert not SERVERS[0]._thread.is_alive()

@pytest.mark.usefixtures("forbid_network")
def test_the_network_is_forbidden():
    with pytest.raises(Exception, match="the network is forbidden here"):
        socket.create_connection(("192.0.2.1", 443))

SERVERS = []
BEFORE = set(sys.modules)
"""


def test_the_fixtures_are_there_and_load_nothing_before_they_are_used(tmp_path: Path):
    (tmp_path / "test_mine.py").write_text(TESTS)
    options = ["-p", "no:cacheprovider", "-p", "polyvox.testing.pytest_plugin", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        env={"PYTHONPATH": str(SOURCE), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_in_this_very_run_too(polyvox_mock, forbid_network):
    assert polyvox_mock("openai-chat").url.startswith("http://127.0.0.1:")


def test_an_argument_that_is_none_names_the_fixture(polyvox_mock):
    with pytest.raises(TypeError, match=r"^polyvox_mock\(\) got an unexpected .* 'scrpt'"):
        polyvox_mock("openai-chat", scrpt=["Hello."])
