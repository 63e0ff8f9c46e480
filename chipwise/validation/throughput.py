"""Rows of published throughput tables → runs, and what is predicted of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from chipwise import catalog, intervals, yields
from chipwise.errors import BadInput, ChipwiseError, Infeasible
from chipwise.perf.formats import WEIGHT_WIDTH
from chipwise.perf.scales import HOME
from chipwise.plan.offline import Offline
from chipwise.plan.reported import Case, Reported, outcome
from chipwise.types import Calibration, Chip, Model, Workload
from chipwise.validation.cells import chip_of, format_of, number, optional
from chipwise.validation.reports import METRICS, report
from chipwise.yields import Setting

__all__ = ["COLUMNS", "case", "line", "measured", "truths"]

Row = Mapping[str, str]
Line = dict[str, Any]

_MILLI = 1e3
_SPEED = frozenset({"memory_bandwidth", "memory", "flops.bf16", "flops.fp8", "flops.fp16"})

# Data sets of MLPerf: first guess of the mean prompt, which no table tells and the yields hold a
# factor for (prompt:…), and the mean output of the reference or of the open rounds. [token]
_PROMPTS = {
    "llama2-70b": (200.0, 294.0),
    "mixtral-8x7b": (200.0, 145.0),
    "llama3.1-405b": (9000.0, 655.0),
    "llama3.1-8b": (800.0, 128.0),
    "deepseek-r1": (800.0, 3700.0),
    "gptj": (800.0, 69.0),
}

# Outputs of these all run to the limit of the rules; others' end where the model ends them. How
# much they vary no table tells: less than an exponential (2), whose tail the limits of 1,024 to
# 20,000 tokens cut. Of 1, 1.5, 2 and one fitted number, 1.5 left the smallest errors of groups
# left out.
_CUT = frozenset({"llama3.1-8b", "gptj"})
_UNEVEN = 1.5

# Half-years in which TensorRT-LLM's releases came out.
_RELEASES = (
    ("2023-2", ("0.5", "0.6", "0.7")),
    ("2024-1", ("0.8", "0.9", "0.10")),
    ("2024-2", ("0.11", "0.12", "0.13", "0.14", "0.15")),
    ("2025-1", ("0.16", "0.17", "0.18", "0.19", "0.20")),
    ("2025-2", ("0.21", "1.0", "1.1")),
)
# Rounds of MLPerf: the nearest in time that the tables have results of, and the half-year of its
# software. Of the first half of 2024 they have static batches alone, which say nothing of a server.
_ROUNDS = {
    "v4.0": ("v4.1", "2024-2"),
    "v4.1": ("v4.1", "2024-2"),
    "v5.0": ("v5.1", "2025-1"),
    "v5.1": ("v5.1", "2025-2"),
    "v6.0": ("v5.1", "2025-2"),
}


def _released(version: str) -> str:
    """Half-year of a release of TensorRT-LLM; empty where it is not known."""
    found = re.match(r"v?(\d+\.\d+)", version)
    name = found.group(1) if found else ""
    return next((half for half, names in _RELEASES if name in names), "")


def _kv(weights: str) -> str:
    """Cache format of TensorRT-LLM's and MLPerf's quantised checkpoints: fp8, others' bf16."""
    return "fp8" if weights in ("fp8", "nvfp4", "mxfp4") else "bf16"


def _by_tensor(model: Model, weights: str) -> bool:
    """Whether fp8 weights have one scale each: those of models that are published otherwise."""
    return weights == "fp8" and model.weights != "fp8"


