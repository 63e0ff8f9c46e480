"""The mixed-integer program of a fleet: columns, rows and cost from an Instance, in bulk.

Whole servers are bought; chips then stay or leave continuously, vintage by vintage. What a chip
serves of a class is a column of its own, so that demand, shares and changes of software are told
in few terms. Money is in millions of USD, and what is served in units of a class's highest demand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chipwise.fleet.instance import Flags, Instance, Whole, ancestors, children, leaves
from chipwise.types import Array

__all__ = [
    "BOUGHT",
    "GIVEN",
    "MILLION",
    "SPARE",
    "Columns",
    "Program",
    "Rows",
    "compose",
    "cost_before",
    "cost_by_node",
]

MILLION = 1e6
BOUGHT, SPARE, GIVEN = 0, 1, 2
_UNBOUNDED = 1e6
# Row, column and value of a group of entries.
Entry = tuple[Whole, Whole, Array | float]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A family of columns: number of the first, how many, and the indices of each by name."""

    start: int
    size: int
    index: Mapping[str, Whole]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A family of rows: the indices of each by name, bounds, and entries (row, column, value)."""

    name: str
    index: Mapping[str, Whole]
    lower: Array
    upper: Array
    row: Whole
    column: Whole
    value: Array


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Columns by family with bounds, whole or not, expected cost by part, objective; rows.

    Money is in million USD; the objective mixes in the risk that the instance asks for.

    `scale` by class is what one unit of a serve column stands for. [token/s] `unit` is the chips
    that a unit of an acquire column stands for. `paths` is the cost of each column along each path
    of the tree, were that path certain; empty where there is one path.
    """

    instance: Instance
    columns: Mapping[str, Columns]
    rows: Sequence[Rows]
    lower: Array
    upper: Array
    whole: Flags
    parts: Mapping[str, Array]
    objective: Array
    scale: Array
    unit: Array
    paths: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Acquired:
    """Ways in which chips come: bought, released from store, or there from the start."""

    kind: Whole
    node: Whole
    chip: Whole
    site: Whole
    arrival: Whole
    unit: Array
    price: Array
    lower: Array
    upper: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """The columns by family; `outlive` N × C is the share of the first chips that is left."""

    of: Instance
    above: Flags
    acquired: _Acquired
    outlive: Array
    columns: Mapping[str, Columns]
    scale: Array
    size: int


def compose(of: Instance, *, wide: bool = False) -> Program:
    """The program of an instance.

    Parameters
    ----------
    of : Instance
        Tree, chips, sites, offers, demand, limits.
    wide : bool
        Whether to have columns also for servers that the supply does not let in: its rows alone
        keep them at nothing. A plan is the same; what conflicts can be told.

    Returns
    -------
    Program
        Ready to be solved, with the cost of every column by part.
    """
    frame = _frame(of, wide=wide)
    rows = [
        _stock(frame),
        _leaving(frame),
        _capacity(frame),
        _serving(frame),
        _demand(frame),
        _power(frame),
        _supply(frame),
        _budget(frame),
        _quotas(frame),
        _caps(frame),
        _changes(frame),
        _store(frame),
    ]
    if of.cvar_weight > 0 and len(leaves(of.parent)) > 1:
        frame, more = _tail_risk(frame)
        rows += more
    lower, upper = _bounds(frame)
    parts = _parts(frame)
    whole = np.zeros(frame.size, dtype=bool)
    whole[_span(frame, "acquire")] = frame.acquired.kind == BOUGHT
    return Program(
        of,
        frame.columns,
        [r for r in rows if len(r.lower)],
        lower,
        upper,
        whole,
        parts,
        _objective(frame, parts),
        frame.scale,
        frame.acquired.unit,
        _paths(frame) if len(leaves(of.parent)) > 1 else np.zeros((0, frame.size)),
    )


def _span(frame: _Frame, family: str) -> slice:
    found = frame.columns[family]
    return slice(found.start, found.start + found.size)


def _numbers(frame: _Frame, family: str) -> Whole:
    found = frame.columns[family]
    return np.arange(found.start, found.start + found.size)


