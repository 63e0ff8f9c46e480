from __future__ import annotations

import ast
import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipwise.errors import BadInput
from chipwise.policy.expression import KINDS, Span, Truth, Word, evaluate, holds, parse

DENSE = "tpp >= 4800 or tpp >= 1600 and density >= 5.92"


@pytest.mark.parametrize(
    "attack",
    [
        "__import__('os').system('true')",
        "().__class__.__bases__",
        "chip.__class__ == 'x'",
        "open('x')",
        "[c for c in chip] == chip",
        "(lambda: True)()",
        "tpp if dc else density",
        "{'a': 1} == chip",
        "chip[0] == 'a'",
        "tpp ** 9 > 1",
        "tpp % 2 == 1",
        "1 << 900 > tpp",
        "f'{chip}' == 'x'",
        "(x := 1) == tpp",
        "~tpp > 1",
        "await_ > 1",
        "tpp is 1",
        "True.real",
        "b'x' in {'a'}",
        "1j > tpp",
        "None",
        "...",
        "eval",
        "globals",
        "tpp > 1e999",
        "tpp > " + "9" * 60,
        "dc; dc",
        "dc\nimport os",
        "",
        "   ",
        "dc and",
        "\x00dc",
        "dc and ｔｐｐ > 1",
        "tpp > 1 # ü",
        "not " * 60 + "dc",
        "(" * 300 + "dc" + ")" * 300,
        "dc" + " and dc" * 1000,
    ],
)
def test_nothing_else_can_be_said(attack: str) -> None:
    with pytest.raises(BadInput):
        parse(attack)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("tpp >= 'a'", "compares a number with a text"),
        ("dc >= 1", "compares a flag with a number"),
        ("chip >= 'a'", "compares a text with a text"),
        ("chip in 'abc'", "compares a text with a text"),
        ("tpp in {'a'}", "compares a number with a set"),
        ("chip in {chip}", "a set of texts"),
        ("tpp", "a comparison or a flag was expected"),
        ("tpp and dc", "a comparison or a flag was expected, not 'tpp'"),
        ("not tpp", "a comparison or a flag"),
        ("weight > 3", "unknown name 'weight' .column 1.; known are tpp"),
        ("dc and tpp >> 3", "column"),
    ],
)
def test_a_slip_is_named(wrong: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        parse(wrong)


def test_the_vocabulary_is_all_that_a_tree_can_name() -> None:
    tree = parse(f"dc and ({DENSE}) and chip in {{'a'}} and not sold_in_us").tree
    allowed = (
        ast.BoolOp,
        ast.Compare,
        ast.UnaryOp,
        ast.Name,
        ast.Constant,
        ast.Set,
        ast.Load,
        ast.operator,
        ast.boolop,
        ast.cmpop,
        ast.unaryop,
    )
    assert all(isinstance(node, allowed) for node in ast.walk(tree))
    assert {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} <= set(KINDS)


def test_the_chips_that_a_condition_names() -> None:
    found = parse("chip in {'a', 'b'} or chip == 'c' or vendor == 'd' or chip not in {'e'}").chips
    assert found == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("condition", "tpp", "expected"),
    [
        ("tpp >= 4800", 4800.0, True),
        ("tpp > 4800", 4800.0, False),
        ("tpp < 4800", 4800.0, False),
        ("tpp <= 4800", 4800.0, True),
        ("tpp == 4800", 4800.0, True),
        ("tpp != 4800", 4800.0, False),
        ("2400 <= tpp < 4800", 2400.0, True),
        ("2400 <= tpp < 4800", 4800.0, False),
        ("2400 <= tpp < 4800", 2399.9, False),
        ("not tpp >= 4800", 4799.9, True),
        ("tpp + 200 >= 5000", 4800.0, True),
        ("tpp - 200 >= 4601", 4800.0, False),
        ("tpp * 2 / 4 == 2400", 4800.0, True),
        ("-tpp < 0", 1.0, True),
    ],
)
def test_comparisons_at_their_edge(condition: str, tpp: float, expected: bool) -> None:
    assert holds(condition, {"tpp": tpp}) is expected


