"""The engines' schedulers by name: a Case → a Simulation.

Numba takes half a second to import, so that the compiled loops are imported when one is played.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from chipwise.registry import scheduler
from chipwise.serving.case import Case, Cluster
from chipwise.types import Array, Prompts, Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

__all__ = ["COLUMNS", "sglang", "trtllm", "vllm"]

COLUMNS = (
    "t_start",
    "t_end",
    "n_running",
    "n_waiting",
    "n_scheduled",
    "prefill_tokens",
    "decode_tokens",
    "free_blocks",
)

# Longest output that the aggregate loop's calendar has room for. [token]
_LONGEST_DAYS = 2**20
# SGLang's new-token ratio at the start, and its floor as a share of that.
_RATIO_START, _RATIO_FLOOR = 0.7, 0.14
# Longest output that SGLang's admission asks for. [token]
_RATIO_LONGEST = 4096


@scheduler("vllm")
def vllm(case: Case) -> Simulation:
    """V1 of vLLM: decodes first, then prompts cut to what the budget leaves."""
    return _any(case, guarantee=False, wait=0)


@scheduler("trtllm")
def trtllm(case: Case) -> Simulation:
    """TensorRT-LLM: as vLLM, with whole prompts and room for the whole output."""
    return _any(case, guarantee=case.policy == "no_evict", wait=case.wait)


@scheduler("sglang")
def sglang(case: Case) -> Simulation:
    """SGLang: prefill alone and first, admission by a guess of what the running will write."""
    return _sglang(case) if case.cluster is None else _dealt(case, _sglang)


def _sglang(case: Case) -> Simulation:
    """The case through one engine of SGLang."""
    from chipwise.serving import clock  # noqa: PLC0415
    from chipwise.serving import sglang as engine  # noqa: PLC0415

    start = _RATIO_START * case.ratio if case.ratio < np.inf else 1.0
    floor = start * _RATIO_FLOOR if case.ratio < np.inf else 1.0
    flags = engine.SglangFlags(
        block_size=case.block_size,
        max_seqs=case.max_seqs,
        chunk=case.max_tokens,
        start=start,
        floor=floor,
        fall=(start - floor) / case.ratio_steps,
        margin=case.margin,
        longest=_RATIO_LONGEST,
        poll=case.poll,
        caching=case.prompts is not None,
        record=case.record,
        by_priority=False,
    )
    who, room = _room(case)
    seconds = clock.clock(case.table, max(case.max_tokens, case.max_seqs))
    log = engine.play(flags, seconds, who, room)
    return _told(case, who, room, log, (*COLUMNS, "ratio"))


def _any(case: Case, *, guarantee: bool, wait: int) -> Simulation:
    """The case through the aggregate loop where it gives the plain loop's answer, else that."""
    if case.plain or wait or not _aggregates(case):
        return _played(case, guarantee=guarantee, wait=wait)
    play = partial(_aggregate, guarantee=guarantee)
    return play(case) if case.cluster is None else _dealt(case, play)


def _aggregates(case: Case) -> bool:
    """Whether the aggregate loop gives the plain loop's answer; see loop.py for why."""
    return (
        not (case.asynchronous or case.long_prefill or case.draft or case.record)
        and case.rank is None
        and (case.prompts is None or case.reuse_last)
        and case.sessions is None
        and (case.cluster is None or (_is_dealt(case.cluster) and not case.clients))
        and case.max_seqs <= case.max_tokens
        and case.block_size & (case.block_size - 1) == 0
        and int(case.osl.max()) < _LONGEST_DAYS
        and (case.table.attention_window == 0 or case.table.window == int(case.table.window))
    )


def _is_dealt(cluster: Cluster) -> bool:
    """Whether the engines know nothing of one another: each could be played alone."""
    return cluster.router == "round_robin" and not cluster.lockstep and cluster.other is None


