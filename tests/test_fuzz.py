"""Whatever is typed or given as a file: an answer without NaN, or one line and its exit code.

Every case comes from a fixed seed, so that one that fails fails again.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
from pathlib import Path

import click
import pytest

from chipwise.catalog.files import DATA
from chipwise.cli import app, main

VALUES = (
    *("", " ", "0", "-1", "1", "3", "8", "1.5", "1e3", "nan", "inf", "-inf", "1e309", "1e-320"),
    *("0x10", "１２", "1_000", "max", "auto", "null", "true", "[]", "a,b", "1,2", "1,,2", ",", "="),
    *("h100", "h200", "rtx4090", "910c", "mi308x", "llama-2-70b", "gpt-oss-20b", "fp8", "int4"),
    *("nvfp4", "mxfp4", "bf16", "vllm", "sglang", "trtllm", "CN", "US", "cn", "2026-11-23"),
    *("0001-01-01", "9999-12-31", "2022-10-07", "sale", "rent-abroad", "own", "rent", "agg"),
    *("disagg", "h200=2", "h100=1e-300", "h200=1e308", "=1", "a=b=c", "\u202e", "中文", "\x00"),
    *("x" * 200, "../..", "folder", "binary.toml", "there.json", "empty.toml", "empty.json"),
    *("empty.csv", "none.toml", "none.json", "/dev/null", "400Gbit/s", "50GB/s", "1e400GB/s"),
    *("0.01,5e-5,5e-5,2e-8", "1e6,1e6,1e6,1e6", "general", "--", "-x", "*"),
)
_STATED = "simulate --step-time 0.01,5e-5,5e-5,2e-8 --kv-blocks 3000 --requests 20"
LINES = (
    "estimate gpt-oss-20b --chip h100 --batch 2 --isl 64 --osl 8",
    "estimate llama-2-70b --chip h200 --tp 2 --concurrency 4 --load chat",
    "plan gpt-oss-20b --chips h100,l4 --isl 64 --osl 8 --no-simulate",
    "plan llama-2-70b --chips h200 --isl 64 --osl 8 --rate 2 --no-simulate --mode agg",
    f"{_STATED} --rate 1 --isl 10 --osl 10",
    _STATED,
    "train llama-2-70b --chip h100 --chips 64 --seq 4096 --global-batch 64",
    "policy h200",
    *("chips", "models", "prices", "sources", "rules"),
)
# Values of a chip's or a model's file, in place of what it says.
ODD = (0, -1, 1e308, float("nan"), float("inf"), "", "x", True, None, [], {}, 3.5, 10**30)
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 8192,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 128256,
}
MIXTRAL = {
    **LLAMA,
    "architectures": ["MixtralForCausalLM"],
    "model_type": "mixtral",
    "num_experts_per_tok": 2,
    "num_local_experts": 8,
}
LATENT = {
    **LLAMA,
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "deepseek_v3",
    "first_k_dense_replace": 3,
    "kv_lora_rank": 512,
    "moe_intermediate_size": 2048,
    "moe_layer_freq": 1,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "num_key_value_heads": 32,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary.toml").write_bytes(bytes(range(256)))
    (tmp_path / "there.json").write_text("old", encoding="utf-8")
    for name in ("empty.toml", "empty.csv"):
        (tmp_path / name).touch()
    (tmp_path / "empty.json").write_text("{}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused_or_answered(capsys, line):
    """Run a line; its exit code, where what it printed is as it must be."""
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    code = main(line)
    out, err = capsys.readouterr()
    assert code in (0, 1, 2), line
    if code == 0:
        assert out, line
        assert err == "", line
        assert "nan" not in out.lower().split(), line
        if line[-2:] == ["--format", "json"]:
            json.loads(out, parse_constant=pytest.fail)
    elif code == 2 or not line[0].startswith("plan"):
        assert out == "", line
        assert err.count("\n") == 1, line
        assert err.startswith("error: "), line
        assert {p: p.stat().st_mtime_ns for p in Path().rglob("*")} == before, line
    return code


def typed(random_):
    """A line with one to three options in place of what it says, or beside it."""
    line = random_.choice(LINES).split()
    params = [
        p for p in app.commands[line[0]].params if p.name not in ("help", "count", "requests")
    ]
    for _ in range(random_.choice((1, 1, 2, 3))):
        param = random_.choice(params)
        if isinstance(param, click.Option):
            line += [param.opts[-1]] if param.is_flag else [param.opts[-1], random_.choice(VALUES)]
        elif len(line) > 1 and not line[1].startswith("-"):
            line[1] = random_.choice(VALUES)
        else:
            line.insert(1, random_.choice(VALUES))
    return line


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_typed(capsys, here, seed):
    random_ = random.Random(seed)
    for _ in range(30):
        refused_or_answered(capsys, typed(random_))
        for left in here.iterdir():
            if left.is_file() and left.name not in VALUES:
                left.unlink()
        (here / "there.json").write_text("old", encoding="utf-8")


def chip_file(random_, lines):
    """A chip's file in which one or two values are odd, missing, doubled or of another unit."""
    made = list(lines)
    for _ in range(random_.choice((1, 2))):
        at = random_.randrange(len(made))
        name, is_fact, rest = made[at].partition(" = ")
        match random_.randrange(4):
            case 0:
                del made[at]
            case 1:
                made.append(made[at])
            case 2 if "unit" in rest:
                made[at] = made[at].replace('unit = "', 'unit = "k')
            case _ if is_fact:
                odd = random_.choice((*ODD[:3], "nan", "inf", "true", "[]", "{}", '"x"', '""'))
                made[at] = f"{name} = {{ value = {odd}, source = 'mine' }}"
    return "\n".join(made)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_chips_file_says(capsys, here, seed):
    random_ = random.Random(seed)
    whole = (DATA / "chips" / "nvidia-h100-sxm.toml").read_text("utf-8").splitlines()
    line = "estimate gpt-oss-20b --chip mine.toml --batch 2 --isl 64 --osl 8 --format json"
    codes = []
    for _ in range(30):
        Path("mine.toml").write_text(chip_file(random_, whole), encoding="utf-8")
        codes.append(refused_or_answered(capsys, line.split()))
        codes.append(refused_or_answered(capsys, ["policy", "mine.toml", "--format", "json"]))
    assert len(set(codes)) > 1