def _trtllm(row: Row) -> Case:
    """A row of TensorRT-LLM's own performance tables."""
    if "ratio" in row.get("metric", ""):
        raise BadInput("a ratio of two chips, not a run of one")
    model, chip = catalog.model(row["model"]), chip_of(row["gpu"])
    weights = format_of(row["precision"], model)
    first = "first_token" in row.get("metric", "")
    load = Workload(number(row["isl"], "isl"), number(row["osl"] or "1", "osl"))
    at_once = row["batch"].strip().lower().startswith("max") or not row["batch"].strip()
    tp, pp = optional(row["tp"], "tp"), optional(row["pp"], "pp")
    chips = optional(row["n_gpus"], "n_gpus") or (tp or 1) * (pp or 1)
    run = Offline(
        model,
        chip,
        "trtllm",
        weights,
        _kv(weights),
        chips,
        load,
        None if at_once else number(row["batch"], "batch"),
        "steady" if at_once else "static",
        tp=tp,
        pp=pp or (1 if tp else None),
        dp=1 if tp else None,
        compiled=row["version"].lower().startswith("v0"),
        by_tensor=_by_tensor(model, weights),
    )
    setting = Setting(
        "trtllm",
        era=row["version"],
        scenario="" if at_once else "static",
        released=_released(row["version"]),
    )
    return Case(run, "ttft" if first else "rate", setting)


def _mlperf_weights(text: str, model: Model, chip: Chip) -> str:
    """Format that ran: results may state the weights that they start from.

    Chips then run their narrowest float format: fp4 where there is one, else fp8.
    """
    weights = format_of(text, model)
    if weights not in ("fp16", "bf16"):
        return weights
    return next((f for f in ("nvfp4", "fp8") if f in chip.flops), weights)


def _cards(row: Row, accelerator: str) -> int:
    """Chips of a system: a card may carry two."""
    cards = int(number(row["accelerators_total"], "accelerators_total"))
    return 2 * cards if "Dual" in accelerator else cards


def _mlperf(row: Row) -> Case:
    """A closed, valid MLPerf Inference result of a language model."""
    accelerator = row["accelerator"]
    if accelerator in ("", "N/A"):
        raise BadInput("a system without accelerators")
    if "," in accelerator:
        raise BadInput("a mix of chips")
    if "Jetson" in accelerator:
        raise BadInput("an edge system")
    model, chip = catalog.model(row["model"]), chip_of(accelerator)
    weights = _mlperf_weights(row["weight_dtype"], model, chip)
    own = "trtllm" if chip.vendor == HOME else "vllm"  # the one that its maker tunes
    backend = own if "TensorRT" in row["framework"] else "vllm"
    name = row["model"].lower().replace("llama3_1", "llama3.1")
    data = next((d for d in _PROMPTS if name.startswith(d)), "")
    if not data:
        raise BadInput(f"unknown data set of {row['model']!r}; known are {', '.join(_PROMPTS)}")
    scenario = row["scenario"].lower()
    timed = scenario in ("server", "interactive")
    limits = {
        name: number(row[f"latency_constraint_{name}_ms"], name) / _MILLI
        for name in ("ttft", "tpot")
        if timed and row.get(f"latency_constraint_{name}_ms", "").strip()
    }
    load = Workload(*_PROMPTS[data], **limits)
    run = Offline(
        model,
        chip,
        backend,
        weights,
        _kv(weights),
        _cards(row, accelerator),
        load,
        uneven=1.0 if data in _CUT else _UNEVEN,
        compiled=backend == "trtllm",
        by_tensor=_by_tensor(model, weights),
    )
    era, released = _ROUNDS.get(row["round"], (row["round"], ""))
    setting = Setting(
        "mlperf",
        era=era,
        scenario=scenario if timed else "",
        data=data,
        released=released,
        engine="" if backend == own else backend,
    )
    return Case(run, "rate", setting)


_READERS = {"trtllm": _trtllm, "mlperf": _mlperf, "other": report}

COLUMNS = (
    *("row", "pred_tokens_per_s", "pred_low", "pred_high", "pred_ttft_ms", "pred_tpot_ms"),
    *("basis", "error"),
)


def case(kind: str, row: Row) -> Case:
    """The run that a row describes.

    Raises
    ------
    ChipwiseError
        If it names nothing that is known, or tells too little.
    """
    made = _READERS[kind](row)
    run = made.run
    if run.weights not in WEIGHT_WIDTH:
        raise BadInput(
            f"unknown weight format {run.weights!r}; known are {', '.join(WEIGHT_WIDTH)}"
        )
    if run.chip.memory is None or run.chip.memory_bandwidth is None:
        raise Infeasible(f"{run.chip.name}: memory or bandwidth is not published")
    return made


