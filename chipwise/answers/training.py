"""JSON of trainings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chipwise.answers.values import MILLION, envelope, interval, money, number
from chipwise.perf.training_memory import TrainingMemory, training_total
from chipwise.plan.training import Run, TrainingAnswer, describe_layout
from chipwise.plan.training_mix import MixedAnswer
from chipwise.types import Chip
from chipwise.units import from_base

__all__ = ["train", "train_each", "train_mixed"]


def train(of: TrainingAnswer, calibration: str, *, price_basis: str) -> dict[str, Any]:
    """JSON of `train`."""
    training = of.training
    return {
        **envelope(calibration),
        "model": training.model.id,
        "chip": of.chip.id,
        "chip_count": of.chips,
        "seq": int(number(training.seq)),
        "global_batch": int(number(training.batch)),
        "precision": training.precision,
        "step_s": interval(of.step),
        "mfu": interval(of.mfu),
        "hfu": number(of.estimate.hfu),
        "tokens_per_s_per_chip": interval(of.rate),
        "memory_bytes": _training_memory(of.memory),
        "parallelism": _parallelism(of.layout),
        "parts_s": {name: number(value) for name, value in of.estimate.parts.items()},
        "bound": of.bound,
        "power_w": of.power,
        **_run(of.run),
        "price_basis": price_basis,
        "basis": of.basis,
        "rests_on_unverified": list(of.rests_on_unverified),
        "considered": of.considered,
        "fitting": of.fit,
        "pareto": [
            {"parallelism": _parallelism(layout), "step_s": step, "memory_bytes": total}
            for layout, step, total in of.front
        ],
        "notes": list(of.notes),
    }


def train_each(
    of: Sequence[tuple[Chip, TrainingAnswer | str]], calibration: str, *, price_basis: str
) -> dict[str, Any]:
    """JSON of `train` for several kinds of chips side by side, each alone."""
    found = next(answer for _, answer in of if not isinstance(answer, str))
    training = found.training
    return {
        **envelope(calibration),
        "model": training.model.id,
        "chip_count": found.chips,
        "seq": int(number(training.seq)),
        "global_batch": int(number(training.batch)),
        "price_basis": price_basis,
        "chips": [
            {"chip": kind.id, "feasible": False, "why": answer}
            if isinstance(answer, str)
            else train(answer, calibration, price_basis=price_basis) | {"feasible": True, "why": ""}
            for kind, answer in of
        ],
    }


def train_mixed(of: MixedAnswer, calibration: str, *, price_basis: str) -> dict[str, Any]:
    """JSON of `train` for several kinds of chips that share every batch."""
    training = of.kinds[0].training
    return {
        **envelope(calibration),
        "model": training.model.id,
        "chip_count": sum(a.chips for a in of.kinds),
        "seq": int(number(training.seq)),
        "global_batch": sum(int(number(a.training.batch)) for a in of.kinds),
        "step_s": interval(of.step),
        "waits_for": of.slowest,
        "tokens_per_s": of.rate,
        **_run(of.run),
        "price_basis": price_basis,
        "kinds": [train(a, calibration, price_basis=price_basis) for a in of.kinds],
    }


def _run(of: Run | None) -> dict[str, Any]:
    """Days, money, energy and carbon of a run; null without a budget of tokens."""
    if of is None:
        return dict.fromkeys(("days", "usd", "mwh", "tco2", "run"))
    return {
        "days": from_base(of.total, "d"),
        "usd": money(of.usd),
        "mwh": None if of.energy is None else from_base(of.energy, "MWh"),
        "tco2": None if of.carbon is None else of.carbon / MILLION,
        "run": {
            "tokens": of.tokens,
            "steps": of.steps,
            "ideal_days": from_base(of.ideal, "d"),
            "goodput": of.goodput,
            "failures": of.failures,
            "checkpoint_interval_s": of.interval,
        },
    }


def _training_memory(of: TrainingMemory) -> dict[str, Any]:
    names = ("weights", "gradients", "optimiser", "activations", "buffers", "capacity")
    parts = {name: number(getattr(of, name)) for name in names}
    return {"total": number(training_total(of)), **parts}


def _parallelism(of: Any) -> dict[str, Any]:
    degrees = ("tp", "pp", "cp", "ep", "dp", "interleave", "micro")
    return {
        **{name: int(number(getattr(of, name))) for name in degrees},
        "shard": of.shard,
        "recompute": of.recompute,
        "text": describe_layout(of),
    }
