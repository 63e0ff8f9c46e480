"""A long plan made as it would be lived: look ahead some quarters, keep the first ones, go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chipwise.errors import BadInput
from chipwise.fleet.outcome import Fleet, Move, fleet
from chipwise.fleet.problem import Problem
from chipwise.fleet.program import MILLION, compose, cost_before
from chipwise.fleet.scenarios import first_state, instance, main
from chipwise.fleet.solver import solve
from chipwise.fleet.states import state_at

__all__ = ["Rolling", "check_window", "roll"]


@dataclass(frozen=True, slots=True, eq=False)
class Rolling:
    """A plan that was lived: `cost` [USD, discounted], orders, unserved tokens by period."""

    cost: float
    buy: tuple[Move, ...]
    missed: Mapping[str, float]
    windows: tuple[Fleet, ...]


def check_window(ahead: int, keep: int) -> None:
    """Refuse a window that keeps what it does not see."""
    if not 1 <= keep <= ahead:
        raise BadInput(f"keep is {keep}; it must be at least 1 and at most ahead, {ahead}")


def roll(of: Problem, *, ahead: int, keep: int, within: float = 1e-3) -> Rolling:
    """The first scenario planned `ahead` periods at a time, of which `keep` are carried out.

    Its cost is that of what was carried out, what is left at the end at its value; it is at least
    that of the plan that sees the whole horizon, within the gap.

    Parameters
    ----------
    of : Problem
        Filled in.
    ahead, keep : int
        Periods seen and periods kept of each window.
    within : float
        Gap of each window. [1]
    """
    check_window(ahead, keep)
    of = main(of)
    state, spent, buy, windows = first_state(of), 0.0, list[Move](), list[Fleet]()
    missed: dict[str, float] = {}
    last = len(of.periods)
    while state.begin < last:
        end = min(state.begin + ahead, last)
        program = compose(instance(of, state=state, end=end))
        found = solve(program, within=within)
        made = fleet(of, program, found, state.begin)
        windows.append(made)
        kept = last - state.begin if end == last else keep
        stop = min(state.begin + kept, last)
        buy += [m for m in made.buy if m.period in of.periods[state.begin : stop]]
        for stand in made.stands[: stop - state.begin]:
            missed[stand.period] = sum(stand.missed.values()) / sum(stand.asked.values())
        if stop == last:
            spent += found.objective
            break
        spent += float(cost_before(program, stop - state.begin) @ found.values)
        state = state_at(of, program, found, state, stop)
    return Rolling(spent * MILLION, tuple(buy), missed, tuple(windows))
