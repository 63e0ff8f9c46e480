"""Every chip with models of every kind: an answer that adds up, or a reason."""

from __future__ import annotations

import json
import random

import pytest

from chipwise import answers, api, catalog
from chipwise.errors import BadInput, Infeasible

MODELS = (
    *("llama-2-70b", "meta-llama/Meta-Llama-3-8B", "deepseek-r1", "gpt-oss-120b"),
    *("mistralai/Mixtral-8x7B-v0.1", "Qwen/Qwen3-235B-A22B", "Qwen/Qwen3.5-35B-A3B"),
    *("google/gemma-3-27b-it", "tiiuae/falcon-40b", "moonshotai/Kimi-K2.5", "zai-org/GLM-4.6"),
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
)
FORMATS = (None, "fp8", "int8", "int4", "nvfp4", "mxfp4")
TIMES = ("ttft_s", "tpot_s", "output_tokens_per_s", "total_tokens_per_s")
DRAWN = ("power_w", "joule_per_output_token")
PARTS = ("weights", "kv", "activations", "buffers", "reserve")
LOAD = api.workload(2048, 128)


def answered(chip, model, **asked):
    """JSON of an estimate; None where it is refused."""
    try:
        row = api.estimate(model, chip, LOAD, **asked)
    except (BadInput, Infeasible):
        return None
    told = answers.estimate(
        row, model, LOAD, "x", loop="static", to="CN", on=catalog.as_of(), route="sale"
    )
    return json.loads(json.dumps(told, allow_nan=False))


@pytest.mark.slow
@pytest.mark.parametrize("chip_id", catalog.chip_ids())
def test_every_answer_adds_up(chip_id):
    chip, random_ = catalog.chip(chip_id), random.Random(chip_id)
    for name in MODELS:
        model = catalog.model(name)
        for weights in FORMATS:
            batch = random_.choice(({"batch": 1}, {"batch": "max"}, {"concurrency": 8}))
            backend = random_.choice(("vllm", "vllm", "sglang", "trtllm"))
            tp = random_.choice((1, 8))
            found = answered(chip, model, weights=weights, backend=backend, tp=tp, **batch)
            if found is not None:
                adds_up(chip, model, found)


def adds_up(chip, model, found):
    for key in (*TIMES, *(DRAWN if chip.power else ())):
        assert 0 < found[key]["low"] <= found[key]["value"] <= found[key]["high"], key
    if not chip.power:
        assert {found[key] for key in (*DRAWN, "gco2_per_output_token")} == {None}
    memory = found["memory_bytes"]
    assert memory["total"] == pytest.approx(sum(memory[part] for part in PARTS))
    assert found["fits"]
    assert memory["total"] <= memory["capacity"]
    if chip.power:
        assert found["power_w"]["value"] <= chip.power * found["chip_count"] * 1.001
    if not any(block.kind == "moe" for block in model.layers):
        # Most weights of a dense model are read for every token; embeddings are not.
        assert found["tpot_s"]["value"] >= 0.7 * memory["weights"] / chip.memory_bandwidth
