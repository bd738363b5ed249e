"""What stands in deploy/, tried with the programs that read it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polyvox.config import examine

from .conftest import Answer, Start

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
NGINX = shutil.which("nginx")
Proxied = Callable[[int], int]
STRONG = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def test_the_example_configuration_is_right():
    pytest.importorskip("redis")
    names = re.findall(r"\$\{(\w+)\}", (DEPLOY / "polyvox.toml").read_text())
    environ = dict.fromkeys(names, STRONG) | {
        "POLYVOX_REDIS": "redis://redis:6379/0",
        "POLYVOX_DATABASE": "postgresql://polyvox:secret@postgres/polyvox",
        "OPENAI_API_KEY": "k",
        "ANTHROPIC_API_KEY": "k",
    }
    loaded = examine(DEPLOY / "polyvox.toml", environ)
    assert loaded.problems == []


def test_every_secret_of_the_example_is_asked_for():
    wanted = set(re.findall(r"\$\{(\w+)", (DEPLOY / "polyvox.toml").read_text()))
    wanted |= set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    given = set(re.findall(r"^(\w+)=", (DEPLOY / "example.env").read_text(), re.MULTILINE))
    compose = set(
        re.findall(r"^    (POLYVOX_\w+):", (DEPLOY / "compose.yaml").read_text(), re.MULTILINE)
    )
    assert wanted <= given | compose


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path):
    text = (DEPLOY / "polyvox.service").read_text()
    unit = tmp_path / "polyvox.service"
    unit.write_text(text.replace("/opt/polyvox/bin/polyvox", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"SYSTEMD_LOG_LEVEL": "warning"},
    )
    assert "polyvox.service" not in done.stderr


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Callable[[int], int]]:
    """Puts nginx, with our configuration, before a port: give it that, and it gives its own."""

    def begin(behind: int) -> int:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        text = (DEPLOY / "nginx.conf").read_text()
        text = re.sub(r"gateway-\d:8700", f"127.0.0.1:{behind}", text)
        text = text.replace("listen 8080", f"listen 127.0.0.1:{port}")
        text = text.replace("/tmp/nginx.pid", str(tmp_path / "nginx.pid"))
        text = text.replace("error_log stderr warn", f"error_log {tmp_path / 'error.log'} warn")
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "".join(f"{kind}_temp_path {tmp_path / kind};\n" for kind in kinds)
        text = text.replace("http {\n", f"http {{\n{paths}")
        (tmp_path / "nginx.conf").write_text(text)
        command = [str(NGINX), "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)]
        tried = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
        assert "test is successful" in tried.stderr, tried.stderr
        # As a daemon it ends its first process when it listens: so nobody has to ask again and again.
        subprocess.run(command, check=True, capture_output=True)
        return port

    yield begin
    if (tmp_path / "nginx.pid").exists():
        os.kill(int((tmp_path / "nginx.pid").read_text()), signal.SIGTERM)


@pytest.mark.skipif(NGINX is None, reason="there is no nginx")
def test_a_stream_comes_through_nginx_as_it_is_made(start: Start, server: str, proxied: Proxied):
    served = start(server=server)
    answer = Answer(proxied(served.port), "/hold")
    assert answer.line() == b"held\n"  # while the rest of it is not made yet
    served.wait_for("held")
    served.release()
    assert answer.rest()["number"] == 1


@pytest.mark.skipif(NGINX is None, reason="there is no nginx")
def test_nginx_keeps_the_metrics_from_the_world(start: Start, proxied: Proxied):
    served = start()
    assert Answer(proxied(served.port), "/metrics").status == 404


def test_the_gateways_of_the_compose_file_share_their_files():
    compose = (DEPLOY / "compose.yaml").read_text()
    (folder,) = re.findall(r"POLYVOX_GATEWAY__FILES: (\S+)", compose)
    assert compose.count(f"- files:{folder}\n") == 2
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert f"install -d -o polyvox -m 0700 {folder}" in dockerfile, "else it is root's"
