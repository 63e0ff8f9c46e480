"""The language of item conditions: what may be written, and its value where facts are missing.

A condition compares numbers, texts and flags of a fixed vocabulary::

    dc and (tpp >= 4800 or (tpp >= 1600 and density >= 5.92))

It is parsed by Python's grammar and then walked: comparisons, ``and``, ``or``, ``not``, the four
operations, numbers, texts and sets of texts are all there is. Nothing is called, no attribute is
reached, no code is run. Truth has three values (Kleene 1938): a comparison with a missing number
is unknown unless the bounds of the number decide it.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from chipwise.errors import BadInput

__all__ = [
    "KINDS",
    "Expression",
    "Span",
    "Truth",
    "Word",
    "evaluate",
    "holds",
    "parse",
    "syntax",
]

# What a name stands for. Numbers are in the units in which rules are written: TPP in TOPS × bit,
# density for each mm², bandwidths in GB/s, process in nm, transistors in 10⁹.
KINDS: Mapping[str, str] = {
    "tpp": "number",
    "density": "number",
    "memory_bandwidth": "number",
    "io_bandwidth": "number",
    "link_bandwidth": "number",
    "memory_density": "number",
    "process": "number",
    "transistors": "number",
    "year": "number",
    "dc": "flag",
    "sold_in_us": "flag",
    "hbm_stack": "flag",
    "us_technology": "flag",
    "chip": "text",
    "vendor": "text",
    "country": "text",
}
_LONGEST, _DEEPEST, _HIGHEST = 4000, 40, 1e30
_SHOWN: Mapping[bool | None, str] = {True: "yes", False: "no", None: "unknown"}

_COMPARE: Mapping[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "≥"),
    ast.LtE: ("≤", ">"),
    ast.Gt: (">", "≤"),
    ast.GtE: ("≥", "<"),
    ast.Eq: ("=", "≠"),
    ast.NotEq: ("≠", "="),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
_OPERATE: Mapping[type[ast.operator], tuple[str, Callable[[float, float], float]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("−", operator.sub),
    ast.Mult: ("×", operator.mul),
    ast.Div: ("/", operator.truediv),
}


@dataclass(frozen=True, slots=True)
class Span:
    """A number between two bounds, equal where it is known, and how it is written."""

    low: float
    high: float
    text: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Word:
    """A text, None where it is unknown."""

    value: str | None
    text: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Truth:
    """True, false or (None) unknown; `missing` names the facts that would decide."""

    value: bool | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A condition that was read and found to keep to the language.

    `names` are those of the vocabulary that it uses; `chips` the ids that it names.
    """

    source: str
    tree: ast.expr
    names: frozenset[str]
    chips: frozenset[str]


_Scope = Callable[[str], Span | Word | Truth]


# -- reading -------------------------------------------------------------------------------------


def _fragment(source: str, node: ast.AST) -> str:
    column = getattr(node, "col_offset", 0) + 1
    return f"{ast.get_source_segment(source, node)!r} (column {column})"