def _acquisitions(of: Instance, *, wide: bool) -> _Acquired:
    """Every way in which chips can come: node × chip × site, the store, the lots."""
    some = wide | (of.supply >= of.unit)
    node, chip, site = np.nonzero(of.opened & some[:, :, None])
    most = np.full(len(node), np.inf) if wide else np.floor(of.supply[node, chip] / of.unit[chip])
    # The solver loses track of whole numbers with bounds in the hundreds of millions.
    most = np.where(most < _UNBOUNDED, most, np.inf)
    late = of.period[node] + of.lead[chip] < len(of.seconds)
    node, chip, site, most = node[late], chip[late], site[late], most[late]
    stored = of.released[:, :, None] & (of.spares > 0)[None, :, None] & np.any(of.may_own, axis=2)
    out, kept, place = np.nonzero(stored)
    lots = of.lots
    zero, none = np.zeros(len(out)), np.zeros(len(lots.chip), dtype=np.int64)
    return _Acquired(
        np.repeat([BOUGHT, SPARE, GIVEN], [len(node), len(out), len(none)]),
        np.concatenate([node, out, none]),
        np.concatenate([chip, kept, lots.chip]),
        np.concatenate([site, place, lots.site]),
        np.concatenate([of.period[node] + of.lead[chip], of.period[out], lots.arrival]),
        np.concatenate([of.unit[chip], np.ones(len(out)), np.ones(len(none))]).astype(float),
        # What leaves the store is worth what it would be bought for that day.
        np.concatenate([of.price[node, chip], of.price[out, kept], lots.price]),
        np.concatenate([np.zeros(len(node)), zero, lots.count]),
        np.concatenate([most, of.spares[kept], lots.count]),
    )


def _frame(of: Instance, *, wide: bool = False) -> _Frame:
    """Which columns there are."""
    above = ancestors(of.parent)
    acquired = _acquisitions(of, wide=wide)
    age = of.period[None, :] - acquired.arrival[:, None]
    life = of.life[acquired.chip][:, None]
    below = above[:, acquired.node].T
    lot, at = np.nonzero(below & (age >= 0) & (age < life))
    owned = np.zeros((len(of.parent), len(of.unit), len(of.pue)), dtype=bool)
    owned[at, acquired.chip[lot], acquired.site[lot]] = True
    # What has just come is not sold in the same period.
    goes = below & (age >= 1) & (age <= life)
    leave = np.nonzero(goes)
    asked = of.demand > 0
    can = (of.rate > 0)[:, None, :] & of.may_own
    give = np.nonzero(owned[:, :, :, None] & can[None] & asked[:, None, None, :])
    rent = np.nonzero((of.offer_most > 0) & np.any(of.may_rent, axis=1))
    lend_can = of.may_rent & (of.rate[of.offer_chip] > 0)
    lend = np.nonzero((of.offer_most > 0)[:, :, None] & lend_can[None] & asked[:, None, :])
    served = np.zeros((len(of.parent), len(of.unit), of.demand.shape[1]), dtype=bool)
    served[give[0], give[1], give[3]] = True
    served[lend[0], of.offer_chip[lend[1]], lend[2]] = True
    short = np.nonzero(asked[:, :, None] & (of.step_share > 0)[None])
    moves = (of.switch_usd > 0) | (of.ramp < 1)
    stacked = np.zeros((len(of.parent), *moves.shape), dtype=bool)
    for chip, group in enumerate(of.stack):
        stacked[:, group] |= served[:, chip]
    gain = np.nonzero(stacked & moves[None])
    families = {
        "acquire": {
            "acquisition": np.arange(len(acquired.kind)),
            "node": acquired.node,
            "chip": acquired.chip,
            "site": acquired.site,
            "kind": acquired.kind,
        },
        "leave": {
            "acquisition": leave[0],
            "node": leave[1],
            "chip": acquired.chip[leave[0]],
            "site": acquired.site[leave[0]],
        },
        "stock": dict(zip(("node", "chip", "site"), np.nonzero(owned), strict=True)),
        "rent": dict(zip(("node", "offer"), rent, strict=True)),
        "give": dict(zip(("node", "chip", "site", "demand"), give, strict=True)),
        "lend": dict(zip(("node", "offer", "demand"), lend, strict=True)),
        "serve": dict(zip(("node", "chip", "demand"), np.nonzero(served), strict=True)),
        "short": dict(zip(("node", "demand", "step"), short, strict=True)),
        "gain": dict(zip(("node", "stack", "demand"), gain, strict=True)),
    }
    columns, start = {}, 0
    for name, index in families.items():
        size = len(index["node"])
        columns[name] = Columns(start, size, index)
        start += size
    highest = of.demand.max(axis=0, initial=0.0)
    scale = np.where(highest > 0, highest, 1.0)
    return _Frame(of, above, acquired, _outliving(of), columns, scale, start)


