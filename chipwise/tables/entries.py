"""Tables of the catalog: lists of chips, models, prices, sources and rules, and one entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from chipwise.tables.sheet import (
    NONE,
    Answer,
    Cell,
    Document,
    Say,
    bounded,
    flat,
    grid,
    number,
    scaled,
    sheet,
    text,
)
from chipwise.words import say

__all__ = ["chips", "entry", "entry_rows", "models", "outcome", "prices", "rules", "sources"]


def chips(found: Sequence[Answer], lang: str) -> Document:
    """The list of chips."""
    word = partial(say, lang)
    rows = [
        (
            c["id"],
            c["name"],
            text(c["released"]),
            text(c["memory_gb"] and number(c["memory_gb"])),
            scaled(c["memory_bandwidth_bytes_per_s"], "TB/s"),
            scaled(c["bf16_flop_per_s"], "TFLOPS"),
            scaled(c["fp8_flop_per_s"], "TFLOPS"),
            number(c["power_w"]),
            c["status"],
        )
        for c in found
    ]
    names = "id name released memory_gb bandwidth_tb bf16_tflops fp8_tflops power_w status"
    title = word("title.chips", count=len(found))
    return [sheet(word, title, names, rows, range(2, 8)), word("line.units")]


def models(found: Sequence[Answer], lang: str) -> Document:
    """The list of models, their parameters as computed and as published."""
    word = partial(say, lang)
    rows = []
    for m in found:
        published = m["parameters_published"]
        rows.append(
            (
                m["id"],
                m["family"],
                m["weights"],
                scaled(m["parameters"], "bn"),
                scaled(published, "bn"),
                f"{100 * (m['parameters'] / published - 1):+.2f} %" if published else NONE,
                number(m["context"]),
            )
        )
    names = "id family weights parameters_bn published_bn difference context"
    return [sheet(word, word("title.models", count=len(found)), names, rows, range(3, 7))]


def prices(found: Sequence[Answer], lang: str) -> Document:
    """The list of prices."""
    word = partial(say, lang)
    rows = [
        (
            p["chip"],
            p["kind"],
            bounded(p["usd"]) if p["usd"]["low"] != p["usd"]["high"] else number(p["usd"]["value"]),
            p["region"],
            p["on"],
            word("word.yes" if p["verified"] else "word.no"),
            p["source"],
        )
        for p in found
    ]
    title = word("title.prices", count=len(found))
    return [sheet(word, title, "chip kind usd region on verified source", rows, (2, 4))]


def sources(found: Sequence[Answer], lang: str) -> Document:
    """The list of sources."""
    word, names = partial(say, lang), "id title url retrieved"
    rows = [[text(s.get(k)) for k in names.split()] for s in found]
    return [sheet(word, word("title.sources", count=len(found)), names, rows, (3,))]


def rules(found: Sequence[Answer], lang: str) -> Document:
    """The list of rules."""
    word = partial(say, lang)
    rows = [
        (
            r["id"],
            text(r["title"].get(lang)),
            r["start"],
            text(r["end"]),
            outcome(word, r["outcome"]),
            r["effect"],
            r["confidence"],
        )
        for r in found
    ]
    names = "id title start end outcome effect confidence"
    return [sheet(word, word("title.rules", count=len(found)), names, rows, (2, 3))]


def outcome(word: Say, of: str) -> str:
    """What a rule gives: a status in words, else as its file says."""
    try:
        return word(f"status.{of}")
    except KeyError:
        return text(of)


def entry(found: Answer, lang: str) -> Document:
    """One entry of the catalog: every value with its unit, source and date."""
    word = partial(say, lang)
    rows = [
        (
            name,
            Cell(_plain(word, f["value"]), _bounds(f)),
            text(f.get("unit")),
            text(f.get("source")),
            text(f.get("on")),
            f.get("provenance") or word("word.yes" if f["verified"] else "word.no"),
        )
        for name, f in found["fields"].items()
    ]
    names = "field value unit source on provenance"
    parts = [str(found[k]) for k in ("id", "name") if found.get(k)]
    document: Document = [sheet(word, " · ".join(dict.fromkeys(parts)), names, rows)]
    if found.get("parameters") is not None:
        document += _blocks(word, found)
    document += [f"{name}: {f['note']}" for name, f in found["fields"].items() if f.get("note")]
    return document + ([found["note"]] if found.get("note") else [])


def _blocks(word: Say, found: Answer) -> Document:
    """What a model is made of, and its parameters by two counts."""
    rows = []
    for block in found["blocks"]:
        dims = {k: v for k, v in block.items() if k not in ("kind", "count")}
        spelt = ", ".join(f"{k} {v:g}" for k, v in dims.items())
        rows.append((block["kind"], str(block["count"]), spelt))
    headings = (word("heading.kind"), "×", word("heading.value"))
    line = word(
        "line.published",
        computed=scaled(found["parameters"], "bn", 4),
        published=scaled(found["parameters_published"], "bn", 4),
    )
    return [grid(word("title.blocks"), headings, rows, (1,)), line]


def _plain(word: Say, value: Any) -> str:
    """A value of any kind, as printed."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return word("word.yes" if value else "word.no")
    if isinstance(value, list):
        return ", ".join(map(str, value)) or NONE
    return f"{value:,.10g}" if isinstance(value, (int, float)) else str(value)


def _bounds(fact: Answer) -> str:
    ends = fact.get("low"), fact.get("high")
    if ends == (None, None):
        return ""
    return "–".join(NONE if end is None else f"{end:g}" for end in ends)


def entry_rows(found: Answer) -> Iterable[Mapping[str, Any]]:
    """A row for each field of an entry of the catalog."""
    for name, field in found["fields"].items():
        yield {"id": found["id"], "field": name, **flat(field)}
