"""`polyvox ask`: where the prompt comes from, and what comes out."""

import base64
import json
from pathlib import Path

import pytest

from polyvox.events import Done, Failed, TextDelta, decode_event
from polyvox.messages import File, Image, Text
from polyvox.testing import Knobs

from .conftest import Run

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
UNBILLED = {"cost": {"status": "unknown"}}
"""A mock's answers cost nothing, and it says so like OpenRouter does, unless a script says otherwise."""

ECHO = ("ask", "-m", "simulated/echo")


def test_the_answer_is_on_stdout_and_nothing_else_is(run: Run):
    done = run(*ECHO, "hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


def test_words_are_joined_without_quotes(run: Run):
    assert run(*ECHO, "why", "is", "it?").stdout == "why is it?\n"


@pytest.mark.parametrize("argument", [(), ("-",)])
def test_the_prompt_may_come_on_stdin(run: Run, argument: tuple[str, ...]):
    assert run(*ECHO, *argument, stdin="hi\n").stdout == "hi\n"


def test_stdin_comes_after_the_argument(run: Run):
    assert run(*ECHO, "Summarise this:", stdin="line 1\nline 2\n").stdout == (
        "Summarise this:\n\nline 1\nline 2\n"
    )


def test_a_file_alone_is_the_prompt(run: Run, tmp_path: Path):
    (tmp_path / "prompt.txt").write_text("from a file\n")
    assert run(*ECHO, "-f", "prompt.txt").stdout == "from a file\n"


def test_files_beside_a_prompt_go_in_under_their_names(run: Run, tmp_path: Path):
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "b.txt").write_bytes("\ufeffsecond\n".encode())
    done = run(*ECHO, "Compare.", "-f", "a.txt", "-f", "b.txt")
    assert done.stdout == (
        'Compare.\n\n<file name="a.txt">\nfirst\n</file>\n\n<file name="b.txt">\nsecond\n</file>\n'
    )


def test_pictures_and_pdfs_are_attached(run: Run, tmp_path: Path, polyvox_mock):
    (tmp_path / "dot.png").write_bytes(PNG)
    (tmp_path / "page.pdf").write_bytes(b"%PDF-1.4\n...")
    server = polyvox_mock("anthropic-messages", ["A dot."])
    done = run(
        *("ask", "-m", "anthropic/claude-sonnet-4-5", "What?", "-f", "dot.png", "-f", "page.pdf"),
        env={"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "mock"},
    )
    assert done.stdout == "A dot.\n", done.stderr
    text, image, file = server.requests[0].request.messages[0].content
    assert text == Text("What?")
    assert isinstance(image, Image)
    assert image.data == PNG
    assert isinstance(file, File)
    assert file.data == b"%PDF-1.4\n..."


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "there is nothing to ask\nhint: Give a prompt"),
        (("-f", "missing.txt"), "error: can't read missing.txt: No such file or directory\n"),
        (("-f", "binary.bin"), "neither text nor a picture"),
        (("-f", "latin1.txt"), "latin1.txt is not UTF-8 text"),
        (("x", "-m", ""), "-m names no model"),
        (("x", "--json", "--events"), "exclude each other"),
        (("x", "-o", "novalue"), "NAME=VALUE"),
        (("x", "--reasoning", "lots"), "--reasoning takes"),
        (("x", "--schema", "{nonsense"), "not JSON"),
        (("x", "--key-env", "NO_SUCH"), "belong to --base-url"),
        (
            ("x", "--no-such-option"),
            "\nhint: 'polyvox ask --help' lists the options.\n",
        ),
    ],
)
def test_a_command_that_is_not_understood_ends_with_2(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], problem: str
):
    (tmp_path / "binary.bin").write_bytes(b"\x00\xff\x00")
    (tmp_path / "latin1.txt").write_bytes("naïve\n".encode("latin-1"))
    done = run(*ECHO, *arguments)
    assert done.returncode == 2
    assert problem in done.stderr
    assert done.stderr.startswith("error: ")
    assert "Usage:" not in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_json_is_one_object_with_text_usage_and_cost(run: Run):
    done = run("ask", "--json", stdin="hi\n")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    answer = json.loads(done.stdout)
    assert answer["text"] == "hi"
    assert answer["model"] == "simulated/echo"
    assert answer["stop_reason"] == "stop"
    assert answer["tool_calls"] == []
    assert answer["usage"]["input_tokens"] > 0
    cost = answer["usage"]["cost"]
    assert (cost["dollars"], cost["nanos"], cost["status"]) == ("0.00", 0, "free")
    assert "cost" not in answer
    assert answer["id"]


