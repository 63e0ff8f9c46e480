"""Runs that published tables report: a rate, or one time, of a deployment half told.

Such tables seldom say which degrees or batch were used; what they leave open is chosen as their
authors would: the legal choice that yields most within the limits that the run had to keep. How a
run was loaded decides what is asked of the model of speed:

- ``steady``: an endless supply of requests, or so many clients, in the closed form;
- ``static``: one batch without a server in front of it;
- ``burst``: so many requests sent at once and no more, replayed, with the tail at its end;
- ``loop``: clients that each issue their next request when the former is done, replayed;
- ``prefill``, ``decode``: one phase of a deployment whose other phase runs elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from chipwise import perf
from chipwise.errors import Infeasible
from chipwise.perf import Load, engines
from chipwise.perf.memory import footprint, kv_bytes, room
from chipwise.plan import space
from chipwise.plan.space import Search
from chipwise.types import (
    Array,
    Calibration,
    Chip,
    Deployment,
    Engine,
    Model,
    Side,
    StepTable,
    Workload,
)

__all__ = ["EXPONENTIAL", "LOADS", "Offline", "Outcome", "offline"]

# E[L²]/E[L]² of an exponential length L.
EXPONENTIAL = 2.0
LOADS = ("steady", "static", "burst", "loop", "prefill", "decode")

# Sequences in flight of runs that were tuned for rate alone: no engine's default bounds them.
_MOST = 4096
# Prompts that a client of a closed loop issues.
_PROMPTS_PER_CLIENT = 10
# Conversations of the public benchmarks are cut at this many tokens.
_LONGEST = 2048
_STAGES = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True, eq=False)
class Offline:
    """One such run.

    `chips` of the system; `tp`, `pp`, `ep`, `dp` where they are told; `clients` in flight over
    the system, None for as many as fit; `how` it was loaded, one of LOADS; `most` sequences that
    the engine was told to run; `uneven`: E[L²]/E[L]² of the outputs' lengths L, 1 of lengths all
    alike, 2 of an exponential's; `compiled`: the whole model is one graph, whose kernels no host
    launches; `eager`: even decoding steps are launched kernel by kernel; `by_tensor`: fp8 weights
    have one scale each, as TensorRT-LLM's own checkpoints do, where others scale them by blocks;
    `drafted` and `accepted` tokens of a sequence in each step, where tokens were guessed ahead;
    `load` with the limits, if any, that the mean request had to keep.
    """

    model: Model
    chip: Chip
    backend: str
    weights: str
    kv: str
    chips: int
    load: Workload
    clients: float | None = None
    how: str = "steady"
    tp: int | None = None
    pp: int | None = None
    ep: int | None = None
    dp: int | None = None
    chunk: float | None = None
    most: int | None = None
    uneven: float = 1.0
    compiled: bool = False
    eager: bool = False
    by_tensor: bool = False
    drafted: float = 1.0
    accepted: float = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Tokens each second of the whole system, ttft, tpot [s], and the degrees that were chosen.

    The rate counts output tokens; of a ``prefill`` run, the prompts'.
    """

    rate: float
    ttft: float
    tpot: float
    degrees: tuple[int, int, int, int]
    batch: float


def offline(run: Offline, calibration: Calibration) -> Outcome:
    """What a run reports.

    Raises
    ------
    Infeasible
        If no legal deployment holds the model and a request, or keeps the limits.
    """
    calibration = _engine(run, calibration)
    made, limit = _deployments(run, calibration)
    if run.how == "prefill":
        return _prefill(run, made, calibration)
    if run.how == "decode":
        return _decode(run, made, limit, calibration)
    best = _best(run, made, limit, calibration)
    if run.how in ("burst", "loop"):
        return _replayed(run, best, calibration)
    return best


