"""Queries → values: what is asked is read as it was meant, what is wrong is told."""

import datetime as dt

import pytest

from chipwise.errors import BadInput, UnknownName
from chipwise.web.forms import FORMS, Field, read, texts

PLAN = [("model", "llama-2-70b"), ("chips", "h200")]


@pytest.mark.parametrize("kind", FORMS)
def test_what_an_empty_form_shows_can_be_asked(kind):
    fields = FORMS[kind]
    shown = {f.name for f in fields if f.default}
    assert read(fields, [(f.name, f.default) for f in fields]).keys() == shown


def test_an_empty_field_says_nothing():
    assert read(FORMS["plan"], [*PLAN, ("rate", ""), ("on", " ")]) == read(FORMS["plan"], PLAN)


def test_names_are_told_apart_by_commas_or_given_again():
    together = read(FORMS["plan"], [("model", "llama-2-70b"), ("chips", "h20,h100")])
    again = [("model", "llama-2-70b"), ("chips", "h20"), ("chips", "h100")]
    assert together == read(FORMS["plan"], again)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("isl", "0", "isl is '0'; it must be a whole number of 1 to"),
        ("isl", "1e3", "whole number"),
        ("isl", "9" * 4000, "whole number"),
        ("isl", "-5", "whole number"),
        ("rate", "nan", "it must be a number from"),
        ("rate", "inf", "it must be a number from"),
        ("tpot", "-1", "it must be a number from"),
        ("on", "2026-13-01", "such as 2026-11-23"),
        ("to", "CHN", "country's code"),
        ("route", "smuggling", "unknown route"),
        ("kv", "fp3", "unknown kv"),
        ("prices", "h200=free", "must be a number"),
        ("simulate", "maybe", "unknown simulate"),
        ("tp", "1,2,3,4,5,6,7,8,9", "8 is the most"),
        ("colour", "red", "unknown field 'colour'"),
    ],
)
def test_what_is_wrong_is_told(name, text, said):
    with pytest.raises(BadInput, match=said):
        read(FORMS["plan"], [*PLAN, (name, text)])


@pytest.mark.parametrize("path", ["/etc/passwd", "../h200.toml", "h200.toml", "./", "C:\\x.toml"])
@pytest.mark.parametrize("name", ["chips", "model"])
def test_no_name_is_read_as_a_path(path, name, tmp_path, monkeypatch):
    (tmp_path / "h200.toml").write_text("id = 'x'")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownName):
        read(FORMS["plan"], [*(p for p in PLAN if p[0] != name), (name, path)])


def test_what_is_needed_is_asked_for():
    with pytest.raises(BadInput, match="chips is missing"):
        read(FORMS["plan"], [("model", "llama-2-70b")])


def test_values_have_their_types():
    given = [*PLAN, ("on", "2026-01-02"), ("simulate", "0"), ("to", "cn"), ("rate", "2.5")]
    found = read(FORMS["plan"], [*given, ("prices", "h200=2.5")])
    assert found["on"] == dt.date(2026, 1, 2)
    assert found["simulate"] is False
    assert found["to"] == "CN"
    assert found["rate"] == 2.5
    assert found["prices"] == ("nvidia-h200-sxm=2.5",)


def test_names_of_fields_are_told_once():
    for fields in FORMS.values():
        assert len({f.name for f in fields}) == len(fields)
        assert all(isinstance(f, Field) for f in fields)


def test_texts_keep_their_order():
    assert texts([("a", "1,2"), ("b", "3"), ("a", "0")]) == {"a": ["1", "2", "0"], "b": ["3"]}
