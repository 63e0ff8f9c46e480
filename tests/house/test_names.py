"""Names: no units, no leftovers of a class diagram, no second word for a field term."""

from __future__ import annotations

import re

import pytest

from tests.house import tree

# A unit at the end of a name; inside the program everything is in base units. Money is not told
# by a prefix: a dollar is its own base unit, and the currency tells it from others.
UNIT = re.compile(
    r"(?<=.)_(s|secs?|ms|us|ns|mins|hours|hrs?|b|[kmgt]i?b|bits|[mg]bit|[mg]bps|[gtp]flops|tops|"
    r"[mg]hz|w|kw|mw|kwh|mwh|mm2?|nm|pct|percent|cents)$"
)
ALLOWED = {"sold_in_us"}  # a country
EMPTY = re.compile(r"_*(utils?|helpers?|common|manager|base|info|data|misc)")
SPELT_OUT = re.compile(
    r"(input|output)_(sequence_length|len)|time_(to_first|per_output)_token|"
    r"(tensor|pipeline|expert|data)_parallel.*|kv_cache_dtype"
)


def _parameters() -> list[tree.Parameter]:
    return [
        parameter
        for module in tree.modules()
        for node in tree.defined(module)
        for parameter in tree.parameters(module, node)
    ]


def _unit(name: str) -> str:
    """The unit that a name ends in, if it does."""
    found = UNIT.search(name)
    return found[1] if found and name not in ALLOWED else ""


@pytest.mark.parametrize("name", ["latency_ms", "memory_gb", "ttft_s", "power_w", "bandwidth_gbps"])
def test_the_rule_sees_a_unit(name: str) -> None:
    assert _unit(name)


@pytest.mark.parametrize("name", ["tpot", "s", "usd", "memory_bandwidth", "usd_token", "die_area"])
def test_the_rule_lets_a_quantity_pass(name: str) -> None:
    assert not _unit(name)


def test_no_parameter_or_field_carries_a_unit() -> None:
    found = [f"{p.where}: {p.name}" for p in _parameters() if _unit(p.name)]
    assert not found, f"units belong into docstrings: {found}"


def test_no_function_carries_a_unit() -> None:
    found = [
        f"{module.name}.{node.name}"
        for module in tree.modules()
        for node in tree.defined(module)
        if _unit(node.name)
    ]
    assert not found


def test_no_count_is_called_n() -> None:
    found = [f"{p.where}: {p.name}" for p in _parameters() if p.name.startswith("n_")]
    assert not found, f"the plural is the collection, the singular the count: {found}"


def test_field_terms_are_not_spelt_out() -> None:
    found = [f"{p.where}: {p.name}" for p in _parameters() if SPELT_OUT.fullmatch(p.name)]
    assert not found


def test_modules_and_classes_say_what_they_hold() -> None:
    modules = [m.name for m in tree.modules() if EMPTY.fullmatch(m.name.rpartition(".")[2])]
    classes = [
        f"{module.name}.{node.name}"
        for module, node in tree.classes()
        if EMPTY.fullmatch(node.name.lower())
        or node.name.endswith(("Manager", "Helper", "Utils", "Info", "Base", "Data"))
    ]
    assert not modules
    assert not classes


def test_no_module_is_hidden_by_a_function_of_its_package() -> None:
    known = tree.by_name()
    for module in tree.modules():
        if module.path.name != "__init__.py":
            continue
        for source, name, local in tree.imported(module):
            hidden = f"{module.name}.{local}"
            whole = f"{source}.{name}" in known
            assert whole or hidden not in known, f"{local} hides the module {hidden}"
