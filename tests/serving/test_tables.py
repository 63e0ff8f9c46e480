"""SGLang's and TensorRT-LLM's schedulers against tables worked by hand; see tables/README.md."""

import csv
from pathlib import Path

import numpy as np
import pytest

from chipwise import serving
from chipwise.types import StepTable

TABLES = Path(__file__).parent / "tables"
SECOND = StepTable(base=1.0)


def rows(name):
    with (TABLES / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def play(name, **settings):
    load = rows(f"{name}_requests")
    arrival, isl, osl = (
        np.array([float(r[c]) for r in load]) for c in ("arrival_s", "prompt", "output")
    )
    return serving.simulate(
        SECOND, arrival, isl, osl, scheduler=name, record_steps=True, **settings
    )


def column(table, name, kind=int):
    return [kind(row[name]) for row in table]


def finished(run, table):
    """Ids that finish with each iteration."""
    ends = dict(zip(run.steps["t_end"], range(len(table)), strict=True))
    found = [[] for _ in table]
    for i, at in enumerate(run.finish):
        found[ends[at]].append(str(i))
    return [" ".join(ids) for ids in found]


def check(run, table):
    assert run.iterations == len(table) >= 40
    for ours, theirs in (
        ("prefill_tokens", "prefill"),
        ("decode_tokens", "decode"),
        ("n_running", "running"),
        ("n_waiting", "waiting"),
        ("free_blocks", "free"),
    ):
        assert list(run.steps[ours]) == column(table, theirs), ours
    assert finished(run, table) == column(table, "finished", str)


def test_sglang_equals_its_table():
    run = play("sglang", blocks=110, block_size=1, max_seqs=4, max_tokens=24, ratio_steps=10)
    table = rows("sglang_steps")
    check(run, table)
    assert list(run.steps["preempted"]) == column(table, "retracted", str)
    assert run.steps["ratio"] == pytest.approx(column(table, "ratio", float), abs=1e-9)
    assert list(run.steps["t_end"]) == list(range(1, 70))
    assert run.preemptions == 5


def test_trtllm_equals_its_table():
    run = play("trtllm", blocks=20, block_size=4, max_seqs=4, max_tokens=32)
    table = rows("trtllm_steps")
    check(run, table)
    assert list(run.steps["t_start"]) == column(table, "start", float)
    assert run.preemptions == 0
