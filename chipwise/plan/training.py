"""Every legal way to spread training over chips, the best of them, and what a whole run takes.

References
----------
.. [1] J. W. Young, "A first order approximation to the optimum checkpoint interval," CACM 17(9),
   1974, doi:10.1145/361147.361115.
.. [2] J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps,"
   FGCS 22(3), 2006, doi:10.1016/j.future.2004.11.016.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from chipwise.errors import BadInput, Infeasible
from chipwise.intervals import widen
from chipwise.perf.training import (
    RECOMPUTE,
    Layout,
    Training,
    TrainingStep,
    demand,
    factors,
    floor,
    peak,
    spend,
)
from chipwise.perf.training_memory import TrainingMemory, training_memory, training_total
from chipwise.types import Array, Calibration, Chip, Interval, Model, Money
from chipwise.units import from_base, show, to_base

__all__ = [
    "IDLE",
    "Layouts",
    "Run",
    "TrainingAnswer",
    "TrainingTerms",
    "answer_training",
    "check_layout",
    "default_stack",
    "describe_layout",
    "legal_layouts",
    "search_training",
    "training_basis",
    "training_run",
]

_MOST = 1_000_000
# Llama 3 405B on 16,384 H100: 419 unexpected interruptions in 54 days (arXiv:2407.21783, table 5).
_MTBF = 16_384 * to_base(54.0, "d") / 419
_DEGREES = ("tp", "pp", "cp", "ep", "dp", "interleave", "micro")
# Share of its power that a chip draws while it waits.
IDLE = 0.25


@dataclass(frozen=True, slots=True)
class Layouts:
    """What a search may choose from; empty means all that is legal."""

    tp: tuple[int, ...] = ()
    pp: tuple[int, ...] = ()
    cp: tuple[int, ...] = ()
    ep: tuple[int, ...] = ()
    micro: tuple[int, ...] = ()
    interleave: tuple[int, ...] = ()
    reach: float = math.inf
    shard: tuple[int, ...] = (1, 3)
    recompute: tuple[str, ...] = ("none", "selective", "full")


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A whole run. Times [s], energy [J], `carbon` [g]; None where a fact is unknown.

    `steps`; `ideal` without failures, `total` with them; `interval` between checkpoints and
    `goodput` the share of time that moves training on [1]_, [2]_; `failures` expected.
    """

    tokens: float
    steps: float
    ideal: float
    total: float
    interval: float
    goodput: float
    failures: float
    energy: float | None
    carbon: float | None
    usd: Money | None


@dataclass(frozen=True, slots=True, eq=False)
class TrainingTerms:
    """What a run is reckoned with.

    `hourly` makes USD of a chip and hour from its draw [W]; `carbon` g for a joule at the chip,
    the building's share included; `wall` watts drawn for one of a chip's [1]; `mtbf` of one chip
    [s]; `checkpoint` and `restart` take so long [s]; `tokens` of the run [token]. `network` is
    the rate beyond the scale-up domain [byte/s]; `overlap` shares of transfers that hide, stated.
    """

    calibration: Calibration
    stack: str
    network: float
    tokens: float | None = None
    hourly: Callable[[Chip, float], Money | None] | None = None
    carbon: float | None = None
    wall: float = 1.0
    mtbf: float = _MTBF
    checkpoint: float = 60.0
    restart: float = 600.0
    overlap: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingAnswer:
    """The best layout of a training on so many chips of one kind, and what it does.

    `step` [s], `rate` tokens of a chip [token/s], with their 90 % intervals; `front` holds the
    layouts that no other beats in both time and memory; `considered` counts the legal ones, `fit`
    those that memory lets in.
    """

    training: Training
    chip: Chip
    chips: int
    layout: Layout
    estimate: TrainingStep
    memory: TrainingMemory
    step: Interval
    rate: Interval
    mfu: Interval
    basis: str
    bound: str
    power: float | None
    run: Run | None
    front: tuple[tuple[Layout, float, float], ...] = ()
    considered: int = 1
    fit: int = 1
    notes: tuple[str, ...] = ()
    rests_on_unverified: tuple[str, ...] = field(default=())


