"""Result files, each as its tool wrote it, and what is asked for where they are silent."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from chipwise.catalog.benchmarks import COLUMNS, TOOLS, read_results
from chipwise.catalog.measured import table
from chipwise.cli import main
from chipwise.errors import BadInput
from chipwise.export.bench import notes
from chipwise.validation.serving import measured
from tests.export.cases import CASES

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks/results"
GIVEN = {
    "chip": "h100",
    "backend": "vllm",
    "backend_version": "0.33.0",
    "weight_format": "fp8",
    "tp": "4",
}
ON = {"measured_on": "2026-11-28"}
MODEL = "meta-llama/Llama-3.3-70B-Instruct"


def _number(value):
    return pytest.approx(value, rel=1e-12)


def _json(name):
    return json.loads((RESULTS / name).read_text("utf-8"))


@pytest.mark.parametrize(
    ("name", "tool", "given"),
    [
        ("vllm.json", "vllm bench serve", {}),
        ("sglang.jsonl", "sglang.bench_serving", ON),
        ("guidellm.json", "guidellm", GIVEN),
        ("guidellm.yaml", "guidellm", GIVEN),
        ("aiperf.json", "aiperf", GIVEN),
        ("genai-perf.json", "genai-perf", GIVEN | ON),
    ],
)
def test_a_result_is_told_by_its_content(name, tool, given):
    (row,) = read_results(RESULTS / name, given)
    assert tuple(row) == COLUMNS
    assert (row["tool"], row["source"], row["model"]) == (tool, name, MODEL)
    assert (row["concurrency"], row["tp"], row["gpus"]) == ("4", "4", "4")
    assert row["osl"] in ("14", "15", "16", "17")
    assert row["measured_on"] == "2026-11-28"


def test_every_tool_has_a_result():
    files = [f for f in RESULTS.iterdir() if f.suffix != ".md"]
    model = {"model": MODEL}
    tools = {r["tool"] for f in files for r in read_results(f, model | GIVEN | ON)}
    assert tools == set(TOOLS)


def test_the_means_are_those_that_the_tool_wrote():
    (row,) = read_results(RESULTS / "vllm.json", {})
    told = _json("vllm.json")
    assert float(row["ttft_ms"]) == _number(told["mean_ttft_ms"])
    assert float(row["tpot_ms"]) == _number(told["mean_tpot_ms"])
    assert int(row["isl"]) == round(told["total_input_tokens"] / 12)
    (row,) = read_results(RESULTS / "aiperf.json", GIVEN)
    told = _json("aiperf.json")
    assert float(row["ttft_ms"]) == _number(told["time_to_first_token"]["avg"])
    assert float(row["tpot_ms"]) == _number(told["inter_token_latency"]["avg"])
    (row,) = read_results(RESULTS / "guidellm.json", GIVEN)
    told = _json("guidellm.json")["benchmarks"][0]["metrics"]
    assert float(row["tpot_ms"]) == _number(told["inter_token_latency_ms"]["successful"]["mean"])


def test_what_an_exported_benchmark_notes_is_all_that_is_asked():
    """The notes of bench.sh make a result complete, but for the day of SGLang's."""
    for case in (CASES[0], next(c for c in CASES if c.to == "sglang")):
        asked = set(notes(case.job()))
        assert {"model", "chip", "backend", "backend_version", "weight_format", "tp"} <= asked


@pytest.mark.parametrize("absent", sorted(GIVEN))
def test_what_is_missing_is_asked_for_by_name(absent):
    given = {k: v for k, v in GIVEN.items() if k != absent}
    with pytest.raises(BadInput, match=f"does not say {absent}; give --"):
        read_results(RESULTS / "guidellm.json", given)


def test_a_rate_has_no_clients_and_they_are_asked_for(tmp_path):
    found = _json("vllm.json") | {"max_concurrency": None, "request_rate": 5.0}
    (tmp_path / "r.json").write_text(json.dumps(found), "utf-8")
    with pytest.raises(BadInput, match="does not say concurrency; give --concurrency"):
        read_results(tmp_path / "r.json", {})


def test_replicas_share_the_clients(tmp_path):
    found = _json("vllm.json") | {"chipwise_replicas": "2"}
    (tmp_path / "r.json").write_text(json.dumps(found), "utf-8")
    (row,) = read_results(tmp_path / "r.json", {})
    assert (row["concurrency"], row["gpus"]) == ("2", "4")
    with pytest.raises(BadInput, match="4 clients do not divide over 3"):
        read_results(tmp_path / "r.json", {"replicas": "3"})


def test_phases_apart_have_no_row(tmp_path):
    found = _json("vllm.json") | {"chipwise_apart": "yes"}
    (tmp_path / "r.json").write_text(json.dumps(found), "utf-8")
    with pytest.raises(BadInput, match="ran apart"):
        read_results(tmp_path / "r.json", {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "of no known tool"),
        ("[1]", "of no known tool"),
        ('{"a": 1}\nx', "line 2: not JSON"),
        ("a: [", "neither JSON, YAML nor CSV"),
        ("a,b\n1", "fields unlike those of line 1"),
        ('{"benchmarks": [{}]}', "not a whole result of guidellm"),
        ('{"benchmarks": []}', "it holds no measurement"),
        ("", "of no known tool"),
    ],
)
def test_a_file_that_is_no_result_is_told(tmp_path, text, told):
    (tmp_path / "r").write_text(text, "utf-8")
    with pytest.raises(BadInput, match=told):
        read_results(tmp_path / "r", GIVEN)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ttft_ms", "-1", "ttft_ms is '-1'"),
        ("tpot_ms", "nan", "tpot_ms is 'nan'"),
        ("tp", "0", "tp is '0'"),
        ("measured_on", "yesterday", "a day like 2026-11-28"),
    ],
)
def test_an_impossible_value_is_told(name, value, told):
    with pytest.raises(BadInput, match=told):
        read_results(RESULTS / "vllm.json", {name: value})


def test_the_table_is_read_by_validate_and_calibrate(tmp_path, capsys):
    out = tmp_path / "runs.csv"
    asked = ["import", *(str(RESULTS / n) for n in ("vllm.json", "sglang.jsonl"))]
    assert main([*asked, "--on", "2026-11-28", "--out", str(out)]) == 0
    assert "2 measurements were read" in capsys.readouterr().out
    kind, rows = table(out)
    assert kind == "serving"
    runs = measured(rows)
    assert [m.run.chip.id for m in runs] == ["nvidia-h100-sxm"] * 2
    assert [m.run.backend for m in runs] == ["vllm", "sglang"]
    with out.open(encoding="utf-8") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--chip", "h999", "unknown chip"),
        ("--weights", "fp7", "weight_format is 'fp7'"),
        ("--backend", "llama.cpp", "unknown backend"),
    ],
)
def test_a_name_that_is_not_known_is_refused_and_nothing_written(
    tmp_path, capsys, option, value, told
):
    out = tmp_path / "runs.csv"
    file = str(RESULTS / "vllm.json")
    assert main(["import", file, option, value, "--out", str(out)]) == 2
    assert told in capsys.readouterr().err
    assert not out.exists()
