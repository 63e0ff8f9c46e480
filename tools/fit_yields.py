"""Fit the yields of published tables on the catalog's measured rows, and say how they carry over.

    python tools/fit_yields.py

writes the key ``yields`` of chipwise/catalog/data/calibration.json, on top of the factors that
stand there: run it after the operators and the engines' habits have been fitted.
"""

from __future__ import annotations

import json

from chipwise import catalog
from chipwise.catalog.files import DATA
from chipwise.catalog.measured import table
from chipwise.plan.reported import Reported
from chipwise.validation import throughput
from chipwise.yield_fit import fit_throughput

FILE = DATA / "calibration.json"


def read() -> list[Reported]:
    """Rows of the published tables that a figure was measured of."""
    found = []
    for name in ("trtllm", "mlperf", "other"):
        kind, rows = table(DATA / "measured" / f"{name}.csv")
        found += throughput.measured(kind, rows)
    return found


def main() -> None:
    """Fit, write, and print the errors of rows that were left out with their kind."""
    part = fit_throughput(read(), catalog.calibration())
    content = json.loads(FILE.read_text(encoding="utf-8"))
    content["yields"] = part
    FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for basis, kinds in part["residuals"].items():
        for kind, errors in kinds.items():
            figures = "  ".join(f"{name} {value:.3g}" for name, value in errors.items())
            print(f"{basis:10s} {kind:28s} {figures}")


if __name__ == "__main__":
    main()