def _heads(model: Model) -> list[int]:
    names = ("heads", "value_heads")
    return [int(b.dims[n]) for b in model.layers for n in names if n in b.dims]


def _experts(model: Model) -> int:
    return max((int(b.dims["experts"]) for b in model.layers if b.kind == "moe"), default=0)


def _divisors(number: int) -> list[int]:
    small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})


def _nearest(wanted: float, legal: Sequence[float]) -> str:
    """The legal values on either side of the wanted one."""
    below = [v for v in legal if v <= wanted]
    above = [v for v in legal if v >= wanted]
    sides = ([max(below)] if below else []) + ([min(above)] if above else [])
    return " or ".join(f"{v:g}" for v in dict.fromkeys(sides))


def _one(value: object) -> float:
    return float(np.asarray(value))


def _check_whole(layout: Layout, training: Training) -> None:
    values = {name: _one(getattr(layout, name)) for name in _DEGREES}
    values |= {"seq": _one(training.seq), "global batch": _one(training.batch)}
    for name, value in values.items():
        if not value >= 1 or value != int(value):
            raise BadInput(f"{name} is {value:g}; it must be a whole number of at least 1")


def check_layout(training: Training, layout: Layout, chips: int) -> None:
    """Refuse what cannot be laid out so, and say which choice beside it could.

    Raises
    ------
    BadInput
        For degrees that do not divide the model, the sequence, the batch or the chips.
    """
    _check_whole(layout, training)
    model = training.model
    tp, pp, cp, ep, dp = (int(_one(getattr(layout, n))) for n in ("tp", "pp", "cp", "ep", "dp"))
    heads = _heads(model)
    if any(h % tp for h in heads):
        legal = [d for d in _divisors(min(heads)) if all(h % d == 0 for h in heads)]
        raise BadInput(
            f"tp {tp} does not divide the {heads[0]} attention heads of {model.id}; "
            f"the nearest tp is {_nearest(tp, legal)}"
        )
    if pp > model.depth:
        raise BadInput(
            f"pp {pp} is more than the {model.depth} layers of {model.id}; "
            f"pp can be up to {model.depth}"
        )
    if cp > 1 and _one(training.seq) % (2 * cp):
        legal = [d for d in _divisors(int(_one(training.seq))) if _one(training.seq) % (2 * d) == 0]
        raise BadInput(
            f"2 × cp = {2 * cp} does not divide {_one(training.seq):g} tokens; "
            f"the nearest cp is {_nearest(cp, legal)}"
        )
    if tp * pp * cp * dp != chips:
        raise BadInput(
            f"tp × pp × cp × dp = {tp} × {pp} × {cp} × {dp} is not {chips} chips; with this tp, pp "
            f"and cp the nearest number of chips is "
            f"{_nearest(chips, [tp * pp * cp * k for k in range(1, chips // (tp * pp * cp) + 2)])}"
        )
    _check_experts(model, ep, tp * cp * dp)
    _check_batch(training, layout)
    if layout.recompute not in RECOMPUTE:
        raise BadInput(f"unknown recompute {layout.recompute!r}; known are {', '.join(RECOMPUTE)}")
    if layout.shard not in (0, 1, 2, 3):
        raise BadInput(f"shard is {layout.shard}; a ZeRO stage is 0, 1, 2 or 3")


def _check_experts(model: Model, ep: int, ranks: int) -> None:
    experts = _experts(model)
    if ep > 1 and not experts:
        raise BadInput(f"ep {ep}: {model.id} has no experts; ep can be 1")
    if ep > 1 and (experts % ep or ranks % ep):
        legal = [d for d in _divisors(experts) if ranks % d == 0]
        raise BadInput(
            f"ep {ep} does not divide the {experts} experts of {model.id} and the {ranks} ranks "
            f"of a stage; the nearest ep is {_nearest(ep, legal)}"
        )


