"""A row of a published training table → what was trained, how, and in which software.

Tables print more or less of a run. What a row does not say is filled by stated rules, and named
in `assumed`; nothing is ever read from a measured column.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from chipwise.errors import BadInput
from chipwise.perf.training import Layout, Training, demand, factors, peak, spend
from chipwise.perf.training_memory import training_memory, training_total
from chipwise.plan.training import (
    Layouts,
    TrainingTerms,
    answer_training,
    search_training,
)
from chipwise.types import Calibration, Chip, Interval, Model, Numeric
from chipwise.units import to_base

__all__ = ["MEASURED", "STATED", "Case", "case", "filled", "measured_rate", "predict_rate"]

Row = Mapping[str, str]

# Columns that were measured; a prediction never reads them.
MEASURED = (
    "tokens_per_s_per_chip",
    "tflops_per_chip",
    "mfu_pct",
    "step_time_s",
    "time_to_train_min",
)
_NUMBER = re.compile(r"\d+(\.\d+)?")

# Words of the precision column → precision.
_PRECISIONS = (
    ("nvfp4", "nvfp4"),
    ("fp4", "nvfp4"),
    ("rowwise", "fp8_row"),
    ("mxfp8", "mxfp8"),
    ("fp8-mx", "mxfp8"),
    ("fp8", "fp8"),
    ("float8", "fp8"),
    ("fp16", "fp16"),
    ("bf16", "bf16"),
    ("bfloat16", "bf16"),
    ("mixed", "bf16"),
    ("amp", "bf16"),
)
_SHARDS = {"FULL_SHARD": 3, "SHARD_GRAD_OP": 2, "NO_SHARD": 0}
_RECOMPUTE = {
    "none": "none",
    "full": "full",
    "selective": "selective",
    "per-op selective": "half",
}
# LoRA's rank in NVIDIA's and MLPerf's recipes.
_RANK = 16.0
_LARGE = 2.0**24
# DeepSeek's own schedule hides the experts' tokens behind arithmetic, and its router sends a token
# to four nodes at most (arXiv:2412.19437, sections 3.2 and 2.1.2).
STATED: Mapping[str, Mapping[str, float]] = {"dualpipe": {"expert": 1.0}}
_REACH: Mapping[str, float] = {"dualpipe": 4.0}
# What is tried where a row prints no degrees.
_SEARCH = Layouts(micro=(1, 2, 4, 8), interleave=(1, 2, 4, 8), shard=(1, 3))


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A run as far as it is known: `layout` is None where the degrees are to be searched for.

    `chips` [1]; `assumed` names what the row does not say; `full` is true where it prints all
    degrees of its parallelism.
    """

    training: Training
    chip: Chip
    chips: int
    layout: Layout | None
    stack: str
    full: bool
    link: float
    assumed: tuple[str, ...] = ()


def _number(text: str | None) -> float | None:
    """First number of a cell ("64 (0)" is 64); None where there is none."""
    found = _NUMBER.search((text or "").replace(",", ""))
    return float(found[0]) if found else None


def _one(value: Numeric) -> float:
    return float(np.asarray(value))


def _whole(row: Row, name: str) -> float | None:
    value = _number(row.get(name))
    return value if value and value >= 1 else None


def _notes(row: Row) -> str:
    return " ".join(row.get(name) or "" for name in ("notes", "software", "source", "family"))


def _precision(row: Row, chip: Chip, model: Model) -> tuple[str, bool]:
    """Precision of a row, and whether it was assumed."""
    given = (row.get("precision") or "").lower()
    # "FP8-CS (FP8-MX)" tells two recipes of one cell: the first is meant.
    head = given.split("(")[0] if "float8" not in given else given
    for word, name in _PRECISIONS:
        if word in head:
            return name, False
    if head.strip():
        raise BadInput(f"unknown precision {row.get('precision')!r}")
    text = _notes(row).lower()
    if "_fp4" in text:
        return ("nvfp4" if "nvfp4" in chip.flops else "fp8"), True
    if "deepspeed" in text or "fp8" not in chip.flops or chip.vendor in ("Google", "Intel"):
        return "bf16", True
    round_ = re.search(r"training v(\d+)\.(\d+)", text)
    # NVIDIA and AMD submit in the narrowest format that a round's software trains in.
    if (
        round_
        and (int(round_[1]), int(round_[2])) >= (5, 1)
        and chip.architecture.startswith("Blackwell")
    ):
        return "nvfp4", True
    if any(part.kind == "moe" for part in model.layers) and "nvfp4" in chip.flops:
        return "mxfp8", True
    return "fp8", True


