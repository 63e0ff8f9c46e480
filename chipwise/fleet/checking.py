"""Values of a parsed TOML file → checked values, with file, key and what was expected."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from chipwise.errors import BadFact
from chipwise.fleet.fields import FIELDS, LISTS, NAMED, Field
from chipwise.types import Array
from chipwise.units import to_base

__all__ = ["Horizon", "horizon", "known", "label", "quarter", "section"]

_LONGEST = 80
_QUARTER = re.compile(r"(\d{4})-Q([1-4])")


@dataclass(frozen=True, slots=True, eq=False)
class Horizon:
    """The quarters of a plan: number of the first, labels, first days, lengths [s]; the file."""

    source: str
    first: int
    periods: tuple[str, ...]
    starts: tuple[date, ...]
    seconds: Array


def quarter(source: str, key: str, value: object) -> int:
    """Number of a quarter, counted from year 0."""
    match = _QUARTER.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise BadFact(source, key, f"a quarter such as 2026-Q1 was expected, not {value!r}")
    return int(match[1]) * 4 + int(match[2]) - 1


def label(number: int) -> str:
    """Label of a quarter.

    Examples
    --------
    >>> label(2026 * 4)
    '2026-Q1'
    """
    return f"{number // 4}-Q{number % 4 + 1}"


def _day(number: int) -> date:
    return date(number // 4, number % 4 * 3 + 1, 1)


def horizon(source: str, content: Mapping[str, Any]) -> Horizon:
    """The quarters that a file speaks of."""
    raw = content.get("horizon")
    if not isinstance(raw, Mapping):
        raise BadFact(source, "horizon", "a table with first and last was expected")
    ends = []
    for name in ("first", "last"):
        if name not in raw:
            raise BadFact(source, f"horizon.{name}", "is missing; a quarter such as 2026-Q1")
        ends.append(quarter(source, f"horizon.{name}", raw[name]))
    first, last = ends
    if not 0 <= last - first < _LONGEST:
        raise BadFact(
            source,
            "horizon.last",
            f"{raw['last']} was expected at or after first ({raw['first']}), "
            f"and at most {_LONGEST} quarters in all",
        )
    numbers = range(first, last + 1)
    days = [(_day(n + 1) - _day(n)).days for n in numbers]
    return Horizon(
        source,
        first,
        tuple(label(n) for n in numbers),
        tuple(_day(n) for n in numbers),
        np.array(days) * to_base(1.0, "d"),
    )


def known(source: str, key: str, name: str, names: Iterable[str], kind: str) -> str:
    """A name that must be one of those that the file has."""
    names = sorted(names)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, 3, 0.0)
    expected = f"the nearest are {', '.join(near)}" if near else "the file has none"
    raise BadFact(source, key, f"unknown {kind} {name!r}; {expected}")


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _number(source: str, key: str, value: object, field: Field) -> float:
    if not _finite(value) or not field.least <= float(value) <= field.most:  # type: ignore[arg-type]
        most = f" and at most {field.most:g}" if field.most < 1e18 else ""
        raise BadFact(
            source, key, f"a number of at least {field.least:g}{most} was expected, not {value!r}"
        )
    return float(value)  # type: ignore[arg-type]


def _series(at: Horizon, key: str, value: object, field: Field) -> Array:
    """One number for each period."""
    count = len(at.periods)
    if isinstance(value, list):
        if len(value) != count:
            raise BadFact(
                at.source,
                key,
                f"{count} numbers were expected, one for each quarter from {at.periods[0]} to "
                f"{at.periods[-1]}, not {len(value)}",
            )
        return np.array([_number(at.source, f"{key}[{i}]", v, field) for i, v in enumerate(value)])
    if not isinstance(value, Mapping):
        return np.full(count, _number(at.source, key, value, field))
    if "start" in value or "yearly" in value:
        return _growth(at, key, value, field)
    return _steps(at, key, value, field)


def _growth(at: Horizon, key: str, value: Mapping[str, Any], field: Field) -> Array:
    if set(value) != {"start", "yearly"}:
        raise BadFact(at.source, key, f"start and yearly were expected, not {', '.join(value)}")
    start = _number(at.source, f"{key}.start", value["start"], field)
    factor = Field("number", "", least=1e-3, most=1e3)
    yearly = _number(at.source, f"{key}.yearly", value["yearly"], factor)
    made = start * yearly ** (np.arange(len(at.periods)) / 4)
    over = np.flatnonzero((made < field.least) | (made > field.most))
    if len(over):
        raise BadFact(
            at.source,
            key,
            f"comes to {made[over[0]]:g} in {at.periods[over[0]]}; "
            f"{field.least:g} to {field.most:g} was expected",
        )
    return made


def _steps(at: Horizon, key: str, value: Mapping[str, Any], field: Field) -> Array:
    made = np.full(len(at.periods), np.nan)
    for name, number in sorted((quarter(at.source, key, k), v) for k, v in value.items()):
        where = f"{key}.{label(name)}"
        made[max(name - at.first, 0) :] = _number(at.source, where, number, field)
    missing = [p for p, v in zip(at.periods, made, strict=True) if not math.isfinite(v)]
    if missing:
        raise BadFact(
            at.source,
            key,
            f"no value for {missing[0]} to {missing[-1]}; a table of quarters must begin at or "
            f"before {at.periods[0]}",
        )
    return made


def _statuses(at: Horizon, key: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) * len(at.periods)
    if not isinstance(value, Mapping):
        raise BadFact(at.source, key, f"a status, or a table of them, was expected, not {value!r}")
    made: list[str | None] = [None] * len(at.periods)
    for name, status in sorted((quarter(at.source, key, k), v) for k, v in value.items()):
        if not isinstance(status, str):
            raise BadFact(at.source, key, f"a status was expected, not {status!r}")
        for i in range(max(name - at.first, 0), len(made)):
            made[i] = status
    if made[0] is None:
        raise BadFact(at.source, key, f"no status for {at.periods[0]}")
    return tuple(s or "" for s in made)


def _numbers(source: str, key: str, value: object) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise BadFact(source, key, f"a table of name = number was expected, not {value!r}")
    each = Field("number", "")
    return {k: _number(source, f"{key}.{k}", v, each) for k, v in value.items()}


def _unserved(source: str, key: str, value: object) -> tuple[tuple[float, float], ...]:
    if not isinstance(value, list) or not all(isinstance(v, Mapping) for v in value):
        raise BadFact(source, key, "a list of {share, usd_per_million_tokens} was expected")
    made = []
    for i, step in enumerate(value):
        if set(step) != {"share", "usd_per_million_tokens"}:
            raise BadFact(source, f"{key}[{i}]", "share and usd_per_million_tokens were expected")
        share = Field("number", "", least=0.0, most=1.0)
        each = _number(source, f"{key}[{i}].share", step["share"], share)
        usd = _number(source, f"{key}[{i}].usd_per_million_tokens",
                      step["usd_per_million_tokens"], Field("number", ""))  # fmt: skip
        made.append((each, to_base(usd, "USD/Mtoken")))
    total = sum(share for share, _ in made)
    if total > 1 + 1e-9:
        raise BadFact(source, key, f"shares were expected to add up to at most 1, not {total:g}")
    return tuple(made)


def _like(source: str, key: str, value: object) -> tuple[str, float]:
    if not isinstance(value, Mapping) or set(value) != {"chip", "factor"}:
        raise BadFact(source, key, "{chip, factor} was expected")
    each = Field("number", "", least=1e-6, most=1e6)
    return str(value["chip"]), _number(source, f"{key}.factor", value["factor"], each)


def _text(at: Horizon, key: str, value: object, _field: Field) -> str:
    if not isinstance(value, str) or not value:
        raise BadFact(at.source, key, f"a text was expected, not {value!r}")
    return value


def _texts(at: Horizon, key: str, value: object, _field: Field) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise BadFact(at.source, key, f"a list of texts was expected, not {value!r}")
    return tuple(value)


def _flag(at: Horizon, key: str, value: object, _field: Field) -> bool:
    if not isinstance(value, bool):
        raise BadFact(at.source, key, f"true or false was expected, not {value!r}")
    return value


def _whole(at: Horizon, key: str, value: object, field: Field) -> int:
    if not isinstance(value, int):
        raise BadFact(at.source, key, f"a whole number was expected, not {value!r}")
    return int(_number(at.source, key, value, field))


def _parts(at: Horizon, key: str, value: object, _field: Field) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
        raise BadFact(at.source, key, f"a table of texts was expected, not {value!r}")
    return dict(value)


# How a value of each kind is read.
_READ: Mapping[str, Callable[[Horizon, str, Any, Field], Any]] = {
    "text": _text,
    "texts": _texts,
    "flag": _flag,
    "whole": _whole,
    "cut_off": _parts,
    "series": _series,
    "number": lambda at, key, value, field: _number(at.source, key, value, field),
    "period": lambda at, key, value, _field: quarter(at.source, key, value) - at.first,
    "numbers": lambda at, key, value, _field: _numbers(at.source, key, value),
    "statuses": lambda at, key, value, _field: _statuses(at, key, value),
    "steps": lambda at, key, value, _field: _unserved(at.source, key, value),
    "like": lambda at, key, value, _field: _like(at.source, key, value),
}


def _table(at: Horizon, name: str, key: str, raw: object) -> dict[str, Any]:
    """A table of a section: every key known, every needed one there; absent ones None."""
    if not isinstance(raw, Mapping):
        raise BadFact(at.source, key, f"a table was expected, not {raw!r}")
    fields = FIELDS[name]
    for given in raw:
        known(at.source, f"{key}.{given}", given, fields, "key")
    for wanted, field in fields.items():
        if field.required and wanted not in raw:
            raise BadFact(at.source, f"{key}.{wanted}", f"is missing. {field.text}")
    return {
        k: _READ[f.kind](at, f"{key}.{k}", raw[k], f) if k in raw else None
        for k, f in fields.items()
    }


def section(at: Horizon, content: Mapping[str, Any], name: str) -> Any:
    """A section of the file: a table, tables by name, or a list of tables; empty if absent."""
    raw = content.get(name)
    if name in NAMED:
        if raw is not None and not isinstance(raw, Mapping):
            raise BadFact(at.source, name, f"tables [{name}.…] were expected, not {raw!r}")
        return {k: _table(at, name, f"{name}.{k}", v) for k, v in (raw or {}).items()}
    if name in LISTS:
        if raw is not None and not isinstance(raw, list):
            raise BadFact(at.source, name, f"tables [[{name}]] were expected, not {raw!r}")
        return [_table(at, name, f"{name}[{i}]", v) for i, v in enumerate(raw or [])]
    if raw is None:
        return dict.fromkeys(FIELDS[name])
    return _table(at, name, name, raw)
