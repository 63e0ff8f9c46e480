"""One simulation as it was asked for: the noun between the door and the schedulers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chipwise.types import Array, Prompts, StepTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Case", "Cluster", "Server"]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Requests and flags that have passed the door; names as in `serving.simulate`.

    `times` are the arrivals, written in a closed loop of `clients` (0: open); `watermark` is in
    blocks; `rank` the priorities, where they count; `prompts` what they share, where it is
    cached; `sessions` the request that each follows (-1: none) and after what pause [s].
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
    sessions: tuple[NDArray[np.int64], Array] | None
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
    cluster: Cluster | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """Several engines: `replicas` of the case, and where prefill and decode are apart `others`.

    `other` is the case of those that decode; `latency` and `token` of the link between [s].
    """

    replicas: int
    router: str
    slack: int
    lockstep: bool = False
    other: Case | None = None
    others: int = 0
    latency: float = 0.0
    token: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Server:
    """Engines that do one job: `replicas` of them, each with `blocks` of its own."""

    table: StepTable
    blocks: int
    block_size: int = 16
    max_seqs: int = 256
    max_tokens: int = 8192
    replicas: int = 1
