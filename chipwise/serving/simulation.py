"""Requests through the scheduler of a serving engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chipwise.errors import BadInput, UnknownName
from chipwise.types import Array, Prompts, Simulation, StepTable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["simulate"]

SCHEDULERS = ("vllm",)
LOOPS = ("auto", "plain")

# Longest prompt or output that is taken for one. [token]
_LONGEST = 2**40
# Longest output that the aggregate loop's calendar has room for. [token]
_LONGEST_DAYS = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """Requests and flags that have passed the door; names as in `simulate`."""

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
    draft: int
    acceptance: float
    seed: int
    record: bool


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
    reuse_last: bool = True,
    draft: int = 0,
    acceptance: float = 0.0,
    seed: int = 0,
    record_steps: bool = False,
    loop: str = "auto",
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
    reuse_last : bool
        Use the blocks that were never full again first; before vLLM did so, they queued.
    draft : int
        Tokens proposed for each decode by speculation. [token]
    acceptance : float
        Probability that a proposed token is right, if those before it were. [1]
    seed : int
        Of the draws of acceptance.
    record_steps : bool
        Keep a row for each iteration in `Simulation.steps`.
    loop : str
        ``plain`` walks the running list in each iteration; ``auto`` keeps it as an aggregate
        where that gives the same answer, to the last bit.

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
    if loop not in LOOPS:
        raise UnknownName("loop", loop, LOOPS)
    isl, osl = _lengths(isl, "isl"), _lengths(osl, "osl")
    if len(isl) != len(osl):
        raise BadInput(f"{len(isl)} prompts but {len(osl)} outputs; give one of each per request")
    _check_counts(1, blocks=blocks, block_size=block_size, max_seqs=max_seqs, max_tokens=max_tokens)
    _check_counts(0, long_prefill=long_prefill, draft=draft)
    _check_shares(watermark=watermark, acceptance=acceptance)
    if draft and asynchronous:
        raise BadInput(
            "speculation is simulated with synchronous scheduling only; drop one of both"
        )
    _check_fit(isl, osl, blocks, block_size, 2 * draft)
    times, clients = _arrivals(arrival, concurrency, len(isl))
    case = _Case(
        table=table,
        times=times,
        isl=isl,
        osl=osl,
        clients=clients,
        blocks=int(blocks),
        block_size=int(block_size),
        max_seqs=int(max_seqs),
        max_tokens=int(max_tokens),
        asynchronous=bool(asynchronous),
        long_prefill=int(long_prefill),
        reserve=bool(reserve),
        watermark=int(watermark * blocks),
        rank=_ranks(priority, len(isl)),
        prompts=_prompts(prompts, isl) if prefix_caching else None,
        reuse_last=bool(reuse_last),
        draft=int(draft),
        acceptance=float(acceptance),
        seed=int(seed),
        record=bool(record_steps),
    )
    return _aggregate(case) if loop == "auto" and _aggregates(case) else _plain(case)


def _aggregates(case: _Case) -> bool:
    """Whether the aggregate loop gives the plain loop's answer; see loop.py for why."""
    return (
        not (case.asynchronous or case.long_prefill or case.draft or case.record)
        and case.rank is None
        and case.prompts is None
        and case.max_seqs <= case.max_tokens
        and case.block_size & (case.block_size - 1) == 0
        and int(case.osl.max()) < _LONGEST_DAYS
        and (case.table.attention_window == 0 or case.table.window == int(case.table.window))
    )


