"""``polyvox batch``, against a gateway that runs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from polyvox.testing import Knobs, MockProvider

from .conftest import NOBODY, Run
from .gateway_process import Gateway, gateway
from .terminal import Terminal

Batch = Callable[..., Any]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway")) as served:
        yield served


@pytest.fixture
def batch(run: Run, served: Gateway) -> Batch:
    """Run ``polyvox batch``."""

    def runner(*arguments: str, **options: Any) -> Any:
        return run("batch", *arguments, env=served.env, **options)

    return runner


def line(custom_id: str, model: str = "simulated/echo", **body: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"say {custom_id}"}]
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": model, "messages": messages} | body,
    }


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "requests.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


def test_requests_are_uploaded_answered_and_written(batch: Batch, tmp_path: Path):
    written(tmp_path, *(line(str(n)) for n in range(5)))
    done = batch("run", "requests.jsonl", "-o", "answers.jsonl")
    assert (done.returncode, done.stdout) == (0, "")
    assert "completed: 5 of 5 requests are answered." in done.stderr
    told = [json.loads(each) for each in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [each["custom_id"] for each in told] == ["0", "1", "2", "3", "4"]
    assert all(each["response"]["status_code"] == 200 for each in told)


def test_without_a_file_to_write_answers_go_to_stdout(batch: Batch, tmp_path: Path):
    written(tmp_path, line("a"))
    done = batch("run", "requests.jsonl", "--endpoint", "chat")
    assert json.loads(done.stdout)["custom_id"] == "a"


def test_what_failed_stands_in_a_file_beside_the_output(batch: Batch, tmp_path: Path):
    written(tmp_path, line("a"), line("wrong", messages="none"))
    done = batch("run", "requests.jsonl", "-o", "answers.jsonl")
    assert done.returncode == 1
    assert "warning: completed: 1 of 2 requests are answered." in done.stderr
    assert json.loads((tmp_path / "answers.jsonl.errors").read_text())["custom_id"] == "wrong"


def test_a_detached_batch_is_listed_shown_and_downloaded(batch: Batch, tmp_path: Path):
    written(tmp_path, line("a"))
    done = batch("run", "requests.jsonl", "--detach")
    assert done.returncode == 0
    id = done.stdout.strip()
    assert id.startswith("batch_")
    downloaded = batch("download", id)
    assert json.loads(downloaded.stdout)["custom_id"] == "a"
    assert id in batch("list").stdout
    shown = batch("show", id).stdout
    assert "completed" in shown
    assert "1 answered, 0 failed, of 1" in shown
    assert json.loads(batch("show", id, "--json").stdout)["id"] == id
    assert id in [json.loads(each)["id"] for each in batch("list", "--json").stdout.splitlines()]
    cancelled = batch("cancel", id)
    assert cancelled.returncode == 6
    assert "it can't be cancelled" in cancelled.stderr


def test_json_prints_the_batch_and_writes_answers_only_where_told(batch: Batch, tmp_path: Path):
    written(tmp_path, line("a"))
    done = batch("run", "requests.jsonl", "--json", "-o", "answers.jsonl")
    assert json.loads(done.stdout)["status"] == "completed"
    assert (tmp_path / "answers.jsonl").exists()


def test_a_wrong_file_is_told_line_by_line(batch: Batch, tmp_path: Path):
    written(tmp_path, line("a"), line("a"), line("b", "nobody/nothing"))
    done = batch("run", "requests.jsonl")
    assert done.returncode == 6
    assert "line 2: custom_id 'a' is that of line 1, too" in done.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "requests.jsonl has no requests\nhint: Each line is one, such as {"),
        ("\n \n", "requests.jsonl has no requests\nhint: Each line is one, such as {"),
        ("\n[]", "line 2 of requests.jsonl is no request"),
        ("nothing", '"url": "/v1/chat/completions", "body": {"model": ...}}'),
        (json.dumps(line("a") | {"url": "/v1/images"}), "a url that batches are not for"),
    ],
)
def test_a_file_without_requests_is_not_uploaded(
    batch: Batch, tmp_path: Path, text: str, told: str
):
    (tmp_path / "requests.jsonl").write_text(text)
    done = batch("run", "requests.jsonl")
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


def test_an_empty_line_before_the_first_request_does_not_matter(batch: Batch, tmp_path: Path):
    (tmp_path / "requests.jsonl").write_text(f"\n\n{json.dumps(line('a'))}\n")
    assert batch("run", "requests.jsonl").returncode == 0


@pytest.mark.parametrize(
    "arguments", [("run", "none.jsonl"), ("run", "none.jsonl", "--endpoint", "chat")]
)
def test_a_file_that_is_not_there_is_named(batch: Batch, arguments: tuple[str, ...]):
    done = batch(*arguments)
    assert done.returncode == 2
    assert "can't read none.jsonl: No such file" in done.stderr


def test_a_batch_that_is_not_there_is_told(batch: Batch):
    done = batch("download", "batch_none")
    assert done.returncode == 5
    assert "there is no batch 'batch_none'" in done.stderr


def test_without_a_gateway_it_is_told_how_to_start_one(run: Run, tmp_path: Path):
    written(tmp_path, line("a"))
    done = run("batch", "run", "requests.jsonl", "--url", NOBODY, "--key", "any")
    assert done.returncode == 10


def test_ctrl_c_leaves_the_batch_running_and_says_how_to_come_back(
    run: Run, terminal: Callable[..., Terminal], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with MockProvider("ollama", knobs=Knobs(hold_until=100, hold_limit=300)) as mock:
        monkeypatch.setenv("OLLAMA_HOST", mock.url)
        with gateway(tmp_path) as served:
            written(tmp_path, *(line(str(n), "ollama/mock-model") for n in range(3)))
            shown = terminal("batch", "run", "requests.jsonl", env=served.env)
            shown.expect("0 of 3")
            shown.type("\x03")
            shown.expect("polyvox batch download batch_")
            assert shown.wait() == 130
            (batch,) = run("batch", "list", "--json", env=served.env).stdout.splitlines()
            assert json.loads(batch)["status"] == "in_progress"
            cancelled = run("batch", "cancel", json.loads(batch)["id"], env=served.env)
            assert "is cancelling." in cancelled.stderr
