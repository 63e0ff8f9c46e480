"""Questions of the simulator: what is sent, to which engine, and what that does with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chipwise import catalog, perf, serving
from chipwise.api import checks
from chipwise.api.asking import chip, model
from chipwise.api.serving import deployment
from chipwise.catalog import traces
from chipwise.catalog.columns import read_lengths
from chipwise.errors import BadInput, Infeasible
from chipwise.perf import engines
from chipwise.plan import Search
from chipwise.plan.candidates import shortage
from chipwise.types import Array, Chip, Model, Simulation, StepTable, Trace, Workload

__all__ = ["engine", "requests", "simulate", "simulate_apart"]


def requests(
    trace: str | None = None,
    *,
    rate: float | None = None,
    clients: int | None = None,
    isl: int | None = None,
    osl: int | None = None,
    lengths: str | Path | None = None,
    count: int = 1000,
    low: float = 1.0,
    prefix: int = 0,
    turns: int = 1,
    pause: float = 0.0,
    burstiness: float = 1.0,
    seed: int = 0,
) -> Trace:
    """What is sent to an engine: a trace, arrivals at random, or the prompts of a closed loop.

    Parameters
    ----------
    trace : str
        Id of a trace of the catalog, or a file.
    rate : float
        Of arrivals at random; with several turns, of conversations. [request/s]
    clients : int
        Of a closed loop; its arrivals are 0 and not used.
    isl, osl : int
        Lengths, where there is no trace; drawn evenly from `low` to 1 times these. With several
        turns, of each question and each answer. [token]
    lengths : str or Path
        CSV with the columns isl, osl and weight, from which they are drawn instead.
    count : int
        Requests, where there is no trace; with several turns rounded up to whole conversations.
    prefix : int
        Tokens with which every prompt begins, before its isl. [token]
    turns, pause : int, float
        Requests of a conversation, and the time from an answer to the next question. [s]
    burstiness : float
        Shape of the gamma-distributed gaps: 1 is Poisson, less comes in bursts, more evenly.
    seed : int
        Of all draws.
    """
    if sum(given is not None for given in (trace, rate, clients)) != 1:
        raise BadInput("give one of a trace, a rate and a concurrency")
    if trace is not None:
        return traces.trace(trace)
    checks.whole(count=count, turns=turns)
    checks.positive(rate=rate, burstiness=burstiness)
    total = -(-count // turns) * turns
    prompts, outputs = _drawn(isl, osl, lengths, low, total, seed)
    begin = np.zeros(total // turns)
    if rate is not None:
        begin = serving.arrivals.gamma(rate, total // turns, burstiness**-0.5, seed + 2)
    if turns == 1 and not prefix:
        return Trace(begin, prompts, outputs)
    shape = (-1, turns)
    talk = serving.arrivals.turns(
        begin, prompts.reshape(shape), outputs.reshape(shape), pause, prefix
    )
    return talk if turns > 1 else replace(talk, follows=None, pause=None)


def _drawn(
    isl: int | None,
    osl: int | None,
    lengths: str | Path | None,
    low: float,
    count: int,
    seed: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Prompt and output lengths of so many requests. [token]"""
    if lengths is not None:
        if isl is not None or osl is not None:
            raise BadInput("give either isl and osl, or a file of lengths")
        return serving.arrivals.histogram(*read_lengths(lengths), count, seed)
    if isl is None or osl is None:
        raise BadInput("isl and osl are missing; give both, or a file of lengths, or a trace")
    checks.lengths(isl, osl)
    return (
        serving.arrivals.uniform(isl, low, count, seed),
        serving.arrivals.uniform(osl, low, count, seed + 1),
    )


def engine(
    of: str | Model,
    on: str | Chip,
    length: float,
    *,
    calibration: str = "general",
    size: int = 16,
    seqs: int | None = None,
    **degrees: Any,
) -> tuple[StepTable, int, engines.Defaults]:
    """Seconds of an iteration of a model on a chip, blocks of its cache, flags of the engine.

    Parameters
    ----------
    of, on : str, Model or Chip
        What is served, and where.
    length : float
        Of a usual sequence, prompt and output together. [token]
    calibration : str
        By name.
    size : int
        Tokens of a block.
    seqs : int, optional
        Sequences that run at most; the engine's own limit unless given. [1]
    **degrees
        tp, ep, weights, kv, backend, chunk as in `deployment`.
    """
    of, on = model(of), chip(on)
    known = catalog.calibration(calibration)
    usual = engines.defaults(str(degrees.get("backend", "vllm")), on)
    made = deployment(of, on, batch=seqs or usual.max_seqs, **degrees)
    single = replace(made, decode=replace(made.decode, batch=1.0))
    blocks = perf.kv_blocks(of, single, single.decode, known, length, size)
    if blocks < 1:
        raise Infeasible(shortage(on, of, Workload(length, 1.0), known, Search()))
    return perf.step_table(of, made, made.decode, known), blocks, usual


def simulate(
    sent: Trace, table: StepTable, *, blocks: int, clients: int | None = None, **flags: Any
) -> Simulation:
    """Requests through the scheduler of an engine.

    A simulation holds no state outside its arguments: run it in a process of its own to be able
    to end it early.

    Parameters
    ----------
    sent : Trace
        The requests.
    table : StepTable
        Seconds of an iteration.
    blocks : int
        Usable blocks of KV cache.
    clients : int, optional
        Of a closed loop, in place of the arrivals.
    **flags
        As in serving.simulate.
    """
    arrival, told = _told(sent, clients)
    return serving.simulate(table, arrival, sent.isl, sent.osl, blocks=blocks, **{**told, **flags})


def simulate_apart(
    sent: Trace,
    prefill: serving.Server,
    decode: serving.Server,
    *,
    clients: int | None = None,
    **flags: Any,
) -> Simulation:
    """Requests through engines that prefill and engines that decode.

    Parameters
    ----------
    sent, clients
        As in `simulate`.
    prefill, decode : Server
        Of either side: step time, cache, number of engines.
    **flags
        As in serving.simulate_apart.
    """
    arrival, told = _told(sent, clients)
    return serving.simulate_apart(prefill, decode, arrival, sent.isl, sent.osl, **{**told, **flags})


def _told(sent: Trace, clients: int | None) -> tuple[Array | None, dict[str, Any]]:
    """Arrivals, none in a closed loop, and which request follows which."""
    told: dict[str, Any] = {"concurrency": clients}
    if sent.follows is not None:
        told |= {"follows": sent.follows, "pause": sent.pause}
    return (sent.arrival if clients is None else None), told
