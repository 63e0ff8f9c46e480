"""What the fleet program is made of: arrays over nodes, chips, sites, offers and classes.

Time is a tree of nodes. Without scenarios it is a path with one node a period; where scenarios
part, a node has several children, and what was decided above them is common to all
(non-anticipativity, by construction). A node has the data of its period and scenario.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from chipwise.types import Array

__all__ = ["Cap", "Instance", "Lots", "Quota", "ancestors", "children", "leaves", "no_lots"]

Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Lots:
    """Chips that are there, or on their way, when the plan begins.

    By lot: `chip`, `site`, `arrival` period (negative: that many periods before the first),
    `count` [chip], `price` paid for a chip [USD].
    """

    chip: Whole
    site: Whole
    arrival: Whole
    count: Array
    price: Array


def no_lots() -> Lots:
    """No chips to begin with."""
    whole, number = np.zeros(0, np.int64), np.zeros(0)
    return Lots(whole, whole, whole, number, number)


@dataclass(frozen=True, slots=True, eq=False)
class Cap:
    """At most `share` of the served tokens come from these chips, by node."""

    name: str
    chips: Flags
    share: Array


@dataclass(frozen=True, slots=True, eq=False)
class Quota:
    """At most `count` of these chips may be bought over the nodes of a path that are `inside`."""

    name: str
    chips: Flags
    sites: Flags
    inside: Flags
    count: float


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """A fleet plan in numbers: N nodes, C chips, S sites, O offers, K classes, G stacks, J steps.

    Tree: `parent` (−1 at the root), `period`, `probability` of being there, by node.
    `discount` by period, one more than the last for the value of what remains; `seconds` by
    period. By chip: `unit` chips of a server or rack, `lead` and `life` in periods, `watts` busy
    and `idle` of a chip with its share of the server [W], `residual` C × age (share of the price),
    `upkeep` (share of the price and period), `stack`.
    By node: `price` N × C with `fee` N × C (share of the price on top), `supply` N × C
    [chip], `keep` N × C share that outlives the period before, `opened` N × C × S whether it may be
    bought, `power` N × S [W], `electricity` N × S [USD/J], `hosting` N × S [USD/W and period],
    `running` N × S share of the time with power, `carbon` N × S [g/J], `budget` N [USD] for buying.
    Offers to rent: `offer_chip` O, `offer_usd` N × O [USD per chip and period], `offer_most` N × O.
    Classes: `demand` N × K [token/s]; `rate` C × K [token/s] of a chip that keeps the target, after
    the peak factor, 0 where it cannot; `may_own` C × S × K and `may_rent` O × K. Demand that is not
    served falls in steps: `step_share` K × J of the demand and `step_usd` K × J [USD/token];
    shares that add up to less than 1 leave a part that must be served. `switch_usd` G × K [USD per
    token/s] for demand that comes to a stack, `ramp` G × K share of the demand that may come in a
    period, `served` G × K before the first period [token/s]. `spares` C chips in store, that may be
    put in service at nodes `released`, N × C. `peak` K is the peak of a class over its mean:
    capacity follows the one, energy the other.
    """

    parent: Whole
    period: Whole
    probability: Array
    discount: Array
    seconds: Array
    unit: Whole
    lead: Whole
    life: Whole
    watts: Array
    idle: Array
    residual: Array
    upkeep: Array
    stack: Whole
    price: Array
    fee: Array
    supply: Array
    keep: Array
    opened: Flags
    pue: Array
    power: Array
    electricity: Array
    hosting: Array
    running: Array
    budget: Array
    offer_chip: Whole
    offer_usd: Array
    offer_most: Array
    demand: Array
    rate: Array
    peak: Array
    may_own: Flags
    may_rent: Flags
    step_share: Array
    step_usd: Array
    switch_usd: Array
    ramp: Array
    served: Array
    spares: Array
    released: Flags
    carbon: Array
    lots: Lots = field(default_factory=no_lots)
    caps: tuple[Cap, ...] = ()
    quotas: tuple[Quota, ...] = ()
    cvar_weight: float = 0.0
    cvar_level: float = 0.9
    carry: bool = False


def ancestors(parent: Whole) -> Flags:
    """N × N: whether the second node is the first, or lies on its way from the root.

    Examples
    --------
    >>> ancestors(np.array([-1, 0, 0])).astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [1, 0, 1]])
    """
    found = np.eye(len(parent), dtype=bool)
    for node, above in enumerate(parent):
        if above >= 0:
            found[node] |= found[above]
    return found


def children(parent: Whole) -> tuple[Whole, Whole]:
    """Pairs (node, child) of the tree."""
    below = np.flatnonzero(parent >= 0)
    return parent[below], below


def leaves(parent: Whole) -> Whole:
    """Nodes without a child: one for each scenario."""
    return np.setdiff1d(np.arange(len(parent)), parent)