def _aggregate(case: _Case) -> Simulation:
    """The case through the aggregate loop."""
    # Numba takes half a second to import: only those who simulate pay it.
    from chipwise.serving import clock, loop  # noqa: PLC0415
    from chipwise.serving.heap import heap, heap_of  # noqa: PLC0415

    table, n = case.table, len(case.isl)
    limits = loop.Limits(
        blocks=case.blocks,
        shift=case.block_size.bit_length() - 1,
        max_seqs=case.max_seqs,
        max_tokens=case.max_tokens,
        reserve=case.reserve,
        watermark=case.watermark,
        clients=case.clients,
        half=float(table.request),
        half_token=float(table.request_token),
        window=int(table.window) if table.attention_window else 0,
    )
    line, coming = np.zeros(0, np.int64), heap(0)
    if case.clients:
        first = slice(min(case.clients, n))
        line, coming = np.zeros(n, np.int64), heap_of(_half(case)[first], n)
    elif table.request_token:
        line = np.argsort(case.times + _half(case), kind="stable")
    scheduled, first_token, finish, preempted, gaps, iterations = loop.play(
        limits,
        clock.clock(table, max(case.max_tokens, case.max_seqs)),
        case.times,
        case.isl,
        case.osl,
        loop.open_room(limits, n, int(case.osl.max())),
        line,
        coming,
    )
    return Simulation(
        arrival=case.times,
        scheduled=scheduled,
        first=first_token,
        finish=finish,
        isl=case.isl,
        osl=case.osl,
        preempted=preempted,
        cached=np.zeros(n, np.int64),
        gaps=_filled(gaps),
        gap_sum=float((finish - first_token).sum()),
        iterations=iterations,
        preemptions=int(preempted.sum()),
    )


def _plain(case: _Case) -> Simulation:
    """The case through the plain loop."""
    from chipwise.serving import clock, plain, prefixes  # noqa: PLC0415

    flags = plain.Flags(
        blocks=case.blocks,
        block_size=case.block_size,
        max_seqs=case.max_seqs,
        max_tokens=case.max_tokens,
        long_prefill=case.long_prefill,
        reserve=case.reserve,
        watermark=case.watermark,
        depth=2 if case.asynchronous else 1,
        by_priority=case.rank is not None,
        caching=case.prompts is not None,
        reuse_last=case.reuse_last,
        draft=case.draft,
        acceptance=case.acceptance,
        seed=case.seed,
        clients=case.clients,
        record=case.record,
    )
    rank = np.zeros(len(case.isl)) if case.rank is None else case.rank
    who = plain.requests(case.times, case.isl, case.osl, rank, _half(case))
    node, nodes = np.zeros(0, np.int32), 0
    if case.prompts is not None:
        told = case.prompts
        start, node, nodes = prefixes.number(
            case.isl, case.osl, told.offset, told.ident, told.length, told.output, case.block_size
        )
        who["node"] = start[:-1]
    room = plain.open_room(flags, who, nodes)
    seconds = clock.clock(case.table, max(case.max_tokens, case.max_seqs))
    iterations, log, victims = plain.play(flags, seconds, who, room, node)
    by_request = {
        name: np.ascontiguousarray(who[name])
        for name in ("arrival", "scheduled", "first", "finish", "isl", "osl", "preempted", "cached")
    }
    return Simulation(
        **by_request,
        gaps=_filled(room.gaps),
        gap_sum=float((by_request["finish"] - by_request["first"]).sum()),
        iterations=iterations,
        preemptions=int(room.counts["preemptions"][0]),
        steps=_steps(log, plain.COLUMNS, victims) if case.record else {},
    )


def _half(case: _Case) -> Array:
    """Half of the host's time for each request. [s]"""
    return np.asarray(0.5 * (case.table.request + case.table.request_token * case.isl))


