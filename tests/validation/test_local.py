"""A calibration of one's own: known factors come back, few runs widen, the second half follows."""

from __future__ import annotations

import gzip
import json
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chipwise import api, catalog, intervals, perf, serving
from chipwise.catalog.files import DATA
from chipwise.catalog.measured import table
from chipwise.cli import main
from chipwise.errors import BadInput
from chipwise.habits import with_factors
from chipwise.plan.replay import replay
from chipwise.types import Served
from chipwise.validation import design, fitting, local
from tests.schema import check

ROOT = Path(__file__).parents[2]
LOGS = ROOT / "tests" / "oracles" / "data" / "real_vllm"
FLAGS = {"blocks": 2587, "max_seqs": 256, "max_tokens": 2048}
RTX = ["--model", "llama-3.1-8b", "--chip", "rtx4090", "--max-num-batched-tokens", "2048"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CHIPWISE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def answered(capsys):
    def run(*arguments):
        code = main([*map(str, arguments), "--format", "json"])
        shown = capsys.readouterr()
        assert (code, shown.err) == (0, "")
        return json.loads(shown.out)

    return run


@pytest.fixture(scope="module")
def served():
    """Model, deployment and a load of a small server."""
    model, chip = api.model("llama-3.1-8b"), api.chip("rtx4090")
    made = api.deployment(model, chip, batch=64, chunk=2048)
    rng = np.random.default_rng(7)
    arrival = np.cumsum(rng.exponential(0.4, 120))
    return model, made, arrival, rng.integers(64, 900, 120), rng.integers(16, 200, 120)


def log_of(served, factors):
    """What a server with these factors would have logged."""
    model, made, arrival, isl, osl = served
    steps = perf.step_table(model, made, made.decode, factors)
    run = serving.simulate(steps, arrival, isl, osl, **FLAGS)
    return Served(run.arrival, run.isl, run.osl, run.first, run.finish)


def test_a_log_of_the_general_calibration_moves_nothing(served, general):
    log = log_of(served, general)
    found = local.fit_served(log, served[0], served[1], FLAGS, general, "same", share=0.5)
    assert all(by == pytest.approx(1.0, abs=0.005) for by in found.factors.values())
    assert found.halves.local["tpot"] == pytest.approx(found.halves.measured["tpot"], rel=1e-3)


def test_a_slower_memory_is_found_again(served, general):
    chip = served[1].decode.chip
    before = local.opened(general, [chip])
    memory = next(f for f in local.moved(chip, "vllm") if f.at[1] == "memory")
    log = log_of(served, with_factors(before, [(memory, 0.8)]))
    found = local.fit_served(log, served[0], served[1], FLAGS, general, "slow", share=0.5)
    # Drawn to 1 by its prior, and the others take a part.
    assert 0.78 < found.factors["nvidia-rtx4090.memory"] < 0.9
    assert found.halves.general["tpot"] < 0.87 * found.halves.measured["tpot"]
    assert found.halves.local["tpot"] == pytest.approx(found.halves.measured["tpot"], rel=0.04)


def test_what_came_after_does_not_enter_a_fit_on_the_first_half(served, general):
    log = log_of(served, general)
    until = 0.5 * log.finish.max()
    late, unborn = log.finish > until, log.first > until
    # The end stays where it was, and with it what half of the time is.
    inner = late & (log.finish < log.finish.max() - 1.0)
    assert inner.sum() > 20
    spoilt = replace(
        log,
        first=np.where(unborn & inner, log.first + 0.5, log.first),
        finish=np.where(inner, log.finish + 1.0, log.finish),
    )
    fits = [
        local.fit_served(x, served[0], served[1], FLAGS, general, "x", share=0.5).factors
        for x in (log, spoilt)
    ]
    assert fits[0] == fits[1]


def test_few_errors_widen_and_none_says_what_the_general_one_says():
    wide = 0.3
    assert local.half_width(np.array([]), wide) == wide
    few, more = (local.half_width(np.full(n, 0.02), wide) for n in (2, 8))
    assert few > more > 0.02
    many = np.linspace(-0.1, 0.1, 41)
    assert local.half_width(many, wide) == fitting.quantile(many)
    # An error larger than the general interval is not talked away.
    assert local.half_width(np.array([0.5]), wide) == 0.5


def runs_of(general, factor, stretch):
    """Rows of a stack as a chip with one factor moved would have measured them."""
    _, rows = table(DATA / "measured" / "serving.csv")
    some = [
        r
        for r in rows
        if r["chip"] in ("h100", "nvidia-h100-sxm", "H100", "h100_sxm")
        and "70B" in r["model"]
        and r["backend"] == "vllm"
        and int(float(r["concurrency"])) <= 64
    ][:6]
    assert len(some) == 6
    measured, _ = fitting.sorted_out(some)
    chip = measured[0].run.chip
    before = local.opened(general, [chip])
    which = next(f for f in local.moved(chip, "vllm") if f.at[1] == factor)
    moved = with_factors(before, [(which, stretch)])
    found = []
    for m in measured:
        ttft, tpot = replay(m.run, moved)
        found.append(replace(m, ttft=ttft, tpot=tpot))
    return some, found, chip


@pytest.mark.slow
def test_runs_of_a_benchmark_are_told_apart_from_the_general_calibration(general):
    rows, measured, chip = runs_of(general, "memory", 0.8)
    found = local.fit_runs(rows, measured, general, "mine")
    assert 0.75 < found.factors[f"{chip.id}.memory"] < 0.95
    stack = measured[0].stack
    assert found.scored[stack] == len(measured)
    off = np.abs(fitting.corrected(measured, found.calibration))
    before = np.abs(fitting.corrected(measured, replace(general, corrections={})))
    assert np.nanmedian(off[:, 1]) < 0.25 * np.nanmedian(before[:, 1])
    assert intervals.own_width(
        found.calibration, measured[0].run.model, chip, "vllm", "tpot"
    ) == pytest.approx(found.calibration.own[stack]["tpot"])
    again = json.loads(local.written(found))
    assert again["local"]["base"] == general.id


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("RTX4090_Llama-3.1-8B", [*RTX, "--kv-blocks", "2587", "--max-num-seqs", "256"]),
        (
            "RTXPRO6000_Qwen3-30B-A3B-Instruct-2507",
            [
                *("--model", "Qwen3-30B-A3B", "--chip", "rtxpro6000", "--dp", "2", "--ep", "2"),
                *("--max-num-seqs", "128", "--max-num-batched-tokens", "2048"),
            ],
        ),
    ],
)
def test_the_first_half_of_a_real_log_foretells_the_second(home, answered, tmp_path, name, server):
    log = tmp_path / f"{name}.csv"
    with gzip.open(LOGS / f"{name}.csv.gz", "rb") as packed, log.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    kept = answered("calibrate", "--runs", log, "--name", "mine", "--until", "0.5", *server)
    check("calibrate_own", kept)
    tpot, ttft = (kept["left_out"][f"{n}_s"] for n in ("tpot", "ttft"))
    assert kept["left_out"]["requests"] > 100
    assert tpot["local"] == pytest.approx(tpot["measured"], rel=0.03)
    assert ttft["local"] == pytest.approx(ttft["measured"], rel=0.10)
    assert stat.S_IMODE((home / "calibrations" / "mine.json").stat().st_mode) == 0o600
    # The same by the command that plays a trace, from the file that was kept.
    question = [server[1], "--chip", server[3], *server[4:]]
    played = answered(
        "simulate", *question, "--trace", log, "--calibration", "mine", "--since", "0.5"
    )
    check("simulate", played)
    at = played["measured"]
    assert at["requests"] == kept["left_out"]["requests"]
    for quantity, rel in (("tpot_s", 0.03), ("ttft_s", 0.10)):
        means = (at[quantity][k]["mean"] for k in ("simulated", "measured"))
        assert next(means) == pytest.approx(next(means), rel=rel)


