"""How it starts: fast, with what it needs, and with a word when something is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

import polyvox

from .conftest import Run
from .terminal import Terminal

AGENT = str(Path(__file__).resolve().parents[2] / "examples" / "researcher.toml")
HEAVY = {"rich", "prompt_toolkit", "aiohttp", "pygments", "markdown_it"}


def modules_loaded(environment: dict[str, str], *arguments: str) -> set[str]:
    """The modules in the process when the command has run."""
    code = (
        "import sys\n"
        "from polyvox.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print('\\n' + ' '.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    return {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask", "-m", "openai/gpt-5-mini", "hi"),
        ("ask", "-m", "simulated/echo", "hi"),
        ("agent", "run", AGENT, "calculate 2 + 3"),
        ("models", "sonnet"),
        ("completion", "zsh"),
        ("--help",),
    ],
)
def test_only_what_is_used_is_loaded(environment: dict[str, str], arguments: tuple[str, ...]):
    loaded = modules_loaded(environment, *arguments)
    assert "click" in loaded
    assert loaded & HEAVY == set()


def test_help_loads_no_command(environment: dict[str, str]):
    loaded = modules_loaded(environment, "--help")
    assert "asyncio" not in loaded


def test_the_measurement_would_notice(environment: dict[str, str]):
    environment = {**environment, "POLYVOX_TRANSPORT": "aiohttp"}
    arguments = ("ask", "--base-url", "http://127.0.0.1:1", "-m", "x", "hi")
    assert "aiohttp" in modules_loaded(environment, *arguments)


def test_without_click_it_says_what_to_install(environment: dict[str, str]):
    code = "import sys; sys.modules['click'] = None; from polyvox.cli import main; main(['ask'])"
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 3
    assert "pip install 'polyvox[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("rich", ["models", "sonnet"]),
        ("rich", ["agent", "run", AGENT, "calculate 2 + 3"]),
        ("prompt_toolkit", ["chat", "-m", "simulated/echo"]),
        ("prompt_toolkit", ["agent", "run", AGENT, "delete the notes"]),
    ],
)
def test_without_the_rest_it_says_so_too(
    environment: dict[str, str], tmp_path: Path, module: str, arguments: list[str]
):
    code = f"import sys; sys.modules[{module!r}] = None; from polyvox.cli import main; main()"
    terminal = Terminal([sys.executable, "-c", code, *arguments], environment, tmp_path)
    try:
        terminal.expect("pip install 'polyvox[cli]'")
        assert terminal.wait() == 3
        assert "Traceback" not in terminal.seen
    finally:
        terminal.close()


def test_version(run: Run):
    assert run("--version").stdout == f"polyvox {polyvox.__version__}\n"


def test_no_command_shows_the_help(run: Run):
    done = run()
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: polyvox")


@pytest.mark.parametrize(
    "command", ["agent", "ask", "chat", "completion", "doctor", "mock", "models"]
)
def test_every_command_has_help_and_is_listed(run: Run, command: str):
    assert run(command, "-h").stdout.startswith(f"Usage: polyvox {command}")
    assert f"  {command} " in run("-h").stdout
