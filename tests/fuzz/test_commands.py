"""Whatever is typed: every command of the tree is drawn, a new one without being told of here."""

from __future__ import annotations

import random
import shutil
import sys
import types
from pathlib import Path

import pytest

from chipwise.errors import BadInput
from tests.fuzz.drawn import TIMES, leaves, line, told

ROOT = Path(__file__).parents[2]
_STATED = "--step-time 0.01,5e-5,5e-5,2e-8 --kv-blocks 3000 --requests 20"
_SHAPE = "--isl 64 --osl 8"
# Lines that work and cost little; a command that is not here is drawn bare.
LINES = {
    "estimate": f"gpt-oss-20b --chip h100 --batch 2 {_SHAPE}",
    "plan": f"gpt-oss-20b --chips h100 {_SHAPE} --tp 1 --mode agg --no-simulate",
    "simulate": f"{_STATED} --rate 1 --isl 10 --osl 10",
    "export": "plan.json --to vllm --out made",
    "import": "runs.json --chip h100 --model llama-2-70b --out made.csv",
    "train": "llama-2-70b --chip h100 --chips 64 --seq 4096 --global-batch 64 --tp 8 --pp 1",
    "fleet": "fleet.toml",
    "sweep": "sweep.toml --out made",
    "policy": "h200",
    "frontier": f"--rule us-2023-10-3A090a-dc --model llama-2-70b {_SHAPE}",
    "claims": "empty.toml",
    "chips": "h200",
    "models": "llama-2-70b",
    "prices": "h200",
    "sources": "nvidia-h200-datasheet",
    "rules": "us-2023-10-3A090a-dc",
    "validate": "runs.csv",
    "calibrate": "--list",
    "profile": "--name mine",
    "plot": "pareto --out made.svg plan gpt-oss-20b --chips h100 --isl 64 --osl 8 --mode agg",
    "studies": "",
    "web": "--port 0",
}
_SWEEP = """
model = "gpt-oss-20b"
chips = ["h100"]
isl = 64
osl = 8
tp = [1]
mode = "agg"
simulate = false
[grid]
cost = ["own", "rent"]
"""
# Each line of these takes a tenth of a second or more.
SLOW = {"fleet", "frontier", "plan", "plot", "simulate", "sweep", "train", "validate"}
COMMANDS = [pytest.param(*each, id=" ".join(each[0])) for each in leaves()]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with files of several kinds; nothing that takes minutes or leaves the machine."""
    folder = tmp_path / "here"
    (folder / "folder").mkdir(parents=True)
    (folder / "binary.toml").write_bytes(bytes(range(256)))
    (folder / "there.json").write_text("old", encoding="utf-8")
    (folder / "empty.json").write_text("{}", encoding="utf-8")
    for name in ("empty.toml", "empty.csv"):
        (folder / name).touch()
    shutil.copy(ROOT / "tests/export/plans/vllm-llama.json", folder / "plan.json")
    shutil.copy(ROOT / "tests/benchmarks/results/vllm.json", folder / "runs.json")
    shutil.copy(ROOT / "tests/validation/runs.csv", folder)
    shutil.copy(ROOT / "tests/fleet/small.toml", folder / "fleet.toml")
    (folder / "sweep.toml").write_text(_SWEEP, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CHIPWISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHIPWISE_STUDIES", str(tmp_path / "studies.db"))
    nothing(monkeypatch)
    return folder


def nothing(monkeypatch):
    """Put refusals in place of what listens, times, or works for minutes; what leads there runs."""
    from chipwise import sweep
    from chipwise.profile import devices
    from chipwise.validation import fitting

    def spread(function, items, **_):
        return ((item, function(item)) for item in items)

    def refused(*_, **__):
        raise BadInput("not in this test")

    server = types.ModuleType("uvicorn")
    server.Config = refused
    monkeypatch.setitem(sys.modules, "uvicorn", server)
    monkeypatch.setattr(sweep, "spread", spread)
    monkeypatch.setattr(devices, "load", refused)
    monkeypatch.setattr(fitting, "written", refused)
    monkeypatch.setattr(fitting, "operators", refused)


def drawn(capsys, here, path, command, seed, count):
    random_ = random.Random(f"{path} {seed}")
    begin = LINES.get(" ".join(path), "").split()
    codes = set()
    kept = {p: p.read_bytes() for p in here.rglob("*") if p.is_file()}
    for _ in range(count):
        codes.add(told(capsys, line(random_, path, command, begin)))
        for left in list(here.iterdir()):
            if left.is_dir() and left.name != "folder":
                shutil.rmtree(left)
            elif left.is_file() and left not in kept:
                left.unlink()
        for file, content in kept.items():
            if not file.is_file() or file.read_bytes() != content:
                file.write_bytes(content)
    return codes


def test_every_command_has_a_line_that_works():
    """Nothing is drawn well from a bare name; a command that is new needs its line."""
    assert {" ".join(path) for path, _ in leaves()} == set(LINES)


@pytest.mark.slow
@pytest.mark.parametrize(("path", "command"), COMMANDS)
def test_some_lines(capsys, here, path, command):
    drawn(capsys, here, path, command, 0, 1 if path[0] in SLOW else 4)


@pytest.mark.slow
@pytest.mark.parametrize(("path", "command"), COMMANDS)
def test_many_lines(capsys, here, path, command):
    count = TIMES * (20 if path[0] in SLOW else 100)
    codes = drawn(capsys, here, path, command, 1, count)
    assert 2 in codes