def _table(frame: _Frame, family: str, shape: tuple[int, ...]) -> Whole:
    """Numbers of a family's columns by their indices, −1 where there is none."""
    found = frame.columns[family]
    table = np.full(shape, -1, dtype=np.int64)
    table[tuple(found.index.values())] = _numbers(frame, family)
    return table


def _rows(
    name: str,
    index: Mapping[str, Whole],
    bounds: tuple[Array | float, Array | float],
    entries: Sequence[Entry],
) -> Rows:
    """A family of rows from its bounds and groups of entries."""
    count = len(next(iter(index.values())))
    lower, upper = (np.broadcast_to(np.asarray(b, float), count).copy() for b in bounds)
    return Rows(
        name,
        index,
        lower,
        upper,
        np.concatenate([e[0] for e in entries]) if entries else np.zeros(0, np.int64),
        np.concatenate([e[1] for e in entries]) if entries else np.zeros(0, np.int64),
        np.concatenate([np.broadcast_to(e[2], len(e[0])) for e in entries])
        if entries
        else np.zeros(0),
    )


def _outliving(of: Instance) -> Array:
    """Share of chips that failures have left at a node, of those at the root: N × C."""
    share = np.ones(of.keep.shape)
    for node, above in enumerate(of.parent):
        if above >= 0:
            share[node] = share[above] * of.keep[node]
    return share


def _left(frame: _Frame, lot: Whole, node: Whole) -> Array:
    """Share of an acquisition that failures have left at a node, of what came."""
    of, got = frame.of, frame.acquired
    chip = got.chip[lot]
    back = np.maximum(of.period[node] - np.maximum(got.arrival[lot], 0), 0)
    begin = _climb(of.parent)[node, back]
    return frame.outlive[node, chip] / frame.outlive[begin, chip]


def _climb(parent: Whole) -> Whole:
    """N × periods: the node that lies so many periods above each node."""
    found = [np.arange(len(parent))]
    while np.any(parent[found[-1]] >= 0):
        up = parent[found[-1]]
        found.append(np.where(up >= 0, up, found[-1]))
    return np.stack(found, axis=1)


def _stock(frame: _Frame) -> Rows:
    """Chips at a site are those of the period before, with what comes and without what goes."""
    of, got = frame.of, frame.acquired
    stock, leave = frame.columns["stock"], frame.columns["leave"].index
    shape = (len(of.parent), len(of.unit), len(of.pue))
    own = _table(frame, "stock", shape)
    row = np.where(own >= 0, own - stock.start, -1)
    node, chip, site = stock.index["node"], stock.index["chip"], stock.index["site"]
    entries: list[Entry] = [(np.arange(stock.size), _numbers(frame, "stock"), 1.0)]
    above = of.parent[node]
    prior = np.where(above >= 0, own[above, chip, site], -1)
    some = prior >= 0
    entries.append((np.flatnonzero(some), prior[some], -of.keep[node, chip][some]))
    below = frame.above[:, got.node].T
    lot, at = np.nonzero(below & (of.period[None, :] == np.maximum(got.arrival, 0)[:, None]))
    come = row[at, got.chip[lot], got.site[lot]]
    some = (come >= 0) & (got.arrival[lot] + of.life[got.chip[lot]] >= 0)
    number = _numbers(frame, "acquire")
    entries.append((come[some], number[lot[some]], -got.unit[lot[some]]))
    go = row[leave["node"], leave["chip"], leave["site"]]
    some = go >= 0
    left = _left(frame, leave["acquisition"], leave["node"])
    entries.append((go[some], _numbers(frame, "leave")[some], left[some]))
    return _rows("stock", stock.index, (0.0, 0.0), entries)


