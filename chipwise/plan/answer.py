"""One deployment in full: estimated, repeated as the load asks, simulated, priced, bounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chipwise import corrections, cost, intervals, perf
from chipwise.perf.formats import compute_format, role_format
from chipwise.plan import trial
from chipwise.types import (
    Calibration,
    Chip,
    Deployment,
    Estimate,
    Interval,
    Model,
    Money,
    Numeric,
    PlanRow,
    Verdict,
    Workload,
)

__all__ = ["Terms", "answer", "corrected", "describe", "priced", "replicas"]


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What a plan is made under, beside model and load.

    `hourly` gives a chip's cost at a draw of so many watts, or None where a price is missing
    [USD/h]; `verdicts` by chip; `carbon` of the electricity, `pue` included [g/J]; `gpus` in
    all at most; `price_basis` names whose cost `hourly` tells: ``own`` or ``rent``.
    """

    calibration: Calibration
    hourly: Callable[[Chip, float], Money | None]
    verdicts: Mapping[str, Verdict]
    carbon: float | None = None
    gpus: int | None = None
    simulate: bool = True
    seed: int = 0
    price_basis: str = "own"


def replicas(made: Estimate, workload: Workload) -> Numeric:
    """Replicas that a rate of arrivals asks for; one in a closed loop. [1]"""
    if workload.rate is None:
        return 1.0
    return np.ceil(workload.rate * workload.osl / made.throughput)


