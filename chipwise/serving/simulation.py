"""Requests through the scheduler of a serving engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chipwise.errors import BadInput, UnknownName
from chipwise.types import Array, Prompts, Simulation, StepTable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["simulate"]

SCHEDULERS = ("vllm",)


def simulate(
    table: StepTable,
    arrival: ArrayLike | None,
    isl: ArrayLike,
    osl: ArrayLike,
    *,
    blocks: int,
    concurrency: int | None = None,
    block_size: int = 16,
    max_seqs: int = 256,
    max_tokens: int = 8192,
    scheduler: str = "vllm",
    asynchronous: bool = False,
    long_prefill: int = 0,
    reserve: bool = True,
    watermark: float = 0.0,
    priority: ArrayLike | None = None,
    prefix_caching: bool = False,
    prompts: Prompts | None = None,
    draft: int = 0,
    acceptance: float = 0.0,
    seed: int = 0,
    record_steps: bool = False,
) -> Simulation:
    """What an engine's scheduler does with requests, iteration by iteration.

    The host's time for a request (StepTable.request, request_token) passes half before the
    scheduler sees the request and half after each of its tokens, so that it counts once in TTFT
    and not in TPOT.

    Parameters
    ----------
    table : StepTable
        How long an iteration lasts.
    arrival : array or None
        Times of arrival, not falling. [s] None in a closed loop.
    isl, osl : array
        Tokens of each request's prompt and output. [token]
    blocks : int
        Usable blocks of KV cache. [1]
    concurrency : int, optional
        Clients of a closed loop: all start at 0, and each issues its next request, in order of
        the arrays, when its former one is complete. [1]
    block_size : int
        Tokens in a block. [token]
    max_seqs, max_tokens : int
        Most requests running, most tokens in an iteration.
    scheduler : str
        The engine; ``vllm`` is V1.
    asynchronous : bool
        Schedule an iteration while the one before it runs.
    long_prefill : int
        Most prompt tokens of one request in an iteration; 0 is no limit. [token]
    reserve : bool
        Admit a request only if its whole sequence fits now (vLLM's scheduler_reserve_full_isl).
    watermark : float
        Share of the blocks that an admission must leave free while others run. [1]
    priority : array, optional
        Of each request, smaller first; without it, first come, first served.
    prefix_caching : bool
        Keep the KV of full blocks, and use it again where a prompt begins with the same tokens.
    prompts : Prompts, optional
        Which tokens the prompts share; without it, none.
    draft : int
        Tokens proposed for each decode by speculation. [token]
    acceptance : float
        Probability that a proposed token is right, if those before it were. [1]
    seed : int
        Of the draws of acceptance.
    record_steps : bool
        Keep a row for each iteration in `Simulation.steps`.

    Returns
    -------
    Simulation
        In the order of the arrays.

    Examples
    --------
    >>> table = StepTable(base=0.01, prefill=5e-5, decode=5e-5, context=2e-8)
    >>> run = simulate(table, [0.0, 0.5], [374, 396], [44, 109], blocks=3000)
    >>> run.iterations
    153
    >>> [round(float(t), 6) for t in run.first - run.arrival]
    [0.028707, 0.029808]
    """
    if scheduler not in SCHEDULERS:
        raise UnknownName("scheduler", scheduler, SCHEDULERS)
    isl, osl = _lengths(isl, "isl"), _lengths(osl, "osl")
    if len(isl) != len(osl):
        raise BadInput(f"{len(isl)} prompts but {len(osl)} outputs; give one of each per request")
    _check_limits(blocks=blocks, block_size=block_size, max_seqs=max_seqs, max_tokens=max_tokens)
    _check_fit(isl, osl + 2 * draft, blocks, block_size)
    times, clients = _arrivals(arrival, concurrency, len(isl))
    if not 0.0 <= watermark < 1.0:
        raise BadInput(f"watermark is {watermark}; it must be a share from 0 to below 1")
    _check_at_least_zero(long_prefill=long_prefill, draft=draft)
    if not 0.0 <= acceptance <= 1.0:
        raise BadInput(f"acceptance is {acceptance}; it must be a probability from 0 to 1")
    if draft and asynchronous:
        raise BadInput(
            "speculation is simulated with synchronous scheduling only; drop one of both"
        )
    rank = np.zeros(len(isl)) if priority is None else np.array(priority, np.float64)
    if len(rank) != len(isl):
        raise BadInput(f"{len(isl)} requests but {len(rank)} priorities; give one per request")

    # Numba takes half a second to import: only those who simulate pay it.
    from chipwise.serving import clock, plain, prefixes  # noqa: PLC0415

    flags = plain.Flags(
        blocks=int(blocks),
        block_size=int(block_size),
        max_seqs=int(max_seqs),
        max_tokens=int(max_tokens),
        long_prefill=int(long_prefill),
        reserve=bool(reserve),
        watermark=int(watermark * blocks),
        depth=2 if asynchronous else 1,
        by_priority=priority is not None,
        caching=bool(prefix_caching),
        draft=int(draft),
        acceptance=float(acceptance),
        seed=int(seed),
        clients=clients,
        record=bool(record_steps),
    )
    if prefix_caching:
        known = _prompts(prompts, isl)
        start, node, nodes = prefixes.number(
            isl, osl, known.offset, known.ident, known.length, known.output, int(block_size)
        )
    else:
        start, node, nodes = np.zeros(1, np.int64), np.zeros(0, np.int32), 0
    half = 0.5 * (table.request + table.request_token * isl)
    who = plain.requests(times, isl, osl, rank, half)
    who["node"] = start[: len(isl)] if prefix_caching else 0
    room = plain.open_room(flags, who, nodes)
    seconds = clock.clock(table, max(flags.max_tokens, flags.max_seqs))
    iterations, log, victims = plain.play(flags, seconds, who, room, node)
    filled = np.flatnonzero(room.gaps)
    by_request = {
        name: np.ascontiguousarray(who[name])
        for name in ("arrival", "scheduled", "first", "finish", "isl", "osl", "preempted", "cached")
    }
    return Simulation(
        **by_request,
        gaps=(clock.gap_centre(filled), room.gaps[filled]),
        gap_sum=float(room.counts["gaps"][0]),
        iterations=iterations,
        preemptions=int(room.counts["preemptions"][0]),
        steps=_steps(log, plain.COLUMNS, victims) if record_steps else {},
    )


def _prompts(prompts: Prompts | None, isl: NDArray[np.int64]) -> Prompts:
    """What the prompts share; without a word about it, nothing."""
    if prompts is None:
        each = np.arange(len(isl) + 1)
        return Prompts(offset=each, ident=each[:-1], length=isl, output=each[:-1])
    offset = np.ascontiguousarray(prompts.offset, np.int64)
    length = np.ascontiguousarray(prompts.length, np.int64)
    if len(offset) != len(isl) + 1 or len(prompts.output) != len(isl):
        raise BadInput(f"prompts of {len(offset) - 1} requests were given for {len(isl)} requests")
    told = np.add.reduceat(np.append(length, 0), offset[:-1]) * (np.diff(offset) > 0)
    short = np.flatnonzero(told < isl)
    if len(short):
        i = int(short[0])
        raise BadInput(f"request {i} has {isl[i]} prompt tokens, but its runs tell {told[i]}")
    return Prompts(
        offset=offset,
        ident=np.ascontiguousarray(prompts.ident, np.int64),
        length=length,
        output=np.ascontiguousarray(prompts.output, np.int64),
    )


def _lengths(values: ArrayLike, name: str) -> NDArray[np.int64]:
    """Lengths as whole numbers of at least one token."""
    given = np.array(values, np.float64, ndmin=1)
    wrong = np.flatnonzero(~(given >= 1) | (given != np.floor(given)) | (given > 2**40))
    if len(wrong):
        i = int(wrong[0])
        raise BadInput(
            f"{name} of request {i} is {given[i]:g}; it must be a whole number of at least 1 token"
        )
    return given.astype(np.int64)


def _check_limits(**limits: int) -> None:
    """Limits that must be whole and at least 1."""
    for name, value in limits.items():
        if value < 1 or value != int(value):
            raise BadInput(f"{name} is {value}; it must be a whole number of at least 1")


def _check_at_least_zero(**counts: int) -> None:
    """Counts that must be whole and at least 0."""
    for name, value in counts.items():
        if value < 0 or value != int(value):
            raise BadInput(f"{name} is {value}; it must be a whole number of at least 0")


def _check_fit(isl: NDArray[np.int64], osl: NDArray[np.int64], blocks: int, size: int) -> None:
    """Refuse a request that could never finish: its KV alone is larger than the cache."""
    # The last token's own KV is never written.
    need = -(-(isl + osl - 1) // size)
    large = np.flatnonzero(need > blocks)
    if len(large):
        i = int(large[0])
        raise BadInput(
            f"request {i} ({isl[i]} prompt and {osl[i]} output tokens) needs {need[i]} blocks of "
            f"{size} tokens, but the cache has {blocks}; give it at least {need.max()} blocks"
        )


def _arrivals(arrival: ArrayLike | None, concurrency: int | None, n: int) -> tuple[Array, int]:
    """Arrivals, to be written in a closed loop, and its clients (0 where the loop is open)."""
    if (arrival is None) == (concurrency is None):
        raise BadInput("give either times of arrival or the concurrency of a closed loop, not both")
    if concurrency is not None:
        _check_limits(concurrency=concurrency)
        return np.zeros(n), int(concurrency)
    times = np.array(arrival, np.float64, ndmin=1)
    if len(times) != n:
        raise BadInput(f"{n} requests but {len(times)} times of arrival; give one per request")
    wrong = np.flatnonzero(~(times >= 0) | ~np.isfinite(times))
    if len(wrong):
        i = int(wrong[0])
        raise BadInput(f"request {i} arrives at {times[i]:g} s; it must be a number of at least 0")
    falls = np.flatnonzero(np.diff(times) < 0)
    if len(falls):
        i = int(falls[0]) + 1
        raise BadInput(
            f"request {i} arrives at {times[i]:g} s, before request {i - 1} ({times[i - 1]:g} s); "
            "sort the requests by arrival"
        )
    return times, 0


def _steps(
    log: Array, columns: tuple[str, ...], victims: list[tuple[int, int]]
) -> dict[str, NDArray[Any]]:
    """Columns of the iterations, the preempted ids of each as text."""
    steps: dict[str, NDArray[Any]] = {"step": np.arange(1, len(log) + 1)}
    for k, name in enumerate(columns):
        steps[name] = log[:, k].copy() if k < 2 else log[:, k].astype(np.int64)
    texts: list[list[int]] = [[] for _ in range(len(log))]
    for step, i in victims:
        texts[step].append(i)
    steps["preempted"] = np.array([" ".join(map(str, sorted(ids))) for ids in texts], dtype=str)
    return steps
