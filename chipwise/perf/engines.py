"""What the serving engines set when nothing is said, by the memory of the chip.

References
----------
vLLM 0.33 (EngineArgs.get_batch_defaults, API server), SGLang 0.5.23 (server arguments),
TensorRT-LLM 1.2 (llm_args.py), read from the releases.
"""

from __future__ import annotations

from dataclasses import dataclass

from chipwise.errors import BadInput
from chipwise.types import Chip

__all__ = ["BACKENDS", "Defaults", "backends", "defaults"]

_GI = 2.0**30
BACKENDS = ("vllm", "sglang", "trtllm")


@dataclass(frozen=True, slots=True)
class Defaults:
    """Token budget of an iteration and sequences in flight on a rank; release they are of."""

    chunk: int
    max_seqs: int
    version: str


def backends(chip: Chip) -> tuple[str, ...]:
    """Engines that run on a chip: TensorRT-LLM on NVIDIA's alone, SGLang on NVIDIA's and AMD's.

    vLLM runs on the others through its makers' plugins.
    """
    if chip.vendor == "NVIDIA":
        return BACKENDS
    return ("vllm", "sglang") if chip.vendor == "AMD" else ("vllm",)


def defaults(backend: str, chip: Chip) -> Defaults:
    """Budget and limit that an engine chooses for a chip.

    Raises
    ------
    BadInput
        If the engine is unknown or does not run on the chip.
    """
    if backend not in BACKENDS:
        raise BadInput(f"unknown backend {backend!r}; known are {', '.join(BACKENDS)}")
    if backend not in backends(chip):
        raise BadInput(f"{backend} does not run on {chip.name}; {', '.join(backends(chip))} does")
    gib = (chip.memory or 0.0) / _GI
    if backend == "trtllm":
        return Defaults(8192, 2048, "1.2")
    if backend == "sglang":
        chunk = 16384 if gib >= 160 else 8192 if gib >= 60 else 4096 if gib >= 20 else 2048
        return Defaults(chunk, 2048, "0.5.23")
    if gib >= 160:
        return Defaults(16384, 1024, "0.33.0")
    if gib >= 70 and "a100" not in chip.id:
        return Defaults(8192, 1024, "0.33.0")
    return Defaults(2048, 256, "0.33.0")
