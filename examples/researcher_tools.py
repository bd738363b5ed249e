"""The tools of the agent in researcher.toml: a small library, a calculator, notes. None needs a network.

python examples/researcher_tools.py ["QUESTION"]
"""

import ast
import operator
import sys
from collections.abc import Callable
from pathlib import Path

from polyvox import Agent, tool
from polyvox.tools import ToolContext, ToolRetry

HERE = Path(__file__).resolve().parent
LIBRARY = HERE / "library"
QUESTION = 'Search the documents for "spring tides", and calculate 3.57 * 7.'
NOTES: list[str] = []

OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@tool
def search_documents(query: str, context: ToolContext[None]) -> str:
    """Find the passages of the library that are about something.

    Args:
        query: the words to look for.
    """
    words = {word.strip(".,?!\"'").casefold() for word in query.split()}
    found: list[tuple[int, str]] = []
    for path in sorted(LIBRARY.glob("*.txt")):
        context.update(f"reads {path.name}")
        for passage in path.read_text("utf-8").split("\n\n")[1:]:
            hits = sum(word in passage.casefold() for word in words)
            found.append((hits, f"{path.stem}: {' '.join(passage.split())}"))
    best = max(hits for hits, _ in found)
    if not best:
        return f"Nothing in the library is about {query!r}."
    return "\n".join(passage for hits, passage in found if hits == best)


@tool
def calculate(expression: str) -> str:
    """Work out a sum.

    Args:
        expression: numbers with + - * / and brackets, such as "2 * (3 + 4)".
    """
    try:
        return f"{value_of(ast.parse(expression.strip(), mode='eval').body):.10g}"
    except (SyntaxError, ValueError, ZeroDivisionError, KeyError) as error:
        raise ToolRetry(f"{expression!r} is no sum that can be worked out: {error}") from error


@tool
def take_note(text: str) -> str:
    """Keep something in mind.

    Args:
        text: what to keep.
    """
    NOTES.append(text)
    return f"Note {len(NOTES)} is taken."


@tool(sequential=True)
def delete_notes() -> str:
    """Forget all notes."""
    count = len(NOTES)
    NOTES.clear()
    return f"{count} notes are gone."


def value_of(node: ast.AST) -> float:
    """What an expression comes to."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp(left, kind, right):
            return OPERATORS[type(kind)](value_of(left), value_of(right))
        case ast.UnaryOp(ast.USub(), operand):
            return -value_of(operand)
        case _:
            raise ValueError("only numbers, + - * / and brackets")


if __name__ == "__main__":
    agent = Agent.from_file(HERE / "researcher.toml")
    print(agent.run_sync(sys.argv[1] if len(sys.argv) > 1 else QUESTION).text)
