"""Number formats: how wide they are stored, and in which one a chip computes them."""

from __future__ import annotations

from chipwise.errors import BadInput, Infeasible
from chipwise.types import Chip, Model

__all__ = [
    "KV_WIDTH",
    "WEIGHT_WIDTH",
    "activation_format",
    "compute_format",
    "efficiency_format",
    "legal",
    "role_format",
]

# Bytes of one stored weight. Block formats carry their scales: nvfp4 one fp8 scale in 16 values,
# mxfp4 one 8-bit scale in 32, int4 one bf16 scale in 64 (AWQ and GPTQ use 128 or 64).
WEIGHT_WIDTH = {
    "fp32": 4.0,
    "bf16": 2.0,
    "fp16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    "nvfp4": 0.5625,
    "mxfp4": 0.53125,
    "int4": 0.53125,
}
KV_WIDTH = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0}

_FOUR_BIT = ("nvfp4", "mxfp4", "int4")
# The next wider format in which the engines compute a stored one that a chip lacks.
_WIDER = {
    "fp32": ("fp32",),
    "nvfp4": ("nvfp4", "bf16", "fp16"),
    "mxfp4": ("bf16", "fp16"),
    "int4": ("bf16", "fp16"),
    "fp8": ("fp8", "bf16", "fp16"),
    "int8": ("int8", "bf16", "fp16"),
    "bf16": ("bf16", "fp16"),
    "fp16": ("fp16", "bf16"),
}


def compute_format(stored: str, chip: Chip) -> str:
    """Format in which `chip` multiplies weights stored as `stored`; never one that it lacks.

    mxfp4 experts run against fp8 activations where the chip has 4-bit tensor cores, and are
    unpacked to bf16 elsewhere.

    Raises
    ------
    BadInput
        If the stored format is unknown.
    Infeasible
        If the chip publishes no rate for any format that would do.
    """
    if stored not in _WIDER:
        raise BadInput(f"unknown weight format {stored!r}; known are {', '.join(WEIGHT_WIDTH)}")
    if stored == "mxfp4" and "nvfp4" in chip.flops and "fp8" in chip.flops:
        return "fp8"
    for wider in _WIDER[stored]:
        if wider in chip.flops:
            return wider
    raise Infeasible(f"{chip.name} publishes no rate for {stored} or any wider format")


def efficiency_format(stored: str, computed: str) -> str:
    """Key under which the calibration keeps such a product: w4 and w8 unpack weights first."""
    if stored in ("mxfp4", "int4") or (stored == "nvfp4" and computed != "nvfp4"):
        return "w4"
    if stored in ("fp8", "int8") and computed in ("bf16", "fp16"):
        return "w8"
    return "bf16" if computed == "fp16" else computed


def activation_format(weights: str) -> str:
    """Format of what passes between the products of a model whose weights are called `weights`."""
    return "fp32" if weights == "fp32" else "bf16"


def role_format(weights: str, role: str, *, sparse: bool) -> str:
    """Stored format of a part of a model whose weights are called `weights`.

    4-bit mixtures of experts keep attention, router and (mxfp4, int4) shared experts in bf16, as
    the published checkpoints do; embeddings, router and head are bf16 in all but fp32.
    """
    if role in ("head", "router"):
        return activation_format(weights)
    if sparse and weights in _FOUR_BIT and role != "experts":
        return "nvfp4" if weights == "nvfp4" and role in ("shared", "dense") else "bf16"
    return weights


def legal(model: Model, chip: Chip) -> tuple[str, ...]:
    """Weight formats worth trying on a chip: the maker's own, and those the chip computes.

    Weights are kept or made narrower. Wider ones than the maker's are tried only where the chip
    cannot compute with the maker's: nothing is gained by them, and no engine serves them.
    """
    own = model.weights if any(f in chip.flops for f in _WIDER.get(model.weights, ())) else None
    native = [f for f in ("bf16", "fp8", "int8", "nvfp4") if f in chip.flops]
    # int8 is what chips without fp8 quantise to; with fp8 no engine prefers it.
    if "fp8" in native and "int8" in native:
        native.remove("int8")
    if own is not None and (own in chip.flops or own in ("mxfp4", "int4")):
        native = [f for f in native if int(8 * WEIGHT_WIDTH[f]) <= int(8 * WEIGHT_WIDTH[own])]
    return tuple(dict.fromkeys(([own] if own else []) + native))
