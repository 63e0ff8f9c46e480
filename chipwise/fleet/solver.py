"""HiGHS, and only here: relax, round, and branch where that is not yet good enough.

A fleet buys hundreds of servers, so that the relaxed program, rounded and solved again with the
whole numbers fixed, is mostly within the gap asked for; only where it is not does branch and bound
go on from there. Either way the gap is between a bound and a plan, both proven.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import highspy
import numpy as np
from scipy.sparse import csc_array, csr_array

from chipwise.errors import ChipwiseError, Infeasible
from chipwise.fleet.instance import Flags, Whole
from chipwise.fleet.program import Program
from chipwise.types import Array

__all__ = ["Solution", "feasible", "gap", "matrix", "relaxed", "solve", "write"]

# How far a value may be from a whole number and still count as one; HiGHS uses the same.
_WHOLE = 1e-6
# What branching may miss a limit by: as little as what solves the plan it found once more.
_TOLERANCE = 1e-8
# Columns above which the interior point method is the faster: measured on five instances of
# 50,000 it takes 2.2 to 2.7 s of one core, the dual simplex 0.7 to 7.1 s.
_LARGE = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """Values of the columns; objective and its proven bound [million USD]; prices of the rows.

    `prices` by row are what one more unit of its limit adds to the objective, with the whole
    numbers fixed. `how` is ``relaxed`` (the relaxation was whole), ``rounded`` or ``branched``.
    """

    values: Array
    objective: float
    bound: float
    prices: Array
    elapsed: float
    how: str


def gap(of: Solution) -> float:
    """Share of the objective by which it may be above the best possible."""
    return max(of.objective - of.bound, 0.0) / max(abs(of.objective), 1e-9)


def matrix(of: Program) -> tuple[csr_array, Array, Array]:
    """All rows in one: entries by row, lower and upper bounds."""
    begin = np.cumsum([0, *(len(r.lower) for r in of.rows)])
    row = np.concatenate([r.row + b for r, b in zip(of.rows, begin[:-1], strict=True)])
    column = np.concatenate([r.column for r in of.rows])
    value = np.concatenate([r.value for r in of.rows])
    made = csr_array((value, (row, column)), shape=(int(begin[-1]), len(of.lower)))
    made.sum_duplicates()
    lower = np.concatenate([r.lower for r in of.rows])
    return made, lower, np.concatenate([r.upper for r in of.rows])


@lru_cache(maxsize=1)
def _greeted() -> None:
    """Make a first solver with the process's output shut: it prints its version, once."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        highspy.Highs()  # type: ignore[no-untyped-call]
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _silent() -> highspy.Highs:
    _greeted()
    made: highspy.Highs = highspy.Highs()  # type: ignore[no-untyped-call]
    return made


def _scaled(of: Program) -> tuple[Program, float]:
    """The program in a unit of money that suits the solver's absolute tolerances, and the unit."""
    largest = float(np.max(np.abs(of.objective), initial=0.0))
    factor = 2.0 ** np.round(10 - np.log2(largest)) if largest > 0 else 1.0
    return replace(of, objective=of.objective * factor), float(factor)


def _loaded(of: Program, threads: int = 1) -> highspy.Highs:
    """The program, handed to HiGHS in bulk, as yet without whole numbers."""
    solver = _silent()
    options = {"output_flag": False, "threads": threads, "random_seed": 0}
    for name, value in options.items():
        solver.setOptionValue(name, value)
    nothing, none = np.zeros(0, np.int32), np.zeros(0)
    solver.addCols(len(of.lower), of.objective, of.lower, of.upper, 0, nothing, nothing, none)
    rows, lower, upper = matrix(of)
    begin, column = rows.indptr[:-1].astype(np.int32), rows.indices.astype(np.int32)
    solver.addRows(len(lower), lower, upper, rows.nnz, begin, column, rows.data)
    return solver


def _run(solver: highspy.Highs) -> bool:
    """Whether a run ends with a plan; False where there is none."""
    solver.run()
    status = solver.getModelStatus()
    known = highspy.HighsModelStatus
    if status == known.kNotset:
        # Another solver of this process has started a pool of threads of another size.
        highspy.Highs.resetGlobalScheduler(True)  # noqa: FBT003 -- its only form
        solver.run()
        status = solver.getModelStatus()
    if status in (known.kInfeasible, known.kUnboundedOrInfeasible):
        return False
    if status in (known.kOptimal, known.kTimeLimit, known.kSolutionLimit):
        return bool(solver.getInfo().primal_solution_status == 2)
    raise ChipwiseError(f"the solver stopped: {solver.modelStatusToString(status)}")


