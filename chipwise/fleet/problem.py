"""What a fleet plan is asked: sites, chips, offers, demand, limits and scenarios, by period.

Arrays that are marked by period have one value for each quarter of the horizon. All is in base
units; shares are 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from chipwise.types import Array, Chip, Interval, Model, Workload

__all__ = [
    "ATTRIBUTES",
    "Choice",
    "CutOff",
    "Demand",
    "Hire",
    "Installed",
    "Limit",
    "Problem",
    "Scenario",
    "ShareCap",
    "Site",
    "Software",
]

# By what dependence is told, and a cut-off or a cap may be stated.
ATTRIBUTES = ("vendor", "country", "fab", "memory", "software", "chip")


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A place with power.

    By period: `power` [W], `electricity` [USD/J], `hosting` [USD/W and period], `running` share of
    the time with power, `carbon` [g/J] or None where unknown.
    """

    id: str
    name: str
    name_zh: str
    to: str
    pue: float
    power: Array
    electricity: Array
    hosting: Array
    running: Array
    carbon: Array | None


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A chip that may be bought, or only rented.

    By period: `price` [USD] or None where unknown, `fee` share of it, `supply` [chip]. `server` is
    the chips that are bought together; `watts` [W] a chip's with its share of all around it;
    `idle` the share drawn when idle; `lead`, `life` in periods; `residual` share of the price at
    the end of the life; `upkeep`, `failure` shares a period. `first`, `last` periods in which it
    may be ordered. `stated` is throughput by class that the plan's author gives [token/s],
    `like` another choice and a factor to take it from. `licence` overrides the rules by period.
    `only` names the scenarios in which it exists.
    """

    id: str
    chip: Chip
    software: str
    fab: str | None
    memory: str | None
    price: Array | None
    fee: Array
    supply: Array
    server: int
    watts: float | None
    idle: float
    lead: int
    life: int
    residual: float
    upkeep: float
    failure: float
    first: int
    last: int
    stated: Mapping[str, float]
    like: tuple[str, float] | None
    licence: tuple[str, ...] | None
    only: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Hire:
    """An offer to rent; by period `price` [USD per chip and period] or None, `most` [chip]."""

    id: str
    choice: str
    to: str
    route: str
    price: Array | None
    most: Array
    licence: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """A class of demand.

    `tokens` mean output (or training) tokens by period [token/s]; `peak` over the mean; `steps` of
    (share of the demand, USD per token) at which it may stay unserved; what they leave of it must
    be served. `kind` is ``serve`` or ``train``; training has `job` (tokens of a sequence, sequences
    of a step, chips) and perhaps a stated `mfu`. `sites`, `hires`, `choices`
    that may serve it, None for all. `today` is the share that each software serves before the plan.
    """

    id: str
    model: Model
    load: Workload | None
    kind: str
    mfu: float | None
    job: tuple[int, int, int] | None
    tokens: Array
    peak: float
    steps: tuple[tuple[float, float], ...]
    sites: tuple[str, ...] | None
    hires: tuple[str, ...] | None
    choices: tuple[str, ...] | None
    today: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Software:
    """A software stack: what bringing demand to it costs [USD per token/s], and how fast."""

    id: str
    switch: float
    ramp: float


@dataclass(frozen=True, slots=True)
class Installed:
    """Chips that are there from the start; `arrival` is periods before the first, negative."""

    choice: str
    site: str
    count: float
    arrival: int
    price: float


@dataclass(frozen=True, slots=True, eq=False)
class ShareCap:
    """Choices that serve at most a share of all served tokens, by period."""

    name: str
    choices: tuple[str, ...]
    share: Array


@dataclass(frozen=True, slots=True)
class Limit:
    """A licence or agreement that lets in so many chips between two periods."""

    name: str
    choices: tuple[str, ...]
    sites: tuple[str, ...]
    first: int
    last: int
    count: float


@dataclass(frozen=True, slots=True)
class CutOff:
    """What is cut off, from which period to which, and known from which on.

    `attribute` is one of `ATTRIBUTES`. Purchases, rents and replacements stop. `deliveries` on the
    day are ``refunded``, ``lost`` or ``delivered``.
    """

    attribute: str
    value: str
    first: int
    last: int
    announced: int
    deliveries: str = "refunded"


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """A course of events: it parts from the others at `first`; factors by id, cut-offs."""

    id: str
    probability: float
    first: int
    demand: Mapping[str, float] = field(default_factory=dict)
    price: Mapping[str, float] = field(default_factory=dict)
    supply: Mapping[str, float] = field(default_factory=dict)
    cut_off: CutOff | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A fleet plan as asked.

    `periods` labels with the day each begins; `seconds` by period [s]; `interest` a year; `robust`
    the probability with which chips are at least as fast as reckoned; `law` the statuses at which
    a chip is bought or rented. `budget` by period [USD]. Filled in later: `rates` [token/s] of a
    chip by (choice, demand), None where unknown, with the reason in `why`; `status` by (choice,
    place, route) and period.
    """

    title: str
    source: str
    periods: tuple[str, ...]
    starts: tuple[date, ...]
    seconds: Array
    interest: float
    gap: float
    robust: float
    law: tuple[str, ...]
    sites: tuple[Site, ...]
    choices: tuple[Choice, ...]
    hires: tuple[Hire, ...]
    demand: tuple[Demand, ...]
    software: tuple[Software, ...]
    installed: tuple[Installed, ...]
    spares: Mapping[str, float]
    budget: Array | None
    carry: bool
    caps: tuple[ShareCap, ...]
    limits: tuple[Limit, ...]
    scenarios: tuple[Scenario, ...]
    risk: tuple[float, float]
    rates: Mapping[tuple[str, str], Interval | None] = field(default_factory=dict)
    why: Mapping[tuple[str, str], str] = field(default_factory=dict)
    status: Mapping[tuple[str, str, str], tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