def _value(node: ast.expr, source: str) -> str | None:
    """Kind of a constant or an operation, None where it is neither."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool | str):
            return "flag" if isinstance(node.value, bool) else "text"
        if isinstance(node.value, int | float) and abs(node.value) < _HIGHEST:
            return "number"
        raise BadInput(f"{_fragment(source, node)} is no finite number")
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return "number" if _kind(node.operand, source) == "number" else None
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATE:
        sides = {_kind(node.left, source), _kind(node.right, source)}
        return "number" if sides == {"number"} else None
    return None


def _comparison(node: ast.Compare, source: str) -> str:
    sides = [node.left, *node.comparators]
    for one, op, other in zip(sides, node.ops, sides[1:], strict=False):
        kinds = (_kind(one, source), _kind(other, source))
        if isinstance(op, ast.In | ast.NotIn):
            fits = kinds == ("text", "set")
        elif isinstance(op, ast.Eq | ast.NotEq):
            fits = kinds in (("number", "number"), ("text", "text"))
        else:
            fits = type(op) in _COMPARE and kinds == ("number", "number")
        if not fits:
            raise BadInput(
                f"{_fragment(source, node)} compares a {kinds[0]} with a {kinds[1]}; "
                "number with number, text with text, or text in a set was expected"
            )
    return "flag"


def _set(node: ast.Set, source: str) -> str:
    if all(isinstance(e, ast.Constant) and isinstance(e.value, str) for e in node.elts):
        return "set"
    raise BadInput(f"a set of texts in quotes was expected, not {_fragment(source, node)}")


def _kind(node: ast.expr, source: str) -> str:
    """Kind of an expression; whatever is not of the language is refused."""
    if isinstance(node, ast.Name):
        if node.id not in KINDS:
            raise BadInput(f"unknown name {_fragment(source, node)}; known are {', '.join(KINDS)}")
        return KINDS[node.id]
    if isinstance(node, ast.Set):
        return _set(node, source)
    if isinstance(node, ast.BoolOp):
        return _flags(node.values, source)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _flags([node.operand], source)
    if isinstance(node, ast.Compare):
        return _comparison(node, source)
    found = _value(node, source)
    if found is None:
        raise BadInput(
            f"{_fragment(source, node)} is not allowed; comparisons, and, or, not, + - * /, "
            "numbers, texts and sets of texts are"
        )
    return found


def _flags(nodes: list[ast.expr], source: str) -> str:
    for node in nodes:
        if _kind(node, source) != "flag":
            raise BadInput(f"a comparison or a flag was expected, not {_fragment(source, node)}")
    return "flag"


def _depth(node: ast.AST) -> int:
    return 1 + max((_depth(child) for child in ast.iter_child_nodes(node)), default=0)


def syntax(source: str, called: str, *, longest: int, deepest: int) -> ast.expr:
    """The syntax tree of one expression, of bounded length and depth; nothing is run.

    Parameters
    ----------
    source : str
        The expression.
    called : str
        What it is called where it is refused, as ``condition``.
    longest, deepest : int
        Most characters, most levels.

    Raises
    ------
    BadInput
        If it is none, or too long or deep.
    """
    if len(source) > longest:
        raise BadInput(f"the {called} has {len(source)} characters; at most {longest} may stand")
    try:
        tree = ast.parse(source.strip(), mode="eval").body
        deep = _depth(tree)
    except SyntaxError as error:
        raise BadInput(f"no {called}: {error.msg} (column {error.offset}): {source!r}") from None
    except (RecursionError, MemoryError, ValueError):
        raise BadInput(f"the {called} is nested too deeply, or holds what no text may") from None
    if deep > deepest:
        raise BadInput(f"the {called} is nested {deep} deep; at most {deepest} may stand")
    return tree


def _grammar(source: str) -> ast.expr:
    if len(source) <= _LONGEST and not source.isascii():
        strange = next(c for c in source if not c.isascii())
        raise BadInput(f"the condition holds {strange!r}; plain ASCII was expected")
    return syntax(source, "condition", longest=_LONGEST, deepest=_DEEPEST)


@lru_cache(maxsize=1024)
def parse(source: str) -> Expression:
    """A condition, read and checked.

    Raises
    ------
    BadInput
        Says which part is not of the language, and what is.

    Examples
    --------
    >>> sorted(parse("dc and tpp >= 4800").names)
    ['dc', 'tpp']
    >>> parse("__import__('os').system('ls')")
    Traceback (most recent call last):
    ...
    chipwise.errors.BadInput: "__import__('os').system('ls')" (column 1) is not allowed; \