def _stack(row: Row, chip: Chip) -> str:  # noqa: PLR0911 -- a table, one line each
    """Software of a row: a name of the calibration's stacks, newest releases by their number."""
    family, text = (row.get("family") or "").lower(), _notes(row).lower()
    if "foundry" in family:
        return "foundry"
    if family == "deepseek-v3":
        return "dualpipe"
    if "torchtitan" in family:
        if "eager" in text:
            return "torchtitan-eager"
        return "torchtitan-async" if re.search(r"async ?tp", text) else "torchtitan"
    if "deepspeed" in text:
        return "deepspeed"
    if chip.vendor == "Google":
        return "maxtext"
    if chip.vendor != "NVIDIA":
        return "rocm" if chip.vendor == "AMD" else "other"
    if "mlperf" in family:
        return "mlperf"
    release = re.search(r"(\d\d\.\d\d)", family + " " + (row.get("software") or ""))
    if release:
        return f"megatron-{release[1]}"
    if "megatron-lm a100" in family:
        return "megatron-21.04"
    # Papers and long-sequence tables of 2024 name no release.
    return "megatron-24.07"


def _training(row: Row, chip: Chip, model: Model) -> tuple[Training, list[str]]:
    assumed = []
    precision, guessed = _precision(row, chip, model)
    if guessed:
        assumed.append("precision")
    peak(chip, precision)
    seq = _whole(row, "seq_len")
    if seq is None:
        seq = 8192.0 if (model.context or 0) >= 8192 else 4096.0
        assumed.append("seq_len")
    text = _notes(row).lower()
    lora = "lora" in (row.get("task") or "").lower()
    # Megatron's DeepSeek-V3 recipes train its further-token layer unless they say otherwise.
    further = "deepseek-v3" in model.id.lower() and "megatron" in text
    ahead = 1.0 if further and "w/o mtp" not in (row.get("model") or "").lower() else 0.0
    # NVIDIA's recipes and MosaicML's mode PURE exchange gradients in bf16.
    narrow = "mp mode pure" in text or "nemo" in text or "mlperf" in text
    return (
        Training(
            model,
            seq,
            _whole(row, "gbs_seqs") or 0.0,
            precision,
            frozen=1.0 if lora else 0.0,
            rank=_RANK if lora else 0.0,
            gradient=2.0 if narrow else 4.0,
            ahead=ahead,
        ),
        assumed,
    )


def _shard(row: Row, stack: str) -> int:
    given = row.get("fsdp") or ""
    if given in _SHARDS:
        return _SHARDS[given]
    if stack.startswith(("maxtext", "foundry", "deepspeed")):
        return 3
    return 3 if (_number(given) or 0) > 1 else 1


def _fits(training: Training, layout: Layout) -> bool:
    memory = training_memory(training, layout)
    return bool(np.all(training_total(memory) <= memory.capacity))


def _recompute(row: Row, training: Training, layout: Layout, stack: str) -> tuple[str, bool]:
    """What is computed twice; where a table does not say: nothing, or what is cheap if need be."""
    given = (row.get("act_ckpt") or "").lower()
    if given in _RECOMPUTE:
        # torchtitan's selective mode redoes every second product.
        half = given == "selective" and stack.startswith("torchtitan")
        return ("half" if half else _RECOMPUTE[given]), False
    fits = _fits(training, layout)
    return ("none" if fits else "selective"), True


