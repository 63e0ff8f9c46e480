"""docs/glossary.md explains every public parameter, in English and Chinese, and nothing else."""

from __future__ import annotations

import re
from functools import cache

from tests.house import tree

GLOSSARY = tree.ROOT / "docs" / "glossary.md"
# Symbols of a formula, explained by the docstring where they stand.
SYMBOLS = frozenset("abdkmnx")


@cache
def _rows() -> tuple[tuple[str, str, str], ...]:
    """Rows of the tables: term, English, Chinese."""
    rows = []
    for line in GLOSSARY.read_text(encoding="utf-8").splitlines():
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 3 and not set(cells[0]) <= {"-", ":"} and cells[1] != "English":
            rows.append((cells[0], cells[1], cells[2]))
    return tuple(rows)


def _terms() -> set[str]:
    quoted = {term for cell, _, _ in _rows() for term in re.findall(r"`([^`]+)`", cell)}
    return quoted | {cell for cell, _, _ in _rows()}


def _public() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for module, node in tree.public():
        for parameter in tree.parameters(module, node):
            found.setdefault(parameter.name, []).append(parameter.where)
    return found


def test_every_public_parameter_is_explained() -> None:
    missing = {k: v[:3] for k, v in _public().items() if k not in _terms() | SYMBOLS}
    assert not missing, f"docs/glossary.md lacks {missing}"


def test_no_parameter_is_explained_that_is_gone() -> None:
    section = GLOSSARY.read_text(encoding="utf-8").partition("## Parameters")[2].partition("\n## ")
    listed = {
        term
        for line in section[0].splitlines()
        if line.startswith("| `")
        for term in re.findall(r"`([^`]+)`", line.split("|")[1])
    }
    assert listed, "the section of parameters is empty"
    assert listed <= set(_public()), f"no longer a parameter: {sorted(listed - set(_public()))}"


def test_both_languages_say_something() -> None:
    assert len(_rows()) > 100
    for term, english, chinese in _rows():
        assert re.search(r"[A-Za-z]", english), f"{term} has no English"
        assert re.search(r"[\u4e00-\u9fff]", chinese), f"{term} has no Chinese"


def test_no_term_is_explained_twice() -> None:
    seen: dict[str, int] = {}
    for cell, _, _ in _rows():
        for term in set(re.findall(r"`([^`]+)`", cell)):
            seen[term] = seen.get(term, 0) + 1
    assert not {t for t, count in seen.items() if count > 1}


def test_numbers_are_the_same_in_both_languages() -> None:
    for term, english, chinese in _rows():
        numbers = [sorted(re.findall(r"\d+(?:\.\d+)?", text)) for text in (english, chinese)]
        assert numbers[0] == numbers[1], f"{term}: {numbers[0]} and {numbers[1]}"