comparisons, and, or, not, + - * /, numbers, texts and sets of texts are
    """
    tree, text = _grammar(source), source.strip()
    if _kind(tree, text) != "flag":
        raise BadInput(f"a comparison or a flag was expected, not {text!r}")
    walked = list(ast.walk(tree))
    names = frozenset(n.id for n in walked if isinstance(n, ast.Name))
    sets = [n for n in walked if isinstance(n, ast.Compare) and _of_chip(n)]
    texts = {c.value for n in sets for c in ast.walk(n) if isinstance(c, ast.Constant)}
    return Expression(text, tree, names, frozenset(t for t in texts if isinstance(t, str)))


def _of_chip(node: ast.Compare) -> bool:
    """Whether a comparison names chips: ``chip in {...}``, ``chip == "..."``."""
    named = isinstance(node.left, ast.Name) and node.left.id == "chip"
    return named and all(isinstance(op, ast.In | ast.Eq) for op in node.ops)


# -- truth ---------------------------------------------------------------------------------------


def _all(parts: list[Truth], *, decisive: bool) -> Truth:
    """Truth of parts of which one that is `decisive` settles the whole."""
    if any(p.value is decisive for p in parts):
        return Truth(decisive)
    open_ = [p for p in parts if p.value is None]
    if open_:
        return Truth(None, tuple(dict.fromkeys(m for p in open_ for m in p.missing)))
    return Truth(not decisive)


def _figure(value: float) -> str:
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.2f}".rstrip("0") if abs(value) >= 0.01 else f"{value:.3g}"


def _arithmetic(node: ast.BinOp, scope: _Scope) -> Span:
    left, right = _number(node.left, scope), _number(node.right, scope)
    sign, operate = _OPERATE[type(node.op)]
    missing = tuple(dict.fromkeys(left.missing + right.missing))
    text = f"{left.text} {sign} {right.text}"
    bounds = (left.low, left.high, right.low, right.high)
    by_zero = isinstance(node.op, ast.Div) and right.low <= 0 <= right.high
    if by_zero or (not isinstance(node.op, ast.Add) and not all(map(math.isfinite, bounds))):
        return Span(-math.inf, math.inf, text, missing)
    if isinstance(node.op, ast.Add):
        low, high = left.low + right.low, left.high + right.high
    else:
        corners = [operate(a, b) for a in bounds[:2] for b in bounds[2:]]
        low, high = min(corners), max(corners)
    total = f"{text} = {_figure(low)}" if low == high else text
    return Span(low, high, total, missing)


def _number(node: ast.expr, scope: _Scope) -> Span:
    if isinstance(node, ast.BinOp):
        return _arithmetic(node, scope)
    if isinstance(node, ast.UnaryOp):
        of = _number(node.operand, scope)
        return Span(-of.high, -of.low, f"−{of.text}", of.missing)
    if isinstance(node, ast.Constant):
        value = float(node.value)  # type: ignore[arg-type] # _kind saw a number
        return Span(value, value, _figure(value))
    found = scope(node.id)  # type: ignore[attr-defined] # _kind saw a name
    return found if isinstance(found, Span) else Span(-math.inf, math.inf, "?")


def _ordered(op: ast.cmpop, one: Span, other: Span) -> bool | None:
    """Whether bounds decide ``one op other``."""
    below, above = one.high < other.low, one.low > other.high
    equal = one.low == one.high == other.low == other.high
    sure, never = {
        ast.Lt: (below, above or equal or one.low >= other.high),
        ast.LtE: (one.high <= other.low, above),
        ast.Gt: (above, below or equal or one.high <= other.low),
        ast.GtE: (one.low >= other.high, below),
        ast.Eq: (equal, below or above),
        ast.NotEq: (below or above, equal),
    }[type(op)]
    return True if sure else False if never else None


def _texts(node: ast.expr, scope: _Scope) -> Word:
    if isinstance(node, ast.Constant):
        return Word(str(node.value), str(node.value))
    found = scope(node.id)  # type: ignore[attr-defined] # _kind saw a name
    return found if isinstance(found, Word) else Word(None, "?")


def _member(op: ast.cmpop, one: Word, options: frozenset[str]) -> Truth:
    if one.value is None:
        return Truth(None, one.missing)
    return Truth((one.value in options) == isinstance(op, ast.In | ast.Eq))


def _listed(options: frozenset[str]) -> str:
    return ", ".join(sorted(options))


def _compared(
    op: ast.cmpop, one: ast.expr, other: ast.expr, scope: _Scope, lines: list[str]
) -> Truth:
    sign = _COMPARE[type(op)][0]
    if isinstance(other, ast.Set) or "text" in (_kind(one, ""), _kind(other, "")):
        word = _texts(one, scope)
        options = (
            frozenset(str(e.value) for e in other.elts if isinstance(e, ast.Constant))
            if isinstance(other, ast.Set)
            else frozenset({_texts(other, scope).text})
        )
        truth = _member(op, word, options)
        lines.append(f"{word.text} {sign} {_listed(options)}: {_SHOWN[truth.value]}")
        return truth
    left, right = _number(one, scope), _number(other, scope)
    value = _ordered(op, left, right)
    missing = tuple(dict.fromkeys(left.missing + right.missing)) if value is None else ()
    lines.append(f"{left.text} {sign} {right.text}: {_SHOWN[value]}")
    return Truth(value, missing)


def _truth(node: ast.expr, scope: _Scope, lines: list[str]) -> Truth:
    if isinstance(node, ast.BoolOp):
        # Every part is looked at, also once the whole is decided: each comparison is shown.
        parts = [_truth(v, scope, lines) for v in node.values]
        return _all(parts, decisive=isinstance(node.op, ast.Or))
    if isinstance(node, ast.UnaryOp):
        of = _truth(node.operand, scope, lines)
        return Truth(None if of.value is None else not of.value, of.missing)
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        pairs = zip(node.ops, sides, sides[1:], strict=False)
        return _all([_compared(op, a, b, scope, lines) for op, a, b in pairs], decisive=False)
    if isinstance(node, ast.Constant):
        return Truth(bool(node.value))
    found = scope(node.id)  # type: ignore[attr-defined] # _kind saw a name
    if not isinstance(found, Truth):
        return Truth(None, (node.id,))  # type: ignore[attr-defined]
    lines.append(f"{node.id}: {_SHOWN[found.value]}")  # type: ignore[attr-defined]
    return found


def evaluate(of: Expression, scope: _Scope) -> tuple[Truth, tuple[str, ...]]:
    """Truth of a condition, and every comparison with its numbers.

    Parameters
    ----------
    of : Expression
        As `parse` gives it.
    scope : callable
        Name of the vocabulary → its value.
    """
    lines: list[str] = []
    truth = _truth(of.tree, scope, lines)
    return truth, tuple(dict.fromkeys(lines))


def holds(condition: str, values: Mapping[str, float | bool | str | None]) -> bool | None:
    """Whether a condition holds for plain values; None where it cannot be told.

    Examples
    --------
    >>> holds("tpp >= 1600 and density >= 5.92", {"tpp": 1936.0, "density": 6.59})
    True
    >>> holds("tpp >= 1600 and density >= 5.92", {"tpp": 1936.0}) is None
    True
    """

    def scope(name: str) -> Span | Word | Truth:
        value, kind = values.get(name), KINDS[name]
        missing = (name,) if value is None else ()
        if kind == "flag":
            return Truth(None if value is None else bool(value), missing)
        if kind == "text":
            return Word(None if value is None else str(value), str(value), missing)
        if value is None or isinstance(value, str) or math.isnan(value):
            return Span(-math.inf, math.inf, name, (name,))
        return Span(float(value), float(value), name)

    return evaluate(parse(condition), scope)[0].value
