"""Requests through the scheduler of a serving engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chipwise.errors import BadInput, UnknownName
from chipwise.registry import SCHEDULERS
from chipwise.serving import schedulers  # noqa: F401 -- enters the engines by name
from chipwise.serving.case import Case
from chipwise.types import Array, Prompts, Simulation, StepTable

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import ArrayLike, NDArray

__all__ = ["simulate"]

LOOPS = ("auto", "plain")
POLICIES = ("no_evict", "max_utilisation")

# Longest prompt or output that is taken for one. [token]
_LONGEST = 2**40


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
    chunked: bool | None = None,
    policy: str = "no_evict",
    wait: int = 0,
    share: float = 0.9,
    poll: float = 1.0,
    conservativeness: float = 1.0,
    ratio_steps: int = 600,
    margin: int = 20,
    ignore_eos: bool = False,
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
        The engine: ``vllm`` (V1), ``sglang`` or ``trtllm``.
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
    chunked : bool, optional
        Cut a prompt that exceeds the budget; without it as the engine does: TensorRT-LLM does not.
    policy : str
        TensorRT-LLM's: ``no_evict`` admits what can finish whatever comes, ``max_utilisation``
        what fits now.
    wait, share : int, float
        TensorRT-LLM: iterations for which prompts are held back while others decode, until with
        them they fill that share of the budget. [1]
    poll : float
        SGLang: decode iterations between two looks at the queue.
    conservativeness : float
        SGLang: factor of the new-token ratio that admissions charge the running with. [1]
    ratio_steps, margin : int
        SGLang: decode iterations in which the ratio falls to its floor; tokens of each request
        that a retraction makes room for.
    ignore_eos : bool
        SGLang: charge the running with all of their output, as it does for such requests.
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
    _check_names(scheduler=(scheduler, SCHEDULERS), loop=(loop, LOOPS), policy=(policy, POLICIES))
    isl, osl = _lengths(isl, "isl"), _lengths(osl, "osl")
    if len(isl) != len(osl):
        raise BadInput(f"{len(isl)} prompts but {len(osl)} outputs; give one of each per request")
    _check_counts(1, blocks=blocks, block_size=block_size, max_seqs=max_seqs, max_tokens=max_tokens)
    _check_counts(0, long_prefill=long_prefill, draft=draft, wait=wait, margin=margin)
    _check_counts(1, ratio_steps=ratio_steps)
    _check_shares(watermark, acceptance, share, conservativeness)
    _check_engine(scheduler, asynchronous=asynchronous, draft=draft, priority=priority)
    if draft and asynchronous:
        raise BadInput(
            "speculation is simulated with synchronous scheduling only; drop one of both"
        )
    # The last token's own KV is never written, but the other engines reserve its place.
    _check_fit(isl, osl, blocks, block_size, 2 * draft - (scheduler == "vllm"))
    whole = scheduler == "trtllm" if chunked is None else not chunked
    if whole:
        _check_whole(isl, max_tokens)
    times, clients = _arrivals(arrival, concurrency, len(isl))
    case = Case(
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
        chunked=not whole,
        policy=policy,
        wait=int(wait),
        share=float(share),
        poll=float(poll),
        ratio=np.inf if ignore_eos else float(conservativeness),
        ratio_steps=int(ratio_steps),
        margin=int(margin),
        draft=int(draft),
        acceptance=float(acceptance),
        seed=int(seed),
        record=bool(record_steps),
        plain=loop == "plain",
    )
    result: Simulation = SCHEDULERS[scheduler](case)
    return result


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


def _check_names(**names: tuple[str, Collection[str]]) -> None:
    """Names that must be among the known."""
    for kind, (name, known) in names.items():
        if name not in known:
            raise UnknownName(kind, name, known)


def _check_shares(
    watermark: float, acceptance: float, share: float, conservativeness: float
) -> None:
    """Shares and probabilities."""
    if not 0.0 <= watermark < 1.0:
        raise BadInput(f"watermark is {watermark}; it must be a share from 0 to below 1")
    if not 0.0 <= acceptance <= 1.0:
        raise BadInput(f"acceptance is {acceptance}; it must be a probability from 0 to 1")
    if not 0.0 <= share <= 1.0:
        raise BadInput(f"share is {share}; it must be a share from 0 to 1")
    if not 0.0 <= conservativeness < np.inf:
        raise BadInput(f"conservativeness is {conservativeness}; it must be at least 0")


def _check_engine(
    scheduler: str, *, asynchronous: bool, draft: int, priority: ArrayLike | None
) -> None:
    """Refuse flags that the simulated engine does not have."""
    if draft and asynchronous:
        raise BadInput(
            "speculation is simulated with synchronous scheduling only; drop one of both"
        )
    if scheduler != "vllm" and (asynchronous or draft or priority is not None):
        message = "asynchronous scheduling, speculation and priorities are simulated for vllm only"
        raise BadInput(f"{message}, not for {scheduler}")


def _check_whole(isl: NDArray[np.int64], max_tokens: int) -> None:
    """Refuse a prompt that exceeds an iteration's budget where prompts are not cut."""
    if isl.max() > max_tokens:
        i = int(isl.argmax())
        raise BadInput(
            f"request {i} has {isl[i]} prompt tokens, but an iteration takes {max_tokens} and "
            "prompts are not cut; raise max_tokens or say chunked=True"
        )


def _check_fit(
    isl: NDArray[np.int64], osl: NDArray[np.int64], blocks: int, size: int, extra: int
) -> None:
    """Refuse a request that could never finish: its KV alone is larger than the cache."""
    longest = isl + osl + extra
    if longest.max() <= blocks * size:
        return
    i = int(np.flatnonzero(longest > blocks * size)[0])
    most = -(-int(longest.max()) // size)
    raise BadInput(
        f"request {i} ({isl[i]} prompt and {osl[i]} output tokens) needs "
        f"{-(-longest[i] // size)} blocks of {size} tokens, but the cache has "
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
