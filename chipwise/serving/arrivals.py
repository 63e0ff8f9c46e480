"""Loads: when requests come and how long they are. Every draw takes its seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chipwise.errors import BadInput
from chipwise.types import Array, Prompts, Trace

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["gamma", "histogram", "lognormal", "poisson", "turns", "uniform"]


def poisson(rate: float, count: int, seed: int) -> Array:
    """Times of `count` arrivals that know nothing of one another, the first at 0. [s]

    Parameters
    ----------
    rate : float
        Mean arrivals. [request/s]

    Examples
    --------
    >>> poisson(2.0, 3, seed=1).round(3)
    array([0.   , 0.537, 0.691])
    """
    return gamma(rate, count, 1.0, seed)


def gamma(rate: float, count: int, variation: float, seed: int) -> Array:
    """Times of arrivals with gamma-distributed gaps, the first at 0: bursts where they vary. [s]

    Parameters
    ----------
    rate : float
        Mean arrivals. [request/s]
    variation : float
        Standard deviation of a gap over its mean: 1 is Poisson, 0 even, more is bursts. [1]
    """
    _positive(rate=rate, count=count)
    if not variation >= 0:
        raise BadInput(f"variation is {variation}; it must be at least 0")
    if variation == 0:
        return np.arange(count) / rate
    shape = variation**-2
    gaps = np.random.default_rng(seed).gamma(shape, 1.0 / (rate * shape), count - 1)
    return np.concatenate(([0.0], np.cumsum(gaps)))


def uniform(nominal: int, low: float, count: int, seed: int) -> NDArray[np.int64]:
    """Lengths drawn evenly from `low` to 1 times the nominal one, as benchmarks do. [token]

    Examples
    --------
    >>> uniform(1000, 0.8, 4, seed=1)
    array([902, 990, 828, 989])
    """
    _positive(nominal=nominal, count=count)
    if not 0.0 <= low <= 1.0:
        raise BadInput(f"low is {low}; it must be a share from 0 to 1")
    drawn = nominal * np.random.default_rng(seed).uniform(low, 1.0, count)
    return np.maximum(np.floor(drawn), 1).astype(np.int64)


def lognormal(median: float, spread: float, count: int, seed: int) -> NDArray[np.int64]:
    """Lengths whose logarithm is normal with deviation `spread`. [token]"""
    _positive(median=median, count=count)
    if not spread >= 0:
        raise BadInput(f"spread is {spread}; it must be at least 0")
    drawn = median * np.exp(spread * np.random.default_rng(seed).standard_normal(count))
    return np.maximum(np.rint(drawn), 1).astype(np.int64)


def histogram(
    lengths: ArrayLike, weights: ArrayLike, count: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Prompt and output lengths drawn from weighted pairs. [token]

    Parameters
    ----------
    lengths : array
        Pairs of isl and osl, one a row. [token]
    weights : array
        How often each pair occurs, in any unit.
    """
    _positive(count=count)
    pairs, weight = np.asarray(lengths, np.int64), np.asarray(weights, np.float64)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or weight.shape != (len(pairs),):
        raise BadInput("a histogram needs rows of (isl, osl) and one weight for each row")
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0):
        raise BadInput("the weights of a histogram must be at least 0, with one above 0")
    drawn = np.random.default_rng(seed).choice(len(pairs), count, p=weight / weight.sum())
    return pairs[drawn, 0], pairs[drawn, 1]


def turns(
    start: ArrayLike, question: ArrayLike, answer: ArrayLike, pause: float = 0.0, system: int = 0
) -> Trace:
    """Conversations: each prompt is all that was said before and a new question.

    Parameters
    ----------
    start : array
        Arrival of each conversation's first request. [s]
    question, answer : array
        Tokens of each turn, one row for each conversation; a question of 0 ends it. [token]
    pause : float
        From the end of an answer to the next question. [s]
    system : int
        Tokens with which every conversation begins. [token]

    Returns
    -------
    Trace
        With prompts that tell which tokens are shared.

    Examples
    --------
    >>> chat = turns([0.0], [[100, 50]], [[20, 30]], system=10)
    >>> list(chat.isl), list(chat.follows)
    ([np.int64(110), np.int64(180)], [np.int64(-1), np.int64(0)])
    """
    asked, said = np.asarray(question, np.int64), np.asarray(answer, np.int64)
    starts = np.asarray(start, np.float64)
    if asked.ndim != 2 or asked.shape != said.shape or len(starts) != len(asked):
        raise BadInput("conversations need a start, and a row of questions and one of answers each")
    if (asked < 0).any() or (asked[:, 0] < 1).any() or (said[asked > 0] < 1).any():
        raise BadInput("a turn has at least one token of question and one of answer")
    alive = np.cumprod(asked > 0, axis=1).astype(bool)
    said = np.where(alive, said, 0)
    asked = np.where(alive, asked, 0)
    before = np.cumsum(asked + said, axis=1) - asked - said
    isl = (before + asked + system)[alive]
    number = np.cumsum(alive.ravel()).reshape(alive.shape) - 1
    follows = np.where(np.arange(asked.shape[1]) == 0, -1, np.roll(number, 1, axis=1))[alive]
    return Trace(
        arrival=np.repeat(starts, alive.sum(axis=1)),
        isl=isl,
        osl=said[alive],
        prompts=_spoken(asked, said, alive, system),
        follows=follows,
        pause=np.where(follows < 0, 0.0, pause),
    )


def _spoken(
    asked: NDArray[np.int64], said: NDArray[np.int64], alive: NDArray[np.bool_], system: int
) -> Prompts:
    """Runs of each turn's prompt: the system's, then question and answer of each turn before."""
    ident, length, ends = [], [], [0]
    width = alive.shape[1]
    for row, column in zip(*np.nonzero(alive), strict=True):
        names = 2 * (row * width + np.arange(column + 1)) + 1  # questions odd, answers even
        pairs = np.stack((names, names + 1), axis=1).ravel()[:-1]
        spoken = np.stack((asked[row, : column + 1], said[row, : column + 1]), axis=1).ravel()[:-1]
        ident.append(np.concatenate(([0], pairs)))
        length.append(np.concatenate(([system], spoken)))
        ends.append(ends[-1] + len(pairs) + 1)
    row, column = np.nonzero(alive)
    return Prompts(
        offset=np.array(ends, np.int64),
        ident=np.concatenate(ident),
        length=np.concatenate(length),
        output=2 * (row * width + column) + 2,
    )


def _positive(**values: float) -> None:
    """Refuse what is not a finite number above 0."""
    for name, value in values.items():
        if not 0 < value < np.inf:
            raise BadInput(f"{name} is {value}; it must be above 0")