def _dealt(case: Case, play: Callable[[Case], Simulation]) -> Simulation:
    """Open arrivals dealt round robin, every engine played by itself."""
    assert case.cluster is not None
    engines = case.cluster.replicas
    replica = np.empty(len(case.isl), np.int64)
    seen = np.argsort(case.times + _half(case), kind="stable")
    replica[seen] = np.arange(len(seen)) % engines
    parts = [(k, np.flatnonzero(replica == k)) for k in range(engines)]
    runs = [(k, ids, play(_part(case, ids))) for k, ids in parts if len(ids)]
    whole: dict[str, Any] = {"replica": replica}
    for name in ("arrival", "scheduled", "first", "finish", "isl", "osl", "preempted", "cached"):
        whole[name] = np.empty_like(getattr(runs[0][2], name), shape=len(case.isl))
        for _, ids, run in runs:
            whole[name][ids] = getattr(run, name)
    centres = np.concatenate([run.gaps[0] for _, _, run in runs])
    counts = np.concatenate([run.gaps[1] for _, _, run in runs])
    gaps, place = np.unique(centres, return_inverse=True)
    return Simulation(
        **whole,
        gaps=(gaps, np.bincount(place, counts, len(gaps)).astype(np.int64)),
        gap_sum=float((whole["finish"] - whole["first"]).sum()),
        iterations=sum(run.iterations for _, _, run in runs),
        preemptions=sum(run.preemptions for _, _, run in runs),
        steps=_merged([(k, ids, run.steps) for k, ids, run in runs]) if case.record else {},
    )


def _part(case: Case, ids: NDArray[np.int64]) -> Case:
    """The case with some of its requests."""
    prompts = case.prompts
    if prompts is not None:
        first, end = prompts.offset[ids], prompts.offset[ids + 1]
        runs = np.concatenate([np.arange(a, b) for a, b in zip(first, end, strict=True)])
        prompts = Prompts(
            offset=np.concatenate((np.zeros(1, np.int64), np.cumsum(end - first))),
            ident=prompts.ident[runs],
            length=prompts.length[runs],
            output=prompts.output[ids],
        )
    return replace(
        case,
        times=case.times[ids],
        isl=case.isl[ids],
        osl=case.osl[ids],
        rank=None if case.rank is None else case.rank[ids],
        prompts=prompts,
        cluster=None,
    )


def _merged(
    parts: list[tuple[int, NDArray[np.int64], Mapping[str, NDArray[Any]]]],
) -> dict[str, NDArray[Any]]:
    """Rows of several engines in order of time, with the engine's number."""
    columns = {name: [steps[name] for _, _, steps in parts] for name in parts[0][2]}
    columns["preempted"] = [
        np.array([" ".join(str(ids[int(i)]) for i in told.split()) for told in steps["preempted"]])
        for _, ids, steps in parts
    ]
    columns["replica"] = [np.full(len(steps["step"]), k) for k, _, steps in parts]
    joined = {name: np.concatenate(values) for name, values in columns.items()}
    order = np.argsort(joined["t_start"], kind="stable")
    rows = {name: values[order] for name, values in joined.items()}
    return rows | {"step": np.arange(1, len(order) + 1)}


def _aggregate(case: Case, *, guarantee: bool) -> Simulation:
    """The case through the aggregate loop."""
    from chipwise.serving import clock, loop  # noqa: PLC0415
    from chipwise.serving.heap import heap, heap_of  # noqa: PLC0415
    from chipwise.serving.tree import grow  # noqa: PLC0415

    tree = None if case.prompts is None else grow(case)
    if tree is None and case.prompts is not None:
        return _played(case, guarantee=guarantee, wait=0)
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
        whole=not case.chunked,
        guarantee=guarantee,
    )
    line, coming = np.zeros(0, np.int64), heap(0)
    if case.clients:
        first = slice(min(case.clients, n))
        line, coming = np.zeros(n, np.int64), heap_of(_half(case)[first], n)
    elif table.request_token:
        line = np.argsort(case.times + _half(case), kind="stable")
    scheduled, first_token, finish, preempted, cached, gaps, iterations = loop.play(
        limits,
        clock.clock(table, max(case.max_tokens, case.max_seqs)),
        case.times,
        case.isl,
        case.osl,
        loop.open_room(limits, n, int(case.osl.max())),
        tree,
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
        cached=cached,
        gaps=_filled(gaps),
        gap_sum=float((finish - first_token).sum()),
        iterations=iterations,
        preemptions=int(preempted.sum()),
    )


