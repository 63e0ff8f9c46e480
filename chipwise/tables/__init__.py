"""Answers → tables in English or Chinese, and flat rows for CSV.

An answer is a dictionary of `chipwise.answers`; what is made here has no colour and no width, so
that a terminal and a page can both draw it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from chipwise.units import from_base
from chipwise.words import say, told

__all__ = [
    "Cell",
    "Sheet",
    "chips",
    "entry",
    "entry_rows",
    "estimate",
    "flat",
    "models",
    "number",
    "plan",
    "plan_rows",
    "policy",
    "prices",
    "rules",
    "short",
    "simulate",
    "sources",
    "sweep",
    "train",
    "train_each",
    "train_mixed",
]

Answer = Mapping[str, Any]
Document = list["Sheet | str"]
_Say = Callable[..., str]
_NONE = "—"
_MOST_APART = 3
_MOST_ERRORS = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of a cell, and what stands beside or beneath it: mostly the bounds of an interval."""

    text: str
    beside: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: title, headings, rows of cells.

    Columns in `numbers` are set to the right. Where it is too wide, the columns after the first
    `keys` may go beneath, those repeated; with 0 its cells are broken instead.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbers: frozenset[int] = frozenset()
    keys: int = 0


def number(value: float | None, digits: int = 3) -> str:
    """A number for reading: so many digits, thousands parted, none lost above the point.

    Examples
    --------
    >>> number(1234.5), number(0.012345), number(None)
    ('1,234', '0.0123', '—')
    """
    if value is None or not math.isfinite(value):
        return _NONE
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    return text if "e" not in text or abs(value) < 1e-6 else f"{Decimal(text):f}"


def _bounded(found: Mapping[str, float] | None, unit: str = "", digits: int = 3) -> Cell:
    """A value with its bounds, read in `unit`."""
    if found is None:
        return Cell(_NONE)
    value, low, high = (from_base(found[k], unit) for k in ("value", "low", "high"))
    return Cell(number(value, digits), f"{number(low, digits)}–{number(high, digits)}")


def _scaled(value: float | None, unit: str, digits: int = 3) -> Cell:
    return Cell(_NONE if value is None else number(from_base(value, unit), digits))


def _text(value: Any) -> Cell:
    return Cell(_NONE if value is None or value == "" else str(value))


def _sheet(
    word: _Say,
    title: str,
    names: str,
    rows: Iterable[Sequence[Cell]],
    right: Iterable[int] = (),
    keys: int = 0,
) -> Sheet:
    headings = tuple(word(f"heading.{name}") for name in names.split())
    return Sheet(title, headings, tuple(tuple(row) for row in rows), frozenset(right), keys)


def _status(word: _Say, status: str | None) -> Cell:
    return Cell(word(f"status.{status or 'unknown'}"))


# -- the catalog ---------------------------------------------------------------------------------


def chips(found: Sequence[Answer], lang: str) -> Document:
    """The list of chips."""
    word = partial(say, lang)
    rows = [
        (
            Cell(c["id"]),
            Cell(c["name"]),
            _text(c["released"]),
            _text(c["memory_gb"] and number(c["memory_gb"])),
            _scaled(c["memory_bandwidth_bytes_per_s"], "TB/s"),
            _scaled(c["bf16_flop_per_s"], "TFLOPS"),
            _scaled(c["fp8_flop_per_s"], "TFLOPS"),
            Cell(number(c["power_w"])),
            Cell(c["status"]),
        )
        for c in found
    ]
    names = "id name released memory_gb bandwidth_tb bf16_tflops fp8_tflops power_w status"
    title = word("title.chips", count=len(found))
    return [_sheet(word, title, names, rows, range(2, 8)), word("line.units")]


def models(found: Sequence[Answer], lang: str) -> Document:
    """The list of models, their parameters as computed and as published."""
    word = partial(say, lang)
    rows = []
    for m in found:
        published = m["parameters_published"]
        off = m["parameters"] / published - 1 if published else None
        rows.append(
            (
                Cell(m["id"]),
                Cell(m["family"]),
                Cell(m["weights"]),
                Cell(number(from_base(m["parameters"], "bn"))),
                _scaled(published, "bn"),
                Cell(_NONE if off is None else f"{100 * off:+.2f} %"),
                Cell(number(m["context"])),
            )
        )
    names = "id family weights parameters_bn published_bn difference context"
    return [_sheet(word, word("title.models", count=len(found)), names, rows, range(3, 7))]