def _values(solver: highspy.Highs) -> Array:
    return np.asarray(solver.getSolution().col_value)


def _fix(solver: highspy.Highs, columns: Whole, lower: Array, upper: Array) -> None:
    solver.changeColsBounds(len(columns), columns.astype(np.int32), lower, upper)


def relaxed(of: Program) -> Array | None:
    """Values of the cheapest plan with fractions of servers, None if there is no plan."""
    solver = _loaded(of)
    return _values(solver) if _run(solver) else None


def feasible(of: Program) -> bool:
    """Whether any plan keeps all limits, fractions of servers allowed."""
    return relaxed(replace(of, objective=np.zeros(len(of.lower)))) is not None


def solve(
    of: Program,
    *,
    within: float = 1e-3,
    seconds: float = 60.0,
    threads: int = 1,
    fixed: Array | None = None,
) -> Solution:
    """The cheapest plan of a program, to a gap.

    Parameters
    ----------
    of : Program
        What to solve.
    within : float
        Gap at which to stop, as a share of the objective. [1]
    seconds : float
        Time after which branching stops with the best plan so far. [s]
    threads : int
        Threads of the solver. [1]
    fixed : array, optional
        Whole numbers to take as they are: servers of each acquire column.

    Returns
    -------
    Solution
        A plan and a bound, with the prices of the rows.

    Raises
    ------
    Infeasible
        If no plan keeps all limits.
    """
    start = time.perf_counter()
    of, unit = _scaled(of)
    solver = _loaded(of, threads)
    # A large program is relaxed from its inside, at an even pace; what follows is a step away.
    solver.setOptionValue("solver", "ipm" if len(of.lower) > _LARGE else "simplex")
    whole = np.flatnonzero(of.whole)
    if fixed is not None:
        _fix(solver, whole, fixed[whole], fixed[whole])
    if not _run(solver):
        raise Infeasible("no plan keeps all limits")
    bound, values = solver.getInfo().objective_function_value, _values(solver)
    solver.setOptionValue("solver", "simplex")
    how = "relaxed"
    best: tuple[float, Array] | None = None
    if fixed is None and np.any(np.abs(values[whole] - np.rint(values[whole])) > _WHOLE):
        how, best = "rounded", _rounded(solver, of, values, bound, within)
        if best is None or best[0] - bound > within * max(abs(best[0]), 1e-9):
            left = max(seconds - (time.perf_counter() - start), 1.0)
            bound, best = _branched(of, best, bound, within, left, threads)
            how = "branched"
        values = best[1]
    made = _settled(solver, of, values, whole)
    objective = solver.getInfo().objective_function_value
    prices = np.asarray(solver.getSolution().row_dual)
    elapsed = time.perf_counter() - start
    return Solution(
        made, objective / unit, min(bound, objective) / unit, prices / unit, elapsed, how
    )


def _settled(solver: highspy.Highs, of: Program, values: Array, whole: Whole) -> Array:
    """The rest of a plan, and its prices, with the whole numbers fixed."""
    servers = np.rint(values[whole])
    _fix(solver, whole, servers, servers)
    if not _run(solver):
        raise ChipwiseError("the solver's plan does not stand with its servers fixed")
    return _values(solver)


@dataclass(frozen=True, slots=True, eq=False)
class _Room:
    """Rows that servers alone fill, by column: which, how much each server takes; and limits."""

    begin: Array
    row: Array
    takes: Array
    limit: Array


def _room(of: Program) -> _Room:
    rows, _, upper = matrix(of)
    others = abs(rows) @ (~of.whole).astype(float)
    alone = csc_array(rows[others == 0])
    return _Room(alone.indptr, alone.indices, alone.data, upper[others == 0])


