"""Measured against predicted: a line for each row of a table, and what they show together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from chipwise.errors import BadInput, ChipwiseError
from chipwise.types import Array, Calibration
from chipwise.validation import serving, throughput, training

__all__ = ["COLUMNS", "predict", "report", "spearman"]

Row = Mapping[str, str]
Line = dict[str, Any]
Predictor = Callable[[Row, Calibration], Line]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "serving": serving.COLUMNS,
    **dict.fromkeys(("trtllm", "mlperf", "other"), throughput.COLUMNS),
    "training": training.COLUMNS,
}
_PREDICTORS: Mapping[str, Predictor] = {
    "serving": serving.line,
    **{kind: partial(throughput.line, kind) for kind in ("trtllm", "mlperf", "other")},
    "training": training.line,
}

_WORST = 20


def predict(kind: str, rows: Sequence[Row], calibration: Calibration) -> Iterator[Line]:
    """A line for each row, in order; one that cannot be predicted says why in `error`.

    Measured columns are never read.

    Parameters
    ----------
    kind : str
        As told by catalog.measured.table.
    rows : sequence of mapping
        Column → text.
    calibration : Calibration
        Fitted factors.
    """
    if kind not in _PREDICTORS:
        raise BadInput(f"no predictions for {kind} tables; known are {', '.join(_PREDICTORS)}")
    key = COLUMNS[kind][0]
    for number, row in enumerate(rows):
        line: Line = dict.fromkeys(COLUMNS[kind], "")
        line[key] = row.get("id", "") if key == "id" else number
        try:
            line |= _PREDICTORS[kind](row, calibration)
        except ChipwiseError as error:
            line["error"] = str(error)
        yield line


def _truths(kind: str, row: Row) -> dict[str, float]:
    """What a row measured, under the names of the predicted columns."""
    if kind == "serving":
        return serving.truths(row)
    if kind == "training":
        return training.truths(row)
    return throughput.truths(kind, row)


# Beyond these a figure is a slip of the pen, as 0 is.
_LEAST, _MOST = 1e-12, 1e15


@dataclass(frozen=True, slots=True)
class _Off:
    """A quantity of a row, predicted and measured; the bounds are 0 and ∞ where it has none."""

    row: int
    quantity: str
    made: float
    low: float
    high: float
    truth: float

    @property
    def held(self) -> bool | None:
        """Whether the interval held, if there is one."""
        return self.low <= self.truth <= self.high if math.isfinite(self.high) else None


def _compared(kind: str, rows: Sequence[Row], lines: Sequence[Line]) -> list[_Off]:
    found = []
    for i, line in enumerate(lines):
        if line["error"]:
            continue
        for name, truth in _truths(kind, rows[i]).items():
            made, low, high = serving.bounds_of(line, name)
            if made is not None and _LEAST < truth < _MOST:
                found.append(_Off(i, name, made, low, high, truth))
    return found


def _names(row: Row, line: Line) -> dict[str, str]:
    """What a row belongs to, for errors by group."""
    return {
        "basis": line.get("basis", ""),
        "chip": row.get("chip") or row.get("gpu") or row.get("accelerator") or "",
        "model": row.get("model", ""),
        "engine": row.get("backend") or row.get("framework") or row.get("version") or "",
    }


def report(kind: str, rows: Sequence[Row], lines: Sequence[Line]) -> dict[str, Any]:
    """Errors in all and by basis, chip, model and engine, and how often the interval held.

    Returns
    -------
    dict
        rows, predicted, and for each quantity count, median_ape, mean_ape, p90_ape, bias (median
        of predicted over measured), spearman, coverage; the same under by_basis, by_chip,
        by_model, by_engine; every pair that was compared, with its interval; the twenty worst
        rows, with a guess at the cause; the refused rows.
    """
    compared = _compared(kind, rows, lines)
    names = [_names(row, line) for row, line in zip(rows, lines, strict=True)]
    whole: dict[str, Any] = {
        "rows": len(rows),
        "predicted": sum(not line["error"] for line in lines),
        "quantities": _errors(compared),
    }
    for by in ("basis", "chip", "model", "engine"):
        groups: dict[str, list[_Off]] = defaultdict(list)
        for off in compared:
            groups[names[off.row][by]].append(off)
        whole[f"by_{by}"] = {key: _errors(those) for key, those in sorted(groups.items())}
    whole["compared"] = [_pair(off, rows[off.row], names[off.row]) for off in compared]
    odd = serving.suspects(serving.measured(rows)) if kind == "serving" else {}
    worst = sorted(compared, key=lambda off: -abs(math.log(off.made / off.truth)))[:_WORST]
    whole["worst"] = [_told(off, rows[off.row], names[off.row], odd) for off in worst]
    whole["errors"] = [
        {"row": i, "error": ln["error"]} for i, ln in enumerate(lines) if ln["error"]
    ]
    return whole


def _pair(off: _Off, row: Row, names: Mapping[str, str]) -> dict[str, Any]:
    bounded = math.isfinite(off.high)
    return {
        "row": off.row,
        "id": row.get("id", ""),
        **names,
        "quantity": off.quantity,
        "measured": off.truth,
        "predicted": off.made,
        "low": off.low if bounded else None,
        "high": off.high if bounded else None,
    }


def _told(off: _Off, row: Row, names: Mapping[str, str], odd: Mapping[str, str]) -> dict[str, Any]:
    return {
        **_pair(off, row, names),
        "ratio": off.made / off.truth,
        "guess": odd.get(row.get("id", "")) or _guess(off, row, names),
    }


_LONG_WAIT = 5e3  # [ms]


def _guess(off: _Off, row: Row, names: Mapping[str, str]) -> str:
    """A likely cause of a large error; none of them is more than a guess."""
    low = off.made < off.truth
    if off.quantity == "ttft_ms" and low and off.truth > _LONG_WAIT:
        return "a wait beyond queue and prefill: cold kernels, or a server with fewer slots"
    if off.quantity == "ttft_ms":
        return "when requests join, and how prompts share an iteration"
    if names["basis"] in ("vendor", "datasheet"):
        return "a chip whose software nobody measured"
    if row.get("concurrency") == "1":
        return "one client: such rows are often labelled wrongly"
    if low:
        return "a kernel that is slower than its kind, or a server that was not tuned"
    return "a faster kernel, prefix caching or speculation that the row does not name"


def _ranks(values: Array) -> Array:
    """Ranks from zero; equal values share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Array = (np.cumsum(count) - (count + 1) / 2.0)[place]
    return ranks


def spearman(a: Array, b: Array) -> float | None:
    """Rank correlation; None where there is nothing to rank."""
    x, y = _ranks(a), _ranks(b)
    spread = float(x.std() * y.std())
    return float(((x - x.mean()) * (y - y.mean())).mean() / spread) if spread else None


def _errors(compared: Sequence[_Off]) -> dict[str, Any]:
    """Errors of each measured quantity."""
    pairs: dict[str, list[_Off]] = defaultdict(list)
    for off in compared:
        pairs[off.quantity].append(off)
    found: dict[str, Any] = {}
    for name, those in pairs.items():
        made, truth = np.array([o.made for o in those]), np.array([o.truth for o in those])
        off = np.abs(made / truth - 1.0)
        held = [o.held for o in those if o.held is not None]
        found[name] = {
            "count": len(those),
            "median_ape": float(np.median(off)),
            "mean_ape": float(off.mean()),
            "p90_ape": float(np.quantile(off, 0.9)),
            "bias": float(np.median(made / truth)),
            "spearman": spearman(made, truth),
            "coverage": float(np.mean(held)) if held else None,
        }
    return found
