"""Rows of a published table → runs: what they say, what is assumed, what is never read."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from chipwise import catalog
from chipwise.catalog.training import network, training_calibration, training_measurements
from chipwise.errors import BadInput, UnknownName
from chipwise.perf.training_memory import training_memory, training_total
from chipwise.plan.training_rows import MEASURED, case, filled, measured_rate, predict_rate

KNOWN = training_calibration()
CHIP, MODEL = cache(catalog.chip), cache(catalog.model)
PLAIN = {
    "family": "Megatron-Bridge",
    "model": "LLAMA3_70B",
    "task": "Pre-Training Performance",
    "chip": "DGX-H100",
    "n_chips": "64",
    "precision": "FP8",
    "gbs_seqs": "256",
    "mbs": "1",
    "seq_len": "8192",
    "tp": "4",
    "pp": "8",
    "cp": "1",
    "vp": "5",
    "software": "26.04 NeMo Container",
}


def read(**changes):
    return case({**PLAIN, **changes}, CHIP, MODEL, network)


@cache
def rows():
    return tuple(training_measurements())


def test_a_full_row_is_read_as_it_stands():
    found = read()
    layout = found.layout
    degrees = (layout.tp, layout.pp, layout.cp, layout.dp, layout.interleave, layout.micro)
    assert degrees == (4, 8, 1, 2, 5, 1)
    assert found.full
    assert found.stack == "megatron-26.04"
    assert found.training.precision == "fp8"
    assert set(found.assumed) <= {"act_ckpt"}


@pytest.mark.parametrize(
    ("words", "precision"),
    [
        ("BF16", "bf16"),
        ("amp_bf16", "bf16"),
        ("FP8-CS", "fp8"),
        ("FP8-CS (FP8-MX)", "fp8"),
        ("fp8 (Float8 linears)", "fp8"),
        ("fp8 rowwise", "fp8_row"),
        ("fp8_full", "fp8"),
    ],
)
def test_words_of_precisions(words, precision):
    assert read(precision=words).training.precision == precision


def test_block_formats_need_a_chip_that_has_them():
    assert read(chip="DGX-GB200", precision="NVFP4").training.precision == "nvfp4"
    assert read(chip="DGX-GB200", precision="MXFP8").training.precision == "mxfp8"
    with pytest.raises(BadInput, match="can train in"):
        read(precision="NVFP4")


@pytest.mark.parametrize(
    ("changes", "stack"),
    [
        ({"family": "llm-foundry", "software": ""}, "foundry"),
        ({"family": "torchtitan", "notes": "eager"}, "torchtitan-eager"),
        ({"family": "torchtitan", "notes": "torch.compile+AsyncTP"}, "torchtitan-async"),
        ({"family": "MLPerf Training v5.1", "software": "NeMo"}, "mlperf"),
        ({"family": "TPU tpu-recipes", "chip": "TPU v5p", "precision": "bf16"}, "maxtext"),
        ({"family": "MLPerf Training v5.1", "chip": "MI355X"}, "rocm"),
        ({"family": "a paper", "software": ""}, "megatron-24.07"),
        ({"family": "a blog", "chip": "MI300X", "software": "megatron 25.05"}, "rocm"),
        ({"family": "a blog", "chip": "910c", "precision": "bf16"}, "other"),
    ],
)
def test_stacks_by_family_and_software(changes, stack):
    assert read(**changes).stack == stack


def test_lora_freezes_the_base():
    found = read(task="LoRA Performance").training
    assert (found.frozen, found.rank) == (1.0, 16.0)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"model": "no-such-model"}, UnknownName),
        ({"chip": "no-such-chip"}, UnknownName),
        ({"n_chips": ""}, BadInput),
        ({"n_chips": "60"}, BadInput),
        ({"chip": ""}, UnknownName),
        ({"precision": "fp32"}, BadInput),
    ],
)
def test_what_cannot_be_read_is_refused(changes, error):
    with pytest.raises(error):
        read(**changes)


def test_the_number_of_chips_follows_from_all_degrees():
    assert read(n_chips="", dp="2").chips == 64


def test_missing_columns_count_as_blank():
    sparse = {k: PLAIN[k] for k in ("model", "chip", "n_chips")}
    assert predict_rate(case(sparse, CHIP, MODEL, network), KNOWN).value > 0


def test_no_measured_column_is_read():
    for row in rows()[::29]:
        try:
            found = case(row, CHIP, MODEL, network)
        except BadInput:
            continue
        blank = case({k: "" if k in MEASURED else v for k, v in row.items()}, CHIP, MODEL, network)
        assert predict_rate(blank, KNOWN) == predict_rate(found, KNOWN)


def test_every_row_of_the_table_is_read_or_says_why():
    refused = {}
    for number, row in enumerate(rows()):
        try:
            case(row, CHIP, MODEL, network)
        except BadInput as error:
            refused[number] = str(error)
    # Two models and one chip that the catalog does not know.
    assert len(refused) <= 3, refused


def test_runs_that_ran_fit_by_this_account():
    """A memory model that refuses what ran would refuse good plans."""
    fits = []
    for row in rows():
        try:
            found = case(row, CHIP, MODEL, network)
        except BadInput:
            continue
        if found.full and (row["act_ckpt"] or "megatron" in found.stack):
            memory = training_memory(found.training, found.layout)
            fits.append(bool(np.all(training_total(memory) <= memory.capacity)))
    assert len(fits) > 400
    assert np.mean(fits) > 0.8


def test_a_blank_micro_batch_is_chosen():
    found = filled(read(mbs="", gbs_seqs="512"), KNOWN)
    assert found.layout.micro in (1, 2, 4, 8, 16)
    assert "mbs" in found.assumed


def test_a_rate_from_step_time_and_from_flops():
    found = read()
    assert measured_rate({"tokens_per_s_per_chip": "1,633"}, found) == 1633
    by_step = measured_rate({"step_time_s": "20"}, found)
    assert by_step == 256 * 8192 / (20 * 64)
    assert measured_rate({"tflops_per_chip": "500"}, found, 5e11) == pytest.approx(1000)
    assert measured_rate({}, found) is None
