"""What the serving engines' command lines take, and how clusters name the chips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from chipwise.catalog.files import DATA, read_json, read_toml
from chipwise.errors import BadFact
from chipwise.types import Chip

__all__ = ["Flag", "Place", "flags", "place", "released"]

_SERVER = 8
_CHIP_KEYS = frozenset({"product", "sky", "devices", "server", "resource", "source"})
_VENDOR_KEYS = frozenset({"resource", "label", "source", "images"})


@dataclass(frozen=True, slots=True)
class Flag:
    """An option as an engine's own argument list has it.

    `kind` is ``int``, ``float``, ``str``, ``json``, ``flag`` (no value) or ``switch`` (also with
    ``--no-``); `choices` are all values that it takes, where the list is closed; `known` those that
    are known of an open one; `many` values may follow.
    """

    name: str
    kind: str
    choices: tuple[Any, ...] = ()
    known: tuple[Any, ...] = ()
    many: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True)
class Place:
    """How a cluster names a chip: None is not known.

    `resource` of Kubernetes, node `label` with the chip's `product` as value, `sky` of SkyPilot;
    `devices` that a chip shows to an engine, `server` chips of a machine; `images` of containers
    by engine.
    """

    resource: str | None = None
    label: str | None = None
    product: str | None = None
    sky: str | None = None
    devices: int = 1
    server: int = _SERVER
    images: Mapping[str, str] | None = None


@lru_cache(maxsize=16)
def _engine(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = read_json(DATA / "flags" / f"{name}.json")
    return found


def released(engine: str) -> str:
    """Release of an engine whose argument list is kept."""
    return str(_engine(engine)["version"])


@lru_cache(maxsize=32)
def flags(engine: str, command: str) -> Mapping[str, Flag]:
    """Options of a command by every name that they have.

    Parameters
    ----------
    engine, command : str
        File of `data/flags`, and command in it.

    Examples
    --------
    >>> flags("vllm", "vllm serve")["-tp"].name
    '--tensor-parallel-size'
    """
    found: dict[str, Flag] = {}
    for name, told in _engine(engine)["commands"][command].items():
        flag = Flag(
            name,
            told["type"],
            tuple(told.get("choices", ())),
            tuple(told.get("known", ())),
            told.get("many", False),
            told.get("default"),
        )
        found |= dict.fromkeys((name, *told.get("aliases", ())), flag)
    return found


@lru_cache(maxsize=1)
def _placement() -> Mapping[str, Any]:
    path = DATA / "placement.toml"
    whole = read_toml(path)
    for section, known in (("vendor", _VENDOR_KEYS), ("chip", _CHIP_KEYS)):
        for name, entry in whole[section].items():
            if odd := set(entry) - known:
                raise BadFact(path.name, f"{section}.{name}", f"unknown key {min(odd)!r}")
    return whole


def place(chip: Chip) -> Place:
    """How clusters name a chip."""
    whole = _placement()
    vendor, own = whole["vendor"].get(chip.vendor, {}), whole["chip"].get(chip.id, {})
    return Place(
        own.get("resource", vendor.get("resource")),
        vendor.get("label"),
        own.get("product"),
        own.get("sky"),
        own.get("devices", 1),
        own.get("server", _SERVER),
        vendor.get("images", {}),
    )