def _leaving(frame: _Frame) -> Rows:
    """Of an acquisition no more leaves than came, and all of it where its life ends."""
    of, got = frame.of, frame.acquired
    leave = frame.columns["leave"].index
    ends = leaves(of.parent)
    goes = np.zeros((len(got.kind), len(of.parent)), dtype=bool)
    goes[leave["acquisition"], leave["node"]] = True
    on_path = goes.astype(float) @ frame.above[ends].T.astype(float) > 0
    lot, leaf = np.nonzero(on_path)
    number = np.full(on_path.shape, -1, dtype=np.int64)
    number[lot, leaf] = np.arange(len(lot))
    which, path = np.nonzero(frame.above[ends][:, leave["node"]].T)
    over = of.period[ends[leaf]] >= got.arrival[lot] + of.life[got.chip[lot]]
    entries: list[Entry] = [
        (number[leave["acquisition"][which], path], _numbers(frame, "leave")[which], 1.0),
        (np.arange(len(lot)), _numbers(frame, "acquire")[lot], -got.unit[lot]),
    ]
    index = {"acquisition": lot, "node": ends[leaf], "chip": got.chip[lot], "site": got.site[lot]}
    return _rows("leaving", index, (np.where(over, 0.0, -np.inf), 0.0), entries)


def _capacity(frame: _Frame) -> Rows:
    """Chips given to classes are there and have power."""
    of = frame.of
    nodes, chips, sites = len(of.parent), len(of.unit), len(of.pue)
    give, lend, rent, stock = (frame.columns[n].index for n in ("give", "lend", "rent", "stock"))
    used = np.zeros((nodes, chips, sites), dtype=bool)
    used[give["node"], give["chip"], give["site"]] = True
    number = np.full(used.shape, -1, dtype=np.int64)
    number[used] = np.arange(used.sum())
    hired = _table(frame, "rent", (nodes, len(of.offer_chip)))
    held = number[stock["node"], stock["chip"], stock["site"]]
    some = held >= 0
    own = np.nonzero(used)
    count = len(own[0])
    running = of.running[stock["node"], stock["site"]]
    offer_row = np.full(hired.shape, -1, dtype=np.int64)
    offer_row[rent["node"], rent["offer"]] = count + np.arange(len(rent["node"]))
    index = {
        "node": np.concatenate([own[0], rent["node"]]),
        "chip": np.concatenate([own[1], of.offer_chip[rent["offer"]]]),
        "site": np.concatenate([own[2], np.full(len(rent["node"]), -1)]),
        "offer": np.concatenate([np.full(count, -1), rent["offer"]]),
    }
    entries: list[Entry] = [
        (number[give["node"], give["chip"], give["site"]], _numbers(frame, "give"), 1.0),
        (held[some], _numbers(frame, "stock")[some], -running[some]),
        (offer_row[lend["node"], lend["offer"]], _numbers(frame, "lend"), 1.0),
        (count + np.arange(len(rent["node"])), _numbers(frame, "rent"), -1.0),
    ]
    return _rows("capacity", index, (-np.inf, 0.0), entries)


def _serving(frame: _Frame) -> Rows:
    """What a chip serves of a class is what the chips given to it serve."""
    of = frame.of
    shape = (len(of.parent), len(of.unit), of.demand.shape[1])
    served = frame.columns["serve"]
    row = _table(frame, "serve", shape) - served.start
    give, lend = frame.columns["give"].index, frame.columns["lend"].index
    chip = of.offer_chip[lend["offer"]]
    rate = of.rate / frame.scale
    entries: list[Entry] = [
        (
            row[give["node"], give["chip"], give["demand"]],
            _numbers(frame, "give"),
            rate[give["chip"], give["demand"]],
        ),
        (
            row[lend["node"], chip, lend["demand"]],
            _numbers(frame, "lend"),
            rate[chip, lend["demand"]],
        ),
        (np.arange(served.size), _numbers(frame, "serve"), -1.0),
    ]
    return _rows("serving", served.index, (0.0, 0.0), entries)


