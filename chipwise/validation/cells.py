"""What the cells of throughput tables say."""

from __future__ import annotations

import re

from chipwise import catalog
from chipwise.errors import BadInput, UnknownName
from chipwise.types import Chip, Model

__all__ = ["chip_of", "format_of", "number", "optional"]

_FORMATS = {
    "fp16": "fp16",
    "bf16": "bf16",
    "fp8": "fp8",
    "fp4": "nvfp4",
    "nvfp4": "nvfp4",
    "mxfp4": "mxfp4",
    "int8": "int8",
    "w8a8": "int8",
    "w4a8": "int4",
    "int4": "int4",
    "uint4": "int4",
    "w4a16": "int4",
    "awq": "int4",
}


def number(text: str, name: str) -> float:
    """The positive number that a cell begins with.

    Raises
    ------
    BadInput
        If there is none.
    """
    found = re.match(r"\s*(\d[\d,]*(?:\.\d*)?|\.\d+)(?![\d.])", text)
    if not found:
        raise BadInput(f"{name} is {text!r}; a number was expected")
    value = float(found.group(1).replace(",", ""))
    if not value > 0:
        raise BadInput(f"{name} is {text!r}; a positive number was expected")
    return value


def optional(text: str, name: str) -> int | None:
    """The whole number in a cell; None where it is empty."""
    return int(number(text, name)) if text.strip() else None


def format_of(text: str, model: Model) -> str:
    """Weight format that a text names; the maker's own where it names none."""
    for word in re.findall(r"[a-z0-9]+", text.lower()):
        if word in _FORMATS:
            return _FORMATS[word]
    return model.weights


# What tables add to a chip's name: power, kind of memory, maker, what stands in brackets.
_ADDED = re.compile(
    r"\(.*?\)|\b\d+\s?W\b|\bHBM\w+|\b(?:NVIDIA|AMD|Instinct|Intel|Habana|Huawei|Google)\b"
)
_SIZE = re.compile(r"[- ]?\b(\d+)\s?(?:GB|G)\b")
# What is sold as so many gigabytes; the driver reports between these shares of it.
_LEAST, _MOST = 0.9, 1.15


def chip_of(text: str) -> Chip:
    """The chip that a cell names, with or without what tables add to names.

    Raises
    ------
    UnknownName
        If there is none, or its memory is not the one stated.
    """
    try:
        return catalog.chip(text)
    except UnknownName as error:
        bare = re.sub(r"(SXM)\d", r"\1", _ADDED.sub("", text)).strip(" -")
        size = _SIZE.search(bare)
        for name in (bare, _SIZE.sub(r"-\1", bare), _SIZE.sub("", bare)):
            found = _known(name)
            if found is not None and _agrees(found, size):
                return found
        raise error from None


def _known(name: str) -> Chip | None:
    try:
        return catalog.chip(name.strip(" -"))
    except BadInput:
        return None


def _agrees(chip: Chip, size: re.Match[str] | None) -> bool:
    if size is None or chip.memory is None:
        return size is None
    return _LEAST <= chip.memory / (float(size.group(1)) * 1e9) <= _MOST
