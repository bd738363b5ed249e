"""LiteLLM's proxy with composites in its config.yaml, asked by OpenAI's own client."""

import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from polyvox.testing import Knobs, MockProvider
from polyvox.testing.threaded import ThreadedMock

pytest.importorskip("litellm_proxy_extras", reason="LiteLLM is in .venv-bench: see `make test`")
openai: Any = pytest.importorskip("openai")

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(300),  # it takes a while to start
    pytest.mark.xdist_group("litellm-proxy"),
]

CONFIG = """\
model_list:
  - model_name: panel
    litellm_params:
      model: composite/moa/openai/gpt-4o
      api_key: sk-of-the-proxy
      api_base: os.environ/MOCK_URL
      proposers:
        - openai/gpt-4o-mini
        - {model: openai/gpt-4.1-mini, litellm_params: {temperature: 0.9}}
  - model_name: board
    litellm_params:
      model: composite/council/openai/gpt-4o
      api_key: sk-of-the-proxy
      api_base: os.environ/MOCK_URL
      optional_params: {council: [openai/gpt-4o-mini, openai/gpt-4.1-mini], exclude_own: false}
  - model_name: demo
    litellm_params: {model: composite/profile/demo-moa}
router_settings: {disable_cooldowns: true}
litellm_settings:
  custom_provider_map:
    - {provider: composite, custom_handler: polyvox.integrations.litellm.handler}
"""
ASKED = [{"role": "user", "content": "Why is the sky blue?"}]
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


class Proxy(NamedTuple):
    client: Any
    mock: ThreadedMock


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("proxy")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    key = f"sk-{secrets.token_hex(32)}"
    with MockProvider("openai-chat") as mock:
        variables = {
            **{name: value for name, value in os.environ.items() if "DATABASE" not in name},
            "MOCK_URL": mock.url,
            "LITELLM_MASTER_KEY": key,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "POLYVOX_CONFIG": "off",
        }
        program = Path(sys.executable).with_name("litellm")
        command = [program, "--config", "config.yaml", "--host", "127.0.0.1", "--port", "0"]
        with subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                address = _address(process)
                with openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0) as client:
                    yield Proxy(client, mock)
            finally:
                process.terminate()


def _address(process: "subprocess.Popen[str]") -> str:
    """Where it serves, as soon as it does; what it says later is read so that it never waits."""
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        found = ADDRESS.search(line)
        if found and "running on" in line:
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return found[0]
    raise AssertionError("".join(said))


def create(proxy: Proxy, model: str, **more: Any) -> Any:
    return proxy.client.chat.completions.create(model=model, messages=ASKED, **more)


@pytest.mark.parametrize(("model", "calls"), [("panel", 3), ("board", 5)])
def test_a_whole_answer_with_its_summary_trace_usage_and_cost(proxy: Proxy, model: str, calls: int):
    before = len(proxy.mock.requests)
    raw = proxy.client.chat.completions.with_raw_response.create(
        model=model, messages=ASKED, temperature=0.2
    )
    response = raw.parse()
    asked = proxy.mock.requests[before:]
    assert len(asked) == calls
    assert {each.headers["authorization"] for each in asked} == {"Bearer sk-of-the-proxy"}
    message = response.choices[0].message
    assert message.content
    assert message.reasoning_content.startswith("Layer 1" if model == "panel" else "Opinions")
    trace = message.provider_specific_fields["polyvox_trace"]
    assert trace["kind"] == ("moa" if model == "panel" else "council")
    assert response.usage.prompt_tokens > calls
    assert float(raw.headers["x-litellm-response-cost"]) > 0
    if model == "panel":
        assert sorted(each.request.temperature for each in asked) == [0.2, 0.2, 0.9]


@pytest.mark.parametrize("model", ["panel", "board"])
def test_a_stream(proxy: Proxy, model: str):
    chunks = list(create(proxy, model, stream=True, stream_options={"include_usage": True}))
    heard = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    thoughts = [
        place for place, delta in enumerate(heard) if getattr(delta, "reasoning_content", None)
    ]
    words = [place for place, delta in enumerate(heard) if delta.content]
    assert len(thoughts) == 1
    assert thoughts[0] < words[0]
    assert "".join(heard[place].content for place in words)
    assert "stop" in [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    usage = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None)][-1]
    assert usage.prompt_tokens > 3


def test_a_profile_that_needs_no_key(proxy: Proxy):
    assert create(proxy, "demo").choices[0].message.content


@pytest.mark.parametrize(
    "said",
    [
        {"proposers": ["openai/gpt-5"]},
        {"optional_params": {"aggregator": {"model": "openai/gpt-5"}}},
        {"config_file_path": "other.toml"},
        {"layers": 9},
        {"n": 2, "fallbacks": [{"model": "panel", "proposers": ["openai/gpt-5"], "n": 1}]},
    ],
)
def test_its_clients_do_not_say_who_is_asked(proxy: Proxy, said: dict[str, Any]):
    before = len(proxy.mock.requests)
    with pytest.raises(openai.BadRequestError, match="not for the clients of a proxy"):
        create(proxy, "panel", extra_body=said)
    assert len(proxy.mock.requests) == before


def test_a_failure_has_its_status(proxy: Proxy):
    proxy.mock.knobs = Knobs(status=401)
    try:
        with pytest.raises(openai.AuthenticationError):
            create(proxy, "panel")
        with pytest.raises(openai.AuthenticationError):
            list(create(proxy, "panel", stream=True))
    finally:
        proxy.mock.knobs = Knobs()
