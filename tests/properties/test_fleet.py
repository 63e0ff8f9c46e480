"""What a fleet plan must obey, whatever the figures: more room never costs more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipwise.errors import Infeasible
from chipwise.fleet.instance import Instance
from chipwise.fleet.program import compose
from chipwise.fleet.solver import relaxed, solve
from tests.draws import draws
from tests.fleet.drawn import drawn

SEEDS = st.integers(0, 10_000)


def least(of: Instance) -> float:
    """Least cost with fractions of servers; infinite where there is no plan."""
    program = compose(of)
    values = relaxed(program)
    return np.inf if values is None else float(program.objective @ values)


def no_more(one: float, other: float) -> bool:
    return one <= other + 1e-9 + 1e-7 * abs(other) or other == np.inf


EASIER = {
    "more supply": lambda of: replace(of, supply=of.supply * 2),
    "more power": lambda of: replace(of, power=of.power * 2),
    "more money": lambda of: replace(of, budget=of.budget * 2),
    "faster chips": lambda of: replace(of, rate=of.rate * 1.5),
    "dearer nothing, cheaper current": lambda of: replace(of, electricity=of.electricity / 2),
    "a wider quota": lambda of: replace(
        of, quotas=tuple(replace(q, count=q.count + 3) for q in of.quotas)
    ),
    "a wider cap": lambda of: replace(
        of, caps=tuple(replace(c, share=np.minimum(c.share + 0.2, 1.0)) for c in of.caps)
    ),
    "cheaper rent": lambda of: replace(of, offer_usd=of.offer_usd / 2),
    "cheaper failure": lambda of: replace(of, step_usd=of.step_usd / 2),
    "faster ramps": lambda of: replace(of, ramp=np.minimum(of.ramp * 2, 1.0)),
    "fewer failures": lambda of: replace(of, keep=np.sqrt(of.keep)),
}


@pytest.mark.parametrize("name", EASIER)
@given(seed=SEEDS)
@draws(12, derandomize=True)
def test_what_makes_it_easier_never_costs_more(name: str, seed: int) -> None:
    of = drawn(seed)
    assert no_more(least(EASIER[name](of)), least(of))


@given(seed=SEEDS, factor=st.floats(0.1, 10))
@draws(15, derandomize=True)
def test_money_in_another_unit_is_the_same_plan(seed: int, factor: float) -> None:
    of = drawn(seed)
    scaled = replace(
        of,
        price=of.price * factor,
        electricity=of.electricity * factor,
        hosting=of.hosting * factor,
        budget=of.budget * factor,
        offer_usd=of.offer_usd * factor,
        step_usd=of.step_usd * factor,
        switch_usd=of.switch_usd * factor,
        lots=replace(of.lots, price=of.lots.price * factor),
    )
    one, other = least(of), least(scaled)
    assert one == other == np.inf or other == pytest.approx(one * factor, rel=1e-6, abs=1e-10)


@given(seed=SEEDS)
@draws(10, derandomize=True)
def test_the_bound_is_below_the_plan_and_whole_servers_cost_no_less(seed: int) -> None:
    of = drawn(seed)
    relaxation = least(of)
    if relaxation == np.inf:
        return
    try:
        made = solve(compose(of), within=1e-6)
    except Infeasible:
        return
    assert made.bound <= made.objective
    assert no_more(relaxation, made.objective)


@given(seed=SEEDS)
@draws(10, derandomize=True)
def test_the_same_question_has_the_same_answer(seed: int) -> None:
    program = compose(drawn(seed))
    one, other = relaxed(program), relaxed(program)
    assert (one is None and other is None) or np.array_equal(one, other)
