"""How argument lists are read of sources that are not run."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from chipwise.catalog.servers import flags, released

ROOT = Path(__file__).resolve().parents[1]
SOURCE = {
    "engine.names": 'Kind = Literal["a", "b"]\nLIST = ["x", "y"]\n',
    "engine.config": (
        "from engine.names import Kind\n"
        "class Base:\n    size: int = 4\n"
        "class Config(Base):\n"
        '    kind: Kind = "a"\n    free: Kind | str | None = None\n'
        "    fast: bool = Field(default=True)\n    rate: float | None = None\n"
    ),
    "engine.args": (
        "from engine.config import Config\nfrom engine.names import LIST\n"
        "def add(parser):\n"
        "    kw = get_kwargs(Config)\n"
        '    parser.add_argument("--size", "-s", **kw["size"])\n'
        '    parser.add_argument("--kind", **kw["kind"])\n'
        '    parser.add_argument("--free", **{**kw["free"], "default": None})\n'
        '    parser.add_argument("--fast", **kw["fast"])\n'
        '    parser.add_argument("--each", choices=LIST, nargs="+")\n'
        '    parser.add_argument("--on", action="store_true", default=False)\n'
        '    parser.add_argument(f"--{prefix}name", type=float, default=-0.5)\n'
    ),
}


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("flags_tool", ROOT / "tools/flags.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_constants_literals_and_fields_are_followed_by_name(tool):
    assert tool.arguments(tool.Sources(SOURCE), "engine.args") == {
        "--size": {"aliases": ["-s"], "type": "int", "default": 4},
        "--kind": {"type": "str", "choices": ["a", "b"], "default": "a"},
        "--free": {"type": "str", "known": ["a", "b"]},
        "--fast": {"type": "switch", "default": True},
        "--each": {"type": "str", "choices": ["x", "y"], "many": True},
        "--on": {"type": "flag"},
        "--name": {"type": "float", "default": -0.5},
    }


def test_what_is_kept_is_what_the_tool_would_write(tool):
    for file in sorted(tool.OUT.glob("*.json")):
        found = json.loads(file.read_text("utf-8"))
        text = tool.kept(found["engine"], found["version"], found["source"], found["commands"])
        assert text == file.read_text("utf-8")


def test_the_releases_are_those_of_the_engines_module(tool):
    assert released("vllm") == tool.WHEELS["vllm"] == "0.33.0"
    assert released("sglang") == tool.WHEELS["sglang"] == "0.5.23"
    assert flags("vllm", "vllm serve")["-tp"].kind == "int"
    assert "fp8_e4m3" in flags("sglang", "sglang.launch_server")["--kv-cache-dtype"].choices
