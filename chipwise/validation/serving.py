"""Rows of serving tables → runs, and what is predicted of their mean ttft and tpot."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from chipwise import catalog, corrections, intervals, perf
from chipwise.catalog.protocols import protocol
from chipwise.errors import BadInput, ChipwiseError
from chipwise.habits import Measured
from chipwise.perf.blocks import layers
from chipwise.perf.formats import KV_WIDTH, WEIGHT_WIDTH, compute_format
from chipwise.plan.replay import Run, replay
from chipwise.types import Array, Calibration, Side
from chipwise.validation.cells import chip_of

__all__ = ["COLUMNS", "bounds_of", "line", "load_of", "measured", "run_of", "suspects", "truths"]

Row = Mapping[str, str]
Line = dict[str, Any]

COLUMNS = (
    *("id", "pred_ttft_ms", "pred_ttft_low_ms", "pred_ttft_high_ms"),
    *("pred_tpot_ms", "pred_tpot_low_ms", "pred_tpot_high_ms", "basis", "error"),
)
_MILLI = 1e3


def _whole(row: Row, name: str, default: int | None = None) -> int:
    text = row.get(name, "")
    if not text and default is not None:
        return default
    try:
        value = float(text)
    except ValueError:
        raise BadInput(f"{name} is {text!r}; a whole number was expected") from None
    if not (1 <= value < 1e9 and value == int(value)):
        raise BadInput(f"{name} is {text}; a whole number of at least 1 was expected")
    return int(value)


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"measured_on is {text!r}; a date like 2026-03-27 was expected") from None


def run_of(row: Row) -> Run:
    """The run that a row of a serving table describes, with the flags of its benchmark.

    Raises
    ------
    ChipwiseError
        If a name is unknown, or a number is not one.
    """
    model, chip = catalog.model(row["model"]), chip_of(row["chip"])
    weights = row["weight_format"] or model.weights
    if weights not in WEIGHT_WIDTH:
        raise BadInput(f"unknown weight format {weights!r}; known are {', '.join(WEIGHT_WIDTH)}")
    load = {name: _whole(row, name) for name in ("isl", "osl", "concurrency")}
    degrees = {name: _whole(row, name, 1) for name in ("dp", "ep", "pp")}
    others = degrees["dp"] * degrees["pp"]
    degrees["tp"] = _whole(row, "tp", max(_whole(row, "gpus", 1) // others, 1))
    flags = protocol(
        {
            "family": model.family,
            "backend": row["backend"],
            "chip": chip.id,
            "generation": chip.generation,
            "weights": weights,
            "tp": degrees["tp"],
            "dp": degrees["dp"],
            "on": _day(row.get("measured_on", "")),
            **load,
        }
    )
    kv = row.get("kv", "") or flags.kv or "bf16"
    if kv not in KV_WIDTH:
        raise BadInput(f"unknown kv format {kv!r}; known are {', '.join(KV_WIDTH)}")
    return Run(model, chip, row["backend"], weights, kv, protocol=flags, **load, **degrees)


def load_of(run: Run) -> Array:
    """The run's load as corrections see it."""
    return corrections.features(run.concurrency / run.dp, run.isl, run.osl, run.tp)


def line(row: Row, calibration: Calibration) -> Line:
    """What is predicted of one row, with intervals; measured columns are never read."""
    run = run_of(row)
    ttft, tpot = replay(run, calibration)
    if math.isnan(tpot):
        raise BadInput(
            f"{run.model.id} in {run.weights} leaves no room for a request of {run.isl} tokens on "
            f"{run.tp * run.dp * run.pp} {run.chip.name}"
        )
    by_ttft, by_tpot = corrections.correction(
        calibration, run.model.family, run.chip, run.backend, run.weights, load_of(run)
    )
    found = intervals.basis(calibration, run.model, run.chip, run.backend)
    key = (run.model.family, run.chip.id, run.backend, run.weights)
    if found == "seen" and key not in calibration.corrections:
        found = "stack"  # seen in another weight format, whose residual may not carry over
    made: Line = {"basis": found, "error": ""}
    for name, value in (("ttft", ttft * float(by_ttft)), ("tpot", tpot * float(by_tpot))):
        own = intervals.own_width(calibration, run.model, run.chip, run.backend, name)
        width = intervals.half_width(calibration, found, name, run.chip) if own is None else own
        bounds = intervals.widen(value * _MILLI, width)
        made |= {
            f"pred_{name}_ms": bounds.value,
            f"pred_{name}_low_ms": bounds.low,
            f"pred_{name}_high_ms": bounds.high,
        }
    return made


