"""Measurements of a profile → the factors of operators on that device, and its facts.

For each class of operators and format the four factors of the rate law are fitted on ln t,

    t = start + ((F/(ηc·P))^p + (B/(ηm·W))^p)^(1/p)

with P and W of the chip: of its datasheet where the catalog has it, else the highest rates that
the profile itself reached. A soft-L1 loss keeps single disturbed cases from deciding. A step adds
seconds, most of them its wide products', so that a product weighs as its weights.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from statistics import median
from typing import Any

import numpy as np

from chipwise.errors import BadInput
from chipwise.perf.roofline import overlap
from chipwise.perf.scales import scale
from chipwise.profile.cases import Case, key, work
from chipwise.types import Array, Calibration, Chip, Efficiency, Engine, Scale

__all__ = ["BARE", "Fitted", "calibrated", "chip_facts", "fit", "rates", "typical"]

# The engine that a bare forward step of torch is: no scheduler, no requests.
BARE = "torch"
_NOISE = 0.1  # of ln t; beyond it a residual weighs linearly
_STARTS = {"fp8": 2.0, "int8": 2.0, "nvfp4": 2.0}
# Without arithmetic or traffic of their own, these have no such factor to fit.
_FREE = {
    "gemm": "scmp",
    "gemv": "sm",
    "attention_decode": "scmp",
    "attention_prefill": "sc",
    "elementwise": "sm",
    "all_reduce": "sm",
}
_FIRST = {"s": 3e-6, "c": 0.6, "m": 0.7, "p": 2.0}
_LOW = {"s": 1e-8, "c": 0.005, "m": 0.01, "p": 1.0}
_HIGH = {"s": 1e-2, "c": 1.2, "m": 5.0, "p": 12.0}


@dataclass(frozen=True, slots=True)
class Fitted:
    """Factors of a class in a format, and |ln(fitted/measured)| of its cases."""

    op: str
    format: str
    factors: Efficiency
    rows: int
    median: float
    worst: float


def typical(lines: Iterable[Mapping[str, Any]]) -> dict[str, tuple[Case, float]]:
    """Seconds of each case, by its key: the median of its rounds.

    The shortest would choose the quietest moments, which short cases find more often than long
    ones, so that the sum of operators would fall short of a step.
    """
    found: dict[str, tuple[Case, list[float]]] = {}
    for line in lines:
        case = Case(line["op"], line["format"], line["shape"])
        found.setdefault(key(case), (case, []))[1].append(float(line["seconds"]))
    return {name: (case, median(seconds)) for name, (case, seconds) in found.items()}


def rates(timed: Mapping[str, tuple[Case, float]]) -> tuple[dict[str, float], float]:
    """Highest rate of a product by format [flop/s], and of a copy. [byte/s]

    Raises
    ------
    BadInput
        If no product or no copy was timed.
    """
    peak: dict[str, float] = defaultdict(float)
    copied = 0.0
    for case, seconds in timed.values():
        if case.op == "gemm":
            peak[case.format] = max(peak[case.format], float(work(case).flops) / seconds)
        if case.op == "copy":
            copied = max(copied, float(work(case).bytes) / seconds)
    if not peak or not copied:
        raise BadInput("the profile holds no product or no copy; let it run to its end")
    return dict(peak), copied


def _rated(case: Case, chip: Chip) -> bool:
    """Whether the chip has the rates of which a case's factors would be shares."""
    if case.op == "all_reduce":
        return (chip.scaleup or chip.host) is not None
    return case.format in chip.flops and chip.memory_bandwidth is not None


def _kernel(case: Case) -> str:
    """Class that a case is of: a product of a single row runs in a kernel of its own."""
    return "gemv" if case.op == "gemm" and case.shape["m"] == 1 else case.op


def _work(op: str, cases: Sequence[Case], chip: Chip, passes: float) -> tuple[Array, Array, Array]:
    """Seconds of arithmetic and traffic at the chip's rates, and how often an operator starts."""
    asked = [work(case, passes) for case in cases]
    peak = chip.flops[cases[0].format]
    if op == "all_reduce":
        link = chip.scaleup or chip.host
        assert link is not None
        byte = np.array([float(np.asarray(w.wire)) for w in asked]) / link.bandwidth
        return np.zeros_like(byte), byte, np.array([float(np.asarray(w.messages)) for w in asked])
    assert chip.memory_bandwidth is not None
    flop = np.array([float(w.flops) for w in asked]) / peak
    byte = np.array([float(w.bytes) for w in asked]) / chip.memory_bandwidth
    starts = _STARTS.get(cases[0].format, 1.0) if op in ("gemm", "gemv") else 1.0
    return flop, byte, np.full(len(cases), starts)


def _weights(op: str, cases: Sequence[Case]) -> Array:
    """How much each residual counts, 1 in the mean: a product as the weights that it reads."""
    if op not in ("gemm", "gemv"):
        return np.ones(len(cases))
    held = np.array([float(case.shape["n"] * case.shape["k"]) for case in cases])
    return np.asarray(held / held.mean())


def _solve(
    op: str, flop: Array, byte: Array, starts: Array, seconds: Array, weights: Array
) -> Efficiency:
    """The factors that explain the timings best; the best of several beginnings."""
    from scipy.optimize import least_squares  # noqa: PLC0415

    letters = _FREE[op]

    def factors(logs: Array) -> Efficiency:
        own = dict(zip(letters, np.exp(logs), strict=True))
        start, compute, memory, exponent = (float(own.get(x, 1.0)) for x in ("s", "c", "m", "p"))
        return Efficiency(start, compute, memory, exponent)

    def residuals(logs: Array) -> Array:
        off = np.log(_seconds(factors(logs), flop, byte, starts) / seconds)
        return np.asarray(np.sqrt(weights) * off / _NOISE)

    low, high = (np.log([bound[x] for x in letters]) for bound in (_LOW, _HIGH))
    best = None
    for exponent in (1.2, 2.0, 5.0):
        begin = np.log([{**_FIRST, "p": exponent}[x] for x in letters])
        found = least_squares(residuals, begin, bounds=(low, high), loss="soft_l1")
        if best is None or found.cost < best.cost:
            best = found
    assert best is not None
    return factors(best.x)


