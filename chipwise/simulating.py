"""The options of `simulate` → requests, engines, and what these did.

The command line and a page word a simulation alike: a mapping with the names of the options as
keys; one that is absent or None takes the engine's default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np

from chipwise import api, catalog, perf, serving
from chipwise.catalog.columns import read_step_table
from chipwise.errors import BadInput, Infeasible
from chipwise.types import Array, Simulation, StepTable, Trace

__all__ = ["Played", "play"]

_LOAD = ("isl", "osl", "lengths", "low", "prefix", "turns", "pause", "burstiness", "seed")
# Options of all engines → parameters of serving.simulate.
_COMMON = {"prefix_caching": "prefix_caching", "chunked_prefill": "chunked"}
# Options that one engine alone has.
_OWN = {
    "vllm": {
        "sync": "asynchronous",
        "long_prefill_token_threshold": "long_prefill",
        "reserve_full_isl": "reserve",
        "watermark": "watermark",
        "num_speculative_tokens": "draft",
        "acceptance": "acceptance",
        "policy": "priority",
    },
    "sglang": {
        "schedule_conservativeness": "conservativeness",
        "scheduler_recv_interval": "poll",
        "ignore_eos": "ignore_eos",
    },
    "trtllm": {
        "capacity_policy": "policy",
        "batch_wait_timeout_iters": "wait",
        "batch_wait_max_tokens_ratio": "share",
    },
}
# Options whose values the simulator spells otherwise.
_SPELT: dict[str, Callable[[Any], Any]] = {
    "sync": lambda sync: not sync,
    "capacity_policy": {
        "guaranteed_no_evict": "no_evict",
        "max_utilization": "max_utilisation",
    }.__getitem__,
}
_APART = ("prefill_chip", "prefill_tp", "prefill_replicas", "link")


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """A simulation and what was asked of it.

    `clients` of a closed loop; `warmup` requests that no percentile counts; `ttft`, `tpot` limits
    of the target [s] at its `percentile`; `rate` the highest that keeps it, where that was looked
    for [request/s]; `blocks` of each engine; `elapsed` of the simulation alone [s].
    """

    run: Simulation
    calibration: str
    clients: int | None
    warmup: int
    ttft: float | None
    tpot: float | None
    percentile: float
    rate: float | None
    blocks: Array
    elapsed: float


def play(given: Mapping[str, Any], *, record_steps: bool = False) -> Played:
    """A simulation, in the words of the options of `chipwise simulate`.

    Parameters
    ----------
    given : mapping
        ``model`` and ``chip``, or ``step_time`` or ``step_table`` with ``kv_blocks``; ``trace``,
        ``rate`` or ``concurrency``; any other option.
    record_steps : bool
        Keep a row for each iteration.

    Examples
    --------
    >>> of = {"step_time": (0.01, 5e-5, 5e-5, 2e-8), "kv_blocks": 3000, "isl": 200, "osl": 20}
    >>> play({**of, "rate": 3.0, "requests": 50}).run.preemptions
    0
    """
    sent = _sent(given)
    warmup = given.get("warm_up") or 0
    if warmup >= len(sent.isl):
        raise BadInput(f"{warmup} requests to warm up leave none of {len(sent.isl)} to count")
    clients = given.get("concurrency")
    stage, blocks = _stage(given, sent)
    # A run of one request first, so that loading the compiled code is not timed.
    stage(_smallest(sent, clients), clients=clients and 1, record_steps=record_steps)
    start = perf_counter()
    rate = None
    if given.get("find_rate"):
        rate, sent = _highest(given, sent, stage, warmup)
    run = stage(sent, clients=clients, record_steps=record_steps)
    return Played(
        run=run,
        calibration=_calibration(given),
        clients=clients,
        warmup=warmup,
        ttft=given.get("ttft"),
        tpot=given.get("tpot"),
        percentile=_percentile(given),
        rate=rate,
        blocks=blocks,
        elapsed=perf_counter() - start,
    )


def _percentile(given: Mapping[str, Any]) -> float:
    return 99.0 if given.get("percentile") is None else float(given["percentile"])


def _calibration(given: Mapping[str, Any]) -> str:
    """Id of the calibration that a simulation used; none where its step time was stated."""
    stated = _stated(given)
    return "stated" if stated else catalog.calibration(given.get("calibration") or "general").id


def _stated(given: Mapping[str, Any]) -> bool:
    return given.get("step_time") is not None or given.get("step_table") is not None


# -- load ----------------------------------------------------------------------------------------


def _sent(given: Mapping[str, Any]) -> Trace:
    """The requests."""
    rate, trace, clients = (given.get(k) for k in ("rate", "trace", "concurrency"))
    if given.get("find_rate"):
        if clients is not None:
            raise BadInput("a highest rate is of open arrivals; --find-rate takes no --concurrency")
        if given.get("ttft") is None and given.get("tpot") is None:
            raise BadInput("--find-rate needs a target: --ttft, --tpot or both")
        rate = rate or (1.0 if trace is None else None)
    made = ("prefix", "turns", "pause", "burstiness", "lengths", "isl", "osl")
    if trace is not None and any(given.get(k) is not None for k in made):
        names = ", ".join(f"--{k if k != 'prefix' else 'prefix-len'}" for k in made)
        raise BadInput(f"a trace has its own lengths and arrivals; drop {names}")
    load = {k: given[k] for k in _LOAD if given.get(k) is not None}
    return api.requests(
        trace, rate=rate, clients=clients, count=given.get("requests") or 1000, **load
    )


def _smallest(sent: Trace, clients: int | None) -> Trace:
    """A load of one request that fits any cache, told as the real one is."""
    one = np.ones(1, np.int64)
    follows = None if sent.follows is None else np.full(1, -1)
    pause = None if follows is None else np.zeros(1)
    rank = None if sent.priority is None else np.zeros(1)
    return Trace(np.zeros(1), one, one, priority=rank, follows=follows, pause=pause)


def _highest(
    given: Mapping[str, Any], sent: Trace, stage: Callable[..., Simulation], warmup: int
) -> tuple[float, Trace]:
    """The highest rate at which the target holds, and the load at it: the same, closer together."""
    if not sent.arrival[-1] > sent.arrival[0]:
        raise BadInput("all requests arrive at once; a highest rate needs arrivals that are apart")
    own = given.get("rate") or (1.0 if given.get("trace") is None else _mean_rate(sent))

    def at(rate: float) -> Trace:
        return replace(sent, arrival=sent.arrival * (own / rate))

    ends = (given.get("ttft"), given.get("tpot"), _percentile(given))
    found = serving.capacity.highest_rate(
        lambda rate: stage(at(rate)),
        lambda run: serving.capacity.keeps(run, *ends, warmup=warmup),
        start=own,
    )
    if found is None:
        raise Infeasible(
            f"the target fails at every rate, however low: {_fault(stage(at(own * 1e-6)), ends)}"
        )
    return found[0], at(found[0])


def _mean_rate(sent: Trace) -> float:
    """Arrivals of a trace each second. [request/s]"""
    return (len(sent.arrival) - 1) / float(sent.arrival[-1] - sent.arrival[0])


def _fault(run: Simulation, ends: tuple[float | None, float | None, float]) -> str:
    """What a run has at the percentile of a target that it misses."""
    ttft, tpot, percentile = ends
    times = (("ttft", run.first - run.arrival, ttft), ("tpot", serving.metrics.tpot(run), tpot))
    said = [
        f"{name} at the {percentile:g}th percentile is {np.nanpercentile(each, percentile):.4g} s, "
        f"the limit {limit:g} s"
        for name, each, limit in times
        if limit is not None and np.nanpercentile(each, percentile) > limit
    ]
    return " and ".join(said)


# -- engines -------------------------------------------------------------------------------------


def _stage(given: Mapping[str, Any], sent: Trace) -> tuple[Callable[..., Simulation], Array]:
    """A function that plays a load through the engines, and the blocks of each."""
    backend = given.get("backend") or "vllm"
    flags = _flags(given, backend)
    size = given.get("block_size") or flags["block_size"]
    server = _server(given, sent, size)
    if any(given.get(k) is not None for k in _APART):
        return _apart(given, sent, server, size)
    engines = _together(given)
    server = replace(server, blocks=server.blocks // engines.pop("stages"))
    told = {
        **{k: getattr(server, k) for k in ("blocks", "block_size", "max_seqs", "max_tokens")},
        **{k: v for k, v in flags.items() if k != "block_size"},
        **engines,
    }

    def run(load: Trace, **how: Any) -> Simulation:
        own: dict[str, Any] = {}
        if given.get("policy") == "priority":
            own["priority"] = load.priority
        if given.get("prefix_caching"):
            own["prompts"] = load.prompts
        return api.simulate(load, server.table, **{**told, **own, **how})

    if given.get("policy") == "priority" and sent.priority is None:
        raise BadInput("--policy priority needs a trace with a column priority")
    return run, np.full(engines["replicas"], float(server.blocks))


def _flags(given: Mapping[str, Any], backend: str) -> dict[str, Any]:
    """Flags of the scheduler: the engine's of a version, and what was said of them."""
    version = given.get("engine_version")
    told = dict(serving.presets.flags(backend, version))
    if version is None:
        told["asynchronous"] = False
    for engine, names in _OWN.items():
        for name, parameter in names.items():
            value = given.get(name)
            if value is None or name == "policy":
                continue
            if engine != backend:
                spelt = name.replace("_", "-")
                raise BadInput(f"--{spelt} is a flag of {engine}, and the backend is {backend}")
            told[parameter] = _SPELT[name](value) if name in _SPELT else value
    for name, parameter in _COMMON.items():
        if given.get(name) is not None:
            told[parameter] = given[name]
    return told | {"seed": given.get("seed") or 0}


