"""Templates, rendered without doing harm, whoever wrote them.

Jinja's sandbox keeps a template from what is none of its business. It bounds neither time nor memory, and
what it forbids is a list that had holes before. So here what a template may say is a list instead:
statements, operators, filters, tests and methods that are known, on values that JSON can hold; no attribute
of a Python object is ever looked up by a name from a template. And every loop, text and list is paid for
out of a purse (``purse``).

Source: "Sandbox" and "The Low Level API" in Jinja's documentation.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from polyvox.errors import BadRequestError
from polyvox.gateway.prompts import filters
from polyvox.gateway.prompts.purse import NODE, Json, Purse
from polyvox.suggestions import did_you_mean

__all__ = ["MAX_OUTPUT", "MAX_SOURCE", "Source", "compiled", "environment", "render"]

MAX_SOURCE = 64_000
"""How many characters a message of a template may have."""

MAX_OUTPUT = 4_000_000
"""... and what becomes of all of them."""

_STATEMENTS = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Assign)
_EXPRESSIONS = (
    nodes.Name, nodes.Const, nodes.TemplateData, nodes.Tuple, nodes.List, nodes.Dict, nodes.Pair,
    nodes.Keyword, nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Getattr, nodes.Getitem, nodes.Slice,
    nodes.Call, nodes.Concat, nodes.Compare, nodes.Operand, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div,
    nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos, nodes.Not, nodes.And, nodes.Or,
)  # fmt: skip
_ALLOWED = frozenset((*_STATEMENTS, *_EXPRESSIONS))
_LOOP = frozenset(
    ("index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "previtem",
     "nextitem", "cycle")
)  # fmt: skip
_MOST_BITS = 256
_MOST_NODES = 5_000


class _Environment(ImmutableSandboxedEnvironment):
    """Knows what is on the lists, and nothing else."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self) -> None:
        super().__init__(
            undefined=StrictUndefined,
            finalize=filters.shown,
            autoescape=False,
            optimized=False,
            trim_blocks=True,
            lstrip_blocks=True,
            cache_size=0,
        )
        own = {"_paid": filters.paid, "_joined": filters.joined, "_each": filters.each}
        self.filters = {**filters.FILTERS, **own}
        tests: dict[str, Any] = self.tests
        self.tests = {name: tests[name] for name in filters.TESTS}
        self.globals = {"range": range}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """What an object has under a key, or a method that is on the list."""
        if isinstance(obj, Undefined):
            return obj
        kind = cast("type[Any]", type(obj))
        if kind is dict and attribute in obj:
            return obj[attribute]
        if attribute in filters.METHODS.get(kind, ()):
            return getattr(obj, attribute)
        if kind is LoopContext and attribute in _LOOP:
            return getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """What a list or an object has at a place."""
        if isinstance(obj, Undefined):
            return obj
        if type(obj) in (dict, list, tuple, str):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        return self.undefined(obj=obj, name=argument)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """What a function or method of the lists gives."""
        if __obj is not range and not _is_listed(__obj):
            if isinstance(__obj, Undefined):
                __obj()  # raises, and names it
            raise SecurityError("only range(...) and methods of texts and objects can be called")
        made: Any = __context.call(__obj, *args, **kwargs)
        if type(made) in (str, list):
            filters.purse_of(__context).weigh(made)
        return made

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic with numbers; of texts and lists only ``+``."""
        if operator == "+" and type(left) is type(right) and type(left) in (str, list):
            purse = filters.purse_of(context)
            purse.spend(NODE + len(left) + len(right))
            made = left + right
            purse.weigh(made)
            return made
        for each in (left, right):
            if isinstance(each, Undefined):
                str(each)  # raises, and names it
            if not isinstance(each, int | float):
                raise BadRequestError(f"{operator} is for numbers, not for a {type(each).__name__}")
            if isinstance(each, int) and each.bit_length() > _MOST_BITS:
                raise BadRequestError("a number in it is too large")
        return self.binop_table[operator](left, right)


class Source:
    """A text in the language of Jinja: what it may be, as what it can be run."""

    def __init__(self, run: Template, variables: frozenset[str]) -> None:
        self.run = run
        self.variables = variables


def compiled(environment: ImmutableSandboxedEnvironment, text: str) -> Source:
    """The text, ready to be rendered. Raises ``BadRequestError`` that names the line."""
    if len(text) > MAX_SOURCE:
        raise BadRequestError(f"it has {len(text):,} characters, more than {MAX_SOURCE:,}")
    try:
        tree = environment.parse(text)
        if sum(1 for _ in tree.find_all(nodes.Node)) > _MOST_NODES:
            raise BadRequestError(f"it has more than {_MOST_NODES:,} statements and values")
        tree = _Rewriter().visit(tree)
        variables = find_undeclared_variables(tree) - {"range"}
        code = environment.compile(tree)
        run = Template.from_code(environment, code, environment.make_globals(None))
    except TemplateSyntaxError as error:
        raise BadRequestError(f"line {error.lineno}: {error.message}") from None
    except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError, TemplateError):
        raise BadRequestError("it is nested too deeply, or holds a value too large") from None
    return Source(run, frozenset(variables))


def render(sources: Sequence[Source], variables: Mapping[str, Json]) -> list[str]:
    """What the texts become. Raises ``BadRequestError`` that says why one can't be rendered."""
    purse = Purse()
    purse.weigh(dict(variables))
    left, texts = MAX_OUTPUT, list[str]()
    for source in sources:
        texts.append(_rendered(source, {**variables, filters.PURSE: purse}, left))
        left -= len(texts[-1])
    return texts


