"""The error tree is drawn as it is, each class documented, each exit code as promised."""

from __future__ import annotations

import re

import pytest

from chipwise import errors
from tests.house import tree

CLASSES = [getattr(errors, name) for name in errors.__all__]


def _drawn() -> dict[str, str]:
    """Class → parent, as the drawing at the top of errors.py has it."""
    above: dict[int, str] = {}
    found: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([│├└─\s]*)(\w+)(\s{2,}|$)", line)
        if not match or not (match[1] or match[2] == "ChipwiseError"):
            continue
        depth = len(match[1]) // 4
        above[depth] = match[2]
        found[match[2]] = above.get(depth - 1, "Exception")
    return found


def test_the_drawing_is_the_tree() -> None:
    assert _drawn() == {c.__name__: c.__bases__[0].__name__ for c in CLASSES}


@pytest.mark.parametrize("error", CLASSES, ids=lambda c: c.__name__)
def test_each_class_says_what_it_is(error: type[errors.ChipwiseError]) -> None:
    assert (error.__doc__ or "").strip()
    glossary = (tree.ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert f"`{error.__name__}`" in glossary, f"{error.__name__} is not in docs/glossary.md"


@pytest.mark.parametrize("error", CLASSES, ids=lambda c: c.__name__)
def test_bad_input_ends_with_two_and_the_others_with_one(
    error: type[errors.ChipwiseError],
) -> None:
    assert error.exit_code == (2 if issubclass(error, errors.BadInput) else 1)
