"""Real vLLM servers: fitted on what was complete in the first half of a run, the rest predicted."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import least_squares

from chipwise import serving, simulating
from chipwise.serving import metrics
from chipwise.types import StepTable

DATA = Path(__file__).parent / "data" / "real_vllm"
# Seconds: an iteration, a token of prefill, of decode, of context, and the host's for a request.
GUESS = np.log([0.015, 2e-4, 2e-5, 2e-7, 0.02])


def recorded(name):
    with gzip.open(DATA / f"{name}.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(r[key]) for r in rows]) for key in rows[0] if key != "id"}


def played(logs, run, flags):
    base, prefill, decode, context, request = np.exp(logs)
    table = StepTable(base=base, prefill=prefill, decode=decode, context=context, request=request)
    found = serving.simulate(table, run["arrival_s"], run["prompt"], run["output"], **flags)
    return found.first - found.arrival, metrics.tpot(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("RTX4090_Llama-3.1-8B", {"blocks": 2587, "max_seqs": 256, "max_tokens": 2048}),
        (
            "RTXPRO6000_Qwen3-30B-A3B-Instruct-2507",
            # What is left of 0.9 of 95.6 GiB beside the weights; 128 sequences never fill it.
            {"blocks": 30_000, "max_seqs": 128, "max_tokens": 2048, "replicas": 2,
             "lockstep": True},
        ),
    ],
)  # fmt: skip
def test_the_second_half_follows_from_the_first(name, flags):
    run = recorded(name)
    first, last = run["first_token_s"], run["last_token_s"]
    ttft = first - run["arrival_s"]
    tpot = (last - first) / (run["output"] - 1)
    early = last < last.max() / 2

    def misses(logs):
        waits, paces = played(logs, run, flags)
        return np.concatenate((
            np.log(paces / tpot)[early] / 0.05,
            ((waits - ttft) / (ttft + 1.0))[early] / 0.1,
            (logs - GUESS) / 2,
        ))  # fmt: skip

    # A simulation is a staircase of its parameters: steps of 2 % look over its edges.
    fitted = least_squares(misses, GUESS, diff_step=0.02).x
    waits, paces = played(fitted, run, flags)
    late = ~early
    assert late.sum() > 100
    assert paces[late].mean() == pytest.approx(tpot[late].mean(), rel=0.05)
    assert waits[late].mean() == pytest.approx(ttft[late].mean(), rel=0.10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "of"),
    [
        (
            "RTX4090_Llama-3.1-8B",
            {"model": "llama-3.1-8b", "chip": "rtx4090", "kv_blocks": 2587, "max_num_seqs": 256},
        ),
        (
            "RTXPRO6000_Qwen3-30B-A3B-Instruct-2507",
            {"model": "qwen3-30b-a3b", "chip": "rtx-pro-6000", "dp": 2, "ep": 2,
             "max_num_seqs": 128},
        ),
    ],
)  # fmt: skip
def test_the_general_calibration_alone_comes_near(name, of, tmp_path):
    """Neither chip was measured: the mean TPOT within 25 %."""
    run = recorded(name)
    trace = tmp_path / "trace.csv"
    columns = (run[key].tolist() for key in ("arrival_s", "prompt", "output"))
    rows = "\n".join(f"{t!r},{isl:g},{osl:g}" for t, isl, osl in zip(*columns, strict=True))
    trace.write_text(f"arrival_s,prompt,output\n{rows}\n")
    found = simulating.play({**of, "trace": str(trace), "max_num_batched_tokens": 2048}).run
    tpot = (run["last_token_s"] - run["first_token_s"]) / (run["output"] - 1)
    assert metrics.tpot(found).mean() == pytest.approx(tpot.mean(), rel=0.25)
