"""The package as its syntax trees tell it, so that the house's rules need no import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "chipwise"
EDGES = ("cli", "web", "tables", "words")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    """A source file: its dotted name and its tree."""

    name: str
    path: Path
    tree: ast.Module


class Parameter(NamedTuple):
    """A parameter of a function or a field of a class, and where it stands."""

    name: str
    where: str


@cache
def modules() -> tuple[Module, ...]:
    """Every source file of the package."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path, ast.parse(path.read_text(encoding="utf-8"))))
    return tuple(found)


@cache
def nodes(module: Module) -> tuple[ast.AST, ...]:
    """Every node of a module's tree."""
    return tuple(ast.walk(module.tree))


@cache
def exports(module: Module) -> list[str] | None:
    """What `__all__` says, None where there is none."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def defined(module: Module) -> Iterator[Function | ast.ClassDef]:
    """Functions and classes at the top of a module."""
    for node in module.tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node


def classes() -> Iterator[tuple[Module, ast.ClassDef]]:
    """Every class of the package."""
    for module in modules():
        for node in nodes(module):
            if isinstance(node, ast.ClassDef):
                yield module, node


def arguments(node: Function) -> Iterator[str]:
    """Names of a function's parameters."""
    a = node.args
    for each in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg):
        if each is not None and each.arg not in ("self", "cls"):
            yield each.arg


def fields(node: ast.ClassDef) -> Iterator[str]:
    """Names of a class's annotated fields."""
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            yield each.target.id


def parameters(module: Module, node: Function | ast.ClassDef) -> Iterator[Parameter]:
    """Parameters of a function; fields of a class and parameters of its methods."""
    where = f"{module.name}.{node.name}"
    if isinstance(node, Function):
        yield from (Parameter(name, where) for name in arguments(node))
        return
    yield from (Parameter(name, where) for name in fields(node))
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and not each.name.startswith("_"):
            yield from (Parameter(name, f"{where}.{each.name}") for name in arguments(each))


def imported(module: Module) -> Iterator[tuple[str, str, str]]:
    """(module, name, local name) of what a module imports from the package."""
    for node in nodes(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("chipwise"):
            for alias in node.names:
                yield node.module or "", alias.name, alias.asname or alias.name


def by_name() -> dict[str, Module]:
    """Modules by dotted name."""
    return {module.name: module for module in modules()}


def public() -> Iterator[tuple[Module, ast.FunctionDef | ast.ClassDef]]:
    """The surface of the package: what a user calls, with where it is defined.

    That is `__all__` of the top-level modules and of the packages, followed to the definition; not
    the edges, which put answers into words.
    """
    known, seen = by_name(), set[tuple[str, str]]()
    for module in modules():
        surface = module.name.count(".") == 1 or module.path.name == "__init__.py"
        if not surface or module.name == "chipwise" or module.name.split(".")[1] in EDGES:
            continue
        for name in exports(module) or ():
            yield from _follow(known, module, name, seen)


def _follow(
    known: dict[str, Module], module: Module, name: str, seen: set[tuple[str, str]]
) -> Iterator[tuple[Module, ast.FunctionDef | ast.ClassDef]]:
    if (module.name, name) in seen:
        return
    seen.add((module.name, name))
    for node in defined(module):
        if node.name == name:
            yield module, node
            return
    for source, original, local in imported(module):
        if local != name or source not in known:
            continue
        if f"{source}.{original}" in known:  # a module that is exported as a whole
            inner = known[f"{source}.{original}"]
            for each in exports(inner) or ():
                yield from _follow(known, inner, each, seen)
        else:
            yield from _follow(known, known[source], original, seen)
