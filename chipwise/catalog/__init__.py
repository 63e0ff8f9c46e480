"""Facts with their sources: chips, models, prices; and the fitted factors beside them.

Only what is named is read: a chip or model is one file, names are an index.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from chipwise.catalog.chips import read_chip
from chipwise.catalog.factors import calibration
from chipwise.catalog.files import DATA, as_of, read_toml
from chipwise.catalog.models import quantised, read_config, read_model
from chipwise.catalog.names import Entry, chip_path, index, model_path, resolve
from chipwise.errors import BadInput, UnknownName
from chipwise.types import Chip, Model

__all__ = [
    "as_of",
    "calibration",
    "chip",
    "chip_ids",
    "chip_name_index",
    "model",
    "model_ids",
    "sources",
]

# Fine-tunes of one network: the same shapes under another name.
_TUNED = re.compile(
    r"-(instruct|chat|base|it|hf|thinking|preview|v\d(\.\d)?|\d{4}|tee|distill|text)$",
    re.IGNORECASE,
)


def chip_name_index() -> tuple[Entry, ...]:
    """Id, name, vendor, aliases and status of each chip, without reading its file."""
    return tuple(index()["chips"])


def chip_ids() -> tuple[str, ...]:
    """Ids of the chips of the catalog."""
    return tuple(entry["id"] for entry in index()["chips"])


def model_ids() -> tuple[str, ...]:
    """Ids of the models of the catalog: their names on Hugging Face."""
    return tuple(entry["id"] for entry in index()["models"])


def sources() -> Mapping[str, Mapping[str, Any]]:
    """What the source keys of facts stand for: title, url, day of retrieval."""
    return read_toml(DATA / "sources.toml")


def chip(name: str) -> Chip:
    """A chip by id, id without vendor, alias or short name; or of a user's own TOML file.

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
    return read_chip(chip_path(resolve("chips", name)))


def _named(name: str) -> Model:
    """A model of the catalog by any of its names, tuned and quantised variants included."""
    bare, weights = name, None
    while True:
        for form in dict.fromkeys((bare, bare.rpartition("/")[2])):
            try:
                found = read_model(model_path(resolve("models", form, name)))
            except UnknownName as error:
                unknown = error
            else:
                return replace(found, weights=weights) if weights else found
        shorter, suffix = quantised(bare)
        if suffix:
            bare, weights = shorter, weights or suffix
        elif _TUNED.search(bare):
            bare = _TUNED.sub("", bare)
        else:
            raise unknown


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
    return _named(name)
