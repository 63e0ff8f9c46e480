"""Whatever a file says that chipwise reads: an answer, or one line that says what is wrong."""

from __future__ import annotations

import copy
import gzip
import json
import random
import shutil
from pathlib import Path

import pytest

from chipwise.catalog.chips import read_chip
from chipwise.catalog.claims import read_claims
from chipwise.catalog.factors import read_calibration
from chipwise.catalog.files import DATA
from chipwise.catalog.fleets import read_fleet
from chipwise.catalog.makers import read_origins
from chipwise.catalog.models import read_model
from chipwise.catalog.rulebook import read_rule
from chipwise.errors import ChipwiseError
from tests.fuzz.drawn import TIMES, patience, spoilt, spoilt_json, told

ROOT = Path(__file__).parents[2]
_LOAD = "--batch 2 --isl 64 --osl 8 --format json"
_STATED = "simulate --kv-blocks 3000 --requests 5 --format json"
_TIMES = "--step-time 0.01,5e-5,5e-5,2e-8"
_TRACE = "arrival_s,prompt,output\n0,10,5\n0.5,20,5\n0.75,30,9\n"
_BLOCKS = "\n".join(
    json.dumps({"timestamp": t, "input_length": 600, "output_length": 5, "hash_ids": [1, t + 2]})
    for t in (0, 5, 900)
)
_LENGTHS = "isl,osl,weight\n64,8,3\n128,16,1\n"
_STEPS = "tokens,seconds,base,attention\n0,0.01,0.001,1e-9\n64,0.012,,\n900,0.05,,\n"
_CONFIG = "model = 'gpt-oss-20b'\nchips = ['h100']\nisl = 64\nosl = 8\nmode = 'agg'\ntp = [1]\n"


def first(name, count):
    """The first rows of a measured table."""
    return "\n".join((DATA / "measured" / name).read_text("utf-8").splitlines()[:count])


def results(name):
    return (ROOT / "tests/benchmarks/results" / name).read_text("utf-8")


def plan():
    return (ROOT / "tests/export/plans/vllm-llama.json").read_text("utf-8")


# What a result does not say, and then the file, whose name goes on with its suffix.
IMPORT = (
    "import --chip h100 --model llama-2-70b --tp 2 --on 2026-11-28 --weights fp8 --isl 64 --osl 8 "
    "--concurrency 4 --version 1 --backend vllm --out made.csv r"
)
# Name of the file, what it says where it is right, the line that reads it, how many are drawn.
ASKED = {
    "trace": ("t.csv", _TRACE, f"{_STATED} {_TIMES} --trace t.csv", 60),
    "trace of blocks": ("t.jsonl", _BLOCKS, f"{_STATED} {_TIMES} --trace t.jsonl", 60),
    "packed trace": ("t.csv.gz", _TRACE, f"{_STATED} {_TIMES} --trace t.csv.gz", 20),
    "lengths": ("l.csv", _LENGTHS, f"{_STATED} {_TIMES} --rate 1 --lengths l.csv", 60),
    "step table": ("s.csv", _STEPS, f"{_STATED} --step-table s.csv --rate 1 --isl 9 --osl 9", 60),
    "plan's options": ("p.toml", _CONFIG, "plan --no-simulate --config p.toml", 10),
    "sweep": ("s.toml", f"{_CONFIG}[grid]\ncost = ['own']\n", "sweep s.toml --out made", 40),
    "fleet": ("f.toml", (ROOT / "tests/fleet/small.toml").read_text("utf-8"), "fleet f.toml", 10),
    "serving table": ("m.csv", first("serving.csv", 3), "validate m.csv --format json", 12),
    "throughput table": ("m.csv", first("trtllm.csv", 3), "validate m.csv --format json", 12),
    "mlperf table": ("m.csv", first("mlperf.csv", 3), "validate m.csv --format json", 12),
    "training table": ("m.csv", first("training.csv", 3), "validate m.csv --format json", 12),
    "runs": ("r.csv", (ROOT / "tests/validation/runs.csv").read_text("utf-8"),
             "calibrate --runs r.csv --name mine", 8),
    "claims": ("c.toml", (DATA / "claims.toml").read_text("utf-8"), "claims c.toml", 6),
    "exported plan": ("p.json", plan(), "export p.json --to vllm --out made", 60),
    **{
        f"results {name}": (f"r{Path(name).suffix}", results(name), IMPORT + Path(name).suffix, 30)
        for name in ("vllm.json", "sglang.jsonl", "guidellm.json", "guidellm.yaml", "aiperf.json",
                     "genai-perf.json", "runs.csv")
    },
}  # fmt: skip
# Kinds of the catalog's own files, one of each; their readers, asked directly.
READ = {
    "chip": (read_chip, "chips/nvidia-h100-sxm.toml"),
    "model": (read_model, "models/deepseek-ai/DeepSeek-V3.toml"),
    "rule": (read_rule, "rules/us-2023-10-3A090a-dc.toml"),
    "calibration": (read_calibration, "calibration_start.json"),
    "claims": (read_claims, "claims.toml"),
    "fleet": (read_fleet, "fleets/example.toml"),
    "origins": (read_origins, "origins.toml"),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    shutil.copy(DATA / "fleet_figures.toml", folder)  # that the claims name
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CHIPWISE_HOME", str(tmp_path / "home"))
    from chipwise import sweep

    monkeypatch.setattr(
        sweep, "spread", lambda function, items, **_: ((i, function(i)) for i in items)
    )
    return folder


def write(name, text):
    content = text.encode("utf-8", "surrogatepass")
    Path(name).write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)