def _demand(frame: _Frame) -> Rows:
    """Demand is served, or falls short in its steps."""
    of = frame.of
    node, kind = np.nonzero(of.demand > 0)
    number = np.full(of.demand.shape, -1, dtype=np.int64)
    number[node, kind] = np.arange(len(node))
    level = (of.demand / frame.scale)[node, kind]
    entries: list[Entry] = []
    for family in ("serve", "short"):
        index = frame.columns[family].index
        entries.append((number[index["node"], index["demand"]], _numbers(frame, family), 1.0))
    return _rows("demand", {"node": node, "demand": kind}, (level, level), entries)


def _power(frame: _Frame) -> Rows:
    """Chips installed at a site draw no more than it has. [MW]"""
    of = frame.of
    stock = frame.columns["stock"].index
    drawn = of.watts[stock["chip"]] * of.pue[stock["site"]] / MILLION
    limited = np.isfinite(of.power)
    node, site = np.nonzero(limited)
    number = np.full(of.power.shape, -1, dtype=np.int64)
    number[limited] = np.arange(len(node))
    row = number[stock["node"], stock["site"]]
    some = row >= 0
    return _rows(
        "power",
        {"node": node, "site": site},
        (-np.inf, of.power[limited] / MILLION),
        [(row[some], _numbers(frame, "stock")[some], drawn[some])],
    )


def _bought(frame: _Frame) -> Whole:
    return np.flatnonzero(frame.acquired.kind == BOUGHT)


def _supply(frame: _Frame) -> Rows:
    """Chips that can be had in a period, over all sites."""
    of, got = frame.of, frame.acquired
    some = _bought(frame)
    limited = np.isfinite(of.supply)
    wanted = np.zeros(of.supply.shape, dtype=bool)
    wanted[got.node[some], got.chip[some]] = True
    limited &= wanted
    node, chip = np.nonzero(limited)
    number = np.full(limited.shape, -1, dtype=np.int64)
    number[limited] = np.arange(len(node))
    row = number[got.node[some], got.chip[some]]
    some, row = some[row >= 0], row[row >= 0]
    return _rows(
        "supply",
        {"node": node, "chip": chip},
        (-np.inf, of.supply[limited]),
        [(row, frame.columns["acquire"].start + some, got.unit[some])],
    )


def _outlay(frame: _Frame) -> Array:
    """What a unit of each acquire column costs on the day of the order. [million USD]"""
    of, got = frame.of, frame.acquired
    paid = got.unit * got.price * (1.0 + of.fee[got.node, got.chip]) / MILLION
    return np.where(got.kind == BOUGHT, paid, 0.0)


def _budget(frame: _Frame) -> Rows:
    """Money for buying, by period or carried over."""
    of, got = frame.of, frame.acquired
    node = np.flatnonzero(np.isfinite(of.budget))
    some = _bought(frame)
    inside = frame.above if of.carry else np.eye(len(of.parent), dtype=bool)
    row, which = np.nonzero(inside[node][:, got.node[some]])
    limit = np.where(frame.above, of.budget[None, :], 0.0).sum(axis=1) if of.carry else of.budget
    column = frame.columns["acquire"].start + some[which]
    return _rows(
        "budget",
        {"node": node},
        (-np.inf, limit[node] / MILLION),
        [(row, column, _outlay(frame)[some[which]])],
    )


def _quotas(frame: _Frame) -> Rows:
    """Licences and agreements that let in so many, along each path of the tree."""
    of, got = frame.of, frame.acquired
    some = _bought(frame)
    ends = leaves(of.parent)
    entries: list[Entry] = []
    for number, quota in enumerate(of.quotas):
        counted = quota.chips[got.chip[some]] & quota.sites[got.site[some]]
        counted &= quota.inside[got.node[some]]
        leaf, which = np.nonzero(frame.above[ends][:, got.node[some]] & counted[None, :])
        column = frame.columns["acquire"].start + some[which]
        entries.append((number * len(ends) + leaf, column, got.unit[some[which]]))
    index = {
        "quota": np.repeat(np.arange(len(of.quotas)), len(ends)),
        "node": np.tile(ends, len(of.quotas)),
    }
    limit = np.repeat([q.count for q in of.quotas], len(ends))
    return _rows("quota", index, (-np.inf, limit), entries)


