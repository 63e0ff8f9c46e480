"""Draw the figures of docs/pictures.md anew: python tools/figures.py."""

from __future__ import annotations

import sys
from pathlib import Path

from chipwise.cli import main

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "figures"
LOAD = ("--isl", "2048", "--osl", "128")
CHIPS = ("--chips", "h20,h100,h200,b200,mi300x,910c")
FIGURES = {
    "pareto.svg": ("pareto", "en", ("plan", "llama-2-70b", *CHIPS, *LOAD)),
    "roofline.svg": ("roofline", "en", ("plan", "llama-2-70b", *CHIPS, *LOAD)),
    "density.svg": ("density", "en", ("policy", "h20", "--map", "--on", "2025-06-01")),
    "memory-zh.svg": ("memory", "zh", ("plan", "llama-2-70b", *CHIPS, *LOAD)),
    "status-h20.svg": ("status", "en", ("policy", "h20", "--timeline")),
    "frontier-zh.svg": (
        "frontier",
        "zh",
        ("frontier", "--rule", "us-2023-10-3A090a-dc", "--model", "llama-2-70b", *LOAD),
    ),
}


def figures() -> int:
    """Every figure; the first exit code that is not 0."""
    for file, (figure, lang, asked) in FIGURES.items():
        code = main(["plot", figure, "--out", str(FOLDER / file), "--lang", lang, *asked])
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(figures())