def drawn(random_, name, text):
    """The file with something wrong; JSON by its structure as well."""
    if name.endswith(".json") and random_.random() < 0.6:
        return json.dumps(spoilt_json(random_, copy.deepcopy(json.loads(text))))
    return spoilt(random_, text)


def asked(capsys, kind, seed, count):
    name, text, question, _ = ASKED[kind]
    random_ = random.Random(f"{kind} {seed}")
    for _ in range(count):
        write(name, drawn(random_, name, text))
        kept = Path(name).read_bytes()
        told(capsys, question.split())
        assert Path(name).read_bytes() == kept
        shutil.rmtree("made", ignore_errors=True)
        Path("made.csv").unlink(missing_ok=True)


@pytest.mark.parametrize("kind", ["trace", "lengths", "step table", "results vllm.json"])
def test_some_files(capsys, here, kind):
    asked(capsys, kind, 0, 4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ASKED)
def test_many_files(capsys, here, kind):
    asked(capsys, kind, 1, ASKED[kind][3] * TIMES)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ASKED)
def test_the_file_as_it_is_has_an_answer(capsys, here, kind):
    name, text, question, _ = ASKED[kind]
    write(name, text)
    assert told(capsys, question.split()) in (0, 1)


def read(kind, seed, count):
    """Texts of a kind's file with something wrong: what was read, or an error of ours."""
    reader, name = READ[kind]
    whole = (DATA / name).read_text("utf-8")
    path = Path(name).with_suffix("").name + Path(name).suffix
    random_ = random.Random(f"{kind} {seed}")
    refused = []
    for _ in range(count):
        write(path, drawn(random_, path, whole))
        with patience(kind):
            try:
                reader(Path(path))
            except ChipwiseError as error:
                refused.append(str(error))
    assert all(path in said and "\n" not in said.strip() for said in refused), refused
    return len(refused)


@pytest.mark.parametrize("kind", ["chip", "rule", "model"])
def test_some_files_of_the_catalog(here, kind):
    read(kind, 0, 15)


@pytest.mark.slow
@pytest.mark.parametrize("kind", READ)
def test_many_files_of_the_catalog(here, kind):
    assert read(kind, 1, TIMES * (25 if kind in ("calibration", "fleet", "origins") else 150))
