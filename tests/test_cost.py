"""Costs add up, grow with what they are made of, and never come from nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipwise import catalog, cost
from chipwise.errors import BadInput, UnitError
from chipwise.types import Fact, Money, Price
from chipwise.units import to_base

YEAR = to_base(1, "year")
MONEY = Money(20_000.0, 30_000.0, 40_000.0)
FACTS = catalog.economics()


def _price(kind: str, usd: Money = MONEY) -> Price:
    return Price("x", kind, usd, "world", "2026", "s", verified=True)


def _facts(**values: float) -> dict[str, Fact]:
    """A world in which nothing costs anything but what is given."""
    units = {"life": "year", "electricity.US": "USD/kWh", "hosting": "USD/kW-month"}
    plain = {
        "life": 4.0,
        "residual": 0.0,
        "interest": 0.0,
        "hosting": 0.0,
        "pue.default": 1.0,
        "electricity.US": 0.0,
        "server.share": 0.0,
        "network.share": 0.0,
    }
    given_ = plain | {k.replace("__", "."): v for k, v in values.items()}
    return {k: Fact(v, units.get(k, "1"), "s") for k, v in given_.items()}


def test_price_alone_is_spread_over_its_life() -> None:
    found = cost.own(MONEY, 0.0, _facts())
    assert found is not None
    assert found.mid == pytest.approx(30_000 / (4 * 8760))


def test_energy_alone() -> None:
    facts = _facts(electricity__US=0.1, pue__default=1.5)
    found = cost.own(Money(0.0, 0.0, 0.0), 1000.0, facts)
    assert found is not None
    assert found.mid == pytest.approx(0.15)


def test_hosting_alone() -> None:
    found = cost.own(Money(0.0, 0.0, 0.0), 2000.0, _facts(hosting=200.0))
    assert found is not None
    assert found.mid == pytest.approx(2 * 200 / 730)


def test_annuity_pays_back_the_price() -> None:
    price, interest, residual, years = 1000.0, 0.1, 0.3, 4
    yearly = float(cost.annuity(price, years * YEAR, interest, residual)) * YEAR
    owed = price
    for _ in range(years):
        owed = owed * (1 + interest) - yearly
    assert owed == pytest.approx(residual * price)


def test_annuity_without_interest_is_the_limit() -> None:
    plain = float(cost.annuity(1000.0, 4 * YEAR, 0.0, 0.3))
    assert float(cost.annuity(1000.0, 4 * YEAR, 1e-9, 0.3)) == pytest.approx(plain, rel=1e-6)


def test_low_takes_every_part_at_its_cheapest() -> None:
    found = cost.own(MONEY, 900.0, FACTS)
    assert found is not None
    assert found.low < found.mid < found.high

    def ends(name: str, side: str) -> Fact:
        fact = FACTS[name]
        value = getattr(fact, side)
        return replace(fact, value=fact.value if value is None else value, low=None, high=None)

    cheap = {k: ends(k, "high" if k in ("life", "residual") else "low") for k in FACTS}
    dear = {k: ends(k, "low" if k in ("life", "residual") else "high") for k in FACTS}
    low = cost.own(Money(20_000.0, 20_000.0, 20_000.0), 900.0, cheap)
    high = cost.own(Money(40_000.0, 40_000.0, 40_000.0), 900.0, dear)
    assert low is not None
    assert high is not None
    assert found.low == pytest.approx(low.mid)
    assert found.high == pytest.approx(high.mid)


@pytest.mark.parametrize(
    ("key", "dearer"),
    [
        ("life", False),
        ("residual", False),
        ("interest", True),
        ("hosting", True),
        ("pue.default", True),
        ("electricity.US", True),
        ("server.share", True),
        ("network.share", True),
    ],
)
def test_each_part_pulls_its_way(key: str, dearer: bool) -> None:
    fact = FACTS[key]
    more = {**FACTS, key: replace(fact, value=1.1 * float(fact.value or 0), low=None, high=None)}
    before, after = cost.own(MONEY, 900.0, FACTS), cost.own(MONEY, 900.0, more)
    assert before is not None
    assert after is not None
    assert (after.mid > before.mid) == dearer


@given(st.floats(1.0, 1e6), st.floats(1.0, 10.0), st.floats(0.0, 5000.0))
def test_ownership_is_linear_in_price_and_power(price: float, times: float, power: float) -> None:
    facts = dict(FACTS)
    once = cost.own(Money(price, price, price), power, facts)
    more = cost.own(Money(times * price, times * price, times * price), times * power, facts)
    assert once is not None
    assert more is not None
    assert more.mid == pytest.approx(times * once.mid)


@pytest.mark.parametrize(
    ("chip_id", "watts"),
    [("nvidia-h100-sxm", 1730.0), ("nvidia-h200-sxm", 1730.0), ("nvidia-b200-sxm", 2170.0)],
)
def test_ownership_agrees_with_what_others_computed(chip_id: str, watts: float) -> None:
    """Their published cost of ownership lies within ours, low to high."""
    ours = cost.own(catalog.price(chip_id, "purchase"), watts, FACTS)
    theirs = catalog.price(chip_id, "owned")
    assert ours is not None
    assert theirs is not None
    assert ours.low <= theirs.usd.mid <= ours.high


def test_arrays_of_power_give_arrays_of_cost() -> None:
    power = np.array([0.0, 500.0, 1000.0])
    found = cost.own(MONEY, power, FACTS)
    assert found is not None
    one = [cost.own(MONEY, float(p), FACTS) for p in power]
    assert np.allclose(found.mid, [m.mid for m in one if m is not None])


def test_missing_price_stays_missing() -> None:
    assert cost.own(None, 700.0, FACTS) is None
    assert cost.rent(None) is None
    assert cost.per_token(None, 100.0) is None
    assert cost.carbon(1.0, None) is None


def test_one_basis_is_never_taken_for_another() -> None:
    with pytest.raises(BadInput, match="ownership needs a purchase price of x, not on_demand"):
        cost.own(_price("on_demand"), 700.0, FACTS)
    with pytest.raises(BadInput, match="of a purchase; renting needs one by the hour"):
        cost.rent(_price("purchase"))


def test_rent_is_the_price() -> None:
    assert cost.rent(_price("on_demand", Money(1.0, 2.0, 3.0))) == Money(1.0, 2.0, 3.0)


def test_unknown_region_names_the_known() -> None:
    with pytest.raises(BadInput, match=r"no electricity price for region 'ZZ'; known are .*US"):
        cost.own(MONEY, 700.0, FACTS, region="ZZ")


def test_regions_differ_by_their_electricity() -> None:
    here, there = (cost.own(MONEY, 1000.0, FACTS, region=r) for r in ("US", "EU27"))
    assert here is not None
    assert there is not None
    difference = to_base(
        float(FACTS["electricity.EU27"].value or 0) - float(FACTS["electricity.US"].value or 0),
        "USD/kWh",
    )
    assert there.mid - here.mid == pytest.approx(1000 * 1.2 * difference * 3600)


def test_tokens_share_the_hour() -> None:
    found = cost.per_token(Money(1.0, 2.0, 3.0), np.array([100.0, 200.0, 0.0]))
    assert found is not None
    assert np.allclose(found.mid, [2 / 3600 / 100, 2 / 3600 / 200, math.inf])


def test_carbon_is_energy_times_intensity() -> None:
    grams = cost.carbon(np.array([1.0, 3.6]), Fact(500.0, "gCO2/kWh", "s"))
    assert np.allclose(grams, [500 / 3.6e6, 500e-6])


def test_carbon_needs_an_intensity() -> None:
    with pytest.raises(UnitError):
        cost.carbon(1.0, Fact(500.0, "USD/kWh", "s"))


@pytest.mark.parametrize("text", ["h200=2.5", " h200 = 2.5 ", "h200=2.50"])
def test_override_is_read(text: str) -> None:
    assert cost.parse_override(text) == ("h200", 2.5)


@pytest.mark.parametrize("text", ["h200", "=2", "h200=", "", "="])
def test_override_of_another_form(text: str) -> None:
    with pytest.raises(BadInput, match=r"NAME=USD was expected, for example h200=2\.5"):
        cost.parse_override(text)


@pytest.mark.parametrize("text", ["h200=cheap", "h200=-1", "h200=0", "h200=nan", "h200=inf"])
def test_override_that_is_no_price(text: str) -> None:
    with pytest.raises(BadInput, match="a number above zero was expected"):
        cost.parse_override(text)
