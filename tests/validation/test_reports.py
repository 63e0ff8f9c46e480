"""Published reports: what a serving command or a short description tells of a run."""

from __future__ import annotations

import pytest

from chipwise.errors import BadInput, UnknownName
from chipwise.plan.offline import EXPONENTIAL, Offline
from chipwise.validation.reports import METRICS, report

ROW = {
    "family": "gpustack performance-lab",
    "model": "deepseek-ai/DeepSeek-R1-0528",
    "precision": "FP8",
    "chip": "H200-SXM",
    "n_chips": "8",
    "config": "vLLM; vllm serve deepseek-ai/DeepSeek-R1-0528 -tp 8",
    "phase": "e2e serving, all requests sent at once unless the page says otherwise",
    "isl": "219.2",
    "osl": "200.8",
    "batch_or_concurrency": "1000.00",
    "metric": "output tok/s (system)",
    "notes": "",
}


def run(**change: str) -> Offline:
    return report({**ROW, **change}).run


def test_all_at_once_is_a_burst_of_conversations() -> None:
    found = run()
    assert (found.how, found.clients, found.uneven) == ("burst", 1000.0, EXPONENTIAL)
    assert (found.tp, found.pp, found.dp, found.ep) == (8, 1, 1, 1)
    assert (found.backend, found.weights, found.kv) == ("vllm", "fp8", "bf16")


@pytest.mark.parametrize(
    ("isl", "osl", "varied"),
    [("31999.0", "99.5", False), ("126.9", "4.0", False), ("214.5", "199.9", True)],
)
def test_drawn_conversations_have_means_that_are_no_whole_numbers(
    isl: str, osl: str, varied: bool
) -> None:
    assert (run(isl=isl, osl=osl).uneven == EXPONENTIAL) is varied


@pytest.mark.parametrize(
    ("config", "degrees"),
    [
        ("vLLM; vllm serve m", (1, 1, 1, 1)),
        ("vLLM; vllm serve m --tensor-parallel-size 4 --enable-expert-parallel", (4, 1, 1, 4)),
        ("SGLang; python3 -m sglang.launch_server --tp-size 8 --enable-dp-attention", (1, 1, 8, 1)),
        (
            "SGLang; launch_server --tp-size=8 --dp-size=4 --enable-dp-attention --ep-size 8",
            (2, 1, 4, 8),
        ),
        ("TensorRT-LLM; trtllm-serve m --tp_size 4 --pp_size 2", (4, 2, 1, 1)),
        ("vLLM tep8", (8, None, 1, 8)),
        ("vLLM dep8", (1, None, 8, 8)),
        ("vLLM tp8", (8, None, None, None)),
        ("decode DP16 attention + EP16, MTP(1,1,2)", (1, 1, 16, 16)),
        ("EP32, 4 nodes", (1, 1, 32, 32)),
    ],
)
def test_degrees_as_the_words_tell_them(config: str, degrees: tuple[int | None, ...]) -> None:
    found = run(config=config)
    assert (found.tp, found.pp, found.dp, found.ep) == degrees


def test_flags_of_a_command_are_heard() -> None:
    found = run(
        config="SGLang; sglang.launch_server --tp 8 --max-running-requests=256 "
        "--chunked-prefill-size 4096 --kv-cache-dtype=fp8_e4m3"
    )
    assert (found.backend, found.most, found.chunk, found.kv) == ("sglang", 256, 4096.0, "fp8")


def test_the_checkpoint_of_a_command_tells_the_format() -> None:
    found = run(precision="as published", config="vLLM; vllm serve Qwen/Qwen3-14B-AWQ", n_chips="1",
                model="Qwen/Qwen3-14B")  # fmt: skip
    assert found.weights == "int4"


@pytest.mark.parametrize(
    ("config", "notes", "tokens"),
    [
        ("vllm serve m", "", (1.0, 1.0)),
        (
            'vllm serve m --speculative-config={"method":"mtp","num_speculative_tokens":1}',
            "",
            (2, 1.8),
        ),
        ("decode DP attention + EP16 MTP(1,1,2)", "MTP accept length 1.8-1.9", (2.0, 1.85)),
        ("TP4, suffix speculation accept 50%", "", (3.0, 2.0)),
    ],
)
def test_guesses_ahead_are_told(config: str, notes: str, tokens: tuple[float, float]) -> None:
    found = run(config=config, notes=notes)
    assert (found.drafted, found.accepted) == pytest.approx(tokens)


def test_phases_are_kept_apart() -> None:
    assert run(phase="decode", batch_or_concurrency="48/GPU").clients == 48 * 8
    prefill = run(phase="prefill", batch_or_concurrency="16384 tokens/device")
    assert (prefill.how, prefill.chunk, prefill.clients) == ("prefill", 16384.0, None)
    assert run(phase="e2e static batch").how == "static"
    assert run(family="InferenceX token_position_decode_slo").how == "loop"
    assert run(family="another", phase="e2e").how == "steady"


def test_dies_are_not_chips() -> None:
    a3 = run(chip="Atlas 800I A3 (Ascend 910C-class)", n_chips="32", precision="W8A8 INT8",
             phase="e2e", family="x")  # fmt: skip
    assert a3.chips == 16


def test_weights_that_do_not_fit_were_on_more_cards() -> None:
    found = run(chip="Ascend 910B", n_chips="1", model="Qwen/Qwen3-30B-A3B", precision="bf16",
                config="MindIE; mindie serve Qwen3-30B-A3B")  # fmt: skip
    assert found.chips == 2


def test_a_server_that_is_named_alone_is_its_likeliest_chip() -> None:
    found = run(chip="Ascend Atlas (A2/A3 64GB; model not stated in excerpt)", n_chips="4",
                model="Qwen3-32B", precision="bf16 (default weights)")  # fmt: skip
    assert found.chip.id == "huawei-ascend-910b3"
    assert found.eager
    assert found.backend == "vllm"


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"chip": "GPU not named"}, UnknownName, "unknown chip"),
        ({"isl": ""}, BadInput, "isl is ''"),
        ({"metric": "joy"}, BadInput, "unknown metric"),
        (
            {"phase": "decode SLA", "metric": "TPOT ms", "batch_or_concurrency": ""},
            BadInput,
            "in flight is not told",
        ),
    ],
)
def test_what_tells_too_little_says_so(
    change: dict[str, str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        report({**ROW, **change})


def test_every_metric_is_a_quantity_of_an_outcome() -> None:
    assert {quantity for quantity, _ in METRICS.values()} == {"rate", "ttft", "tpot", "latency"}