def _engine(run: Offline, calibration: Calibration) -> Calibration:
    """The engine and its kernels as the run had them.

    Without a server in front, without a host that launches, with experts scaled by tensor.
    """
    if run.by_tensor:
        calibration = _by_tensor(calibration)
    values = dict(calibration.engines[run.backend].values)
    if run.how in ("static", "prefill", "decode"):
        values |= {"request": 0.0, "request_token": 0.0}
    if run.compiled:
        values["launch"] = 0.0
    if run.eager:
        values["layer"] = values["launch"]
    return replace(calibration, engines={**calibration.engines, run.backend: Engine(values)})


@lru_cache(maxsize=64)
def _by_tensor(calibration: Calibration) -> Calibration:
    """The same where fp8 experts have one scale a weight: their kernels reach more arithmetic."""
    by = calibration.shapes["expert_by_tensor"]
    operators = {
        key: replace(e, compute=e.compute * by) if key[:2] == ("experts", "fp8") else e
        for key, e in calibration.operators.items()
    }
    return replace(calibration, operators=operators)


@lru_cache(maxsize=4096)
def _degrees(
    chip: Chip, model: Model, search: Search, chips: int
) -> tuple[tuple[int, int, int, int], ...]:
    found = set(space.degrees(chip, model, search))
    return tuple(sorted(d for d in found if chips % (d[0] * d[1] * d[3]) == 0))


def _told(run: Offline) -> tuple[int, int, int, int] | None:
    """Degrees that a run tells in full, be they over one server or many."""
    if run.tp is None or run.dp is None or run.ep is None:
        return None
    return run.tp, run.pp or 1, run.ep, run.dp


def _deployments(run: Offline, calibration: Calibration) -> tuple[Deployment, Array]:
    """Every set of degrees that the run leaves open, and how many requests each holds."""
    told = _told(run)
    asked = {n: (getattr(run, n),) for n in ("tp", "pp", "ep", "dp") if getattr(run, n)}
    search = Search((run.weights,), run.kv, run.backend, run.chunk, run.chips, **asked)  # type: ignore[arg-type]
    any_legal = False
    # Pipelines are tried where nothing else holds the model.
    tries = [search.pp or (1,), *([] if run.pp else [(2,), (4,), (8,), (16,)])]
    for stages in tries:
        legal = (
            (told,)
            if told
            else _degrees(run.chip, run.model, replace(search, pp=stages), run.chips)
        )
        if not legal:
            continue
        any_legal = True
        made = _as_arrays(run, legal)
        limit = _limits(run, made, calibration)
        keep = limit >= 1.0
        if np.any(keep):
            chosen = tuple(d for d, k in zip(legal, keep, strict=True) if k)
            return _as_arrays(run, chosen), limit[keep]
        if told:
            break
    asking = ", ".join(f"{k} {v[0]}" for k, v in asked.items())
    where = f"{run.chips} {run.chip.name}" + (f" with {asking}" if asking else "")
    if not any_legal:
        raise Infeasible(f"{where}: no legal division of {run.model.id}")
    raise Infeasible(f"{run.model.id} in {run.weights} does not fit {where}")


def _as_arrays(run: Offline, found: tuple[tuple[int, int, int, int], ...]) -> Deployment:
    tp, pp, ep, dp = np.array(found, float).T
    chunk = run.chunk or float(engines.defaults(run.backend, run.chip).chunk)
    return Deployment(Side(run.chip, tp, pp, ep, dp, 1.0), run.weights, run.kv, run.backend, chunk)


def _limits(run: Offline, made: Deployment, calibration: Calibration) -> Array:
    """Requests that a replica of each set of degrees holds at once: by memory, and as told."""
    engine = calibration.engines[run.backend].values
    # A sequence holds its prompt and, while it runs, a part of its output that engines reserve.
    whole = run.load.isl + engine["growth"] * run.uneven * run.load.osl
    side = made.decode
    free = room(footprint(run.model, made, side, calibration, whole))
    held = np.floor(np.maximum(free, 0.0) / kv_bytes(run.model, run.kv, side, whole))
    # A rank group holds what its own cache does; with pp stages their share of every layer.
    limit: Array = np.minimum(held, run.most or _MOST) * np.asarray(side.dp)
    each: Array = np.broadcast_to(limit, np.shape(side.tp)).astype(np.float64)
    return each