def test_json_tells_the_price_that_the_catalog_knows(run: Run, polyvox_mock):
    usage = UNBILLED | {"input_tokens": 1_000_000, "output_tokens": 100}
    script = [{"message": {"content": "ok", "usage": usage}, "repeat": True}]
    server = polyvox_mock("openai-chat", script)
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "mock"}
    answer = json.loads(run("ask", "--json", "-m", "openai/gpt-5-mini", "hi", env=env).stdout)
    assert answer["usage"]["input_tokens"] == 1_000_000
    cost = answer["usage"]["cost"]
    assert (cost["dollars"], cost["nanos"], cost["status"]) == ("0.2502", 250_200_000, "known")
    done = run("ask", "--events", "-m", "openai/gpt-5-mini", "hi", env=env)
    told = json.loads(done.stdout.splitlines()[-1])["message"]["usage"]["cost"]
    assert told.items() <= cost.items()  # one shape: an event leaves out what is zero
    assert told["nanos"] == 250_200_000


def test_json_never_calls_an_unknown_price_zero(run: Run, polyvox_mock):
    usage = UNBILLED | {"input_tokens": 10, "output_tokens": 10}
    server = polyvox_mock("openai-chat", [{"message": {"content": "ok", "usage": usage}}])
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "mock"}
    answer = json.loads(run("ask", "--json", "-m", "openai/no-such-model", "hi", env=env).stdout)
    cost = answer["usage"]["cost"]
    assert (cost["dollars"], cost["nanos"], cost["status"]) == (None, 0, "unknown")


def test_json_tells_an_error_too(run: Run):
    done = run("ask", "--json", "-m", "openai/gpt-5-mini", "hi")
    assert done.returncode == 3
    answer = json.loads(done.stdout)
    assert answer["error"]["kind"] == "missing_key"
    assert "OPENAI_API_KEY" in answer["error"]["hint"]
    assert "error: openai" in done.stderr


def test_json_keeps_what_came_before_an_error(run: Run, polyvox_mock):
    server = polyvox_mock("openai-chat", ["one two three four"], knobs=Knobs(error_after_chunks=3))
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "mock"}
    done = run("ask", "--json", "-m", "openai/gpt-5-mini", "hi", env=env)
    answer = json.loads(done.stdout)
    assert answer["text"].startswith("one")
    assert answer["stop_reason"] == "error"
    assert answer["error"]["kind"]
    assert done.returncode > 2


def test_events_are_lines_that_decode(run: Run):
    done = run(*ECHO, "--events", "hello world")
    events = [decode_event(line) for line in done.stdout.splitlines()]
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "hello world"
    assert isinstance(events[-1], Done)


def test_events_end_with_the_error(run: Run):
    done = run("ask", "--events", "-m", "openai/gpt-5-mini", "hi")
    (event,) = [decode_event(line) for line in done.stdout.splitlines()]
    assert isinstance(event, Failed)
    assert event.error.kind == "missing_key"


def test_no_stream_asks_for_a_whole_answer(run: Run, polyvox_mock):
    server = polyvox_mock("openai-chat", ["whole"])
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "mock"}
    assert run("ask", "--no-stream", "-m", "openai/gpt-5-mini", "hi", env=env).stdout == "whole\n"
    assert json.loads(server.requests[0].body).get("stream", False) is False


