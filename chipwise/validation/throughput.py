"""Rows of published throughput tables → runs, and what is predicted of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chipwise import catalog, intervals
from chipwise.errors import BadInput, Infeasible
from chipwise.perf.formats import WEIGHT_WIDTH
from chipwise.plan.offline import Offline, offline
from chipwise.types import Calibration, Chip, Model, Workload

__all__ = [
    "COLUMNS",
    "mlperf",
    "mlperf_line",
    "other",
    "other_line",
    "trtllm",
    "trtllm_line",
    "truths",
]

Row = Mapping[str, str]
Line = dict[str, Any]

_MILLI = 1e3
_SPEED = frozenset({"memory_bandwidth", "memory", "flops.bf16", "flops.fp8", "flops.fp16"})

_FORMATS = {
    "fp16": "fp16",
    "bf16": "bf16",
    "fp8": "fp8",
    "fp4": "nvfp4",
    "nvfp4": "nvfp4",
    "mxfp4": "mxfp4",
    "int8": "int8",
    "w8a8": "int8",
    "int4": "int4",
    "uint4": "int4",
    "w4a16": "int4",
}
# Mean prompt of each MLPerf data set: one nuisance number for each, fitted on the open rounds
# (docs/method.md); mean outputs stand in the table.
_MLPERF_ISL = {
    "llama-2-70b": 142.0,
    "mixtral-8x7b": 142.0,
    "llama-3-405b": 9428.0,
    "llama-3-8b": 778.0,
    "deepseek-v3": 813.0,
    "gpt-j-6b": 778.0,
}


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A run and which quantity of it the row reports: ``rate``, ``ttft`` or ``tpot``."""

    run: Offline
    quantity: str = "rate"


def _number(text: str, name: str) -> float:
    found = re.match(r"\s*([0-9.,]+)", text)
    if not found:
        raise BadInput(f"{name} is {text!r}; a number was expected")
    value = float(found.group(1).replace(",", ""))
    if not value > 0:
        raise BadInput(f"{name} is {text!r}; a positive number was expected")
    return value


def _optional(text: str, name: str) -> int | None:
    return int(_number(text, name)) if text.strip() else None


def _format(text: str, model: Model) -> str:
    """Weight format that a text names; the maker's own where it names none."""
    for word in re.findall(r"[a-z0-9]+", text.lower()):
        if word in _FORMATS:
            return _FORMATS[word]
    return model.weights


def _kv(weights: str, backend: str) -> str:
    """Cache format: TensorRT-LLM's quantised checkpoints carry an fp8 cache, others bf16."""
    return "fp8" if backend == "trtllm" and weights in ("fp8", "nvfp4") else "bf16"


def trtllm(row: Row) -> Case:
    """A row of TensorRT-LLM's own performance tables."""
    if "ratio" in row.get("metric", ""):
        raise BadInput("a ratio of two chips, not a run of one")
    model, chip = catalog.model(row["model"]), catalog.chip(row["gpu"])
    weights = _format(row["precision"], model)
    load = Workload(_number(row["isl"], "isl"), _number(row["osl"], "osl"))
    at_once = row["batch"].strip().lower().startswith("max") or not row["batch"].strip()
    chips = int(_number(row["n_gpus"], "n_gpus"))
    first = "first_token" in row.get("metric", "")
    tp, pp = _optional(row["tp"], "tp"), _optional(row["pp"], "pp")
    run = Offline(
        model,
        chip,
        "trtllm",
        weights,
        _kv(weights, "trtllm"),
        chips,
        load,
        None if at_once else _number(row["batch"], "batch"),
        static=not at_once,
        tp=tp,
        pp=pp or (1 if tp else None),
        ep=None,
        dp=1 if tp else None,
    )
    return Case(run, "ttft" if first else "rate")


def mlperf(row: Row) -> Case:
    """A closed, valid MLPerf Inference result of a language model."""
    accelerator = row["accelerator"]
    if accelerator in ("", "N/A"):
        raise BadInput("a system without accelerators")
    if "," in accelerator:
        raise BadInput("a mix of chips")
    if "Jetson" in accelerator:
        raise BadInput("an edge system")
    model, chip = catalog.model(row["model"]), catalog.chip(accelerator)
    weights = _mlperf_format(row["weight_dtype"], model, chip)
    backend = "trtllm" if "TensorRT" in row["framework"] and chip.vendor == "NVIDIA" else "vllm"
    osl = _number(row["mean_tokens_per_sample"] or "128", "mean_tokens_per_sample")
    isl = _MLPERF_ISL.get(model.family) or _MLPERF_ISL["llama-2-70b"]
    scenario = row["scenario"].lower()
    limits: dict[str, float | None] = {"ttft": None, "tpot": None}
    if scenario in ("server", "interactive"):
        # The limits hold for the 99th percentile; means lie below.
        limits["ttft"] = _share(row.get("latency_constraint_ttft_ms", ""), 0.5)
        limits["tpot"] = _share(row.get("latency_constraint_tpot_ms", ""), 0.8)
    chips = int(_number(row["accelerators_total"], "accelerators_total"))
    load = Workload(isl, osl, ttft=limits["ttft"], tpot=limits["tpot"])
    return Case(Offline(model, chip, backend, weights, _kv(weights, backend), chips, load))


