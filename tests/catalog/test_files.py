"""Broken files are refused with the file and the place."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from chipwise.catalog import files
from chipwise.errors import BadInput


def test_toml_fault_names_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('id = "x"\nname = \n')
    with pytest.raises(BadInput, match=r"x\.toml: not valid TOML: .*line 2, column 8"):
        files.read_toml(path)


def test_json_fault_names_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": 1,\n "b" 2}')
    with pytest.raises(BadInput, match=r"x\.json: not valid JSON: .*line 2, column 6"):
        files.read_json(path)


@pytest.mark.parametrize("read", [files.read_toml, files.read_json])
def test_absent_file_is_named(read: object, tmp_path: Path) -> None:
    assert callable(read)
    with pytest.raises(BadInput, match="there is no such file"):
        read(tmp_path / "none")


def test_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="not a text file in UTF-8"):
        files.read_toml(path)


def test_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        files.read_toml(tmp_path)


def test_csv_needs_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    assert files.read_csv(path, ("a", "b")) == [{"a": "1", "b": "2"}]
    with pytest.raises(BadInput, match="no column c"):
        files.read_csv(path, ("a", "c"))


@pytest.mark.parametrize("row", ["1", "1,2,3"])
def test_csv_row_of_another_length_is_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"a,b\n1,2\n{row}\n")
    with pytest.raises(BadInput, match="line 3: 2 fields were expected"):
        files.read_csv(path, ("a", "b"))


@pytest.mark.parametrize(
    ("text", "attribute", "line"),
    [
        ("a = 1\npower = 3\n", "power", 2),
        ("[power]\nvalue = 1\n", "power", 1),
        ("[flops.bf16]\nvalue = 1\n", "flops.bf16", 1),
        ("[flops]\nbf16 = 1\n", "flops.bf16", 2),
        ('{"x": 1,\n "y": 2, "power": 3}', "power", 2),
    ],
)
def test_where_finds_the_line(tmp_path: Path, text: str, attribute: str, line: int) -> None:
    path = tmp_path / "x"
    path.write_text(text)
    assert files.where(path, attribute) == f"{path}: line {line}"


def test_where_falls_back_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert files.where(path, "power") == str(path)
    path.write_text("empowered = 1\n")
    assert files.where(path, "power") == str(path)


def test_catalog_has_a_day() -> None:
    assert files.as_of() == date(2026, 11, 23)
