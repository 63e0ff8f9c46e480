"""What the cells of throughput tables say."""

from __future__ import annotations

import re

from chipwise.errors import BadInput
from chipwise.types import Model

__all__ = ["format_of", "number", "optional"]

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
    found = re.match(r"\s*([0-9.,]+)", text)
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
