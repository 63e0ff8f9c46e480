"""JSON of fleets."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from chipwise.answers.values import MILLION, ends, envelope, interval

if TYPE_CHECKING:
    from chipwise.fleet.cutoff import CutCost
    from chipwise.fleet.dependence import Dependence
    from chipwise.fleet.outcome import Fleet, Move, Served, Stand
    from chipwise.fleet.problem import Problem
    from chipwise.fleet.study import Study

__all__ = ["fleet"]


def fleet(of: Study, calibration: str) -> dict[str, Any]:
    """JSON of `fleet`."""
    plan, rolling, problem = of.plan, of.rolling, of.plan.problem
    cuts = [_cut(problem, cost) for cost in of.cut_offs]
    return {
        **envelope(calibration),
        "title": problem.title,
        "source": problem.source,
        "periods": list(problem.periods),
        **_course(plan),
        "elapsed_s": plan.elapsed,
        "how": plan.how,
        "unserved_share": of.unserved,
        "cost_usd": dict(plan.parts),
        "scenario_usd": dict(plan.scenarios),
        "retire": [_move(m) for m in plan.retire],
        "duals": [asdict(price) for price in plan.prices],
        "dependence": [_dependence(d) for d in of.dependence],
        "cut_off": cuts[0] if cuts else None,
        "cut_offs": cuts,
        "diversification": [
            {"share": p.share, "premium_usd": ends(p.low, p.high), "unserved_share": p.unserved}
            for p in of.curve
        ],
        "regret_usd": {
            name: {scenario: ends(*bounds) for scenario, bounds in row.items()}
            for name, row in of.regret.items()
        },
        "spares": [
            {"count": count, "cut_off_usd": ends(cost.low, cost.high), "keeping_usd": kept}
            for count, cost, kept in of.spares
        ],
        "rolling": rolling
        and {
            "cost_usd": rolling.cost,
            "buy": [_move(m) for m in rolling.buy],
            "unserved_share": dict(rolling.missed),
        },
        "throughput": _throughput(problem),
        "status": {
            f"{name}:{to}:{route}": list(found)
            for (name, to, route), found in problem.status.items()
        },
        "robust": problem.robust,
        "notes": list(problem.notes),
        "not_legal_advice": True,
    }


def _course(of: Fleet) -> dict[str, Any]:
    """A course of events: what is bought and rented, who serves, what is missed."""
    return {
        "objective_usd": of.objective,
        "bound_usd": of.bound,
        "gap": of.gap,
        "buy": [_move(m) for m in of.buy],
        "rent": [_move(m) for m in of.rent],
        "release": [_move(m) for m in of.released],
        "serve": [_served(s) for s in of.serve],
        "by_period": [_stand(s) for s in of.stands],
    }


def _throughput(of: Problem) -> list[dict[str, Any]]:
    return [
        {
            "chip": choice,
            "demand": demand,
            "tokens_per_s_per_chip": interval(rate),
            "why": of.why.get((choice, demand), ""),
        }
        for (choice, demand), rate in of.rates.items()
    ]


def _move(of: Move) -> dict[str, Any]:
    return {
        "period": of.period,
        "scenario": of.scenario,
        "chip": of.choice,
        "place": of.place,
        "count": of.count,
    }


def _served(of: Served) -> dict[str, Any]:
    return {
        "period": of.period,
        "scenario": of.scenario,
        "chip": of.choice,
        "demand": of.demand,
        "tokens_per_s": of.tokens,
        "share": of.share,
    }


def _stand(of: Stand) -> dict[str, Any]:
    return {
        "period": of.period,
        "scenario": of.scenario,
        "probability": of.probability,
        "asked_tokens_per_s": dict(of.asked),
        "unserved_tokens_per_s": dict(of.missed),
        "usd_per_million_tokens": {
            name: None if usd is None else usd * MILLION for name, usd in of.usd.items()
        },
        "marginal_usd_per_million_tokens": {
            name: usd * MILLION for name, usd in of.marginal.items()
        },
        "cost_usd": dict(of.cost),
        "power_w": dict(of.power),
        "energy_j": of.energy,
        "carbon_g": of.carbon,
        "stock": [
            {"chip": chip, "site": site, "count": count} for (chip, site), count in of.stock.items()
        ],
    }


def _dependence(of: Dependence) -> dict[str, Any]:
    return {
        "period": of.period,
        "scenario": of.scenario,
        "by": of.attribute,
        "shares": dict(of.shares),
        "unknown_share": of.unknown,
        "hhi": ends(*of.hhi),
    }


def _cut(of: Problem, cost: CutCost) -> dict[str, Any]:
    cut = cost.cut_off

    def period(at: int) -> str | None:
        return of.periods[at] if 0 <= at < len(of.periods) else None

    return {
        cut.attribute: cut.value,
        "from": period(cut.first),
        "until": period(cut.last),
        "announced": period(cut.announced),
        "deliveries": cut.deliveries,
        "cost_usd": ends(cost.low, cost.high),
        "unserved_share": cost.unserved,
        "unserved_share_without": cost.unserved_base,
        "recovers": cost.recovers,
        "quarters_to_recover": cost.quarters,
        "without": cost.base and _course(cost.base),
        "with": cost.cut and _course(cost.cut),
    }