def _together(given: Mapping[str, Any]) -> dict[str, Any]:
    """Engines that do the whole job: replicas, stages of a pipeline, data-parallel ranks."""
    replicas, pp, dp = (given.get(k) or 1 for k in ("replicas", "pp", "dp"))
    if dp > 1 and (replicas > 1 or pp > 1):
        raise BadInput(
            "the ranks of data-parallel attention are simulated in one replica without a pipeline; "
            "divide the rate by the replicas"
        )
    return {
        "replicas": replicas * pp * dp,
        "lockstep": dp > 1,
        "router": given.get("router") or "round_robin",
        "stages": pp,
    }


def _server(given: Mapping[str, Any], sent: Trace, size: int) -> serving.Server:
    """One engine: seconds of its iterations, cache and limits, of a model or as stated."""
    blocks, seqs, tokens = given.get("kv_blocks"), 256, 8192
    stated = [k for k in ("step_time", "step_table", "model") if given.get(k) is not None]
    if len(stated) != 1:
        raise BadInput(
            "give either a MODEL with --chip, or --step-time or --step-table with --kv-blocks"
        )
    if stated[0] == "model":
        table, room, usual = _engine(given, sent, size, given.get("chip"), given.get("tp"))
        blocks, seqs = blocks or room, usual.max_seqs
        tokens = given.get("chunk") or usual.chunk
    else:
        if blocks is None:
            raise BadInput(
                "--kv-blocks is missing; with --step-time or --step-table it must be given"
            )
        if given.get("chip") is not None:
            raise BadInput("--chip goes with a MODEL; --step-time takes the place of both")
        table = (
            StepTable(*given["step_time"])
            if stated[0] == "step_time"
            else read_step_table(given["step_table"])
        )
    return serving.Server(
        table=table,
        blocks=int(blocks),
        block_size=size,
        max_seqs=given.get("max_num_seqs") or seqs,
        max_tokens=int(given.get("max_num_batched_tokens") or tokens),
    )