def prices(found: Sequence[Answer], lang: str) -> Document:
    """The list of prices."""
    word = partial(say, lang)
    rows = [
        (
            Cell(p["chip"]),
            Cell(p["kind"]),
            Cell(number(p["usd"]["value"]), _bounded(p["usd"]).beside if _spread(p) else ""),
            Cell(p["region"]),
            Cell(p["on"]),
            Cell(word("word.yes" if p["verified"] else "word.no")),
            Cell(p["source"]),
        )
        for p in found
    ]
    title = word("title.prices", count=len(found))
    return [_sheet(word, title, "chip kind usd region on verified source", rows, (2, 4))]


def _spread(price: Answer) -> bool:
    return bool(price["usd"]["low"] != price["usd"]["high"])


def sources(found: Sequence[Answer], lang: str) -> Document:
    """The list of sources."""
    word = partial(say, lang)
    rows = [tuple(_text(s.get(k)) for k in ("id", "title", "url", "retrieved")) for s in found]
    return [
        _sheet(word, word("title.sources", count=len(found)), "id title url retrieved", rows, (3,))
    ]


def rules(found: Sequence[Answer], lang: str) -> Document:
    """The list of rules."""
    word = partial(say, lang)
    rows = [
        (
            Cell(r["id"]),
            _text(r["title"].get(lang)),
            Cell(r["start"]),
            _text(r["end"]),
            _outcome(word, r["outcome"]),
            Cell(r["effect"]),
            Cell(r["confidence"]),
        )
        for r in found
    ]
    names = "id title start end outcome effect confidence"
    return [_sheet(word, word("title.rules", count=len(found)), names, rows, (2, 3))]


def _outcome(word: _Say, outcome: str) -> Cell:
    try:
        return Cell(word(f"status.{outcome}"))
    except KeyError:
        return _text(outcome)


def entry(found: Answer, lang: str) -> Document:
    """One entry of the catalog: every value with its unit, source and date."""
    word = partial(say, lang)
    rows = [
        (
            Cell(name),
            Cell(_plain(word, f["value"]), _bounds(f)),
            _text(f.get("unit")),
            _text(f.get("source")),
            _text(f.get("on")),
            Cell(f.get("provenance") or word("word.yes" if f["verified"] else "word.no")),
        )
        for name, f in found["fields"].items()
    ]
    names = "field value unit source on provenance"
    parts = [str(found[k]) for k in ("id", "name") if found.get(k)]
    document: Document = [_sheet(word, " · ".join(dict.fromkeys(parts)), names, rows)]
    if found.get("parameters") is not None:
        document += _blocks(word, found)
    document += [f"{name}: {f['note']}" for name, f in found["fields"].items() if f.get("note")]
    return document + ([found["note"]] if found.get("note") else [])


def _blocks(word: _Say, found: Answer) -> Document:
    """What a model is made of, and its parameters by two counts."""
    rows = []
    for block in found["blocks"]:
        dims = {k: v for k, v in block.items() if k not in ("kind", "count")}
        spelt = ", ".join(f"{k} {v:g}" for k, v in dims.items())
        rows.append((Cell(block["kind"]), Cell(str(block["count"])), Cell(spelt)))
    headings = (word("heading.kind"), "×", word("heading.value"))
    published = found["parameters_published"]
    line = word(
        "line.published",
        computed=number(from_base(found["parameters"], "bn"), 4),
        published=_NONE if published is None else number(from_base(published, "bn"), 4),
    )
    return [Sheet(word("title.blocks"), headings, tuple(rows), frozenset({1})), line]


def _plain(word: _Say, value: Any) -> str:
    """A value of any kind, as printed."""
    if value is None:
        return _NONE
    if isinstance(value, bool):
        return word("word.yes" if value else "word.no")
    if isinstance(value, list):
        return ", ".join(map(str, value)) or _NONE
    return f"{value:,.10g}" if isinstance(value, (int, float)) else str(value)


def _bounds(fact: Answer) -> str:
    low, high = fact.get("low"), fact.get("high")
    if low is None and high is None:
        return ""
    return f"{_NONE if low is None else f'{low:g}'}–{_NONE if high is None else f'{high:g}'}"


# -- estimate and plan ---------------------------------------------------------------------------


