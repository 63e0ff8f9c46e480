"""Whole steps of a small model as predicted from a profile, beside the same steps as timed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chipwise.catalog.huggingface import shape
from chipwise.perf.inference import Load, step
from chipwise.profile.cases import Case
from chipwise.profile.factors import BARE
from chipwise.types import Calibration, Chip, Deployment, Model, Side

__all__ = ["Step", "compare", "described"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a prompt alone, or sequences that decode over a context; seconds of both."""

    prompt: int
    sequences: int
    context: int
    measured: float
    predicted: float


def described(config: Mapping[str, Any], format: str) -> Model:
    """The model of a config.json's keys, with its weights in a format."""
    form = shape(config)
    return Model(
        id=str(config["model_type"]),
        family=str(config["model_type"]),
        layers=form.layers,
        hidden=form.hidden,
        vocab=form.vocab,
        tied=form.tied,
        weights=format,
        context=form.context,
        depth=form.depth,
    )


def compare(
    timed: Mapping[str, tuple[Case, float]],
    config: Mapping[str, Any],
    chip: Chip,
    calibration: Calibration,
) -> Iterator[Step]:
    """Every step that was timed, with its prediction; no step took part in the fit.

    Parameters
    ----------
    timed : mapping
        From `factors.typical`.
    config : mapping
        Of the model that ran.
    chip, calibration : Chip, Calibration
        From `factors.chip_facts` or the catalog, and `factors.calibrated`.
    """
    for case, seconds in timed.values():
        if case.op != "step":
            continue
        prompt, sequences, context = (case.shape[n] for n in ("prompt", "sequences", "context"))
        model = described(config, case.format)
        made = Deployment(Side(chip), case.format, case.format, BARE)
        if prompt:
            load = Load(0.0, 0.0, float(prompt), prompt / 2.0, 1.0)
        else:
            load = Load(float(sequences), float(context), 0.0, 0.0, float(sequences))
        found, _ = step(model, made, made.decode, load, calibration)
        yield Step(prompt, sequences, context, seconds, float(np.asarray(found.total)))