def _caps(frame: _Frame) -> Rows:
    """Some chips serve at most a share of all tokens that are served."""
    of = frame.of
    serve = frame.columns["serve"].index
    tokens = frame.scale[serve["demand"]] / frame.scale.max(initial=1.0)
    nodes = len(of.parent)
    entries: list[Entry] = []
    for number, cap in enumerate(of.caps):
        share = cap.chips[serve["chip"]].astype(float) - cap.share[serve["node"]]
        some = cap.share[serve["node"]] < 1
        entries.append(
            (
                number * nodes + serve["node"][some],
                _numbers(frame, "serve")[some],
                (share * tokens)[some],
            )
        )
    index = {
        "cap": np.repeat(np.arange(len(of.caps)), nodes),
        "node": np.tile(np.arange(nodes), len(of.caps)),
    }
    return _rows("share", index, (-np.inf, 0.0), entries)


def _changes(frame: _Frame) -> Rows:
    """What a stack gains of a class on the period before."""
    of = frame.of
    gain = frame.columns["gain"]
    node, group, kind = gain.index["node"], gain.index["stack"], gain.index["demand"]
    number = np.full((len(of.parent), *of.ramp.shape), -1, dtype=np.int64)
    number[node, group, kind] = np.arange(gain.size)
    serve = frame.columns["serve"].index
    now = number[serve["node"], of.stack[serve["chip"]], serve["demand"]]
    entries: list[Entry] = [
        (np.arange(gain.size), _numbers(frame, "gain"), -1.0),
        (now[now >= 0], _numbers(frame, "serve")[now >= 0], 1.0),
    ]
    # Entries of the node above: one for each child that has the row.
    above, below = children(of.parent)
    order = np.argsort(serve["node"], kind="stable")
    begin = np.searchsorted(serve["node"][order], np.arange(len(of.parent) + 1))
    for up, down in zip(above, below, strict=True):
        some = order[begin[up] : begin[up + 1]]
        row = number[down, of.stack[serve["chip"][some]], serve["demand"][some]]
        entries.append((row[row >= 0], _numbers(frame, "serve")[some[row >= 0]], -1.0))
    first = np.where(of.parent[node] < 0, of.served[group, kind] / frame.scale[kind], 0.0)
    return _rows("change", gain.index, (-np.inf, first), entries)


def _store(frame: _Frame) -> Rows:
    """No more leaves the store than is in it, along each path of the tree."""
    of, got = frame.of, frame.acquired
    some = np.flatnonzero(got.kind == SPARE)
    chip = np.unique(got.chip[some])
    ends = leaves(of.parent)
    rank = np.searchsorted(chip, got.chip[some])
    leaf, which = np.nonzero(frame.above[ends][:, got.node[some]])
    index = {"chip": np.tile(chip, len(ends)), "node": np.repeat(ends, len(chip))}
    return _rows(
        "store",
        index,
        (-np.inf, np.tile(of.spares[chip], len(ends))),
        [(leaf * len(chip) + rank[which], frame.columns["acquire"].start + some[which], 1.0)],
    )


def _bounds(frame: _Frame) -> tuple[Array, Array]:
    """Lower and upper bounds of all columns."""
    of = frame.of
    lower, upper = np.zeros(frame.size), np.full(frame.size, np.inf)
    lower[_span(frame, "acquire")] = frame.acquired.lower
    upper[_span(frame, "acquire")] = frame.acquired.upper
    rent = frame.columns["rent"].index
    upper[_span(frame, "rent")] = of.offer_most[rent["node"], rent["offer"]]
    level = of.demand / frame.scale
    short = frame.columns["short"].index
    share = of.step_share[short["demand"], short["step"]]
    upper[_span(frame, "short")] = share * level[short["node"], short["demand"]]
    gain = frame.columns["gain"].index
    ramp = of.ramp[gain["stack"], gain["demand"]]
    top = ramp * level[gain["node"], gain["demand"]]
    upper[_span(frame, "gain")] = np.where(ramp < 1, top, np.inf)
    if "threshold" in frame.columns:
        lower[frame.columns["threshold"].start] = -np.inf
    return lower, upper


