"""Tables of measured runs: what is predicted of them rests on nothing that was measured."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from chipwise import validation
from chipwise.catalog.files import DATA
from chipwise.catalog.measured import table
from chipwise.cli import main
from chipwise.types import Calibration

MEASURED = DATA / "measured" / "serving.csv"
BLANK = ("ttft_ms", "tpot_ms", "n")
ROW = {
    "id": "a",
    "model": "meta-llama/Llama-3.1-70B",
    "chip": "h200-sxm",
    "backend": "vllm",
    "weight_format": "fp8",
    "isl": "1024",
    "osl": "1024",
    "concurrency": "8",
    "tp": "4",
    "ttft_ms": "100",
    "tpot_ms": "10",
}


def some(count: int) -> list[dict[str, str]]:
    """Rows from all over the table."""
    _, rows = table(MEASURED)
    return rows[:: len(rows) // count][:count]


def test_blank_measurements_change_no_prediction(general: Calibration) -> None:
    rows = some(40)
    blank = [{k: "" if k in BLANK else v for k, v in row.items()} for row in rows]
    absent = [{k: v for k, v in row.items() if k not in BLANK} for row in rows]
    told = list(validation.predict("serving", rows, general))
    assert told == list(validation.predict("serving", blank, general))
    assert told == list(validation.predict("serving", absent, general))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "nobody/knows"}, "unknown model"),
        ({"chip": "nothing"}, "unknown chip"),
        ({"weight_format": "fp3"}, "unknown weight format"),
        ({"isl": "many"}, "isl is 'many'"),
        ({"isl": ""}, "isl"),
        ({"concurrency": "0"}, "at least 1"),
        ({"measured_on": "yesterday"}, "measured_on"),
        ({"model": "deepseek-ai/DeepSeek-R1", "tp": "1"}, "no room"),
        ({"backend": "bmx"}, "unknown backend"),
        ({"tp": "1e99"}, "tp"),
        ({"isl": "inf"}, "isl"),
        ({"isl": "nan"}, "isl"),
    ],
)
def test_a_row_that_cannot_be_predicted_says_why(
    general: Calibration, change: dict[str, str], said: str
) -> None:
    before, odd, after = validation.predict("serving", [ROW, {**ROW, **change}, ROW], general)
    assert said in odd["error"]
    assert odd["pred_tpot_ms"] == ""
    assert before == after
    assert before["error"] == ""


def test_bounds_lie_about_the_value(general: Calibration) -> None:
    for line in validation.predict("serving", some(20), general):
        if line["error"]:
            continue
        for name in ("ttft", "tpot"):
            low, value, high = (line[f"pred_{name}{end}_ms"] for end in ("_low", "", "_high"))
            assert 0 < low < value < high


def test_the_report_of_a_perfect_table_has_no_error(general: Calibration) -> None:
    rows = some(12)
    lines = list(validation.predict("serving", rows, general))
    true = [
        {**row, "ttft_ms": str(line["pred_ttft_ms"]), "tpot_ms": str(line["pred_tpot_ms"])}
        for row, line in zip(rows, lines, strict=True)
    ]
    found = validation.report("serving", true, lines)
    assert found["predicted"] == sum(not line["error"] for line in lines)
    for errors in found["quantities"].values():
        assert errors["median_ape"] == errors["p90_ape"] == 0.0
        assert errors["bias"] == errors["coverage"] == 1.0
        assert errors["spearman"] == pytest.approx(1.0)


def test_what_was_compared_is_told_with_its_interval(general: Calibration) -> None:
    rows = [ROW, {**ROW, "tpot_ms": ""}, {**ROW, "model": "nobody/knows"}]
    lines = list(validation.predict("serving", rows, general))
    found = validation.report("serving", rows, lines)
    pairs = found["compared"]
    assert [(p["row"], p["quantity"]) for p in pairs] == [
        (0, "ttft_ms"),
        (0, "tpot_ms"),
        (1, "ttft_ms"),
    ]
    for pair in pairs:
        name = pair["quantity"].removesuffix("_ms")
        line = lines[pair["row"]]
        ends = (pair[k] for k in ("low", "predicted", "high"))
        assert tuple(ends) == tuple(line[f"pred_{name}{end}_ms"] for end in ("_low", "", "_high"))
        assert pair["measured"] == float(ROW[pair["quantity"]])
    held = [p["low"] <= p["measured"] <= p["high"] for p in pairs if p["quantity"] == "ttft_ms"]
    assert found["quantities"]["ttft_ms"]["coverage"] == pytest.approx(np.mean(held))


def test_a_figure_that_cannot_have_been_measured_is_passed_over(general: Calibration) -> None:
    rows = [ROW, *({**ROW, "tpot_ms": odd} for odd in ("0", "-1", "nan", "1e309", "1e-320"))]
    found = validation.report("serving", rows, list(validation.predict("serving", rows, general)))
    counts = {name: errors["count"] for name, errors in found["quantities"].items()}
    assert counts == {"ttft_ms": 6, "tpot_ms": 1}


def test_the_worst_row_comes_first(general: Calibration) -> None:
    rows = [{**ROW, "id": "near"}, {**ROW, "id": "far", "tpot_ms": "0.01"}]
    found = validation.report("serving", rows, list(validation.predict("serving", rows, general)))
    assert found["worst"][0]["id"] == "far"
    assert found["worst"][0]["guess"]


def test_ranks_of_equal_values_are_shared() -> None:
    ranks = validation._ranks(np.array([3.0, 1.0, 3.0, 2.0]))
    assert ranks.tolist() == [2.5, 0.0, 2.5, 1.0]


def test_the_command_keeps_the_order_and_refuses_within_its_lines(tmp_path, capsys) -> None:
    rows = [{**ROW, "id": str(i)} for i in range(5)]
    rows[2]["chip"] = "nothing"
    file, out = tmp_path / "runs.csv", tmp_path / "out.csv"
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, sorted(ROW))
        writer.writeheader()
        writer.writerows(rows)
    assert main(["validate", str(file), "--out", str(out)]) == 0
    assert "4 of 5 rows" in capsys.readouterr().out
    with out.open(newline="") as stream:
        reader = csv.DictReader(stream)
        lines = list(reader)
    assert tuple(reader.fieldnames or ()) == validation.COLUMNS["serving"]
    assert [line["id"] for line in lines] == ["0", "1", "2", "3", "4"]
    assert [bool(line["error"]) for line in lines] == [False, False, True, False, False]


def test_the_command_refuses_a_table_that_it_does_not_know(tmp_path, capsys) -> None:
    file = tmp_path / "odd.csv"
    file.write_text("a,b\n1,2\n")
    assert main(["validate", str(file)]) == 2
    assert "no known table" in capsys.readouterr().err
