"""All deployments of a chip, estimated; the best of them, and why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from chipwise import perf
from chipwise.errors import Infeasible
from chipwise.plan import space
from chipwise.plan.answer import replicas
from chipwise.plan.space import Search
from chipwise.types import Array, Calibration, Chip, Deployment, Estimate, Model, Side, Workload
from chipwise.units import from_base

__all__ = [
    "Candidates",
    "bounds",
    "candidates",
    "check_rates",
    "missed",
    "pick",
    "score",
    "shortage",
]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """All deployments of one chip in one weight format, estimated."""

    deployment: Deployment
    estimate: Estimate

    def one(self, i: int) -> Deployment:
        """The i-th, as numbers."""
        side = self.deployment.decode
        picked = {
            name: float(np.broadcast_to(getattr(side, name), np.shape(self.estimate.fits))[i])
            for name in ("tp", "pp", "ep", "dp", "batch")
        }
        return replace(self.deployment, decode=Side(side.chip, **picked, replicas=1.0))


def bounds(workload: Workload) -> Array:
    """Limits of ttft and tpot; infinite where none is set. [s]"""
    return np.array([workload.ttft or np.inf, workload.tpot or np.inf])


def candidates(
    chip: Chip, model: Model, workload: Workload, calibration: Calibration, choice: Search
) -> list[Candidates]:
    """Every legal deployment in every weight format; with pipelines where nothing else fits."""
    check_rates(chip)
    tried: list[Candidates] = []
    for stages in dict.fromkeys((choice.pp or (1,), choice.pp or (2, 4, 8))):
        for weights in choice.weights or perf.legal(model, chip):
            found = space.legal(chip, model, weights, replace(choice, pp=stages))
            if found is not None:
                made = perf.estimate(model, workload, found, calibration)
                tried.append(Candidates(found, made))
        if any(np.any(c.estimate.fits) for c in tried):
            break
    return tried


def check_rates(chip: Chip) -> None:
    """Refuse a chip whose speed cannot be computed, and name what nobody published."""
    missing = [n for n in ("memory", "memory_bandwidth") if getattr(chip, n) is None]
    if not chip.flops:
        missing.append("dense rates")
    if missing:
        raise Infeasible(
            f"{chip.name}: {', '.join(missing)} not published; nothing to compute from"
        )


def score(found: Candidates, limits: Array) -> Array:
    """Output tokens each second and chip of those that keep the limits; −inf of the others."""
    made = found.estimate
    keeps = made.fits & (made.ttft <= limits[0]) & (made.tpot <= limits[1])
    return np.where(keeps, made.throughput / made.chips, -np.inf)


def pick(
    tried: Sequence[Candidates], workload: Workload, limits: Array, gpus: int | None
) -> tuple[Candidates, int] | None:
    """The candidate that yields most for a chip, within limits and the chips allowed."""
    best: tuple[Candidates, int] | None = None
    top = -np.inf
    for found in tried:
        value = score(found, limits)
        if gpus:
            needed = found.estimate.chips * replicas(found.estimate, workload)
            value = np.where(needed <= gpus, value, -np.inf)
        i = int(np.argmax(value))
        if value[i] > top:
            best, top = (found, i), float(value[i])
    return best


def missed(tried: Sequence[Candidates], workload: Workload, gpus: int | None = None) -> str:
    """Which limit binds, by how much, among deployments that fit: a time, or the chips allowed."""
    needed = _fewest(tried, workload)
    if gpus and np.isfinite(needed):
        if workload.rate is None:
            return f"the target takes {int(needed)} chips at least; {gpus} are allowed"
        return (
            f"{workload.rate:g} requests/s takes {int(needed)} chips at least; {gpus} are allowed"
        )
    fits = [c for c in tried if np.any(c.estimate.fits)]
    ttft = min(float(np.nanmin(c.estimate.ttft)) for c in fits)
    tpot = min(float(np.nanmin(c.estimate.tpot)) for c in fits)
    said = []
    for name, best, limit in (("ttft", ttft, workload.ttft), ("tpot", tpot, workload.tpot)):
        if limit is not None and best > limit:
            said.append(
                f"{name} is {best:.4g} s at best, {best / limit:.2f} × the limit {limit:g} s"
            )
    return "; ".join(said) or (
        "no deployment keeps both limits on the chips allowed: "
        f"ttft {ttft:.4g} s and tpot {tpot:.4g} s at best, each alone"
    )


def _fewest(tried: Sequence[Candidates], workload: Workload) -> float:
    """Chips with which the rate is served within the limits, were there no end of them."""
    fewest = np.inf
    for found in tried:
        chips = found.estimate.chips * replicas(found.estimate, workload)
        keeps = np.isfinite(score(found, bounds(workload)))
        fewest = min(fewest, float(np.min(np.where(keeps, chips, np.inf))))
    return fewest


def shortage(
    chip: Chip, model: Model, workload: Workload, calibration: Calibration, choice: Search
) -> str:
    """How many bytes are missing on a chip, and how many chips would hold the model."""
    weights = min(
        choice.weights or perf.legal(model, chip),
        key=lambda w: float(perf.weight_bytes(model, w, Side(chip))),
    )
    wide = replace(choice, chips=4096, pp=choice.pp or (1, 2, 4, 8, 16), batches=1)
    found = space.legal(chip, model, weights, wide)
    alone = Deployment(Side(chip), weights, choice.kv, choice.backend, space.budget(chip, choice))
    small = perf.estimate(model, workload, alone, calibration).memory
    used = (small.weights, small.kv, small.activations, small.buffers, small.reserve)
    over = float(np.max(sum(np.asarray(x) for x in used) - np.asarray(small.capacity)))
    text = (
        f"{model.id} with {weights} weights does not fit: {from_base(over, 'GB'):.1f} GB missing "
        f"on one {chip.name} for a request of "
        f"{int(np.max(workload.isl))} + {int(np.max(workload.osl))}"
    )
    if found is None:
        return f"{text}; no legal division of its layers and heads over this chip"
    made = perf.estimate(model, workload, found, calibration)
    holds = np.where(made.fits, made.chips, np.inf)
    enough = float(np.min(holds))
    if np.isinf(enough):
        return f"{text}; no legal number of these chips holds it"
    return f"{text}; {int(enough)} would hold it"