def _copies(run: Offline, made: Deployment) -> Array:
    side = made.decode
    one = side.tp * np.asarray(side.pp) * np.asarray(side.dp)
    copies: Array = np.maximum(np.floor(run.chips / one), 1.0)
    return copies


@dataclass(frozen=True, slots=True, eq=False)
class _Times:
    """Requests each second of a replica, ttft and tpot, all ∿. [request/s], [s], [s]"""

    rate: Array
    ttft: Array
    tpot: Array


def _request(run: Offline, calibration: Calibration) -> float:
    engine = calibration.engines[run.backend].values
    return engine["request"] + engine["request_token"] * float(run.load.isl)


def _context(run: Offline) -> float:
    """Mean tokens of the sequences in flight, mid-way; long ones are met oftener. [token]"""
    return float(run.load.isl) + run.uneven * float(run.load.osl) / 2.0


def _decoding(run: Offline, made: Deployment, rank: Array, calibration: Calibration) -> Array:
    """Seconds of a step in which `rank` sequences of a rank group decode, mid-way."""
    load = Load(rank * run.drafted, _context(run), 0.0, 0.0, rank * run.drafted)
    return np.asarray(perf.step(run.model, made, made.decode, load, calibration)[0].total)


def _static(run: Offline, made: Deployment, batch: Array, calibration: Calibration) -> _Times:
    """All prompts in chunks, then all outputs together; pp parts follow one another."""
    side = made.decode
    isl, osl = float(run.load.isl), float(run.load.osl)
    rank = batch / (np.asarray(side.dp) * np.asarray(side.pp))
    tokens = np.maximum(batch / np.asarray(side.dp) * isl, 1.0)
    steps = np.ceil(tokens / made.chunk)
    each = tokens / steps
    load = Load(0.0, 0.0, each, isl / 2.0, np.minimum(rank, each))
    filling = np.asarray(perf.step(run.model, made, side, load, calibration)[0].total)
    decoding = _decoding(run, made, rank, calibration)
    cycles = (steps + side.pp - 1.0) / side.pp
    whole = cycles * filling + max(osl - 1.0, 0.0) / run.accepted * decoding
    request = _request(run, calibration)
    ttft = request + (1.0 + 1.0 / steps) / 2.0 * cycles * filling
    return _Times(batch / (request + whole), ttft, decoding / run.accepted)


def _steady(run: Offline, made: Deployment, batch: Array, calibration: Calibration) -> _Times:
    """A closed loop of `batch` clients in the mean over a long run.

    Every request brings isl tokens to prefill and osl steps to decode: engines that mix add the
    prompts to decoding steps as far as the budget allows, the others let decoding wait.
    """
    side, engine = made.decode, calibration.engines[run.backend].values
    isl, osl = float(run.load.isl), float(run.load.osl)
    rank = batch / (np.asarray(side.dp) * np.asarray(side.pp))
    mixes = engine["mixes"] > 0
    space_left = np.maximum(made.chunk - (rank if mixes else 0.0), 1.0)
    iterations = osl / run.accepted
    demand = rank * isl / iterations
    tokens = np.maximum(np.minimum(isl, space_left), np.minimum(demand, space_left))
    share, late = np.minimum(demand / tokens, 1.0), np.maximum(demand / space_left, 1.0)
    decoding = _decoding(run, made, rank, calibration)
    beside = rank * run.drafted if mixes else 0.0
    first = rank if mixes else np.minimum(rank, tokens)
    load = Load(beside, _context(run), tokens, isl / 2.0, first)
    filling = np.asarray(perf.step(run.model, made, side, load, calibration)[0].total)
    if mixes:
        between = ((1.0 - share) * decoding + share * filling) * late
    else:
        between = decoding + share * filling * late
    steps = np.ceil(isl / space_left)
    ttft = _request(run, calibration) + steps * filling + between / 2.0
    whole = ttft + max(iterations - 1.0, 0.0) * between
    rate = batch / whole
    if run.load.ttft is not None:
        rate = rate * _utilisation(filling * isl / tokens, float(run.load.ttft))
    return _Times(rate, ttft, between / run.accepted)


