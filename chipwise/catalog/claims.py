"""Claims as data → Claim: what is said, the sums that test it, and when each verdict follows.

A user's own file has the same form; every fault names file, claim and key, and what was expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from chipwise.catalog.facts import read_fact
from chipwise.catalog.files import DATA, read_toml, where
from chipwise.errors import BadFact
from chipwise.types import Fact

__all__ = ["Claim", "ClaimRun", "ClaimStatus", "claims", "read_claims"]

_LANGUAGES = ("en", "zh")
_VERDICTS = ("holds", "holds_in_part", "does_not_hold", "cannot_be_known")
_KEYS = {
    "claim": dict,
    "setting": dict,
    "sentence": dict,
    "settled_by": dict,
    "chips": dict,
    "facts": dict,
    "figures": str,
    "runs": dict,
    "statuses": dict,
    "computed": dict,
    "holds": str,
    "holds_in_part": str,
    "verdict": str,
    "rules": list,
}
_SPOKEN: Mapping[Any, str] = {
    str: "text in quotes",
    dict: "a table",
    list: "a list",
    int: "a whole number",
    date: "a day such as 2026-11-23 without quotes",
    (int, str): 'a whole number or "max"',
    (dict, str): "text in quotes, or a table of en and zh",
}
_RUN = {"model": str, "chip": str, "isl": int, "osl": int, "weights": str, "kv": str}
_RUN_OPTIONAL = {"batch": (int, str), "tp": int, "backend": str}
_STATUS = {"chip": str, "on": date, "route": str}
_STATUS_OPTIONAL = {"to": str}


@dataclass(frozen=True, slots=True)
class ClaimRun:
    """A run of the model: one static batch, of a size or (``max``) of all that fits."""

    model: str
    chip: str
    isl: int
    osl: int
    weights: str
    kv: str
    batch: int | str = "max"
    tp: int = 1
    backend: str = "vllm"


@dataclass(frozen=True, slots=True)
class ClaimStatus:
    """A question to the rules."""

    chip: str
    on: date
    route: str
    to: str = "CN"


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """A sentence that can be true or false, and what it is tested by.

    Texts are by language. `chips` are short names of chips, `facts` figures that are not of a
    chip (its own and those of the file that it names), `runs` of the model, `statuses` of the
    rules: names that the expressions `computed` may use. The verdict is ``holds`` where that
    condition holds, ``holds_in_part`` where that one does, else ``does_not_hold``; or `fixed`
    where no sum decides. `settled_by` says what would.
    """

    id: str
    text: Mapping[str, str]
    setting: Mapping[str, str]
    sentence: Mapping[str, str]
    settled_by: Mapping[str, str] = field(default_factory=dict)
    chips: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    runs: Mapping[str, ClaimRun] = field(default_factory=dict)
    statuses: Mapping[str, ClaimStatus] = field(default_factory=dict)
    computed: Mapping[str, str] = field(default_factory=dict)
    holds: str = ""
    holds_in_part: str = ""
    fixed: str = ""
    rules: tuple[str, ...] = ()
    place: str = ""


def _bad(path: Path, name: str, key: str, message: str) -> BadFact:
    return BadFact(where(path, name), f"{name}.{key}" if key else name, message)


def _kinds(
    path: Path,
    name: str,
    key: str,
    content: Any,
    required: Mapping[str, Any],
    optional: Mapping[str, Any],
) -> None:
    """Refuse a table with keys that are strange, missing, or of another kind."""
    known = {**required, **optional}
    if not isinstance(content, dict):
        raise _bad(path, name, key, f"a table was expected, not {content!r}")
    if strange := sorted(set(content) - set(known)):
        message = f"unknown key {strange[0]!r}; known are {', '.join(known)}"
        raise _bad(path, name, key, message)
    if absent := [k for k in required if k not in content]:
        raise _bad(path, name, key, f"{', '.join(absent)} is missing")
    for each, value in content.items():
        kind = known[each]
        if not isinstance(value, kind) or isinstance(value, bool):
            inner = f"{key}.{each}" if key else each
            raise _bad(path, name, inner, f"{_SPOKEN[kind]} was expected, not {value!r}")


def _texts(path: Path, name: str, key: str, value: Mapping[str, Any]) -> Mapping[str, str]:
    _kinds(path, name, key, value, dict.fromkeys(_LANGUAGES, str), {})
    return value


def _names(path: Path, name: str, key: str, value: Mapping[str, Any]) -> Mapping[str, str]:
    for each, text in value.items():
        if not each.isidentifier():
            message = f"{each!r} is no name that a sum can use; letters, digits and _ were expected"
            raise _bad(path, name, key, message)
        if not isinstance(text, str):
            raise _bad(path, name, f"{key}.{each}", f"text in quotes was expected, not {text!r}")
    return value


def _runs(path: Path, name: str, content: Mapping[str, Any]) -> dict[str, ClaimRun]:
    found = {}
    for each, run in content.items():
        _kinds(path, name, f"runs.{each}", run, _RUN, _RUN_OPTIONAL)
        if isinstance(run.get("batch"), str) and run["batch"] != "max":
            message = f'a whole number or "max" was expected, not {run["batch"]!r}'
            raise _bad(path, name, f"runs.{each}.batch", message)
        found[each] = ClaimRun(**run)
    return found


def _statuses(path: Path, name: str, content: Mapping[str, Any]) -> dict[str, ClaimStatus]:
    for each, status in content.items():
        _kinds(path, name, f"statuses.{each}", status, _STATUS, _STATUS_OPTIONAL)
    return {each: ClaimStatus(**status) for each, status in content.items()}


def _facts(path: Path, name: str, content: Mapping[str, Any]) -> dict[str, Fact]:
    found = {}
    for each, raw in content.items():
        unit = str(raw.get("unit", "1")) if isinstance(raw, dict) else "1"
        try:
            found[each] = read_fact(path, each, "number", unit, raw)
        except (BadFact, KeyError) as error:
            message = str(error).partition(f"{each}: ")[2] or f"unknown unit {unit!r}"
            raise _bad(path, name, f"facts.{each}", message) from None
    return found


def _figures(path: Path, name: str, file: str | None) -> dict[str, Fact]:
    """Facts of a file beside the claims', which several claims may share."""
    if file is None:
        return {}
    if Path(file).name != file or not (path.parent / file).is_file():
        message = f"the name of a file beside {path.name} was expected, not {file!r}"
        raise _bad(path, name, "figures", message)
    beside = path.parent / file
    return _facts(beside, name, read_toml(beside))


