"""Tokens/s of a chip for each class, from the search for its best deployment.

Each answer is kept with all that it was asked with, so that the same question is searched once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from chipwise import intervals, perf
from chipwise.catalog import training as catalog
from chipwise.errors import BadInput, Infeasible
from chipwise.fleet.problem import Choice, Demand, Problem
from chipwise.perf.formats import compute_format
from chipwise.perf.training import Training
from chipwise.plan import Search, Terms, search
from chipwise.plan.training import TrainingTerms, default_stack, search_training
from chipwise.types import Calibration, Interval

__all__ = ["with_rates"]

Found = tuple[Interval | None, str]
_kept: dict[tuple[object, ...], Found] = {}


def with_rates(of: Problem, calibration: Calibration) -> Problem:
    """The problem with tokens/s of a chip for every choice × class, or why there is none.

    Parameters
    ----------
    of : Problem
        As read.
    calibration : Calibration
        What the estimates rest on.
    """
    rates: dict[tuple[str, str], Interval | None] = {}
    why: dict[tuple[str, str], str] = {}
    for demand in of.demand:
        for choice in of.choices:
            found, reason = _rate(of, choice, demand, calibration)
            rates[choice.id, demand.id] = found
            if reason:
                why[choice.id, demand.id] = reason
    return replace(of, rates=rates, why=why)


def _rate(of: Problem, choice: Choice, demand: Demand, calibration: Calibration) -> Found:
    """What the file states, or another chip's times a factor, or the estimate."""
    if demand.id in choice.stated:
        value = choice.stated[demand.id]
        return (Interval(value, value, value) if value > 0 else None), "stated"
    if choice.like is None:
        return _estimated(choice, demand, calibration)
    other, factor = choice.like
    model = next(c for c in of.choices if c.id == other)
    found, reason = _rate(of, model, demand, calibration)
    if found is None:
        return None, reason
    made = Interval(found.value * factor, found.low * factor, found.high * factor)
    return made, f"assumed: {factor:g} × {other}"


def _estimated(choice: Choice, demand: Demand, calibration: Calibration) -> Found:
    compute: Callable[[Choice, Demand, Calibration], Found]
    compute = _served if demand.kind == "serve" else _trained
    load = demand.load
    asked = (
        choice.chip.id,
        tuple(sorted(choice.chip.flops.items())),
        choice.chip.memory,
        choice.chip.memory_bandwidth,
        demand.model.id,
        demand.kind,
        demand.mfu,
        demand.job,
        load and (load.isl, load.osl, load.ttft, load.tpot, load.percentile),
        calibration.id,
    )
    if asked not in _kept:
        _kept[asked] = compute(choice, demand, calibration)
    return _kept[asked]


def _served(choice: Choice, demand: Demand, calibration: Calibration) -> Found:
    """Output tokens/s of a chip in its best deployment that keeps the target."""
    assert demand.load is not None
    terms = Terms(calibration, lambda _chip, _watts: None, {}, simulate=False)
    made = search([choice.chip], demand.model, demand.load, terms, choice=Search(), mode="agg")
    row = made.rows[0]
    if not row.feasible or row.estimate is None:
        return None, row.why
    chips = float(np.asarray(row.estimate.chips))
    found = row.quantities["throughput"]
    return Interval(found.value / chips, found.low / chips, found.high / chips), ""


def _trained(choice: Choice, demand: Demand, calibration: Calibration) -> Found:
    """Training tokens/s of a chip: at a stated MFU, or in the best layout of a job."""
    if demand.mfu is not None:
        return _utilised(choice, demand, demand.mfu, calibration)
    assert demand.job is not None
    (seq, batch, chips), chip = demand.job, choice.chip
    terms = TrainingTerms(
        catalog.training_calibration(), default_stack(chip), catalog.network(chip)
    )
    training = Training(demand.model, float(seq), float(batch))
    try:
        return search_training(training, chip, chips, terms).rate, ""
    except (BadInput, Infeasible) as error:
        return None, str(error)


def _utilised(choice: Choice, demand: Demand, mfu: float, calibration: Calibration) -> Found:
    """A chip's dense peak × MFU over 6 flop a weight and token [1]_.

    .. [1] J. Kaplan et al., "Scaling laws for neural language models," arXiv:2001.08361, 2.1.
    """
    chip, model = choice.chip, demand.model
    if any(b.kind == "moe" for b in model.layers):
        return None, "a mixture of experts has no MFU of its weights; leave mfu out"
    try:
        peak = chip.flops[compute_format("bf16", chip)]
    except Infeasible as error:
        return None, str(error)
    value = peak * mfu / (6.0 * float(perf.parameters(model)))
    basis = intervals.basis(calibration, model, chip, "vllm")
    width = intervals.half_width(calibration, basis, "throughput", chip)
    return intervals.widen(value, width), ""