def estimate(found: Answer, lang: str) -> Document:
    """One deployment under one load, quantity by quantity."""
    word = partial(say, lang)
    deployment = found["deployment"]
    title = word(
        "title.estimate", model=found["model"], chip=found["chip"], deployment=deployment["text"]
    )
    rows = [
        (Cell(word(f"quantity.{name}")), Cell(cell.text), Cell(cell.beside), Cell(unit))
        for name, cell, unit in _quantities(word, found)
    ]
    names = "quantity value interval unit"
    document: Document = [_sheet(word, title, names, rows, (1, 2))]
    if "general" in found:
        document.append(_beside(found["general"], lang))
    return [*document, *_assumed(word, found, [found])]


def _beside(found: Answer, lang: str) -> str:
    """What the general calibration says beside one of the user's own."""
    if found["why"]:
        why = told(lang, found["why"])
        return say(lang, "local.beside_none", id=found["calibration_id"], why=why)
    return say(
        lang,
        "local.beside",
        id=found["calibration_id"],
        ttft=number(found["ttft_s"]["value"]),
        tpot=number(from_base(found["tpot_s"]["value"], "ms")),
        output=number(found["output_tokens_per_s"]["value"]),
        deployment=found["deployment"],
    )


def _quantities(word: _Say, row: Answer) -> Iterable[tuple[str, Cell, str]]:
    memory = row["memory_bytes"]
    yield "ttft", _bounded(row["ttft_s"]), "s"
    yield "tpot", _bounded(row["tpot_s"], "ms"), "ms"
    yield "output", _bounded(row["output_tokens_per_s"]), "token/s"
    yield "per_chip", _bounded(row["output_tokens_per_s_per_chip"]), "token/s"
    yield "total", _bounded(row["total_tokens_per_s"]), "token/s"
    yield "chips", Cell(str(row["chip_count"])), ""
    yield "memory", _scaled(memory["total"], "GB", 4), "GB"
    for part in ("weights", "kv", "activations", "buffers", "reserve", "capacity"):
        yield f"memory_{part}", _scaled(memory[part], "GB", 4), "GB"
    yield "batch_limit", Cell(number(row["batch_limit"])), ""
    yield "bound", Cell(word(f"bound.{row['bound']}")), ""
    yield "power", _bounded(row["power_w"]), "W"
    yield "usd_hour", _bounded(row["usd_per_hour"]), "USD/h"
    yield "usd_mtoken", _bounded(row["usd_per_million_output_tokens"]), "USD/M"
    yield "energy", _bounded(row["joule_per_output_token"]), "J"
    yield "carbon", Cell(number(row["gco2_per_output_token"])), "gCO2"
    yield "law", _status(word, row["status"]), ""


def train(found: Answer, lang: str) -> Document:
    """A training: its layout, step by part, memory by part, and the run."""
    word = partial(say, lang)
    title = word(
        "title.train",
        model=found["model"],
        chip=f"{found['chip_count']:,} × {short(found['chip'])}",
        layout=found["parallelism"]["text"],
    )
    rows = [
        (Cell(word(f"quantity.{name}")), Cell(cell.text), Cell(cell.beside), Cell(unit))
        for name, cell, unit in _training(word, found)
    ]
    lines = [
        word("line.intervals", basis=word(f"basis.{found['basis']}")),
    ]
    if found["considered"] > 1:
        count, fitting = (f"{found[key]:,}" for key in ("considered", "fitting"))
        lines.append(word("line.layouts", count=count, fitting=fitting))
    if found["usd"]:
        lines.append(word("line.money", basis=word(f"price_basis.{found['price_basis']}")))
    elif found["run"]:
        lines.append(word("line.no_money", chips=short(found["chip"])))
    if found["rests_on_unverified"]:
        fields = ", ".join(found["rests_on_unverified"])
        lines.append(word("line.unverified", fields=fields))
    lines += [told(lang, note) for note in found["notes"]]
    names = "quantity value interval unit"
    return [_sheet(word, title, names, rows, (1, 2)), *lines]


def _training(word: _Say, row: Answer) -> Iterable[tuple[str, Cell, str]]:
    yield "step", _bounded(row["step_s"]), "s"
    for part, seconds in row["parts_s"].items():
        if seconds:
            yield f"part_{part}", _scaled(seconds, "s"), "s"
    yield "mfu", _bounded(row["mfu"], "%"), "%"
    yield "hfu", _scaled(row["hfu"], "%"), "%"
    yield "trained", _bounded(row["tokens_per_s_per_chip"]), "token/s"
    memory = row["memory_bytes"]
    yield "memory", _scaled(memory["total"], "GB", 4), "GB"
    for part in ("weights", "gradients", "optimiser", "activations", "buffers", "capacity"):
        yield f"memory_{part}", _scaled(memory[part], "GB", 4), "GB"
    yield "bound", Cell(word(f"bound.{row['bound']}")), ""
    yield "power_chip", Cell(number(row["power_w"])), "W"
    yield from _run(row)


