"""Steps and estimates: the figures that people know, and the laws that must hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chipwise import catalog, perf
from chipwise.perf import Load, engines
from chipwise.types import Calibration, Chip, Deployment, Estimate, Model, Side, Workload

LLAMA2 = Workload(2048.0, 128.0)


def tensorrt(
    chip: Chip, model: Model, general: Calibration, batch: float | str, load: Workload, tp: int = 1
) -> Estimate:
    """NVIDIA's own case: fp8 weights and cache, TensorRT-LLM, a static batch."""
    made = Deployment(Side(chip, tp=tp, batch=1.0), "fp8", "fp8", "trtllm", 8192.0)
    if batch == "max":
        batch = float(perf.estimate(model, load, made, general, loop="static").batch_limit)
    made = replace(made, decode=replace(made.decode, batch=batch))
    return perf.estimate(model, load, made, general, loop="static")


class TestTheArticlesClaim:
    """H200 over H100 on Llama2-70B: 1.9 × is a choice of batch as much as of chip."""

    def test_at_nvidias_batches(
        self, h100: Chip, h200: Chip, llama2: Model, general: Calibration
    ) -> None:
        old = tensorrt(h100, llama2, general, 8, LLAMA2).throughput
        new = tensorrt(h200, llama2, general, 32, LLAMA2).throughput
        assert 1.7 <= new / old <= 2.1
        assert 210 <= new <= 420

    def test_at_equal_batch(
        self, h100: Chip, h200: Chip, llama2: Model, general: Calibration
    ) -> None:
        old, new = (tensorrt(c, llama2, general, 8, LLAMA2).throughput for c in (h100, h200))
        assert 1.05 <= new / old <= 1.3

    @pytest.mark.parametrize(
        ("tp", "load", "low", "high"),
        [
            (1, LLAMA2, 1.25, 1.95),
            (2, LLAMA2, 1.0, 1.15),
            (1, Workload(128.0, 2048.0), 4.0, np.inf),
        ],
    )
    def test_at_the_batch_that_fits(
        self,
        h100: Chip,
        h200: Chip,
        llama2: Model,
        general: Calibration,
        tp: int,
        load: Workload,
        low: float,
        high: float,
    ) -> None:
        old, new = (tensorrt(c, llama2, general, "max", load, tp).throughput for c in (h100, h200))
        assert low <= new / old <= high


def test_recipes_step(h200: Chip, general: Calibration) -> None:
    """A decode step of Llama-3.1-70B fp8 on two H200 at 32 × (1024 + 512) was found 16.4 ms.

    That was another fit of the same form; with others' prompts between, 20.35 ms are measured.
    """
    model = catalog.model("meta-llama/Meta-Llama-3.1-70B")
    side = Side(h200, tp=2, batch=32)
    made = Deployment(side, "fp8", "fp8", "vllm", 8192.0)
    spent, _ = perf.step(model, made, side, Load(32.0, 1536.0, 0.0, 0.0, 32.0), general)
    assert float(spent.total) == pytest.approx(16.4e-3, rel=0.05)


DEGREES = [
    {"tp": 1.0, "pp": 1.0, "ep": 1.0, "dp": 1.0, "batch": 1.0},
    {"tp": 8.0, "pp": 1.0, "ep": 8.0, "dp": 1.0, "batch": 37.0},
    {"tp": 1.0, "pp": 1.0, "ep": 8.0, "dp": 8.0, "batch": 64.0},
    {"tp": 2.0, "pp": 4.0, "ep": 1.0, "dp": 1.0, "batch": 16.0},
]


@pytest.mark.parametrize("loop", ["static", "closed"])
@pytest.mark.parametrize("backend", engines.BACKENDS)
@pytest.mark.parametrize("name", ["llama-2-70b", "gpt-oss-120b", "deepseek-r1"])
def test_one_case_equals_the_same_in_an_array(
    h200: Chip, general: Calibration, name: str, backend: str, loop: str
) -> None:
    model = catalog.model(name)
    columns = {k: np.array([d[k] for d in DEGREES]) for k in DEGREES[0]}
    load = Workload(np.array([1024.0, 2048.0, 512.0, 4096.0]), np.array([128.0, 1, 256, 512]))
    many = perf.estimate(
        model, load, Deployment(Side(h200, **columns), "fp8", "bf16", backend), general, loop=loop
    )
    for i, degrees in enumerate(DEGREES):
        one = perf.estimate(
            model,
            Workload(float(load.isl[i]), float(load.osl[i])),
            Deployment(Side(h200, **degrees), "fp8", "bf16", backend),
            general,
            loop=loop,
        )
        assert bool(one.fits) == bool(many.fits[i])
        for field in ("ttft", "tpot", "throughput", "power"):
            got = np.broadcast_to(getattr(many, field), 4)[i]
            assert got == pytest.approx(float(getattr(one, field)), rel=1e-12, nan_ok=True)
        assert str(np.broadcast_to(many.bound, 4)[i]) == str(np.asarray(one.bound).item())