@pytest.mark.slow
def test_an_own_calibration_stands_beside_the_general_one(home, answered, capsys, served, general):
    log = log_of(served, general)
    found = local.fit_served(log, served[0], served[1], FLAGS, general, "mine")
    path = home / "calibrations" / "mine.json"
    path.parent.mkdir(parents=True)
    path.write_text(local.written(found), "utf-8")
    load = ["--isl", "512", "--osl", "128"]
    question = ["estimate", "llama-3.1-8b", "--chip", "rtx4090", "--batch", "4", *load]
    own = answered(*question, "--calibration", "mine")
    check("estimate", own)
    plain = answered(*question)
    assert "general" not in plain
    assert own["general"]["tpot_s"] == plain["tpot_s"]
    assert own["general"]["calibration_id"] == general.id
    assert own["calibration_id"] == "mine"
    # One log is one run: not narrower than a stack that was seen, narrower than a new one.
    width = np.log(own["tpot_s"]["high"] / own["tpot_s"]["value"])
    assert general.widths["seen"]["tpot"] <= width + 1e-9 < general.widths["stack"]["tpot"]
    plan = ["plan", "llama-3.1-8b", "--chips", "rtx4090,h100", *load, "--no-simulate"]
    both = answered(*plan, "--calibration", "mine")
    check("plan", both)
    assert all(row["general"]["calibration_id"] == general.id for row in both["chips"])
    for lang, sign in (("en", "General calibration"), ("zh", "通用校准")):
        assert main([*question, "--calibration", "mine", "--lang", lang]) == 0
        assert sign in capsys.readouterr().out
    listed = answered("calibrate", "--list")
    check("calibrate_list", listed)
    assert [c["name"] for c in listed["calibrations"]] == ["mine"]