def _check_batch(training: Training, layout: Layout) -> None:
    dp, micro, batch = _one(layout.dp), _one(layout.micro), _one(training.batch)
    if batch % (dp * micro):
        several = [dp * micro * k for k in range(1, int(batch / (dp * micro)) + 2)]
        raise BadInput(
            f"a global batch of {batch:g} sequences does not divide into dp {dp:g} × "
            f"micro-batches of {micro:g}; the nearest batch is {_nearest(batch, several)}"
        )
    chunks, pp = _one(layout.interleave), _one(layout.pp)
    if chunks > 1 and (pp == 1 or chunks * pp > training.model.depth):
        most = max(int(training.model.depth // pp), 1) if pp > 1 else 1
        raise BadInput(
            f"interleave {chunks:g} needs a pipeline of at most {training.model.depth} chunks; "
            f"with pp {pp:g} it can be up to {most}"
        )
    if chunks > 1 and (batch / (dp * micro)) % pp:
        raise BadInput(
            f"interleaving needs micro-batches in multiples of pp {pp:g}, not "
            f"{batch / (dp * micro):g}; take interleave 1 or a batch of "
            f"{_nearest(batch, [dp * micro * pp * k for k in range(1, int(batch) + 2)])}"
        )


def _powers(limit: float) -> list[int]:
    return [2**k for k in range(int(math.log2(max(limit, 1))) + 1)]


def _candidates(training: Training, chip: Chip, chips: int, choice: Layouts) -> list[Array]:
    """Values of tp, pp, cp, ep, micro, interleave that could be legal."""
    model, domain = training.model, chip.scaleup.chips if chip.scaleup else 8
    heads, depth = _heads(model), model.depth
    tp = [d for d in _divisors(math.gcd(*heads) if heads else 1) if d <= min(domain, 64)]
    pp = [d for d in _divisors(chips) if d <= depth]
    cp = [d for d in _powers(min(chips, 64)) if _one(training.seq) % (2 * d) == 0 or d == 1]
    experts = _experts(model)
    ep = _divisors(experts) if experts else [1]
    micro = _powers(min(_one(training.batch), 64))
    chunks = [1, *(d for d in range(2, 25))]
    lists = (
        choice.tp or tp,
        choice.pp or pp,
        choice.cp or cp,
        choice.ep or ep,
        choice.micro or micro,
        choice.interleave or chunks,
    )
    return [np.asarray(values, dtype=float) for values in lists]


def _grid(training: Training, chip: Chip, chips: int, choice: Layouts) -> list[Array]:
    """Every legal combination, one array for each degree."""
    tp, pp, cp, ep, micro, chunks = _candidates(training, chip, chips, choice)
    # Degrees that must divide the chips come first, so that the product stays small.
    t, p, c = (a.ravel() for a in np.meshgrid(tp, pp, cp, indexing="ij"))
    dp = chips / (t * p * c)
    keep = (dp >= 1) & (dp == np.floor(dp))
    keep &= np.mod(_one(training.batch), np.maximum(dp, 1.0)) == 0
    t, p, c, dp = t[keep], p[keep], c[keep], dp[keep]
    index, e, m, v = (
        a.ravel() for a in np.meshgrid(np.arange(t.size), ep, micro, chunks, indexing="ij")
    )
    t, p, c, dp = t[index], p[index], c[index], dp[index]
    rounds = _one(training.batch) / (dp * m)
    keep = (rounds >= 1) & (rounds == np.floor(rounds))
    keep &= np.mod(t * c * dp, e) == 0
    layers = np.ceil(training.model.depth / p)
    staged = (p > 1) & (np.mod(layers, v) == 0) & (np.mod(rounds, p) == 0)
    staged &= p * v <= training.model.depth
    keep &= (v == 1) | staged
    return [a[keep] for a in (t, p, c, e, dp, v, m)]


def legal_layouts(
    training: Training, chip: Chip, chips: int, network: float, choice: Layouts | None = None
) -> Iterator[Layout]:
    """All legal layouts of a training, as one Layout of arrays for each sharding and recomputation.

    Parameters
    ----------
    training : Training
        What is trained.
    chip, chips : Chip, int
        On what, and how many. [1]
    network : float
        Rate beyond the scale-up domain. [byte/s]
    choice : Layouts, optional
        What to choose from.
    """
    choice = choice or Layouts()
    tp, pp, cp, ep, dp, chunks, micro = _grid(training, chip, chips, choice)
    if not tp.size:
        return
    whole = Layout(chip, tp, pp, cp, ep, dp, chunks, micro, link=network, reach=choice.reach)
    for shard in choice.shard:
        for recompute in choice.recompute:
            # Sharded weights are gathered for each micro-batch: no pipeline is run with them.
            keep = pp == 1 if shard == 3 else np.ones(pp.size, dtype=bool)
            if keep.any():
                yield replace(_select(whole, keep), shard=shard, recompute=recompute)


def _select(layout: Layout, which: Any) -> Layout:
    """Some of the layouts of arrays, or one of them."""
    chosen = {name: np.asarray(getattr(layout, name))[which] for name in _DEGREES}
    return replace(layout, **chosen)


def describe_layout(layout: Layout) -> str:
    """One line for a layout.

    Examples
    --------
    >>> from chipwise import catalog
    >>> describe_layout(Layout(catalog.chip("h100"), tp=8, pp=4, dp=32, micro=2))
    'tp 8 · pp 4 · dp 32 · micro-batch 2 · ZeRO-1'
    """
    parts = [
        f"{name} {_one(getattr(layout, name)):g}"
        for name in ("tp", "pp", "cp", "ep", "dp")
        if _one(getattr(layout, name)) > 1 or name == "tp"
    ]
    if _one(layout.interleave) > 1:
        parts.append(f"interleave {_one(layout.interleave):g}")
    parts += [f"micro-batch {_one(layout.micro):g}", f"ZeRO-{layout.shard}"]
    if layout.recompute != "none":
        parts.append(f"recompute {layout.recompute}")
    return " · ".join(parts)


def training_basis(calibration: Calibration, model: Model, chip: Chip, stack: str) -> str:
    """What the calibration knew of a model on a chip in a training stack, as in `intervals`."""
    known = calibration.stacks
    kind = stack.partition("-")[0]
    if (model.family, chip.id, kind, chip.architecture, chip.vendor) in known:
        return "seen"
    if chip.id in {s[1] for s in known}:
        return "stack" if model.family in {s[0] for s in known} else "model"
    if (chip.architecture, chip.vendor) in {s[3:] for s in known}:
        return "chip"
    return "vendor" if chip.vendor in {s[4] for s in known} else "datasheet"


def training_run(
    training: Training,
    kinds: Sequence[tuple[Chip, int, float | None]],
    step: float,
    terms: TrainingTerms,
) -> Run:
    """A token budget → time with failures and checkpoints, money, energy, carbon.

    Failures come at a rate of chips/mtbf. A checkpoint every √(2·δ·M) − δ seconds [1]_ [2]_, δ its
    time and M the mean time between failures; a failure loses half an interval and a restart.

    Parameters
    ----------
    training : Training
        What all chips train together.
    kinds : sequence of (Chip, int, float or None)
        Each kind of chip, how many of it, and what one of them draws [W].
    step : float
        Of all. [s]
    terms : TrainingTerms
        With the budget of tokens.

    Raises
    ------
    Infeasible
        If failures come faster than the run restarts.

    Notes
    -----
    References are the module's.
    """
    tokens = terms.tokens
    assert tokens is not None
    steps = tokens / (_one(training.seq) * _one(training.batch))
    ideal = steps * step
    chips = sum(count for _, count, _ in kinds)
    between = terms.mtbf / chips
    delta = terms.checkpoint
    interval = max(math.sqrt(2.0 * delta * between) - delta, delta)
    lost = (interval / 2.0 + terms.restart) / between
    share = interval / (interval + delta) * (1.0 - lost)
    if share <= 0:
        raise Infeasible(
            f"{chips:,} chips fail every {between:,.0f} s on average, faster than a restart of "
            f"{terms.restart:,.0f} s and {interval / 2:,.0f} s of lost work are made good"
        )
    total = ideal / share
    draws = [count * power for _, count, power in kinds if power is not None]
    known = len(draws) == len(kinds)
    energy = sum(draws) * total * terms.wall if known else None
    carbon = sum(draws) * total * terms.carbon if known and terms.carbon is not None else None
    usd = _run_money(kinds, from_base(total, "h"), terms)
    return Run(tokens, steps, ideal, total, interval, share, total / between, energy, carbon, usd)


def _run_money(
    kinds: Sequence[tuple[Chip, int, float | None]], hours: float, terms: TrainingTerms
) -> Money | None:
    """USD of all chips for so many hours; None where the price of one kind is unknown."""
    low = mid = high = 0.0
    for chip, count, power in kinds:
        hourly = terms.hourly(chip, power) if terms.hourly and power is not None else None
        if hourly is None:
            return None
        low, mid, high = (
            so_far + price * count * hours
            for so_far, price in ((low, hourly.low), (mid, hourly.mid), (high, hourly.high))
        )
    return Money(low, mid, high)


def _power(chip: Chip, estimate: TrainingStep) -> float | None:
    """Mean draw of a chip: idle share, and the rest in proportion to what is busy. [W]

    Arithmetic draws all of it; memory and links about six tenths, as serving's parts do.
    """
    if chip.power is None:
        return None
    step = _one(estimate.step)
    busy = _one(estimate.bound["compute"]) / step
    other = (_one(estimate.bound["memory"]) + _one(estimate.bound["network"])) / step
    return chip.power * min(IDLE + (1.0 - IDLE) * (busy + 0.6 * other), 1.0)


def _unverified(training: Training, chip: Chip) -> tuple[str, ...]:
    used = {"memory", "usable_memory", "memory_bandwidth", "scaleup_bandwidth", "power"}
    used.add(f"flops.{training.precision}")
    return tuple(f"{chip.id}.{each}" for each in sorted(used & chip.unverified))


def _best(
    training: Training, found: Sequence[Layout], known: Mapping[str, float]
) -> tuple[Layout | None, list[tuple[Layout, float, float]], int, int, Layout | None]:
    """The fastest layout that fits, the front of time and memory, counts, and the leanest one."""
    best: tuple[float, Layout | None] = (math.inf, None)
    lean: tuple[float, Layout | None] = (math.inf, None)
    points: list[tuple[Layout, float, float]] = []
    considered = fit = 0
    for layout in found:
        total = np.atleast_1d(training_total(training_memory(training, layout)))
        step = np.atleast_1d(spend(demand(training, layout), known).step)
        total, step = np.broadcast_arrays(total, step)
        considered += total.size
        least = int(np.argmin(total))
        if total[least] < lean[0]:
            lean = (float(total[least]), _select(layout, least))
        fits = np.flatnonzero(total <= (layout.chip.memory or 0.0))
        fit += fits.size
        if not fits.size:
            continue
        order = fits[np.lexsort((total[fits], step[fits]))]
        small = np.minimum.accumulate(total[order])
        front = order[np.concatenate([[True], small[1:] < small[:-1]])]
        points += [(_select(layout, int(i)), float(step[i]), float(total[i])) for i in front]
        if step[order[0]] < best[0]:
            best = (float(step[order[0]]), _select(layout, int(order[0])))
    return best[1], _front(points), considered, fit, lean[1]


def _front(points: list[tuple[Layout, float, float]]) -> list[tuple[Layout, float, float]]:
    kept: list[tuple[Layout, float, float]] = []
    for point in sorted(points, key=lambda p: (p[1], p[2])):
        if not kept or point[2] < kept[-1][2]:
            kept.append(point)
    return kept


def _too_large(
    training: Training, chip: Chip, chips: int, lean: Layout | None, terms: TrainingTerms
) -> str:
    """Why nothing fits: by how much the leanest layout is too big, how many chips would do."""
    name = f"{training.model.id} in {training.precision} on {chips:,} × {chip.name}"
    batch = _one(training.batch)
    if lean is None:
        near = _nearest(batch, [chips * k for k in range(1, 2 + int(batch / chips))])
        return (
            f"{name}: no layout divides {chips:,} chips and a global batch of {batch:g}; "
            f"the nearest batch that each chip can take a part of is {near}"
        )
    need = _one(training_total(training_memory(training, lean)))
    missing = need - (chip.memory or 0.0)
    text = (
        f"{name} does not fit: the leanest layout ({describe_layout(lean)}) needs "
        f"{show(need, 'GB', 4)} a chip, {show(missing, 'GB')} more than it has"
    )
    more = chips
    for _ in range(8):
        more *= 2
        wider = replace(training, batch=max(_one(training.batch), more))
        for layout in legal_layouts(wider, chip, more, terms.network):
            if np.any(training_total(training_memory(wider, layout)) <= (chip.memory or 0.0)):
                return f"{text}; {more:,} chips would hold it"
    return text


def answer_training(
    training: Training, layout: Layout, chips: int, terms: TrainingTerms
) -> TrainingAnswer:
    """What one layout does, with intervals, power and the run."""
    chip = layout.chip
    known = factors(terms.calibration, chip, training.precision, terms.stack, terms.overlap)
    asked = demand(training, layout)
    estimate = spend(asked, known)
    memory = training_memory(training, layout)
    basis = training_basis(terms.calibration, training.model, chip, terms.stack)
    unverified = _unverified(training, chip)
    width = math.hypot(terms.calibration.widths[basis]["step"], 0.12 * math.sqrt(len(unverified)))
    power = _power(chip, estimate)
    step = _one(estimate.step)
    run = None
    if terms.tokens is not None:
        run = training_run(training, [(chip, chips, power)], step, terms)
    # However sure of its share, no chip does more than its datasheet says.
    best = max(step / max(_one(floor(asked)), 1e-300), 1.0)
    bound = max(estimate.bound, key=lambda name: _one(estimate.bound[name]))
    return TrainingAnswer(
        training, chip, chips, layout, estimate, memory,
        _within(widen(step, width), step / best, math.inf),
        _within(widen(_one(estimate.rate), width), 0.0, _one(estimate.rate) * best),
        _within(widen(_one(estimate.mfu), width), 0.0, _one(estimate.mfu) * best),
        basis, bound, power, run, notes=_notes(estimate), rests_on_unverified=unverified,
    )  # fmt: skip


def _within(interval: Interval, least: float, most: float) -> Interval:
    return Interval(interval.value, max(interval.low, least), min(interval.high, most))


def _notes(estimate: TrainingStep) -> tuple[str, ...]:
    """What a reader should know of a step: where chips wait for one another."""
    step = _one(estimate.step)
    notes = []
    for name, text in (
        ("network", "of the step is transfers that nothing hides"),
        ("bubble", "of the step is an empty pipeline"),
    ):
        share = _one(estimate.bound[name]) / step
        if share > 0.25:
            notes.append(f"{share:.0%} {text}")
    return tuple(notes)


def default_stack(chip: Chip) -> str:
    """Software that a chip is usually trained with: its kind's newest release."""
    return {"NVIDIA": "megatron", "AMD": "rocm", "Google": "maxtext"}.get(chip.vendor, "other")


def search_training(
    training: Training, chip: Chip, chips: int, terms: TrainingTerms, choice: Layouts | None = None
) -> TrainingAnswer:
    """The fastest legal layout of a training that fits, with the front of time and memory.

    Parameters
    ----------
    training : Training
        What is trained.
    chip, chips : Chip, int
        On what, and how many. [1]
    terms : TrainingTerms
        Calibration, network, money, failures.
    choice : Layouts, optional
        What to choose from.

    Raises
    ------
    BadInput
        If the chip has no such precision, or the numbers are impossible.
    Infeasible
        If no layout fits; says by how much, and how many chips would hold it.
    """
    if not 1 <= chips <= _MOST or chips != int(chips):
        raise BadInput(f"chips is {chips:g}; it must be a whole number of 1 to {_MOST:,}")
    _check_whole(Layout(chip), training)
    peak(chip, training.precision)
    if chip.memory is None or chip.memory_bandwidth is None:
        raise Infeasible(f"{chip.name} publishes no memory size or bandwidth to train with")
    known = factors(terms.calibration, chip, training.precision, terms.stack, terms.overlap)
    found = list(legal_layouts(training, chip, chips, terms.network, choice))
    best, front, considered, fit, lean = _best(training, found, known)
    if best is None:
        raise Infeasible(_too_large(training, chip, chips, lean, terms))
    answer = answer_training(training, best, chips, terms)
    return replace(answer, front=tuple(front[:12]), considered=considered, fit=fit)