def _share(text: str, share: float) -> float | None:
    return share * _number(text, "latency") / 1e3 if text.strip() else None


def _mlperf_format(text: str, model: Model, chip: Chip) -> str:
    """Format that ran: results state the weights they start from, and fp8 chips run fp8."""
    weights = _format(text, model)
    return "fp8" if weights in ("fp16", "bf16") and "fp8" in chip.flops else weights


_METRICS = {
    "output tok/s (system)": ("rate", "system"),
    "throughput tok/s (system)": ("rate", "system"),
    "output tok/s per gpu": ("rate", "chip"),
    "output tok/s per chip": ("rate", "chip"),
    "output tok/s per npu": ("rate", "chip"),
    "output tok/s per node": ("rate", "node"),
    "tpot ms": ("tpot", ""),
    "ttft ms": ("ttft", ""),
    "ttft s": ("ttft", ""),
    "latency s": ("", ""),
    "latency ms": ("", ""),
}


def other(row: Row) -> Case:
    """A row of other published reports: serving or static batches on many makers' chips."""
    model, chip = catalog.model(row["model"]), catalog.chip(row["chip"])
    metric = row.get("metric", "").lower()
    quantity, _ = _METRICS.get(metric, ("rate", ""))
    config, phase = row.get("config", ""), row.get("phase", "")
    weights = _format(f"{row.get('precision', '')} {row['model']}", model)
    backend = "sglang" if "sglang" in config.lower() else "vllm"
    if chip.vendor not in ("NVIDIA", "AMD"):
        backend = "vllm"
    chips = int(_number(row["n_chips"] or "1", "n_chips"))
    if "A3" in row["chip"]:
        chips = max(chips // 2, 1)  # these rows count dies, two to a 910C
    tp = re.search(r"(?:tp|tep|tensor-parallel-size |-tp )\s*=?(\d+)", config, re.IGNORECASE)
    load = Workload(_number(row["isl"], "isl"), _number(row["osl"] or "1", "osl"))
    clients = re.search(r"(\d+(?:\.\d+)?)", row.get("batch_or_concurrency", ""))
    run = Offline(
        model,
        chip,
        backend,
        weights,
        "bf16",
        chips,
        load,
        float(clients.group(1)) if clients else None,
        static="static" in phase,
        tp=min(int(tp.group(1)), chips) if tp else None,
        dp=None,
    )
    return Case(run, quantity)


COLUMNS = (
    *("row", "pred_tokens_per_s", "pred_low", "pred_high", "pred_ttft_ms", "pred_tpot_ms"),
    *("basis", "error"),
)


def _line(case: Case, calibration: Calibration) -> Line:
    """What is predicted of a case; the interval is of the quantity that its row reports."""
    run = case.run
    if run.weights not in WEIGHT_WIDTH:
        raise BadInput(
            f"unknown weight format {run.weights!r}; known are {', '.join(WEIGHT_WIDTH)}"
        )
    if run.chip.memory is None or run.chip.memory_bandwidth is None:
        raise Infeasible(f"{run.chip.name}: memory or bandwidth is not published")
    rate, ttft, tpot = offline(run, calibration)
    found = intervals.basis(calibration, run.model, run.chip, run.backend)
    width = intervals.half_width(
        calibration, found, "throughput", len(run.chip.unverified & _SPEED)
    )
    bounds = intervals.widen(rate, width)
    return {
        "pred_tokens_per_s": bounds.value,
        "pred_low": bounds.low,
        "pred_high": bounds.high,
        "pred_ttft_ms": ttft * _MILLI,
        "pred_tpot_ms": tpot * _MILLI,
        "basis": found,
        "error": "",
    }


def trtllm_line(row: Row, calibration: Calibration) -> Line:
    """What is predicted of a row of TensorRT-LLM's tables."""
    return _line(trtllm(row), calibration)


def mlperf_line(row: Row, calibration: Calibration) -> Line:
    """What is predicted of an MLPerf Inference result."""
    return _line(mlperf(row), calibration)


def other_line(row: Row, calibration: Calibration) -> Line:
    """What is predicted of another published report."""
    return _line(other(row), calibration)


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
    quantity, unit = _METRICS.get(row.get("metric", "").lower(), ("", ""))
    value = float(row["value"])
    if quantity in ("ttft", "tpot"):
        return {f"{quantity}_ms": value * (_MILLI if row["metric"].endswith(" s") else 1.0)}
    if unit in ("system", "chip", "node"):
        chips = int(_number(row["n_chips"] or "1", "n_chips"))
        times = {"system": 1.0, "chip": float(chips), "node": max(chips / 8.0, 1.0)}
        return {"tokens_per_s": value * times[unit]}
    return {}
