"""The non-dominated ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["front"]


def front(*objectives: Any, where: Any = None) -> NDArray[np.int64]:
    """Indices of points that no other point beats or equals in all objectives, and beats in one.

    Parameters
    ----------
    *objectives : array
        One array for each objective, to be made small; equal lengths. NaN never enters.
    where : array of bool, optional
        Points to look at.

    Returns
    -------
    array of int
        In ascending order of the first objective.

    Examples
    --------
    >>> front([1, 2, 3, 2], [3, 2, 1, 5])
    array([0, 1, 2])
    """
    points = np.column_stack([np.asarray(o, float) for o in objectives])
    keep = ~np.isnan(points).any(axis=1)
    if where is not None:
        keep &= np.asarray(where, bool)
    found = np.flatnonzero(keep)
    order = found[np.lexsort(points[found].T[::-1])]
    chosen: list[int] = []
    for i in order:
        if not (points[chosen] <= points[i]).all(axis=1).any():
            chosen.append(int(i))
    return np.array(chosen, np.int64)
