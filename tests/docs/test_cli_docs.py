"""The pages on commands and attributes say what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chipwise.catalog.chips import schema
from chipwise.cli import app

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", list(app.commands))
def test_every_command_and_every_option_is_documented(name):
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    section = re.search(rf"## chipwise {name}\n(.*?)(?=\n## |\Z)", page, re.DOTALL)
    assert section
    for param in app.commands[name].params:
        for option in param.opts:
            if option.startswith("--"):
                assert option in section[1]


def test_every_attribute_is_documented_in_both_languages():
    page = (DOCS / "facts.md").read_text(encoding="utf-8")
    for attribute in schema().values():
        assert f"| `{attribute.name}` |" in page
        assert attribute.description_en
        assert re.search("[一-鿿]|GB", attribute.description_zh)


def test_the_page_names_no_command_that_is_not():
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## chipwise (\S+)", page, re.MULTILINE)) == set(app.commands)