def _run(row: Answer) -> Iterable[tuple[str, Cell, str]]:
    if row["run"]:
        yield "days", Cell(number(row["days"])), "d"
        yield "goodput", _scaled(row["run"]["goodput"], "%"), "%"
        yield "usd_run", _bounded(row["usd"]), "USD"
        yield "mwh", Cell(number(row["mwh"])), "MWh"
        yield "tco2", Cell(number(row["tco2"])), "tCO2"


def train_mixed(found: Answer, lang: str) -> Document:
    """Several kinds of chips that share every batch: the whole, what it waits for, and each."""
    word = partial(say, lang)
    line = word(
        "line.mixed",
        step=number(found["step_s"]["value"]),
        rate=number(found["tokens_per_s"]),
        chip=short(found["waits_for"]),
    )
    cells = [
        ("step", _bounded(found["step_s"]), "s"),
        *_run(found),
    ]
    rows = [
        (Cell(word(f"quantity.{name}")), Cell(cell.text), Cell(cell.beside), Cell(unit))
        for name, cell, unit in cells
    ]
    chips = ", ".join(f"{k['chip_count']:,} × {short(k['chip'])}" for k in found["kinds"])
    title = word("title.mixed", model=found["model"], chips=chips, batch=found["global_batch"])
    whole = _sheet(word, title, "quantity value interval unit", rows, (1, 2))
    lines = []
    if found["usd"]:
        lines.append(word("line.money", basis=word(f"price_basis.{found['price_basis']}")))
    parts = [part for kind in found["kinds"] for part in train(kind, lang)]
    return [line, whole, *lines, *parts]


def train_each(found: Answer, lang: str) -> Document:
    """The same training on several kinds of chips, a row for each, then why not and what binds."""
    word = partial(say, lang)
    whole = any(row["feasible"] and row["run"] for row in found["chips"])
    names = "chip deployment step_s mfu memory_gb bound"
    names += " days usd_run mwh tco2" if whole else ""
    rows = [_trained_row(word, row, whole=whole) for row in found["chips"]]
    title = word("title.train_each", model=found["model"], count=f"{found['chip_count']:,}")
    numbers = {2, 3, 4, 6, 7, 8, 9} & set(range(len(names.split())))
    document: Document = [_sheet(word, title, names, rows, numbers, 1)]
    for row in found["chips"]:
        notes = row["notes"] if row["feasible"] else (row["why"],)
        document += [
            word("line.why", chip=short(row["chip"]), why=told(lang, note)) for note in notes
        ]
    able = [row for row in found["chips"] if row["feasible"]]
    document += [
        word("line.trained_basis", chip=short(row["chip"]), basis=word(f"basis.{row['basis']}"))
        for row in able
    ]
    if whole and any(row["usd"] for row in able):
        document.append(word("line.money", basis=word(f"price_basis.{found['price_basis']}")))
    poor = ", ".join(short(row["chip"]) for row in able if whole and not row["usd"])
    return [*document, *([word("line.no_money", chips=poor)] if poor else [])]


def _trained_row(word: _Say, row: Answer, *, whole: bool) -> tuple[Cell, ...]:
    if not row["feasible"]:
        blank = (Cell(_NONE),) * (8 if whole else 4)
        return Cell(short(row["chip"])), Cell(word("word.infeasible")), *blank
    layout = f"{row['precision']} · {row['parallelism']['text']}"
    used = [number(from_base(row["memory_bytes"][k], "GB")) for k in ("total", "capacity")]
    return (
        Cell(short(row["chip"])),
        Cell(layout),
        _bounded(row["step_s"]),
        _bounded(row["mfu"], "%"),
        Cell(" / ".join(used)),
        Cell(word(f"bound.{row['bound']}")),
        *(cell for name, cell, _ in _run(row) if name != "goodput"),
    )