def test_a_division_by_zero_is_unknown() -> None:
    assert holds("tpp / density > 1", {"tpp": 1.0, "density": 0.0}) is None


@pytest.mark.parametrize("values", list(product([True, False, None], repeat=2)))
def test_truth_has_three_values(values: tuple[bool | None, bool | None]) -> None:
    """Kleene's tables, by trying what the unknown could be."""
    known = {"dc": values[0], "sold_in_us": values[1]}
    for condition, meant in (
        ("dc and sold_in_us", lambda a, b: a and b),
        ("dc or sold_in_us", lambda a, b: a or b),
        ("not dc", lambda a, b: not a),
    ):
        could = {
            meant(a, b)
            for a, b in product([True, False], repeat=2)
            if values[0] in (a, None) and values[1] in (b, None)
        }
        assert holds(condition, known) is (could.pop() if len(could) == 1 else None)


def _scope(bounds: dict[str, tuple[float, float]]):  # type: ignore[no-untyped-def]
    def scope(name: str) -> Span | Word | Truth:
        low, high = bounds[name]
        return Span(low, high, name, () if low == high else (name,))

    return scope


@given(
    st.tuples(st.floats(0, 9000), st.floats(0, 9000)),
    st.tuples(st.floats(0, 30), st.floats(0, 30)),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_bounds_decide_only_what_all_values_between_them_agree_on(
    tpp: tuple[float, float], density: tuple[float, float], at: float, level: float
) -> None:
    bounds = {"tpp": (min(tpp), max(tpp)), "density": (min(density), max(density))}
    truth, _ = evaluate(parse(DENSE), _scope(bounds))
    inner = {
        name: low + share * (high - low)
        for (name, (low, high)), share in zip(bounds.items(), (at, level), strict=True)
    }
    plain = inner["tpp"] >= 4800 or (inner["tpp"] >= 1600 and inner["density"] >= 5.92)
    assert truth.value in (plain, None)
    assert (truth.value is None) == bool(truth.missing)


def test_a_lower_bound_can_decide() -> None:
    def least(low: float) -> bool | None:
        scope = _scope({"tpp": (low, math.inf), "density": (0.0, math.inf)})
        return evaluate(parse(DENSE), scope)[0].value

    assert least(4800.0) is True
    assert least(4799.0) is None


def test_only_what_would_decide_is_named_missing() -> None:
    scope = _scope({"tpp": (2000.0, 2000.0), "density": (0.0, math.inf)})
    assert evaluate(parse(DENSE), scope)[0].missing == ("density",)
    scope = _scope({"tpp": (5000.0, 5000.0), "density": (0.0, math.inf)})
    assert evaluate(parse(DENSE), scope)[0] == Truth(value=True)


def test_every_comparison_is_recorded_also_after_the_decision() -> None:
    scope = _scope({"tpp": (5000.0, 5000.0), "density": (1.0, 1.0)})
    assert evaluate(parse(DENSE), scope)[1] == (
        "tpp ≥ 4,800: yes",
        "tpp ≥ 1,600: yes",
        "density ≥ 5.92: no",
    )


def test_texts_and_sets() -> None:
    assert holds("vendor in {'A', 'B'}", {"vendor": "A"}) is True
    assert holds("vendor not in {'A', 'B'}", {"vendor": "A"}) is False
    assert holds("vendor == 'A'", {"vendor": "C"}) is False
    assert holds("vendor != 'A'", {"vendor": "C"}) is True
    assert holds("vendor in {'A'}", {}) is None


def test_a_value_that_is_no_number_is_unknown() -> None:
    assert holds("tpp > 1", {"tpp": math.nan}) is None
