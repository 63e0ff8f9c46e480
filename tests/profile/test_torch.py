"""The CPU of this machine, timed for real; skipped where torch is not installed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from chipwise import profile
from chipwise.catalog.models import read_config
from chipwise.cli import main
from chipwise.perf.blocks import parameters
from chipwise.profile import cases, devices, transformer
from chipwise.profile.bodies import bodies
from chipwise.profile.check import described
from chipwise.profile.collective import sums

torch = pytest.importorskip("torch", reason="profile needs torch: pip install 'chipwise[torch]'")
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema.json").read_text("utf-8"))


@pytest.fixture
def cpu():
    return devices.find("cpu")


@pytest.mark.parametrize("op", ["copy", "gemm", "attention_decode", "attention_prefill"])
def test_every_operator_runs(cpu, op):
    case = next(c for c in cases.shapes(cases.SMALL, ("fp32",)) if c.op == op)
    assert all(body() is not None for body in list(bodies(case, cpu))[:2])


@pytest.mark.parametrize("op", ["gemm", "attention_decode"])
def test_operands_that_take_turns_do_not_fit_into_the_cache(cpu, op):
    small = replace(cpu, cache=2.0**20)
    case = next(c for c in cases.shapes(cases.SMALL, ("fp32",)) if c.op == op)
    operands = [body.args[1] for body in bodies(case, small)]
    assert len({w.data_ptr() for w in operands}) == len(operands)
    read = 2 if op == "attention_decode" else 1  # keys are told, and values read besides
    assert sum(w.nbytes for w in operands) * read > 2 * small.cache


@pytest.mark.parametrize(("sequences", "prompt"), [(3, 0), (0, 5)])
def test_a_layer_is_timed_without_its_products(cpu, sequences, prompt):
    shape = {"sequences": sequences, "prompt": prompt, "hidden": 256}
    case = cases.Case("elementwise", "fp32", shape)
    asked = []

    def aside(function):
        return lambda *given, **options: asked.append(function) or function(*given, **options)

    layers = transformer.between(case, replace(cpu, cache=2.0**20), aside)
    assert layers[0]().shape == ((1, prompt, 256) if prompt else (sequences, 1, 256))
    linear, attend = (getattr(torch.nn.functional, n) for n in (
        "linear", "scaled_dot_product_attention",
    ))  # fmt: skip
    assert asked == [linear, attend, linear, linear, linear]


def test_the_small_model_has_the_weights_that_chipwise_counts(cpu, tmp_path):
    config = profile.CONFIGS["small"]
    path = tmp_path / "small" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(config), "utf-8")
    model = read_config(path)
    assert model.layers == described(config, "fp32").layers
    layer = transformer._layer(torch, config, 1, 8, {"dtype": torch.float32})
    own = sum(w.numel() for w in (layer.attention, layer.out, layer.up, layer.down))
    counted = config["num_hidden_layers"] * own + 2 * config["vocab_size"] * config["hidden_size"]
    assert parameters(model) == counted


def test_a_step_gives_a_row_of_logits_for_each_sequence(cpu):
    config = {**profile.CONFIGS["small"], "num_hidden_layers": 1}
    for case in transformer.steps("small", "fp32")[-2:]:
        (body,) = transformer.forward(case, config, cpu)
        assert body().shape == (case.shape["sequences"], config["vocab_size"])


@pytest.mark.slow
def test_two_ranks_sum(cpu):
    case = cases.Case("all_reduce", "fp32", {"bytes": 2**16, "ranks": 2})
    found = sums(case, cpu)
    assert 0 < found.shortest <= found.seconds < 1.0


@pytest.mark.slow
def test_a_profile_foretells_the_steps_of_a_small_model(monkeypatch, tmp_path, capsys):
    """Fewer shapes than the command's own: half a minute. The page has the figures of the whole."""
    monkeypatch.setenv("CHIPWISE_HOME", str(tmp_path))
    few = replace(
        cases.SMALL,
        products=((1024, 1024), (3072, 1024), (1024, 2816)),
        rows=(1, 2, 8, 24, 64, 256),
        copies=(64 * 2**20,),
        contexts=(256, 1024),
        prompts=(64, 256),
    )
    monkeypatch.setattr(profile, "SMALL", few)
    question = ["profile", "--device", "cpu", "--name", "here", "--rounds", "1"]
    assert main([*question, "--on", "2026-11-28", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, {"$ref": "#/$defs/profile", "$defs": SCHEMA["$defs"]})
    assert found["steps_median_off"] < 0.3
    assert len(found["steps"]) == len(transformer.steps("small", "fp32"))
    # Asked again, nothing is timed anew; the chip and the calibration can be named.
    kept = Path(found["measurements_file"]).read_bytes()
    assert main([*question, "--on", "2026-11-28", "--lang", "zh"]) == 0
    assert "系数" in capsys.readouterr().out
    assert Path(found["measurements_file"]).read_bytes() == kept
    load = ["--isl", "64", "--osl", "16", "--batch", "1", "--weights", "fp32"]
    small = tmp_path / "model"
    small.mkdir()
    (small / "config.json").write_text(json.dumps(profile.CONFIGS["small"]), "utf-8")
    asked = ["estimate", str(small), "--chip", "here", "--calibration", "here", *load]
    assert main([*asked, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["tpot_s"]["value"] > 0
    assert "fp32" in told["general"]["why"]
