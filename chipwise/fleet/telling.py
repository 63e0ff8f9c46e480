"""A study → a plain dictionary, as JSON has it: keys carry their units."""

from __future__ import annotations

from typing import Any

from chipwise.fleet.cutoff import CutCost
from chipwise.fleet.dependence import Dependence
from chipwise.fleet.outcome import Fleet, Move, Price, Served, Stand
from chipwise.fleet.problem import CutOff, Problem
from chipwise.fleet.study import Study

__all__ = ["told"]

_MILLION = 1e6


def told(of: Study) -> dict[str, Any]:
    """JSON of `fleet`, without the versions that every answer carries."""
    plan = of.plan
    return {
        "title": plan.problem.title,
        "source": plan.problem.source,
        "periods": list(plan.problem.periods),
        "objective_usd": plan.objective,
        "bound_usd": plan.bound,
        "gap": plan.gap,
        "elapsed_s": plan.elapsed,
        "how": plan.how,
        "unserved_share": of.unserved,
        "cost_usd": dict(plan.parts),
        "scenario_usd": dict(plan.scenarios),
        "buy": [_move(m) for m in plan.buy],
        "rent": [_move(m) for m in plan.rent],
        "retire": [_move(m) for m in plan.retire],
        "release": [_move(m) for m in plan.released],
        "serve": [_served(s) for s in plan.serve],
        "by_period": [_stand(s) for s in plan.stands],
        "duals": [_price(p) for p in plan.prices],
        "dependence": [_dependence(d) for d in of.dependence],
        "cut_off": _cut(plan.problem, of.cut_offs[0]) if of.cut_offs else None,
        "cut_offs": [_cut(plan.problem, c) for c in of.cut_offs],
        "diversification": [
            {
                "share": p.share,
                "premium_usd": {"low": p.low, "high": p.high},
                "unserved_share": p.unserved,
            }
            for p in of.curve
        ],
        "regret_usd": {
            plan: {name: {"low": low, "high": high} for name, (low, high) in row.items()}
            for plan, row in of.regret.items()
        },
        "spares": [
            {
                "count": count,
                "cut_off_usd": {"low": cost.low, "high": cost.high},
                "keeping_usd": kept,
            }
            for count, cost, kept in of.spares
        ],
        "rolling": None
        if of.rolling is None
        else {
            "cost_usd": of.rolling.cost,
            "buy": [_move(m) for m in of.rolling.buy],
            "unserved_share": dict(of.rolling.missed),
        },
        "throughput": _throughput(plan.problem),
        "status": {
            f"{name}:{to}:{route}": list(found)
            for (name, to, route), found in plan.problem.status.items()
        },
        "robust": plan.problem.robust,
        "notes": list(plan.problem.notes),
        "not_legal_advice": True,
    }


def _throughput(of: Problem) -> list[dict[str, Any]]:
    found = []
    for (choice, demand), rate in of.rates.items():
        told = rate and {"value": rate.value, "low": rate.low, "high": rate.high}
        found.append(
            {
                "chip": choice,
                "demand": demand,
                "tokens_per_s_per_chip": told,
                "why": of.why.get((choice, demand), ""),
            }
        )
    return found


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
            name: None if usd is None else usd * _MILLION for name, usd in of.usd.items()
        },
        "marginal_usd_per_million_tokens": {
            name: usd * _MILLION for name, usd in of.marginal.items()
        },
        "cost_usd": dict(of.cost),
        "power_w": dict(of.power),
        "energy_j": of.energy,
        "carbon_g": of.carbon,
        "stock": [
            {"chip": chip, "site": site, "count": count} for (chip, site), count in of.stock.items()
        ],
    }


def _price(of: Price) -> dict[str, Any]:
    return {
        "limit": of.limit,
        "of": of.of,
        "period": of.period,
        "scenario": of.scenario,
        "value": of.value,
        "unit": of.unit,
    }


def _dependence(of: Dependence) -> dict[str, Any]:
    return {
        "period": of.period,
        "scenario": of.scenario,
        "by": of.attribute,
        "shares": dict(of.shares),
        "unknown_share": of.unknown,
        "hhi": {"low": of.hhi[0], "high": of.hhi[1]},
    }


def _label(of: Problem, at: int) -> str | None:
    return of.periods[at] if 0 <= at < len(of.periods) else None


def _asked(of: Problem, cut: CutOff) -> dict[str, Any]:
    return {
        cut.attribute: cut.value,
        "from": _label(of, cut.first),
        "until": _label(of, cut.last),
        "announced": _label(of, cut.announced),
        "deliveries": cut.deliveries,
    }


def _course(of: Fleet | None) -> dict[str, Any] | None:
    """A course of a cut-off: what it buys and rents, who serves, what is missed."""
    if of is None:
        return None
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


def _cut(of: Problem, cost: CutCost) -> dict[str, Any]:
    return {
        **_asked(of, cost.cut_off),
        "cost_usd": {"low": cost.low, "high": cost.high},
        "unserved_share": cost.unserved,
        "unserved_share_without": cost.unserved_base,
        "recovers": cost.recovers,
        "quarters_to_recover": cost.quarters,
        "without": _course(cost.base),
        "with": _course(cost.cut),
    }
