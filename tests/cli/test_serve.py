"""`polyvox serve`: the gateway as a process."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from .conftest import Run

Start = Callable[..., "subprocess.Popen[str]"]
STRONG = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def started(process: "subprocess.Popen[str]") -> dict[str, object]:
    """What a gateway with ``--json`` says once it serves."""
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return json.loads(line)


def get(url: str, path: str, key: str | None = None) -> tuple[int, bytes]:
    request = Request(f"{url}{path}")
    if key is not None:
        request.add_header("authorization", f"Bearer {key}")
    with urlopen(request, timeout=30) as answer:
        return answer.status, answer.read()


def test_with_nothing_said_it_serves_and_says_what_to_do_next(start: Start, tmp_path: Path):
    gateway = start("serve", "--port", "0", "--ready-file", "ready", "--data", "data")
    lines = [gateway.stdout.readline() for _ in range(11)]
    text = "".join(lines)
    url = (tmp_path / "ready").read_text().strip()
    assert lines[0] == f"The gateway serves at {url}\n"
    assert str(tmp_path / "data") in text
    assert "sqlite:///" in text
    assert "simulated/echo" in text
    assert f"curl {url}/v1/chat/completions" in text
    assert f'OpenAI(base_url="{url}/v1"' in text
    assert "\x1b" not in text
    assert get(url, "/health")[0] == 200
    gateway.send_signal(signal.SIGTERM)
    assert gateway.wait(30) == 0


def test_the_admin_key_is_told_once_and_kept_as_a_digest(start: Start, tmp_path: Path):
    arguments = ("serve", "--port", "0", "--json", "--data", "data")
    first = start(*arguments)
    about = started(first)
    key = str(about["admin_key"])
    assert key.startswith("pv-")
    first.send_signal(signal.SIGINT)
    assert first.wait(30) == 0
    again = started(start(*arguments))
    assert again["admin_key"] is None
    assert "an earlier start" in str(again["admin_key_from"])
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file():
            assert key.encode() not in path.read_bytes(), path
            assert key[12:].encode() not in path.read_bytes(), path
    digest = tmp_path / "data" / "admin-key.sha256"
    assert digest.stat().st_mode & 0o777 == 0o600


def test_who_comes_with_a_key_is_shown_commands_that_take_it(start: Start, tmp_path: Path):
    arguments = ("serve", "--port", "0", "--data", "data")
    first = start(*arguments, "--json")
    started(first)
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    again = start(*arguments)
    text = ""
    while "Ctrl-C" not in text:
        line = again.stdout.readline()
        assert line, again.stderr.read()
        text += line
    assert f"If it is lost, delete {tmp_path / 'data' / 'admin-key.sha256'} and start again" in text
    assert '-H "Authorization: Bearer $POLYVOX_GATEWAY_KEY"' in text
    assert 'api_key=os.environ["POLYVOX_GATEWAY_KEY"])' in text


def test_a_lost_admin_key_is_replaced_when_its_file_is_deleted(start: Start, tmp_path: Path):
    arguments = ("serve", "--port", "0", "--json", "--data", "data")
    first = start(*arguments)
    lost = str(started(first)["admin_key"])
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    (tmp_path / "data" / "admin-key.sha256").unlink()
    again = started(start(*arguments))
    assert get(str(again["url"]), "/metrics", str(again["admin_key"]))[0] == 200
    with pytest.raises(OSError, match="401"):
        get(str(again["url"]), "/metrics", lost)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_database_that_is_something_else_is_told_and_the_admin_key_is_not_lost(
    start: Start, run: Run, tmp_path: Path, workers: str
):
    arguments = ("serve", "--port", "0", "--json", "--data", "data", "--workers", workers)
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "gateway.db"
    path.write_text("something else")
    done = run(*arguments)
    assert done.returncode == 3
    assert f"{path} is no SQLite database" in done.stderr
    assert "Move it away" in done.stderr
    path.unlink()
    assert str(started(start(*arguments))["admin_key"]).startswith("pv-")


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
def test_workers_serve_at_one_address(start: Start, server: str):
    gateway = start("serve", "--port", "0", "--json", "--workers", "2", "--server", server)
    about = started(gateway)
    assert (about["workers"], about["server"]) == (2, server)
    assert get(str(about["url"]), "/health")[0] == 200
    gateway.send_signal(signal.SIGTERM)
    assert gateway.wait(60) == 0


def test_a_port_that_is_taken_is_told_with_the_way_out(run: Run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for workers in ("1", "2"):
            done = run("serve", "--port", port, "--workers", workers)
            assert done.returncode == 3
            assert f"port {port} is taken" in done.stderr
            assert "--port 0" in done.stderr


def test_a_second_gateway_on_the_same_data_is_refused(start: Start, run: Run):
    arguments = ("serve", "--port", "0", "--json", "--data", "data")
    started(start(*arguments))
    done = run(*arguments)
    assert done.returncode == 3
    assert "another gateway runs on the data folder" in done.stderr
    assert "--data FOLDER" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_can_not_be_written_is_told(run: Run, tmp_path: Path):
    (tmp_path / "closed").mkdir(mode=0o500)
    done = run("serve", "--data", "closed/data")
    assert done.returncode == 3
    assert "can't be written" in done.stderr


def test_a_data_folder_that_is_a_file_is_told(run: Run, tmp_path: Path):
    (tmp_path / "data").write_text("")
    done = run("serve", "--data", "data")
    assert done.returncode == 3
    assert "can't be written" in done.stderr


@pytest.mark.parametrize("url", ["mysql://host/db", "sqlite://", "gateway.db"])
def test_a_database_that_is_none_is_told(run: Run, url: str):
    done = run("serve", "--port", "0", "--database", url)
    assert done.returncode == 3
    assert "SQLite" in done.stderr
    assert "sqlite:///" in done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_where_others_reach_it_it_wants_a_key_first(run: Run, host: str):
    done = run("serve", "--host", host, "--port", "0")
    assert done.returncode == 3
    assert "without an administrator's key" in done.stderr
    assert "POLYVOX_GATEWAY__ADMIN_KEY" in done.stderr
    assert "openssl rand -hex 32" in done.stderr


def test_where_others_reach_it_a_key_of_the_environment_will_do(start: Start):
    gateway = start(
        *("serve", "--host", "0.0.0.0", "--port", "0", "--json"),
        env={"POLYVOX_GATEWAY__ADMIN_KEY": STRONG},
    )
    about = started(gateway)
    assert (about["admin_key"], about["admin_key_from"]) == (None, "the configuration")
    assert str(about["url"]).startswith("http://127.0.0.1:")


@pytest.mark.parametrize("key", ["sk-1234", "admin-1234", "changeme-changeme-changeme", "1" * 64])
def test_a_key_that_can_be_guessed_is_refused_everywhere(run: Run, key: str):
    done = run("serve", "--port", "0", env={"POLYVOX_GATEWAY__ADMIN_KEY": key})
    assert done.returncode == 3
    assert "too weak" in done.stderr
    assert "openssl rand -hex 32" in done.stderr
    assert key not in done.stderr


LIMITED = """
[gateway]
workers = 2
port = 0
[budgets.daily]
limit = "$10"
per = "day"
"""


def test_several_workers_do_not_count_a_budget_each_for_itself(run: Run, tmp_path: Path):
    (tmp_path / "polyvox.toml").write_text(LIMITED)
    done = run("serve")
    assert done.returncode == 3
    assert "[budgets.daily]" in done.stderr
    assert 'kind = "redis"' in done.stderr


def test_nor_once_the_file_says_so_while_they_run(start: Start, tmp_path: Path):
    file = tmp_path / "polyvox.toml"
    file.write_text(LIMITED.partition("[budgets")[0])
    gateway = start("serve", "--json", "--log", "json")
    assert started(gateway)["workers"] == 2
    file.write_text(LIMITED)
    gateway.send_signal(signal.SIGHUP)
    told = next(line for line in gateway.stderr if "refused" in line or "read anew" in line)
    assert "[budgets.daily]" in told


def test_a_limit_that_nothing_enforces_does_not_start(run: Run, tmp_path: Path):
    limit = "[limits.few]\nrequests = 1\nmodels = ['opneai/*']\n"
    (tmp_path / "polyvox.toml").write_text("[gateway]\nport = 0\n" + limit)
    done = run("serve")
    assert done.returncode == 3
    assert "limits.few covers 'opneai/*', which nobody is asked by" in done.stderr


def test_one_worker_counts_by_itself(start: Start, tmp_path: Path):
    (tmp_path / "polyvox.toml").write_text(LIMITED)
    assert started(start("serve", "--workers", "1", "--json"))["workers"] == 1


def test_a_wrong_configuration_is_told_by_file_and_line(run: Run, tmp_path: Path):
    (tmp_path / "polyvox.toml").write_text("[gateway]\nprot = 1\n")
    done = run("serve")
    assert done.returncode == 3
    assert "polyvox.toml, line 2" in done.stderr
    assert "port" in done.stderr


def test_a_ready_file_that_can_not_be_written_ends_it(run: Run):
    done = run("serve", "--port", "0", "--ready-file", "nowhere/ready")
    assert done.returncode == 3
    assert "can't write nowhere/ready" in done.stderr


def test_the_health_and_the_readiness_are_open_and_the_metrics_are_not(start: Start):
    about = started(start("serve", "--port", "0", "--json", "--data", "data"))
    url, key = str(about["url"]), str(about["admin_key"])
    status, body = get(url, "/health")
    assert (status, json.loads(body)["status"]) == (200, "ok")
    assert json.loads(get(url, "/ready")[1]) == {"ready": True, "reasons": []}
    assert b"polyvox_calls_total" in get(url, "/metrics", key)[1]
    with pytest.raises(OSError, match="401"):
        get(url, "/metrics")


def test_with_a_log_of_json_a_start_that_fails_is_a_line_of_json(run: Run, tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text("[gateway]\nportt = 1\n")
    done = run("serve", "--config", "wrong.toml", "--log", "json")
    plain = run("serve", "--config", "wrong.toml")
    assert done.returncode == plain.returncode != 0
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (line["about"], line["kind"]) == ("error", "configuration")
    assert "portt" in line["text"]
    assert line["at"].endswith("Z")
    assert plain.stderr.startswith("error: ")
