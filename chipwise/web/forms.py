"""What a page or the API may be asked: fields, and how the text of a URL becomes their values.

A form is a tuple of fields. The page draws it, the URL carries it, the API reads it: one list for
all three. Names of chips and models are those of the catalog; none is ever read as a path.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from chipwise import api, catalog
from chipwise.catalog.models import WEIGHTS
from chipwise.errors import BadInput, UnknownName
from chipwise.perf import engines
from chipwise.perf.training import RECOMPUTE
from chipwise.types import END_USERS, ROUTES

__all__ = ["FORMS", "SIDES", "Field", "read", "texts"]

_LENGTH = 10_000_000
SIDES = 4  # deployments side by side
_CHIPS = 16  # kinds of chips in one question


@dataclass(frozen=True, slots=True)
class Field:
    """One value that a form asks for.

    `kind` is a key of `_READERS`; `default` is what the empty form shows; `choices` of a choice,
    `words` the section of strings that names them; `low` and `high` bounds; `many` how often it
    may be given; `more` fields stand in the folded part; `label` is its key in ``[field]``.
    """

    name: str
    kind: str
    default: str = ""
    choices: tuple[str, ...] = ()
    words: str = ""
    low: float = 0.0
    high: float = math.inf
    many: int = 1
    more: bool = False
    needed: bool = False
    label: str = ""


def _whole(of: Field, text: str) -> int:
    # Longer texts could take long to convert.
    if not re.fullmatch(r"\d{1,18}", text) or not of.low <= int(text) <= of.high:
        raise BadInput(
            f"{of.name} is {_cut(text)}; it must be a whole number of {of.low:,g} to {of.high:,g}"
        )
    return int(text)


def _number(of: Field, text: str) -> float:
    try:
        found = float(text[:64])
    except ValueError:
        found = math.nan
    if not of.low <= found <= of.high or math.isinf(found):
        raise BadInput(
            f"{of.name} is {_cut(text)}; it must be a number from {of.low:g} to {of.high:g}"
        )
    return found


def _choice(of: Field, text: str) -> str:
    if text not in of.choices:
        raise UnknownName(of.name, text[:64], of.choices)
    return text


def _day(of: Field, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{of.name} is {_cut(text)}; it must be a day such as 2026-11-23") from None


def _code(of: Field, text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2}", text):
        raise BadInput(
            f"{of.name} is {_cut(text)}; it must be a country's code of two letters, such as CN"
        )
    return text.upper()


def _chip(_: Field, text: str) -> str:
    return catalog.known_chip(text[:128]).id


def _model(_: Field, text: str) -> str:
    return catalog.known_model(text[:128]).id


def _flag(of: Field, text: str) -> bool:
    return _choice(replace(of, choices=("0", "1")), text) == "1"


def _price(of: Field, text: str) -> str:
    name, _, usd = text.partition("=")
    _number(replace(of, low=1e-6, high=1e6), usd)
    return f"{_chip(of, name)}={usd}"


_READERS: Mapping[str, Callable[[Field, str], Any]] = {
    "whole": _whole,
    "number": _number,
    "choice": _choice,
    "day": _day,
    "code": _code,
    "chip": _chip,
    "model": _model,
    "flag": _flag,
    "price": _price,
}


def _cut(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")


def texts(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Values of a query by name; empty ones, which a form sends too, are left out.

    Parameters
    ----------
    pairs : iterable of (str, str)
        Of the query. A value with commas is several.

    Examples
    --------
    >>> texts([("chips", "h20,h100"), ("chips", "h200"), ("rate", "")])
    {'chips': ['h20', 'h100', 'h200']}
    """
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        for part in map(str.strip, value.split(",")):
            if part:
                found.setdefault(name, []).append(part)
    return found


