"""One simulation as it was asked for: the noun between the door and the schedulers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chipwise.types import Array, Prompts, StepTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Case"]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Requests and flags that have passed the door; names as in `serving.simulate`.

    `times` are the arrivals, written in a closed loop of `clients` (0: open); `watermark` is in
    blocks; `rank` the priorities, where they count; `prompts` what they share, where it is cached.
    """

    table: StepTable
    times: Array
    isl: NDArray[np.int64]
    osl: NDArray[np.int64]
    clients: int
    blocks: int
    block_size: int
    max_seqs: int
    max_tokens: int
    asynchronous: bool
    long_prefill: int
    reserve: bool
    watermark: int
    rank: Array | None
    prompts: Prompts | None
    reuse_last: bool
    chunked: bool
    policy: str
    wait: int
    share: float
    poll: float
    ratio: float
    ratio_steps: int
    margin: int
    draft: int
    acceptance: float
    seed: int
    record: bool
    plain: bool
