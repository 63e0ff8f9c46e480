"""Names → objects → answer: what the command line, the page and notebooks call.

Every verb takes names or objects, and returns the types of `chipwise.types`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chipwise import catalog, cost, perf, policy, serving
from chipwise import plan as planning
from chipwise.catalog import stacks, traces
from chipwise.catalog.claims import Claim, ClaimRun, ClaimStatus, read_claims
from chipwise.catalog.claims import claims as article
from chipwise.catalog.columns import read_lengths
from chipwise.catalog.training import network, training_calibration
from chipwise.claims import Judged, judge
from chipwise.errors import BadInput, Infeasible, UnknownName
from chipwise.perf import engines
from chipwise.perf.formats import (
    KV_WIDTH,
    WEIGHT_WIDTH,
    activation_format,
    compute_format,
    role_format,
)
from chipwise.perf.training import OVERLAPS, PRECISIONS, Layout, Training
from chipwise.perf.training_memory import training_total
from chipwise.plan import Search, Terms
from chipwise.plan.candidates import check_rates, shortage
from chipwise.plan.frontier import Frontier, Process
from chipwise.plan.frontier import frontier as find_frontier
from chipwise.plan.training import (
    Layouts,
    TrainingAnswer,
    TrainingTerms,
    answer_training,
    check_layout,
    default_stack,
    describe_layout,
    search_training,
)
from chipwise.plan.training_mix import MixedAnswer, counts, mixed_training
from chipwise.policy.question import FIRST_DAY
from chipwise.types import (
    Array,
    Chip,
    Deployment,
    Fact,
    Model,
    Money,
    Numeric,
    Plan,
    PlanRow,
    Rule,
    Side,
    Simulation,
    StatusPeriod,
    StepTable,
    Trace,
    Verdict,
    Workload,
)
from chipwise.units import show, to_base

if TYPE_CHECKING:
    from chipwise.fleet import Problem, Study

__all__ = [
    "LOADS",
    "Ask",
    "chip",
    "claims",
    "deployment",
    "engine",
    "estimate",
    "fleet",
    "fleet_problem",
    "frontier",
    "kv_format",
    "model",
    "plan",
    "requests",
    "simulate",
    "simulate_apart",
    "terms",
    "timeline",
    "train",
    "train_each",
    "train_mixed",
    "verdict",
    "workload",
]

# Usual loads with the targets that their users hold an engine to; lengths are means. The
# lengths of chat and code are those of the Azure 2023 conversation and code traces.
LOADS: Mapping[str, Mapping[str, float]] = {
    "chat": {"isl": 1155, "osl": 211, "ttft": 1.0, "tpot": 0.05},
    "code": {"isl": 2048, "osl": 28, "ttft": 0.5, "tpot": 0.05},
    "retrieval": {"isl": 8192, "osl": 512, "ttft": 3.0, "tpot": 0.05},
    "reasoning": {"isl": 1024, "osl": 8192, "ttft": 3.0, "tpot": 0.03},
    "agent": {"isl": 16384, "osl": 512, "ttft": 3.0, "tpot": 0.04},
    "batch": {"isl": 2048, "osl": 512},
}
_LONGEST = 10_000_000
_LAYOUT = ("tp", "pp", "cp", "ep", "dp", "interleave", "micro", "shard", "recompute", "reach")


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """Money, law and place under which a question is asked.

    `cost` is ``own`` or ``rent``; `prices` override, chip → USD per chip and hour; `region` of
    the electricity; `to`, `route`, `on`, `origin`, `end_user` and `include` of the law, as in
    `policy.check`; None stands for the catalog's own date and the vendor's country.
    """

    cost: str = "own"
    prices: Mapping[str, float] = field(default_factory=dict)
    region: str = "US"
    to: str = "CN"
    route: str = "sale"
    on: date | None = None
    origin: str | None = None
    end_user: str = "private"
    include: tuple[str, ...] = ()
    gpus: int | None = None
    simulate: bool = True
    calibration: str = "general"
    seed: int = 0


def chip(name: str | Chip) -> Chip:
    """Chip of the catalog by id, short name or alias, or of a TOML file."""
    return name if isinstance(name, Chip) else catalog.chip(name)


def model(name: str | Model) -> Model:
    """Model of the catalog by name, or of a config.json."""
    return name if isinstance(name, Model) else catalog.model(name)


def verdict(of: Chip, ask: Ask) -> Verdict:
    """Whether a chip may take the route asked for, by the rules in force."""
    return policy.check(of, catalog.rules(), on=ask.on or catalog.as_of(), **_question(ask))


def _question(ask: Ask) -> dict[str, Any]:
    """What is asked of the rules, but for the day."""
    return {name: getattr(ask, name) for name in ("to", "route", "origin", "end_user", "include")}


def timeline(of: str | Chip, ask: Ask, *, since: date = FIRST_DAY) -> tuple[StatusPeriod, ...]:
    """A chip's statuses from a day on until that of the question.

    Parameters
    ----------
    of : str or Chip
        Whose.
    ask : Ask
        Law; its day is the last one.
    since : date
        The first day; that from which the catalog has rules unless given.
    """
    until = ask.on or catalog.as_of()
    rules = catalog.rules()
    return policy.timeline(chip(of), rules, since=since, until=until, **_question(ask))


def terms(chips: Sequence[Chip], ask: Ask) -> Terms:
    """What the catalog says on money, law and calibration for these chips."""
    if ask.cost not in ("own", "rent"):
        raise BadInput(f"cost is {ask.cost!r}; it is own or rent")
    if ask.gpus is not None and ask.gpus < 1:
        raise BadInput(f"gpus is {ask.gpus}; it must be at least 1")
    economics = catalog.economics()
    given = {chip(name).id: usd for name, usd in ask.prices.items()}
    wrong = [f"{name} = {usd:g}" for name, usd in given.items() if not 0 < usd < np.inf]
    if wrong:
        raise BadInput(f"price {wrong[0]}; it must be a positive number of USD per chip and hour")
    return Terms(
        catalog.calibration(ask.calibration),
        _hourly(chips, ask, given, economics),
        {c.id: verdict(c, ask) for c in chips},
        _carbon(economics, ask.region),
        ask.gpus,
        ask.simulate,
        ask.seed,
        ask.cost,
    )


def _hourly(
    chips: Sequence[Chip], ask: Ask, given: Mapping[str, float], economics: Mapping[str, Fact]
) -> Callable[[Chip, float], Money | None]:
    """Cost of a chip and hour at a draw, by the basis asked for."""
    on = ask.on or catalog.as_of()
    kind = "purchase" if ask.cost == "own" else "on_demand"
    found = {c.id: catalog.price(c.id, kind, on) for c in chips}
    wall = _wall(economics)

    def hourly(of: Chip, watts: float) -> Money | None:
        if of.id in given:
            return Money(given[of.id], given[of.id], given[of.id])
        price = found.get(of.id)
        if price is None:
            return None
        if ask.cost == "rent":
            return cost.rent(price)
        return cost.own(price, watts * wall, economics, region=ask.region)

    return hourly


def _wall(economics: Mapping[str, Fact]) -> float:
    """What a server and its share of the network draw for each watt of its chips. [1]"""
    return float(economics["server.power"].value or 0.0) * (
        1.0 + float(economics["network.power"].value or 0.0)
    )


def _carbon(economics: Mapping[str, Fact], region: str) -> float | None:
    """Grams of CO2 for a joule at the chip, server, network and building included.

    None where the region's grid is not known.
    """
    pue = economics.get(f"pue.{region}", economics["pue.default"])
    drawn = _wall(economics) * float(pue.value or 0.0)
    grams = cost.carbon(drawn, economics.get(f"carbon.{region}"))
    return None if grams is None else float(np.asarray(grams))


def _lengths(isl: float, osl: float) -> None:
    for name, value in (("isl", isl), ("osl", osl)):
        if not 1 <= value <= _LONGEST or value != int(value):
            raise BadInput(
                f"{name} is {value:g}; it must be a whole number of 1 to {_LONGEST:,} tokens"
            )


def _format(name: str, value: str | None, known: Iterable[str]) -> None:
    if value is not None and value not in known:
        raise BadInput(f"unknown {name} format {value!r}; known are {', '.join(known)}")


def _positive(**values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not 0 < value < np.inf:
            raise BadInput(f"{name} is {value:g}; it must be a positive number")


def workload(
    isl: float | None = None,
    osl: float | None = None,
    *,
    load: str | None = None,
    rate: float | None = None,
    ttft: float | None = None,
    tpot: float | None = None,
    percentile: float = 99.0,
    prefix_hit: float = 0.0,
) -> Workload:
    """A load with its target, from numbers or from a preset of `LOADS`; what is given wins."""
    if load is not None and load not in LOADS:
        raise BadInput(f"unknown load {load!r}; known are {', '.join(LOADS)}")
    preset = LOADS[load] if load else {}
    isl = preset.get("isl") if isl is None else isl
    osl = preset.get("osl") if osl is None else osl
    if isl is None or osl is None:
        raise BadInput(f"isl and osl are missing; give both, or a load of {', '.join(LOADS)}")
    _lengths(isl, osl)
    ttft = preset.get("ttft") if ttft is None else ttft
    tpot = preset.get("tpot") if tpot is None else tpot
    _positive(rate=rate, ttft=ttft, tpot=tpot)
    if not 0 < percentile < 100:
        raise BadInput(f"percentile is {percentile:g}; it must lie between 0 and 100")
    if not 0 <= prefix_hit < 1:
        raise BadInput(f"prefix_hit is {prefix_hit:g}; it must be a share from 0 to below 1")
    return Workload(float(isl), float(osl), rate, ttft, tpot, percentile, prefix_hit)


def _whole(**values: Numeric) -> None:
    for name, value in values.items():
        if not value >= 1 or value != int(value):
            raise BadInput(f"{name} is {value:g}; it must be a whole number of at least 1")


def _divides(of: Model, side: Side) -> None:
    """Refuse degrees over which the model cannot be divided, and say which could."""
    _whole(tp=side.tp, pp=side.pp, ep=side.ep, dp=side.dp)
    heads = [int(b.dims["heads"]) for b in of.layers if "heads" in b.dims]
    if any(h % int(side.tp) for h in heads):
        legal = [d for d in range(1, 129) if all(h % d == 0 for h in heads)]
        raise BadInput(
            f"tp {side.tp:g} does not divide the {heads[0]} attention heads of {of.id}; "
            f"tp can be {', '.join(map(str, legal))}"
        )
    if side.pp > of.depth:
        raise BadInput(f"pp {side.pp:g} is more than the {of.depth} layers of {of.id}")
    domain = perf.reach(side.chip)
    if side.tp * np.asarray(side.dp) > domain:
        raise BadInput(
            f"tp × dp is {int(side.tp * np.asarray(side.dp))}; a layer can be divided over "
            f"{domain} of {side.chip.name} at most"
        )
    experts = max((int(b.dims["experts"]) for b in of.layers if b.kind == "moe"), default=0)
    ranks = int(side.tp * np.asarray(side.dp))
    if side.ep > 1 and (not experts or experts % int(side.ep) or ranks % int(side.ep)):
        raise BadInput(
            f"ep {side.ep:g} does not divide the {experts} experts of {of.id} and the {ranks} "
            "ranks (tp × dp) that share them"
        )


def deployment(
    of: Model,
    on: Chip,
    *,
    tp: int = 1,
    pp: int = 1,
    ep: int = 1,
    dp: int = 1,
    batch: float = 1,
    weights: str | None = None,
    kv: str = "auto",
    backend: str = "vllm",
    chunk: float | None = None,
) -> Deployment:
    """One deployment of both phases on the same chips, checked against model, chip and engine.

    Raises
    ------
    BadInput
        If a format, engine or degree is unknown or impossible; says what would be possible.
    Infeasible
        If the chip publishes no rate to compute from.
    """
    check_rates(on)
    defaults = engines.defaults(backend, on)
    weights = of.weights if weights is None else weights
    kv = activation_format(weights) if kv == "auto" else kv_format(kv)
    _format("weight", weights, WEIGHT_WIDTH)
    sparse = any(b.kind == "moe" for b in of.layers)
    for role in ("attention", "experts", "head"):
        compute_format(role_format(weights, role, sparse=sparse), on)
    _whole(batch=batch)
    _positive(chunk=chunk)
    side = Side(on, tp, pp, ep, dp, float(batch))
    _divides(of, side)
    return Deployment(side, weights, kv, backend, chunk or float(defaults.chunk))


def kv_format(kv: str) -> str:
    """Format of the cache: the engine's own ``auto`` keeps the activations', bf16."""
    if kv == "auto":
        return "bf16"
    _format("kv", kv, KV_WIDTH)
    return kv


def estimate(
    of: str | Model,
    on: str | Chip,
    load: Workload,
    *,
    batch: int | str | None = None,
    concurrency: int | None = None,
    ask: Ask | None = None,
    **degrees: Any,
) -> PlanRow:
    """One deployment under one load: a static batch, or a closed loop of clients.

    Parameters
    ----------
    of, on : str, Model or Chip
        What is served, and where.
    load : Workload
        Lengths.
    batch : int or ``"max"``
        Sequences of one static batch; ``max`` is what the engine's memory rule lets in.
    concurrency : int
        Clients of a closed loop, instead of a batch.
    ask : Ask, optional
        Money, law, place.
    **degrees
        tp, pp, ep, dp, weights, kv, backend, chunk as in `deployment`.

    Returns
    -------
    PlanRow
        With intervals.

    Raises
    ------
    BadInput
        If something is unknown or impossible.
    Infeasible
        If it does not fit; says how many GB are missing and how many chips would hold it.
    """
    ask = ask or Ask()
    of, on = model(of), chip(on)
    if (batch is None) == (concurrency is None):
        raise BadInput("give either a batch (a number or max) or a concurrency")
    known = terms([on], ask)
    made = deployment(of, on, **degrees)
    loop = "static" if concurrency is None else "closed"
    compute = partial(perf.estimate, of, load, calibration=known.calibration, loop=loop)
    if batch == "max":
        limit = float(np.asarray(compute(made).batch_limit))
        size = max(limit, 1.0)
    elif isinstance(batch, str):
        raise BadInput(f"batch is {batch!r}; it is a whole number of at least 1, or max")
    else:
        size = float(batch if batch is not None else concurrency or 0)
        _whole(batch=size)
    made = replace(made, decode=replace(made.decode, batch=size))
    one = compute(made)
    if not np.all(one.fits):
        raise Infeasible(_too_large(of, on, load, made, float(np.asarray(one.batch_limit)), known))
    told = False
    if loop == "closed":
        one, told = planning.corrected(made, one, of, load, known.calibration)
    return planning.priced(made, one, {}, of, load, known, corrected=told)


def _too_large(
    of: Model, on: Chip, load: Workload, made: Deployment, limit: float, known: Terms
) -> str:
    """Why a batch does not fit: the model itself, or only so many sequences."""
    if limit >= 1:
        return (
            f"batch {made.decode.batch:g} does not fit: {planning.describe(made)} holds "
            f"{limit:g} sequences of {load.isl:g} + {load.osl:g} tokens"
        )
    choice = Search((made.weights,), made.kv, made.backend, float(np.max(made.chunk)))
    return shortage(on, of, load, known.calibration, choice)


def plan(
    of: str | Model,
    chips: Sequence[str | Chip],
    load: Workload,
    *,
    mode: str = "both",
    weights: Sequence[str] = (),
    kv: str = "auto",
    backend: str = "vllm",
    chunk: float | None = None,
    degrees: Mapping[str, Sequence[int]] | None = None,
    link: float | None = None,
    ask: Ask | None = None,
    map: Callable[..., Iterable[Any]] = map,
) -> Plan:
    """The best deployment of a model on each of some chips that keeps a target.

    Parameters
    ----------
    of, chips : str, Model or Chip
        What is served; where it may run.
    load : Workload
        Lengths, rate, target.
    mode : str
        ``agg``, ``disagg`` (prefill and decode apart) or ``both``.
    weights : sequence of str
        Weight formats to try; without, the maker's own and those that a chip computes.
    kv, backend, chunk : str, str, float
        Cache format, engine, token budget (by default the engine's own).
    degrees : mapping
        tp, pp, ep, dp → degrees to try.
    link : float
        Rate that carries KV from prefill to decode, per chip and direction. [byte/s]
    ask : Ask, optional
        Money, law, place, number of chips, whether to simulate.
    map : callable
        Like the built-in, for running chips side by side.

    Returns
    -------
    Plan
        A row for each chip; an infeasible one says which limit binds, by how much.
    """
    ask = ask or Ask()
    of, found = model(of), [chip(c) for c in chips]
    if not found:
        raise BadInput("no chips to plan for; name at least one")
    if mode not in ("agg", "disagg", "both"):
        raise BadInput(f"mode is {mode!r}; it is agg, disagg or both")
    for name in weights:
        _format("weight", name, WEIGHT_WIDTH)
    if backend not in engines.BACKENDS:
        raise BadInput(f"unknown backend {backend!r}; known are {', '.join(engines.BACKENDS)}")
    _positive(chunk=chunk, link=link)
    tried = {name: tuple(values) for name, values in (degrees or {}).items()}
    for name, values in tried.items():
        for value in values:
            _whole(**{name: value})
    choice = Search(tuple(weights), kv_format(kv), backend, chunk, link=link)
    named: dict[str, Any] = {name: values for name, values in tried.items() if values}
    choice = replace(choice, **named)
    if ask.gpus is not None:
        choice = replace(choice, chips=min(choice.chips, ask.gpus))
    unique = list({c.id: c for c in found}.values())
    known = terms(unique, ask)
    return planning.search(unique, of, load, known, choice=choice, mode=mode, map=map)


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
    _whole(count=count, turns=turns)
    _positive(rate=rate, burstiness=burstiness)
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
    _lengths(isl, osl)
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


def train(
    of: str | Model,
    on: str | Chip,
    chips: int,
    *,
    seq: float,
    batch: float,
    precision: str = "bf16",
    tokens: float | None = None,
    layout: Mapping[str, Any] | None = None,
    rank: float = 0.0,
    frozen: float = 0.0,
    stack: str | None = None,
    link: float | None = None,
    mtbf: float | None = None,
    checkpoint: float | None = None,
    overlap: Mapping[str, float] | None = None,
    ask: Ask | None = None,
) -> TrainingAnswer:
    """How long a training step takes on so many chips, in the best legal layout, and a whole run.

    Parameters
    ----------
    of, on : str, Model or Chip
        What is trained, on what.
    chips : int
        Chips. [1]
    seq, batch : float
        Tokens of a sequence [token], sequences of a step over all chips [1].
    precision : str
        bf16, fp16, fp8, mxfp8 or nvfp4.
    tokens : float, optional
        Budget of the run; without, the step alone. [token]
    layout : mapping, optional
        Degrees that are fixed: tp, pp, cp, ep, dp, interleave, micro, shard, recompute, and reach.
        With tp, pp and dp all of them are taken as given, and checked.
    rank, frozen : float
        Rank of LoRA's adapters (its base is frozen); share of the weights without a gradient.
    stack : str, optional
        Software, such as megatron-26.06; by default the vendor's usual one, newest.
    link : float, optional
        Rate beyond the scale-up domain, per chip and direction. [byte/s]
    mtbf, checkpoint : float, optional
        Mean time between failures of one chip, and how long a checkpoint stops the run. [s]
    overlap : mapping, optional
        Shares of transfers that hide behind arithmetic (tensor, context, expert, gather,
        exchange, send), in place of the fitted ones.
    ask : Ask, optional
        Money and place.

    Raises
    ------
    BadInput
        If something is unknown or impossible; names the nearest choice that is not.
    Infeasible
        If nothing fits; says by how much, and how many chips would hold it.
    """
    ask = ask or Ask()
    of, on = model(of), chip(on)
    _positive(tokens=tokens, link=link, mtbf=mtbf, checkpoint=checkpoint)
    if not 0 <= frozen <= 1:
        raise BadInput(f"frozen is {frozen:g}; it must be a share from 0 to 1")
    training = Training(of, seq, batch, precision, 1.0 if rank else frozen, rank)
    _shares(overlap or {})
    known = replace(
        _training_terms([on], ask, tokens, mtbf, checkpoint), overlap=overlap or {},
        stack=stack or default_stack(on), network=link or network(on),
    )  # fmt: skip
    fixed = dict(layout or {})
    for name in fixed:
        if name not in _LAYOUT:
            raise UnknownName("degree", name, _LAYOUT)
    if {"tp", "pp", "dp"} <= set(fixed):
        made = Layout(on, **fixed, link=known.network)
        check_layout(training, made, chips)
        found = answer_training(training, made, chips, known)
        total = float(np.asarray(training_total(found.memory)))
        if total > found.memory.capacity:
            missing = show(total - found.memory.capacity, "GB")
            raise Infeasible(
                f"{of.id} with {describe_layout(made)} needs {show(total, 'GB', 4)} of a chip, "
                f"{missing} more than {on.name} has; leave the degrees out to search for others"
            )
        return found
    single: dict[str, Any] = {k: (v,) for k, v in fixed.items() if k not in ("dp", "reach")}
    single |= {k: v for k, v in fixed.items() if k == "reach"}
    return search_training(training, on, chips, known, Layouts(**single))


def _shares(overlap: Mapping[str, float]) -> None:
    for name, share in overlap.items():
        if name not in OVERLAPS:
            raise UnknownName("transfer", name, OVERLAPS)
        if not 0 <= share <= 1:
            raise BadInput(f"overlap of {name} is {share:g}; it must be a share from 0 to 1")


def _training_terms(
    on: Sequence[Chip],
    ask: Ask,
    tokens: float | None,
    mtbf: float | None,
    checkpoint: float | None,
) -> TrainingTerms:
    """Calibration, money, grid and failures of a training; stack and network of the first chip."""
    economics = catalog.economics()
    pue = economics.get(f"pue.{ask.region}", economics["pue.default"])
    common = terms(on, ask)
    made = TrainingTerms(
        training_calibration(),
        default_stack(on[0]),
        network(on[0]),
        tokens,
        common.hourly,
        common.carbon,
        _wall(economics) * float(pue.value or 1.0),
    )
    return replace(made, mtbf=mtbf or made.mtbf, checkpoint=checkpoint or made.checkpoint)


def train_each(
    of: str | Model, on: Sequence[str | Chip], chips: int, *, precision: str = "bf16", **asked: Any
) -> tuple[tuple[Chip, TrainingAnswer | str], ...]:
    """The same training on as many chips of each of several kinds, to compare them.

    A kind that lacks the precision trains in bf16, and says so; one that cannot hold the model has
    the reason in place of an answer.

    Parameters
    ----------
    of : str or Model
        What is trained.
    on : sequence of str or Chip
        Kinds of chips.
    chips : int
        Chips of each kind. [1]
    precision : str
        As for `train`.
    **asked
        As for `train`, alike for all kinds.

    Raises
    ------
    Infeasible
        If none of them can: why each cannot.
    """
    rows: list[tuple[Chip, TrainingAnswer | str]] = []
    for kind in (chip(each) for each in on):
        lacks = PRECISIONS.get(precision, "bf16") not in ("bf16", "fp16", *kind.flops)
        used = "bf16" if lacks else precision
        try:
            found = train(of, kind, chips, precision=used, **asked)
        except Infeasible as error:
            rows.append((kind, str(error)))
            continue
        note = (f"it has no {precision} and trains in bf16",) if lacks else ()
        rows.append((kind, replace(found, notes=(*note, *found.notes))))
    if all(isinstance(found, str) for _, found in rows):
        raise Infeasible("; ".join(str(found) for _, found in rows))
    return tuple(rows)


def train_mixed(
    of: str | Model,
    shares: Mapping[str, float],
    chips: int,
    *,
    batch: float,
    tokens: float | None = None,
    **asked: Any,
) -> MixedAnswer:
    """The same for a fleet of several kinds: each kind trains its part of every batch.

    The batch is divided so that the kinds wait least for one another.

    Parameters
    ----------
    of : str or Model
        What is trained.
    shares : mapping
        Chip → share of the chips. [1]
    chips : int
        Chips in all. [1]
    batch : float
        Sequences of a step over all kinds. [1]
    tokens : float, optional
        Budget of the run. [token]
    **asked
        As for `train`, alike for all kinds.
    """
    if not shares or not all(0 < share < np.inf for share in shares.values()):
        raise BadInput("shares must be positive numbers, one for each kind of chip")
    _positive(tokens=tokens, **{name: asked.get(name) for name in ("mtbf", "checkpoint")})
    _whole(chips=chips, batch=batch)
    names = [chip(name) for name in shares]
    kinds = list(zip(names, counts(chips, list(shares.values())), strict=True))
    for kind, count in kinds:
        if count < 1:
            raise BadInput(f"a share of {kind.name} leaves it no chip of {chips}")
    known = _training_terms(
        [kind for kind, _ in kinds],
        asked.get("ask") or Ask(),
        tokens,
        asked.get("mtbf"),
        asked.get("checkpoint"),
    )

    def solve(kind: Chip, count: int, part: int) -> TrainingAnswer:
        return train(of, kind, count, batch=part, **asked)

    return mixed_training(kinds, int(batch), asked.get("precision", "bf16"), solve, known)


def fleet_problem(
    source: str | Path | Mapping[str, Any], *, calibration: str = "general"
) -> Problem:
    """A fleet plan as a TOML file (or its content) asks for it, with throughput and law.

    Parameters
    ----------
    source : str, Path or mapping
        The file; docs/fleet.md says what it holds.
    calibration : str
        By name.

    Raises
    ------
    BadInput
        If a value is not what it must be: file, key, what was expected.
    """
    from chipwise import fleet as room  # noqa: PLC0415 -- highspy is slow to import
    from chipwise.catalog.fleets import read_fleet  # noqa: PLC0415

    content = source if isinstance(source, Mapping) else read_fleet(Path(source))
    name = "fleet" if isinstance(source, Mapping) else str(source)
    made = room.with_rates(room.read(content, name), catalog.calibration(calibration))
    rules = catalog.rules()

    def status(of: Chip, to: str, route: str, on: date) -> str:
        return policy.check(of, rules, to=to, on=on, route=route).status

    return room.with_law(made, status)


def fleet(
    source: str | Path | Mapping[str, Any], *, calibration: str = "general", **asked: Any
) -> Study:
    """What to buy, rent and retire over the years, where and when; and what dependence costs.

    Parameters
    ----------
    source : str, Path or mapping
        A TOML file, or its content.
    calibration : str
        By name.
    **asked
        Fields of `chipwise.fleet.Asked`: cut_offs, curve, shares, regret, spares, rolling, within.

    Raises
    ------
    BadInput
        If a value is not what it must be.
    Infeasible
        If no plan keeps all limits: which conflict.
    """
    from chipwise import fleet as room  # noqa: PLC0415 -- highspy is slow to import

    made = fleet_problem(source, calibration=calibration)
    return room.answer(made, room.Asked(**asked))


# Chips shown beside those that are not made: the cut-down ones with their originals come first.
_BESIDE = ("nvidia-b200-sxm", "huawei-ascend-910c")


def frontier(
    rules: Sequence[str],
    of: str | Model,
    load: Workload,
    *,
    like: str | Chip = "h200-sxm",
    die_area: float | None = None,
    memory: str = "hbm3e",
    stack: int = 6,
    power: float | None = None,
    market: str = "datacenter",
    beside: Sequence[str | Chip] | None = None,
    weights: str | None = None,
    kv: str = "auto",
    backend: str = "vllm",
    ask: Ask | None = None,
) -> Frontier:
    """The fastest chips that could be made just inside a rule, beside the real ones.

    Parameters
    ----------
    rules : sequence of str
        Ids; all of them bind, and those with which one of them goes together.
    of : str or Model
        What is served.
    load : Workload
        Lengths; its tpot is a limit on the decoding.
    like : str or Chip
        A chip of the generation of which it is made.
    die_area : float, optional
        At most; that of `like` unless given. [m²]
    memory : str
        Kind of memory, of the catalog.
    stack : int
        Stacks of it, or devices of graphics memory.
    power : float, optional
        At most; that of `like` unless given. [W]
    market : str
        ``datacenter``, ``workstation`` or ``consumer``.
    beside : sequence of str or Chip, optional
        Real chips; those that were made for a rule and what they were cut from unless given.
    weights, kv, backend : str
        Formats and engine; fp8 where the chips have it unless given.
    ask : Ask, optional
        Destination and calibration.

    Raises
    ------
    BadInput
        If something is unknown, or the rule sets no figure.
    Infeasible
        If the model fits on no such chip.
    """
    ask, like, kind = ask or Ask(), chip(like), stacks.stack(memory)
    die_area, power = die_area or like.die_area, power or like.power
    if die_area is None or power is None:
        absent = "die_area" if die_area is None else "power"
        raise BadInput(f"the {absent} of {like.name} is not known; give one")
    every = [catalog.chip(name) for name in catalog.chip_ids()]
    cut = stacks.cut_down()
    shown = {*cut, *cut.values(), *_BESIDE}
    real = [c for c in every if c.id in shown] if beside is None else [chip(c) for c in beside]
    native = "fp8" if "fp8" in like.flops else "bf16"
    _format("weight", weights, WEIGHT_WIDTH)
    return find_frontier(
        _bound_rules(rules),
        model(of),
        load,
        Process(
            like,
            die_area,
            to_base(float(kind.rate.value or 0.0), kind.rate.unit),
            # Makers print GB and mean GiB.
            to_base(float(kind.size.value or 0.0), "GiB"),
            stack,
            power,
            memory,
            market,
        ),
        catalog=every,
        beside=real,
        calibration=catalog.calibration(ask.calibration),
        cut_down=cut,
        ceilings=stacks.ceilings(),
        weights=weights or native,
        kv=kv_format(kv),
        backend=backend,
        to=ask.to,
    )


def _bound_rules(names: Sequence[str]) -> list[Rule]:
    """Rules by id, with those that they go together with."""
    known = {rule.id: rule for rule in catalog.rules()}
    if wrong := next((name for name in names if name not in known), None):
        raise UnknownName("rule", wrong, known)
    together = dict.fromkeys(each for name in names for each in (name, *stacks.companions(name)))
    return [known[name] for name in together]


def claims(source: str | Path | None = None, *, ask: Ask | None = None) -> tuple[Judged, ...]:
    """Claims with their verdicts: those of the article, or of a file of one's own.

    Parameters
    ----------
    source : str or Path, optional
        A TOML file; docs/claims.md says what it holds.
    ask : Ask, optional
        Calibration.

    Raises
    ------
    BadFact
        If the file is not as it must be: file, claim, key, what was expected.
    """
    ask = ask or Ask()
    found: tuple[Claim, ...] = article() if source is None else read_claims(Path(source))

    def run(of: ClaimRun) -> PlanRow:
        form: dict[str, Any] = {"weights": of.weights, "kv": of.kv, "backend": of.backend}
        load = workload(of.isl, of.osl)
        return estimate(of.model, of.chip, load, batch=of.batch, tp=of.tp, ask=ask, **form)

    def law(of: ClaimStatus) -> Verdict:
        return verdict(chip(of.chip), Ask(to=of.to, route=of.route, on=of.on))

    return judge(found, estimate=run, verdict=law)