def _interleave(row: Row, model: Model, pp: float) -> tuple[float, bool]:
    """Model chunks of a stage; a table that has pipelines and says nothing interleaves them."""
    given = row.get("vp") or ""
    if pp == 1:
        return 1.0, False
    text = _notes(row).lower()
    if given or "1f1b" in text:
        both = "interleaved" in text
        return _whole(row, "vp") or (2.0 if both else 1.0), False
    layers = int(-(-model.depth // pp))
    return float(max(d for d in (1, 2, 3, 4) if layers % d == 0)), True


def _degrees(row: Row, training: Training, chips: int) -> tuple[float, float, float, float, bool]:
    """tp, pp, cp, dp of a row, and whether it printed all of them."""
    printed = _whole(row, "tp") is not None and _whole(row, "pp") is not None
    tp, pp, cp = (_whole(row, name) or 1.0 for name in ("tp", "pp", "cp"))
    dp, given, batch = chips / (tp * pp * cp), _whole(row, "dp"), _one(training.batch)
    if batch and dp > batch and given:
        # The printed degrees leave chips over: they can only share the sequences.
        cp, dp, printed = chips / (tp * pp * given), given, False
    if dp < 1 or dp != int(dp) or cp != int(cp):
        raise BadInput(f"tp × pp × cp = {tp * pp * cp:g} does not divide {chips} chips")
    return tp, pp, cp, dp, printed


def _sizes(
    row: Row, training: Training, dp: float, pp: float, stack: str
) -> tuple[float, float, list[str]]:
    """Sequences of a micro-batch and of a step, and which of them were assumed."""
    micro, batch, assumed = _whole(row, "mbs"), _one(training.batch), list[str]()
    if stack.startswith("torchtitan") and pp > 1 and micro:
        # Its local batch is cut into micro-batches of one sequence.
        return 1.0, batch or micro * dp, assumed
    if micro is None and batch and _whole(row, "tp") is None:
        micro = max(batch / dp, 1.0)
    if micro is None or (batch and micro * dp > batch):
        micro = max(min(micro or 1.0, batch / dp if batch else math.inf), 1.0)
        assumed.append("mbs")
    if not batch:
        batch = micro * dp * (8.0 * pp if pp > 1 else 4.0)
        assumed.append("gbs_seqs")
    return micro, batch, assumed


def _layout(
    row: Row, training: Training, chip: Chip, chips: int, stack: str, link: float
) -> tuple[Training, Layout | None, bool, list[str]]:
    """Degrees of a row; those of a fully sharded stack follow from the number of chips."""
    sharded = stack.startswith(("maxtext", "deepspeed"))
    if (_whole(row, "tp") is None or _whole(row, "pp") is None) and not sharded:
        return training, None, False, ["tp", "pp", "cp", "dp", "mbs", "act_ckpt"]
    tp, pp, cp, dp, printed = _degrees(row, training, chips)
    micro, batch, assumed = _sizes(row, training, dp, pp, stack)
    chunks, guessed = _interleave(row, training.model, pp)
    if guessed:
        assumed.append("vp")
    sparse = any(part.kind == "moe" for part in training.model.layers)
    ep = (_whole(row, "ep") or 1.0) if sparse else 1.0
    training = replace(training, batch=batch)
    layout = Layout(chip, tp, pp, cp, ep, dp, chunks, micro, _shard(row, stack), "none", link)
    again, guessed = _recompute(row, training, layout, stack)
    if guessed:
        assumed.append("act_ckpt")
    return training, replace(layout, recompute=again), printed, assumed


def case(
    row: Row,
    chip: Callable[[str], Chip],
    model: Callable[[str], Model],
    network: Callable[[Chip], float],
) -> Case:
    """What a row says of a run.

    Parameters
    ----------
    row : mapping
        Columns of the training table by name; missing ones count as blank.
    chip, model : callable
        Names → objects.
    network : callable
        A chip's usual rate beyond the scale-up domain. [byte/s]

    Raises
    ------
    BadInput
        If the row names no chip or model that is known, or impossible degrees.
    """
    on, of = chip(row.get("chip") or ""), model(row.get("model") or "")
    chips = _whole(row, "n_chips") or math.prod(
        _whole(row, name) or 1.0 for name in ("tp", "pp", "cp", "dp")
    )
    if _whole(row, "n_chips") is None and _whole(row, "dp") is None:
        raise BadInput("n_chips is missing")
    training, assumed = _training(row, on, of)
    stack = _stack(row, on)
    training, layout, full, more = _layout(row, training, on, int(chips), stack, network(on))
    return Case(training, on, int(chips), layout, stack, full, network(on), (*assumed, *more))


def _terms(of: Case, calibration: Calibration) -> TrainingTerms:
    return TrainingTerms(calibration, of.stack, of.link, overlap=STATED.get(of.stack, {}))


def filled(of: Case, calibration: Calibration) -> Case:
    """A case with every degree: what its row does not print is the fastest choice that fits.

    Raises
    ------
    Infeasible
        If nothing fits.
    """
    terms = _terms(of, calibration)
    if of.layout is None:
        training = of.training
        if not training.batch:
            # Large runs that say so take 16 million tokens to a step.
            large = max(of.chips, _LARGE // _one(training.seq))
            training = replace(training, batch=float(large if training.frozen == 0 else of.chips))
        choice = replace(_SEARCH, reach=_REACH.get(of.stack, math.inf))
        found = search_training(training, of.chip, of.chips, terms, choice)
        return replace(of, training=training, layout=found.layout)
    if "mbs" not in of.assumed or "gbs_seqs" in of.assumed:
        return of
    each = of.training.batch / _one(of.layout.dp)
    sizes = [2.0**k for k in range(5) if each % 2**k == 0] or [_one(of.layout.micro)]
    many = replace(of.layout, micro=np.asarray(sizes))
    known = factors(calibration, of.chip, of.training.precision, of.stack, terms.overlap)
    step = np.atleast_1d(spend(demand(of.training, many), known).step)
    memory = training_memory(of.training, many)
    step = np.where(np.atleast_1d(training_total(memory)) <= memory.capacity, step, np.inf)
    best = sizes[int(np.argmin(step))]
    return replace(of, layout=replace(of.layout, micro=best))


def predict_rate(of: Case, calibration: Calibration) -> Interval:
    """Tokens per second and chip of a run, with its 90 % interval.

    Raises
    ------
    Infeasible
        If the row prints no degrees and nothing fits.
    """
    whole = filled(of, calibration)
    assert whole.layout is not None
    terms = _terms(of, calibration)
    return answer_training(whole.training, whole.layout, of.chips, terms).rate


def measured_rate(row: Row, of: Case, flops: float | None = None) -> float | None:
    """Tokens per second and chip that a row measured; from its step time where it prints that.

    `flops` for a token, as its table counts them, serve where it prints flop/s alone.
    """
    rate = _number(row.get("tokens_per_s_per_chip"))
    if rate:
        return rate
    step = _number(row.get("step_time_s"))
    if step:
        return float(of.training.batch * of.training.seq / (step * of.chips))
    speed = _number(row.get("tflops_per_chip"))
    return to_base(speed, "TFLOPS") / flops if speed and flops else None
