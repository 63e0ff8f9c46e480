"""Loads: when requests come and how long they are. Every draw takes its seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chipwise.errors import BadInput
from chipwise.types import Array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["gamma", "histogram", "lognormal", "poisson", "uniform"]


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


def _positive(**values: float) -> None:
    """Refuse what is not a finite number above 0."""
    for name, value in values.items():
        if not 0 < value < np.inf:
            raise BadInput(f"{name} is {value}; it must be above 0")
