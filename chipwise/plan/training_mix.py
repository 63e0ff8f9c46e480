"""Several kinds of chips that train one model together: how a batch is divided, and the whole run.

Each kind works on its own part of every batch in a layout of its own, and all exchange gradients
at its end, so that the slowest part decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from chipwise.errors import BadInput, Infeasible
from chipwise.perf.training import peak
from chipwise.plan.training import (
    IDLE,
    Run,
    TrainingAnswer,
    TrainingTerms,
    training_run,
)
from chipwise.types import Chip, Interval

__all__ = ["MixedAnswer", "counts", "mixed_training", "split"]

# Parts come in grains of this share of what a kind would take, or less: fine ones divide the work
# well, coarse ones leave each kind more layouts.
_GRAINS = (1 / 4, 1 / 16, 1 / 64)
_ROUNDS = 4
_SERVER = 8


@dataclass(frozen=True, slots=True, eq=False)
class MixedAnswer:
    """Several kinds of chips on parts of one batch.

    `step` of all [s], with its interval; `slowest` is the kind that the others wait for; `rate`
    tokens of all [token/s]. `run` as if of one kind.
    """

    kinds: tuple[TrainingAnswer, ...]
    step: Interval
    slowest: str
    rate: float
    run: Run | None


def counts(chips: int, shares: Sequence[float]) -> list[int]:
    """Chips of each kind by its share, in whole servers of eight where that many are asked for.

    Examples
    --------
    >>> counts(4096, [0.4, 0.3, 0.3]), counts(10, [0.5, 0.5])
    ([1640, 1232, 1224], [5, 5])
    """
    unit = _SERVER if chips % _SERVER == 0 and chips >= _SERVER * len(shares) else 1
    ideal = [chips / unit * share / sum(shares) for share in shares]
    found = [int(n) for n in ideal]
    last = sorted(range(len(ideal)), key=lambda i: found[i] - ideal[i])
    for i in last[: chips // unit - sum(found)]:
        found[i] += 1
    return [n * unit for n in found]


def split(batch: int, speeds: Sequence[float], grains: Sequence[int]) -> list[int]:
    """Sequences of each kind: about in proportion to its speed, in multiples of its grain.

    Examples
    --------
    >>> split(1024, [3.0, 1.0], [64, 32])
    [768, 256]
    """
    whole = sum(speeds)
    return [
        max(round(batch * speed / whole / grain), 1) * grain
        for speed, grain in zip(speeds, grains, strict=True)
    ]


def _grain(count: int, part: float) -> int:
    """Largest divisor of the chips that is at most a part."""
    return max(d for d in range(1, max(min(int(part), count), 1) + 1) if count % d == 0)


Kinds = Sequence[tuple[Chip, int]]
Solve = Callable[[Chip, int, int], TrainingAnswer]


def _divisions(batch: int, kinds: Kinds, speeds: Sequence[float]) -> Iterator[tuple[int, ...]]:
    """Ways to divide a batch: first those that keep it, the fastest kind taking what is left."""
    whole = sum(speeds)
    found = [
        split(batch, speeds, [_grain(n, share * batch * speed / whole)
                              for (_, n), speed in zip(kinds, speeds, strict=True)])
        for share in _GRAINS
    ]  # fmt: skip
    fastest = max(range(len(speeds)), key=speeds.__getitem__)
    for parts in found:
        left = parts[fastest] + batch - sum(parts)
        if left > 0:
            yield tuple(left if i == fastest else p for i, p in enumerate(parts))
    yield from map(tuple, found)


def _tried(
    kinds: Kinds, batch: int, speeds: Sequence[float], solve: Solve
) -> tuple[TrainingAnswer, ...]:
    """The division by some speeds that takes least time for each sequence, of those that fit.

    The batch is kept if any division that keeps it fits.
    """
    best: tuple[TrainingAnswer, ...] | None = None
    why = ""
    for parts in dict.fromkeys(_divisions(batch, kinds, speeds)):
        kept = sum(parts) == batch
        if best is not None and _batch(best) == batch and not kept:
            continue
        try:
            found = tuple(solve(chip, n, p) for (chip, n), p in zip(kinds, parts, strict=True))
        except Infeasible as error:
            why = str(error)
            continue
        if best is None or _pace(found) < _pace(best):
            best = found
    if best is None:
        raise Infeasible(why)
    return best


def _batch(found: Sequence[TrainingAnswer]) -> int:
    return sum(int(answer.training.batch) for answer in found)


def _pace(found: Sequence[TrainingAnswer]) -> float:
    """Seconds for each sequence of the batch."""
    return max(answer.step.value for answer in found) / _batch(found)


def mixed_training(
    kinds: Kinds, batch: int, precision: str, solve: Solve, terms: TrainingTerms
) -> MixedAnswer:
    """The division of a batch in which its kinds wait least for one another, and the run.

    Where no division of the very batch fits, that of a batch near it; `MixedAnswer.kinds` tell.

    Parameters
    ----------
    kinds : sequence of (Chip, int)
        Each kind, and how many of it.
    batch : int
        Sequences of a step over all kinds. [1]
    precision : str
        As in `perf.training.PRECISIONS`.
    solve : callable
        Kind, how many, sequences of a step → its best layout.
    terms : TrainingTerms
        Money, failures, the budget of tokens.

    Raises
    ------
    BadInput
        If there are more kinds than sequences.
    Infeasible
        If a kind cannot hold its part.
    """
    if batch < len(kinds):
        raise BadInput(
            f"a global batch of {batch} sequences cannot be divided among {len(kinds)} kinds of "
            f"chips; it must be at least {len(kinds)}"
        )
    speeds = [count * peak(chip, precision) for chip, count in kinds]
    best = _tried(kinds, batch, speeds, solve)
    for _ in range(_ROUNDS):
        speeds = [answer.rate.value * answer.chips for answer in best]
        found = _tried(kinds, batch, speeds, solve)
        if _pace(found) >= _pace(best) * (1 - 1e-3):
            break
        best = found
    return _together(best, terms)


def _together(kinds: Sequence[TrainingAnswer], terms: TrainingTerms) -> MixedAnswer:
    slowest = max(kinds, key=lambda a: a.step.value)
    step = slowest.step.value
    bounds = (max(a.step.low for a in kinds), max(a.step.high for a in kinds))
    training = replace(kinds[0].training, batch=float(_batch(kinds)))
    run = None
    if terms.tokens is not None:
        draws = [(a.chip, a.chips, _draw(a, step)) for a in kinds]
        run = training_run(training, draws, step, terms)
    rate = float(training.seq) * float(training.batch) / step
    return MixedAnswer(tuple(kinds), Interval(step, *bounds), slowest.chip.id, rate, run)


def _draw(of: TrainingAnswer, step: float) -> float | None:
    """Mean draw of a chip that waits for others after its own part. [W]"""
    if of.power is None or of.chip.power is None:
        return None
    busy = min(of.step.value / step, 1.0)
    return of.power * busy + of.chip.power * IDLE * (1.0 - busy)