def _filled(gaps: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
    """Gaps that occurred, and how often."""
    from chipwise.serving.clock import gap_centre  # noqa: PLC0415

    filled = np.flatnonzero(gaps)
    return gap_centre(filled), gaps[filled]


def _prompts(prompts: Prompts | None, isl: NDArray[np.int64]) -> Prompts:
    """What the prompts share; without a word about it, nothing."""
    if prompts is None:
        each = np.arange(len(isl) + 1)
        return Prompts(offset=each, ident=each[:-1], length=isl, output=each[:-1])
    offset = np.ascontiguousarray(prompts.offset, np.int64)
    length = np.ascontiguousarray(prompts.length, np.int64)
    if len(offset) != len(isl) + 1 or len(prompts.output) != len(isl):
        raise BadInput(f"prompts of {len(offset) - 1} requests were given for {len(isl)} requests")
    told = np.diff(np.concatenate(([0], np.cumsum(length)))[offset])
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
    given = np.atleast_1d(np.asarray(values))
    if not len(given):
        raise BadInput(f"{name} has no request; give at least one")
    whole = given.dtype.kind == "i"
    if whole and given.min() >= 1 and given.max() <= _LONGEST:
        return np.array(given, np.int64)
    given = given.astype(np.float64)
    wrong = np.flatnonzero(~(given >= 1) | (given != np.floor(given)) | (given > _LONGEST))
    if len(wrong):
        i = int(wrong[0])
        raise BadInput(
            f"{name} of request {i} is {given[i]:g}; it must be a whole number of at least 1 token"
        )
    return given.astype(np.int64)


def _ranks(priority: ArrayLike | None, n: int) -> Array | None:
    """Priorities, one for each request."""
    if priority is None:
        return None
    rank = np.array(priority, np.float64, ndmin=1)
    if len(rank) != n:
        raise BadInput(f"{n} requests but {len(rank)} priorities; give one per request")
    if np.isnan(rank).any():
        raise BadInput(f"priority of request {int(np.flatnonzero(np.isnan(rank))[0])} is no number")
    return rank


def _check_counts(least: int, **counts: int) -> None:
    """Counts that must be whole and at least so much."""
    for name, value in counts.items():
        if not value >= least or value != int(value):
            raise BadInput(f"{name} is {value}; it must be a whole number of at least {least}")


def _check_shares(watermark: float, acceptance: float) -> None:
    """Shares and probabilities."""
    if not 0.0 <= watermark < 1.0:
        raise BadInput(f"watermark is {watermark}; it must be a share from 0 to below 1")
    if not 0.0 <= acceptance <= 1.0:
        raise BadInput(f"acceptance is {acceptance}; it must be a probability from 0 to 1")


def _check_fit(
    isl: NDArray[np.int64], osl: NDArray[np.int64], blocks: int, size: int, extra: int
) -> None:
    """Refuse a request that could never finish: its KV alone is larger than the cache."""
    # The last token's own KV is never written.
    longest = isl + osl
    if longest.max() + extra - 1 <= blocks * size:
        return
    i = int(np.flatnonzero(longest + extra - 1 > blocks * size)[0])
    most = -(-(int(longest.max()) + extra - 1) // size)
    raise BadInput(
        f"request {i} ({isl[i]} prompt and {osl[i]} output tokens) needs "
        f"{-(-(longest[i] + extra - 1) // size)} blocks of {size} tokens, but the cache has "
        f"{blocks}; give it at least {most} blocks"
    )


def _arrivals(arrival: ArrayLike | None, concurrency: int | None, n: int) -> tuple[Array, int]:
    """Arrivals, to be written in a closed loop, and its clients (0 where the loop is open)."""
    if (arrival is None) == (concurrency is None):
        raise BadInput("give either times of arrival or the concurrency of a closed loop, not both")
    if concurrency is not None:
        _check_counts(1, concurrency=concurrency)
        return np.zeros(n), int(concurrency)
    times = np.array(arrival, np.float64, ndmin=1)
    if len(times) != n:
        raise BadInput(f"{n} requests but {len(times)} times of arrival; give one per request")
    if times[0] >= 0 and times[-1] < np.inf and (times[1:] >= times[:-1]).all():
        return times, 0
    wrong = np.flatnonzero(~(times >= 0) | ~np.isfinite(times))
    if len(wrong):
        i = int(wrong[0])
        raise BadInput(f"request {i} arrives at {times[i]:g} s; it must be a number of at least 0")
    i = int(np.flatnonzero(times[1:] < times[:-1])[0]) + 1
    raise BadInput(
        f"request {i} arrives at {times[i]:g} s, before request {i - 1} ({times[i - 1]:g} s); "
        "sort the requests by arrival"
    )


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
