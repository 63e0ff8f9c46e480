"""The fleet over years: what to buy, rent and retire, and what dependence costs."""

from chipwise.fleet.audit import save
from chipwise.fleet.cutoff import CutCost, Premium, cut_cost, diversification, regret, spare_values
from chipwise.fleet.dependence import Dependence, hhi, shares
from chipwise.fleet.fields import schema
from chipwise.fleet.licences import with_law
from chipwise.fleet.outcome import Fleet
from chipwise.fleet.problem import CutOff, Problem
from chipwise.fleet.reading import cut_off, read
from chipwise.fleet.rolling import Rolling, roll
from chipwise.fleet.study import Asked, Study, answer
from chipwise.fleet.throughput import with_rates

__all__ = [
    "Asked",
    "CutCost",
    "CutOff",
    "Dependence",
    "Fleet",
    "Premium",
    "Problem",
    "Rolling",
    "Study",
    "answer",
    "cut_cost",
    "cut_off",
    "diversification",
    "hhi",
    "read",
    "regret",
    "roll",
    "save",
    "schema",
    "shares",
    "spare_values",
    "with_law",
    "with_rates",
]
