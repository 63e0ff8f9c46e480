"""Tables of measured runs: told apart by their columns, read whole or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from chipwise.catalog.files import DATA
from chipwise.catalog.measured import KINDS, table
from chipwise.errors import BadInput

NAMES = {path.stem: path for path in (DATA / "measured").glob("*.csv")}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_catalogs_own_tables_are_told_apart(name: str) -> None:
    kind, rows = table(NAMES[name])
    assert kind == name
    assert rows
    assert all(row.keys() == rows[0].keys() for row in rows)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_order_of_columns_and_others_beside_them_are_free(kind: str, tmp_path: Path) -> None:
    columns = ["more", *sorted(KINDS[kind], reverse=True)]
    file = tmp_path / "t.csv"
    file.write_text(",".join(columns) + "\n" + ",".join([" a "] * len(columns)) + "\n")
    assert table(file) == (kind, [dict.fromkeys(columns, "a")])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_missing_column_is_named(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    *kept, lost = sorted(KINDS[kind] - {"model"})
    file.write_text(",".join(kept) + "\n")
    with pytest.raises(BadInput) as said:
        table(file)
    assert lost in str(said.value) or "nearest" in str(said.value)


def test_no_other_kind_claims_a_tables_columns() -> None:
    """Each set of columns has one that no other has, so that no table is taken for another."""
    for kind, columns in KINDS.items():
        for other, theirs in KINDS.items():
            assert kind == other or columns - theirs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version,model,precision,gpu,isl,osl,batch\na,b,c,d,e,f,g,h\n", "row 2: more cells"),
        ('version,model,precision,gpu,isl,osl,batch\n"a"b\n', "line 2: not CSV"),
        ("", "no known table"),
        ("x,y\n", "no known table"),
    ],
)
def test_a_broken_table_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "t.csv"
    file.write_text(text)
    with pytest.raises(BadInput, match=said) as error:
        table(file)
    assert str(file) in str(error.value)


def test_a_table_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput):
        table(file)
    with pytest.raises(BadInput):
        table(tmp_path / "absent.csv")


def test_short_rows_have_empty_cells(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("version,model,precision,gpu,isl,osl,batch\na,b\n")
    _, rows = table(file)
    assert rows[0]["batch"] == ""