def _seconds(factors: Efficiency, flop: Array, byte: Array, starts: Array) -> Array:
    body = overlap(flop / factors.compute, byte / factors.memory, factors.exponent)
    return np.asarray(starts * factors.start + body)


def fit(timed: Mapping[str, tuple[Case, float]], chip: Chip, passes: float) -> tuple[Fitted, ...]:
    """Factors of every class and format that was timed.

    Parameters
    ----------
    timed : mapping
        From `typical`.
    chip : Chip
        Whose rates the shares are of.
    passes : float
        Times that an elementwise token crosses memory, of the calibration. [1]
    """
    groups: dict[tuple[str, str], list[tuple[Case, float]]] = defaultdict(list)
    for case, seconds in timed.values():
        if case.op in _FREE and _rated(case, chip):
            groups[_kernel(case), case.format].append((case, seconds))
    found = []
    for (op, form), members in sorted(groups.items()):
        cases, measured = [c for c, _ in members], np.array([s for _, s in members])
        flop, byte, starts = _work(op, cases, chip, passes)
        factors = _solve(op, flop, byte, starts, measured, _weights(op, cases))
        off = np.abs(np.log(_seconds(factors, flop, byte, starts) / measured))
        found.append(Fitted(op, form, factors, len(off), float(np.median(off)), float(off.max())))
    return tuple(found)


# Classes whose efficiency is kept under one key, whatever the format of the activations.
_ONE_KEY = frozenset(_FREE) - {"gemm", "gemv"}


def calibrated(
    general: Calibration, chip: Chip, fitted: Sequence[Fitted], name: str
) -> Calibration:
    """The general calibration with the factors of one chip in place of its own.

    What was not timed keeps the factors of the chip's generation. A bare step of torch is added as
    an engine without habits.

    Parameters
    ----------
    general : Calibration
        What else is known.
    chip : Chip
        The device.
    fitted : sequence of Fitted
        From `fit`.
    name : str
        Of the local calibration.
    """
    own = {(f.op, "bf16" if f.op in _ONE_KEY else f.format, chip.id): _begun(f) for f in fitted}
    generation = scale(general, chip)
    kept = {
        (kind, form, chip.id): _scaled(values, generation)
        for (kind, form, scope), values in general.operators.items()
        if scope in ("", chip.generation, chip.architecture) and generation != Scale()
    }
    bare = dict.fromkeys(general.engines["vllm"].values, 0.0)
    bare |= {"gpu": 1.0, "expert_start": 1.0, "mixes": 1.0, "utilisation": 1.0, "free_share": 1.0}
    return replace(
        general,
        id=name,
        base=general.id,
        operators={**general.operators, **kept, **own},
        scales={**general.scales, chip.id: Scale(launch=generation.launch)},
        engines={**general.engines, BARE: Engine(bare)},
    )


def _begun(of: Fitted) -> Efficiency:
    # A step without prompts has no such operator to start, and a start is charged all the same.
    return replace(of.factors, start=0.0) if of.op == "attention_prefill" else of.factors


def _scaled(values: Efficiency, by: Scale) -> Efficiency:
    """A generation's factors as a chip's own, which no scale multiplies."""
    return Efficiency(
        values.start * by.start, values.compute * by.compute, values.memory * by.memory,
        values.exponent,
    )  # fmt: skip


_COUNTRIES = {"AMD": "US", "Intel": "US", "NVIDIA": "US", "Huawei": "CN"}


def chip_facts(
    chip_id: str,
    device: Mapping[str, Any],
    peak: Mapping[str, float],
    copied: float,
    on: date,
) -> str:
    """A chip's TOML file from what was measured of it, marked so.

    Parameters
    ----------
    chip_id : str
        Its id.
    device : mapping
        Fields of `Device`.
    peak : mapping
        Format → highest rate of a product. [flop/s]
    copied : float
        Highest rate of a copy. [byte/s]
    on : date
        Day of the measurement.
    """
    processor = device["kind"] == "cpu"
    vendor = f"{device['vendor']} CPU" if processor else device["vendor"]
    note = (
        "Measured by chipwise profile: rates are the highest that its products and copies reached"
        + (f", with {device['threads']} thread(s)" if processor else "")
    )
    texts = {
        "id": chip_id,
        "name": device["name"],
        "vendor": vendor,
        "country": _COUNTRIES.get(device["vendor"], ""),
        "architecture": "CPU" if processor else device["name"],
        "status": "public",
        "note": note,
    }
    facts = {f"flops.{form}": (rate / 1e12, "TFLOPS") for form, rate in sorted(peak.items())}
    facts["memory_bandwidth"] = copied / 1e9, "GB/s"
    if device["memory"]:
        facts["usable_memory"] = device["memory"] / 2**20, "MiB"
    lines = [f"{name} = {_quoted(text)}" for name, text in texts.items()]
    lines += [""] + [
        f'{name} = {{ value = {value:.6g}, unit = "{unit}", source = "chipwise-profile", '
        f'provenance = "derived", on = {on.isoformat()} }}'
        for name, (value, unit) in facts.items()
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
