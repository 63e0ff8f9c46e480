"""Rows of other published reports → runs: what a serving command or a short description tells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chipwise import catalog, perf
from chipwise.errors import BadInput
from chipwise.perf.formats import WEIGHT_WIDTH
from chipwise.plan.offline import EXPONENTIAL, Offline
from chipwise.plan.reported import Case
from chipwise.types import Chip, Model, Side, Workload
from chipwise.validation.cells import chip_of, format_of, number
from chipwise.yields import Setting

__all__ = ["METRICS", "report"]

Row = Mapping[str, str]

# What a metric counts, and of what it is the share.
METRICS: Mapping[str, tuple[str, str]] = {
    "output tok/s (system)": ("rate", "system"),
    "throughput tok/s (system)": ("rate", "system"),
    "output tok/s per gpu": ("rate", "chip"),
    "output tok/s per chip": ("rate", "chip"),
    "output tok/s per npu": ("rate", "chip"),
    "output tok/s per node": ("rate", "node"),
    "input tok/s per node": ("rate", "node"),
    "input tok/s per npu": ("rate", "chip"),
    "tpot ms": ("tpot", ""),
    "ttft ms": ("ttft", ""),
    "ttft s": ("ttft", ""),
    "latency s": ("latency", ""),
    "latency ms": ("ttft", ""),
}

# Chips that reports name by their server alone, and the part that is likeliest.
_LIKELY = {"ascend atlas (a2/a3 64gb": "huawei-ascend-910b3"}

_DEGREES = {
    "tp": r"(?:--?tensor-parallel-size|--tp-size|--tp_size|--tp|-tp|\btp)[ =]?\s*(\d+)",
    "pp": r"(?:--?pipeline-parallel-size|--pp-size|--pp_size|-pp)[ =]\s*(\d+)",
    "dp": r"(?:--?data-parallel-size|--dp-size|--dp|-dp|\bdp)[ =]?\s*(\d+)",
    "ep": r"(?:--ep-size|--ep_size|--ep|\bep)[ =]?\s*(\d+)",
}
_COMMAND = re.compile(r"vllm serve|launch_server|trtllm-serve")
_CHUNK = re.compile(r"--(?:max-num-batched-tokens|max_num_tokens|chunked-prefill-size)[ =](\d+)")
_MOST = re.compile(
    r"(?:--(?:max-num-seqs|max-running-requests|max_batch_size)[ =]|max_num_seqs )(\d+)"
)
# Makers whose own runs compile the whole model into one graph.
_GRAPHS = ("Intel", "Google")
# Where the published runs of vLLM captured no graph of decoding: on 910B3 a layer takes 0.83 ms, of
# which the chip is idle 0.59 (vllm-project/vllm-ascend, issue 9404).
_EAGER = ("Huawei",)
# Whose fp8 runs keep the cache in fp8 too: in bf16 that of their batches would fill the chip twice.
_FP8_CACHE = frozenset({"intel gaudi"})
# A guess ahead: tokens checked in a step, and how many of them pass where no report says so.
_GUESS = re.compile(r"num_speculative_tokens\W+(\d+)|speculative-num-steps[ =](\d+)|MTP\((\d+),")
_PASS = 0.8


@dataclass(frozen=True, slots=True)
class _Told:
    """What the words of a row tell of how the model was divided and run."""

    degrees: Mapping[str, int]
    backend: str
    command: bool
    expert: bool
    attention: bool


def _told(text: str) -> _Told:
    words = text.lower()
    found = {}
    for name, pattern in _DEGREES.items():
        at = re.search(pattern, words)
        if at:
            found[name] = int(at.group(1))
    short = re.search(r"\b(t|d)ep(\d+)", words)  # InferenceX's: experts sharded over tp or dp
    if short:
        found = {"tp": 1, "dp": 1, "ep": int(short.group(2))}
        found["tp" if short.group(1) == "t" else "dp"] = int(short.group(2))
    backend = "sglang" if "sglang" in words else "trtllm" if "tensorrt" in words else "vllm"
    return _Told(
        found,
        backend,
        bool(_COMMAND.search(words)),
        "expert-parallel" in words,
        "enable-dp-attention" in words or "dp attention" in words,
    )


def _degrees(told: _Told, chips: int) -> dict[str, int]:
    """tp, pp, ep, dp where the words settle them; a command that is silent means one."""
    degrees = dict(told.degrees)
    if not told.command:
        # "EP32", "DP attention + EP16": attention on every rank, experts over all of them.
        if "ep" in degrees and "tp" not in degrees:
            return {"tp": 1, "pp": 1, "dp": degrees["ep"], "ep": degrees["ep"]}
        return degrees
    whole = degrees.get("tp", 1)
    pp = degrees.get("pp", 1)
    if told.attention:
        # The engine's tp counts all ranks of a stage; dp of them divide the sequences.
        dp = min(degrees.get("dp", whole), whole)
        degrees |= {"tp": max(whole // dp, 1), "dp": dp}
    else:
        degrees |= {"tp": whole, "dp": degrees.get("dp", 1)}
    ranks = degrees["tp"] * degrees["dp"]
    degrees |= {"pp": pp, "ep": min(degrees.get("ep", ranks if told.expert else 1), ranks)}
    return degrees if ranks * pp <= max(chips, 8) else {}


def _chip(text: str) -> Chip:
    for start, likely in _LIKELY.items():
        if text.lower().startswith(start):
            return catalog.chip(likely)
    return chip_of(text)


def _chips(row: Row) -> int:
    chips = int(number(row["n_chips"] or "1", "n_chips"))
    # These rows count dies, two to a 910C.
    return max(chips // 2, 1) if "A3" in row["chip"] and "A2" not in row["chip"] else chips


def _held(model: Model, weights: str, chip: Chip, chips: int) -> int:
    """Chips as told, or so many times two of them as hold the weights: reports miscount cards."""
    if weights in WEIGHT_WIDTH and chip.memory is not None:
        whole = float(np.asarray(perf.weight_bytes(model, weights, Side(chip))))
        while chips < 8 and whole > 0.9 * chips * chip.memory:
            chips *= 2
    return chips


def _how(row: Row, phase: str) -> str:
    if phase.startswith(("prefill", "decode")):
        return phase.split(maxsplit=1)[0]
    if phase.startswith("low latency"):
        return "prefill"
    if "static" in phase:
        return "static"
    if row["family"].lower().startswith("gpustack"):
        return "burst"
    return "loop" if row["family"].lower().startswith("inferencex") else "steady"


def _clients(row: Row, chips: int, quantity: str) -> float | None:
    text = row.get("batch_or_concurrency", "")
    found = re.match(r"\s*(\d+(?:\.\d+)?)\s*(/\s*gpu)?", text, re.IGNORECASE)
    if not found or "tokens/device" in text:
        return 1.0 if quantity == "ttft" else None
    return float(found.group(1)) * (chips if found.group(2) else 1)


def _guessed(text: str) -> tuple[float, float]:
    """Tokens checked in a step, and tokens that it yields in the mean."""
    found = _GUESS.search(text)
    said = re.search(r"accept length (\d\.\d+)-(\d\.\d+)", text)
    if not found:
        share = re.search(r"speculation accept (\d+(?:\.\d+)?)%", text)
        # Matched suffixes are long but rare: of each guess so much is right.
        return (3.0, 1.0 + 2.0 * float(share.group(1)) / 100.0) if share else (1.0, 1.0)
    ahead = float(next(g for g in found.groups() if g))
    if said and ahead == 1:
        return 2.0, (float(said.group(1)) + float(said.group(2))) / 2.0
    return 1.0 + ahead, 1.0 + sum(_PASS**k for k in range(1, int(ahead) + 1))


def _varied(row: Row) -> bool:
    """Whether lengths vary: means of drawn conversations are no whole numbers."""
    isl, osl = float(row["isl"]), float(row["osl"] or 1)
    return isl < 1000 and osl != round(osl)


def report(row: Row) -> Case:
    """A row of other published reports: serving, static batches or one phase, on any chip."""
    model, chip = catalog.model(row["model"]), _chip(row["chip"])
    metric = row.get("metric", "").lower()
    if metric not in METRICS:
        raise BadInput(f"unknown metric {metric!r}; known are {', '.join(METRICS)}")
    quantity, _ = METRICS[metric]
    config, phase, chips = row.get("config", ""), row.get("phase", ""), _chips(row)
    told = _told(config)
    weights = format_of(f"{row.get('precision', '')} {_served(config)} {row['model']}", model)
    chips = _held(model, weights, chip, chips)
    if chip.vendor not in ("NVIDIA", "AMD"):
        told = _Told(told.degrees, "vllm", told.command, told.expert, told.attention)
    degrees = _degrees(told, chips)
    how = _how(row, phase)
    clients = _clients(row, chips, quantity)
    if how == "decode" and quantity == "tpot" and clients is None:
        raise BadInput("how many sequences were in flight is not told, and tpot follows from it")
    drafted, accepted = _guessed(f"{config} {row.get('notes', '')}")
    budget = re.match(r"(\d+) tokens/device", row["batch_or_concurrency"])
    chunk, most = (
        budget or _CHUNK.search(config),
        _MOST.search(f"{config} {row['batch_or_concurrency']}"),
    )
    source = " ".join(row["family"].lower().split()[:2])
    kv = "bf16"
    if re.search(r"kv[-_ ](?:cache[-_]dtype[= ])?fp8", config) or (
        weights == "fp8" and source in _FP8_CACHE
    ):
        kv = "fp8"
    divided: Mapping[str, Any] = {name: degrees.get(name) for name in ("tp", "pp", "ep", "dp")}
    run = Offline(
        model,
        chip,
        told.backend,
        weights,
        kv,
        chips,
        Workload(number(row["isl"], "isl"), number(row["osl"] or "1", "osl")),
        None if most and how == "steady" else clients,
        how,
        **divided,
        chunk=float(chunk.group(1)) if chunk else None,
        most=int(most.group(1)) if most else None,
        uneven=EXPONENTIAL if _varied(row) else 1.0,
        compiled=how in ("static", "prefill") and chip.vendor in _GRAPHS,
        eager="mindie" not in config.lower() and chip.vendor in _EAGER,
        drafted=drafted,
        accepted=accepted,
    )
    return Case(run, quantity, Setting("other", source))


def _served(config: str) -> str:
    """The checkpoint that a command names."""
    found = re.search(r"(?:serve|--model-path|--model)[ =](\S+)", config)
    return found.group(1).rpartition("/")[2] if found else ""
