"""Fitting on runs: known factors come back, what is left out stays out, widths only widen."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from importlib import util

import numpy as np
import pytest

from chipwise import catalog, corrections, habits, intervals, yields
from chipwise.catalog.factors import read_calibration
from chipwise.catalog.files import DATA, read_json
from chipwise.catalog.measured import table
from chipwise.cli import main
from chipwise.errors import BadInput
from chipwise.habits import Measured
from chipwise.plan.replay import replay
from chipwise.types import Calibration
from chipwise.validation import fitting, serving
from chipwise.yield_fit import predicted

_, ROWS = table(DATA / "measured" / "serving.csv")
sorted_out = cache(lambda: fitting.sorted_out(ROWS))
schemes = cache(lambda: fitting.schemes(sorted_out()[0]))


@pytest.fixture(scope="module")
def runs() -> list[Measured]:
    """A few runs of each of four stacks of two engines and three chips."""
    every, _ = sorted_out()
    found: list[Measured] = []
    for stack in (
        ("llama-3-70b", "nvidia-h100-sxm", "vllm"),
        ("llama-3-70b", "nvidia-h200-sxm", "vllm"),
        ("llama-3-70b", "nvidia-b200-sxm", "trtllm"),
        ("minimax-m2", "nvidia-h200-sxm", "vllm"),
    ):
        those = [m for m in every if m.stack == stack and m.run.concurrency <= 32]
        found += those[:: max(len(those) // 8, 1)][:8]
    return found


def as_if(runs: list[Measured], truth: Calibration) -> list[Measured]:
    """Runs that measured exactly what a calibration says."""
    times = [replay(m.run, truth) for m in runs]
    return [replace(m, ttft=t[0], tpot=t[1]) for m, t in zip(runs, times, strict=True)]


@pytest.mark.slow
def test_a_fit_finds_what_the_runs_were_made_with(
    runs: list[Measured], general: Calibration
) -> None:
    chosen = [f for f in habits.factors(general) if f.at in (("vllm", "layer"), ("vllm", "host"))]
    assert len(chosen) == 2
    truth = habits.with_factors(general, [(f, 1.4) for f in chosen])
    begin = habits.start(as_if(runs, truth), general)
    off = np.nanmedian(np.abs(habits.predict(begin.measured, general)[:, 1]))
    fitted = habits.fit(begin, tight=0.2)
    left = np.nanmedian(np.abs(habits.predict(begin.measured, fitted)[:, 1]))
    assert left < 0.15 * off


@pytest.mark.slow
def test_a_fit_on_its_own_truth_moves_nothing(runs: list[Measured], general: Calibration) -> None:
    begin = habits.start(as_if(runs, general), general)
    fitted = habits.fit(begin)
    assert fitted.engines["vllm"].values == pytest.approx(general.engines["vllm"].values)


def test_slopes_hold_no_measurement(runs: list[Measured], general: Calibration) -> None:
    other = [replace(m, ttft=3 * m.ttft, tpot=2 * m.tpot) for m in runs]
    one, two = habits.start(runs[:3], general), habits.start(other[:3], general)
    assert np.allclose(one.slopes, two.slopes, atol=1e-9)


@pytest.mark.slow
def test_what_is_left_out_is_not_seen(runs: list[Measured], general: Calibration) -> None:
    """Measuring anything else of the left-out runs changes no prediction of them."""
    begin = habits.start(runs, general)
    part = [i for i, m in enumerate(runs) if m.stack[1] == "nvidia-h100-sxm"]
    odd = replace(
        begin,
        measured=tuple(
            replace(m, ttft=5 * m.ttft, tpot=5 * m.tpot) if i in part else m
            for i, m in enumerate(runs)
        ),
    )
    one = fitting.left_out(begin, "stack", [part]).logs[part]
    two = fitting.left_out(odd, "stack", [part]).logs[part]
    assert np.allclose(one - two, math.log(5.0))


def test_schemes_leave_out_whole_groups() -> None:
    measured, _ = sorted_out()
    found = schemes()
    labels = {
        "stack": lambda m: m.stack,
        "model": lambda m: m.run.model.family,
        "chip": lambda m: m.run.chip.id,
        "vendor": lambda m: m.run.chip.generation,
    }
    for basis, label in labels.items():
        for part in found[basis]:
            inside = {label(measured[i]) for i in part}
            outside = {label(m) for i, m in enumerate(measured) if i not in set(part)}
            assert inside
            assert not inside & outside
    for basis in ("seen", "stack", "model"):
        assert sorted(i for part in found[basis] for i in part) == list(range(len(measured)))


def test_a_chip_without_siblings_says_nothing_of_new_chips() -> None:
    measured, _ = sorted_out()
    chips = {measured[part[0]].run.chip.id for part in schemes()["chip"]}
    assert "nvidia-b200-sxm" not in chips
    assert {"nvidia-h100-sxm", "nvidia-h200-sxm"} <= chips


def test_every_run_left_out_has_a_reason_and_none_is_of_its_prediction() -> None:
    runs = serving.measured(ROWS)
    odd = serving.suspects(runs)
    assert 0 < len(odd) < 0.04 * len(runs)
    assert all(odd.values())
    kept, same = sorted_out()
    assert same == odd
    assert len(kept) + len(odd) == len(runs)


def test_widths_never_narrow_with_distance(general: Calibration) -> None:
    for near, far in zip(intervals.BASES, intervals.BASES[1:], strict=False):
        for quantity in ("ttft", "tpot", "throughput"):
            assert general.widths[near][quantity] <= general.widths[far][quantity]


def test_a_quantile_covers_nine_in_ten() -> None:
    logs = np.random.default_rng(0).normal(0, 0.2, 999)
    width = fitting.quantile(logs)
    assert np.mean(np.abs(logs) <= width) == pytest.approx(0.9, abs=0.002)


def test_residuals_are_shrunk(runs: list[Measured], general: Calibration) -> None:
    """A stack that is always a tenth slow is nearly made good; one run is hardly believed."""
    loads = [serving.load_of(m.run) for m in runs[:8]]
    many = corrections.fit_stack(loads, np.full(8, -0.1), "tpot")
    one = corrections.fit_stack(loads[:1], np.full(1, -0.1), "tpot")
    assert float(np.dot(many, loads[0])) == pytest.approx(-0.1, abs=0.02)
    assert -0.1 < float(np.dot(one, loads[0])) < 0.0


def test_the_shipped_calibration_says_what_it_rests_on(general: Calibration) -> None:
    stacks = {(m.stack) for m in sorted_out()[0]}
    assert {s[:3] for s in general.stacks} <= stacks
    assert {key[:3] for key in general.corrections} == {s[:3] for s in general.stacks}
    assert "serving runs" in general.fitted_on


def test_only_serving_tables_are_fitted_on(tmp_path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("model,chip,n_chips,precision,seq_len\n")
    with pytest.raises(BadInput, match="training"):
        fitting.written(file)


@pytest.mark.skipif(bool(util.find_spec("aiconfigurator_core")), reason="the extra is installed")
def test_without_the_extra_op_timings_are_refused_before_the_fit(tmp_path, capsys) -> None:
    out, operators = tmp_path / "c.json", tmp_path / "o.json"
    assert main(["calibrate", "--out", str(out), "--op-timings", str(operators)]) == 2
    assert "aiconfigurator-core" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
def test_the_shipped_habits_are_those_of_the_shipped_runs(general: Calibration) -> None:
    """What `make calibrate` would write, without the cross-validation."""
    measured, _ = sorted_out()
    begin = habits.start(measured, read_calibration(DATA / "calibration_start.json"))
    fitted = fitting.residuals(measured, habits.fit(begin))
    made = json.loads(json.dumps(fitting.content(fitted, (), {})))
    for name, values in made["engines"].items():
        assert dict(general.engines[name].values) == pytest.approx(values, rel=1e-6)
    assert made["shapes"] == pytest.approx(dict(general.shapes), rel=1e-6)
    assert fitted.stacks == general.stacks
    kept = read_json(DATA / "calibration.json")["corrections"]
    for row, shipped in zip(made["corrections"], kept, strict=True):
        for name in ("ttft", "tpot", "low", "high"):
            assert row[name] == pytest.approx(shipped[name], rel=1e-5, abs=1e-6)


@pytest.mark.slow
def test_the_shipped_yields_leave_the_shipped_errors(general: Calibration) -> None:
    """The fit's last look at every published row, made anew with what ships."""
    rows = fitting.reported()
    logs = np.log([predicted(r.case, general) / r.value for r in rows])
    told = read_json(DATA / "calibration.json")["yields"]["residuals"]["fitted"]
    for kind, errors in told.items():
        table_, quantity, side = kind.split(" ")
        mine = [
            log
            for log, r in zip(logs, rows, strict=True)
            if table_ in ("all", r.case.setting.table)
            and quantity == r.case.quantity
            and side == yields.side(r.case.run.chip)
        ]
        assert len(mine) == errors["count"]
        assert np.median(np.abs(np.expm1(mine))) == pytest.approx(errors["median_ape"], abs=1e-3)


def test_starting_values_are_a_calibration() -> None:
    guess = read_calibration(DATA / "calibration_start.json")
    assert not guess.stacks
    assert set(guess.engines) == set(catalog.calibration().engines)