def sweep(found: Answer, lang: str) -> Document:
    """What a sweep came to, with the commonest errors."""
    word = partial(say, lang)
    commonest = sorted(found["errors"].items(), key=lambda pair: -pair[1])[:_MOST_ERRORS]
    names = ("points", "rows", "feasible", "parts", "kept")
    return [
        word("line.swept", **{name: f"{found[name]:,}" for name in names}),
        *(word("line.times", count=count, what=told(lang, error)) for error, count in commonest),
        word("line.written", path=found["out"]),
    ]


def plan(found: Answer, lang: str) -> Document:
    """A row for each chip, then what was assumed, what is apart, the front, and why not."""
    word = partial(say, lang)
    names = "chip deployment tokens_per_chip ttft_s tpot_ms memory_gb usd_mtoken joule_token status"
    rows = [_plan_row(word, row) for row in found["chips"]]
    title = word("title.plan", model=found["model"])
    document: Document = [_sheet(word, title, names, rows, range(2, 8), 1)]
    document += [
        word("line.why", chip=short(row["chip"]), why=told(lang, row["why"]))
        for row in found["chips"]
        if not row["feasible"]
    ]
    document += [
        word("line.why", chip=short(row["chip"]), why=_beside(row["general"], lang))
        for row in found["chips"]
        if "general" in row
    ]
    document += _notes(word, lang, found["chips"])
    document += _apart(word, found)
    document += _front(word, found)
    able = [row for row in (*found["chips"], *found["apart"]) if row["feasible"]]
    return document + _assumed(word, found, able)


def short(chip: str) -> str:
    """A chip's id without its vendor, as the tables show it; it names the chip as well.

    Examples
    --------
    >>> short("nvidia-h200-sxm")
    'h200-sxm'
    """
    return chip.partition("-")[2] or chip


def _plan_row(word: _Say, row: Answer) -> tuple[Cell, ...]:
    status = _status(word, row["status"])
    if not row["feasible"]:
        blank = (Cell(_NONE),) * 6
        return Cell(short(row["chip"])), Cell(word("word.infeasible")), *blank, status
    return Cell(short(row["chip"])), Cell(row["deployment"]["text"]), *_figures(row), status


def _figures(row: Answer) -> tuple[Cell, ...]:
    memory = row["memory_bytes"]
    capacity = number(from_base(memory["capacity"], "GB"))
    return (
        _bounded(row["output_tokens_per_s_per_chip"]),
        _bounded(row["ttft_s"]),
        _bounded(row["tpot_s"], "ms"),
        Cell(f"{number(from_base(memory['total'], 'GB'))} / {capacity}"),
        _bounded(row["usd_per_million_output_tokens"]),
        _bounded(row["joule_per_output_token"]),
    )


def _notes(word: _Say, lang: str, rows: Sequence[Answer]) -> list[str]:
    return [
        word("line.why", chip=short(row["chip"]), why=told(lang, note))
        for row in rows
        if row["feasible"]
        for note in row["notes"]
    ]


def _apart(word: _Say, found: Answer) -> Document:
    """The best deployments with prefill and decode on chips of their own."""
    able = [row for row in found["apart"] if row["feasible"]]
    if not able:
        return []
    # What was simulated before what the closed form alone speaks for.
    best = sorted(able, key=lambda row: (not row["simulated"], *_dearness(row)))[:_MOST_APART]
    rows = []
    for row in best:
        sides = [row["deployment"][side]["chip"] for side in ("prefill", "decode")]
        verdicts = [found["verdicts"].get(chip, {}).get("status") for chip in sides]
        spelt = dict.fromkeys(_status(word, status).text for status in verdicts)
        rows.append(
            (
                *(Cell(short(chip)) for chip in sides),
                Cell(row["deployment"]["text"]),
                *_figures(row)[:3],
                *_figures(row)[4:],
                Cell(" / ".join(spelt)),
            )
        )
    names = "prefill decode deployment tokens_per_chip ttft_s tpot_ms usd_mtoken joule_token status"
    title = word("title.apart", shown=len(best), count=len(able))
    return [_sheet(word, title, names, rows, range(3, 8), 2)]


def _dearness(row: Answer) -> tuple[float, float]:
    """Cheapest first; those without a price by what they yield for a chip."""
    usd = row["usd_per_million_output_tokens"]
    return (usd["value"] if usd else math.inf, -row["output_tokens_per_s_per_chip"]["value"])