def test_every_option_reaches_the_request(run: Run, tmp_path: Path, polyvox_mock):
    server = polyvox_mock("openai-chat", ['{"a": 1}'])
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    (tmp_path / "tools.json").write_text('[{"name": "weather", "description": "Now."}]')
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "mock"}
    done = run(
        *("ask", "-m", "openai/gpt-4o", "-s", "Be brief.", "--max-tokens", "50"),
        *("--temperature", "0.5", "--schema", "schema.json", "--tools", "tools.json"),
        *("-o", "service_tier=flex", "-o", "logit_bias={}", "hi"),
        env=env,
    )
    assert done.returncode == 0, done.stderr
    request = server.requests[0].request
    assert request.system == [Text("Be brief.")]
    assert request.max_tokens == 50
    assert request.temperature == 0.5
    assert request.response_format.schema["properties"] == schema["properties"]
    assert [tool.name for tool in request.tools] == ["weather"]
    body = json.loads(server.requests[0].body)
    assert body["service_tier"] == "flex"
    assert body["logit_bias"] == {}


def test_tool_calls_are_printed_for_people(run: Run, tmp_path: Path):
    call = {"type": "tool_call", "id": "1", "name": "weather", "arguments": {"city": "Oslo"}}
    script = json.dumps([{"message": {"content": [{"type": "text", "text": "Let me see."}, call]}}])
    done = run("ask", "-m", "simulated/scripted", "-o", f"script={script}", "hi")
    assert done.stdout == 'Let me see.\n→ weather(city="Oslo")\n'


def test_simulated_tools_calls_an_offered_tool(run: Run, tmp_path: Path):
    parameters = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    }
    (tmp_path / "tools.json").write_text(
        json.dumps([{"name": "weather", "parameters": parameters}])
    )
    done = run("ask", "-m", "simulated/tools", "--tools", "tools.json", "Is it raining in Oslo?")
    assert "→ weather(city=" in done.stdout


def test_reasoning_is_shown_on_request_and_not_on_stdout(run: Run):
    content = [{"type": "thinking", "text": "Hm."}, {"type": "text", "text": "Yes."}]
    arguments = ("ask", "-m", "simulated/scripted", "-o")
    script = "script=" + json.dumps([{"message": {"content": content}}])
    shown = run(*arguments, script, "--thinking", "hi")
    assert (shown.stdout, shown.stderr) == ("Yes.\n", "Hm.\n")
    hidden = run(*arguments, script, "hi")
    assert (hidden.stdout, hidden.stderr) == ("Yes.\n", "")


def test_an_encoding_that_lacks_a_character_is_no_error(run: Run):
    done = run(*ECHO, "naïve →", env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout) == (0, "na?ve ?\n")


def test_an_address_that_is_none_is_a_wrong_set_up(run: Run):
    done = run("ask", "--base-url", "localhost:8080", "-m", "x", "hi")
    assert done.returncode == 3
    assert "http://" in done.stderr


def test_usage_is_told_on_request(run: Run):
    done = run(*ECHO, "--usage", "hello")
    assert done.stdout == "hello\n"
    assert done.stderr.startswith("1 token in, 1 out · free · ")
    assert done.stderr.endswith(" s · simulated/echo\n")


def test_nothing_is_said_of_the_usage_of_a_request_that_was_never_sent(run: Run):
    done = run(*ECHO, "--usage", "-o", "tokens=3", "hello")
    assert "has no option 'tokens'" in done.stderr
    assert "tokens in" not in done.stderr


def test_an_answer_cut_at_the_limit_says_so(run: Run):
    done = run("ask", "-m", "simulated/lorem", "--max-tokens", "3", "hi")
    assert done.returncode == 0
    assert "warning: the answer was cut at the token limit" in done.stderr


