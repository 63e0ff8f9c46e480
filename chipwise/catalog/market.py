"""Prices as offered, what they come to, and what owning costs besides."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Any

from chipwise.catalog.facts import read_fact
from chipwise.catalog.files import DATA, as_of, read_csv, read_toml, where
from chipwise.errors import BadFact, BadInput
from chipwise.types import Fact, Money, Price

__all__ = [
    "KINDS",
    "Offer",
    "economics",
    "left_out",
    "offers",
    "price",
    "prices",
    "stale",
    "why_not",
]

KINDS = ("on_demand", "spot", "reserved", "lease", "owned", "purchase")
_MONEY = ("value", "low", "high", "bound", "currency", "unit")
_COLUMNS = ("name", "kind", "term", *_MONEY, "provider", "region", "on", "source", "provenance")
# A unit of sale → chips in it and hours of it; a purchase has no hours.
_UNITS = {
    "chip": (1, None),
    "2-chip card": (2, None),
    "8-chip module": (8, None),
    "8-chip server": (8, None),
    "72-chip rack": (72, None),
    "chip h": (1, 1.0),
    "chip month": (1, 730.0),
    "chip year": (1, 8760.0),
    "8-chip server h": (8, 1.0),
    "8-chip server month": (8, 730.0),
}
# Sold with the server around the chips, which ownership adds again.
_WITH_SERVER = ("8-chip server", "72-chip rack")
# With so many offers that have a source and are trusted, the others are not needed.
_ENOUGH = 3


@dataclass(frozen=True, slots=True)
class Offer:
    """A row of prices.csv, in USD per chip (and hour), with what decides whether it counts."""

    price: Price
    bound: str
    day: date
    sound: bool
    review: date
    world: bool


def _day(text: str) -> date:
    """First day of a day, month or year."""
    year, month, day = (*(int(part) for part in text.split("-")), 1, 1)[:3]
    return date(year, month, day)


@lru_cache(maxsize=1)
def _economics() -> tuple[Mapping[str, Fact], date]:
    path = DATA / "economics.toml"
    content = read_toml(path)
    review = content.pop("review")
    raw: dict[str, Any] = {}
    for name, entry in content.items():
        raw |= {name: entry} if "value" in entry else {f"{name}.{k}": v for k, v in entry.items()}
    rates = {
        name: read_fact(path, name, "number", "1", entry)
        for name, entry in raw.items()
        if name.startswith("fx.")
    }
    facts = dict(rates)
    for name, entry in raw.items():
        if name not in facts:
            facts[name] = _converted(name, entry, rates)
    return facts, review


def _converted(name: str, entry: dict[str, Any], rates: Mapping[str, Fact]) -> Fact:
    """A fact whose money, if any, is in dollars of its day; the note keeps what was printed."""
    path, unit = DATA / "economics.toml", str(entry.get("unit", ""))
    currency, slash, per = unit.partition("/")
    if slash and currency in ("CNY", "EUR"):
        rate = _rate(currency, entry["on"], rates)
        money: dict[str, Any] = {k: entry[k] / rate for k in ("value", "low", "high") if k in entry}
        printed = f"{entry['value']} {unit} at {rate} {currency} to the USD"
        note = "; ".join(part for part in (printed, entry.get("note", "")) if part)
        entry = {**entry, **money, "unit": f"USD/{per}", "note": note}
        unit = entry["unit"]
    return read_fact(path, name, "number", unit, entry)


def _rate(currency: str, day: date, rates: Mapping[str, Fact]) -> float:
    """Units of a currency for a dollar, by the rate that stands nearest in time."""
    near = [fact for name, fact in rates.items() if name.startswith(f"fx.{currency}-")]
    if not near:
        raise BadInput(f"no rate of {currency} to the USD in economics.toml")
    best = min(near, key=lambda fact: abs((fact.on - day).days) if fact.on else math.inf)
    return float(best.value or math.nan)


def economics() -> Mapping[str, Fact]:
    """What owning and running chips costs, by stable key, with low and high where printed.

    ``pue.default``, ``electricity.US``, ``carbon.CN``, ``life``, ``residual``, ``interest``,
    ``hosting``, ``server.share``, ``network.share``, ``all_in.<chip>``, ``fx.CNY-2025`` and so on.
    Money is in USD.
    """
    return _economics()[0]


def _number(text: str, column: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        path = DATA / "prices.csv"
        raise BadFact(str(path), column, f"a number above zero was expected, not {text!r}")
    return value


def _scale(row: Mapping[str, str], day: date) -> float:
    """What a printed price is multiplied by, to be in USD per chip (and hour)."""
    chips, hours = _UNITS[row["unit"]]
    rates = economics()
    usd = 1.0 if row["currency"] == "USD" else 1 / _rate(row["currency"], day, rates)
    share = rates["server.share"].value if row["unit"] in _WITH_SERVER else 0.0
    return usd / chips / (hours or 1.0) / (1 + float(share or 0.0))


def _offer(row: Mapping[str, str], chip: str) -> Offer:
    day = _day(row["on"])
    scale = _scale(row, day)
    value = (_number(row["value"], "value") or math.nan) * scale
    low, high = (_number(row[c], c) for c in ("low", "high"))
    money = Money(low * scale if low else value, value, high * scale if high else value)
    sourced = row["provenance"] != "unverified"
    spelt = f"{row['provider']}, {row['term']}" if row["term"] else row["provider"]
    text = f"{spelt} ({row['source']})"
    offered = Price(chip, row["kind"], money, row["region"], row["on"], text, sourced)
    sound = sourced and row["trust"] != "low"
    return Offer(offered, row["bound"], day, sound, _day(row["review"]), row["region"] != "CN")


@lru_cache(maxsize=1)
def _read() -> tuple[tuple[Offer, ...], Mapping[str, int]]:
    names = {
        row["name"]: row for row in read_csv(DATA / "price_names.csv", ("name", "chip", "left_out"))
    }
    found, out = [], Counter[str]()
    for row in read_csv(DATA / "prices.csv", (*_COLUMNS, "trust", "review")):
        entry = names.get(row["name"])
        if entry is None:
            place = where(DATA / "prices.csv", row["name"])
            raise BadFact(place, row["name"], "has no line in price_names.csv")
        if entry["chip"]:
            found.append(_offer(row, entry["chip"]))
        else:
            out[f"{row['name']}: {entry['left_out']}"] += 1
    return tuple(found), dict(out)


def offers(chip_id: str | None = None, kind: str | None = None) -> tuple[Offer, ...]:
    """Single offers, of all chips or one, of all kinds or one."""
    return tuple(
        offer
        for offer in _read()[0]
        if chip_id in (None, offer.price.chip) and kind in (None, offer.price.kind)
    )


def left_out() -> Mapping[str, int]:
    """Names of priced things that no chip of the catalog can be told from, and how many offers."""
    return _read()[1]


def prices(chip_id: str | None = None) -> list[Price]:
    """Offers as printed, in USD per chip (purchase) or chip and hour, of all chips or one."""
    return [offer.price for offer in offers(chip_id)]


def _counted(found: Sequence[Offer]) -> list[Offer]:
    """The offers that count: the trusted ones with a source, where they are enough."""
    sound = [offer for offer in found if offer.sound]
    return sound if len(sound) >= _ENOUGH else list(found)


def _together(found: Sequence[Offer], region: str) -> Price:
    """One price of many offers: their least, median and greatest."""
    middles = [o.price.usd.mid for o in found if not o.bound] or [o.price.usd.mid for o in found]
    money = Money(
        min(o.price.usd.low for o in found),
        statistics.median(middles),
        max(o.price.usd.high for o in found),
    )
    newest = max(found, key=lambda offer: offer.day).price
    texts = dict.fromkeys(offer.price.source for offer in found)
    return replace(
        newest,
        usd=money,
        region=region,
        source="; ".join(texts),
        verified=all(offer.price.verified for offer in found),
        count=len(found),
    )


def _available(chip_id: str, kind: str, on: date) -> Iterator[Offer]:
    if kind not in KINDS:
        raise BadInput(f"unknown kind of price {kind!r}; known are {', '.join(KINDS)}")
    return (offer for offer in offers(chip_id, kind) if offer.day <= on)


def price(
    chip_id: str, kind: str, on: date | None = None, *, region: str = "world"
) -> Price | None:
    """What a chip costs, from all its offers up to a day; None where there is none.

    Low, mid and high are the least, the median and the greatest of the offers. Offers without a
    source or of low trust count only where fewer than three others stand. Where the region has no
    offer, another's are taken, and `region` of the result says so.

    Parameters
    ----------
    chip_id : str
        Id of a chip.
    kind : str
        ``purchase`` [USD/chip]; ``on_demand``, ``spot``, ``reserved``, ``lease`` or ``owned``
        [USD/h].
    on : date, optional
        The last day whose offers count; the catalog's own unless given.
    region : str
        ``world`` or ``CN``.

    Examples
    --------
    >>> price("huawei-ascend-910c", "purchase").region
    'CN (no offer in world)'
    """
    if region not in ("world", "CN"):
        raise BadInput(f"unknown region of prices {region!r}; known are world, CN")
    found = list(_available(chip_id, kind, on or as_of()))
    here = [offer for offer in found if offer.world == (region == "world")]
    if here:
        return _together(_counted(here), region)
    other = "CN" if region == "world" else "world"
    return _together(_counted(found), f"{other} (no offer in {region})") if found else None


def why_not(chip_id: str, kind: str, on: date | None = None) -> str:
    """Why there is no price, in a sentence; empty where there is one."""
    day = on or as_of()
    if next(_available(chip_id, kind, day), None):
        return ""
    later = [offer.price.on for offer in offers(chip_id, kind)]
    if later:
        return f"the first {kind} price of {chip_id} is of {min(later)}, after {day}"
    kinds = sorted({offer.price.kind for offer in offers(chip_id)})
    known = f"known are {', '.join(kinds)}" if kinds else "none of any kind is known"
    return f"no {kind} price of {chip_id} is known; {known}"


def stale(on: date) -> list[str]:
    """Prices and economic facts that were to be looked at again before a day."""
    late = {
        f"{offer.price.chip}, {offer.price.kind}, {offer.price.source}: due {offer.review}"
        for offer in offers()
        if offer.review < on
    }
    facts, review = _economics()
    return sorted(late) + ([f"{name}: due {review}" for name in facts] if review < on else [])