def _near(of: Program, values: Array, threshold: float, some: Flags, room: _Room) -> Array:
    """Whole servers near a relaxed plan, within supply, budget and quotas.

    In the order of the periods; what an order loses or gains by rounding is carried to the next
    one of the same chip and site. `some` are rounded, the others kept as they are.
    """
    index = of.columns["acquire"].index
    made, left = values.copy(), room.limit.copy()
    owed: dict[tuple[int, int, int], float] = {}
    for i in np.flatnonzero(of.whole & some):
        node, chip, site = (int(index[n][i]) for n in ("node", "chip", "site"))
        up = int(of.instance.parent[node])
        wanted = values[i] + owed.get((up, chip, site), 0.0)
        taken = max(min(np.floor(wanted + 1.0 - threshold + _WHOLE), of.upper[i]), 0.0)
        part = slice(room.begin[i], room.begin[i + 1])
        row, takes = room.row[part], room.takes[part]
        fits = np.floor(np.min(left[row] / takes, initial=np.inf) + _WHOLE)
        made[i] = max(min(taken, fits), 0.0)
        left[row] -= takes * made[i]
        owed[node, chip, site] = wanted - made[i]
    return made


def _rounded(
    solver: highspy.Highs, of: Program, values: Array, bound: float, within: float
) -> tuple[float, Array] | None:
    """The best plan whose servers are near the relaxed ones; None where none stands.

    The dearest servers first: with racks of hundreds of chips fixed, the relaxation is solved
    again, so that small servers make up for what the rounding of large ones cost.
    """
    whole, room = np.flatnonzero(of.whole), _room(of)
    size = np.zeros(len(values))
    acquire = of.columns["acquire"]
    size[: acquire.size] = of.unit
    large = size > np.median(of.unit[of.whole[: acquire.size]])
    best: tuple[float, Array] | None = None
    for threshold in (0.5, 0.25, 0.75, 1.0):
        current = values
        _fix(solver, whole, of.lower[whole], of.upper[whole])
        if np.any(large & of.whole):
            first = np.flatnonzero(large & of.whole)
            tried = _near(of, values, threshold, large, room)
            _fix(solver, first, tried[first], tried[first])
            if not _run(solver):
                continue
            current = _values(solver)
        tried = _near(of, current, threshold, of.whole, room)
        _fix(solver, whole, tried[whole], tried[whole])
        if not _run(solver):
            continue
        cost = solver.getInfo().objective_function_value
        if best is None or cost < best[0]:
            best = cost, _values(solver)
        if best[0] - bound <= within * max(abs(best[0]), 1e-9):
            break
    return best


def _branched(
    of: Program,
    best: tuple[float, Array] | None,
    bound: float,
    within: float,
    seconds: float,
    threads: int,
) -> tuple[float, tuple[float, Array]]:
    """Branch and bound from the best plan so far: its bound and its plan."""
    for start in (best, None):
        # A solver of its own: one that has solved the relaxation may return that plan's values.
        solver = _loaded(of, threads)
        _make_whole(solver, of)
        solver.setOptionValue("mip_rel_gap", within)
        solver.setOptionValue("time_limit", seconds)
        solver.setOptionValue("mip_feasibility_tolerance", _TOLERANCE)
        if start is not None:
            given = highspy.HighsSolution()
            given.col_value = start[1].tolist()
            solver.setSolution(given)
        found = _run(solver)
        if not found:
            break
        values, info = _values(solver), solver.getInfo()
        cost = float(of.objective @ values)
        # HiGHS 1.16 may find a better plan than the one it was given, and return the given one.
        if abs(cost - info.objective_function_value) <= 1e-6 * max(abs(cost), 1.0):
            return max(bound, info.mip_dual_bound), (cost, values)
    if best is None:
        raise Infeasible("no plan keeps all limits with whole servers")
    return bound, best


def _make_whole(solver: highspy.Highs, of: Program) -> None:
    whole = np.flatnonzero(of.whole)
    kinds = np.full(len(whole), highspy.HighsVarType.kInteger)
    solver.changeColsIntegrality(len(whole), whole.astype(np.int32), kinds)


def write(of: Program, path: Path, names: tuple[Sequence[str], Sequence[str]]) -> None:
    """The program as an LP or MPS file, by the path's ending, with named columns and rows."""
    solver = _loaded(of)
    _make_whole(solver, of)
    for number, name in enumerate(names[0]):
        solver.passColName(number, name)
    for number, name in enumerate(names[1]):
        solver.passRowName(number, name)
    solver.writeModel(str(path))