def _parts(frame: _Frame, *, end: bool = True) -> dict[str, Array]:
    """Expected, discounted cost of each column, by what the money is for. [million USD]

    `end` says whether what is left at the end has a value.
    """
    of = frame.of
    weight = of.probability * of.discount[of.period]
    lasting = weight * of.seconds[of.period]
    parts: dict[str, Array] = {}

    def put(part: str, family: str, value: Array) -> None:
        made = parts.setdefault(part, np.zeros(frame.size))
        made[_span(frame, family)] += value / MILLION

    got = frame.acquired
    paid = got.unit * got.price * weight[got.node]
    fees = paid * of.fee[got.node, got.chip]
    bought, stored = got.kind == BOUGHT, got.kind == SPARE
    put("purchase", "acquire", np.where(bought, paid, 0.0))
    put("fees", "acquire", np.where(bought, fees, 0.0))
    put("spares", "acquire", np.where(stored, paid + fees, 0.0))
    parts["resale"] = _resale(frame, end=end)
    stock = frame.columns["stock"].index
    node, chip, site = stock["node"], stock["chip"], stock["site"]
    drawn = of.watts[chip] * of.pue[site] * of.running[node, site]
    joule = of.electricity[node, site] * lasting[node]
    put("electricity", "stock", of.idle[chip] * drawn * joule)
    put("hosting", "stock", of.watts[chip] * of.hosting[node, site] * weight[node])
    put("upkeep", "stock", of.upkeep[chip] * of.price[node, chip] * weight[node])
    give = frame.columns["give"].index
    node, chip, site = give["node"], give["chip"], give["site"]
    busy = (1.0 - of.idle[chip]) * of.watts[chip] * of.pue[site] / of.peak[give["demand"]]
    put("electricity", "give", busy * of.electricity[node, site] * lasting[node])
    rent = frame.columns["rent"].index
    hire = of.offer_usd[rent["node"], rent["offer"]] * weight[rent["node"]]
    put("rent", "rent", hire)
    short = frame.columns["short"].index
    missed = of.step_usd[short["demand"], short["step"]] * lasting[short["node"]]
    put("unserved", "short", missed * frame.scale[short["demand"]])
    gain = frame.columns["gain"].index
    move = of.switch_usd[gain["stack"], gain["demand"]] * weight[gain["node"]]
    put("switching", "gain", move * frame.scale[gain["demand"]])
    return parts


def _resale(frame: _Frame, *, end: bool) -> Array:
    """What leaves is sold, and what is there at the end has a value: a share of the price paid."""
    of = frame.of
    cost = np.zeros(frame.size)
    leave = frame.columns["leave"].index
    lot, node = leave["acquisition"], leave["node"]
    sold = _price_left(frame, lot, of.period[node]) * _left(frame, lot, node)
    cost[_span(frame, "leave")] -= sold * (of.probability * of.discount[of.period])[node]
    for leaf in leaves(of.parent) if end else ():
        cost -= of.probability[leaf] * _worth(frame, leaf)
    return cost


def _price_left(frame: _Frame, lot: Whole, period: Whole) -> Array:
    """What a chip of an acquisition is worth at a period. [million USD]"""
    of, got = frame.of, frame.acquired
    age = np.clip(period - got.arrival[lot], 0, of.residual.shape[1] - 1)
    value: Array = got.price[lot] * of.residual[got.chip[lot], age] / MILLION
    return value


