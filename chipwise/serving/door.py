"""The door of the simulator: what was asked → a Case, or one clear message of what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chipwise.errors import BadInput, UnknownName
from chipwise.registry import SCHEDULERS
from chipwise.serving.case import Case, Cluster
from chipwise.types import Array, Prompts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import ArrayLike, NDArray

__all__ = ["case", "lengths"]

LOOPS = ("auto", "plain")
ROUTERS = ("round_robin", "least_loaded", "prefix_aware")
POLICIES = ("no_evict", "max_utilisation")

# Longest prompt or output that is taken for one. [token]
_LONGEST = 2**40


def case(asked: Mapping[str, Any], longest: NDArray[np.int64] | None = None) -> Case:
    """What was asked of `serving.simulate`, by the names of its parameters.

    `longest` is what each request holds of the cache at most, where that is not its prompt and
    output. [token]
    """
    engine, draft, whole = asked["scheduler"], asked["draft"], _whole(asked)
    _check_flags(asked)
    isl, osl = lengths(asked["isl"], "isl"), lengths(asked["osl"], "osl")
    if len(isl) != len(osl):
        raise BadInput(f"{len(isl)} prompts but {len(osl)} outputs; give one of each per request")
    # The last token's own KV is never written, but the other engines reserve its place.
    held = isl + osl + (2 * draft - (engine == "vllm")) if longest is None else longest
    _check_fit(isl, osl, held, asked["blocks"], asked["block_size"])
    if whole:
        _check_whole(isl, asked["max_tokens"])
    sessions = _sessions(asked["follows"], asked["pause"], len(isl))
    times, clients = _arrivals(asked["arrival"], asked["concurrency"], len(isl), sessions)
    made = Case(
        table=asked["table"],
        times=times,
        isl=isl,
        osl=osl,
        clients=clients,
        blocks=int(asked["blocks"]),
        block_size=int(asked["block_size"]),
        max_seqs=int(asked["max_seqs"]),
        max_tokens=int(asked["max_tokens"]),
        asynchronous=bool(asked["asynchronous"]),
        long_prefill=int(asked["long_prefill"]),
        reserve=bool(asked["reserve"]),
        # The engine takes the share of all its blocks; one of them is never used.
        watermark=int(asked["watermark"] * (asked["blocks"] + 1)),
        rank=_ranks(asked["priority"], len(isl)),
        prompts=_prompts(asked["prompts"], isl) if asked["prefix_caching"] else None,
        sessions=sessions,
        reuse_last=bool(asked["reuse_last"]),
        chunked=not whole,
        policy=asked["policy"],
        wait=int(asked["wait"]),
        share=float(asked["share"]),
        poll=float(asked["poll"]),
        ratio=np.inf if asked["ignore_eos"] else float(asked["conservativeness"]),
        ratio_steps=int(asked["ratio_steps"]),
        margin=int(asked["margin"]),
        draft=int(draft),
        acceptance=float(asked["acceptance"]),
        seed=int(asked["seed"]),
        record=bool(asked["record_steps"]),
        plain=asked["loop"] == "plain",
        cluster=_cluster(asked),
    )
    _check_cluster(engine, made)
    return made


def _whole(asked: Mapping[str, Any]) -> bool:
    """Whether prompts are not cut: as said, else as the engine does."""
    chunked = asked["chunked"]
    return asked["scheduler"] == "trtllm" if chunked is None else not chunked


def _cluster(asked: Mapping[str, Any]) -> Cluster | None:
    """The engines, where they are several."""
    if asked["replicas"] == 1 and not asked["lockstep"]:
        return None
    return Cluster(
        replicas=int(asked["replicas"]),
        router=asked["router"],
        slack=int(asked["router_slack"]),
        lockstep=bool(asked["lockstep"]),
    )


def _check_flags(asked: Mapping[str, Any]) -> None:
    """Flags one by one, and what the simulated engine does not have."""
    known = {"scheduler": SCHEDULERS, "loop": LOOPS, "policy": POLICIES, "router": ROUTERS}
    for kind, names in known.items():
        _check_name(kind, asked[kind], names)
    ones = ("blocks", "block_size", "max_seqs", "max_tokens", "ratio_steps", "replicas")
    _check_counts(1, {name: asked[name] for name in ones})
    zeros = ("long_prefill", "draft", "wait", "margin", "router_slack")
    _check_counts(0, {name: asked[name] for name in zeros})
    if not 0.0 <= asked["watermark"] < 1.0:
        raise BadInput(f"watermark is {asked['watermark']}; it must be a share from 0 to below 1")
    for name in ("acceptance", "share"):
        if not 0.0 <= asked[name] <= 1.0:
            raise BadInput(f"{name} is {asked[name]}; it must be from 0 to 1")
    for name in ("conservativeness", "poll"):
        if not 0.0 <= asked[name] < np.inf:
            raise BadInput(f"{name} is {asked[name]}; it must be a number of at least 0")
    _check_engine(asked["scheduler"], asked)


def _check_engine(scheduler: str, asked: Mapping[str, Any]) -> None:
    """Refuse flags that the simulated engine does not have."""
    if asked["draft"] and asked["asynchronous"]:
        message = "speculation is simulated with synchronous scheduling only"
        raise BadInput(f"{message}; drop one of both")
    special = asked["asynchronous"] or asked["draft"] or asked["priority"] is not None
    if scheduler != "vllm" and special:
        message = "asynchronous scheduling, speculation and priorities are simulated for vllm only"
        raise BadInput(f"{message}, not for {scheduler}")


def _check_cluster(scheduler: str, made: Case) -> None:
    """Refuse engines behind a router that are not simulated together."""
    if made.cluster is None:
        return
    dealt = made.cluster.router == "round_robin" and not made.cluster.lockstep
    if scheduler == "sglang" and (made.clients or made.sessions is not None or not dealt):
        raise BadInput(
            "several engines of sglang are simulated with open arrivals dealt round robin only"
        )
    if made.cluster.lockstep and made.asynchronous:
        raise BadInput("engines in lockstep are simulated synchronously; drop one of both")


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


def _sessions(
    follows: ArrayLike | None, pause: ArrayLike, n: int
) -> tuple[NDArray[np.int64], Array] | None:
    """Which request each follows, and after what pause."""
    if follows is None:
        return None
    former = np.array(follows, np.int64, ndmin=1)
    if len(former) != n:
        raise BadInput(f"{n} requests but {len(former)} that they follow; give one per request")
    wrong = np.flatnonzero((former < -1) | (former >= np.arange(n)))
    if len(wrong):
        i = int(wrong[0])
        raise BadInput(f"request {i} follows {former[i]}; it must be one before it, or -1")
    turns, count = np.unique(former[former >= 0], return_counts=True)
    if (count > 1).any():
        i = int(turns[count > 1][0])
        raise BadInput(f"request {i} is followed by several; a turn has one next turn")
    pauses = np.broadcast_to(np.asarray(pause, np.float64), (n,)).copy()
    if not (np.isfinite(pauses) & (pauses >= 0)).all():
        raise BadInput("a pause between turns must be a number of at least 0 s")
    return former, pauses


def lengths(values: ArrayLike, name: str) -> NDArray[np.int64]:
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


def _check_whole(isl: NDArray[np.int64], max_tokens: int) -> None:
    """Refuse a prompt that exceeds an iteration's budget where prompts are not cut."""
    if isl.max() > max_tokens:
        i = int(isl.argmax())
        raise BadInput(
            f"request {i} has {isl[i]} prompt tokens, but an iteration takes {max_tokens} and "
            "prompts are not cut; raise max_tokens or say chunked=True"
        )


