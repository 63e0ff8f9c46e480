"""The commands as a user runs them: what they print, write and return."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from chipwise import types
from chipwise.cli import app, main, output, simulate
from chipwise.errors import BadInput
from chipwise.perf import training
from chipwise.serving import door
from chipwise.tables import Cell, Sheet

PLAN = ["plan", "llama-2-70b", "--chips", "h100,h200", "--isl", "2048", "--osl", "128"]
QUICK = [*PLAN, "--no-simulate"]
LOAD = ["--isl", "2048", "--osl", "128"]
ESTIMATE = ["estimate", "llama-2-70b", "--chip", "h200", "--weights", "fp8", *LOAD]
SIMULATE = ["simulate", "--step-time", "0.01,5e-5,5e-5,2e-8", "--kv-blocks", "3000"]
ORACLE = Path(__file__).parent / "oracles" / "data" / "vllm"


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        code = main([str(a) for a in arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def answered(run, *arguments):
    code, out, err = run(*arguments, "--format", "json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_help_is_light():
    code = "import sys; from chipwise.cli import main; code = main(['--help']);"
    code += "assert not {'numpy', 'rich.table', 'chipwise.api'} & set(sys.modules); sys.exit(code)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "plan" in found.stdout


@pytest.mark.parametrize(
    ("name", "option", "known"),
    [
        ("policy", "route", types.ROUTES),
        ("policy", "end_user", types.END_USERS),
        ("train", "recompute", tuple(training.RECOMPUTE)),
        ("simulate", "router", door.ROUTERS),
    ],
)
def test_choices_that_help_lists_without_loading_the_room_are_the_rooms(name, option, known):
    (found,) = (p for p in app.commands[name].params if p.name == option)
    assert tuple(found.type.choices) == known


@pytest.mark.parametrize("name", list(app.commands))
def test_every_command_has_an_example_and_a_form_and_a_language(run, name):
    code, out, _ = run(name, "--help")
    assert code == 0
    assert re.search(rf"Examples?:\n +chipwise {name}", out)
    # A page has both in its own ways: links to JSON and CSV, a switch of languages.
    for option in () if name == "web" else ("--format [table|json|csv]", "--lang [en|zh]"):
        assert option in out


def test_every_option_of_simulate_stands_in_one_section_of_its_help():
    listed = [name for names in simulate.SECTIONS.values() for name in names.split()]
    options = {p.name for p in app.commands["simulate"].params} - {"model"} | {"help"}
    assert len(listed) == len(set(listed))
    assert set(listed) == options


def test_without_a_command_it_helps(run):
    code, out, _ = run()
    assert code == 2
    assert "Commands:" in out


def test_every_example_is_a_command_that_parses():
    for name, command in app.commands.items():
        text = (command.epilog or "").replace("\\\n", " ")
        lines = [line.split() for line in text.splitlines() if line.strip().startswith("chipwise")]
        assert lines
        for line in lines:
            assert line[:2] == ["chipwise", name]
            command.make_context(name, line[2:])


def test_numbers_are_the_same_in_both_languages(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    tables = [run(*QUICK, "--lang", lang)[1] for lang in ("en", "zh")]
    numbers = [sorted(re.findall(r"\d[\d,.]*\d|\d", text)) for text in tables]
    assert numbers[0] == numbers[1]
    assert len(numbers[0]) > 60
    assert "部署" in tables[1]
    assert not re.search("[一-鿿]", tables[0])


@pytest.fixture(scope="module")
def quick_plan():
    """The answer of QUICK, for what is tried of its tables alone."""
    with redirect_stdout(io.StringIO()) as out:
        assert main([*QUICK, "--format", "json"]) == 0
    return json.loads(out.getvalue())


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_no_line_is_wider_than_the_terminal_and_no_figure_is_cut(
    run, monkeypatch, quick_plan, lang
):
    monkeypatch.setattr("chipwise.questions.plan", lambda *_, **__: quick_plan)
    figures = {}
    for width in (80, 100, 140, 300):
        monkeypatch.setenv("COLUMNS", str(width))
        _, out, _ = run(*QUICK, "--lang", lang)
        assert max(map(cell_len, out.splitlines())) <= width
        figures[width] = set(re.findall(r"\d[\d,.]*–\d[\d,.]*", out))
    assert all(each == figures[300] for each in figures.values())
    assert len(figures[300]) > 10


def test_a_plan_prints_one_document_of_json(run):
    found = answered(run, *QUICK)
    assert [row["chip"] for row in found["chips"]] == ["nvidia-h100-sxm", "nvidia-h200-sxm"]
    assert all(row["feasible"] for row in found["chips"])
    assert found["apart"]
    assert found["price_basis"] == "own"
    assert found["to"] == "CN"


def test_a_plan_as_csv_has_a_row_for_each_deployment(run):
    code, out, _ = run(*QUICK, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    found = answered(run, *QUICK)
    assert code == 0
    assert len(rows) == len(found["chips"]) + len(found["apart"])
    for name in ("ttft_s", "ttft_s_low", "memory_bytes_total", "usd_per_hour_high"):
        assert float(rows[0][name]) > 0
    assert float(rows[0]["tpot_s"]) == found["chips"][0]["tpot_s"]["value"]


def test_an_infeasible_chip_is_a_row_and_the_exit_is_0_if_any_is_feasible(run):
    few = ["plan", "llama-2-70b", "--chips", "l4,h200", "--isl", "2048", "--osl", "128"]
    code, out, _ = run(*few, "--gpus", "1", "--mode", "agg", "--no-simulate", "--format", "json")
    rows = json.loads(out)["chips"]
    assert code == 0
    assert [row["feasible"] for row in rows] == [False, True]
    assert "GB missing" in rows[0]["why"]
    assert rows[0]["deployment"] is None


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_where_none_is_feasible_the_exit_is_1_and_the_answer_is_printed(run, form):
    code, out, err = run(*QUICK, "--ttft", "1e-9", "--format", form)
    assert code == 1
    assert err == ""
    assert "ttft is" in out


def test_an_engine_that_does_not_run_on_a_chip_is_that_chips_reason(run):
    chips = ["plan", "llama-2-70b", "--chips", "mi300x,h200", "--isl", "128", "--osl", "128"]
    rows = answered(run, *chips, "--backend", "trtllm", "--no-simulate")["chips"]
    assert [row["feasible"] for row in rows] == [False, True]
    assert "trtllm does not run" in rows[0]["why"]


def test_degrees_that_divide_nothing_are_the_reason(run):
    code, out, _ = run(*QUICK, "--tp", "3", "--format", "json")
    assert code == 1
    assert "none of the degrees" in json.loads(out)["chips"][0]["why"]


def test_a_price_of_ones_own_is_the_price(run):
    found = answered(run, *ESTIMATE, "--batch", "8", "--cost", "rent", "--price", "h200=2.5")
    assert found["usd_per_hour"] == {"value": 2.5, "low": 2.5, "high": 2.5}


def test_a_config_file_stands_for_options_and_options_win(run, tmp_path):
    file = tmp_path / "plan.toml"
    file.write_text(
        'model = "llama-2-70b"\nchips = ["h100", "h200"]\nisl = 2048\nosl = 128\n'
        "simulate = false\nprice = {h200 = 2.5}\ntp = [1, 2]\nmax_rate = 3\n".replace(
            "max_rate = 3\n", ""
        )
    )
    given = [*QUICK, "--price", "h200=2.5", "--tp", "1,2"]
    assert answered(run, "plan", "--config", file) == answered(run, *given)
    shorter = answered(run, "plan", "--config", file, "--isl", "128")
    assert shorter["workload"]["isl"] == 128
    assert shorter["workload"]["osl"] == 128


def test_out_is_what_json_prints(run, tmp_path):
    file = tmp_path / "new" / "plan.json"
    code, out, _ = run(*QUICK, "--out", file)
    assert code == 0
    assert str(file) in out.replace("\n", "")
    assert json.loads(file.read_text()) == answered(run, *QUICK)
    assert [p.name for p in file.parent.iterdir()] == ["plan.json"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "plan.json"
    output.write(file, "before")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(BadInput, match="No space left"):
        output.write(file, "after")
    assert file.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]


def test_a_new_file_has_the_usual_permissions(tmp_path):
    usual = tmp_path / "usual"
    usual.write_text("")
    output.write(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == usual.stat().st_mode


def test_a_chip_and_a_model_of_ones_own(run, tmp_path, h200):
    source = Path(app.callback.__code__.co_filename).parents[1] / "catalog" / "data" / "chips"
    mine = tmp_path / "mine.toml"
    text = (source / f"{h200.id}.toml").read_text()
    mine.write_text(re.sub(r"^id = .*|^aliases = .*", "", text, flags=re.MULTILINE) + "")
    mine.write_text('id = "my-own"\n' + mine.read_text())
    found = answered(
        run,
        *["estimate", "llama-2-70b", "--isl", "2048", "--osl", "128", "--batch", "8"],
        "--weights",
        "fp8",
        "--chip",
        mine,
        "--price",
        f"{mine}=1",
    )
    same = answered(run, *ESTIMATE, "--batch", "8", "--price", "h200=1")
    assert found["chip"] == "my-own"
    assert found["tpot_s"]["value"] == same["tpot_s"]["value"]
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps(
            {
                "model_type": "llama",
                "hidden_size": 8192,
                "num_hidden_layers": 80,
                "num_attention_heads": 64,
                "num_key_value_heads": 8,
                "intermediate_size": 28672,
                "vocab_size": 32000,
                "max_position_embeddings": 4096,
                "torch_dtype": "float16",
            }
        )
    )
    own = answered(run, "estimate", config, *ESTIMATE[2:], "--batch", "8", "--price", "h200=1")
    assert own["tpot_s"]["value"] == same["tpot_s"]["value"]


def test_batch_max_is_what_memory_holds(run):
    full = answered(run, *ESTIMATE, "--batch", "max")
    assert full["deployment"]["decode"]["batch"] == int(full["batch_limit"]) > 8
    again = answered(run, *ESTIMATE, "--batch", full["deployment"]["decode"]["batch"])
    assert again["tpot_s"] == full["tpot_s"]
    code, _, err = run(*ESTIMATE, "--batch", int(full["batch_limit"]) + 1)
    assert code == 1
    assert "does not fit" in err


def test_kv_is_never_fp8_unless_said(run):
    assert answered(run, *ESTIMATE, "--batch", "8")["deployment"]["kv"] == "bf16"
    assert answered(run, *ESTIMATE, "--batch", "8", "--kv", "fp8")["deployment"]["kv"] == "fp8"


def test_the_clock_is_asked_only_for_today(run, monkeypatch):
    from chipwise.cli import inputs

    class Clock:
        @staticmethod
        def now():
            raise AssertionError("the clock was asked")

    monkeypatch.setattr(inputs, "datetime", Clock)
    assert answered(run, *ESTIMATE, "--batch", "8")["on"] == "2026-11-23"
    assert answered(run, *ESTIMATE, "--batch", "8", "--on", "2026-01-02")["on"] == "2026-01-02"
    with pytest.raises(AssertionError, match="asked"):
        main([*ESTIMATE, "--batch", "8", "--on", "today"])


@pytest.mark.parametrize("name", ["chips", "models", "prices", "sources", "rules"])
def test_a_list_of_the_catalog_has_an_entry_for_each_and_each_can_be_asked_for(run, name):
    found = answered(run, name)
    ids = [entry["id"] for entry in found]
    assert len(ids) == len(set(ids)) > 20
    for one in (ids[0], ids[-1]):
        entry = answered(run, name, one)
        assert entry["id"] == one
        assert entry["fields"]
        for field in entry["fields"].values():
            assert {"value", "unit", "source", "on", "verified"} <= set(field)


def test_the_prices_of_a_chip_are_told_together(run):
    found = answered(run, "prices", "h200")
    assert found["id"] == "nvidia-h200-sxm"
    assert found["fields"]["purchase"]["unit"] == "USD/chip"
    assert found["fields"]["on_demand"]["unit"] == "USD/h"


def test_a_model_shows_its_parameters_by_two_counts(run):
    found = answered(run, "models", "llama-2-70b")
    assert found["parameters"] == pytest.approx(found["parameters_published"], rel=0.01)
    _, out, _ = run("models", "llama-2-70b")
    assert "68.98 bn by the dimensions" in out


def test_policy_shows_both_sides_and_is_no_advice(run):
    found = answered(run, "policy", "h200", "--to", "cn", "--on", "2026-11-23")
    assert (found["chip"], found["to"], found["on"]) == ("nvidia-h200-sxm", "CN", "2026-11-23")
    assert found["export"]["status"]
    _, out, _ = run("policy", "h200")
    assert "Not legal advice." in out


# -- simulate ------------------------------------------------------------------------------------


def unpacked(name, tmp_path):
    file = tmp_path / name
    file.write_bytes(gzip.decompress((ORACLE / f"{name}.gz").read_bytes()))
    return file


def columns(path):
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


def same(ours, theirs):
    assert list(ours) == list(theirs)
    for name, values in theirs.items():
        if name == "preempted":
            assert ours[name] == values
        else:
            np.testing.assert_allclose(
                np.array(ours[name], float), np.array(values, float), rtol=0, atol=1e-9
            )


def test_a_trace_through_the_scheduler_writes_what_the_engine_did(run, tmp_path):
    requests, steps = tmp_path / "r.csv", tmp_path / "i.csv"
    found = answered(
        run,
        *SIMULATE,
        "--trace",
        unpacked("conv_trace.csv", tmp_path),
        "--sync",
        *["--block-size", "16", "--max-num-seqs", "256", "--max-num-batched-tokens", "8192"],
        "--requests-out",
        requests,
        "--iterations-out",
        steps,
    )
    theirs = columns(unpacked("conv_reqs.csv", tmp_path))
    same(columns(requests), theirs)
    same(columns(steps), columns(unpacked("conv_iters.csv", tmp_path)))
    assert found["requests"] == len(theirs["id"])
    assert found["preemptions"] == sum(map(int, theirs["preemptions"]))
    assert found["ttft_s"]["mean"] == pytest.approx(np.mean(np.array(theirs["ttft"], float)))


@pytest.mark.parametrize(
    ("name", "trace", "flags"),
    [
        ("code", "code", "--kv-blocks 4000 --max-num-seqs 64 --max-num-batched-tokens 2048"),
        ("async", "async", "--kv-blocks 4000 --async"),
        (
            "longprefill",
            "conv600",
            "--kv-blocks 2000 --max-num-batched-tokens 2048 --long-prefill-token-threshold 512",
        ),
        (
            "noreserve",
            "conv600",
            "--kv-blocks 2000 --max-num-batched-tokens 512 --no-reserve-full-isl",
        ),
    ],
)
def test_the_flags_of_the_engine_are_the_flags_here(run, tmp_path, name, trace, flags):
    requests, steps = tmp_path / "r.csv", tmp_path / "i.csv"
    file = unpacked(f"{trace}_trace.csv", tmp_path)
    out = ("--requests-out", requests, "--iterations-out", steps)
    answered(run, *SIMULATE, "--trace", file, *flags.split(), *out)
    same(columns(requests), columns(unpacked(f"{name}_reqs.csv", tmp_path)))
    same(columns(steps), columns(unpacked(f"{name}_iters.csv", tmp_path)))


def test_prefix_caching_is_the_engines(run, tmp_path):
    requests = tmp_path / "r.csv"
    file = unpacked("prefix_trace.jsonl", tmp_path)
    answered(
        run,
        "simulate",
        "--step-time",
        "0.01,5e-5,5e-5,1e-8",
        "--kv-blocks",
        "20000",
        "--prefix-caching",
        "--trace",
        file,
        "--requests-out",
        requests,
        "--iterations-out",
        tmp_path / "i.csv",
    )
    same(columns(requests), columns(unpacked("prefix_reqs.csv", tmp_path)))
    same(columns(tmp_path / "i.csv"), columns(unpacked("prefix_iters.csv", tmp_path)))


def test_priority_decides_who_goes_first(run, tmp_path):
    trace = tmp_path / "t.csv"
    trace.write_text("arrival_s,prompt,output,priority\n0,10,5,2\n0,10,5,1\n0,10,5,0\n")
    out = tmp_path / "r.csv"
    for policy, order in (("fcfs", [0, 1, 2]), ("priority", [2, 1, 0])):
        answered(
            run,
            *SIMULATE,
            "--trace",
            trace,
            "--policy",
            policy,
            "--max-num-seqs",
            "1",
            "--requests-out",
            out,
        )
        finish = np.array(columns(out)["finish"], float)
        assert list(np.argsort(finish)) == order


def test_a_closed_loop_and_arrivals_of_a_model(run):
    load = ["--isl", "1024", "--osl", "64", "--requests", "200"]
    chip = ["simulate", "llama-2-70b", "--chip", "h200", "--tp", "2", "--weights", "fp8"]
    loop = answered(run, *chip, "--concurrency", "8", *load)
    assert loop["requests"] == 200
    assert loop["queue_s"]["p99"] < 1
    assert loop["output_tokens_per_s"] > 0
    at = answered(run, *chip, "--rate", "0.5", *load, "--ttft", "10", "--tpot", "1")
    assert at["goodput_share"] == 1.0
    assert at["goodput"] == pytest.approx(0.5, rel=0.25)
    _, out, _ = run(*chip, "--rate", "0.5", *load, "--ttft", "10")
    assert "keep the target" in out


def test_a_seed_is_a_run(run):
    load = [*SIMULATE, "--rate", "3", "--isl", "200", "--osl", "20"]
    load += ["--low", "0.8", "--requests", "100"]
    first, again, other = (answered(run, *load, "--seed", s) for s in (1, 1, 2))
    for found in (first, again, other):
        found.pop("elapsed_s")
    assert first == again
    assert first != other


# -- drawing -------------------------------------------------------------------------------------


def test_a_table_that_is_too_wide_goes_on_below_with_its_keys():
    cells = tuple(Cell("12345678901234567890") for _ in range(6))
    sheet = Sheet("t", ("k", *"abcdef"), ((Cell("key"), *cells),), frozenset(range(1, 7)), 1)
    parts = [part for part, _ in output._fitted(sheet, 60)]
    assert [p.headings[0] for p in parts] == ["k"] * len(parts)
    assert [h for p in parts for h in p.headings[1:]] == list("abcdef")
    assert [p.title for p in parts] == ["t", *[""] * (len(parts) - 1)]


@pytest.mark.slow
def test_a_closed_pipe_ends_it_quietly():
    for form in ("table", "csv", "json"):
        with subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from chipwise.cli import main; raise SystemExit(main())",
                "prices",
                "--format",
                form,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "100"},
        ) as process:
            assert process.stdout is not None
            process.stdout.close()
            assert process.stderr is not None
            assert process.stderr.read() == ""
        assert process.returncode == 0


@pytest.mark.slow
def test_the_simulation_has_the_last_word(run):
    found = answered(run, *PLAN, "--ttft", "2", "--tpot", "0.05", "--mode", "agg")
    for row in found["chips"]:
        assert row["simulated"]["ttft_p99"] <= 2
        assert row["simulated"]["tpot_p99"] <= 0.05


def test_a_timeline_is_a_whole_trace_of_events(run, tmp_path):
    file = tmp_path / "t.json"
    load = ["--rate", "5", "--isl", "100", "--osl", "5", "--requests", "20"]
    found = answered(run, *SIMULATE, *load, "--timeline", file)
    assert found["over_time"]["running"]["max"] >= 1
    told = json.loads(file.read_text(encoding="utf-8"))
    assert set(told) == {"traceEvents", "displayTimeUnit"}
    for event in told["traceEvents"]:
        assert {"name", "ph", "pid"} <= set(event)
        assert event["ph"] in ("X", "C", "M")
        if event["ph"] == "X":
            assert event["ts"] >= 0
            assert event["dur"] > 0
    spans = [e for e in told["traceEvents"] if e["ph"] == "X" and "prefill" in e["name"]]
    assert len(spans) >= 20


def test_rows_are_parquet_where_the_name_says_so(run, tmp_path):
    polars = pytest.importorskip("polars")
    load = ["--rate", "5", "--isl", "100", "--osl", "5", "--requests", "20"]
    for option, columns in (("--requests-out", 8), ("--iterations-out", 10)):
        answered(run, *SIMULATE, *load, option, tmp_path / "x.parquet")
        answered(run, *SIMULATE, *load, option, tmp_path / "x.csv")
        packed, plain = polars.read_parquet(tmp_path / "x.parquet"), tmp_path / "x.csv"
        assert packed.shape[1] == columns
        with plain.open(encoding="utf-8") as lines:
            assert next(lines).strip().split(",") == packed.columns


def test_parquet_without_polars_says_what_to_install(run, tmp_path, monkeypatch):
    monkeypatch.setattr("chipwise.cli.frames.find_spec", lambda _name: None)
    file = tmp_path / "x.parquet"
    load = ["--rate", "5", "--isl", "100", "--osl", "5"]
    code, _, err = run(*SIMULATE, *load, "--requests-out", file)
    assert code == 2
    assert "install chipwise[frames]" in err
    assert not file.exists()
