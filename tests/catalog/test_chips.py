"""A chip's file becomes a Chip in base units; an unknown stays one."""

from __future__ import annotations

from pathlib import Path

import pytest

from chipwise import catalog
from chipwise.catalog.chips import FORMATS, read_chip, schema, to_chip
from chipwise.catalog.files import read_toml
from chipwise.catalog.names import chip_path
from chipwise.errors import BadFact
from chipwise.types import Link

HEAD = 'id = "acme-x1"\nname = "Acme X1"\nvendor = "Acme"\ncountry = "DE"\n'
BODY = """
flops.bf16 = { value = 400, unit = "TFLOPS" }
memory = { value = 128, unit = "GB" }
memory_bandwidth = { value = 4.1, unit = "TB/s" }
scaleup_link = { value = "Lane" }
scaleup_bandwidth = { value = 800, unit = "GB/s" }
scaleup_domain = { value = 8, unit = "chip" }
"""
GIB = 2.0**30


def _write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_h200_in_base_units() -> None:
    chip = catalog.chip("h200")
    assert chip.flops["bf16"] == 989.5e12
    assert chip.flops["fp8"] == 1979e12
    assert "nvfp4" not in chip.flops
    assert chip.memory == 143771 * 2.0**20
    assert chip.memory_spread == 0
    assert chip.memory_bandwidth == 4.8e12
    assert chip.scaleup == Link("NVLink4", 8, 450e9)
    assert chip.host == Link("PCIe gen 5", 1, 64e9)
    assert chip.power == 700
    assert chip.die_area == pytest.approx(814e-6)
    assert (chip.market, chip.sold_in_us) == ("datacenter", True)
    assert chip.facts["memory"].value == 141


def test_memory_is_a_share_of_the_printed_where_the_driver_is_not_known() -> None:
    chip = catalog.chip("910c")
    assert chip.memory == pytest.approx(0.965 * 128 * GIB)
    assert chip.memory_spread == 0.035


def test_disputed_facts_keep_all_editions() -> None:
    area = catalog.chip("mi300x").facts["die_area"]
    assert (area.value, area.low, area.high) == (1017, 1017, 2400)
    rate = catalog.chip("910c").facts["flops.bf16"]
    assert (rate.value, rate.low, rate.high) == (708, 708, 800)
    assert "752" in rate.note


def test_unverified_fields_are_named() -> None:
    assert "memory" in catalog.chip("h200").unverified
    assert "memory_bandwidth" not in catalog.chip("h200").unverified
    assert "sparse_factor" not in catalog.chip("h200").unverified


def test_chip_of_one_has_no_scaleup() -> None:
    assert catalog.chip("l40s").scaleup is None


def test_unknowns_stay_unknown() -> None:
    chip = catalog.chip("biren-br166")
    assert chip.flops == {}
    assert chip.memory is None
    assert chip.memory_bandwidth is None
    assert chip.power is None
    assert chip.die_area is None
    assert chip.scaleup is None


@pytest.mark.parametrize("removed", ["scaleup_link", "scaleup_bandwidth", "scaleup_domain"])
def test_a_link_needs_all_its_parts(tmp_path: Path, removed: str) -> None:
    lines = [line for line in BODY.splitlines() if not line.startswith(removed)]
    assert read_chip(_write(tmp_path, HEAD + "\n".join(lines))).scaleup is None


FIELDS = ("memory_bandwidth", "power", "die_area", "scaleup", "host", "memory", "sold_in_us")


@pytest.mark.parametrize("chip_id", catalog.chip_ids()[::9])
def test_without_a_fact_a_field_is_as_before_or_unknown(chip_id: str) -> None:
    whole = catalog.chip(chip_id)
    content = read_toml(chip_path(chip_id))
    for removed in sorted(set(content) - {"id", "name", "vendor", "country", "flops"}):
        less = to_chip(chip_path(chip_id), {k: v for k, v in content.items() if k != removed})
        assert less.flops == whole.flops
        for field in FIELDS:
            if (removed, field) == ("usable_memory", "memory"):
                continue  # then the printed size stands for it, with its spread
            assert getattr(less, field) in (None, getattr(whole, field)), (removed, field)
    for form in content.get("flops", {}):
        rates = {k: v for k, v in content["flops"].items() if k != form}
        less = to_chip(chip_path(chip_id), content | {"flops": rates})
        assert less.flops == {k: v for k, v in whole.flops.items() if k != form}


def test_chip_of_a_user(tmp_path: Path) -> None:
    chip = catalog.chip(str(_write(tmp_path, HEAD + BODY)))
    assert chip.id == "acme-x1"
    assert chip.flops == {"bf16": 400e12}
    assert chip.memory_bandwidth == pytest.approx(4.1e12)
    assert chip.scaleup == Link("Lane", 8, 400e9)
    assert chip.status == "reported"
    assert chip.sold_in_us is None


def test_a_users_file_is_read_anew(tmp_path: Path) -> None:
    path = _write(tmp_path, HEAD + BODY)
    before = catalog.chip(str(path))
    _write(tmp_path, HEAD + BODY.replace("400", "500"))
    assert (before.flops["bf16"], catalog.chip(str(path)).flops["bf16"]) == (400e12, 500e12)


def test_tables_may_be_written_as_sections(tmp_path: Path) -> None:
    text = HEAD + '[flops.bf16]\nvalue = 400\nunit = "TFLOPS"\n[power]\nvalue = 0.5\nunit = "kW"\n'
    chip = catalog.chip(str(_write(tmp_path, text)))
    assert (chip.flops, chip.power) == ({"bf16": 400e12}, 500.0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (HEAD + "power = 700\n", "line 5: power: a table with value"),
        (HEAD + "[flops.bf17]\nvalue = 1\nunit = 'TFLOPS'\n", "flops.bf17: unknown .* flops.bf16"),
        (HEAD + "[colour]\nvalue = 1\n", "line 5: colour: unknown attribute; known are"),
        (HEAD.replace('name = "Acme X1"\n', ""), "name: is missing"),
        (HEAD.replace('"Acme X1"', "3"), "line 2: name: text in quotes was expected, not 3"),
        ("flops = 3\n" + HEAD, "line 1: flops: unknown attribute"),
        (HEAD + "[power]\nvalue = 1\n", "line 5: power: the unit is missing"),
    ],
)
def test_bad_chip_says_what_and_where(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(BadFact, match=rf"mine\.toml: .*{complaint}"):
        catalog.chip(str(_write(tmp_path, text)))


def test_schema_speaks_of_each_attribute_in_both_languages() -> None:
    assert {f"flops.{form}" for form in FORMATS} <= set(schema())
    for attribute in schema().values():
        assert attribute.description_en
        assert any("\u4e00" <= c <= "\u9fff" for c in attribute.description_zh), attribute.name
