"""The fleet over years: what to buy, rent and retire, and what dependence costs."""

from chipwise.fleet.audit import save
from chipwise.fleet.cutoff import CutCost, Premium, cut_cost, diversification, regret, spare_values
from chipwise.fleet.dependence import Dependence, dependence, hhi
from chipwise.fleet.fields import schema
from chipwise.fleet.licences import with_law
from chipwise.fleet.outcome import Fleet
from chipwise.fleet.problem import CutOff, Problem
from chipwise.fleet.reading import cut_off, problem
from chipwise.fleet.rolling import Rolling, rolling
from chipwise.fleet.study import Asked, Study, program, study
from chipwise.fleet.telling import told
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
    "cut_cost",
    "cut_off",
    "dependence",
    "diversification",
    "hhi",
    "problem",
    "program",
    "regret",
    "rolling",
    "save",
    "schema",
    "spare_values",
    "study",
    "told",
    "with_law",
    "with_rates",
]