@pytest.mark.slow
@pytest.mark.parametrize("config", [LLAMA, MIXTRAL, LATENT], ids=lambda c: c["model_type"])
def test_whatever_a_models_config_says(capsys, here, config):
    line = "estimate mine.json --chip h200 --batch 2 --isl 64 --osl 8 --tp 8 --format json"
    for name in config:
        for odd in (*ODD, "absent"):
            made = copy.deepcopy(config)
            if odd == "absent":
                del made[name]
            else:
                made[name] = odd
            Path("mine.json").write_text(json.dumps(made), encoding="utf-8")
            refused_or_answered(capsys, line.split())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_trace_says(capsys, here, seed):
    random_ = random.Random(seed)
    cells = ("0", "1", "-1", "1e9", "nan", "", "x", "1.5", '"', "1e300", "3", "100")
    for suffix in ("csv", "jsonl", "csv.gz"):
        for _ in range(10):
            rows = [",".join(random_.choices(cells, k=random_.choice((3, 3, 3, 4)))) for _ in "ab"]
            text = "\n".join(["arrival_s,prompt,output", *rows])
            Path(f"mine.{suffix}").write_text(text, encoding="utf-8")
            refused_or_answered(capsys, [*_STATED.split()[:5], "--trace", f"mine.{suffix}"])


def test_a_file_that_stands_is_kept_when_the_plan_is_refused(capsys, here):
    line = "plan llama-2-70b --chips h9 --isl 64 --osl 8 --out there.json"
    assert refused_or_answered(capsys, line.split()) == 2
    assert (here / "there.json").read_text("utf-8") == "old"
    shutil.rmtree(here / "folder")
