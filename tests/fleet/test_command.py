"""`chipwise fleet`: tables, JSON and CSV in two languages; exit codes; files written whole."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from chipwise.cli import main
from tests.fleet.conftest import SMALL
from tests.schema import check

FILE = str(SMALL)
ROOT = Path(__file__).parents[2]
FAST = ["--gap", "0.05"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["fleet", *arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("en", ["million USD", "Cost by part", "Chips bought by year", "Who serves the tokens"]),
        ("zh", ["百万美元", "成本构成", "各年采购芯片数", "由谁服务 token"]),
    ],
)
def test_it_shows_the_plan(capsys: pytest.CaptureFixture[str], lang: str, words: list[str]) -> None:
    code, out, err = run(capsys, FILE, *FAST, "--lang", lang)
    assert (code, err) == (0, "")
    assert all(word in out for word in words)
    assert "Running HiGHS" not in out


@pytest.mark.slow
def test_a_cut_off_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    cut = ["--cut-off", "vendor=NVIDIA,from=2026-Q3", "--cut-off", "vendor=NVIDIA,from=2031-Q1"]
    code, out, _ = run(capsys, FILE, *FAST, *cut)
    assert code == 0
    text = " ".join(out.split())
    assert "Cut off: vendor NVIDIA from 2026-Q3 costs " in text
    assert "Cut off: vendor NVIDIA from after the horizon costs 0–0 million USD" in text


def test_numbers_are_the_same_in_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    answers: list[dict[str, Any]] = []
    for lang in ("en", "zh"):
        found = json.loads(run(capsys, FILE, *FAST, "--lang", lang, "--format", "json")[1])
        answers.append({k: v for k, v in found.items() if k != "elapsed_s"})
    assert answers[0] == answers[1]


def test_rows_are_every_move(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(run(capsys, FILE, *FAST, "--format", "csv")[1])))
    found = json.loads(run(capsys, FILE, *FAST, "--format", "json")[1])
    assert len(rows) == sum(len(found[m]) for m in ("buy", "rent", "retire", "release"))
    assert {r["move"] for r in rows} <= {"buy", "rent", "retire", "release"}


def test_out_is_the_answer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "fleet.json"
    assert run(capsys, FILE, *FAST, "--out", str(path))[0] == 0
    assert json.loads(path.read_text("utf-8"))["title"] == "small"


def test_the_program_is_written_for_audit(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "fleet.lp"
    code, out, err = run(capsys, FILE, "--write-model", str(path))
    assert (code, out, err) == (0, "", "")
    assert path.read_text("utf-8").startswith("\\ File written by HiGHS")


@pytest.mark.slow
def test_all_that_can_be_asked_is_as_the_schema_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "scenarios.toml"
    text = (
        SMALL.read_text("utf-8")
        + """
[[scenario]]
id = "a"
probability = 0.5
from = "2026-Q3"
[[scenario]]
id = "b"
probability = 0.5
from = "2026-Q3"
demand = { chat = 1.5 }
"""
    )
    path.write_text(text, "utf-8")
    asked = ["--curve", "vendor=NVIDIA", "--regret", "--spares", "h200=0,8", "--rolling", "4,2"]
    cut = ["--cut-off", "vendor=NVIDIA,from=2026-Q3"]
    code, out, _ = run(capsys, str(path), *FAST, *asked, *cut, "--format", "json")
    assert code == 0
    found = json.loads(out)
    check("fleet", found)
    assert [e["share"] for e in found["diversification"]] == [1.0, 0.8, 0.6, 0.4, 0.2, 0.0]
    assert set(found["regret_usd"]) == {"a", "b", "expected"}
    code, out, _ = run(capsys, str(path), *FAST, *asked, *cut, "--lang", "zh")
    assert code == 0
    assert "遗憾值" in out
    assert "滚动规划" in out


WRONG = [
    (["missing.toml"], "missing.toml: there is no such file"),
    ([FILE, "--cut-off", "vendor"], "'vendor' is not key=value"),
    ([FILE, "--cut-off", "vendor=AMD,from=2026-Q3"], "cut_off.vendor: unknown vendor 'AMD'"),
    ([FILE, "--curve", "vendor=AMD"], "cut_off.vendor: unknown vendor 'AMD'"),
    ([FILE, "--curve", "colour=red"], "'colour' is not one of vendor, country"),
    ([FILE, "--spares", "h200=1"], "spares are told for a cut-off; give one"),
    ([FILE, "--spares", "h200"], "'h200' is not chip=count,count"),
    ([FILE, "--regret"], "regret needs at least two scenarios"),
    ([FILE, "--rolling", "8"], "'8' is not two whole numbers"),
    ([FILE, "--rolling", "2,4"], "keep is 4; it must be at least 1 and at most ahead, 2"),
    ([FILE, "--gap", "2"], "is not a number above 0 and at most 0.5"),
    ([FILE, "--write-model", "fleet.txt"], "a name that ends in .lp or .mps was expected"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_wrong_input_gets_one_line_and_two(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_fault_in_the_grammar_names_its_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("[horizon]\nfirst = \n", "utf-8")
    code, _, err = run(capsys, str(path))
    assert code == 2
    assert "not valid TOML" in err
    assert "line 2" in err


def test_a_plan_that_cannot_be_ends_with_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "tight.toml"
    text = SMALL.read_text("utf-8").replace(
        "unserved = [{ share = 1.0, usd_per_million_tokens = 12 }]", "unserved = []"
    )
    path.write_text(text.replace("tokens_per_s = 12000", "tokens_per_s = 900000"), "utf-8")
    code, out, err = run(capsys, str(path))
    assert (code, out) == (1, "")
    assert "these limits cannot all be kept: " in err
    assert "demand code must be served (demand.code.unserved)" in err