def test_any_server_can_be_named(run: Run, polyvox_mock):
    server = polyvox_mock("anthropic-messages", ["Hello."], expect_key="s3cret")
    done = run(
        *("ask", "--base-url", server.url, "--dialect", "anthropic-messages"),
        *("--key-env", "LAB_KEY", "-m", "lab/model-1", "-o", "lab_option=true", "hi"),
        env={"LAB_KEY": "s3cret"},
    )
    assert (done.returncode, done.stdout) == (0, "Hello.\n"), done.stderr
    assert server.requests[0].request.model == "lab/model-1"
    assert json.loads(server.requests[0].body)["lab_option"] is True


def test_a_named_server_without_a_model_is_asked_for_its_first(run: Run, polyvox_mock):
    server = polyvox_mock("openai-chat", ["Hello."], models=["only-one"])
    done = run("ask", "--base-url", server.url, "hi")
    assert (done.returncode, done.stdout) == (0, "Hello.\n"), done.stderr
    assert "only-one" in done.stderr


def test_quiet_holds_for_a_named_server_too(run: Run, polyvox_mock):
    server = polyvox_mock("openai-chat", ["Hello."], models=["only-one"])
    assert run("ask", "-q", "--base-url", server.url, "hi").stderr == ""


def test_an_answer_over_http_streams_from_the_mock(run: Run, polyvox_mock):
    server = polyvox_mock("anthropic-messages", ["Hello there, world."])
    env = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "mock"}
    done = run("ask", "-m", "anthropic/claude-sonnet-4-5", "hi", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello there, world.\n", "")
    assert server.requests[0].request.stream
    assert server.requests[0].path == "/v1/messages"


PERSON = Path(__file__).resolve().parents[2] / "examples" / "person.json"
ADA = '{"name":"Ada","age":36,"email":null}'
SERVERS = {
    "openai-chat": ("openai/gpt-5-mini", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
    "openai-responses": ("openai-responses/gpt-5-mini", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
    "anthropic-messages": (
        *("anthropic/claude-sonnet-4-5", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"),
    ),
    "gemini": ("google/gemini-2.5-flash", "GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY"),
    "ollama": ("ollama/llama3.2", "OLLAMA_HOST", "OLLAMA_API_KEY"),
}


@pytest.mark.parametrize("dialect", SERVERS)
@pytest.mark.parametrize("text", [ADA, f"```json\n{ADA}\n```"])
def test_a_schema_gives_json_that_conforms_and_nothing_else(
    run: Run, polyvox_mock, dialect: str, text: str
):
    model, address, key = SERVERS[dialect]
    server = polyvox_mock(dialect, [text])
    env = {address: server.url, key: "mock"}
    done = run("ask", "-m", model, "--schema", str(PERSON), "Who?", env=env)
    assert (done.returncode, done.stdout) == (0, ADA + "\n"), done.stderr
    sent = server.requests[0].request.response_format
    assert sent.schema["properties"].keys() == {"name", "age", "email"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [(ADA.replace("36", "-1"), "-1 is not at least 0 at $.age"), ("I can't.", "is no JSON")],
)
def test_an_answer_that_does_not_conform_is_not_printed(
    run: Run, polyvox_mock, text: str, complaint: str
):
    server = polyvox_mock("openai-chat", [text] * 3)
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "mock"}
    arguments = ("ask", "-m", "openai/gpt-5-mini", "--schema", str(PERSON))
    done = run(*arguments, "Who?", env=env)
    assert (done.returncode, done.stdout) == (14, "")
    assert complaint in done.stderr
    told = json.loads(run(*arguments, "--json", "Who?", env=env).stdout)
    assert told["error"]["kind"] == "invalid_answer"
    events = run(*arguments, "--events", "Who?", env=env)
    assert events.returncode == 14
    assert isinstance(decode_event(events.stdout.splitlines()[-1]), Done)