def read(fields: Iterable[Field], pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The values of a query, each checked by its field.

    Parameters
    ----------
    fields : iterable of Field
        Of the form.
    pairs : iterable of (str, str)
        Of the query.

    Raises
    ------
    BadInput
        If a value is not what it must be, one is missing, or a name is unknown: what was expected.

    Examples
    --------
    >>> read(FORMS["plan"], [("model", "llama-2-70b"), ("chips", "h200,910c")])["chips"]
    ('nvidia-h200-sxm', 'huawei-ascend-910c')
    """
    known = {field.name: field for field in fields}
    given = texts(pairs)
    if wrong := next((name for name in given if name not in known), None):
        raise UnknownName("field", wrong[:64], known)
    if missing := next((f for f in known.values() if f.needed and f.name not in given), None):
        raise BadInput(f"{missing.name} is missing")
    return {name: _values(known[name], given[name]) for name in known if name in given}


def _values(of: Field, given: list[str]) -> Any:
    """The value of a field, or the tuple of one that may be given several times."""
    if len(given) > of.many:
        raise BadInput(f"{of.name} is given {len(given)} times; {of.many} is the most")
    found = tuple(dict.fromkeys(_READERS[of.kind](of, text) for text in given))
    return found if of.many > 1 else found[0]


def _lengths(isl: str, osl: str) -> tuple[Field, ...]:
    return (
        Field("isl", "whole", isl, low=1, high=_LENGTH),
        Field("osl", "whole", osl, low=1, high=_LENGTH),
    )


_MODEL = Field("model", "model", "llama-2-70b", needed=True)
_CHIP = Field("chip", "chip", "h200", needed=True)
_LIMITS = (
    Field("ttft", "number", low=1e-6, high=1e6),
    Field("tpot", "number", low=1e-6, high=1e6),
)
_WEIGHTS = Field("weights", "choice", choices=WEIGHTS, more=True)
_ENGINE = (
    Field("kv", "choice", choices=("auto", "bf16", "fp8"), more=True),
    Field("backend", "choice", choices=engines.BACKENDS, more=True),
)
_MONEY = (
    Field("cost", "choice", choices=("own", "rent"), words="price_basis"),
    Field("prices", "price", many=_CHIPS, more=True),
)
_LAW = (
    Field("to", "code", more=True),
    Field("route", "choice", choices=ROUTES, words="route", more=True),
    Field("on", "day", more=True),
)
# Of the example that comes along.
_CUT_OFFS = ("vendor=NVIDIA", "country=US", "fab=TSMC", "software=CUDA")
_PERIODS = tuple(f"{year}-Q{quarter}" for year in range(2026, 2031) for quarter in range(1, 5))
_PARTIES = (
    Field("end_user", "choice", choices=END_USERS, more=True),
    Field("include", "choice", choices=("reported", "proposed"), many=2, more=True),
)
_SEED = Field("seed", "whole", low=0, high=2**31, more=True)


def _degree(name: str, default: str = "") -> Field:
    return Field(name, "whole", default, low=1, high=65536, more=True)


_ESTIMATE = (
    _MODEL,
    _CHIP,
    *_lengths("2048", "128"),
    Field("batch", "whole", low=1, high=_LENGTH),
    Field("concurrency", "whole", "32", low=1, high=_LENGTH),
    replace(_degree("tp", "1"), more=False),
    *(_degree(name) for name in ("pp", "ep", "dp")),
    _WEIGHTS,
    *_ENGINE,
    *_MONEY,
    *_LAW,
)


def _column(of: Field, at: int) -> Field:
    """A field of one of several deployments side by side; the first two must be given."""
    first = {"chip": ("h200", "910c"), "model": ("llama-2-70b", "llama-2-70b")}.get(of.name)
    default = (first[at - 1] if first else of.default) if at <= 2 else ""
    needed = of.needed and at <= 2
    return replace(of, name=f"{of.name}_{at}", default=default, needed=needed, label=of.name)


_SIDE = tuple(f for f in _ESTIMATE if f.name in ("model", "chip", "tp", "weights"))

FORMS: Mapping[str, tuple[Field, ...]] = {
    "plan": (
        _MODEL,
        Field("chips", "chip", "h20,h100,h200,b200,mi300x,910c", many=_CHIPS, needed=True),
        *_lengths("2048", "128"),
        Field("load", "choice", choices=tuple(api.LOADS), words="load"),
        Field("rate", "number", low=1e-6, high=1e6),
        *_LIMITS,
        Field("percentile", "number", low=1, high=99.9, more=True),
        Field("gpus", "whole", low=1, high=65536, more=True),
        Field("mode", "choice", choices=("both", "agg", "disagg"), words="mode", more=True),
        Field("simulate", "flag", more=True),
        replace(_WEIGHTS, many=len(WEIGHTS)),
        *(replace(_degree(name), many=8) for name in ("tp", "pp", "ep", "dp")),
        *_ENGINE,
        *_MONEY,
        *_LAW,
        _SEED,
    ),
    "policy": (replace(_CHIP, needed=False), *(replace(f, more=False) for f in _LAW), *_PARTIES),
    "landscape": tuple(f for f in (*_LAW, *_PARTIES) if f.name != "on"),
    "claims": (),
    "fleet": (
        Field("cut_off", "choice", "vendor=NVIDIA", choices=_CUT_OFFS, words="cut_off"),
        Field("since", "choice", "2027-Q1", choices=_PERIODS),
    ),
    "estimate": _ESTIMATE,
    "compare": (
        *(replace(_column(f, at), more=at > 2) for at in range(1, SIDES + 1) for f in _SIDE),
        *(f for f in _ESTIMATE if f not in _SIDE and f.name not in ("pp", "ep", "dp")),
    ),
    "simulate": (
        _MODEL,
        _CHIP,
        Field("tp", "whole", "2", low=1, high=1024),
        *_lengths("2048", "128"),
        Field("rate", "number", "4", low=1e-3, high=1e5),
        Field("concurrency", "whole", low=1, high=4096),
        Field("requests", "whole", "1000", low=1, high=20_000),
        *_LIMITS,
        Field("low", "number", low=0.01, high=1, more=True),
        _degree("ep"),
        _WEIGHTS,
        *_ENGINE,
        _SEED,
    ),
    "train": (
        _MODEL,
        replace(_CHIP, default="h100"),
        Field("chips", "whole", "1024", low=1, high=1_000_000, needed=True, label="count"),
        Field("seq", "whole", "4096", low=1, high=_LENGTH, needed=True),
        Field("batch", "whole", "1024", low=1, high=_LENGTH, needed=True, label="global_batch"),
        Field("precision", "choice", choices=("bf16", "fp16", "fp8", "mxfp8", "nvfp4")),
        Field("tokens", "number", low=1, high=1e18),
        Field("cost", "choice", choices=("own", "rent"), words="price_basis"),
        *(_degree(name) for name in ("tp", "pp", "cp", "ep", "dp", "micro")),
        Field("shard", "whole", low=0, high=3, more=True),
        Field("recompute", "choice", choices=tuple(RECOMPUTE), more=True),
    ),
}
