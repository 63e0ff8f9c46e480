"""vLLM's own scheduler class, stepped without a GPU, against ours: the same in everything."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from chipwise import serving
from chipwise.types import Prompts, StepTable

DATA = Path(__file__).parent / "data" / "vllm"
TABLE = StepTable(base=0.01, prefill=5e-5, decode=5e-5, context=2e-8)

RUNS = {
    "conv": ("conv", {"blocks": 3000, "max_seqs": 256, "max_tokens": 8192}),
    "code": ("code", {"blocks": 4000, "max_seqs": 64, "max_tokens": 2048}),
    "async": (
        "async",
        {"blocks": 4000, "max_seqs": 256, "max_tokens": 8192, "asynchronous": True},
    ),
    "longprefill": (
        "conv600",
        {"blocks": 2000, "max_seqs": 256, "max_tokens": 2048, "long_prefill": 512},
    ),
    "noreserve": (
        "conv600",
        {"blocks": 2000, "max_seqs": 256, "max_tokens": 512, "reserve": False},
    ),
}


def rows(name):
    with gzip.open(DATA / f"{name}.csv.gz", "rt") as file:
        return list(csv.DictReader(file))


def column(table, name, kind=float):
    return np.array([kind(row[name]) for row in table])


@pytest.mark.parametrize("name", RUNS)
def test_equals_the_engines_own_scheduler(name):
    trace, settings = RUNS[name]
    load = rows(f"{trace}_trace")
    run = serving.simulate(
        TABLE,
        column(load, "arrival_s"),
        column(load, "prompt"),
        column(load, "output"),
        record_steps=True,
        **settings,
    )
    check_steps(run, rows(f"{name}_iters"))
    check_requests(run, rows(f"{name}_reqs"))


def test_equals_the_engines_own_prefix_cache():
    with gzip.open(DATA / "prefix_trace.jsonl.gz", "rt") as file:
        load = [json.loads(line) for line in file]
    runs = [len(row["hash_ids"]) for row in load]
    prompts = Prompts(
        offset=np.cumsum([0, *runs]),
        ident=np.concatenate([row["hash_ids"] for row in load]),
        length=np.full(sum(runs), 512),
        output=np.full(len(load), -1),
    )
    run = serving.simulate(
        StepTable(base=0.01, prefill=5e-5, decode=5e-5, context=1e-8),
        column(load, "timestamp") / 1000,
        column(load, "input_length"),
        column(load, "output_length"),
        blocks=20000,
        max_seqs=256,
        max_tokens=8192,
        prefix_caching=True,
        prompts=prompts,
        record_steps=True,
    )
    check_steps(run, rows("prefix_iters"))
    check_requests(run, rows("prefix_reqs"))


def check_steps(run, steps):
    assert run.iterations == len(steps)
    assert set(run.steps) == set(steps[0])
    assert list(run.steps["preempted"]) == [row["preempted"] for row in steps]
    for name in steps[0]:
        if name.startswith("t_"):
            np.testing.assert_allclose(run.steps[name], column(steps, name), rtol=0, atol=1e-9)
        elif name != "preempted":
            np.testing.assert_array_equal(run.steps[name], column(steps, name, int), err_msg=name)


def check_requests(run, requests):
    np.testing.assert_allclose(run.first - run.arrival, column(requests, "ttft"), rtol=0, atol=1e-9)
    np.testing.assert_allclose(run.finish, column(requests, "finish"), rtol=0, atol=1e-9)
    np.testing.assert_array_equal(run.preempted, column(requests, "preemptions", int))
    np.testing.assert_array_equal(run.cached, column(requests, "cached_tokens", int))
    assert run.preemptions == run.preempted.sum()
