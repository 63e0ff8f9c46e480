"""A model's TOML file, or the config.json that a user has → Model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from chipwise.catalog.facts import in_base, read_fact
from chipwise.catalog.files import read_json, read_toml, where
from chipwise.catalog.huggingface import Shape, shape
from chipwise.errors import BadFact
from chipwise.types import Fact, Model

__all__ = ["WEIGHTS", "quantised", "read_config", "read_model"]

WEIGHTS = ("bf16", "fp16", "fp8", "int8", "nvfp4", "mxfp4", "int4")
_PLAIN_KEYS = ("id", "family", "weights", "aliases", "source", "provenance", "on", "note")
_KEYS = {*_PLAIN_KEYS, "config", "published"}

# A suffix of a checkpoint's name → the format of its weights. Longest first.
_SUFFIXES = (
    (r"-fp8-static-pertensor|-fp8-dynamic|-fp8-kv|-fp8-block|-w8a8-fp8|-fp8", "fp8"),
    (r"-nvfp4(-fp8)?(-v\d)?|-fp4", "nvfp4"),
    (r"-mxfp4(-preview)?", "mxfp4"),
    (r"-gptq-int8|-quantized\.w8a8|-w8a8(-int8)?|-int8", "int8"),
    (r"-awq(-int4)?|-gptq(-int4)?|-quantized\.w4a16|-w4a16|-int4|-4bit", "int4"),
    (r"-bf16", "bf16"),
    (r"-fp16", "fp16"),
)


def quantised(name: str) -> tuple[str, str | None]:
    """A checkpoint's name without the suffix that names its format, and that format.

    Examples
    --------
    >>> quantised("nvidia/Llama-3.1-8B-Instruct-FP8")
    ('nvidia/Llama-3.1-8B-Instruct', 'fp8')
    >>> quantised("gpt-oss-120b")
    ('gpt-oss-120b', None)
    """
    for pattern, weights in _SUFFIXES:
        found = re.search(rf"(?:{pattern})$", name, re.IGNORECASE)
        if found:
            return name[: found.start()], weights
    return name, None


def _shape(path: Path, config: Mapping[str, Any]) -> Shape:
    try:
        return shape(config)
    except BadFact as error:
        _, _, message = str(error).partition(f"{error.attribute}: ")
        raise BadFact(where(path, error.attribute), error.attribute, message) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadFact(str(path), "config", f"not as its architecture needs it: {error!r}") from None


def _text(path: Path, content: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = content.get(name, default)
    if not isinstance(value, str):
        raise BadFact(where(path, name), name, f"text in quotes was expected, not {value!r}")
    return value


def _spelt(value: object) -> float | str | bool:
    """A config's value as one line."""
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return " ".join(f"{count}×{kind}" for kind, count in value.items())
    return str(value)


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, float | str | bool]:
    found: dict[str, float | str | bool] = {}
    for name, value in config.items():
        nested = isinstance(value, Mapping) and name.endswith("_config")
        found |= _flat(value, f"{prefix}{name}.") if nested else {prefix + name: _spelt(value)}
    return found


def _model(path: Path, content: Mapping[str, Any], form: Shape, facts: Mapping[str, Fact]) -> Model:
    unverified = any(f.provenance == "unverified" for k, f in facts.items() if k != "published")
    weights = _text(path, content, "weights", form.weights)
    if weights not in WEIGHTS:
        message = f"must be one of {', '.join(WEIGHTS)}, not {weights!r}"
        raise BadFact(where(path, "weights"), "weights", message)
    return Model(
        id=_text(path, content, "id"),
        family=_text(path, content, "family"),
        layers=form.layers,
        hidden=form.hidden,
        vocab=form.vocab,
        tied=form.tied,
        weights=weights,
        context=form.context,
        depth=form.depth,
        published=in_base(facts.get("published")),
        facts=facts,
        unverified=frozenset({"layers"}) if unverified else frozenset(),
        note=_text(path, content, "note", ""),
    )


def read_model(path: Path) -> Model:
    """The model of a TOML file of the catalog, read anew."""
    content = read_toml(path)
    if strange := sorted(set(content) - _KEYS):
        raise BadFact(
            where(path, strange[0]),
            strange[0],
            f"unknown key; known are {', '.join(sorted(_KEYS))}",
        )
    config = content.get("config")
    if not isinstance(config, dict):
        raise BadFact(str(path), "config", "a table with the keys of config.json is needed")
    source, provenance = (
        _text(path, content, "source"),
        _text(path, content, "provenance", "source"),
    )
    on = content.get("on")
    if not isinstance(on, date):
        raise BadFact(where(path, "on"), "on", f"a date without quotes was expected, not {on!r}")
    facts = {
        name: Fact(
            value,
            "1" if isinstance(value, (int, float)) and not isinstance(value, bool) else "",
            source,
            provenance,
            on,
        )
        for name, value in _flat(config).items()
    }
    if "published" in content:
        facts["published"] = read_fact(path, "published", "number", "bn", content["published"])
    return _model(path, content, _shape(path, config), facts)


def read_config(path: Path) -> Model:
    """The model of a user's own config.json, named by its folder.

    Weights quantised by ModelOpt are told by the hf_quant_config.json beside it. Nothing else is
    read, so there is no other source's parameter count.
    """
    config = read_json(path)
    if not isinstance(config, dict):
        raise BadFact(str(path), "config", "an object with the keys of a config.json is needed")
    beside = path.with_name("hf_quant_config.json")
    if "quantization_config" not in config and beside.is_file():
        config = {**config, "quantization_config": read_json(beside)}
    name = str(config.get("_name_or_path") or path.resolve().parent.name or path.stem)
    facts = {
        key: Fact(value, "", path.name)
        for key, value in _flat({k: v for k, v in config.items() if v is not None}).items()
    }
    content = {"id": name, "family": name.rpartition("/")[2].lower()}
    return _model(path, content, _shape(path, config), facts)