def _played(case: Case, *, guarantee: bool, wait: int) -> Simulation:
    """The case through the plain loop, or several of them."""
    from chipwise.serving import clock, plain  # noqa: PLC0415

    if case.cluster is not None:
        return _clustered(case, case.cluster, guarantee=guarantee, wait=wait)
    flags = plain.flags(case, guarantee=guarantee, wait=wait)
    who, room = _room(case)
    seconds = clock.clock(case.table, max(case.max_tokens, case.max_seqs * (case.draft + 1)))
    log = plain.play(flags, seconds, who, room)
    return _told(case, who, room, log, COLUMNS)


def _clustered(case: Case, cluster: Cluster, *, guarantee: bool, wait: int) -> Simulation:
    """The case through several engines."""
    from chipwise.serving import clock, plain  # noqa: PLC0415
    from chipwise.serving import cluster as engines  # noqa: PLC0415

    other = case if cluster.other is None else cluster.other
    wiring = engines.Wiring(
        engines=cluster.replicas + cluster.others,
        split=cluster.replicas,
        router=engines.ROUTERS[cluster.router],
        slack=cluster.slack,
        latency=cluster.latency,
        token=cluster.token,
    )
    who, node, nodes = _records(case)
    hall = engines.open_hall(case, other, who, node, nodes, wiring)
    first, second = (
        (
            plain.flags(one, guarantee=guarantee, wait=wait),
            clock.clock(one.table, max(one.max_tokens, one.max_seqs * (one.draft + 1))),
        )
        for one in (case, other)
    )
    if cluster.lockstep:
        log = engines.play_together(*first, wiring, who, hall)
    else:
        log = engines.play(first[0], second[0], first[1], second[1], wiring, who, hall)
    return _told(case, who, hall, log, (*COLUMNS, "replica"))


def _records(case: Case) -> tuple[Any, Any, int]:
    """Records of the requests, the nodes of their blocks, and how many there are."""
    from chipwise.serving import plain, prefixes  # noqa: PLC0415

    who = plain.requests(case)
    if case.prompts is None:
        return who, np.zeros(0, np.int32), 0
    told = case.prompts
    start, node, nodes = prefixes.number(
        case.isl, case.osl, told.offset, told.ident, told.length, told.output, case.block_size
    )
    who["node"] = start[:-1]
    return who, node, nodes


def _room(case: Case) -> tuple[Any, Any]:
    """Records of the requests, and the room in which they stand."""
    from chipwise.serving import plain  # noqa: PLC0415

    who, nodes, most = _records(case)
    return who, plain.open_room(case, who, nodes, most)


def _told(case: Case, who: Any, room: Any, log: Any, columns: tuple[str, ...]) -> Simulation:
    """What the records say at the end."""
    iterations, rows, victims = log
    by_request = {
        name: np.ascontiguousarray(who[name])
        for name in (
            *("arrival", "scheduled", "first", "finish", "isl", "osl", "preempted", "cached"),
            "replica",
        )
    }
    return Simulation(
        **by_request,
        gaps=_filled(room.gaps),
        gap_sum=float((by_request["finish"] - by_request["first"]).sum()),
        iterations=iterations,
        preemptions=int(room.counts["preemptions"].sum()),
        steps=_steps(rows, columns, victims) if case.record else {},
    )


def _half(case: Case) -> Array:
    """Half of the host's time for each request. [s]"""
    return np.asarray(0.5 * (case.table.request + case.table.request_token * case.isl))


def _filled(gaps: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
    """Gaps that occurred, and how often."""
    from chipwise.serving.clock import gap_centre  # noqa: PLC0415

    filled = np.flatnonzero(gaps)
    return gap_centre(filled), gaps[filled]


def _steps(
    rows: Array, columns: tuple[str, ...], victims: list[tuple[int, int]]
) -> dict[str, NDArray[Any]]:
    """Columns of the iterations, the preempted ids of each as text."""
    steps: dict[str, NDArray[Any]] = {"step": np.arange(1, len(rows) + 1)}
    for k, name in enumerate(columns):
        fraction = name.startswith("t_") or name == "ratio"
        steps[name] = rows[:, k].copy() if fraction else rows[:, k].astype(np.int64)
    texts: list[list[int]] = [[] for _ in range(len(rows))]
    for step, i in victims:
        texts[step].append(i)
    steps["preempted"] = np.array([" ".join(map(str, sorted(ids))) for ids in texts], dtype=str)
    return steps
