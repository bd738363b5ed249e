"""`polyvox completion`: the scripts, and what they offer."""

import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import COMMAND, Run


def offered(run: Run, words: str, place: int) -> list[str]:
    """What bash would be offered for the word at this place."""
    env = {"_POLYVOX_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)}
    return [line.partition(",")[2] for line in run(env=env).stdout.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_every_shell(run: Run, shell: str):
    done = run("completion", shell)
    assert done.returncode == 0
    assert "_POLYVOX_COMPLETE" in done.stdout


def test_commands_complete(run: Run):
    assert offered(run, "polyvox mo", 1) == ["mock", "models"]


def test_models_complete(run: Run):
    assert offered(run, "polyvox ask -m simulated/l", 3) == ["simulated/lorem"]
    assert "anthropic/claude-sonnet-4-5" in offered(run, "polyvox chat -m anthropic/claude-s", 3)


def test_names_of_the_configuration_complete(run: Run, tmp_path: Path):
    text = "[aliases]\nquick = 'simulated/echo'\n[routers.quiz]\ndeployments = ['quick']\n"
    (tmp_path / "polyvox.toml").write_text(
        f"{text}[deployments.quarry]\nmodel = 'simulated/echo'\n", "utf-8"
    )
    (tmp_path / "other.toml").write_text("[aliases]\nquaint = 'simulated/echo'\n", "utf-8")
    assert offered(run, "polyvox ask -m qu", 3) == ["quarry", "quick", "quiz"]
    assert offered(run, "polyvox chat --config other.toml -m qu", 5) == ["quaint"]
    assert offered(run, "polyvox ask -m simulated/l", 3) == ["simulated/lorem"]


def test_a_wrong_configuration_is_no_reason_to_complete_nothing(run: Run, tmp_path: Path):
    (tmp_path / "polyvox.toml").write_text("[rotuers\n", "utf-8")
    assert offered(run, "polyvox ask -m simulated/l", 3) == ["simulated/lorem"]
    (tmp_path / "polyvox.toml").write_text("[aliases]\nsim = 'x'\n", "utf-8")
    assert offered(run, "polyvox ask -m sim", 3)[:2] == ["sim", "simulated/a"]


def test_dialects_and_providers_complete(run: Run):
    assert offered(run, "polyvox mock --dialect anth", 3) == ["anthropic-messages"]
    assert offered(run, "polyvox ask --dialect openai-c", 3) == ["openai-chat"]
    assert offered(run, "polyvox models --live groq", 3) == ["groq"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_takes_the_script(run: Run, environment: dict[str, str], tmp_path: Path):
    (tmp_path / "polyvox").write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    (tmp_path / "polyvox").chmod(0o755)
    (tmp_path / "script").write_text(run("completion", "bash").stdout)
    program = (
        "source ./script; COMP_WORDS=(polyvox ask -m simulated/e); COMP_CWORD=3;"
        ' _polyvox_completion polyvox; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", program],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment | {"PATH": f"{tmp_path}:{environment['PATH']}"},
        timeout=60,
    )
    assert done.stdout == "simulated/echo\n", done.stderr
