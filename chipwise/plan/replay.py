"""A benchmark's run as it was run: deployment and protocol → mean ttft and tpot.

The mean is over all requests, the first wave included, as the benchmarks report it: a steady
state alone misses half of the time to the first token.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from chipwise import perf
from chipwise.perf import engines
from chipwise.types import (
    Calibration,
    Chip,
    Deployment,
    Engine,
    Model,
    Protocol,
    Side,
    StepTable,
)

__all__ = ["Run", "replay"]

# Prompts that a client issues, and fewest in all: what the public benchmark scripts set.
_PROMPTS_PER_CLIENT = 10
_FEWEST_PROMPTS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One run of a closed loop: what was served, how, and under which protocol.

    `concurrency` clients of the whole deployment; degrees as in types.Side.
    """

    model: Model
    chip: Chip
    backend: str
    weights: str
    kv: str
    isl: int
    osl: int
    concurrency: int
    protocol: Protocol
    tp: int = 1
    pp: int = 1
    ep: int = 1
    dp: int = 1


def replay(run: Run, calibration: Calibration, seed: int = 0) -> tuple[float, float]:
    """Mean ttft and tpot that the run's client would report. [s]

    One data-parallel rank is simulated, with its share of the clients. NaN where the weights do
    not fit.
    """
    from chipwise.serving import closed  # noqa: PLC0415 -- compiled code, half a second to import

    rules = _with_flags(run, calibration)
    clients = max(run.concurrency // (run.dp * run.pp), 1)
    usual = engines.defaults(run.backend, run.chip)
    chunk = run.protocol.chunk or usual.chunk
    side = Side(run.chip, run.tp, run.pp, run.ep, run.dp, float(clients * run.dp))
    made = Deployment(side, run.weights, run.kv, run.backend, float(chunk))
    cache = _cache(run, made, rules)
    if cache <= run.isl:
        if not _holds(run, side):
            return float("nan"), float("nan")
        # It ran, so its engine was told to leave room for a request.
        cache = float(run.isl + run.osl)
    isl, osl = _lengths(run, clients, seed)
    habits = closed.Habits(
        closed.ENGINES[run.backend],
        chunk,
        cache,
        rules.engines[run.backend].values["growth"],
        run.protocol.most or usual.max_seqs,
        run.protocol.poll * rules.shapes["poll"] if run.protocol.poll > 1 else 1.0,
        run.protocol.wait,
    )
    table = _table(
        run.model,
        run.chip,
        (run.weights, run.kv, run.backend),
        (run.tp, run.pp, run.ep, run.dp),
        clients,
        calibration,
    )
    arrival, first, finish = closed.replay(table, isl, osl, clients, habits)
    kept = np.arange(len(isl)) >= (clients if run.protocol.steady else 0)
    after = np.maximum(osl - 1, 1)
    ttft, tpot = (first - arrival)[kept], ((finish - first) / after)[kept]
    return float(np.mean(ttft)), float(np.mean(tpot))


@lru_cache(maxsize=1024)
def _table(
    model: Model,
    chip: Chip,
    form: tuple[str, str, str],
    degrees: tuple[int, int, int, int],
    clients: int,
    calibration: Calibration,
) -> StepTable:
    """Seconds of an iteration; runs that differ in their lengths alone share them."""
    side = Side(chip, *degrees, float(clients * degrees[3]))
    return perf.step_table(model, Deployment(side, *form), side, calibration)


def _with_flags(run: Run, calibration: Calibration) -> Calibration:
    """The calibration with the run's own share of memory, where its flags name one."""
    if run.protocol.utilisation is None:
        return calibration
    values = calibration.engines[run.backend].values
    own = Engine({**values, "utilisation": run.protocol.utilisation})
    return replace(calibration, engines={**calibration.engines, run.backend: own})


def _cache(run: Run, made: Deployment, calibration: Calibration) -> float:
    """Tokens that the cache of one rank has room for. [token]"""
    length = float(run.isl + run.osl)
    return float(perf.kv_blocks(run.model, made, made.decode, calibration, length, 1))


def _holds(run: Run, side: Side) -> bool:
    """Whether the weights fit the chips at all, whatever the engine keeps back by default."""
    weights = float(np.asarray(perf.weight_bytes(run.model, run.weights, side)))
    return run.chip.memory is None or weights < run.chip.memory


def _lengths(run: Run, clients: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Prompts and outputs as the client draws them."""
    count = max(_PROMPTS_PER_CLIENT * clients, _FEWEST_PROMPTS)
    drawn = np.random.default_rng(seed).uniform(run.protocol.low, run.protocol.high, (2, count))
    isl, osl = np.maximum(np.floor(drawn * np.array([[run.isl], [run.osl]])), 1).astype(np.int64)
    return isl, osl