@pytest.mark.parametrize("name", ["llama-2-70b", "gpt-oss-120b", "deepseek-r1"])
@pytest.mark.parametrize("backend", engines.BACKENDS)
def test_table_equals_the_step(h200: Chip, general: Calibration, name: str, backend: str) -> None:
    """The simulator's table and the closed form are one model of speed."""
    model = catalog.model(name)
    side = Side(h200, tp=8, batch=4096)
    made = Deployment(side, model.weights, "bf16", backend, 8192.0)
    table = perf.step_table(model, made, side, general)
    for sequences, context, prefill, reach in (
        (32.0, 1500.0, 0.0, 0.0),
        (7.0, 100.0, 0.0, 0.0),
        (0.0, 0.0, 2048.0, 1024.0),
        (64.0, 4000.0, 1000.0, 500.0),
    ):
        load = Load(sequences, context, prefill, reach, sequences + prefill)
        direct, _ = perf.step(model, made, side, load, general)
        tokens = sequences + prefill
        seconds = (
            table.base
            + np.interp(tokens, table.tokens, table.seconds)
            + table.decode * sequences
            + (table.decode_base if sequences else 0.0)
            + table.attention * sequences * context
            + table.attention_window * sequences * min(context, table.window)
            + table.pair * prefill * reach
            + table.pair_window * prefill * min(reach, table.window)
        )
        if prefill:
            seconds = np.cbrt(seconds**3 + table.launch**3)
        assert seconds == pytest.approx(float(direct.total), rel=0.01)


def test_static_batch_by_its_own_parts(h200: Chip, llama2: Model, general: Calibration) -> None:
    """Throughput is batch × osl over the time from first arrival to last token."""
    made = Deployment(Side(h200, tp=2, batch=4.0), "fp8", "bf16", "vllm", 8192.0)
    found = perf.estimate(llama2, Workload(2048.0, 128.0), made, general, loop="static")
    # Four prompts of 2,048 are one chunk: all first tokens come together.
    whole = found.ttft + 127 * found.tpot
    assert found.throughput == pytest.approx(4 * 128 / whole)


def test_a_batch_that_does_not_fit_has_no_time(
    h100: Chip, llama2: Model, general: Calibration
) -> None:
    made = Deployment(Side(h100, batch=np.array([1.0, 1e6])), "fp8", "bf16", "vllm", 8192.0)
    found = perf.estimate(llama2, LLAMA2, made, general)
    assert list(found.fits) == [True, False]
    assert np.isnan(found.throughput[1])
    assert not np.isnan(found.throughput[0])


def test_formats_a_chip_lacks_are_not_granted_their_rate(
    llama2: Model, general: Calibration
) -> None:
    """fp8 weights on an A100 are read as fp8 and multiplied as bf16."""
    a100 = catalog.chip("a100")
    side = Side(a100, tp=8, batch=1.0)
    fp8, bf16 = (
        perf.estimate(llama2, LLAMA2, Deployment(side, w, "bf16", "vllm", 8192.0), general)
        for w in ("fp8", "bf16")
    )
    assert fp8.memory.weights < 0.6 * bf16.memory.weights
    assert fp8.tpot < bf16.tpot
    assert fp8.ttft > 0.8 * bf16.ttft


def test_prefill_apart_is_the_slowest_of_three_stages(
    h200: Chip, llama2: Model, general: Calibration
) -> None:
    """H20 decodes what H200 prefills: the rate is that of prefill, transfer or decode."""
    h20 = catalog.chip("h20")
    load = Workload(2048.0, 512.0)
    back, front = Side(h20, tp=4, batch=64.0, replicas=2.0), Side(h200, tp=2, replicas=1.0)
    for link in (50e9, 1e8):
        made = Deployment(back, "fp8", "bf16", "vllm", 8192.0, front, link)
        found = perf.estimate(llama2, load, made, general)
        one = Deployment(front, "fp8", "bf16", "vllm", 8192.0)
        alone, _ = perf.step(llama2, one, front, Load(0.0, 0.0, 2048.0, 1024.0, 1.0), general)
        drain, _ = perf.step(llama2, made, back, Load(64.0, 2048 + 256.0, 0.0, 0.0, 64.0), general)
        moved = 2 * 8 * 128 * 80 * 2 * 2048 / (2 * link)
        rate = min(1 / float(alone.total), 1 / moved, 2 * 64 / (512 * float(drain.total)))
        assert float(found.throughput) / 512 == pytest.approx(rate, rel=0.01)


class TestOperators:
    """What a roofline shows is what an estimate adds up."""

    @pytest.mark.parametrize("name", ["llama-2-70b", "deepseek-r1", "qwen3-next-80b"])
    def test_their_times_are_those_of_the_step(
        self, h200: Chip, general: Calibration, name: str
    ) -> None:
        model = catalog.model(name)
        made = Deployment(Side(h200, tp=8, batch=16.0), "fp8", "fp8")
        found = perf.operators(model, made, LLAMA2, general)
        steps = {
            "prefill": Load(0.0, 0.0, LLAMA2.isl, LLAMA2.isl / 2.0, 1.0),
            "decode": Load(16.0, LLAMA2.isl + LLAMA2.osl / 2.0, 0.0, 0.0, 16.0),
        }
        for phase, load in steps.items():
            _, parts = perf.step(model, made, made.decode, load, general)
            for kind in {of.kind for of in found[phase]}:
                whole = sum(of.seconds for of in found[phase] if of.kind == kind)
                assert whole == pytest.approx(float(parts[kind]))

    def test_products_do_two_flops_a_weight_and_token(
        self, h200: Chip, llama2: Model, general: Calibration
    ) -> None:
        made = Deployment(Side(h200, batch=4.0), "fp8", "fp8")
        found = perf.operators(llama2, made, LLAMA2, general)
        done = sum(of.flops for of in found["prefill"] if of.kind == "gemm" and of.role != "head")
        inside = float(perf.parameters(llama2)) - 2.0 * llama2.vocab * llama2.hidden
        # Norms are parameters without a product.
        assert done == pytest.approx(2.0 * LLAMA2.isl * inside, rel=1e-4)