def test_the_runs_to_make_next_narrow_the_interval_each_time(answered):
    found = answered("calibrate", "--suggest", "3", *RTX)
    check("calibrate_suggest", found)
    for run in found["runs"]:
        for quantity in ("ttft", "tpot"):
            assert run["half_widths_after"][quantity] < run["half_widths_before"][quantity]
    loads = {(r["concurrency"], r["isl"], r["osl"]) for r in found["runs"]}
    assert len(loads) == 3
    only = answered("calibrate", "--suggest", "2", *RTX, "--isl", "1024", "--osl", "256,512")
    assert {r["isl"] for r in only["runs"]} == {1024}


@pytest.mark.slow
def test_the_first_choice_is_the_best_of_all(general):
    """No other load of a small grid leaves less variance than the one that is chosen."""
    model, chip = api.model("llama-3.1-8b"), api.chip("rtx4090")
    made = api.deployment(model, chip)
    lengths = {"isl": (512, 2048), "osl": (128, 512)}
    chosen = design.suggest(model, made, general, count=1, **lengths)[0]
    after = []
    for clients in (1, 2, 4, 8, 16):
        for isl in lengths["isl"]:
            for osl in lengths["osl"]:
                done = [(float(clients), float(isl), float(osl))]
                asked = design.suggest(model, made, general, done, count=1, **lengths)
                widths = asked[0].before
                after.append((widths["tpot"] / 0.07) ** 2 + 0.6 * (widths["ttft"] / 0.15) ** 2)
    own = chosen.after
    assert (own["tpot"] / 0.07) ** 2 + 0.6 * (own["ttft"] / 0.15) ** 2 <= min(after) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "give one of --name, --suggest, --list and --out"),
        (["--name", "a", "--list"], "give one of"),
        (["--name", "../x", "--runs", "r.csv"], "cannot name a calibration"),
        (["--name", "general", "--runs", "r.csv"], "cannot name a calibration"),
        (["--name", "mine"], "--runs is missing"),
        (["--name", "mine", "--runs", "gone.csv"], "gone.csv"),
        (["--suggest", "3"], "--model is missing"),
        (["--suggest", "3", "--model", "llama-3.1-8b"], "--chip is missing"),
    ],
)
def test_a_wrong_question_is_told_in_a_line(home, capsys, arguments, part):
    assert main(["calibrate", *arguments]) == 2
    shown = capsys.readouterr()
    assert part in shown.err
    assert not shown.out
    assert not home.exists()


def test_a_log_out_of_order_is_refused_with_its_line(tmp_path, capsys, home):
    file = tmp_path / "log.csv"
    file.write_text(
        "arrival_s,prompt,output,first_token_s,last_token_s\n0,10,5,0.5,1\n1,10,5,0.5,2\n", "utf-8"
    )
    assert main(["calibrate", "--name", "x", "--runs", str(file), *RTX]) == 2
    assert "line 3, column first_token_s" in capsys.readouterr().err


def test_a_log_of_single_tokens_tells_no_pace(served, general):
    one = np.ones(3, np.int64)
    log = Served(np.arange(3.0), one, one, np.arange(3.0) + 0.5, np.arange(3.0) + 0.5)
    with pytest.raises(BadInput, match="nothing to fit on"):
        local.fit_served(log, served[0], served[1], FLAGS, general, "x", share=0.5)


def test_a_calibration_of_an_unknown_name_is_refused_with_ones_own(home, capsys):
    load = ["--isl", "512", "--osl", "128", "--batch", "1"]
    code = main(["estimate", "llama-3.1-8b", "--chip", "h100", *load, "--calibration", "mone"])
    assert code == 2
    assert "unknown calibration 'mone'" in capsys.readouterr().err
    assert catalog.calibration("general").base == ""
