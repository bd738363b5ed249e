"""README and every page of the documentation: all their code runs, and does what they say.

Of each fenced block:

``python``    is run; the blocks of a page share their names; with a first line "# name.py" it is a
              module besides, that the rest of the page can import
``text``      is what the Python block before it prints; "..." stands for anything
``console``   holds commands after "$ ", run one by one, each with what it prints; a command that
              fails is followed by "$ echo $?"; one that ends with "&" serves until the page's end,
              and the port that the page shows for it stands for the one it really has
``js``        is run where node is, with the packages of tests/node
``json``      is well-formed, and so is ``yaml`` where there is somebody to read it
``toml``      too; with a first line "# name.toml" it is a file that the rest of the page can read
"""

import doctest
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("**/*.md")),
    *sorted((ROOT / "examples").glob("*.md")),
]
OUR_VARIABLES = re.compile(r"_API_KEY$|_BASE_URL$|_HOST$|_TOKEN$|_proxy$|^POLYVOX_", re.IGNORECASE)
PORT = re.compile(r"(?<=127\.0\.0\.1):\d+")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
OUTPUT_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Page:
    """Runs the blocks of one page, in order."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        self.variables = variables
        self.printed = ""
        self.left_out = False
        self.exports: list[str] = []
        self.ports: dict[str, str] = {}
        self.servers: list[subprocess.Popen[str]] = []
        self._run_python = PythonEvaluator()

    def parsers(self) -> list[CodeBlockParser]:
        evaluators: dict[str, Callable[[Example], None]] = {
            "python": self.python,
            "text": self.text,
            "js": self.js,
            "console": self.console,
            "toml": self.toml,
            "json": self.json,
            "yaml": self.yaml,
        }
        return [CodeBlockParser(language, run) for language, run in evaluators.items()]

    def python(self, example: Example) -> None:
        wants = re.search(r"litellm[/.]|import litellm", str(example.parsed))
        self.left_out = wants is not None and find_spec("litellm") is None
        if self.left_out:  # `make test` runs such a page once more where LiteLLM is
            return
        self.written(str(example.parsed), "py")
        printed = io.StringIO()
        with redirect_stdout(printed):
            self._run_python(example)
        self.printed = printed.getvalue()

    def text(self, example: Example) -> None:
        if not self.left_out:
            check_output(str(example.parsed), self.printed)

    def js(self, example: Example) -> None:
        self.left_out = shutil.which("node") is None
        if self.left_out:
            return
        packages = self.folder / "node_modules"
        if not packages.exists():
            packages.symlink_to(ROOT / ".node" / "node_modules")
        (self.folder / "page.mjs").write_text(str(example.parsed), encoding="utf-8")
        done = self.shell("node page.mjs")
        assert done.returncode == 0, done.stdout
        self.printed = done.stdout

    def toml(self, example: Example) -> None:
        text = str(example.parsed)
        tomllib.loads(text)
        self.written(text, "toml")

    def written(self, text: str, ending: str) -> None:
        name = re.match(rf"# ([\w.-]+\.{ending})\n", text)
        if name:
            (self.folder / name[1]).write_text(text, encoding="utf-8")
            if ending == "py":  # another page may have had a module of that name
                sys.modules.pop(Path(name[1]).stem, None)

    def yaml(self, example: Example) -> None:
        if find_spec("yaml") is not None:  # comes with LiteLLM, whose files these are
            import_module("yaml").safe_load(str(example.parsed))

    def json(self, example: Example) -> None:
        json.loads(str(example.parsed))

    def console(self, example: Example) -> None:
        status = 0
        for command, expected in commands(str(example.parsed)):
            assert status == 0 or command == "echo $?", "a failure must be told by '$ echo $?'"
            for shown, real in self.ports.items():
                command = command.replace(shown, real)
            if command.endswith("&"):
                self.serve(command.removesuffix("&").strip(), expected)
            elif command.startswith("export "):
                self.exports.append(command)
            elif runs_here(command):
                done = self.shell(f"(exit {status}); {command}")
                status = done.returncode
                if expected:
                    check_output(expected, done.stdout)
        assert status == 0, "a failure must be told by '$ echo $?'"

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", "\n".join([*self.exports, command])],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def serve(self, command: str, expected: str) -> None:
        server = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.servers.append(server)
        assert server.stdout is not None
        printed = "".join(server.stdout.readline() for _ in expected.splitlines())
        self.ports |= dict(zip(PORT.findall(expected), PORT.findall(printed), strict=True))
        check_output(PORT.sub("PORT", expected), PORT.sub("PORT", printed))

    def close(self) -> None:
        for server in self.servers:
            server.terminate()
            server.communicate()


def commands(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with what stands below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        while output and goes_on(command):
            line, _, output = output.partition("\n")
            command = f"{command}\n{line}"
        yield command.strip(), output.strip("\n")


def goes_on(command: str) -> bool:
    """Whether the shell wants another line: behind a backslash, and in quotes."""
    try:
        shlex.split(command)
    except ValueError:
        return True
    return False


def runs_here(command: str) -> bool:
    """False for what would set the project up or run these tests again: there the names are checked."""
    program, *words = command.split()
    if program == "make":
        subprocess.run(["make", "-n", *words], cwd=ROOT, check=True, capture_output=True)
        return False
    if program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        named = re.findall(r"polyvox\[([\w,]+)\]", command)
        wanted = {extra for names in named for extra in names.split(",")}
        assert wanted <= extras["optional-dependencies"].keys()
        return False
    return True


def check_output(expected: str, printed: str) -> None:
    expected, printed = expected.strip() + "\n", printed.strip() + "\n"
    if not doctest.OutputChecker().check_output(expected, printed, OUTPUT_FLAGS):
        raise AssertionError(f"the page says:\n{expected}\nbut it prints:\n{printed}")


@pytest.fixture
def page(
    tmp_path: Path, provider_variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Page]:
    """A page about to be run: in an empty folder, where only the mock providers have keys."""
    for name in [name for name in os.environ if OUR_VARIABLES.search(name)]:
        monkeypatch.delenv(name)
    for name, value in provider_variables.items():
        monkeypatch.setenv(name, value)
    programs, folder = tmp_path / "bin", tmp_path / "folder"
    programs.mkdir()
    folder.mkdir()
    (programs / "polyvox").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m polyvox.cli "$@"\n')
    (programs / "polyvox").chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it asks the network for one else
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    running = Page(folder, dict(os.environ))
    yield running
    running.close()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_code_of_a_page_runs(path: Path, page: Page, forbid_network: None):
    document = Sybil(parsers=page.parsers()).parse(path)
    blocks = list(document.examples())
    fences = re.findall(r"^ *```", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(blocks), "a block here has a language that nobody checks"
    for block in blocks:
        block.evaluate()


def test_links_between_pages_lead_somewhere():
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8")))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []
