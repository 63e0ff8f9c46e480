"""Published throughput tables: blind to what was measured, whole, and near it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from chipwise import catalog, validation
from chipwise.catalog.files import DATA
from chipwise.catalog.measured import table
from chipwise.plan.offline import EXPONENTIAL
from chipwise.plan.reported import outcome
from chipwise.types import Calibration
from chipwise.validation import throughput

KINDS = ("trtllm", "mlperf", "other")
MEASURED = {
    "trtllm": ("value", "per_gpu_out_tok_s", "total_out_tok_s", "ttft_ms"),
    "mlperf": (
        *("tokens_per_s", "samples_per_s", "mean_tokens_per_sample", "ttft_p99_ms"),
        *("tpot_p99_ms", "ttft_mean_ms", "tpot_mean_ms", "power_result"),
    ),
    "other": ("value", "out_tok_s_per_chip", "total_tok_s_per_chip", "ttft_ms", "tpot_ms"),
}
TRTLLM = {
    "version": "v0.17", "model": "LLaMA v3.1 70B", "precision": "FP8", "gpu": "H100", "n_gpus": "2",
    "tp": "2", "pp": "1", "isl": "128", "osl": "128", "batch": "max (IFB)",
    "metric": "out_tok_s_total", "total_out_tok_s": "6000",
}  # fmt: skip
MLPERF = {
    "round": "v5.1", "accelerator": "NVIDIA H200-SXM-141GB", "accelerators_total": "8",
    "framework": "TensorRT 10.11", "model": "llama2-70b-99", "scenario": "Server",
    "weight_dtype": "fp8", "latency_constraint_ttft_ms": "2000",
    "latency_constraint_tpot_ms": "200",
    "tokens_per_s": "33000",
}  # fmt: skip


Told = Callable[[str], list[dict[str, Any]]]


def rows_of(kind: str) -> list[dict[str, str]]:
    return table(DATA / "measured" / f"{kind}.csv")[1]


@pytest.fixture(scope="module")
def told(general: Calibration) -> Told:
    """What is predicted of every 25th row of a table, asked once."""
    return cache(lambda kind: list(validation.predict(kind, rows_of(kind)[::25], general)))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_measured_changes_no_prediction(
    kind: str, told: Told, general: Calibration
) -> None:
    rows = rows_of(kind)[::25]
    hidden = set(MEASURED[kind])
    blank = [{k: "" if k in hidden else v for k, v in row.items()} for row in rows]
    absent = [{k: v for k, v in row.items() if k not in hidden} for row in rows]
    odd = [{**row, **dict.fromkeys(hidden, "1e9")} for row in rows]
    for other in (blank, absent, odd):
        assert list(validation.predict(kind, other, general)) == told(kind)


def _whole(lines: list[dict[str, Any]]) -> None:
    """Every line has a prediction between its bounds, or a reason."""
    assert [line["row"] for line in lines] == list(range(len(lines)))
    for line in lines:
        if line["error"]:
            assert line["pred_tokens_per_s"] == ""
            continue
        low, made, high = (line[k] for k in ("pred_low", "pred_tokens_per_s", "pred_high"))
        assert 0 < low < made < high < math.inf
        assert line["basis"] in validation.throughput.intervals.BASES
        assert line["pred_ttft_ms"] >= 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_has_a_prediction_or_a_reason(kind: str, told: Told) -> None:
    assert len(told(kind)) == len(rows_of(kind)[::25])
    _whole(told(kind))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_row_has_a_prediction_or_a_reason(kind: str, general: Calibration) -> None:
    rows = rows_of(kind)
    lines = list(validation.predict(kind, rows, general))
    assert len(lines) == len(rows)
    _whole(lines)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "vendors", "within"),
    [
        ("trtllm", "NVIDIA", 0.15),
        ("mlperf", "NVIDIA", 0.2),
        ("mlperf", "", 0.3),
        ("other", "", 0.35),
    ],
)
def test_the_tables_are_met(kind: str, vendors: str, within: float, general: Calibration) -> None:
    """Medians of |predicted/measured − 1| on the rows fitted on; `""` is every other vendor."""
    rows = rows_of(kind)
    off, held = [], []
    for row, line in zip(rows, validation.predict(kind, rows, general), strict=True):
        truth = throughput.truths(kind, row).get("tokens_per_s")
        if line["error"] or not truth:
            continue
        home = throughput.case(kind, row).run.chip.vendor == "NVIDIA"
        if home == bool(vendors):
            off.append(abs(line["pred_tokens_per_s"] / truth - 1.0))
            held.append(line["pred_low"] <= truth <= line["pred_high"])
    assert len(off) > 100
    assert np.median(off) < within
    assert 0.85 < np.mean(held) <= 1.0


def _line(kind: str, row: dict[str, str], calibration: Calibration) -> dict[str, object]:
    return next(validation.predict(kind, [row], calibration))


def test_versions_of_an_engine_differ(general: Calibration) -> None:
    found = {
        v: _line("trtllm", {**TRTLLM, "version": v}, general)["pred_tokens_per_s"]
        for v in ("v0.14", "v0.17", "v9.9")
    }
    assert len(set(found.values())) == 3


def test_a_batch_is_static_and_max_is_not() -> None:
    static = throughput.case("trtllm", {**TRTLLM, "batch": "64"})
    steady = throughput.case("trtllm", TRTLLM)
    assert (static.run.how, static.run.clients) == ("static", 64.0)
    assert (steady.run.how, steady.run.clients) == ("steady", None)
    assert static.run.compiled
    assert not throughput.case("trtllm", {**TRTLLM, "version": "v1.0"}).run.compiled


def test_experts_with_one_scale_a_weight_are_quicker_and_nothing_else_is(
    general: Calibration,
) -> None:
    mixtral = {**TRTLLM, "model": "mistralai/Mixtral-8x7B-Instruct-v0.1"}
    by_tensor = throughput.case("trtllm", mixtral)
    assert by_tensor.run.by_tensor
    assert not throughput.case("trtllm", {**mixtral, "precision": "FP16"}).run.by_tensor
    # DeepSeek's own fp8 weights are scaled by blocks.
    deepseek = {**TRTLLM, "model": "deepseek-ai/DeepSeek-R1"}
    assert not throughput.case("trtllm", deepseek).run.by_tensor
    for case, quicker in ((by_tensor, True), (throughput.case("trtllm", TRTLLM), False)):
        blocks = replace(case, run=replace(case.run, by_tensor=False))
        fast, slow = (outcome(c, general).rate for c in (case, blocks))
        assert (fast > slow) == quicker
        assert fast >= slow


def test_limits_of_a_server_are_in_seconds() -> None:
    server = throughput.case("mlperf", MLPERF).run.load
    assert (server.ttft, server.tpot) == (2.0, 0.2)
    offline = throughput.case("mlperf", {**MLPERF, "scenario": "Offline"}).run.load
    assert (offline.ttft, offline.tpot) == (None, None)


def test_a_round_without_results_has_the_habits_of_the_nearest() -> None:
    near = {"v4.0": "v4.1", "v5.0": "v5.1", "v6.0": "v5.1"}
    for found, told in near.items():
        assert throughput.case("mlperf", {**MLPERF, "round": found}).setting.era == told
    unknown = throughput.case("mlperf", {**MLPERF, "round": "v9.0"}).setting
    assert (unknown.era, unknown.released) == ("v9.0", "")


def test_an_engine_that_is_not_the_makers_is_told_apart() -> None:
    vllm = {**MLPERF, "framework": "vLLM 0.10.0"}
    assert throughput.case("mlperf", MLPERF).setting.engine == ""
    assert throughput.case("mlperf", vllm).setting.engine == "vllm"
    # It is the one that AMD tunes for the table.
    amd = {**vllm, "accelerator": "AMD Instinct MI325X 256GB HBM3E"}
    assert throughput.case("mlperf", amd).setting.engine == ""


def test_outputs_that_all_run_to_a_limit_do_not_vary() -> None:
    assert throughput.case("mlperf", {**MLPERF, "model": "llama3.1-8b"}).run.uneven == 1.0
    assert 1.0 < throughput.case("mlperf", MLPERF).run.uneven < EXPONENTIAL


@pytest.mark.parametrize(
    ("accelerator", "stated", "ran"),
    [
        ("NVIDIA H200-SXM-141GB", "fp16", "fp8"),
        ("NVIDIA B200-SXM-180GB", "fp16", "nvfp4"),
        ("NVIDIA B200-SXM-180GB", "fp8", "fp8"),
        ("NVIDIA A100-SXM-80GB", "fp16", "fp16"),
    ],
)
def test_weights_may_be_stated_as_they_were_before(accelerator: str, stated: str, ran: str) -> None:
    row = {**MLPERF, "accelerator": accelerator, "weight_dtype": stated}
    assert throughput.case("mlperf", row).run.weights == ran


def test_a_card_may_carry_two_chips() -> None:
    row = {**MLPERF, "accelerator": "[MAXSUN] MS-Intel Arc Pro B60 Dual 48G Turbo",
           "accelerators_total": "4", "weight_dtype": "UINT4", "framework": "vLLM"}  # fmt: skip
    found = throughput.case("mlperf", row).run
    assert (found.chip.id, found.chips) == (catalog.chip("b60").id, 8)


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("trtllm", {"metric": "ratio_H200_over_H100"}, "a ratio"),
        ("trtllm", {"model": "nobody"}, "unknown model"),
        ("trtllm", {"isl": "x"}, "isl is 'x'"),
        ("trtllm", {"tp": "3", "n_gpus": "3"}, "no legal division"),
        ("mlperf", {"accelerator": "N/A"}, "without accelerators"),
        ("mlperf", {"accelerator": "AMD MI300X (x8), AMD MI325X (x8)"}, "a mix of chips"),
        ("mlperf", {"accelerator": "NVIDIA Jetson AGX Thor 128G"}, "an edge system"),
        ("mlperf", {"model": "llama-3-70b"}, "unknown data set"),
    ],
)
def test_what_cannot_be_predicted_says_why(
    kind: str, change: dict[str, str], said: str, general: Calibration
) -> None:
    row = {"trtllm": TRTLLM, "mlperf": MLPERF}[kind]
    assert said in str(_line(kind, {**row, **change}, general)["error"])


def test_truths_are_of_the_whole_system() -> None:
    def truth(metric: str, value: str, chips: str) -> dict[str, float]:
        return throughput.truths("other", {"metric": metric, "value": value, "n_chips": chips})

    assert truth("output tok/s per GPU", "100", "16") == {"tokens_per_s": 1600.0}
    assert truth("output tok/s per node", "100", "16") == {"tokens_per_s": 200.0}
    assert truth("output tok/s (system)", "100", "16") == {"tokens_per_s": 100.0}
    assert truth("TTFT s", "2", "16") == {"ttft_ms": 2000.0}
    assert truth("TPOT ms", "20", "16") == {"tpot_ms": 20.0}
    assert throughput.truths("trtllm", {"metric": "first_token_latency_ms", "value": "7"}) == {
        "ttft_ms": 7.0
    }
    assert throughput.truths("mlperf", {"tokens_per_s": ""}) == {}


def test_a_server_that_sat_idle_is_not_fitted_on() -> None:
    row = {
        "family": "gpustack performance-lab", "model": "Qwen3-32B", "precision": "FP8",
        "chip": "H100-SXM",
        "n_chips": "1", "config": "vllm serve Qwen3-32B", "phase": "e2e serving", "isl": "342.1",
        "osl": "281.4", "batch_or_concurrency": "512", "metric": "output tok/s (system)",
    }  # fmt: skip
    busy = {**row, "value": "2000", "ttft_ms": "20000", "tpot_ms": "100"}
    idle = {**row, "value": "2000", "ttft_ms": "50", "tpot_ms": "10"}
    assert [r.value for r in throughput.measured("other", [busy, idle])] == [2000.0]
