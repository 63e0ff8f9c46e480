"""Measured against predicted: a line for each row of a table, and what they show together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from chipwise.errors import BadInput, ChipwiseError
from chipwise.types import Calibration
from chipwise.validation import serving, throughput

__all__ = ["COLUMNS", "predict", "report"]

Row = Mapping[str, str]
Line = dict[str, Any]
Predictor = Callable[[Row, Calibration], Line]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "serving": serving.COLUMNS,
    **dict.fromkeys(("trtllm", "mlperf", "other"), throughput.COLUMNS),
}
_PREDICTORS: Mapping[str, Predictor] = {
    "serving": serving.line,
    "trtllm": throughput.trtllm_line,
    "mlperf": throughput.mlperf_line,
    "other": throughput.other_line,
}


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
    return throughput.truths(kind, row)


def report(kind: str, rows: Sequence[Row], lines: Sequence[Line]) -> dict[str, Any]:
    """Errors in all and by basis, chip, model and engine, and how often the interval held.

    Returns
    -------
    dict
        rows, predicted, and for each quantity count, median_ape, mean_ape, p90_ape, bias,
        coverage; the same under by_basis, by_chip, by_model, by_backend; the refused rows.
    """
    every = [i for i, line in enumerate(lines) if not line["error"]]
    groups: dict[str, dict[str, list[int]]] = {
        name: defaultdict(list) for name in ("basis", "chip", "model", "backend")
    }
    for i in every:
        row = rows[i]
        names = {
            "basis": lines[i]["basis"],
            "chip": row.get("chip") or row.get("gpu") or row.get("accelerator") or "",
            "model": row.get("model", ""),
            "backend": row.get("backend") or row.get("framework") or row.get("version") or "",
        }
        for name, value in names.items():
            groups[name][value].append(i)
    return {
        "rows": len(rows),
        "predicted": len(every),
        **_errors(kind, rows, lines, every),
        **{
            f"by_{name}": {key: _errors(kind, rows, lines, at) for key, at in sorted(found.items())}
            for name, found in groups.items()
        },
        "errors": [{"row": i, "error": ln["error"]} for i, ln in enumerate(lines) if ln["error"]],
    }


def _errors(
    kind: str, rows: Sequence[Row], lines: Sequence[Line], at: Sequence[int]
) -> dict[str, Any]:
    """Errors of each measured quantity over some rows."""
    pairs: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for i in at:
        for name, truth in _truths(kind, rows[i]).items():
            made, low, high = serving.bounds_of(lines[i], name)
            if made is None or not truth > 0:
                continue
            pairs[name].append((made / truth, low is None or low <= truth <= high))
    found: dict[str, Any] = {"count": len(at)}
    for name, those in pairs.items():
        ratio = np.array([p[0] for p in those])
        off = np.abs(ratio - 1.0)
        found[name] = {
            "count": len(those),
            "median_ape": float(np.median(off)),
            "mean_ape": float(off.mean()),
            "p90_ape": float(np.quantile(off, 0.9)),
            "bias": float(np.median(ratio)),
            "coverage": float(np.mean([p[1] for p in those])),
        }
    return found
