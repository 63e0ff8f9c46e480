"""A user's own step table and lengths: read as written, or one message of what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chipwise.catalog.columns import read_lengths, read_step_table
from chipwise.errors import BadInput


def test_a_step_table_has_a_grid_and_what_else_it_names(tmp_path: Path) -> None:
    file = tmp_path / "steps.csv"
    file.write_text("tokens,seconds,attention,request\n1,0.01,2e-8,0.005\n8192,0.4,,\n")
    table = read_step_table(file)
    assert list(table.tokens) == [1.0, 8192.0]
    assert list(table.seconds) == [0.01, 0.4]
    assert (table.attention, table.request, table.base) == (2e-8, 0.005, 0.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column tokens, seconds"),
        ("tokens,seconds\n", "no row in it"),
        ("tokens,seconds\n1,x\n", "line 2, column seconds: 'x' is not a number"),
        ("tokens,seconds\n1,nan\n", "line 2, column seconds"),
        ("tokens,seconds\n1,1e999\n", "line 2, column seconds"),
        ("tokens,seconds\n2,1\n2,1\n", "line 3, column tokens: must be above"),
        (
            "tokens,seconds\n0,0.01\n",
            "line 2, column tokens: the last row is of at least one token",
        ),
        ("tokens,seconds\n1,0\n", "longer than 0 s"),
        ("tokens,seconds,speed\n1,1,1\n", "unknown column 'speed'"),
        ("tokens,seconds,base\n1,1,0.1\n2,1,0.2\n", "line 3, column base: has one value"),
    ],
)
def test_what_is_no_step_table_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "steps.csv"
    file.write_text(text)
    with pytest.raises(BadInput, match=says):
        read_step_table(file)


def test_lengths_are_pairs_with_weights(tmp_path: Path) -> None:
    file = tmp_path / "lengths.csv"
    file.write_text("isl,osl,weight\n100,10,3\n200,20,1\n")
    pairs, weights = read_lengths(file)
    assert pairs.tolist() == [[100, 10], [200, 20]]
    assert np.array_equal(weights, [3.0, 1.0])
    file.write_text("isl,osl\n100,10\n")
    assert read_lengths(file)[1].tolist() == [1.0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("isl\n1\n", "no column osl"),
        ("isl,osl\n", "no row in it"),
        ("isl,osl\n1.5,1\n", "line 2, column isl"),
        ("isl,osl\n1,0\n", "line 2, column osl"),
        ("isl,osl,weight\n1,1,-1\n", "line 2, column weight"),
        ("isl,osl,weight\n1,1,0\n", "one of them must be above 0"),
    ],
)
def test_what_are_no_lengths_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "lengths.csv"
    file.write_text(text)
    with pytest.raises(BadInput, match=says):
        read_lengths(file)