def _front(word: _Say, found: Answer) -> Document:
    rows = []
    for row in found["pareto"]:
        made = row["deployment"]
        sides = [made["prefill"], made["decode"]] if made["prefill"] else [made["decode"]]
        chips = " → ".join(dict.fromkeys(short(side["chip"]) for side in sides))
        rows.append(
            (
                Cell(chips),
                Cell(made["text"]),
                _bounded(row["usd_per_million_output_tokens"]),
                _bounded(row["tpot_s"], "ms"),
                _bounded(row["ttft_s"]),
            )
        )
    if not rows:
        return []
    names = "chip deployment usd_mtoken tpot_ms ttft_s"
    return [_sheet(word, word("title.pareto"), names, rows, (2, 3, 4), 1)]


def _assumed(word: _Say, found: Answer, able: Sequence[Answer]) -> list[str]:
    """What an answer takes for granted, line by line."""
    lines = [_load(word, found), _target(word, found)] if "chips" in found else [_load(word, found)]
    lines.append(_highest(word, able))
    lines += _flags(word, [r for r in able if not r["deployment"]["prefill"]] or able)
    formats = dict.fromkeys(row["deployment"]["kv"] for row in able)
    if formats:
        lines.append(word("line.kv", kv=", ".join(formats)))
    basis = found["price_basis"]
    lines.append(word("line.money", basis=word(f"price_basis.{basis}")))
    dear = _priceless(able)
    if dear:
        lines.append(word("line.no_money", chips=", ".join(map(short, dear))))
    lines += _grounds(word, able)
    lines.append(
        word("line.law", to=found["to"], on=found["on"], route=word(f"route.{found['route']}"))
    )
    if "considered" in found:
        lines.append(word("line.considered", count=f"{found['considered']:,}"))
    return [*(line for line in lines if line), _versions(word, found)]


def _priceless(able: Sequence[Answer]) -> list[str]:
    """Chips for which no deployment has a cost; a dear neighbour is not their fault."""
    known, unknown = dict[str, None](), dict[str, None]()
    for row in able:
        sides = [s for s in (row["deployment"]["decode"], row["deployment"]["prefill"]) if s]
        kept = unknown if row["usd_per_hour"] is None else known
        kept |= dict.fromkeys(side["chip"] for side in sides)
    return [chip for chip in unknown if chip not in known]


def _versions(word: _Say, found: Answer) -> str:
    return word(
        "line.versions",
        version=found["chipwise_version"],
        as_of=found["catalog_as_of"],
        calibration=found["calibration_id"],
    )


def _load(word: _Say, found: Answer) -> str:
    load = found["workload"]
    if load["rate_per_s"] is not None:
        arrivals = word("line.open", rate=number(load["rate_per_s"]))
    else:
        arrivals = word(f"line.{found.get('loop', 'closed')}")
    text = word("line.load", isl=load["isl"], osl=load["osl"], arrivals=arrivals)
    if load["prefix_hit"]:
        text += " " + word("line.prefix", share=number(100 * load["prefix_hit"]))
    return text


def _target(word: _Say, found: Answer) -> str:
    load = found["workload"]
    limits = []
    if load["ttft_s"] is not None:
        limits.append(f"TTFT ≤ {number(load['ttft_s'])} s")
    if load["tpot_s"] is not None:
        limits.append(f"TPOT ≤ {number(from_base(load['tpot_s'], 'ms'))} ms")
    if not limits:
        return word("line.no_target")
    return word("line.target", percentile=f"{load['percentile']:g}", limits=", ".join(limits))


def _highest(word: _Say, able: Sequence[Answer]) -> str:
    """The highest rates at which the simulation keeps the target, where it was asked for."""
    rates = {
        short(row["chip"]): row["simulated"]["highest_rate"]
        for row in able
        if not row["deployment"]["prefill"] and "highest_rate" in row.get("simulated", {})
    }
    told = ", ".join(f"{chip} {number(rate)}/s" for chip, rate in rates.items())
    return word("line.highest_rate", rates=told) if rates else ""


def _flags(word: _Say, able: Sequence[Answer]) -> list[str]:
    """The engine's flags that were assumed, chips that share them together."""
    chips: dict[tuple[Any, ...], dict[str, None]] = {}
    for row in able:
        made = row["deployment"]
        key = tuple(made[k] for k in ("backend", "backend_version", "chunk", "max_seqs"))
        chips.setdefault(key, {})[short(row["chip"])] = None
    return [
        word(
            "line.flags",
            backend=backend,
            version=version,
            chunk=f"{chunk:,}",
            max_seqs=f"{max_seqs:,}",
            chips=", ".join(names),
        )
        for (backend, version, chunk, max_seqs), names in chips.items()
    ]