def _degrees(given: Mapping[str, Any]) -> dict[str, Any]:
    names = ("pp", "ep", "dp", "weights", "kv", "backend", "chunk")
    told = {"chunk": given.get("max_num_batched_tokens"), **given}
    return {k: told[k] for k in names if told.get(k) is not None}


def _engine(
    given: Mapping[str, Any], sent: Trace, size: int, chip: Any, tp: int | None
) -> tuple[StepTable, int, Any]:
    """Seconds, blocks and defaults of the model on a chip."""
    if chip is None:
        raise BadInput("--chip is missing; say on which chip the model runs")
    length = float(sent.isl.mean() + sent.osl.mean())
    known = given.get("calibration") or "general"
    degrees = {**_degrees(given), "tp": tp or 1}
    seqs = given.get("max_num_seqs")
    return api.engine(
        given["model"], chip, length, calibration=known, size=size, seqs=seqs, **degrees
    )


def _apart(
    given: Mapping[str, Any], sent: Trace, behind: serving.Server, size: int
) -> tuple[Callable[..., Simulation], Array]:
    """Prefill and decode on sides of their own; the options of both name the decode side's."""
    spoken = [
        name.replace("_", "-")
        for name in (*_OWN["vllm"], "chunked_prefill", "engine_version")
        if given.get(name) not in (None, "fcfs")
    ]
    if (given.get("backend") or "vllm") != "vllm" or spoken:
        what = f"--{spoken[0]}" if spoken else f"--backend {given['backend']}"
        raise BadInput(f"sides apart have vLLM's scheduler with its usual flags; drop {what}")
    pp, dp = (given.get(k) or 1 for k in ("pp", "dp"))
    behind = replace(
        behind, blocks=behind.blocks // pp, replicas=(given.get("replicas") or 1) * pp * dp
    )
    ahead, token = behind, 0.0
    if given.get("model") is None:
        wrong = [k for k in ("prefill_chip", "prefill_tp", "link") if given.get(k) is not None]
        if wrong:
            message = f"--{wrong[0].replace('_', '-')} goes with a MODEL"
            raise BadInput(f"{message}; both sides have the stated step time")
    else:
        chip = given.get("prefill_chip") or given.get("chip")
        tp = given.get("prefill_tp") or given.get("tp")
        single = {**given, "pp": None, "dp": None, "ep": None}
        table, room, usual = _engine(single, sent, size, chip, tp)
        ahead = replace(
            behind,
            table=table,
            blocks=room,
            max_seqs=given.get("max_num_seqs") or usual.max_seqs,
            max_tokens=int(
                given.get("max_num_batched_tokens") or given.get("chunk") or usual.chunk
            ),
        )
        token = _transfer(given, chip, tp)
    ahead = replace(ahead, replicas=given.get("prefill_replicas") or 1)
    caching = bool(given.get("prefix_caching"))

    def run(load: Trace, **how: Any) -> Simulation:
        return api.simulate_apart(
            load,
            ahead,
            behind,
            latency_token=token,
            router=given.get("router") or "least_loaded",
            prefix_caching=caching,
            prompts=load.prompts if caching else None,
            **how,
        )

    return run, np.repeat(
        [float(s.blocks) for s in (ahead, behind)], [s.replicas for s in (ahead, behind)]
    )


def _transfer(given: Mapping[str, Any], chip: Any, tp: int | None) -> float:
    """Seconds that the KV of a token takes from one side to the other."""
    of = api.model(given["model"])
    degrees = _degrees(given)
    made = api.deployment(of, api.chip(given["chip"]), tp=given.get("tp") or 1, **degrees)
    plain = {k: v for k, v in degrees.items() if k not in ("pp", "dp", "ep")}
    ahead = api.deployment(of, api.chip(chip), tp=tp or 1, **plain).decode
    link = given.get("link")
    if link is None:
        link = catalog.calibration(given.get("calibration") or "general").shapes["link"]
    both = replace(made, prefill=ahead, link=link)
    return float(np.asarray(perf.kv_transfer(of, both, 1.0)))