# Mean waits that the 99th percentile of an exponential wait is worth: −ln 0.01.
_TAIL = 4.6


def _utilisation(service: Array, limit: float) -> Array:
    """Share of its rate at which a queue keeps a limit on the time to the first token. [1]

    Prompts that come at random and take `service` seconds each wait u·service/(2(1 − u)) in the
    mean (M/D/1), and the tail's percentile several times that.
    """
    slack = np.maximum(limit - service, 1e-9) * 2.0 / (_TAIL * service)
    return slack / (1.0 + slack)


def _times(run: Offline, made: Deployment, batch: Array, calibration: Calibration) -> _Times:
    return (_static if run.how == "static" else _steady)(run, made, batch, calibration)


def _grid(limit: Array) -> Array:
    """Batches worth trying, from one to what each set of degrees holds, an eighth apart."""
    count = int(np.ceil(np.log(max(float(np.max(limit)), 2.0)) / np.log(1.125))) + 1
    batch: Array = limit[None, :] ** np.linspace(0.0, 1.0, count)[:, None]
    return batch


def _best(run: Offline, made: Deployment, limit: Array, calibration: Calibration) -> Outcome:
    """The degrees, and where the run leaves it open the batch, that yield most."""
    copies = _copies(run, made)
    if run.clients is not None:
        each = np.maximum(run.clients / copies, 1.0)
        # More clients than fit wait their turn; a static batch beyond is one after another.
        batch = np.minimum(each, limit)[None, :]
    else:
        batch = _grid(limit)
    found = _times(run, made, batch, calibration)
    rate = np.broadcast_to(found.rate * copies, batch.shape)
    ttft, tpot = (np.broadcast_to(x, batch.shape) for x in (found.ttft, found.tpot))
    keeps = (ttft <= (run.load.ttft or np.inf)) & (tpot <= (run.load.tpot or np.inf))
    if not np.any(keeps):
        # The table says that it kept its limits: what comes nearest is what it ran.
        keeps = np.ones_like(keeps) if run.clients is not None else batch == batch.min(axis=0)
    i, j = np.unravel_index(int(np.argmax(np.where(keeps, rate, -np.inf))), batch.shape)
    return _outcome(
        run,
        made,
        (float(rate[i, j]), float(ttft[i, j]), float(tpot[i, j])),
        int(j),
        float(batch[i, j]),
    )


def _outcome(
    run: Offline, made: Deployment, times: tuple[float, float, float], j: int, batch: float
) -> Outcome:
    side = made.decode
    tp, pp, ep, dp = (
        int(np.broadcast_to(x, np.shape(side.tp))[j]) for x in (side.tp, side.pp, side.ep, side.dp)
    )
    rate, ttft, tpot = times
    return Outcome(rate * float(run.load.osl), ttft, tpot, (tp, pp, ep, dp), batch)


def _prefill(run: Offline, made: Deployment, calibration: Calibration) -> Outcome:
    """Prompts alone: so many as are told, or as many as fill the budget of every rank.

    The rate is of prompt tokens. One prompt runs on one rank, so what is chosen for few is quick.
    """
    side, isl = made.decode, float(run.load.isl)
    ranks = np.asarray(side.dp) * _copies(run, made)
    least = np.maximum(made.chunk / isl, 1.0)
    prompts = least if run.clients is None else np.maximum(run.clients / ranks, 1.0)
    used = ranks if run.clients is None else np.minimum(ranks, run.clients)
    tokens = prompts * isl
    steps = np.ceil(tokens / made.chunk)
    load = Load(0.0, 0.0, tokens / steps, isl / 2.0, prompts)
    filling = np.asarray(perf.step(run.model, made, side, load, calibration)[0].total)
    whole = filling * (steps + side.pp - 1.0) / side.pp + _request(run, calibration)
    rate = np.broadcast_to(tokens * used / whole, np.shape(side.tp))
    j = int(np.argmax(rate))
    times = (0.0, float(np.broadcast_to(whole, rate.shape)[j]), 0.0)
    return replace(_outcome(run, made, times, j, float(run.clients or 0.0)), rate=float(rate[j]))