def _grounds(word: _Say, able: Sequence[Answer]) -> list[str]:
    """What the intervals rest on, and which values have no source."""
    if not able:
        return []
    by_basis: dict[str, dict[str, None]] = {}
    for row in able:
        by_basis.setdefault(row["basis"], {})[short(row["chip"])] = None
    spelt = [f"{word(f'basis.{b}')} ({', '.join(names)})" for b, names in by_basis.items()]
    lines = [word("line.intervals", basis="; ".join(spelt))]
    fields = dict.fromkeys(f for row in able for f in row["rests_on_unverified"])
    if fields:
        lines.append(word("line.unverified", fields=", ".join(fields)))
    return lines


# -- law and simulation --------------------------------------------------------------------------


def policy(found: Answer, lang: str) -> Document:
    """Every rule that was evaluated on both sides, with its arithmetic."""
    word = partial(say, lang)
    status = word(f"status.{found['status']}")
    asked = {k: found[k] for k in ("chip", "to", "on")}
    route = word(f"route.{found['route']}")
    document: Document = [word("title.policy", **asked, route=route, status=status)]
    for side in ("export", "import"):
        document += _side(lang, side, found[side])
    for name, key, value in (
        ("needs", "needs", [_of_rule(lang, text) for text in found["needs"]]),
        ("missing", "facts", found["unknown"]),
        ("disputed", "facts", [_disputed(lang, each) for each in found["disputes"]]),
        ("not_evaluated", "rules", found["not_evaluated"]),
        ("unverified", "fields", found["rests_on_unverified"]),
    ):
        if value:
            document.append(word(f"line.{name}", **{key: word("word.next").join(value)}))
    return [*document, word("line.not_legal_advice"), _versions(word, found)]


def _step(lang: str, line: str) -> str:
    """A line of a rule's arithmetic: a sum, or a comparison with its answer."""
    what, _, answer = line.rpartition(": ")
    if answer not in ("yes", "no", "unknown"):
        return told(lang, line)
    return say(lang, "line.step", what=what, answer=say(lang, f"word.{answer}"))


def _of_rule(lang: str, text: str) -> str:
    """What a rule's file says, in another language where it does."""
    from chipwise.catalog.rulebook import rules_in_chinese  # noqa: PLC0415 -- slow to import

    if lang == "en":
        return text
    known = rules_in_chinese()
    parts = [text] if text in known else text.split("; ")
    return say(lang, "word.next").join(known.get(part) or told(lang, part) for part in parts)


def _disputed(lang: str, of: Answer) -> str:
    """What is read in two ways, with the status that either reading gives."""
    statuses = [say(lang, f"status.{of[k]}") for k in ("stated_status", "other_status")]
    parts = {k: _of_rule(lang, of[k]) for k in ("name", "stated", "other", "because")}
    key = "line.either" if statuses[0] == statuses[1] else "line.differ"
    return say(lang, key, **parts, one=statuses[0], two=statuses[1])


def _side(lang: str, side: str, found: Answer) -> Document:
    word = partial(say, lang)
    title = word(
        "title.policy_side", side=word(f"word.{side}"), status=word(f"status.{found['status']}")
    )
    if not found["rules"]:
        return [word("line.no_rules", side=title)]
    spelt = {True: "yes", False: "no", None: "unknown"}
    rows = [
        (
            Cell(rule["id"]),
            Cell(word(f"word.{spelt[rule['fires']]}")),
            _outcome(word, rule["outcome"]),
            Cell(word("word.next").join(_step(lang, s) for s in rule["arithmetic"]) or _NONE),
        )
        for rule in found["rules"]
    ]
    return [_sheet(word, title, "rule fires outcome arithmetic", rows)]


