"""Median and 90th percentile of function and module lengths, beside what LAYOUT asks for."""

from __future__ import annotations

import ast
import io
import statistics
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / "chipwise"


def code_lines(text: str) -> set[int]:
    """Lines that hold code: neither blank, comment nor docstring."""
    tree = ast.parse(text)
    strings = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    skip = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skip and token.string:
            found |= set(range(token.start[0], token.end[0] + 1))
    return found - strings


def main() -> None:
    """Print one line for functions and one for modules."""
    functions, modules = [], []
    for path in sorted(ROOT.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        lines = code_lines(text)
        modules.append((len(lines), str(path.relative_to(ROOT))))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                own = lines & set(range(node.lineno, (node.end_lineno or 0) + 1))
                functions.append((len(own), f"{path.relative_to(ROOT)}:{node.name}"))
    for name, sizes in (("function", functions), ("module", modules)):
        ordered = sorted(sizes)
        middle = statistics.median(n for n, _ in ordered)
        tenth = ordered[int(len(ordered) * 0.9)][0]
        print(
            f"{name}s {len(ordered)}: code lines median {middle:g}, p90 {tenth}, "
            f"longest {ordered[-1][0]} ({ordered[-1][1]}), in all {sum(n for n, _ in ordered)}"
        )


if __name__ == "__main__":
    main()