def _check_name(kind: str, name: str, known: Collection[str]) -> None:
    """A name that must be among the known."""
    if name not in known:
        raise UnknownName(kind, name, known)


def _check_counts(least: int, counts: Mapping[str, float]) -> None:
    """Counts that must be whole and at least so much."""
    for name, value in counts.items():
        if not value >= least or value != int(value):
            raise BadInput(f"{name} is {value}; it must be a whole number of at least {least}")


def _check_fit(
    isl: NDArray[np.int64],
    osl: NDArray[np.int64],
    held: NDArray[np.int64],
    blocks: int,
    size: int,
) -> None:
    """Refuse a request that could never finish: its KV alone is larger than the cache."""
    most = int(held.max())
    if most <= blocks * size:
        return
    i = int(np.flatnonzero(held > blocks * size)[0])
    raise BadInput(
        f"request {i} ({isl[i]} prompt and {osl[i]} output tokens) needs {-(-held[i] // size)} "
        f"blocks of {size} tokens, but the cache has {blocks}; give it at least "
        f"{-(-most // size)} blocks"
    )


def _arrivals(
    arrival: ArrayLike | None,
    concurrency: int | None,
    n: int,
    sessions: tuple[NDArray[np.int64], Array] | None = None,
) -> tuple[Array, int]:
    """Arrivals, to be written in a closed loop, and its clients (0 where the loop is open)."""
    if (arrival is None) == (concurrency is None):
        raise BadInput("give either times of arrival or the concurrency of a closed loop, not both")
    if concurrency is not None:
        _check_counts(1, {"concurrency": concurrency})
        return np.zeros(n), int(concurrency)
    times = np.array(arrival, np.float64, ndmin=1)
    if len(times) != n:
        raise BadInput(f"{n} requests but {len(times)} times of arrival; give one per request")
    if sessions is None:
        _check_times(times, np.arange(n))
    else:  # a later turn comes when the one before it is complete, whatever its time says
        first = np.flatnonzero(sessions[0] < 0)
        _check_times(times[first], first)
    return times, 0


def _check_times(times: Array, ids: NDArray[np.int64]) -> None:
    """Refuse times of arrival that fall, or are none."""
    if times[0] >= 0 and times[-1] < np.inf and (times[1:] >= times[:-1]).all():
        return
    wrong = np.flatnonzero(~(times >= 0) | ~np.isfinite(times))
    if len(wrong):
        k = int(wrong[0])
        message = f"request {ids[k]} arrives at {times[k]:g} s; it must be a number of at least 0"
        raise BadInput(message)
    k = int(np.flatnonzero(times[1:] < times[:-1])[0]) + 1
    raise BadInput(
        f"request {ids[k]} arrives at {times[k]:g} s, before request {ids[k - 1]} "
        f"({times[k - 1]:g} s); sort the requests by arrival"
    )