def _rendered(source: Source, variables: Mapping[str, Any], room: int) -> str:
    pieces: list[str] = []
    try:
        for piece in source.run.generate(variables):
            pieces.append(piece)
            room -= len(piece)
            if room < 0:
                raise BadRequestError(f"it becomes longer than {MAX_OUTPUT:,} characters")
    except BadRequestError:
        raise
    except TemplateError as error:
        raise BadRequestError(error.message or type(error).__name__) from None
    except Exception as error:  # noqa: BLE001 - a template's own fault, whatever it is
        raise BadRequestError(f"{type(error).__name__}: {error}"[:500]) from None
    return "".join(pieces)


def environment() -> ImmutableSandboxedEnvironment:
    """Where templates live."""
    return _Environment()


class _Rewriter(NodeTransformer):
    """Refuses what is not on the lists, and has paid for what could become large."""

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        if type(node) not in _ALLOWED:
            name = type(node).__name__
            raise TemplateSyntaxError(f"{name} is nothing that a prompt may say", node.lineno)
        for name in ("dyn_args", "dyn_kwargs"):
            if getattr(node, name, None) is not None:
                raise TemplateSyntaxError("* and ** are not taken here", node.lineno)
        return super().generic_visit(node, *args, **kwargs)

    def visit_Name(self, node: nodes.Name) -> nodes.Node:  # noqa: N802
        if node.name.startswith("_"):
            raise TemplateSyntaxError(f"{node.name!r} begins with an underscore", node.lineno)
        return self.generic_visit(node)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        if node.recursive:
            raise TemplateSyntaxError("a loop may not be recursive", node.lineno)
        cost = NODE * sum(1 for _ in node.find_all(nodes.Node)) // 2
        self.generic_visit(node)
        node.iter = _filter(
            cast(nodes.Expr, node.iter), "_each", nodes.Const(cost, lineno=node.lineno)
        )
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802
        if node.name not in filters.FILTERS:
            raise TemplateSyntaxError(_no_such("filter", node.name, filters.FILTERS), node.lineno)
        return self.generic_visit(node)

    def visit_Test(self, node: nodes.Test) -> nodes.Node:  # noqa: N802
        if node.name not in filters.TESTS:
            raise TemplateSyntaxError(_no_such("test", node.name, filters.TESTS), node.lineno)
        return self.generic_visit(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), "_joined")

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _filter(node.expr, "_paid")
        for operand in node.ops:
            operand.expr = _filter(operand.expr, "_paid")
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(node, "_paid") if isinstance(node.arg, nodes.Slice) else node

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(node, "_paid") if node.ctx == "load" else node

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(node, "_paid")

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(node, "_paid")


def _filter(node: nodes.Expr, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


def _is_listed(called: Any) -> bool:
    """Whether it is a method that ``getattr`` gives."""
    kind = cast("type[Any]", type(getattr(called, "__self__", None)))
    name: str = getattr(called, "__name__", "")
    return name in filters.METHODS.get(kind, ()) or (kind is LoopContext and name == "cycle")


def _no_such(what: str, name: str, known: Mapping[str, Any] | frozenset[str]) -> str:
    return f"there is no {what} {name!r}{did_you_mean(name, known)}"
