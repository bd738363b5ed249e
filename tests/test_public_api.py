"""The public API, written down: a change to a name or a signature shows up in a diff.

`POLYVOX_UPDATE_SNAPSHOTS=1 pytest tests/test_public_api.py` rewrites tests/public_api.txt.
"""

import ast
import importlib
import inspect
import os
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import polyvox

PACKAGE = Path(polyvox.__file__).parent
SNAPSHOT = Path(__file__).with_name("public_api.txt")

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public_modules() -> Iterator[ModuleType]:
    """The front door, then every room and top-level module that says what is public."""
    yield polyvox
    files = [*PACKAGE.glob("*.py"), *PACKAGE.glob("*/__init__.py")]
    names = {path.parent.name if path.name == "__init__.py" else path.stem for path in files}
    for name in sorted(names - {PACKAGE.name}):
        if not name.startswith("_"):
            module = importlib.import_module(f"polyvox.{name}")
            if hasattr(module, "__all__"):
                yield module


@cache
def definitions(module: str) -> dict[str, Definition]:
    """The classes and functions at the top of a module, as they are written."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    return {node.name: node for node in tree.body if isinstance(node, Definition)}


def signature(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    prefix = "async def" if isinstance(function, ast.AsyncFunctionDef) else "def"
    marks = "".join(f"@{ast.unparse(mark)} " for mark in function.decorator_list)
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"{marks}{prefix} {function.name}({ast.unparse(function.args)}){returns}"


def members(node: ast.ClassDef) -> Iterator[str]:
    """Fields, and methods that a caller may use."""
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and not ast.unparse(item.target).startswith("_"):
            yield ast.unparse(item)
        elif isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            special = item.name.startswith("__") and item.name.endswith("__")
            if special or not item.name.startswith("_"):
                yield signature(item)


def described(name: str, value: object) -> list[str]:
    module = getattr(value, "__module__", "")
    if isinstance(value, ModuleType):
        return [f"module {name}"]
    if (inspect.isclass(value) or inspect.isfunction(value)) and module.startswith("polyvox"):
        node = definitions(module).get(value.__name__)
        if isinstance(node, ast.ClassDef):
            heads = ", ".join(ast.unparse(base) for base in [*node.bases, *node.keywords])
            return [f"class {name}({heads})", *(f"    {member}" for member in members(node))]
        if node is not None:
            return [signature(node)]
    if options := typing.get_args(value):
        return [f"{name} = {' | '.join(getattr(o, '__name__', repr(o)) for o in options)}"]
    return [f"{name}: {type(value).__name__}"]


def public_api() -> str:
    front_door, *rooms = public_modules()
    homes = {name: module for module in rooms for name in module.__all__}
    lines: list[str] = []
    for module in (front_door, *rooms):
        lines.append(f"# {module.__name__}")
        for name in sorted(module.__all__):
            value = getattr(module, name)
            if module is front_door and getattr(homes.get(name), name, None) is value:
                lines.append(f"{name} (from {homes[name].__name__})")
            else:
                lines.extend(described(name, value))
        lines.append("")
    return "\n".join(lines)


def test_the_public_api_is_the_one_written_down():
    found = public_api()
    if os.environ.get("POLYVOX_UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(found, encoding="utf-8")
    written = SNAPSHOT.read_text(encoding="utf-8")
    assert found.splitlines() == written.splitlines(), (
        "The public API changed. If you mean it: "
        "POLYVOX_UPDATE_SNAPSHOTS=1 pytest tests/test_public_api.py, and a line in CHANGELOG.md."
    )


@pytest.mark.parametrize("module", [m.__name__ for m in public_modules()])
def test_every_public_name_is_there_once(module: str):
    loaded = importlib.import_module(module)
    names = list(loaded.__all__)
    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(loaded, name)] == []


def test_the_front_door_lists_its_names():
    assert set(polyvox.__all__) <= set(dir(polyvox))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        polyvox.no_such_name  # noqa: B018
