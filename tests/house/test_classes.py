"""Classes hold values; functions compute. Only errors inherit from one another."""

from __future__ import annotations

import ast

import pytest

from tests.house import tree

BASES = frozenset({"NamedTuple", "TypedDict", "Protocol", "Generic"})
# Methods that pick among an object's own arrays; none computes.
SELECTIONS = {"Candidates.one"}


def _methods(node: ast.ClassDef) -> list[ast.FunctionDef]:
    return [each for each in node.body if isinstance(each, ast.FunctionDef)]


def _property(node: ast.FunctionDef) -> bool:
    """A property that says one thing."""
    marked = any(ast.unparse(d) in ("property", "cached_property") for d in node.decorator_list)
    *names, last = [s for s in node.body if not isinstance(s, ast.Expr)]
    return marked and isinstance(last, ast.Return) and all(isinstance(s, ast.Assign) for s in names)


def _name(base: ast.expr) -> str:
    return ast.unparse(base).partition("[")[0].rpartition(".")[2]


def _framework(module: tree.Module, node: ast.ClassDef) -> bool:
    """A class that the command line's framework asks for."""
    bases = [ast.unparse(b).partition("[")[0] for b in node.bases]
    return module.name.startswith("chipwise.cli") and all(b.startswith("click.") for b in bases)


def test_only_errors_inherit() -> None:
    found = [
        f"{module.name}.{node.name}({', '.join(map(_name, node.bases))})"
        for module, node in tree.classes()
        if module.name != "chipwise.errors"
        and {_name(b) for b in node.bases} - BASES
        and not _framework(module, node)
    ]
    assert not found, f"composition instead: {found}"


def test_no_class_has_both_state_and_physics() -> None:
    found = [
        f"{module.name}.{node.name}.{method.name}"
        for module, node in tree.classes()
        if module.name != "chipwise.errors" and not (node.bases and _framework(module, node))
        for method in _methods(node)
        if not _property(method) and f"{node.name}.{method.name}" not in SELECTIONS
    ]
    assert not found, f"functions in modules instead: {found}"


def test_dataclasses_are_frozen() -> None:
    for module, node in tree.classes():
        for mark in node.decorator_list:
            if "dataclass" not in ast.unparse(mark):
                continue
            assert isinstance(mark, ast.Call), f"{module.name}.{node.name} is not frozen"
            set_ = {k.arg: ast.unparse(k.value) for k in mark.keywords}
            assert set_.get("frozen") == "True", f"{module.name}.{node.name} is not frozen"


@pytest.mark.parametrize("text", ["class A(B): pass", "class A(list): pass"])
def test_the_rule_sees_inheritance(text: str) -> None:
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.ClassDef)
    assert {_name(b) for b in node.bases} - BASES
