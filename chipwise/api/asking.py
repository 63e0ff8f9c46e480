"""Whom and what a question is about: chips, models, money, law and place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np

from chipwise import catalog, cost, policy
from chipwise.errors import BadInput
from chipwise.plan import Terms
from chipwise.policy.question import FIRST_DAY
from chipwise.types import Chip, Fact, Model, Money, StatusPeriod, Verdict

__all__ = ["Ask", "chip", "model", "terms", "timeline", "verdict", "wall"]


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """Money, law and place under which a question is asked.

    `cost` is ``own`` or ``rent``; `prices` override, chip → USD per chip and hour; `region` of
    the electricity; `to`, `route`, `on`, `origin`, `end_user` and `include` of the law, as in
    `policy.check`; None stands for the catalog's own date and the vendor's country.
    """

    cost: str = "own"
    prices: Mapping[str, float] = field(default_factory=dict)
    region: str = "US"
    to: str = "CN"
    route: str = "sale"
    on: date | None = None
    origin: str | None = None
    end_user: str = "private"
    include: tuple[str, ...] = ()
    gpus: int | None = None
    simulate: bool = True
    calibration: str = "general"
    seed: int = 0


def chip(name: str | Chip) -> Chip:
    """Chip of the catalog by id, short name or alias, or of a TOML file."""
    return name if isinstance(name, Chip) else catalog.chip(name)


def model(name: str | Model) -> Model:
    """Model of the catalog by name, or of a config.json."""
    return name if isinstance(name, Model) else catalog.model(name)


def verdict(of: Chip, ask: Ask) -> Verdict:
    """Whether a chip may take the route asked for, by the rules in force."""
    return policy.check(of, catalog.rules(), on=ask.on or catalog.as_of(), **_question(ask))


def _question(ask: Ask) -> dict[str, Any]:
    """What is asked of the rules, but for the day."""
    return {name: getattr(ask, name) for name in ("to", "route", "origin", "end_user", "include")}


def timeline(of: str | Chip, ask: Ask, *, since: date = FIRST_DAY) -> tuple[StatusPeriod, ...]:
    """A chip's statuses from a day on until that of the question.

    Parameters
    ----------
    of : str or Chip
        Whose.
    ask : Ask
        Law; its day is the last one.
    since : date
        The first day; that from which the catalog has rules unless given.
    """
    until = ask.on or catalog.as_of()
    rules = catalog.rules()
    return policy.timeline(chip(of), rules, since=since, until=until, **_question(ask))


def terms(chips: Sequence[Chip], ask: Ask) -> Terms:
    """What the catalog says on money, law and calibration for these chips."""
    if ask.cost not in ("own", "rent"):
        raise BadInput(f"cost is {ask.cost!r}; it is own or rent")
    if ask.gpus is not None and ask.gpus < 1:
        raise BadInput(f"gpus is {ask.gpus}; it must be at least 1")
    economics = catalog.economics()
    given = {chip(name).id: usd for name, usd in ask.prices.items()}
    wrong = [f"{name} = {usd:g}" for name, usd in given.items() if not 0 < usd < np.inf]
    if wrong:
        raise BadInput(f"price {wrong[0]}; it must be a positive number of USD per chip and hour")
    return Terms(
        catalog.calibration(ask.calibration),
        _hourly(chips, ask, given, economics),
        {c.id: verdict(c, ask) for c in chips},
        _carbon(economics, ask.region),
        ask.gpus,
        ask.simulate,
        ask.seed,
        ask.cost,
    )


def _hourly(
    chips: Sequence[Chip], ask: Ask, given: Mapping[str, float], economics: Mapping[str, Fact]
) -> Callable[[Chip, float], Money | None]:
    """Cost of a chip and hour at a draw, by the basis asked for."""
    on = ask.on or catalog.as_of()
    kind = "purchase" if ask.cost == "own" else "on_demand"
    found = {c.id: catalog.price(c.id, kind, on) for c in chips}
    share = wall(economics)

    def hourly(of: Chip, watts: float) -> Money | None:
        if of.id in given:
            return Money(given[of.id], given[of.id], given[of.id])
        price = found.get(of.id)
        if price is None:
            return None
        if ask.cost == "rent":
            return cost.rent(price)
        return cost.own(price, watts * share, economics, region=ask.region)

    return hourly


def wall(economics: Mapping[str, Fact]) -> float:
    """What a server and its share of the network draw for each watt of its chips. [1]"""
    return float(economics["server.power"].value or 0.0) * (
        1.0 + float(economics["network.power"].value or 0.0)
    )


def _carbon(economics: Mapping[str, Fact], region: str) -> float | None:
    """Grams of CO2 for a joule at the chip, server, network and building included.

    None where the region's grid is not known.
    """
    pue = economics.get(f"pue.{region}", economics["pue.default"])
    drawn = wall(economics) * float(pue.value or 0.0)
    grams = cost.carbon(drawn, economics.get(f"carbon.{region}"))
    return None if grams is None else float(np.asarray(grams))