def line(kind: str, row: Row, calibration: Calibration) -> Line:
    """What is predicted of a row; the interval is of the quantity that it reports."""
    found = case(kind, row)
    run, made = found.run, outcome(found, calibration)
    basis = intervals.basis(yields.known(calibration), run.model, run.chip, run.backend)
    unverified = len(run.chip.unverified & _SPEED)
    own = yields.half_width(calibration, basis, found.setting.table, run.chip)
    # The tables' own widths were measured on chips whose facts are in doubt as well.
    width = own or intervals.half_width(calibration, basis, "throughput", run.chip, unverified)
    bounds = intervals.widen(made.rate, width)
    return {
        "pred_tokens_per_s": bounds.value,
        "pred_low": bounds.low,
        "pred_high": bounds.high,
        "pred_ttft_ms": made.ttft * _MILLI,
        "pred_tpot_ms": made.tpot * _MILLI,
        "basis": basis,
        "error": "",
    }


def truths(kind: str, row: Row) -> dict[str, float]:
    """What a row measured, as output tokens/s of the whole system, or ttft or tpot. [ms]"""
    try:
        if kind == "trtllm":
            if "first_token" in row.get("metric", ""):
                return {"ttft_ms": float(row["value"])}
            return {"tokens_per_s": float(row["total_out_tok_s"])}
        if kind == "mlperf":
            return {"tokens_per_s": float(row["tokens_per_s"])}
        return _other_truth(row)
    except (KeyError, ValueError):
        return {}


def _other_truth(row: Row) -> dict[str, float]:
    quantity, unit = METRICS.get(row.get("metric", "").lower(), ("", ""))
    value = float(row["value"])
    if quantity in ("ttft", "tpot"):
        return {f"{quantity}_ms": value * (_MILLI if row["metric"].endswith(" s") else 1.0)}
    if unit in ("system", "chip", "node"):
        chips = int(number(row["n_chips"] or "1", "n_chips"))
        times = {"system": 1.0, "chip": float(chips), "node": max(chips / 8.0, 1.0)}
        return {"tokens_per_s": value * times[unit]}
    return {}


def measured(kind: str, rows: Sequence[Row]) -> list[Reported]:
    """Cases of a table with what was measured; rows that lack it or tell too little left out."""
    found = []
    for row in rows:
        try:
            made = case(kind, row)
        except ChipwiseError:
            continue
        values = {} if _idle(row, made) else _values(kind, row)
        if made.quantity in values and values[made.quantity] > 0:
            found.append(Reported(made, values[made.quantity]))
    return found


def _values(kind: str, row: Row) -> dict[str, float]:
    """What a row measured, by quantity. [token/s] or [s]"""
    names = {
        "tokens_per_s": ("rate", 1.0),
        "ttft_ms": ("ttft", _MILLI),
        "tpot_ms": ("tpot", _MILLI),
    }
    found = {names[n][0]: v / names[n][1] for n, v in truths(kind, row).items()}
    if kind == "other" and row.get("metric", "").lower() == "latency s":
        found["latency"] = float(row["value"])
    return found


# Requests in flight in the mean, of those that were sent, below which a server sat idle.
_BUSY = 0.3


def _idle(row: Row, case: Case) -> bool:
    """Whether what was measured shows that requests came slower than the server took them.

    By Little's law rate × latency is the mean in flight; a burst has most of its requests there.
    """
    if case.run.how != "burst" or not case.run.clients:
        return False
    try:
        ttft, tpot = (float(row[f"{name}_ms"]) / _MILLI for name in ("ttft", "tpot"))
        osl = float(case.run.load.osl)
        inside = float(row["value"]) / osl * (ttft + osl * tpot)
    except (KeyError, ValueError):
        return False
    return inside < _BUSY * case.run.clients