def _worth(frame: _Frame, leaf: int) -> Array:
    """What a unit of each column leaves to be worth at the end of a path, discounted."""
    of, got = frame.of, frame.acquired
    leave = frame.columns["leave"].index
    worth, last = np.zeros(frame.size), of.period[leaf] + 1
    some = np.flatnonzero(
        frame.above[leaf, got.node]
        & (got.arrival < last)
        & (last <= got.arrival + of.life[got.chip])
    )
    price = _price_left(frame, some, np.full(len(some), last))
    value = np.zeros(len(got.kind))
    value[some] = price * _left(frame, some, np.full(len(some), leaf)) * of.discount[last]
    worth[_span(frame, "acquire")] = value * got.unit
    gone = frame.above[leaf, leave["node"]]
    worth[_span(frame, "leave")] = np.where(gone, -value[leave["acquisition"]], 0.0)
    return worth


def _sum(parts: Mapping[str, Array]) -> Array:
    whole: Array = np.sum(list(parts.values()), axis=0)
    return whole


def _paths(frame: _Frame) -> Array:
    """Discounted cost of each column by path of the tree, as if that path were certain."""
    of = frame.of
    found = []
    for leaf in leaves(of.parent):
        certain = replace(of, probability=frame.above[leaf].astype(float))
        parts = _parts(replace(frame, of=certain))
        found.append(_sum(parts))
    return np.array(found)


def _tail_risk(frame: _Frame) -> tuple[_Frame, list[Rows]]:
    """Columns and rows for the mean of the worst outcomes: excess of each path over a threshold.

    References
    ----------
    .. [1] R. T. Rockafellar and S. Uryasev, "Optimization of conditional value-at-risk," Journal
       of Risk 2(3), 2000, doi:10.21314/JOR.2000.038.
    """
    ends = leaves(frame.of.parent)
    nothing = np.zeros(1, dtype=np.int64)
    threshold = Columns(frame.size, 1, {"node": nothing})
    excess = Columns(frame.size + 1, len(ends), {"node": ends})
    columns = {**frame.columns, "threshold": threshold, "excess": excess}
    leaf, column = np.nonzero(costs := _paths(frame))
    count = np.arange(len(ends))
    entries: list[Entry] = [
        (leaf, column, costs[leaf, column]),
        (count, np.full(len(ends), threshold.start), -1.0),
        (count, excess.start + count, -1.0),
    ]
    rows = _rows("risk", {"node": ends}, (-np.inf, 0.0), entries)
    return replace(frame, columns=columns, size=frame.size + 1 + len(ends)), [rows]


def cost_before(of: Program, stop: int) -> Array:
    """Expected, discounted cost of each column in the periods before `stop`. [million USD]

    What is left then has no value in it.
    """
    made = of.instance
    early = np.where(made.period < stop, made.probability, 0.0)
    cost = np.zeros(len(of.lower))
    frame = _frame(made)
    parts = _parts(replace(frame, of=replace(made, probability=early)), end=False)
    cost[: frame.size] = _sum(parts)
    return cost


def cost_by_node(of: Program, values: Array) -> dict[str, Array]:
    """Discounted cost of each node by part, were it certain to be there. [million USD]

    ``left`` is what the chips that are there at the end of a path are worth then, below nothing;
    parts and it add up to the cost of the path.
    """
    frame = _frame(of.instance)
    nodes = len(of.instance.parent)
    made = {}
    for name, cost in _parts(frame, end=False).items():
        total = np.zeros(nodes)
        for family, part in frame.columns.items():
            span = _span(frame, family)
            np.add.at(total, part.index["node"], (cost * values[: frame.size])[span])
        made[name] = total / of.instance.probability
    made["left"] = np.zeros(nodes)
    for leaf in leaves(of.instance.parent):
        made["left"][leaf] = -float(_worth(frame, leaf) @ values[: frame.size])
    return made


def _objective(frame: _Frame, parts: Mapping[str, Array]) -> Array:
    """Expected cost, mixed with the mean of its worst outcomes. [million USD]"""
    of = frame.of
    expected = _sum(parts)
    if "excess" not in frame.columns:
        return expected
    cost: Array = (1.0 - of.cvar_weight) * expected
    excess = frame.columns["excess"]
    cost[frame.columns["threshold"].start] = of.cvar_weight
    ends = of.probability[excess.index["node"]]
    cost[_span(frame, "excess")] = of.cvar_weight * ends / (1.0 - of.cvar_level)
    return cost
