from __future__ import annotations

from pathlib import Path

import pytest

from chipwise import catalog
from chipwise.catalog import makers
from chipwise.errors import BadInput

GOOD = {
    "stage": '"fab"',
    "value": '"TSMC + SMIC"',
    "country": '"TW + CN"',
    "chips": '["huawei-ascend-910c"]',
    "source": '"somebody"',
    "provenance": '"reported"',
    "on": "2026-11-23",
}


def write(folder: Path, *changes: dict[str, str | None]) -> Path:
    path = folder / "origins.toml"
    text = ""
    for change in changes:
        lines = [f"{k} = {v}" for k, v in {**GOOD, **change}.items() if v is not None]
        text += "[[origin]]\n" + "\n".join(lines) + "\n"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_statement_holds_for_each_of_its_chips(tmp_path: Path) -> None:
    found = makers.read_origins(write(tmp_path, {}))["huawei-ascend-910c"]
    assert (found["fab"].value, found["fab_country"].value) == ("TSMC + SMIC", "TW + CN")
    assert found["fab"].provenance == "reported"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stage": '"test"'}, "stage: one of fab, memory"),
        ({"stage": None}, "stage: is missing"),
        ({"value": "5"}, "value: text in quotes"),
        ({"country": '"Taiwan"'}, "country: two letters"),
        ({"chips": "[]"}, "chips: a list"),
        ({"provenance": '"hearsay"'}, "provenance: one of source"),
        ({"on": '"2026"'}, "on: a date such as"),
        ({"colour": '"red"'}, "colour: unknown key"),
    ],
)
def test_a_broken_statement_is_named(
    tmp_path: Path, change: dict[str, str | None], said: str
) -> None:
    path = write(tmp_path, {}, {"chips": '["x"]', **change})
    with pytest.raises(BadInput, match=said) as caught:
        makers.read_origins(path)
    assert f"{path}: [[origin]] 2" in str(caught.value)


def test_a_maker_told_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the fab of huawei-ascend-910c is told twice"):
        makers.read_origins(write(tmp_path, {}, {}))


def test_every_statement_says_whence() -> None:
    for facts in catalog.origins().values():
        for fact in facts.values():
            assert fact.source
            assert fact.on is not None
            assert (fact.provenance == "unverified") == (not _sourced(fact.source))


def _sourced(source: str) -> bool:
    return "http" in source
