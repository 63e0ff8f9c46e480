"""Speed and memory: shapes and a chip → seconds, bytes, joules."""

from chipwise.perf.blocks import parameters
from chipwise.perf.formats import legal
from chipwise.perf.inference import (
    Load,
    Operator,
    estimate,
    kv_transfer,
    operators,
    reach,
    step,
    step_table,
)
from chipwise.perf.memory import kv_blocks, kv_bytes, weight_bytes

__all__ = [
    "Load",
    "Operator",
    "estimate",
    "kv_blocks",
    "kv_bytes",
    "kv_transfer",
    "legal",
    "operators",
    "parameters",
    "reach",
    "step",
    "step_table",
    "weight_bytes",
]
