"""Facts with their sources: chips, models, prices; and the fitted factors beside them.

Only what is named is read: a chip or model is one file, names are an index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from chipwise.catalog.chips import read_chip
from chipwise.catalog.factors import calibration
from chipwise.catalog.files import DATA, as_of, read_toml
from chipwise.catalog.folder import own_path
from chipwise.catalog.makers import origins
from chipwise.catalog.market import economics, left_out, price, prices, stale, why_not
from chipwise.catalog.models import quantised, read_config, read_model
from chipwise.catalog.names import Entry, begins, chip_path, exact, index, model_path, only
from chipwise.catalog.rulebook import rules
from chipwise.errors import BadInput
from chipwise.types import Chip, Model

__all__ = [
    "as_of",
    "calibration",
    "chip",
    "chip_ids",
    "chip_name_index",
    "economics",
    "known_chip",
    "known_model",
    "left_out",
    "model",
    "model_ids",
    "origins",
    "price",
    "prices",
    "rules",
    "sources",
    "stale",
    "why_not",
]

# Names that a chip of the user's own folder can have.
_OWN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Fine-tunes of one network have its shapes under another name.
_TUNED = re.compile(r"-(instruct|chat|base|it|hf|thinking|v\d(\.\d)?|\d{4})$", re.IGNORECASE)


def chip_name_index() -> tuple[Entry, ...]:
    """Id, name, vendor, aliases and status of each chip, without reading its file."""
    return tuple(index()["chips"])


def chip_ids() -> tuple[str, ...]:
    """Ids of the chips of the catalog."""
    return tuple(entry["id"] for entry in index()["chips"])


def model_ids() -> tuple[str, ...]:
    """Ids of the models of the catalog: their names on Hugging Face."""
    return tuple(entry["id"] for entry in index()["models"])


@lru_cache(maxsize=1)
def sources() -> Mapping[str, Mapping[str, Any]]:
    """What the source keys of facts stand for: title, url, day of retrieval."""
    return read_toml(DATA / "sources.toml")


# Read once; a user's own files are read each time, since they may have changed.
_chip = lru_cache(maxsize=None)(lambda chip_id: read_chip(chip_path(chip_id)))
_model = lru_cache(maxsize=None)(lambda model_id: read_model(model_path(model_id)))


def chip(name: str) -> Chip:
    """A chip by id, id without vendor, alias or short name; or of a user's own TOML file.

    A chip of the user's folder goes before one of the catalog.

    Raises
    ------
    UnknownName
        If the catalog has none of that name; names the nearest three.
    BadInput
        If several match, or the user's file is not as it must be.

    Examples
    --------
    >>> chip("h200").id
    'nvidia-h200-sxm'
    """
    if name.endswith(".toml"):
        return read_chip(Path(name))
    if _OWN.fullmatch(name) and (own := own_path("chips", name)).is_file():
        return read_chip(own)
    return known_chip(name)


def known_chip(name: str) -> Chip:
    """A chip of the catalog by any of its names; no name is read as a file's."""
    found = exact("chips", name) or begins("chips", name)
    return _chip(only("chips", name, found))


def _variants(name: str) -> Iterator[tuple[str, str | None]]:
    """A model's name as it is, then without what tells a format or a fine-tune, and that format."""
    weights: str | None = None
    while True:
        yield name, weights
        if "/" in name:
            yield name.rpartition("/")[2], weights
        shorter, suffix = quantised(name)
        if not suffix:
            shorter = _TUNED.sub("", name)
        if shorter == name:
            return
        name, weights = shorter, weights or suffix


@lru_cache(maxsize=1024)
def known_model(name: str) -> Model:
    """A model of the catalog by any of its names; no name is read as a file's.

    Tuned and quantised variants are known by the network that they are of.
    """
    for form, weights in _variants(name):
        if found := exact("models", form):
            base = _model(only("models", name, found))
            return replace(base, weights=weights) if weights else base
    return _model(only("models", name, begins("models", name)))


def model(name: str) -> Model:
    """A model by its Hugging Face name or a short one; or of a user's own config.json or folder.

    A suffix that names a format (-FP8, -NVFP4, -AWQ …) is read as the format of the weights.

    Raises
    ------
    UnknownName
        If the catalog has none of that name; names the nearest three.
    BadInput
        If several match, or the user's config is not as it must be.

    Examples
    --------
    >>> model("nvidia/Llama-3.1-8B-Instruct-FP8").weights
    'fp8'
    """
    path = Path(name)
    if name.endswith(".json"):
        return read_config(path)
    if (path / "config.json").is_file():
        return read_config(path / "config.json")
    if path.is_dir() and name.startswith((".", "/")):
        raise BadInput(f"{path}: there is no config.json in it")
    return known_model(name)
