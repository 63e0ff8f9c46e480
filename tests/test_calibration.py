"""Fitting operator factors: known factors come back, and scopes learn from one another."""

from dataclasses import replace
from importlib import metadata

import numpy as np
import pytest

from chipwise import calibration
from chipwise.calibration import FIELDS, Timings, fit, leave_one_out, predict, prune, scopes
from chipwise.errors import BadInput
from chipwise.perf import roofline
from chipwise.types import Calibration, Chip, Efficiency, Link, Work

NVLINK = Link("NVLink", 8, 450e9)


def chip(name, architecture="Hopper", vendor="NVIDIA", link=NVLINK):
    rates = {"bf16": 1e15, "fp8": 2e15}
    return Chip(
        name, name, vendor, "US", architecture, "", "", "", rates, 8e10, 0.0, 4e12, link, None,
        700.0, None, True, {},
    )  # fmt: skip


CHIPS = {
    c.id: c for c in (chip("a"), chip("b"), chip("c", "Blackwell"), chip("d", "Xe2", "Intel", None))
}


def gemm(factors, name="a", engine="vllm", noise=0.0, format="bf16"):
    """Timings of products that follow the factors exactly, or nearly."""
    rng = np.random.default_rng(7)
    m, n, k = (2.0 ** rng.uniform(low, high, 800) for low, high in ((0, 14), (8, 14), (8, 14)))
    ones = np.ones_like(m)
    x = Timings(
        "gemm",
        engine,
        format,
        name,
        ones,
        flop=2 * m * n * k / 1e15,
        byte=2 * (n * k + m * n + m * k) / 4e12,
        inner=k,
        operand=2 * m * k / 4e12,
        whole=0 * m,
        wire=0 * m,
        starts=ones,
        tiles=0 * m,
        shard=ones,
        group=np.floor(n / 512),
        weight=ones,
    )
    return replace(x, seconds=predict(np.array(factors), x) * np.exp(rng.normal(0, noise, 800)))


TRUE = (4e-6, 0.7, 0.85, 2.2, 4e-10, 0.0, 0.0, 0.0, 0.0)
SLOW = (9e-6, 0.4, 0.6, 1.5, 4e-10, 0.0, 0.0, 0.0, 0.0)


def test_known_factors_come_back_through_noise():
    factors, residuals = fit([gemm(TRUE, noise=0.05)], CHIPS)
    found = dict(zip(FIELDS, factors["gemm@vllm", "bf16", "a"], strict=True))
    assert found["start"] == pytest.approx(4e-6, rel=0.05)
    assert found["compute"] == pytest.approx(0.7, rel=0.05)
    assert found["memory"] == pytest.approx(0.85, rel=0.05)
    assert found["depth"] == pytest.approx(4e-10, rel=0.2)
    assert found["passes"] == found["sweeps"] == found["padding"] == 0.0
    shapes = [r for r in residuals if r.engine == "vllm"]
    assert [r.of for r in shapes] == ["shapes"]
    assert shapes[0].median < 0.06


@pytest.mark.slow
def test_a_fit_is_the_same_every_time():
    parts = [gemm(TRUE, noise=0.1), gemm(SLOW, "c", noise=0.1)]
    once, again = fit(parts, CHIPS)[0], fit(parts, CHIPS)[0]
    assert once.keys() == again.keys()
    for key, factors in once.items():
        np.testing.assert_array_equal(factors, again[key])


def test_outliers_hardly_move_the_factors():
    x = gemm(TRUE, noise=0.02)
    wild = x.seconds.copy()
    wild[::20] *= 30.0
    factors, _ = fit([replace(x, seconds=wild)], CHIPS)
    assert factors["gemm@vllm", "bf16", "a"][1] == pytest.approx(0.7, rel=0.1)


def test_a_scope_is_written_for_chip_generation_vendor_and_any():
    factors, _ = fit([gemm(TRUE), gemm(TRUE, "b"), gemm(SLOW, "d")], CHIPS)
    written = {scope for name, _, scope in factors if name == "gemm"}
    assert written == {"a", "b", "d", "Hopper", "Xe2 PCIe", "NVIDIA", ""}
    # A vendor of one chip tells nothing about its other chips.
    assert ("gemm", "bf16", "Intel") not in factors


@pytest.mark.slow
def test_a_chip_that_was_left_out_is_predicted_from_its_generation():
    parts = [gemm(TRUE), gemm(TRUE, "b"), gemm(SLOW, "c")]
    errors = {r.chip: r for r in leave_one_out(parts, CHIPS) if r.engine == ""}
    assert errors["a"].of == "chip < Hopper"
    assert errors["a"].median < 0.02
    assert errors["c"].of == "chip < NVIDIA"
    assert errors["c"].bias < -0.2  # the faster generation promises too much