def truths(row: Row) -> dict[str, float]:
    """Mean ttft and tpot that a row measured, in its own milliseconds."""
    found = {}
    for name in ("ttft_ms", "tpot_ms"):
        try:
            found[name] = float(row.get(name, ""))
        except ValueError:
            continue
    return found


def bounds_of(line: Line, name: str) -> tuple[float | None, float, float]:
    """A predicted quantity with its bounds, of a line of any table.

    The value is None where nothing was predicted, the bounds 0 and ∞ where the table has none.
    """
    value = line.get(f"pred_{name}", "")
    if value == "":
        return None, 0.0, 0.0
    stem, _, unit = name.rpartition("_")
    own = (f"pred_{stem}_low_{unit}", f"pred_{stem}_high_{unit}")
    rate = ("pred_low", "pred_high") if name.startswith("tokens_per_s") else own
    for low, high in (own, rate):
        if low in line:
            return float(value), float(line[low]), float(line[high])
    return float(value), 0.0, math.inf


# Since then the benchmark's scripts send requests ahead, so that kernels are compiled by the start.
_WARMED = date(2026, 1, 21)


def _cold(row: Row, run: Run) -> bool:
    """Whether the first wave waited for kernels that were compiled then: a minute in its ttft.

    SGLang's nvfp4 kernels of Blackwell are; the others come compiled.
    """
    on = _day(row.get("measured_on", ""))
    compiled = run.backend == "sglang" and run.weights == "nvfp4"
    return compiled and on is not None and on < _WARMED


def measured(rows: Sequence[Row]) -> list[Measured]:
    """Runs of a serving table with what was measured; rows without it, or unknown, left out.

    The ttft of a run that began cold is NaN.
    """
    found = []
    for row in rows:
        try:
            run = run_of(row)
            ttft, tpot = float(row["ttft_ms"]) / _MILLI, float(row["tpot_ms"]) / _MILLI
        except (ChipwiseError, KeyError, ValueError):
            continue
        if ttft > 0 and tpot > 0:
            known = math.nan if _cold(row, run) else ttft
            found.append(Measured(row.get("id", ""), run, known, tpot))
    return found


# Share of the datasheet's arithmetic that no served model has been seen to reach.
_MOST = 0.6


def _share(m: Measured) -> float:
    """Share of the chips' dense rate that the tokens of a closed loop amount to. [1]"""
    run, wait = m.run, 0.0 if math.isnan(m.ttft) else m.ttft
    mean = 0.5 * (run.protocol.low + run.protocol.high)
    rate = run.concurrency * mean * (run.isl + run.osl) / (wait + mean * run.osl * m.tpot)
    weights = sum(
        layer.count
        * (
            sum(part.n * part.k for part in layer.linears)
            + (layer.experts.topk * layer.experts.weights if layer.experts else 0.0)
        )
        for layer in layers(run.model)
    )
    peak = run.chip.flops[compute_format(run.weights, run.chip)]
    return rate * 2.0 * weights / (peak * run.tp * run.dp * run.pp)


def suspects(runs: Sequence[Measured]) -> dict[str, str]:
    """Runs that contradict their siblings or the datasheet, by id, with the reason.

    They are left out of a fit; predictions are scored on them all the same. A run is never
    suspected for being predicted badly.
    """
    found: dict[str, str] = {}
    by_setting: dict[Any, list[Measured]] = defaultdict(list)
    by_load: dict[Any, list[Measured]] = defaultdict(list)
    for m in runs:
        run = m.run
        case = (run.model.family, run.chip.id, run.backend, run.weights, run.isl, run.osl)
        by_setting[*case, run.tp, run.dp, run.ep].append(m)
        by_load[*case, run.concurrency].append(m)
        side = Side(run.chip, run.tp, run.pp, run.ep, run.dp)
        weights = float(np.asarray(perf.weight_bytes(run.model, run.weights, side)))
        if run.chip.memory is not None and weights > run.chip.memory:
            found[m.id] = "its weights do not fit the chips it names"
        elif _share(m) > _MOST:
            found[m.id] = "more than 60 % of the datasheet's arithmetic: prompts were not computed"
    for group in by_setting.values():
        for m in group:
            if any(o.run.concurrency < m.run.concurrency and m.tpot < o.tpot / 1.4 for o in group):
                found.setdefault(m.id, "tpot falls as clients are added: the server never saw them")
    for group in by_load.values():
        for m in group:
            ranks = m.run.tp * m.run.dp
            if any(o.run.tp * o.run.dp > ranks and o.tpot > 1.05 * m.tpot for o in group):
                found.setdefault(m.id, "faster than the same on more chips: speculation unlabelled")
    return found
