"""The options of `simulate`, each by what it must do to the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipwise import answers, questions, serving, simulating
from chipwise.errors import BadInput, Infeasible
from chipwise.types import Simulation, StepTable

STATED = {"step_time": (0.01, 5e-5, 5e-5, 2e-8), "kv_blocks": 3000}
LOAD = {"isl": 200, "osl": 20, "requests": 60}
MODEL = {"model": "llama-2-70b", "chip": "h200", "tp": 2, "weights": "fp8"}


def run(**given: Any) -> Simulation:
    return simulating.play({**STATED, **LOAD, "rate": 5.0, **given}).run


def alike(a: Simulation, b: Simulation) -> bool:
    return np.array_equal(a.finish, b.finish) and np.array_equal(a.first, b.first)


def test_the_answer_has_every_percentile_of_every_time() -> None:
    _, found = questions.simulate({**STATED, **LOAD, "rate": 5.0})
    for name in ("ttft_s", "tpot_s", "itl_s", "e2e_s", "queue_s"):
        assert list(found[name]) == ["mean", "p50", "p90", "p95", "p99"]
    assert found["highest_rate"] is None
    assert found["over_time"] is None


@pytest.mark.parametrize("backend", ["vllm", "sglang", "trtllm"])
def test_the_backend_is_the_scheduler(backend: str) -> None:
    direct = serving.simulate(
        StepTable(*STATED["step_time"]),
        serving.arrivals.poisson(4.0, 60, 2),
        np.full(60, 2000),
        np.full(60, 50),
        blocks=8000,
        block_size=serving.presets.flags(backend)["block_size"],
        scheduler=backend,
    )
    found = run(isl=2000, osl=50, rate=4.0, backend=backend, kv_blocks=8000)
    assert alike(found, direct)


@pytest.mark.parametrize(
    ("given", "moves"),
    [
        ({"sync": False}, True),
        ({"sync": True}, False),
        ({"engine_version": "0.33.0"}, True),
        ({"engine_version": "0.33.0", "sync": True}, False),
        ({"max_num_seqs": 1}, True),
        ({"max_num_batched_tokens": 64}, True),
        ({"long_prefill_token_threshold": 32}, True),
        ({"num_speculative_tokens": 3, "acceptance": 0.9}, True),
        ({"replicas": 2}, True),
        ({"replicas": 1, "router": "least_loaded"}, False),
        ({"pp": 2}, True),
        ({"burstiness": 0.2}, True),
        ({"burstiness": 1.0}, False),
        ({"backend": "sglang"}, True),
        ({"prefill_replicas": 1}, True),
    ],
)
def test_an_option_moves_what_it_should(given: dict[str, Any], moves: bool) -> None:
    load = {"rate": 30.0, "isl": 100, "osl": 20}
    assert alike(run(**load, **given), run(**load)) != moves


def test_conservativeness_and_its_kin_reach_sglang() -> None:
    load = {"rate": 200.0, "isl": 200, "osl": 150, "kv_blocks": 2500, "backend": "sglang"}
    usual = run(**load)
    assert not alike(run(**load, schedule_conservativeness=0.1), usual)
    assert not alike(run(**load, ignore_eos=True), usual)
    load = {"rate": 20.0, "isl": 200, "osl": 150, "kv_blocks": 50_000, "backend": "sglang"}
    assert not alike(run(**load, scheduler_recv_interval=8), run(**load))


def test_the_capacity_policy_reaches_tensorrt_llm() -> None:
    load = {"rate": 200.0, "osl": 300, "kv_blocks": 60, "backend": "trtllm"}
    assert run(**load).preemptions == 0
    assert run(**load, capacity_policy="max_utilization").preemptions > 0
    held = run(**load, batch_wait_timeout_iters=20, batch_wait_max_tokens_ratio=1.0)
    assert not alike(held, run(**load))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"backend": "sglang", "watermark": 0.1}, "--watermark is a flag of vllm"),
        ({"schedule_conservativeness": 0.5}, "a flag of sglang, and the backend is vllm"),
        ({"capacity_policy": "max_utilization"}, "a flag of trtllm"),
        ({"dp": 2, "replicas": 2}, "simulated in one replica"),
        ({"prefill_replicas": 2, "sync": False}, "drop --sync"),
        ({"prefill_replicas": 2, "backend": "trtllm"}, "drop --backend trtllm"),
        ({"prefill_chip": "h200"}, "goes with a MODEL"),
        ({"warm_up": 60}, "leave none of 60"),
        ({"find_rate": True}, "needs a target"),
        ({"find_rate": True, "ttft": 1.0, "rate": None, "concurrency": 2}, "no --concurrency"),
        ({"step_table": "x.csv"}, "either a MODEL"),
        ({"engine_version": "0.1"}, "older than 0.8"),
        ({"engine_version": "new"}, "is no version"),
        ({"rate": None, "trace": "azure2023_code"}, "a trace has its own lengths"),
        ({"policy": "priority"}, "column priority"),
        ({"kv_blocks": None}, "--kv-blocks is missing"),
        ({"chip": "h200"}, "goes with a MODEL"),
        ({"isl": None}, "isl and osl are missing"),
    ],
)
def test_what_does_not_go_together_is_said(given: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        run(**given)


def test_turns_are_conversations_and_a_prefix_is_common() -> None:
    talk = run(turns=3, pause=1.0, prefix_caching=True)
    assert len(talk.isl) == 60
    assert (talk.arrival[1::3] >= talk.finish[::3] + 1.0 - 1e-12).all()
    assert list(talk.isl[:3]) == [200, 420, 640]
    common = run(prefix=160, prefix_caching=True)
    assert (common.isl == 360).all()
    assert (common.cached[5:] == 160).all()
    assert run(prefix=160).cached.sum() == 0
    loop = run(turns=3, rate=None, concurrency=2, prefix_caching=True)
    assert (loop.arrival[1::3] >= loop.finish[::3]).all()


def test_lengths_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "lengths.csv"
    file.write_text("isl,osl,weight\n100,10,3\n200,20,1\n")
    drawn = run(lengths=file, isl=None, osl=None, requests=4000)
    assert set(zip(drawn.isl.tolist(), drawn.osl.tolist(), strict=True)) == {(100, 10), (200, 20)}
    assert (drawn.isl == 100).mean() == pytest.approx(0.75, abs=0.03)
    with pytest.raises(BadInput, match="either isl and osl"):
        run(lengths=file)


def test_a_step_table_of_the_users_own(tmp_path: Path) -> None:
    """A grid that is the straight line a + b·n gives what --step-time a,b,b,0 gives."""
    file = tmp_path / "steps.csv"
    file.write_text("tokens,seconds\n0,0.01\n8192,0.4196\n")
    drawn = run(step_time=None, step_table=file)
    stated = run(step_time=(0.01, 5e-5, 5e-5, 0.0))
    np.testing.assert_allclose(drawn.finish, stated.finish, rtol=1e-9)


def test_warm_up_leaves_the_first_requests_out() -> None:
    load = {**STATED, **LOAD, "rate": None, "concurrency": 30}
    whole, warm = (questions.simulate({**load, "warm_up": n})[1] for n in (0, 30))
    assert warm["warm_up"] == 30
    assert warm["ttft_s"]["mean"] < whole["ttft_s"]["mean"]


def test_the_highest_rate_keeps_the_target_and_a_higher_one_does_not() -> None:
    load = {**STATED, **LOAD, "requests": 2000, "isl": 1000, "ttft": 0.5}
    played = simulating.play({**load, "find_rate": True})
    assert played.rate is not None
    assert serving.capacity.keeps(played.run, 0.5)
    near = simulating.play({**load, "rate": played.rate})
    np.testing.assert_allclose(near.run.finish, played.run.finish, rtol=1e-9)
    above = simulating.play({**load, "rate": played.rate * 1.05}).run
    assert not serving.capacity.keeps(above, 0.5)
    assert answers.simulation(played)["highest_rate"] == played.rate


def test_the_highest_rate_of_a_trace_is_the_trace_closer_together(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    rows = "\n".join(f"{k},1000,20" for k in range(300))
    file.write_text("arrival_s,prompt,output\n" + rows + "\n")
    played = simulating.play({**STATED, "trace": str(file), "find_rate": True, "ttft": 1.0})
    assert played.rate is not None
    gaps = np.diff(played.run.arrival)
    np.testing.assert_allclose(gaps, 1 / played.rate, rtol=1e-9)


def test_a_target_that_no_rate_keeps_says_by_how_much() -> None:
    with pytest.raises(Infeasible, match=r"ttft at the 99th percentile is .* the limit 0.001 s"):
        run(find_rate=True, ttft=0.001)


def test_over_time_is_told_where_the_iterations_are() -> None:
    played = simulating.play({**STATED, **LOAD, "rate": 50.0, "replicas": 2}, record_steps=True)
    over = answers.simulation(played)["over_time"]
    steps = played.run.steps
    assert over["running"]["max"] == steps["n_running"].max()
    assert over["kv_use"]["max"] == pytest.approx(1 - steps["free_blocks"].min() / 3000)
    assert 0 < over["kv_use"]["mean"] < over["kv_use"]["max"]


def test_a_model_runs_on_its_engine_and_apart() -> None:
    load = {**MODEL, "isl": 1000, "osl": 50, "requests": 80, "rate": 4.0}
    together = simulating.play(load)
    assert together.calibration.startswith("general")
    apart = simulating.play({**load, "prefill_chip": "h100", "prefill_replicas": 2})
    assert len(apart.blocks) == 3
    assert apart.run.replica is not None
    assert set(apart.run.replica) == {2}
    assert (apart.run.finish > apart.run.first).all()
    slow = simulating.play({**load, "prefill_replicas": 1, "link": 1e8})
    fast = simulating.play({**load, "prefill_replicas": 1, "link": 1e12})
    assert (slow.run.finish - slow.run.first).mean() > (fast.run.finish - fast.run.first).mean()


def test_ranks_of_data_parallel_attention_step_together() -> None:
    played = simulating.play({**STATED, **LOAD, "rate": 50.0, "dp": 2}, record_steps=True)
    assert played.run.replica is not None
    assert set(played.run.replica) == {0, 1}
    starts: dict[float, set[float]] = {}
    for start, end in zip(played.run.steps["t_start"], played.run.steps["t_end"], strict=True):
        starts.setdefault(float(start), set()).add(float(end))
    assert all(len(ends) == 1 for ends in starts.values())