def _decode(run: Offline, made: Deployment, limit: Array, calibration: Calibration) -> Outcome:
    """Outputs alone: so many sequences in flight, or as many as fit and keep the limits."""
    side, copies = made.decode, _copies(run, made)
    if run.clients is not None:
        batch = np.minimum(run.clients / copies, limit)[None, :]
    else:
        batch = _grid(limit)
    rank = batch / (np.asarray(side.dp) * np.asarray(side.pp))
    tpot = np.broadcast_to(_decoding(run, made, rank, calibration) / run.accepted, batch.shape)
    keeps = tpot <= (run.load.tpot or np.inf)
    rate = batch / tpot * copies / float(run.load.osl)
    keeps = keeps if np.any(keeps) else batch == batch.min(axis=0)
    i, j = np.unravel_index(int(np.argmax(np.where(keeps, rate, -np.inf))), batch.shape)
    return _outcome(
        run, made, (float(rate[i, j]), 0.0, float(tpot[i, j])), int(j), float(batch[i, j])
    )


def _replayed(run: Offline, chosen: Outcome, calibration: Calibration) -> Outcome:
    """The run as it was run: so many prompts, all at once or as clients come back."""
    from chipwise.serving import closed  # noqa: PLC0415 -- compiled code, half a second to import

    tp, pp, ep, dp = chosen.degrees
    ranks = max(run.chips // (tp * pp * dp), 1) * dp * pp
    clients = max(round((run.clients or 1.0) / ranks), 1)
    prompts = clients * (1 if run.how == "burst" else _PROMPTS_PER_CLIENT)
    side = Side(run.chip, tp, pp, ep, dp, float(clients * dp))
    made = replace(_as_arrays(run, (chosen.degrees,)), decode=side)
    isl, osl = _lengths(run, prompts)
    told = float(osl.sum())
    # A sequence that takes several tokens a step is done after so many fewer steps.
    osl = np.maximum(np.round(osl / run.accepted), 1).astype(np.int64)
    engine = calibration.engines[run.backend].values
    length = float(isl.mean() + osl.mean())
    cache = perf.kv_blocks(run.model, made, side, calibration, length, 1)
    most = run.most or engines.defaults(run.backend, run.chip).max_seqs
    habits = closed.Habits(
        closed.ENGINES[run.backend],
        int(made.chunk),
        float(max(cache, isl.max() + osl.max())),
        engine["growth"],
        most,
    )
    table = _guessing(perf.step_table(run.model, made, side, calibration), clients, run.drafted)
    arrival, first, finish = closed.replay(table, isl, osl, clients, habits)
    after = np.maximum(osl - 1, 1) * run.accepted
    ttft, tpot = first - arrival, (finish - first) / after
    rate = told * ranks / float(finish.max())
    middle = np.mean if run.how == "burst" else np.median
    return Outcome(rate, float(middle(ttft)), float(middle(tpot)), chosen.degrees, float(clients))


def _guessing(table: StepTable, clients: int, drafted: float) -> StepTable:
    """The table with what checking several tokens of each sequence costs, at so many of them."""
    few, many = np.interp([clients, clients * drafted], table.tokens, table.seconds)
    return replace(table, decode=table.decode + (many - few) / clients)


def _lengths(run: Offline, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Prompts and outputs: of random data sets all alike, of conversations with a long tail."""
    isl, osl = float(run.load.isl), float(run.load.osl)
    if run.uneven == 1.0:
        return (np.full(count, max(round(isl), 1)), np.full(count, max(round(osl), 1)))
    # Quantiles of an exponential, in an order drawn once: means hold for any count.
    at = -np.log1p(-(np.arange(count) + 0.5) / count)
    random = np.random.default_rng(0)
    made = [np.minimum(random.permutation(at) * mean, _LONGEST) for mean in (isl, osl)]
    return tuple(np.maximum(np.round(x), 1).astype(np.int64) for x in made)  # type: ignore[return-value]
