"""Tables of trainings: one kind of chips, several side by side, a mix."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from chipwise.tables.sheet import (
    NONE,
    Answer,
    Cell,
    Document,
    Say,
    bounded,
    number,
    quantities,
    scaled,
    sheet,
    short,
)
from chipwise.words import say, told

__all__ = ["train", "train_each", "train_mixed"]

_PARTS = ("weights", "gradients", "optimiser", "activations", "buffers", "capacity")


def train(found: Answer, lang: str) -> Document:
    """A training: its layout, step by part, memory by part, and the run."""
    word = partial(say, lang)
    title = word(
        "title.train",
        model=found["model"],
        chip=_counted(found),
        layout=found["parallelism"]["text"],
    )
    lines = [word("line.intervals", basis=word(f"basis.{found['basis']}"))]
    if found["considered"] > 1:
        count, fitting = (f"{found[key]:,}" for key in ("considered", "fitting"))
        lines.append(word("line.layouts", count=count, fitting=fitting))
    if found["run"] and not found["usd"]:
        lines.append(word("line.no_money", chips=short(found["chip"])))
    lines += _money(word, found, found)
    if found["rests_on_unverified"]:
        lines.append(word("line.unverified", fields=", ".join(found["rests_on_unverified"])))
    lines += [told(lang, note) for note in found["notes"]]
    return [quantities(word, title, _step(word, found)), *lines]


def _counted(of: Answer) -> str:
    return f"{of['chip_count']:,} × {short(of['chip'])}"


def _money(word: Say, found: Answer, *runs: Answer) -> list[str]:
    """Whose money is told, where a run has any."""
    basis = word(f"price_basis.{found['price_basis']}")
    return [word("line.money", basis=basis)] if any(run["usd"] for run in runs) else []


def _step(word: Say, row: Answer) -> Iterable[tuple[str, Cell | str, str]]:
    yield "step", bounded(row["step_s"]), "s"
    for part, seconds in row["parts_s"].items():
        if seconds:
            yield f"part_{part}", scaled(seconds, "s"), "s"
    yield "mfu", bounded(row["mfu"], "%"), "%"
    yield "hfu", scaled(row["hfu"], "%"), "%"
    yield "trained", bounded(row["tokens_per_s_per_chip"]), "token/s"
    memory = row["memory_bytes"]
    yield "memory", scaled(memory["total"], "GB", 4), "GB"
    for part in _PARTS:
        yield f"memory_{part}", scaled(memory[part], "GB", 4), "GB"
    yield "bound", word(f"bound.{row['bound']}"), ""
    yield "power_chip", number(row["power_w"]), "W"
    yield from _run(row)


def _run(row: Answer) -> Iterable[tuple[str, Cell | str, str]]:
    if row["run"]:
        yield "days", number(row["days"]), "d"
        yield "goodput", scaled(row["run"]["goodput"], "%"), "%"
        yield "usd_run", bounded(row["usd"]), "USD"
        yield "mwh", number(row["mwh"]), "MWh"
        yield "tco2", number(row["tco2"]), "tCO2"


def train_mixed(found: Answer, lang: str) -> Document:
    """Several kinds of chips that share every batch: the whole, what it waits for, and each."""
    word, kinds = partial(say, lang), found["kinds"]
    line = word(
        "line.mixed",
        step=number(found["step_s"]["value"]),
        rate=number(found["tokens_per_s"]),
        chip=short(found["waits_for"]),
    )
    chips = ", ".join(map(_counted, kinds))
    title = word("title.mixed", model=found["model"], chips=chips, batch=found["global_batch"])
    whole = quantities(word, title, [("step", bounded(found["step_s"]), "s"), *_run(found)])
    parts = [part for kind in kinds for part in train(kind, lang)]
    return [line, whole, *_money(word, found, found), *parts]


def train_each(found: Answer, lang: str) -> Document:
    """The same training on several kinds of chips, a row for each, then why not and what binds."""
    word, rows = partial(say, lang), found["chips"]
    able = [row for row in rows if row["feasible"]]
    whole = any(row["run"] for row in able)
    names = "chip deployment step_s mfu memory_gb bound"
    names += " days usd_run mwh tco2" if whole else ""
    count = len(names.split())
    cells = [_row(word, row, count) for row in rows]
    title = word("title.train_each", model=found["model"], count=f"{found['chip_count']:,}")
    numbers = {2, 3, 4, 6, 7, 8, 9} & set(range(count))
    document: Document = [sheet(word, title, names, cells, numbers, 1)]
    for row in rows:
        notes = row["notes"] if row["feasible"] else (row["why"],)
        document += [
            word("line.why", chip=short(row["chip"]), why=told(lang, note)) for note in notes
        ]
    document += [
        word("line.trained_basis", chip=short(row["chip"]), basis=word(f"basis.{row['basis']}"))
        for row in able
    ]
    document += _money(word, found, *able)
    poor = ", ".join(short(row["chip"]) for row in able if whole and not row["usd"])
    return [*document, *([word("line.no_money", chips=poor)] if poor else [])]


def _row(word: Say, row: Answer, count: int) -> tuple[Cell | str, ...]:
    if not row["feasible"]:
        return short(row["chip"]), word("word.infeasible"), *(NONE,) * (count - 2)
    memory = row["memory_bytes"]
    return (
        short(row["chip"]),
        f"{row['precision']} · {row['parallelism']['text']}",
        bounded(row["step_s"]),
        bounded(row["mfu"], "%"),
        " / ".join(scaled(memory[k], "GB") for k in ("total", "capacity")),
        word(f"bound.{row['bound']}"),
        *(cell for name, cell, _ in _run(row) if name != "goodput"),
    )
