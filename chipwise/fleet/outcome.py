"""A solved program → the plan in people's terms: what to buy, who serves, what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chipwise.fleet.instance import Instance, Whole, leaves
from chipwise.fleet.problem import Problem
from chipwise.fleet.program import BOUGHT, MILLION, SPARE, Program, cost_by_node
from chipwise.fleet.scenarios import paths
from chipwise.fleet.solver import Solution, gap
from chipwise.types import Array

__all__ = ["Fleet", "Move", "Price", "Served", "Stand", "fleet", "shortfall", "unserved"]

# Less than this of a chip, or of a token/s for each million asked, is the solver's rounding.
_NOTHING = 1e-4


@dataclass(frozen=True, slots=True)
class Move:
    """Chips that are bought, rented, retired or put in service from store."""

    node: int
    period: str
    scenario: str | None
    choice: str
    place: str
    count: float


@dataclass(frozen=True, slots=True)
class Served:
    """What a choice serves of a class in a period: tokens [token/s] and share of its demand."""

    node: int
    period: str
    scenario: str | None
    choice: str
    demand: str
    tokens: float
    share: float


@dataclass(frozen=True, slots=True)
class Price:
    """A limit that binds: which, where, when, and what one more unit of it is worth. [USD]"""

    limit: str
    of: str
    period: str
    scenario: str | None
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Stand:
    """A period (of a scenario) in sums.

    `asked`, `missed` tokens by class [token/s]; `usd` per token of each class, with what its chips
    would cost to replace spread over their life, and `marginal`, what one more token would cost
    the plan [USD]; `power` by site [W]; `energy` [J]; `carbon` [g] or None; `stock` chips
    by (choice, site); `cost` by part, discounted to the first day, with what is ``left`` at the end
    below nothing [USD].
    """

    node: int
    period: str
    scenario: str | None
    probability: float
    asked: Mapping[str, float]
    missed: Mapping[str, float]
    usd: Mapping[str, float | None]
    marginal: Mapping[str, float]
    power: Mapping[str, float]
    energy: float
    carbon: float | None
    stock: Mapping[tuple[str, str], float]
    cost: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """A fleet plan.

    `objective`, `bound` [USD]; `parts` of the expected cost [USD]; `paths` cost by scenario [USD].
    `how` and `elapsed` [s] tell of the solver.
    """

    problem: Problem
    program: Program
    solution: Solution
    objective: float
    bound: float
    gap: float
    elapsed: float
    how: str
    parts: Mapping[str, float]
    scenarios: Mapping[str, float]
    buy: tuple[Move, ...]
    rent: tuple[Move, ...]
    retire: tuple[Move, ...]
    released: tuple[Move, ...]
    serve: tuple[Served, ...]
    stands: tuple[Stand, ...]
    prices: tuple[Price, ...]


def fleet(of: Problem, program: Program, found: Solution, begin: int = 0) -> Fleet:
    """A solved program in people's terms."""
    parts = {name: float(cost @ found.values) * MILLION for name, cost in program.parts.items()}
    labels = _labels(of, program.instance, begin)
    return Fleet(
        problem=of,
        program=program,
        solution=found,
        objective=found.objective * MILLION,
        bound=found.bound * MILLION,
        gap=gap(found),
        elapsed=found.elapsed,
        how=found.how,
        parts=parts,
        scenarios=_by_path(of, program, found),
        buy=_bought(of, program, found, labels, BOUGHT),
        rent=_rented(of, program, found, labels),
        retire=_retired(of, program, found, labels),
        released=_bought(of, program, found, labels, SPARE),
        serve=_served(of, program, found, labels),
        stands=_stands(of, program, found, labels),
        prices=_prices(of, program, found, labels),
    )


def _labels(of: Problem, made: Instance, begin: int) -> list[tuple[str, str | None]]:
    """Period and scenario of each node; a trunk that several share has none."""
    at = paths(of, begin, begin + int(made.period.max()) + 1)
    single = len(of.scenarios) <= 1
    return [
        (of.periods[begin + t], None if single or s is None else s.id)
        for t, s in zip(at.period, at.scenario, strict=True)
    ]


def _some(program: Program, found: Solution, family: str) -> tuple[Whole, Array]:
    """Which columns of a family are not nothing, and their values."""
    part = program.columns[family]
    values = found.values[part.start : part.start + part.size]
    some = np.flatnonzero(values > _NOTHING)
    return some, values[some]


Labels = Sequence[tuple[str, str | None]]


def _bought(
    of: Problem, program: Program, found: Solution, labels: Labels, kind: int
) -> tuple[Move, ...]:
    index = program.columns["acquire"].index
    some, values = _some(program, found, "acquire")
    moves = []
    for i, value in zip(some, values, strict=True):
        if index["kind"][i] != kind:
            continue
        node = int(index["node"][i])
        count = value * program.unit[i]
        moves.append(
            Move(node, *labels[node], of.choices[index["chip"][i]].id,
                 of.sites[index["site"][i]].id, float(np.rint(count) if kind == BOUGHT else count))
        )  # fmt: skip
    return _in_order(moves)