def _decided(path: Path, name: str, content: Mapping[str, Any]) -> None:
    """A claim has a condition under which it holds, or a verdict that no sum gives."""
    if ("holds" in content) == ("verdict" in content):
        raise _bad(path, name, "holds", "either a condition under which it holds, or a verdict")
    if "verdict" in content and content["verdict"] not in _VERDICTS:
        message = f"one of {', '.join(_VERDICTS)} was expected, not {content['verdict']!r}"
        raise _bad(path, name, "verdict", message)


def _claim(path: Path, name: str, content: Any) -> Claim:
    required = {"claim": (dict, str)}
    _kinds(path, name, "", content, required, {k: v for k, v in _KEYS.items() if k != "claim"})
    _decided(path, name, content)
    text = content["claim"]
    # Who writes for himself need not write twice.
    both = dict.fromkeys(_LANGUAGES, text) if isinstance(text, str) else text
    spoken = {
        key: _texts(path, name, key, content[key])
        for key in ("setting", "sentence", "settled_by")
        if key in content
    }
    for rule in content.get("rules", []):
        if not isinstance(rule, str):
            raise _bad(path, name, "rules", f"texts in quotes were expected, not {rule!r}")
    return Claim(
        name,
        _texts(path, name, "claim", both),
        spoken.get("setting", {}),
        spoken.get("sentence", {}),
        spoken.get("settled_by", {}),
        _names(path, name, "chips", content.get("chips", {})),
        {
            **_figures(path, name, content.get("figures")),
            **_facts(path, name, content.get("facts", {})),
        },
        _runs(path, name, content.get("runs", {})),
        _statuses(path, name, content.get("statuses", {})),
        _names(path, name, "computed", content.get("computed", {})),
        content.get("holds", ""),
        content.get("holds_in_part", ""),
        content.get("verdict", ""),
        tuple(content.get("rules", ())),
        where(path, name),
    )


def read_claims(path: Path) -> tuple[Claim, ...]:
    """Claims of a TOML file: a table for each, by id.

    Raises
    ------
    BadFact
        Says which file, line, claim and key, and what was expected.
    """
    content = read_toml(path)
    if not content:
        raise BadFact(str(path), "claims", "no claim is in it; a table for each was expected")
    return tuple(_claim(path, name, each) for name, each in content.items())


@lru_cache(maxsize=1)
def claims() -> tuple[Claim, ...]:
    """Claims of the article of December 2025 on the H200 and China."""
    return read_claims(DATA / "claims.toml")
