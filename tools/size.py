"""Sizes of the code beside what LAYOUT asks for, as a table: `python tools/size.py`.

Code lines are neither blank, comment nor docstring. Guidance, never a gate.
"""

from __future__ import annotations

import ast
import io
import statistics
import tokenize
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
_SKIP = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)


class Function(NamedTuple):
    """A function: code lines, parameters, where it is."""

    lines: int
    parameters: int
    place: str


def code_lines(text: str) -> set[int]:
    """Lines that hold code: neither blank, comment nor docstring."""
    strings = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _SKIP and token.string:
            found |= set(range(token.start[0], token.end[0] + 1))
    return found - strings


def texts(folder: str) -> dict[str, str]:
    """Python files below a folder by name."""
    above = ROOT / folder
    paths = sorted(above.rglob("*.py"))
    return {str(path.relative_to(above)): path.read_text(encoding="utf-8") for path in paths}


def functions(name: str, text: str) -> list[Function]:
    """Functions of a file, methods included."""
    lines = code_lines(text)
    return [
        Function(
            len(lines & set(range(node.lineno, (node.end_lineno or 0) + 1))),
            len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]),
            f"{name}:{node.name}",
        )
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]


def spread(sizes: list[int]) -> str:
    """Median, 90th percentile and the most."""
    tenth = sorted(sizes)[int(len(sizes) * 0.9)]
    return f"{statistics.median(sizes):g} / {tenth} / {max(sizes)}"


def over(limit: int, sizes: list[tuple[int, str]]) -> str:
    """How many are above a limit, the largest three by name."""
    above = sorted((each for each in sizes if each[0] > limit), reverse=True)
    named = ", ".join(f"{place} {size}" for size, place in above[:3])
    return f"{len(above)}" + (f" ({named})" if named else "")


def main() -> None:
    """Print the table."""
    package, tests = texts("chipwise"), texts("tests")
    found = [each for name, text in package.items() for each in functions(name, text)]
    lines = {name: text.count("\n") for name, text in package.items()}
    code = sum(len(code_lines(text)) for text in package.values())
    tested = sum(len(code_lines(text)) for text in tests.values())
    rows = (
        ("function, code lines: median / p90 / most", "8 / 30 /", spread([f.lines for f in found])),
        ("functions to look at twice, above 50", "", over(50, [(f.lines, f.place) for f in found])),
        ("parameters: median / p90 / most", "/ 5 / 8", spread([f.parameters for f in found])),
        ("module, lines: median / p90 / most", "100–400", spread(list(lines.values()))),
        ("modules to look at twice, above 600", "", over(600, [(n, m) for m, n in lines.items()])),
        ("source files", "55", str(len(package))),
        ("code lines", "10,000", f"{code:,}"),
        ("tests' code lines for each of the code", "≥ 1.2", f"{tested / code:.2f}"),
    )
    print("| what | guidance | measured |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
