"""What a chip costs an hour, and a token: ownership, rent, energy and carbon."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import numpy as np

from chipwise.errors import BadInput
from chipwise.types import Fact, Money, Numeric, Price
from chipwise.units import from_base, to_base

__all__ = ["annuity", "carbon", "own", "parse_override", "per_token", "rent"]

_HOURLY = "USD/h"
# What makes ownership cheap: its high reading where more is better, its low one elsewhere.
_MORE_IS_CHEAPER = ("life", "residual")


def annuity(price: Numeric, life: float, interest: float, residual: float = 0.0) -> Numeric:
    """Equal payments that pay back a price, less what is left of it, with interest [1]_.

    A = P·(1 − s·q)·i / (1 − q), with q = (1 + i)^−n the discount over the life; P·(1 − s)/n
    without interest.

    Parameters
    ----------
    price : numeric
        Purchase price P. [USD]
    life : float
        n [s], counted in years.
    interest : float
        i, a year. [1]
    residual : float
        Share s of the price left at the end. [1]

    Returns
    -------
    numeric
        Payment over time. [USD/s]

    Examples
    --------
    >>> from chipwise.units import to_base
    >>> year = to_base(1, "year")
    >>> round(float(annuity(1000.0, 4 * year, 0.1)) * year, 2)
    315.47

    References
    ----------
    .. [1] R. A. Brealey, S. C. Myers, F. Allen, "Principles of Corporate Finance," chapter 2.
    """
    years, year = from_base(life, "year"), to_base(1.0, "year")
    if interest == 0:
        return price * (1 - residual) / life
    discount = float((1 + interest) ** -years)
    return price * (1 - residual * discount) * interest / (1 - discount) / year


def _reading(economics: Mapping[str, Fact], key: str, side: str) -> float:
    """A fact in base units, at its low, mid or high reading of the cost it causes."""
    fact = economics[key]
    if key.partition(".")[0] in _MORE_IS_CHEAPER:
        side = {"low": "high", "mid": "mid", "high": "low"}[side]
    value = {"low": fact.low, "mid": None, "high": fact.high}[side]
    chosen = fact.value if value is None else value
    if isinstance(chosen, (str, bool)) or chosen is None:
        raise BadInput(f"economics: {key}: a number is needed, not {chosen!r}")
    return to_base(chosen, fact.unit)


def _regional(economics: Mapping[str, Fact], name: str, region: str) -> str:
    """Key of a fact for a region; its default where the region has none."""
    return f"{name}.{region}" if f"{name}.{region}" in economics else f"{name}.default"


def _hourly(
    price: float, power: Numeric, economics: Mapping[str, Fact], region: str, side: str
) -> Numeric:
    def take(key: str) -> float:
        return _reading(economics, key, side)

    whole = price * (1 + take("server.share")) * (1 + take("network.share"))
    capital = annuity(whole, take("life"), take("interest"), take("residual"))
    energy = power * take(_regional(economics, "pue", region)) * take(f"electricity.{region}")
    hosting = power * take("hosting")
    return (capital + energy + hosting) / to_base(1.0, _HOURLY)


def own(
    price: Price | Money | None,
    power: Numeric,
    economics: Mapping[str, Fact],
    *,
    region: str = "US",
) -> Money | None:
    """Cost of owning and running a chip.

    The annuity of its price with its share of server and network, energy at the site's PUE, and
    hosting by power. The low reading takes every part at its cheapest, the high one at its dearest.

    Parameters
    ----------
    price : Price, Money or None
        What the chip is bought for [USD]; None makes the result None.
    power : numeric
        At the wall of the server, before PUE, for one chip. [W]
    economics : mapping
        Facts by key, as the catalog has them.
    region : str
        Where electricity is bought.

    Returns
    -------
    Money or None
        [USD/h] for one chip.

    Raises
    ------
    BadInput
        If the price is not of a purchase, or the region's electricity is not known.
    """
    if price is None:
        return None
    if isinstance(price, Price) and price.kind != "purchase":
        raise BadInput(f"ownership needs a purchase price of {price.chip}, not {price.kind}")
    if f"electricity.{region}" not in economics:
        known = sorted(k.partition(".")[2] for k in economics if k.startswith("electricity."))
        raise BadInput(f"no electricity price for region {region!r}; known are {', '.join(known)}")
    paid = price.usd if isinstance(price, Price) else price
    return Money(
        cast("float", _hourly(paid.low, power, economics, region, "low")),
        cast("float", _hourly(paid.mid, power, economics, region, "mid")),
        cast("float", _hourly(paid.high, power, economics, region, "high")),
    )


def rent(price: Price | None) -> Money | None:
    """Cost of a rented chip: its price as offered, energy and hosting within. [USD/h]

    Raises
    ------
    BadInput
        If the price is of a purchase.
    """
    if price is None:
        return None
    if price.kind == "purchase":
        raise BadInput(f"the price of {price.chip} is of a purchase; renting needs one by the hour")
    return price.usd


def _share(hourly: float, rate: Numeric) -> float:
    spent = to_base(hourly, _HOURLY)
    with np.errstate(divide="ignore"):
        return cast("float", np.divide(spent, rate))


def per_token(hourly: Money | None, rate: Numeric) -> Money | None:
    """Cost of a token, where a deployment costs `hourly` and makes tokens at `rate`.

    Parameters
    ----------
    hourly : Money or None
        Of the whole deployment. [USD/h]
    rate : numeric
        Tokens of the whole deployment; infinite cost at 0. [token/s]

    Returns
    -------
    Money or None
        [USD/token]

    Examples
    --------
    >>> float(per_token(Money(3.6, 7.2, 36.0), 1000.0).mid)
    2e-06
    """
    if hourly is None:
        return None
    return Money(_share(hourly.low, rate), _share(hourly.mid, rate), _share(hourly.high, rate))


def carbon(energy: Numeric, intensity: Fact | None) -> Numeric | None:
    """Carbon dioxide equivalent of a token.

    Parameters
    ----------
    energy : numeric
        Drawn from the grid for it, the site's PUE included. [J/token]
    intensity : Fact or None
        Of the grid; None makes the result None.

    Returns
    -------
    numeric or None
        [g/token]
    """
    if intensity is None or not isinstance(intensity.value, (int, float)):
        return None
    return energy * to_base(intensity.value, intensity.unit, "gCO2/J")


def parse_override(text: str) -> tuple[str, float]:
    """Name and price of ``NAME=USD``: what a user pays for a chip and hour.

    Raises
    ------
    BadInput
        If it has another form, or the price is not a number above zero.

    Examples
    --------
    >>> parse_override("h200=2.5")
    ('h200', 2.5)
    """
    name, equals, usd = (part.strip() for part in text.partition("="))
    if not (name and equals and usd):
        raise BadInput(f"price {text!r}: NAME=USD was expected, for example h200=2.5")
    try:
        value = float(usd)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise BadInput(f"price {text!r}: a number above zero was expected, not {usd!r}")
    return name, value
