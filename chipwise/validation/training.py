"""Rows of training tables → what is predicted of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chipwise import catalog
from chipwise.catalog.training import network, training_calibration
from chipwise.errors import ChipwiseError
from chipwise.plan.training_rows import case, measured_rate, predict_rate
from chipwise.types import Calibration

__all__ = ["COLUMNS", "line", "truths"]

Row = Mapping[str, str]
Line = dict[str, Any]

COLUMNS = ("row", "pred_tokens_per_s_per_chip", "pred_low", "pred_high", "error")


def line(row: Row, calibration: Calibration) -> Line:
    """Tokens per second and chip of a training run; factors of training stand in a file apart."""
    assert calibration.id
    found = predict_rate(case(row, catalog.chip, catalog.model, network), training_calibration())
    return {
        "pred_tokens_per_s_per_chip": found.value,
        "pred_low": found.low,
        "pred_high": found.high,
        "error": "",
    }


def truths(row: Row) -> dict[str, float]:
    """Tokens per second and chip that a row measured."""
    try:
        rate = measured_rate(row, case(row, catalog.chip, catalog.model, network))
    except (ChipwiseError, ValueError):
        return {}
    return {"tokens_per_s_per_chip": rate} if rate else {}