def answer(made: Deployment, model: Model, workload: Workload, terms: Terms) -> PlanRow:
    """A deployment in full: estimated, repeated as often as the load asks, simulated, priced."""
    calibration = terms.calibration
    one = perf.estimate(model, workload, made, calibration)
    copies = 1.0
    if made.prefill is None:
        copies = float(replicas(one, workload))
        if workload.rate is None and terms.gpus:
            copies = max(float(terms.gpus // float(one.chips)), 1.0)
        made = replace(made, decode=replace(made.decode, replicas=copies))
        one = perf.estimate(model, workload, made, calibration)
    simulated: dict[str, float] = {}
    if terms.simulate:
        simulated = trial.run(made, one, model, workload, calibration, terms.seed)
    return priced(made, one, simulated, model, workload, terms)


def corrected(
    made: Deployment, one: Estimate, model: Model, workload: Workload, calibration: Calibration
) -> tuple[Estimate, bool]:
    """A closed loop's estimate with its stack's residual, and whether there is one for its load.

    There is where runs of the stack were measured about such a load. A search leaves residuals
    out: deployments that have one would be compared with others that have none.
    """
    side = made.decode
    stack = (model.family, side.chip, made.backend, made.weights)
    clients = np.asarray(side.batch) / (np.asarray(side.dp) * np.asarray(side.pp))
    load = corrections.features(clients, workload.isl, workload.osl, side.tp)
    if not np.all(corrections.measured(calibration, *stack, load)):
        return one, False
    by_ttft, by_tpot = corrections.correction(calibration, *stack, load)
    ttft, tpot = one.ttft * by_ttft, one.tpot * by_tpot
    after = np.maximum(np.asarray(workload.osl) - 1.0, 0.0)
    by = (one.ttft + after * one.tpot) / (ttft + after * tpot)
    made_good = replace(
        one, ttft=ttft, tpot=tpot, throughput=one.throughput * by, energy=one.energy / by
    )
    return made_good, True


def priced(
    made: Deployment,
    one: Estimate,
    simulated: Mapping[str, float],
    model: Model,
    workload: Workload,
    terms: Terms,
    *,
    corrected: bool = False,
) -> PlanRow:
    """A row from an estimate and what was simulated of it: money, energy, intervals, basis.

    What is not `corrected` by its stack's residual has the basis of a stack that was not measured.
    """
    side = made.decode
    found, farthest = _basis(made, model, terms.calibration)
    if found == "seen" and not corrected:
        found = "stack"
    unverified = _unverified(made, model)
    values = _values(made, one, simulated, workload, terms.calibration)
    power = values["power"]
    quantities = _bounded(values, made, model, terms.calibration, (found, farthest), unverified)
    usd = _hourly(made, power / float(np.asarray(one.chips)), terms)
    token = _per_token(usd, quantities["throughput"]) if usd else None
    # Where nobody published what a chip draws, energy is unknown, and what follows from it too.
    drawn = math.isfinite(power)
    carbon = values["energy"] * terms.carbon if drawn and terms.carbon is not None else None
    return PlanRow(
        side.chip,
        feasible=True,
        why="",
        verdict=terms.verdicts.get(side.chip.id),
        deployment=made,
        estimate=one,
        simulated=simulated,
        quantities=quantities,
        usd=usd,
        usd_token=token,
        carbon=carbon,
        price_basis=terms.price_basis,
        basis=found,
        rests_on_unverified=unverified,
        considered=1,
    )


def _values(
    made: Deployment,
    one: Estimate,
    simulated: Mapping[str, float],
    workload: Workload,
    calibration: Calibration,
) -> dict[str, float]:
    """Latencies, rate, power and energy of a deployment, as simulated where it was."""
    full = float(np.asarray(one.throughput))
    rate = simulated.get("throughput", full)
    if workload.rate is not None:
        rate = min(workload.rate * float(np.max(workload.osl)), full)
    power = float(np.asarray(one.power))
    if rate < full:
        # Beyond what they draw when ready, chips draw in proportion to what they serve.
        idle = calibration.shapes["power_ready"] * _rated_power(made)
        power = idle + (power - idle) * rate / full
    return {
        "ttft": simulated.get("ttft_mean", float(np.asarray(one.ttft))),
        "tpot": simulated.get("tpot_mean", float(np.asarray(one.tpot))),
        "throughput": rate,
        "power": power,
        "energy": power / rate,
    }


def _bounded(
    values: Mapping[str, float],
    made: Deployment,
    model: Model,
    calibration: Calibration,
    basis: tuple[str, Chip],
    unverified: Sequence[str],
) -> dict[str, Interval]:
    """Quantities with their intervals by a basis and its farthest chip."""
    found, farthest = basis
    side = made.decode
    speed = [f for f in unverified if not f.endswith(("power", "die_area"))]
    quantities = {}
    for name, value in values.items():
        key = name if name in ("ttft", "tpot") else "throughput"
        width = intervals.half_width(calibration, found, key, farthest, len(speed))
        own = intervals.own_width(calibration, model, side.chip, made.backend, key)
        # One's own runs measured what the unverified facts only say.
        if own is not None and made.prefill is None:
            width = own
        quantities[name] = intervals.widen(value, width)
    # Chips are capped at their rating, however far off the rest may be.
    draw, rated = quantities["power"], _rated_power(made)
    quantities["power"] = replace(draw, high=max(min(draw.high, rated), values["power"]))
    return quantities


def _basis(made: Deployment, model: Model, calibration: Calibration) -> tuple[str, Chip]:
    """What was measured near it; with two sides, near the one of which less was, and its chip."""
    chips = [side.chip for side in (made.decode, made.prefill) if side is not None]
    found = [(intervals.basis(calibration, model, chip, made.backend), chip) for chip in chips]
    return max(found, key=lambda each: intervals.BASES.index(each[0]))


def _rated_power(made: Deployment) -> float:
    """Power of all chips of a deployment by their datasheets. [W]"""
    return sum(
        (side.chip.power or math.nan)
        * float(np.asarray(side.tp * np.asarray(side.pp) * side.dp * side.replicas))
        for side in (made.decode, made.prefill)
        if side is not None
    )


def _hourly(made: Deployment, watts: float, terms: Terms) -> Money | None:
    """Dollars an hour of all chips; None where one of them has no price on this basis."""
    total = Money(0.0, 0.0, 0.0)
    for side in (made.decode, made.prefill):
        if side is None:
            continue
        each = terms.hourly(side.chip, watts)
        # What is owned is fed, too: without its draw its cost is unknown.
        if each is None or not math.isfinite(each.mid):
            return None
        chips = float(np.asarray(side.tp * side.pp * side.dp * side.replicas))
        total = Money(
            total.low + chips * each.low,
            total.mid + chips * each.mid,
            total.high + chips * each.high,
        )
    return total


def _per_token(usd: Money, rate: Interval) -> Money | None:
    """Dollars for an output token: price and speed both at their kinder, middle, harder end."""
    kind, middle, hard = (cost.per_token(usd, r) for r in (rate.high, rate.value, rate.low))
    if kind is None or middle is None or hard is None:
        return None
    return Money(kind.low, middle.mid, hard.high)


def _unverified(made: Deployment, model: Model) -> tuple[str, ...]:
    """Facts without a source that the result rests on."""
    names: list[str] = []
    sparse = any(b.kind == "moe" for b in model.layers)
    for side in (made.decode, made.prefill):
        if side is None:
            continue
        peaks = {
            compute_format(role_format(made.weights, role, sparse=sparse), side.chip)
            for role in ("attention", "dense", "experts", "head")
        }
        used = {"memory", "memory_bandwidth", "power", *(f"flops.{p}" for p in peaks)}
        if float(np.max(side.tp * np.asarray(side.pp) * side.dp)) > 1:
            used.add("scaleup")
        names += [f"{side.chip.id}.{f}" for f in sorted(used & side.chip.unverified)]
    names += [f"{model.id}.{f}" for f in sorted(model.unverified)]
    return tuple(dict.fromkeys(names))


def describe(made: Deployment | None) -> str:
    """A deployment in a line, as the tables show it.

    Examples
    --------
    >>> describe(None)
    ''
    """
    if made is None:
        return ""
    parts = []
    for label, side in (("", made.decode), ("prefill ", made.prefill)):
        if side is None:
            continue
        text = f"{label}tp{int(side.tp)}"
        for name in ("pp", "dp", "ep"):
            if float(np.asarray(getattr(side, name))) > 1:
                text += f" {name}{int(getattr(side, name))}"
        if float(np.asarray(side.replicas)) > 1:
            text += f" ×{int(side.replicas)}"
        parts.append(text)
    return f"{made.weights} {' + '.join(parts)} batch {int(made.decode.batch)}"
