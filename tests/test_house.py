"""The house itself: sizes that stay readable, rooms that say what they are for, clean files."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "polyvox"
SOURCES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted(init.parent for init in PACKAGE.glob("*/__init__.py"))
GATEWAY = sorted(init.parent for init in PACKAGE.glob("gateway/**/__init__.py"))
LOCKS = {group: ROOT / f"requirements-{group}.lock" for group in ("dev", "bench", "peers")}

# Written as patterns, which do not match themselves.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root)/|(?<![\w.])/(?:home|Users)/\w+/")
REGISTRY_HOST = re.compile(
    r"\b(?:pypi|pythonhosted|npmjs|yarnpkg|crates)\.(?:org|com|io)\b|\bproxy\.golang\.",
    re.IGNORECASE,
)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked_files() -> list[Path]:
    """What git tracks or would track; in an unpacked archive, what lies in the usual places."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        found = [ROOT / os.fsdecode(name) for name in done.stdout.split(b"\0") if name]
    except (OSError, subprocess.CalledProcessError):
        places = ("src", "tests", "docs", "examples", "tools", "bench")
        found = [path for place in places for path in (ROOT / place).rglob("*")]
        found = [path for path in found if "__pycache__" not in path.parts] + [*ROOT.glob("*.*")]
    return sorted(path for path in found if path.is_file())


def lines_matching(pattern: re.Pattern[str]) -> Iterator[str]:
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.split("\n"), start=1):
            if pattern.search(line):
                yield f"{relative(path)}:{number}: {line.strip()[:120]}"


def functions() -> list[tuple[str, int, int]]:
    """Of every function in src: where it is, its lines, its parameters."""
    return [
        (
            f"{relative(path)}:{node.lineno} {node.name}",
            node.end_lineno - node.lineno + 1,
            len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]),
        )
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_the_tree_is_really_looked_at():
    names = {relative(path) for path in tracked_files()}
    assert {"pyproject.toml", "src/polyvox/__init__.py", "tests/test_house.py"} <= names
    assert SOURCES
    assert ROOMS


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (MACHINE_PATH, "open('/{}/main/x')".format("work")),
        (MACHINE_PATH, "/{}/ada/polyvox".format("home")),
        (MACHINE_PATH, " /{}/.cache".format("root")),
        (REGISTRY_HOST, "--index-url https://{}/simple".format("pypi" + ".org")),
        (REGISTRY_HOST, "https://files.{}/packages".format("pythonhosted" + ".org")),
        (REGISTRY_HOST, "https://registry.{}/x".format("npmjs" + ".org")),
    ],
)
def test_the_patterns_find_what_they_are_for(pattern: re.Pattern[str], text: str):
    assert pattern.search(text)


@pytest.mark.parametrize("text", ["https://a.example/work/x", "../work/y", "docs/home/index/"])
def test_the_patterns_leave_ordinary_paths_alone(text: str):
    assert not MACHINE_PATH.search(text)


def test_no_file_names_a_path_of_somebodys_machine():
    assert list(lines_matching(MACHINE_PATH)) == []


def test_no_file_names_a_package_registry():
    assert list(lines_matching(REGISTRY_HOST)) == []


def test_no_source_file_is_longer_than_450_lines():
    lengths = {relative(path): path.read_text(encoding="utf-8").count("\n") for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > 450} == {}


def test_functions_stay_in_the_readable_band():
    lengths = sorted(length for _, length, _ in functions())
    assert median(lengths) <= 12
    assert lengths[int(len(lengths) * 0.95)] < 50


def test_no_function_is_longer_than_100_lines():
    assert [(where, length) for where, length, _ in functions() if length > 100] == []


def test_no_function_takes_more_than_eight_parameters():
    # `self` is not something a caller thinks about, hence nine.
    assert [(where, count) for where, _, count in functions() if count > 9] == []


def test_only_one_module_guesses_what_was_meant():
    guessing = [path for path in SOURCES if "get_close_matches" in path.read_text(encoding="utf-8")]
    assert [relative(path) for path in guessing] == ["src/polyvox/suggestions.py"]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_says_what_belongs_there_and_what_is_public(room: Path):
    tree = ast.parse((room / "__init__.py").read_text(encoding="utf-8"))
    docstring = ast.get_docstring(tree) or ""
    assert "Belongs here:" in docstring
    assert "Does not belong here:" in docstring
    targets = [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    ]
    assert "__all__" in targets


@pytest.mark.parametrize("room", GATEWAY, ids=lambda room: room.name)
def test_a_room_of_the_gateway_names_its_modules(room: Path):
    index = (room / "__init__.py").read_text(encoding="utf-8")
    modules = {path.name for path in room.glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"\w+\.py\b", index)) == modules


def required(group: str) -> Iterator[Requirement]:
    """What pyproject.toml asks for in a dependency group, the core dependencies included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    yield from map(Requirement, project["project"]["dependencies"])
    extras = project["project"]["optional-dependencies"]
    wanted = {"dev": extras.keys() - {"litellm"}, "bench": {"cli", "litellm"}, "peers": set[str]()}
    for extra in wanted[group]:
        yield from map(Requirement, extras[extra])
    waiting = [group]
    while waiting:
        for item in project["dependency-groups"][waiting.pop()]:
            if isinstance(item, str):
                yield Requirement(item)
            else:
                waiting.append(item["include-group"])


def locked(group: str) -> dict[str, list[str]]:
    """The versions of each package: more than one where that depends on the version of Python."""
    pins = re.findall(
        r"^([\w.-]+)==([^\s;]+)", LOCKS[group].read_text(encoding="utf-8"), re.MULTILINE
    )
    versions: dict[str, list[str]] = {}
    for name, version in pins:
        versions.setdefault(canonicalize_name(name), []).append(version)
    return versions


@pytest.mark.parametrize("group", sorted(LOCKS))
def test_what_pyproject_asks_for_is_locked(group: str):
    pins = locked(group)
    for requirement in required(group):
        versions = pins.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement.name} is not in {LOCKS[group].name}: run 'make lock'"
        for version in versions:
            assert requirement.specifier.contains(version), f"{requirement} is locked as {version}"


@pytest.mark.parametrize("group", sorted(LOCKS))
def test_every_pin_is_exact_and_hashed(group: str):
    text = LOCKS[group].read_text(encoding="utf-8").replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert len(entries) == sum(map(len, locked(group).values()))
    assert [entry[:60] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(ZipFile(wheel).namelist())
    ours = {path.relative_to(ROOT / "src") for path in tracked_files() if PACKAGE in path.parents}
    assert {path.as_posix() for path in ours} - packed == set()
    # Nothing that Python would run by itself, such as a .pth file beside the package.
    assert {name.partition("/")[0].partition("-")[0] for name in packed} == {"polyvox"}


def test_whoever_installs_the_package_alone_gets_two_others():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    names = {Requirement(each).name for each in project["project"]["dependencies"]}
    assert names == {"msgspec", "aiohttp"}


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    code = "import polyvox; print(polyvox.__version__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == project["project"]["version"]