def _in_order(moves: Sequence[Move]) -> tuple[Move, ...]:
    return tuple(sorted(moves, key=lambda m: (m.period, m.scenario or "", m.choice, m.place)))


def _rented(of: Problem, program: Program, found: Solution, labels: Labels) -> tuple[Move, ...]:
    index = program.columns["rent"].index
    moves = []
    for i, value in zip(*_some(program, found, "rent"), strict=True):
        node, hire = int(index["node"][i]), of.hires[index["offer"][i]]
        moves.append(Move(node, *labels[node], hire.choice, hire.id, float(value)))
    return _in_order(moves)


def _retired(of: Problem, program: Program, found: Solution, labels: Labels) -> tuple[Move, ...]:
    """Chips that leave, summed over vintages; those of the last day, whose life is over, too."""
    index = program.columns["leave"].index
    total: dict[tuple[int, int, int], float] = {}
    for i, value in zip(*_some(program, found, "leave"), strict=True):
        key = (int(index["node"][i]), int(index["chip"][i]), int(index["site"][i]))
        total[key] = total.get(key, 0.0) + float(value)
    return _in_order(
        [
            Move(n, *labels[n], of.choices[c].id, of.sites[s].id, v)
            for (n, c, s), v in total.items()
            if v > 1e-2
        ]
    )


def _served(of: Problem, program: Program, found: Solution, labels: Labels) -> tuple[Served, ...]:
    index = program.columns["serve"].index
    moves = []
    for i, value in zip(*_some(program, found, "serve"), strict=True):
        node, kind = int(index["node"][i]), int(index["demand"][i])
        count = float(value * program.scale[kind])
        asked = float(program.instance.demand[node, kind])
        moves.append(
            Served(node, *labels[node], of.choices[index["chip"][i]].id, of.demand[kind].id,
                   count, count / asked)
        )  # fmt: skip
    return tuple(moves)


def unserved(program: Program, found: Solution) -> Array:
    """Tokens that are not served, by node and class. [token/s]"""
    part = program.columns["short"]
    made = np.zeros(program.instance.demand.shape)
    values = found.values[part.start : part.start + part.size]
    np.add.at(made, (part.index["node"], part.index["demand"]), values)
    return made * program.scale


def shortfall(of: Fleet) -> float:
    """Share of all tokens asked, expected over the scenarios, that is not served."""
    weight = [s.probability for s in of.stands]
    lasting = of.program.instance.seconds[of.program.instance.period]
    asked = [sum(s.asked.values()) for s in of.stands]
    missed = [sum(s.missed.values()) for s in of.stands]
    whole = float(np.sum(np.multiply(asked, weight) * lasting))
    return float(np.sum(np.multiply(missed, weight) * lasting)) / whole if whole else 0.0


def _stands(of: Problem, program: Program, found: Solution, labels: Labels) -> tuple[Stand, ...]:
    made = program.instance
    missed = unserved(program, found)
    stock = _table(program, found, "stock", (len(made.parent), len(made.unit), len(made.pue)))
    give = program.columns["give"]
    values = found.values[give.start : give.start + give.size]
    busy = np.zeros(stock.shape)
    index = give.index
    np.add.at(
        busy,
        (index["node"], index["chip"], index["site"]),
        values / made.peak[index["demand"]],
    )
    idle = made.idle[None, :, None]
    drawn = made.watts[None, :, None] * made.pue[None, None, :]
    joule = drawn * (idle * stock * made.running[:, None, :] + (1 - idle) * busy)
    joule *= made.seconds[made.period][:, None, None]
    usd, marginal = _class_cost(of, program, found, stock), _marginal(program, found)
    names = [d.id for d in of.demand]
    cost = cost_by_node(program, found.values)
    stands = []
    for node, (period, scenario) in enumerate(labels):
        emitted = (joule[node].sum(axis=0) * made.carbon[node]).sum()
        stands.append(
            Stand(
                node,
                period,
                scenario,
                float(made.probability[node]),
                dict(zip(names, made.demand[node].tolist(), strict=True)),
                dict(zip(names, missed[node].tolist(), strict=True)),
                dict(zip(names, usd[node], strict=True)),
                dict(zip(names, marginal[node].tolist(), strict=True)),
                {
                    s.id: float((stock[node, :, i] * drawn[0, :, i]).sum())
                    for i, s in enumerate(of.sites)
                },
                float(joule[node].sum()),
                float(emitted) if np.isfinite(emitted) else None,
                {
                    (of.choices[c].id, of.sites[s].id): float(stock[node, c, s])
                    for c, s in zip(*np.nonzero(stock[node] > 1e-2), strict=True)
                },
                {name: float(part[node]) * MILLION for name, part in cost.items()},
            )
        )
    return tuple(stands)