def test_few_timings_stay_near_the_scope_above():
    few = calibration._take(gemm(SLOW, "b"), np.arange(800) < 1)
    factors, _ = fit([gemm(TRUE), few], CHIPS)
    near = factors["gemm@vllm", "bf16", "Hopper"]
    assert abs(np.log(factors["gemm@vllm", "bf16", "b"][3] / near[3])) < 0.5


@pytest.mark.slow
def test_pruning_keeps_what_pays_and_drops_what_does_not():
    alike = [gemm(TRUE), gemm(TRUE, "b")]
    kept = prune(fit(alike, CHIPS)[0], alike, CHIPS)
    assert set(kept) == {("gemm", "bf16", s) for s in ("", "NVIDIA", "Hopper")}
    apart = [gemm(TRUE), gemm(SLOW, "b"), gemm(SLOW, engine="sglang")]
    kept = prune(fit(apart, CHIPS)[0], apart, CHIPS)
    assert ("gemm@vllm", "bf16", "b") in kept
    assert any(name == "gemm@sglang" for name, _, _ in kept)


def test_prediction_is_the_step_models_own_form():
    x = gemm(TRUE)
    factors = Efficiency(*TRUE[:4])
    record = Calibration("t", {("gemm", "bf16", ""): factors}, {}, {}, {}, {}, frozenset())
    ours = predict(np.array([*TRUE[:4], 0, 0, 0, 0, 0]), x)
    for row in (0, 99, 500):
        work = Work(flops=x.flop[row] * 1e15, bytes=x.byte[row] * 4e12)
        spent = roofline.seconds(roofline.Op("gemm", "bf16", "bf16", work), CHIPS["a"], record)
        assert ours[row] == pytest.approx(spent.total, rel=1e-9)


def test_more_work_never_takes_less_time():
    x = gemm(TRUE)
    full = np.array([4e-6, 0.7, 0.85, 2.2, 4e-10, 2.0, 10.0, 0.1, 1.0])
    base = predict(full, replace(x, tiles=0.1 + x.tiles, shard=700 * x.shard))
    for name in ("flop", "byte", "inner", "operand", "whole", "tiles", "starts"):
        more = replace(x, tiles=0.1 + x.tiles, shard=700 * x.shard)
        more = replace(more, **{name: getattr(more, name) * 1.5 + 1e-9})
        assert np.all(predict(full, more) >= base)


def test_scopes_name_silicon_of_its_own_and_the_generation_before():
    assert scopes(chip("x", "Blackwell Ultra")) == (
        "x",
        "Blackwell Ultra",
        "Blackwell",
        "NVIDIA",
        "",
    )
    assert scopes(chip("x", "Blackwell", link=None))[1] == "Blackwell PCIe"


def test_a_record_leaves_out_the_terms_that_are_absent():
    entry = calibration.record("gemm", "bf16", "Hopper", np.array(TRUE))
    assert entry == {
        "class": "gemm", "format": "bf16", "scope": "Hopper",
        "start": 4e-6, "compute": 0.7, "memory": 0.85, "exponent": 2.2, "depth": 4e-10,
    }  # fmt: skip


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(BadInput, match="extra 'calibrate'"):
        calibration._root()


def test_another_version_of_the_package_is_refused(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda _: "0.11.0")
    monkeypatch.setattr(calibration.resources, "files", lambda _: "/nowhere")
    with pytest.raises(BadInput, match=r"0\.12\.0, but 0\.11\.0"):
        calibration._root()


def test_a_missing_chip_is_named():
    with pytest.raises(BadInput, match="intel-b60"):
        calibration.read_timings({})


def test_tables_are_read_with_the_step_models_work(tmp_path):
    pl = pytest.importorskip("polars")
    folder = tmp_path / "h200_sxm" / "gemm" / "sglang" / "0.5.14"
    folder.mkdir(parents=True)
    sizes = [(m, 4096, 2048) for m in range(1, 81)]
    frame = pl.DataFrame(sizes, schema=["m", "n", "k"], orient="row")
    frame = frame.with_columns(gemm_dtype=pl.lit("fp8"), latency=pl.lit(0.01))
    frame.write_parquet(folder / "gemm_perf.parquet")
    known = {name: chip(name) for name in calibration.SYSTEMS.values()}
    (x,) = calibration.read_timings(known, tmp_path)
    assert (x.kind, x.engine, x.format, x.chip) == ("gemm", "sglang", "fp8", "nvidia-h200-sxm")
    assert x.seconds[0] == pytest.approx(1e-5)
    assert x.flop[2] == pytest.approx(2 * 3 * 4096 * 2048 / 2e15)
    assert x.byte[2] == pytest.approx((4096 * 2048 + 2 * 3 * (4096 + 2048)) / 4e12)
    assert set(x.starts) == {2.0}
