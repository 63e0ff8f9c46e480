"""Fitting yields: planted factors come back, priors hold where nothing speaks, folds are honest."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from chipwise import catalog, yield_fit
from chipwise.intervals import BASES
from chipwise.plan.offline import Offline
from chipwise.plan.reported import Case, Reported
from chipwise.types import Calibration, Workload, Yields
from chipwise.yield_fit import Fitted, fit, fit_throughput, left_out, predicted
from chipwise.yields import Setting

PLANTED = {"rate:mlperf:AMD:v5.1": -0.2, "compute:AMD": -0.4, "watts": 0.9}


def _cases() -> list[Case]:
    model = catalog.model("llama-2-70b")
    found = []
    for name in ("h100-sxm", "h200-sxm", "h100-nvl", "mi300x", "mi325x"):
        chip = catalog.chip(name)
        for isl, osl, clients in (
            (2048.0, 64.0, 256.0),
            (128.0, 512.0, 8.0),
            (128.0, 512.0, 256.0),
        ):
            run = Offline(model, chip, "vllm", "fp8", "bf16", 4, Workload(isl, osl), clients, tp=4)
            found.append(Case(run, "rate", Setting("mlperf", era="v5.1")))
    return found


@pytest.fixture(scope="module")
def rows(general: Calibration) -> list[Reported]:
    """What a world with the planted yields would have measured, thrice."""
    told = replace(general, yields=Yields(PLANTED))
    return [Reported(case, predicted(case, told)) for case in _cases()] * 3


@pytest.fixture(scope="module")
def found(rows: list[Reported], general: Calibration) -> Fitted:
    return fit(rows, general)


@pytest.mark.slow
def test_planted_yields_are_explained(found: Fitted) -> None:
    assert np.median(np.abs(found.logs)) < 0.04
    values = dict(zip((f.name for f in found.factors), found.theta, strict=True))
    assert values["watts"] == pytest.approx(0.9, abs=0.2)
    # What AMD lacks is shared among the levels that could explain it; their sum is what counts.
    levels = ("newcomers", "AMD", "CDNA3")
    assert sum(values[f"compute:{s}"] for s in levels) == pytest.approx(-0.4, abs=0.2)
    assert values["rate:mlperf:NVIDIA:v5.1"] == pytest.approx(0.0, abs=0.06)


@pytest.mark.slow
def test_a_factor_stops_at_its_bound_and_the_others_fit_what_that_leaves(
    general: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = replace(general, yields=Yields({**PLANTED, "watts": 1.4}))
    rows = [Reported(case, predicted(case, told)) for case in _cases()] * 3
    free = fit(rows, general)
    names = [f.name for f in free.factors]
    assert free.theta[names.index("watts")] > 0.72
    monkeypatch.setattr(yield_fit, "_MOST", {"watts": 0.72})
    found = fit(rows, general)
    assert found.theta[names.index("watts")] == 0.72
    assert found.cost >= free.cost
    # A step of the others from there gains nothing.
    prior = yield_fit._prior(found.factors)
    step = yield_fit._newton(found.logs, found.slopes, found.weight, found.theta, prior)
    assert step[names.index("watts")] == 0.0
    assert np.abs(step).max() < 0.05


def test_what_no_row_speaks_of_stays_at_its_prior(
    rows: list[Reported], general: Calibration
) -> None:
    home = [r for r in rows if r.case.run.chip.vendor == "NVIDIA"]
    names = {f.name for f in fit(home, general).factors}
    assert not any("AMD" in name or "newcomers" in name for name in names)


@pytest.mark.slow
def test_left_out_rows_do_not_tell_of_themselves(rows: list[Reported], found: Fitted) -> None:
    """A group's own figures change nothing of what is said of it when it is left out."""
    groups = [r.case.run.chip.vendor for r in rows]
    amd = np.array([g == "AMD" for g in groups])
    plain = left_out(found, groups)
    moved = replace(found, logs=found.logs + 0.3 * amd)
    shifted = left_out(moved, groups)
    assert shifted[amd] == pytest.approx(plain[amd] + 0.3, abs=1e-6)
    assert np.abs(plain[amd]).mean() > np.abs(found.logs[amd]).mean()


@pytest.mark.slow
def test_what_is_known_of_all_rows_stays_known(rows: list[Reported], found: Fitted) -> None:
    groups = [r.case.run.chip.vendor for r in rows]
    plain, known = left_out(found, groups), left_out(found, groups, "compute:")
    amd = np.array([g == "AMD" for g in groups])
    assert np.abs(known[amd]).mean() < np.abs(plain[amd]).mean()
    assert known != pytest.approx(plain)


@pytest.mark.slow
def test_a_row_that_cannot_be_predicted_is_passed_over(
    rows: list[Reported], general: Calibration
) -> None:
    case = rows[0].case
    odd = Reported(replace(case, run=replace(case.run, tp=3, chips=3)), 1.0)
    assert math.isnan(predicted(odd.case, general))
    found = fit([*rows, odd], general)
    assert np.isnan(found.logs[-1])
    assert np.isfinite(found.theta).all()


@pytest.mark.slow
def test_what_is_kept_can_be_read_back(
    rows: list[Reported], general: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yield_fit, "_FEWEST", 5)
    part = fit_throughput(rows, general)
    read = Yields(part["values"], part["widths"], frozenset(map(tuple, part["stacks"])))
    told = replace(general, yields=read)
    off = [abs(math.log(predicted(r.case, told) / r.value)) for r in rows]
    assert np.median(off) < 0.05
    for side in ("NVIDIA", "newcomers"):
        widths = [part["widths"].get(f"{basis}:mlperf:{side}", math.nan) for basis in BASES]
        known = [w for w in widths if not math.isnan(w)]
        assert known == sorted(known)
    assert ("llama-2-70b", "amd-mi300x", "vllm", "CDNA3", "AMD") in read.stacks
