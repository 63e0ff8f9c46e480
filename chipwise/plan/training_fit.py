"""Measured training runs → the few factors of `perf.training`, with shrinkage.

Every factor is a logarithm: a value for all chips, and departures of a generation and of a chip
that are drawn towards none, so that what nobody measured gets its generation's habits. Steps are
fitted by ln(predicted/measured) under a robust loss, each group (family × chip × stack) with the
weight of a few rows, however many it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from chipwise.perf.training import OVERLAPS, PRECISIONS, Demand, crowding, demand, spend
from chipwise.plan.training_rows import STATED, Case
from chipwise.types import Array, Calibration, Chip, Efficiency, Engine

__all__ = ["RELEASES", "STACKS", "Fit", "Sample", "fit", "to_calibration", "to_content"]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One measured run: what it was, and the tokens per second and chip it reached."""

    row: int
    family: str
    case: Case
    rate: float


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Fitted logarithms by name, and what they were fitted on."""

    values: Mapping[str, float]
    samples: tuple[Sample, ...]


# name → (first guess, spread of its logarithm). Shares of the datasheet's rates; what physics or
# the engines' documents suggest, before any row is seen.
_PRIORS: Mapping[str, tuple[float, float]] = {
    "gemm:bf16": (0.75, 0.15),
    "gemm:fp8": (0.60, 0.20),
    "gemm:mxfp8": (0.60, 0.20),
    "gemm:nvfp4": (0.50, 0.25),
    "attention": (0.55, 0.25),
    "experts": (0.80, 0.25),
    "memory": (0.75, 0.15),
    "wire": (0.75, 0.20),
    "network": (0.75, 0.20),
    "power": (0.35, 0.50),
    "narrow": (0.20, 0.70),
    "permute": (5.0, 0.50),
    "cast_fp8": (1.0, 0.50),
    "cast_mxfp8": (1.2, 0.50),
    "cast_nvfp4": (1.5, 0.50),
    "cast_fp8_row": (4.0, 0.70),
    "jitter": (0.004, 0.50),
    "show_tensor": (0.50, 0.40),
    "show_context": (0.30, 0.50),
    "show_expert": (0.70, 0.30),
    "show_gather": (0.20, 0.50),
    "show_exchange": (0.30, 0.50),
    "show_send": (0.30, 0.50),
}
# Of each stack, drawn towards the value of all stacks: passes over memory, starts of a layer's
# kernels [s], of a sparse layer's besides [s], of a step [s], shares of all arithmetic, of moving
# tokens to experts, and of attention's own kernel.
_STACK: Mapping[str, tuple[float, float, float]] = {
    "passes": (1.2, 0.30, 0.25),
    "start": (3e-5, 0.70, 0.50),
    "sparse_start": (4e-4, 0.80, 0.80),
    "step": (0.02, 0.50, 0.30),
    "slack": (1.0, 0.03, 0.06),
    "routing": (1.0, 0.03, 0.25),
    "core": (1.0, 0.03, 0.25),
}
_GENERATION, _CHIP, _HOST = 0.10, 0.05, 0.7
# Releases of NVIDIA's Megatron containers, oldest first.
RELEASES = ("21.04", "24.07", "25.09", "25.11", "26.02", "26.04", "26.06", "26.08")
_POWER_REFERENCE = 989.5e12 / 700.0
_NOISE = 0.06
# No kernel library reaches more of a datasheet's rate in long runs; what is fitted beyond it is
# pulled back, as so many further rows would.
_CEILING, _PULL, _PULLS = 0.80, 0.03, 60
_SHARED = (
    "network",
    "narrow",
    "permute",
    "jitter",
    "cast_fp8",
    "cast_mxfp8",
    "cast_nvfp4",
    "cast_fp8_row",
)
# Stacks that a table may name; one without a row keeps what all stacks have in common.
STACKS = (
    *(f"megatron-{release}" for release in RELEASES),
    "foundry",
    "torchtitan",
    "torchtitan-async",
    "torchtitan-eager",
    "maxtext",
    "mlperf",
    "rocm",
    "deepspeed",
    "dualpipe",
    "other",
)
# Passes over the scores of attention in software older than fused attention (2022); none since.
UNFUSED: Mapping[str, float] = {"megatron-21.04": 6.0}


def _form(precision: str) -> str:
    return {"fp16": "bf16", "fp8_row": "fp8"}.get(precision, precision)


def _releases(stack: str) -> tuple[str, ...]:
    """Names of what a stack's factors add up: its kind, and each release up to its own.

    A release departs from the one before it.
    """
    kind, _, release = stack.partition("-")
    if release[:1].isdigit():
        return (kind, *(f"{kind}-{r}" for r in RELEASES if r <= release))
    return (kind, stack) if release else (kind,)


def _parts(name: str, stack: str) -> tuple[str, ...]:
    """Names of what one factor of a stack adds up.

    Releases differ in what surrounds the matrix products, not in the products: their kernels are
    the vendor's libraries'. Nor do steps of many seconds tell a constant of theirs.
    """
    return _releases(stack)[:1] if name in ("step", "slack", "core") else _releases(stack)


def _host(chip: Chip) -> str:
    """How the host is coupled: chips in racks come with processors of their own."""
    wide = chip.scaleup is not None and chip.scaleup.chips > 8
    return "rack" if wide else "node"


def _terms(sample: Sample) -> dict[str, tuple[str, ...]]:
    """Names of the logarithms whose sum is each factor of a row."""
    case = sample.case
    chip, form = case.chip, _form(case.training.precision)
    generation, own = chip.architecture, f"@{chip.id}"

    def scoped(name: str) -> tuple[str, ...]:
        return (name, f"{name}:{generation}")

    gemm = (*scoped(f"gemm:{form}"), f"gemm:{generation}", f"gemm{own}")
    wide = (*scoped("gemm:bf16"), f"gemm:{generation}", f"gemm{own}")
    found = {
        "gemm": gemm,
        "wide": wide,
        "attention": (*scoped("attention"), f"gemm{own}"),
        "experts": (*gemm, *scoped("experts")),
        "memory": scoped("memory"),
        "wire": scoped("wire"),
    }
    found |= {name: (name,) for name in _SHARED}
    found |= {f"show_{name}": (f"show_{name}",) for name in OVERLAPS}
    for name in _STACK:
        found[name] = (name, *(f"{name}/{release}" for release in _parts(name, case.stack)))
    found["sparse_start"] = (*found["sparse_start"], f"sparse_start:{_host(chip)}")
    return found


def _prior(name: str) -> tuple[float, float]:
    """First guess (as a logarithm) and spread of a parameter."""
    if name in _PRIORS:
        guess, spread = _PRIORS[name]
        return float(np.log(guess)), spread
    if name in _STACK:
        guess, spread, _ = _STACK[name]
        return float(np.log(guess)), spread
    if "/" in name:
        return 0.0, _STACK[name.partition("/")[0]][2]
    if name.startswith("sparse_start:"):
        return 0.0, _HOST
    return 0.0, _CHIP if "@" in name else _GENERATION


def _stacked(demands: Sequence[Demand]) -> tuple[Demand, Array]:
    """Demands of single runs as one Demand of arrays, and their shares of repetition."""
    columns: dict[str, Any] = {}
    for part in fields(Demand):
        if part.name == "again":
            continue
        columns[part.name] = np.array([float(getattr(d, part.name)) for d in demands])
    again = np.array([d.again for d in demands]).T
    return Demand(**columns, again=tuple(again)), again


def _factor_arrays(
    values: Mapping[str, Array], power: Array, precisions: Sequence[str], stacks: Sequence[str]
) -> dict[str, Array]:
    """Factors of `spend`, an entry for each row."""
    known = {name: np.exp(v) for name, v in values.items()}
    crowd = power ** known.pop("power")
    slack, routing = known.pop("slack"), known.pop("routing")
    for name in ("gemm", "wide", "attention", "experts"):
        known[name] = known[name] * crowd * slack
    known["permute"] = known["permute"] * routing
    known["attention"] = known["attention"] * known.pop("core")
    for name in OVERLAPS:
        fitted = 1.0 - np.minimum(known.pop(f"show_{name}"), 1.0)
        stated = [STATED.get(stack, {}).get(name) for stack in stacks]
        known[f"overlap_{name}"] = np.array(
            [f if share is None else share for f, share in zip(fitted, stated, strict=True)]
        )
    cast = np.zeros(len(precisions))
    known["scores"] = np.array([UNFUSED.get(stack, 0.0) for stack in stacks])
    for i, precision in enumerate(precisions):
        if PRECISIONS[precision] not in ("bf16", "fp16"):
            cast[i] = known[f"cast_{precision}"][i]
    return {**known, "cast": cast}


def _model(
    samples: Sequence[Sample],
) -> tuple[list[str], Callable[[Array], Array], Callable[[Array], Array]]:
    """Names of the parameters; parameters → ln(predicted/measured), → ln of what is too good."""
    terms = [{**_terms(s), "power": ("power",)} for s in samples]
    names = sorted({name for row in terms for used in row.values() for name in used})
    place = {name: k for k, name in enumerate(names)}
    matrices = {}
    for factor in terms[0]:
        matrix = np.zeros((len(samples), len(names)))
        for i, row in enumerate(terms):
            for name in row[factor]:
                matrix[i, place[name]] += 1.0
        matrices[factor] = matrix
    demands, _ = _stacked([demand(s.case.training, _laid(s)) for s in samples])
    power = np.array([crowding(s.case.chip, _POWER_REFERENCE, 1.0) for s in samples])
    precisions = [s.case.training.precision for s in samples]
    stacks = [s.case.stack for s in samples]
    measured = np.log([s.rate for s in samples])

    def residual(theta: Array) -> Array:
        values = {factor: matrix @ theta for factor, matrix in matrices.items()}
        made = spend(demands, _factor_arrays(values, power, precisions, stacks))
        return np.asarray(np.log(made.rate) - measured)

    def excess(theta: Array) -> Array:
        values = {factor: matrix @ theta for factor, matrix in matrices.items()}
        known = _factor_arrays(values, power, precisions, stacks)
        return np.maximum(np.log(np.maximum(known["gemm"], known["wide"]) / _CEILING), 0.0)

    return names, residual, excess


def _laid(sample: Sample) -> Any:
    assert sample.case.layout is not None, "a run without a layout cannot be fitted"
    return sample.case.layout


def _weights(samples: Sequence[Sample]) -> Array:
    """Weight of each row: a group counts as the root of its size."""
    groups = [(s.family, s.case.chip.id, s.case.stack.partition("-")[0]) for s in samples]
    sizes = {g: groups.count(g) for g in set(groups)}
    return np.array([(sizes[g] + 3.0) ** -0.5 for g in groups]) * 2.0


def fit(samples: Sequence[Sample], begin: Fit | None = None) -> Fit:
    """Factors that fit some measured runs.

    Parameters
    ----------
    samples : sequence of Sample
        Runs with a layout each.
    begin : Fit, optional
        Where to begin the descent; the optimum does not depend on it.

    Returns
    -------
    Fit
        Logarithms by name.
    """
    from scipy.optimize import least_squares  # noqa: PLC0415 -- slow to import, wanted here alone

    names, residual, excess = _model(samples)
    guess = np.array([_prior(name)[0] for name in names])
    spread = np.array([_prior(name)[1] for name in names])
    weight = np.sqrt(_weights(samples))

    def cost(theta: Array) -> Array:
        # The pseudo-Huber loss on the rows alone, as residuals whose squares are that loss.
        scaled = residual(theta) / _NOISE
        robust = np.sqrt(2.0 * (np.sqrt(1.0 + scaled**2) - 1.0)) * np.sign(scaled)
        pull = excess(theta) / _PULL * np.sqrt(_PULLS / len(samples))
        return np.concatenate([weight * robust, pull, (theta - guess) / spread])

    start = guess if begin is None else np.array([begin.values.get(n, _prior(n)[0]) for n in names])
    found = least_squares(
        cost, start, x_scale=spread, max_nfev=40 if begin is None else 14, ftol=1e-4, xtol=1e-4
    )
    return Fit(dict(zip(names, found.x.tolist(), strict=True)), tuple(samples))


def _total(values: Mapping[str, float], names: Sequence[str]) -> float:
    """Sum of logarithms, the first being one that is always known."""
    return sum(values.get(n, _prior(n)[0] if n in _PRIORS or n in _STACK else 0.0) for n in names)


def _operators(
    values: Mapping[str, float], chips: Sequence[tuple[str, str]]
) -> dict[tuple[str, str, str], Efficiency]:
    """Shares of the rates by class, format and scope: a chip, a generation, or any."""
    found = {}
    forms = ("bf16", "fp8", "mxfp8", "nvfp4")
    scopes = [("", "")] + [("", g) for g in sorted({g for _, g in chips})] + list(chips)
    for chip, generation in scopes:
        scope = chip or generation
        memory = np.exp(_total(values, ("memory", f"memory:{generation}")))
        wire = np.exp(_total(values, ("wire", f"wire:{generation}")))
        own = (f"gemm:{generation}", f"gemm@{chip}")
        for form in forms:
            gemm = (f"gemm:{form}", f"gemm:{form}:{generation}", *own)
            sparse = (*gemm, "experts", f"experts:{generation}")
            for kind, terms in (("gemm", gemm), ("experts", sparse)):
                share = float(np.exp(_total(values, terms)))
                found[kind, form, scope] = Efficiency(0.0, share, float(memory), 1.0)
        core = ("attention", f"attention:{generation}", f"gemm@{chip}")
        share = float(np.exp(_total(values, core)))
        found["attention", "bf16", scope] = Efficiency(0.0, share, float(memory), 1.0)
        found["wire", "bf16", scope] = Efficiency(0.0, 1.0, float(wire), 1.0)
    return found


def to_calibration(
    made: Fit, widths: Mapping[str, Mapping[str, float]] | None = None
) -> Calibration:
    """A fit in the form that `perf.training.factors` reads."""
    values = made.values
    chips = sorted({(s.case.chip.id, s.case.chip.architecture) for s in made.samples})
    shapes = {name: float(np.exp(_total(values, (name,)))) for name in _SHARED if name != "permute"}
    for name in OVERLAPS:
        shapes[f"overlap_{name}"] = 1.0 - min(float(np.exp(_total(values, (f"show_{name}",)))), 1.0)
    shapes["power_reference"] = _POWER_REFERENCE
    shapes["power_exponent"] = float(np.exp(_total(values, ("power",))))
    stacks = {s.case.stack for s in made.samples}
    stacks |= set(STACKS)
    engines = {}
    permute = float(np.exp(_total(values, ("permute",))))
    for stack in sorted(stacks):
        one = {
            name: float(np.exp(_total(values, (name, *(f"{name}/{r}" for r in _releases(stack))))))
            for name in _STACK
        }
        one["permute"] = permute * one.pop("routing")
        for host in ("rack", "node"):
            one[f"sparse_start_{host}"] = one["sparse_start"] * float(
                np.exp(values.get(f"sparse_start:{host}", 0.0))
            )
        del one["sparse_start"]
        one["scores"] = UNFUSED.get(stack, 0.0)
        engines[stack] = Engine(one)
    seen = frozenset(
        (
            s.family,
            s.case.chip.id,
            s.case.stack.partition("-")[0],
            s.case.chip.architecture,
            s.case.chip.vendor,
        )
        for s in made.samples
    )
    return Calibration(
        "training",
        _operators(values, chips),
        {},
        shapes,
        engines,
        widths or {},
        seen,
        fitted_on=f"{len(made.samples)} measured training runs",
    )


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def to_content(calibration: Calibration, record: Mapping[str, Any]) -> dict[str, Any]:
    """A calibration as the plain values of its data file, with a record of what it rests on."""
    return {
        "id": calibration.id,
        "fitted_on": calibration.fitted_on,
        "record": dict(record),
        "operators": [
            {
                "class": kind,
                "format": form,
                "scope": scope,
                "compute": _rounded(found.compute),
                "memory": _rounded(found.memory),
            }
            for (kind, form, scope), found in sorted(calibration.operators.items())
        ],
        "shapes": {name: _rounded(v) for name, v in sorted(calibration.shapes.items())},
        "stacks": {
            name: {key: _rounded(v) for key, v in sorted(engine.values.items())}
            for name, engine in sorted(calibration.engines.items())
        },
        "widths": {
            basis: {name: _rounded(v) for name, v in found.items()}
            for basis, found in calibration.widths.items()
        },
        "seen": sorted([list(row) for row in calibration.stacks]),
    }