def _table(program: Program, found: Solution, family: str, shape: tuple[int, ...]) -> Array:
    part = program.columns[family]
    made = np.zeros(shape)
    made[tuple(part.index.values())] = found.values[part.start : part.start + part.size]
    return made


def _marginal(program: Program, found: Solution) -> Array:
    """What one more token costs the plan, by node and class, undiscounted. [USD]"""
    made = program.instance
    rows = next(r for r in program.rows if r.name == "demand")
    table = np.zeros(made.demand.shape)
    node, kind = rows.index["node"], rows.index["demand"]
    weight = made.probability * made.discount[made.period] * made.seconds[made.period]
    price = _row_prices(program, found, "demand") * MILLION
    table[node, kind] = price / program.scale[kind] / weight[node]
    return table


def _charge(made: Instance) -> Array:
    """What having a chip costs in a period, bought at that period's price: node × chip. [USD]"""
    step = made.discount[1] / made.discount[0]
    spread = np.array([(step ** np.arange(n)).sum() for n in made.life])
    left = made.residual[np.arange(len(made.life)), made.life] * step**made.life
    charge: Array = made.price * (1.0 + made.fee) * (1.0 - left) / spread
    return charge + made.upkeep * made.price


def _class_cost(
    of: Problem, program: Program, found: Solution, stock: Array
) -> list[list[float | None]]:
    """USD per served token by node and class; None where a chip's price is unknown.

    A chip that stands idle part of the time is paid for by those whom it serves, in proportion.
    """
    made = program.instance
    shape = (*stock.shape, made.demand.shape[1])
    give = _table(program, found, "give", shape)
    used = give.sum(axis=3)
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = np.where(used > 0, stock / used, 0.0)
    energy = made.watts[None, :, None] * made.pue * made.electricity[:, None, :]
    energy = energy * made.seconds[made.period][:, None, None]
    idle = made.idle[None, :, None]
    having = _charge(made)[:, :, None] + made.watts[None, :, None] * made.hosting[:, None, :]
    having = having + idle * energy * made.running[:, None, :]
    usd = np.einsum("ncsk,ncs->nk", give, whole * having)
    usd += np.einsum("ncsk,ncs,k->nk", give, (1 - idle) * energy, 1 / made.peak)
    lend = _table(program, found, "lend", (*made.offer_usd.shape, made.demand.shape[1]))
    usd += np.einsum("nok,no->nk", lend, made.offer_usd)
    tokens = (made.demand - unserved(program, found)) * made.seconds[made.period][:, None]
    unknown = np.array([c.price is None for c in of.choices])
    hidden = give[:, unknown].sum(axis=(1, 2)) > _NOTHING
    return [
        [
            float(usd[n, k] / tokens[n, k]) if tokens[n, k] > 0 and not hidden[n, k] else None
            for k in range(shape[3])
        ]
        for n in range(shape[0])
    ]


def _row_prices(program: Program, found: Solution, name: str) -> Array:
    start = 0
    for rows in program.rows:
        if rows.name == name:
            return found.prices[start : start + len(rows.lower)]
        start += len(rows.lower)
    return np.zeros(0)


# Rows that are limits of the world, whose prices mean something: unit, and what divides them.
_LIMITS = {
    "power": ("USD/W", MILLION),
    "supply": ("USD/chip", 1.0),
    "budget": ("USD/USD", MILLION),
    "quota": ("USD/chip", 1.0),
    "store": ("USD/chip", 1.0),
}


def _prices(of: Problem, program: Program, found: Solution, labels: Labels) -> tuple[Price, ...]:
    """What one more unit of each limit that binds is worth, most first."""
    made = []
    for rows in program.rows:
        if rows.name not in _LIMITS:
            continue
        unit, divisor = _LIMITS[rows.name]
        values = -_row_prices(program, found, rows.name) * MILLION / divisor
        for i in np.flatnonzero(values > 1e-6):
            node = int(rows.index["node"][i])
            made.append(
                Price(rows.name, _of(of, rows.name, rows.index, int(i)), *labels[node],
                      float(values[i]), unit)
            )  # fmt: skip
    return tuple(sorted(made, key=lambda p: (p.limit, p.of, p.period, p.scenario or "")))


def _of(of: Problem, limit: str, index: Mapping[str, Whole], i: int) -> str:
    """Whose limit it is."""
    match limit:
        case "power":
            return of.sites[int(index["site"][i])].id
        case "supply" | "store":
            return of.choices[int(index["chip"][i])].id
        case "quota":
            return of.limits[int(index["quota"][i])].name
    return "budget"


def _by_path(of: Problem, program: Program, found: Solution) -> dict[str, float]:
    """Discounted cost of each scenario, were it certain. [USD]"""
    if len(of.scenarios) <= 1:
        return {}
    ends = leaves(program.instance.parent)
    names = [of.scenarios[i].id for i in range(len(ends))]
    return dict(zip(names, (program.paths @ found.values * MILLION).tolist(), strict=True))
