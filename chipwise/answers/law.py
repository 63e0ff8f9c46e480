"""JSON of verdicts, timelines, maps of the rules, frontiers and claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from chipwise.answers.values import envelope, number
from chipwise.claims import Judged, sentence
from chipwise.plan.frontier import Frontier, FrontierPoint, Worth
from chipwise.policy import metrics
from chipwise.types import Chip, Rule, RuleTrace, SideVerdict, StatusPeriod, Verdict
from chipwise.units import from_base
from chipwise.words import LANGUAGES

__all__ = [
    "claim",
    "frontier",
    "placed",
    "region",
    "timeline",
    "verdict",
    "verdict_entry",
]


def verdict(of: Verdict) -> dict[str, Any]:
    """A verdict: both sides, each rule with its arithmetic, what is unknown or disputed."""
    return {
        **_judged(of),
        "export": _verdict_side(of.export),
        "import": _verdict_side(of.imports),
        "needs": list(of.needs),
        **_in_doubt(of),
        "disputes": [asdict(each) for each in of.disputes],
        "not_evaluated": list(of.not_evaluated),
        "origin": of.origin,
        "end_user": of.end_user,
        "rests_on_unverified": list(of.rests_on_unverified),
    }


def verdict_entry(of: Verdict) -> dict[str, Any]:
    """A verdict in the table of all chips."""
    return {
        **_judged(of),
        "export_status": of.export.status,
        "import_status": of.imports.status,
        "rules": [t.id for side in (of.export, of.imports) for t in side.rules if t.fires],
        **_in_doubt(of),
        "not_legal_advice": True,
    }


def _judged(of: Verdict) -> dict[str, Any]:
    """Of whom and on what a verdict is, and what it says."""
    asked = {"chip": of.chip, "to": of.to, "on": of.on.isoformat(), "route": of.route}
    return {**asked, "status": of.status}


def _in_doubt(of: Verdict) -> dict[str, Any]:
    return {"unknown": list(of.unknown), "disputed": list(of.disputed)}


def _trace(of: RuleTrace) -> dict[str, Any]:
    return {
        "id": of.id,
        "fires": of.fires,
        "arithmetic": list(of.arithmetic),
        "outcome": of.outcome,
        "needs": list(of.needs),
        "missing": list(of.missing),
        "effect": of.effect,
        "confidence": of.confidence,
    }


def _verdict_side(of: SideVerdict) -> dict[str, Any]:
    return {
        "status": of.status,
        "rules": [_trace(t) for t in of.rules],
        "not_evaluated": list(of.not_evaluated),
    }


def timeline(
    chip_id: str, periods: Sequence[StatusPeriod], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """JSON of `policy --timeline`; `asked` holds to, route, origin, end_user and include."""
    return {
        "chip": chip_id,
        **asked,
        "periods": [
            {
                "start": p.start.isoformat(),
                "end": None if p.end is None else p.end.isoformat(),
                "status": p.status,
                "export": p.export,
                "import": p.imports,
                "rules": list(p.rules),
            }
            for p in periods
        ],
        "not_legal_advice": True,
    }


def placed(of: Chip, statuses: Sequence[str]) -> dict[str, Any]:
    """A chip on a map of the rules: what they measure of it, None where it is unknown."""
    return {
        "chip": of.id,
        "name": of.name,
        "vendor": of.vendor,
        "market": of.market,
        "tpp": metrics.tpp(of).value,
        "density": metrics.performance_density(of).value,
        "memory_bandwidth": metrics.memory_bandwidth(of).value,
        "statuses": list(statuses),
    }


def region(of: Rule, boxes: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Where a rule speaks on a map: boxes of TPP from and to, the other figure from and to."""
    return {
        "rule": of.id,
        "title": dict(of.title),
        "effect": of.effect,
        "outcome": of.outcome,
        "start": of.start.isoformat(),
        "end": None if of.end is None else of.end.isoformat(),
        "boxes": [list(box) for box in boxes],
    }