def simulate(found: Answer, lang: str) -> Document:
    """Times of the requests by percentile, and what the engine did."""
    word = partial(say, lang)
    rows = []
    for name, unit in (("ttft", "s"), ("tpot", "ms"), ("itl", "ms"), ("e2e", "s"), ("queue", "s")):
        at = found[f"{name}_s"]
        cells = [_scaled(at[k], unit) for k in ("mean", "p50", "p90", "p95", "p99")]
        rows.append((Cell(f"{word(f'quantity.{name}')}", ""), *cells, Cell(unit)))
    headings = (word("heading.quantity"), word("heading.mean"), "p50", "p90", "p95", "p99")
    counts = {k: f"{found[k]:,}" for k in ("requests", "iterations", "preemptions")}
    sheet = Sheet(
        word("title.simulate", **counts),
        (*headings, word("heading.unit")),
        tuple(rows),
        frozenset(range(1, 6)),
    )
    simulated = word(
        "line.simulated",
        output=number(found["output_tokens_per_s"]),
        total=number(found["total_tokens_per_s"]),
        span=number(found["span_s"]),
        elapsed=number(found["elapsed_s"]),
    )
    goodput = word(
        "line.goodput",
        rate=number(found["goodput"]),
        share=number(100 * found["goodput_share"]),
    )
    limited = found["ttft_limit_s"] is not None or found["tpot_limit_s"] is not None
    lines = [simulated, *([goodput] if limited else []), *_found_rate(word, found)]
    document: Document = [sheet]
    if "measured" in found:
        document.append(_measured(word, found["measured"]))
    return [*document, *lines, *_over_time(word, found), _versions(word, found)]


def _found_rate(word: _Say, found: Answer) -> list[str]:
    """The highest rate, where it was looked for."""
    if found["highest_rate"] is None:
        return []
    rate, share = number(found["highest_rate"]), f"{found['percentile']:g}"
    return [word("line.found_rate", rate=rate, percentile=share)]


def _over_time(word: _Say, found: Answer) -> list[str]:
    """What an engine held, where its iterations were recorded."""
    over = found["over_time"]
    if over is None:
        return []
    told = {
        f"{name}_{at}": number(over[name][at] * (100 if name == "kv_use" else 1))
        for name in ("running", "waiting", "kv_use")
        for at in ("mean", "max")
    }
    return [word("line.over_time", **told)]


def _measured(word: _Say, found: Answer) -> Sheet:
    """Times of a server's log beside those that were simulated."""
    rows = []
    for name, unit in (("ttft", "s"), ("tpot", "ms")):
        at = found[f"{name}_s"]
        for k in ("mean", "p50", "p90", "p99"):
            truth, made = at["measured"][k], at["simulated"][k]
            if not truth or made is None:
                continue
            label = word("heading.mean") if k == "mean" else k
            figures = [Cell(number(from_base(value, unit), 4)) for value in (truth, made)]
            off = Cell(f"{100 * (made / truth - 1.0):+.1f} %")
            rows.append((Cell(f"{word(f'quantity.{name}')}: {label}"), *figures, off, Cell(unit)))
    names = ("measured", "predicted", "off")
    headings = (word("heading.quantity"), *(word(f"local.{n}") for n in names))
    title = word("local.log", requests=found["requests"])
    return Sheet(title, (*headings, word("heading.unit")), tuple(rows), frozenset((1, 2, 3)))


# -- CSV -----------------------------------------------------------------------------------------


def flat(answer: Answer, prefix: str = "") -> dict[str, Any]:
    """One row of an answer: nested names joined, an interval as name, name_low and name_high.

    Lists of plain values are joined; lists of tables are left to the JSON.

    Examples
    --------
    >>> flat({"ttft_s": {"value": 1.0, "low": 0.9, "high": 1.2}, "notes": ["a", "b"]})
    {'ttft_s': 1.0, 'ttft_s_low': 0.9, 'ttft_s_high': 1.2, 'notes': 'a; b'}
    """
    row: dict[str, Any] = {}
    for key, value in answer.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            inner = flat(value, f"{name}_")
            if f"{name}_value" in inner:
                inner = {k.replace(f"{name}_value", name): v for k, v in inner.items()}
            row |= inner
        elif not isinstance(value, list):
            row[name] = value
        elif not any(isinstance(v, Mapping) for v in value):
            row[name] = "; ".join(map(str, value))
    return row


def entry_rows(found: Answer) -> Iterable[Mapping[str, Any]]:
    """A row for each field of an entry of the catalog."""
    for name, field in found["fields"].items():
        yield {"id": found["id"], "field": name, **flat(field)}


def plan_rows(found: Answer) -> Iterable[Mapping[str, Any]]:
    """A row for each chip of a plan, and for each pair of chips with prefill and decode apart."""
    asked = {k: found[k] for k in ("model", "to", "on", "route", "price_basis")}
    for kind in ("chips", "apart"):
        for row in found[kind]:
            yield {**asked, "apart": kind == "apart", **flat(row)}
