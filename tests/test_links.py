"""The commands that reach the world outside, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chipwise.cli import main
from tests.schema import check

HERE = Path(__file__).parent
PLAN = str(HERE / "export/plans/vllm-deepseek.json")


def test_an_export_makes_a_folder_and_says_which_files(tmp_path, capsys):
    out = tmp_path / "a/run"
    asked = ["export", PLAN, "--to", "vllm", "--chip", "h200", "--out", str(out)]
    assert main([*asked, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    check("export", found)
    assert found["files"] == sorted(f.name for f in out.iterdir())
    assert (out / "serve.sh").stat().st_mode & 0o111
    assert not list((tmp_path / "a").glob(".*"))


def test_a_folder_that_is_not_empty_is_replaced_only_by_force(tmp_path, capsys):
    (tmp_path / "kept").write_text("mine", "utf-8")
    asked = ["export", PLAN, "--to", "vllm", "--chip", "h200", "--out", str(tmp_path)]
    assert main(asked) == 2
    assert (
        "is not empty; name another folder, or replace it with --force" in capsys.readouterr().err
    )
    assert [f.name for f in tmp_path.iterdir()] == ["kept"]
    assert main([*asked, "--force"]) == 0
    assert not (tmp_path / "kept").exists()


def test_a_refused_export_writes_nothing(tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["export", PLAN, "--to", "vllm", "--chip", "b200", "--out", str(out)]) == 1
    assert "--checkpoint" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "not valid JSON"), ("[]", "not an answer of chipwise plan"), ("{}", "chips")],
)
def test_a_file_that_is_no_plan_is_told(tmp_path, capsys, text, told):
    plan = tmp_path / "plan.json"
    plan.write_text(text, "utf-8")
    assert main(["export", str(plan), "--to", "vllm", "--out", str(tmp_path / "o")]) == 2
    assert told in capsys.readouterr().err


def test_what_was_imported_is_told_as_the_schema_says(tmp_path, capsys):
    file = str(HERE / "benchmarks/results/vllm.json")
    out = tmp_path / "runs.csv"
    assert main(["import", file, "--out", str(out), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    check("import", found)
    assert found["rows"][0]["tool"] == "vllm bench serve"
