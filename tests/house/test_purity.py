"""Same inputs, same bits: no clock, no hidden draw, no output, no file but where they belong."""

from __future__ import annotations

import ast
import re
import socket
from collections.abc import Iterator
from functools import cache

import pytest

from tests.house import tree

# Where a person stands: they print, ask the clock, write files.
EDGES = ("cli", "web", "studies", "tables")
# Edges, and what turns data into objects or results into files.
FILES = (*EDGES, "catalog", "export", "plot", "sweep", "profile", "words", "calibration", "report")
# HiGHS tells a program's text to a file only.
TEMPORARY = {"chipwise.fleet.audit"}
# Measuring how long something took is no input; asking what day it is would be one.
CLOCKS = {"now", "today", "utcnow", "fromtimestamp", "time_ns"}
READS = {"open", "read_text", "write_text", "read_bytes", "write_bytes"}
DRAW = re.compile(r"np\.random\.(?!default_rng|Generator|SeedSequence)\w+")


def _outside(names: tuple[str, ...]) -> list[tree.Module]:
    return [m for m in tree.modules() if "." in m.name and not _within(m, names)]


def _within(module: tree.Module, names: tuple[str, ...]) -> bool:
    return module.name.split(".")[1] in names


@cache
def _called(module: tree.Module) -> tuple[tuple[str, ast.Call], ...]:
    """Every call of a module, under the dotted name of what is called."""
    calls = [n for n in tree.nodes(module) if isinstance(n, ast.Call)]
    return tuple((ast.unparse(n.func), n) for n in calls)


def _calls(module: tree.Module) -> list[str]:
    """Dotted names of what a module calls; shutting a library's mouth is no output."""
    shuts = any(_devnull(node) for node in tree.nodes(module))
    return [name for name, node in _called(module) if not shuts or not _any_devnull(node)]


def _devnull(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "devnull"


def _any_devnull(node: ast.AST) -> bool:
    return any(map(_devnull, ast.walk(node)))


def test_no_clock() -> None:
    found = [
        f"{module.name}: {call}"
        for module in _outside(EDGES)
        for call in _calls(module)
        if call.rpartition(".")[2] in CLOCKS or call == "time.time"
    ]
    assert not found, f"dates are arguments: {found}"


def test_nothing_is_printed_or_logged() -> None:
    found = [
        f"{module.name}: {call}"
        for module in _outside(EDGES)
        for call in _calls(module)
        if call in ("print", "input") or call.startswith(("logging.", "log."))
    ]
    assert not found


def test_no_file_is_touched() -> None:
    found = [
        f"{module.name}: {call}"
        for module in _outside(FILES)
        if module.name not in TEMPORARY
        for call in _calls(module)
        if call.rpartition(".")[2] in READS
    ]
    assert not found, f"these read or write: {found}"


def _unseeded(module: tree.Module) -> Iterator[str]:
    for called, node in _called(module):
        if called.endswith("default_rng") and not node.args:
            yield f"{module.name}: a generator without a seed"
        if DRAW.fullmatch(called) and not _compiled(module, node):
            yield f"{module.name}: {called}"


def test_every_draw_takes_a_seed() -> None:
    """NumPy's global generator is shared state; a Generator without a seed is the clock."""
    found = [fault for module in tree.modules() for fault in _unseeded(module)]
    assert not found, "\n".join(found)


def _compiled(module: tree.Module, call: ast.Call) -> list[ast.expr]:
    """Decorators of the compiled function that a call stands in: Numba has its own generator."""
    for node in tree.nodes(module):
        if isinstance(node, ast.FunctionDef) and call in ast.walk(node):
            found = [d for d in node.decorator_list if "njit" in ast.unparse(d)]
            if found:
                return found
    return []


def test_no_module_reaches_for_the_network() -> None:
    """Only the page serves, on loopback; nothing fetches."""
    clients = {"urllib.request", "requests", "httpx", "http.client", "ftplib", "aiohttp"}
    for module in tree.modules():
        for node in tree.nodes(module):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not clients & set(names), f"{module.name} imports {names}"


def test_the_tests_themselves_reach_no_network() -> None:
    with socket.socket() as one, pytest.raises(AssertionError, match="reached for the network"):
        one.connect(("192.0.2.1", 80))