# -- frontiers and claims ------------------------------------------------------------------------


def frontier(of: Frontier, calibration: str) -> dict[str, Any]:
    """JSON of `frontier`: the best chips inside, the curve, the real ones, what each is worth.

    Bandwidths are in byte/s; tokens/s are of one chip of the deployment.
    """
    found = {name: limit.value for name, limit in of.limits.items()}
    process = of.process
    best = {"prefill": of.prefill, "decode": of.decode}
    free = {"prefill": of.free_prefill, "decode": of.free_decode}
    return {
        **envelope(calibration),
        "rule": "+".join(rule.id for rule in of.rules),
        "model": of.task.model.id,
        "isl": number(of.task.load.isl),
        "osl": number(of.task.load.osl),
        "tpot_s": of.task.load.tpot,
        "weights": of.task.weights,
        "kv": of.task.kv,
        "backend": of.task.backend,
        "process": {
            "like": process.like.id,
            "die_area_mm2": from_base(process.die_area, "mm2"),
            "memory": process.memory,
            "stacks": process.stacks,
            "memory_bytes": process.size * process.stacks,
            "memory_bandwidth": process.rate * process.stacks,
            "power_w": process.power,
            "market": process.market,
            "tpp": found["tpp"],
            "tpp_per_mm2": found["tpp_per_area"] * from_base(1.0, "m2") / from_base(1.0, "mm2"),
            "tpp_per_mm2_of": of.limits["tpp_per_area"].chip,
            "tpp_per_w": found["tpp_per_power"],
            "tpp_per_w_of": of.limits["tpp_per_power"].chip,
        },
        "best": {k: p and _frontier_point(p) for k, p in best.items()},
        "unrestricted": {k: _frontier_point(p) for k, p in free.items()},
        "points": [_frontier_point(p) for p in (*of.envelope, *of.real)],
        "envelope": [_frontier_point(p) for p in of.envelope],
        "worth": [_worth(each) for each in of.worth],
        "not_legal_advice": True,
    }


def _frontier_point(of: FrontierPoint) -> dict[str, Any]:
    low = of.at_most
    return {
        "chip": of.chip or None,
        "real": of.real,
        "tpp": of.tpp,
        "density": of.density,
        "memory_bandwidth": of.memory_bandwidth,
        "io_bandwidth": of.io_bandwidth,
        "prefill_tokens_per_s": of.prefill,
        "decode_tokens_per_s": of.decode,
        "inside": of.inside,
        "prefill_chips": of.prefill_chips,
        "decode_chips": of.decode_chips,
        "bound": of.bound or None,
        "why": of.why,
        "at_most": low and {"prefill_tokens_per_s": low[0], "decode_tokens_per_s": low[1]},
    }


def _worth(of: Worth) -> dict[str, Any]:
    return {
        "chip": of.chip,
        "beside": of.beside,
        "prefill_share": of.prefill,
        "decode_share": of.decode,
        "at_most": of.at_most,
    }


def claim(of: Judged) -> dict[str, Any]:
    """A claim with its verdict; `claim` and `setting` in English, both languages under `texts`."""
    return {
        "id": of.claim.id,
        "claim": of.claim.text["en"],
        "computed": dict(of.computed),
        "verdict": of.verdict,
        "setting": of.claim.setting.get("en", ""),
        "sources": list(of.sources),
        "formula": dict(of.claim.computed),
        "sentence": sentence(of, "en"),
        "settled_by": of.claim.settled_by.get("en", ""),
        "missing": list(of.missing),
        "rests_on_unverified": list(of.rests_on_unverified),
        "texts": {
            lang: {
                "claim": of.claim.text[lang],
                "setting": of.claim.setting.get(lang, ""),
                "sentence": sentence(of, lang),
                "settled_by": of.claim.settled_by.get(lang, ""),
            }
            for lang in LANGUAGES
        },
    }
