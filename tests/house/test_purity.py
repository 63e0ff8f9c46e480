"""Same inputs, same bits: no clock, no hidden draw, no output, no file but where they belong."""

from __future__ import annotations

import ast
import re

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


def _calls(module: tree.Module) -> list[str]:
    """Dotted names of what a module calls; shutting a library's mouth is no output."""
    calls = [n for n in ast.walk(module.tree) if isinstance(n, ast.Call)]
    return [ast.unparse(n.func) for n in calls if "os.devnull" not in ast.unparse(n)]


@pytest.mark.parametrize("module", _outside(EDGES), ids=lambda m: m.name)
def test_no_clock(module: tree.Module) -> None:
    asked = [c for c in _calls(module) if c.rpartition(".")[2] in CLOCKS or c == "time.time"]
    assert not asked, f"dates are arguments: {asked}"


@pytest.mark.parametrize("module", _outside(EDGES), ids=lambda m: m.name)
def test_nothing_is_printed_or_logged(module: tree.Module) -> None:
    calls = _calls(module)
    assert not [c for c in calls if c in ("print", "input") or c.startswith(("logging.", "log."))]


@pytest.mark.parametrize("module", _outside(FILES), ids=lambda m: m.name)
def test_no_file_is_touched(module: tree.Module) -> None:
    if module.name in TEMPORARY:
        return
    touched = [c for c in _calls(module) if c.rpartition(".")[2] in READS]
    assert not touched, f"{module.name} reads or writes: {touched}"


@pytest.mark.parametrize("module", tree.modules(), ids=lambda m: m.name)
def test_every_draw_takes_a_seed(module: tree.Module) -> None:
    """NumPy's global generator is shared state; a Generator without a seed is the clock."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called.endswith("default_rng"):
            assert node.args, f"{module.name}: a generator without a seed"
        if DRAW.fullmatch(called):
            assert _compiled(module, node), f"{module.name}: {called}"


def _compiled(module: tree.Module, call: ast.Call) -> list[ast.expr]:
    """Decorators of the compiled function that a call stands in: Numba has its own generator."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef) and call in ast.walk(node):
            found = [d for d in node.decorator_list if "njit" in ast.unparse(d)]
            if found:
                return found
    return []


def test_no_module_reaches_for_the_network() -> None:
    """Only the page serves, on loopback; nothing fetches."""
    clients = {"urllib.request", "requests", "httpx", "http.client", "ftplib", "aiohttp"}
    for module in tree.modules():
        for node in ast.walk(module.tree):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not clients & set(names), f"{module.name} imports {names}"
