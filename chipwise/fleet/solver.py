"""HiGHS, and only here: relax, round, and branch where that is not yet good enough.

A fleet buys hundreds of servers, so that the relaxed program, rounded and solved again with the
whole numbers fixed, is mostly within the gap asked for; only where it is not does branch and bound
go on from there. Either way the gap is between a bound and a plan, both proven.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import highspy
import numpy as np
from scipy.sparse import csr_array

from chipwise.errors import ChipwiseError, Infeasible
from chipwise.fleet.instance import Flags
from chipwise.fleet.program import Program
from chipwise.types import Array

__all__ = ["Solution", "feasible", "gap", "matrix", "solve", "write"]

# How far a value may be from a whole number and still count as one; HiGHS uses the same.
_WHOLE = 1e-6
# What branching may miss a limit by: as little as what solves the plan it found once more.
_TOLERANCE = 1e-8


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


def _scaled(of: Program) -> tuple[Program, float]:
    """The program in a unit of money that suits the solver's absolute tolerances, and the unit."""
    largest = float(np.max(np.abs(of.objective), initial=0.0))
    factor = 2.0 ** np.round(10 - np.log2(largest)) if largest > 0 else 1.0
    return replace(of, objective=of.objective * factor), float(factor)


def _loaded(of: Program, threads: int = 1) -> highspy.Highs:
    """The program, handed to HiGHS in bulk, as yet without whole numbers."""
    solver = highspy.Highs()
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
    if status in (known.kInfeasible, known.kUnboundedOrInfeasible):
        return False
    if status in (known.kOptimal, known.kTimeLimit, known.kSolutionLimit):
        return bool(solver.getInfo().primal_solution_status == 2)
    raise ChipwiseError(f"the solver stopped: {solver.modelStatusToString(status)}")


def _values(solver: highspy.Highs) -> Array:
    return np.asarray(solver.getSolution().col_value)


def _fix(solver: highspy.Highs, columns: Array, lower: Array, upper: Array) -> None:
    solver.changeColsBounds(len(columns), columns.astype(np.int32), lower, upper)


def feasible(of: Program) -> bool:
    """Whether any plan keeps all limits, fractions of servers allowed."""
    solver = _loaded(replace(of, objective=np.zeros(len(of.lower))))
    return _run(solver)


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
    whole = np.flatnonzero(of.whole)
    if fixed is not None:
        _fix(solver, whole, fixed[whole], fixed[whole])
    if not _run(solver):
        raise Infeasible("no plan keeps all limits")
    bound, values = solver.getInfo().objective_function_value, _values(solver)
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


def _settled(solver: highspy.Highs, of: Program, values: Array, whole: Array) -> Array:
    """The rest of a plan, and its prices, with the whole numbers fixed."""
    servers = np.rint(values[whole])
    _fix(solver, whole, servers, servers)
    if not _run(solver):
        raise ChipwiseError("the solver's plan does not stand with its servers fixed")
    return _values(solver)


def _roundings(of: Program, values: Array) -> Sequence[Array]:
    """Whole servers near a relaxed plan: carrying what is cut off to the next order, and less."""
    index = of.columns["acquire"].index
    found = []
    for threshold in (0.5, 0.15, 0.85):
        made = values.copy()
        owed: dict[tuple[int, int, int], float] = {}
        for i in np.flatnonzero(of.whole):
            node, chip, site = (int(index[n][i]) for n in ("node", "chip", "site"))
            up = int(of.instance.parent[node])
            wanted = values[i] + owed.get((up, chip, site), 0.0)
            taken = min(np.floor(wanted + 1.0 - threshold + _WHOLE), of.upper[i])
            made[i] = max(taken, 0.0)
            owed[node, chip, site] = wanted - made[i]
        found.append(made)
    floor = values.copy()
    floor[of.whole] = np.floor(values[of.whole] + _WHOLE)
    return [*found, floor]


def _rounded(
    solver: highspy.Highs, of: Program, values: Array, bound: float, within: float
) -> tuple[float, Array] | None:
    """The best plan whose servers are near the relaxed ones; None where none stands."""
    whole = np.flatnonzero(of.whole)
    best: tuple[float, Array] | None = None
    for tried in _roundings(of, values):
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
