"""Answers → figures for papers and reports, a function each, with a sentence to read under it.

All numbers come from the answer. A figure is drawn without global state, in colours that the
colour-blind tell apart (Okabe and Ito 2008), and the same answer gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter, YearLocator
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from chipwise.errors import BadInput, Infeasible
from chipwise.intervals import BASES
from chipwise.tables import number, short
from chipwise.units import from_base
from chipwise.words import say

__all__ = ["FIGURES", "FORMATS", "Drawing", "draw", "figures_of", "inline", "render"]

Answer = Mapping[str, Any]
_Say = Callable[..., str]
FORMATS = ("svg", "pdf", "png")
INK, SOFT, RULE, PAPER = "#1b1f24", "#57606b", "#d8dee5", "#fffffe"
# Okabe and Ito's palette, without its black and yellow: those vanish on dark and light paper.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999")
_STATUS = {
    "free": "#009e73",
    "notify": "#56b4e9",
    "licence_approval": "#0072b2",
    "discouraged": "#f0e442",
    "licence_case_by_case": "#e69f00",
    "licence_denial": "#d55e00",
    "prohibited": "#a03c78",
    "unknown": "#999999",
}
_WIDTH, _HEIGHT = 6.4, 3.9  # [inch]
# Fonts that have Chinese, those made for it first.
_CHINESE = (
    *("Noto Sans CJK SC", "Source Han Sans SC", "Noto Sans SC", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "Microsoft YaHei", "PingFang SC", "SimHei", "Noto Sans CJK JP"),
)
_PARTS = ("weights", "kv", "activations", "buffers", "reserve")
_TRAINED = ("weights", "gradients", "optimiser", "activations", "buffers")


@dataclass(frozen=True, slots=True)
class Drawing:
    """How a figure is drawn: of which `kinds` of answers, by `paint`, which returns its reading.

    `fits` tells whether an answer has something to show; `named` that rows have long names.
    """

    kinds: tuple[str, ...]
    paint: Callable[[Axes, Answer, _Say], str]
    fits: Callable[[Answer], bool]
    named: bool = False


# -- the figures ---------------------------------------------------------------------------------


def _name(row: Answer) -> str:
    made = row["deployment"]
    sides = [made[side]["chip"] for side in ("prefill", "decode") if made[side]]
    return " → ".join(dict.fromkeys(map(short, sides)))


def _priced(answer: Answer) -> list[Answer]:
    """Deployments that have a cost: each chip's best, and those apart that are on the front."""
    front = [each["deployment"] for each in answer["pareto"]]
    return [
        row
        for row in (*answer["chips"], *answer["apart"])
        if row["feasible"]
        and row["usd_per_million_output_tokens"]
        and row["tpot_s"]
        and (not row["deployment"]["prefill"] or row["deployment"] in front)
    ]


def _pareto(axes: Axes, answer: Answer, word: _Say) -> str:
    """Cost against time per token with interval bars, the front drawn through."""
    front = [each["deployment"] for each in answer["pareto"]]
    points = []
    for row in _priced(answer):
        x = [from_base(row["tpot_s"][k], "ms") for k in ("value", "low", "high")]
        y = [row["usd_per_million_output_tokens"][k] for k in ("value", "low", "high")]
        points.append((_name(row), x, y, row["deployment"] in front, row["deployment"]["prefill"]))
    alone = [point for point in points if not point[4]]
    for at, (name, x, y, *_) in enumerate(alone):
        axes.errorbar(
            x[0],
            y[0],
            xerr=[[x[0] - x[1]], [x[2] - x[0]]],
            yerr=[[y[0] - y[1]], [y[2] - y[0]]],
            fmt="os^Dvp*"[at % 7],
            color=_COLOURS[at % len(_COLOURS)],
            elinewidth=0.9,
            capsize=2.5,
            label=name,
        )
    apart = [(x[0], y[0]) for _, x, y, _, prefill in points if prefill]
    if apart:
        label = word("plot.apart")
        axes.plot(*zip(*apart, strict=True), "o", mfc=PAPER, mec=SOFT, ms=5, label=label)
    on = sorted((x[0], y[0]) for _, x, y, best, _ in points if best)
    if on:
        label = word("chart.front")
        axes.plot(*zip(*on, strict=True), color=SOFT, lw=1, ls="--", zorder=1, label=label)
    axes.set(xscale="log", yscale="log", xlabel=word("chart.tpot"), ylabel=word("chart.usd"))
    _plain(axes, "x", "y")
    _legend(axes)
    cheap, quick = min(points, key=lambda p: p[2][0]), min(points, key=lambda p: p[1][0])
    return word(
        "chart.pareto_reading",
        cheap=cheap[0],
        usd=number(cheap[2][0]),
        quick=quick[0],
        tpot=number(quick[1][0]),
    )


def _memory(axes: Axes, answer: Answer, word: _Say) -> str:
    """A bar of the memory's parts for each chip, with its capacity."""
    if "chips" in answer:
        found = [r for r in answer["chips"] if r["feasible"]]
        rows = [(short(r["chip"]), r["memory_bytes"]) for r in found]
    else:
        rows = [(short(answer["chip"]), answer["memory_bytes"])]
    parts = _PARTS if "kv" in rows[0][1] else _TRAINED
    _stacked_bars(
        axes,
        [name for name, _ in rows],
        {
            word(f"quantity.memory_{part}").strip(): [from_base(m[part], "GB") for _, m in rows]
            for part in parts
        },
    )
    for at, (_, held) in enumerate(rows):
        size = from_base(held["capacity"], "GB")
        label = word("chart.capacity") if at == 0 else None
        axes.plot([size, size], [at - 0.42, at + 0.42], color=INK, lw=1.6, label=label)
    axes.set(xlabel="GB")
    _legend(axes)
    name, fullest = max(rows, key=lambda row: row[1]["total"] / row[1]["capacity"])
    largest = max(parts, key=lambda part: fullest[part])
    return word(
        "chart.memory_reading",
        chip=name,
        share=number(100 * fullest["total"] / fullest["capacity"]),
        part=word(f"quantity.memory_{largest}").strip(),
        gb=number(from_base(fullest[largest], "GB")),
    )


def _step(axes: Axes, answer: Answer, word: _Say) -> str:
    """Where the time of a training step goes."""
    parts = {name: value for name, value in answer["parts_s"].items() if value}
    names = [word(f"quantity.part_{name}").strip() for name in parts]
    axes.barh(names, list(parts.values()), color=_COLOURS[0], height=0.62)
    axes.invert_yaxis()
    axes.set(xlabel=word("chart.seconds"))
    largest = max(parts, key=lambda name: parts[name])
    return word(
        "chart.step_reading",
        part=word(f"quantity.part_{largest}").strip(),
        seconds=number(parts[largest]),
        share=number(100 * parts[largest] / sum(parts.values())),
    )


def _latency(axes: Axes, answer: Answer, word: _Say) -> str:
    """Percentiles of the requests' times."""
    marks = ("p50", "p90", "p95", "p99")
    for at, name in enumerate(("ttft", "tpot", "itl", "e2e")):
        found = [answer[f"{name}_s"][mark] for mark in marks]
        if all(found):
            label = word(f"quantity.{name}")
            axes.plot(marks, found, f"{'os^D'[at]}-", color=_COLOURS[at], label=label)
    axes.set(yscale="log", ylabel=word("chart.seconds"))
    _plain(axes, "y")
    _legend(axes)
    ttft = answer["ttft_s"]
    return word(
        "plot.latency_reading",
        median=number(ttft["p50"]),
        worst=number(ttft["p99"]),
        times=number(ttft["p99"] / ttft["p50"]),
    )


def _day(text: str) -> int:
    """A day as matplotlib's axes of dates count: from 1970 on."""
    return date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()


def _status(axes: Axes, answer: Answer, word: _Say) -> str:
    """A chip's status from day to day, the whole and both sides of the border."""
    sides = {"import": "word.import", "export": "word.export", "status": "heading.status"}
    for at, side in enumerate(sides):
        for period in answer["periods"]:
            start = _day(period["start"])
            end = _day(period["end"] or period["start"])
            axes.barh(at, end - start, left=start, height=0.6, color=_STATUS[period[side]])
    axes.set(yticks=range(len(sides)), yticklabels=[word(key) for key in sides.values()])
    axes.xaxis_date()
    axes.xaxis.set_major_locator(YearLocator())  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(DateFormatter("%Y"))  # type: ignore[no-untyped-call]
    seen = dict.fromkeys(p[side] for side in sides for p in answer["periods"])
    for status in sorted(seen, key=list(_STATUS).index):
        axes.fill_between([], [], color=_STATUS[status], label=word(f"status.{status}"))
    days = [_day(p[k]) for p in answer["periods"] for k in ("start", "end") if p[k]]
    axes.set_xlim(min(days), max(days))
    _legend(axes)
    last = answer["periods"][-1]
    return word(
        "plot.status_reading",
        chip=short(answer["chip"]),
        changes=len(answer["periods"]) - 1,
        status=word(f"status.{last['status']}"),
        since=last["start"],
    )


def _areas(served: Sequence[Answer]) -> dict[str, dict[str, float]]:
    """Tokens/s that each chip serves, by period; scenarios in their mean."""
    scenarios = len({each["scenario"] for each in served if each["scenario"]}) or 1
    found: dict[str, dict[str, float]] = {}
    for each in served:
        row = found.setdefault(each["chip"], {})
        share = 1.0 / scenarios if each["scenario"] else 1.0
        row[each["period"]] = row.get(each["period"], 0.0) + share * each["tokens_per_s"]
    return found


def _fleet(axes: Axes, answer: Answer, word: _Say) -> str:
    """Tokens served by chip over the periods: the plan, and beside it the cut-off."""
    cut = answer["cut_off"] if answer["cut_off"] and answer["cut_off"]["with"] else None
    panels = [(axes, answer["serve"])]
    periods = list(answer["periods"])
    if cut:
        box = axes.get_position()
        axes.set_position((box.x0, box.y0, box.width * 0.47, box.height))
        figure = axes.get_figure()
        assert figure is not None
        left = box.x0 + box.width * 0.53
        beside = figure.add_axes((left, box.y0, box.width * 0.47, box.height), sharey=axes)
        _style(beside)
        beside.tick_params(labelleft=False)
        first = cut["with"]["serve"][0]["period"] if cut["with"]["serve"] else periods[0]
        before = [e for e in answer["serve"] if e["period"] < first]
        panels.append((beside, [*before, *cut["with"]["serve"]]))
    chips = list(dict.fromkeys(each["chip"] for _, served in panels for each in served))
    for place, served in panels:
        rows = _areas(served)
        values = [[rows.get(c, {}).get(p, 0.0) / 1e3 for p in periods] for c in chips]
        colours = [_COLOURS[at % len(_COLOURS)] for at in range(len(chips))]
        places = list(range(len(periods)))
        place.stackplot(places, *values, labels=chips, colors=colours, lw=0)
        asked = [
            sum(s["probability"] * sum(s["asked_tokens_per_s"].values()) for s in stands) / 1e3
            for p in periods
            for stands in ([s for s in answer["by_period"] if s["period"] == p],)
        ]
        place.plot(places, asked, color=INK, lw=1.1, ls="--", label=word("plot.asked"))
        step = max(-(-len(periods) // 3), 1)
        place.set_xticks(places[::step], periods[::step])
        place.set_xlim(0, max(len(periods) - 1, 1))
    axes.set(ylabel=word("plot.tokens"))
    axes.set_title(word("plot.base"), fontsize=9, loc="left", color=INK)
    if cut:
        panels[1][0].set_title(
            word("plot.cut", period=cut["from"]), fontsize=9, loc="left", color=INK
        )
    _legend(axes)
    if not cut:
        return word("plot.fleet_reading", unserved=number(100 * answer["unserved_share"]))
    return word(
        "plot.cut_reading",
        period=cut["from"],
        low=number(cut["cost_usd"]["low"] / 1e6),
        high=number(cut["cost_usd"]["high"] / 1e6),
        without=number(100 * cut["unserved_share_without"]),
        unserved=number(100 * cut["unserved_share"]),
    )


def _diversification(axes: Axes, answer: Answer, word: _Say) -> str:
    """What a cap on the largest share costs."""
    found = sorted(answer["diversification"], key=lambda each: each["share"])
    shares = [100 * each["share"] for each in found]
    low, high = ([e["premium_usd"][k] / 1e6 for e in found] for k in ("low", "high"))
    axes.fill_between(shares, low, high, color=_COLOURS[0], alpha=0.25, lw=0)
    axes.plot(shares, high, "o-", color=_COLOURS[0])
    axes.set(xlabel=word("plot.cap"), ylabel=word("fleet.premium"))
    least = found[0]
    return word(
        "plot.diversification_reading",
        share=number(100 * least["share"]),
        low=number(least["premium_usd"]["low"] / 1e6),
        high=number(least["premium_usd"]["high"] / 1e6),
    )


def _frontier(axes: Axes, answer: Answer, word: _Say) -> str:
    """Decode against prefill tokens/s: the curve just inside a rule, the real chips beside it."""
    curve = sorted(
        (p["prefill_tokens_per_s"], p["decode_tokens_per_s"]) for p in answer["envelope"]
    )
    if curve:
        label = word("plot.edge")
        axes.plot(*zip(*curve, strict=True), "-", color=_COLOURS[0], lw=1.8, label=label)
    named: list[tuple[float, float, str]] = []
    for real in (True, False, None):
        chosen = [p for p in answer["points"] if p["real"] and p["inside"] is real]
        chosen = [p for p in chosen if p["prefill_tokens_per_s"] and p["decode_tokens_per_s"]]
        key, mark, colour = {
            True: ("plot.inside", "o", _COLOURS[2]),
            False: ("plot.outside", "X", _COLOURS[5]),
            None: ("plot.open", "D", _COLOURS[6]),
        }[real]
        x = [p["prefill_tokens_per_s"] for p in chosen]
        y = [p["decode_tokens_per_s"] for p in chosen]
        if x:
            axes.plot(x, y, mark, color=colour, label=word(key))
        named += [(x, y, short(p["chip"])) for x, y, p in zip(x, y, chosen, strict=True)]
    axes.set(xscale="log", yscale="log", xlabel=word("law.prefill"), ylabel=word("law.decode"))
    axes.margins(0.14)
    _plain(axes, "x", "y")
    _named(axes, named)
    _legend(axes)
    best, free = answer["best"], answer["unrestricted"]
    shares = {
        k: number(100 * best[k][f"{k}_tokens_per_s"] / free[k][f"{k}_tokens_per_s"])
        for k in ("prefill", "decode")
        if best[k]
    }
    return word("plot.frontier_reading", **shares) if len(shares) == 2 else word("law.nothing")


_MARKS = {"ttft_ms": "o", "tpot_ms": "^", "tokens_per_s": "s", "tokens_per_s_per_chip": "s"}
_MANY = 400  # pairs from which points are drawn as an image: a page of paths would be megabytes


def _fidelity(axes: Axes, answer: Answer, word: _Say) -> str:
    """Predicted against measured with interval bars, colours by basis, shapes by quantity."""
    pairs = answer["compared"]
    marks = [q for q in _MARKS if any(p["quantity"] == q for p in pairs)]
    for colour, basis in zip(_COLOURS, (*BASES, ""), strict=True):
        for quantity in marks:
            some = [p for p in pairs if (p["basis"], p["quantity"]) == (basis, quantity)]
            x, y = [p["measured"] for p in some], [p["predicted"] for p in some]
            image: dict[str, Any] = {"color": colour, "rasterized": len(pairs) > _MANY}
            axes.plot(x, y, _MARKS[quantity], ms=3 if len(pairs) < _MANY else 1.6, **image)
            bars = [(p["measured"], p["low"], p["high"]) for p in some if p["low"] is not None]
            if bars:
                axes.vlines(*zip(*bars, strict=True), lw=0.8, alpha=0.25, **image)
        if basis and any(p["basis"] == basis for p in pairs):
            axes.plot([], [], color=colour, lw=3, label=basis)
    for quantity in marks:
        axes.plot([], [], _MARKS[quantity], color=SOFT, label=word(f"plot.{quantity}"))
    ends = [f(p[k] for p in pairs for k in ("measured", "predicted")) for f in (min, max)]
    axes.plot(ends, ends, color=SOFT, lw=1, label=word("plot.equal"))
    axes.set(
        xscale="log", yscale="log", xlabel=word("plot.measured"), ylabel=word("plot.predicted")
    )
    _plain(axes, "x", "y")
    if ends[1] > 1e3 * ends[0]:
        axes.xaxis.set_major_locator(LogLocator())
        axes.yaxis.set_major_locator(LogLocator())
    _legend(axes)
    off = median(abs(p["predicted"] / p["measured"] - 1.0) for p in pairs)
    held = [p["low"] <= p["measured"] <= p["high"] for p in pairs if p["low"] is not None]
    told = {"count": len(pairs), "off": number(100 * off)}
    if not held:
        return word("plot.fidelity_bare", **told)
    return word("plot.fidelity_reading", **told, held=number(100 * sum(held) / len(held)))


FIGURES: Mapping[str, Drawing] = {
    "pareto": Drawing(("plan",), _pareto, lambda a: bool(_priced(a))),
    "memory": Drawing(
        ("plan", "estimate", "train"),
        _memory,
        lambda a: "chips" not in a or any(r["feasible"] for r in a["chips"]),
        named=True,
    ),
    "step": Drawing(("train",), _step, lambda a: any(a["parts_s"].values()), named=True),
    "latency": Drawing(("simulate",), _latency, lambda a: bool(a["ttft_s"]["p50"])),
    "status": Drawing(("policy_timeline",), _status, lambda a: bool(a["periods"])),
    "fleet": Drawing(("fleet",), _fleet, lambda a: bool(a["serve"])),
    "diversification": Drawing(("fleet",), _diversification, lambda a: bool(a["diversification"])),
    "frontier": Drawing(("frontier",), _frontier, lambda a: bool(a["points"])),
    "fidelity": Drawing(("validate",), _fidelity, lambda a: bool(a.get("compared"))),
}


# -- drawing -------------------------------------------------------------------------------------


def draw(name: str, kind: str, answer: Answer, lang: str) -> tuple[Figure, str]:
    """A figure of an answer, and the sentence to read under it.

    Parameters
    ----------
    name : str
        One of `FIGURES`.
    kind : str
        Of the answer, as in `docs/schema.json`.
    answer : dict
        As JSON holds it.
    lang : str
        ``en`` or ``zh``.

    Raises
    ------
    BadInput
        If there is no such figure, or it is drawn of other answers.
    Infeasible
        If the answer has nothing that it shows.
    """
    if name not in FIGURES:
        raise BadInput(f"unknown figure {name!r}; there are {', '.join(FIGURES)}")
    drawing = FIGURES[name]
    if kind not in drawing.kinds:
        raise BadInput(f"{name} is drawn of answers of {' or '.join(drawing.kinds)}, not of {kind}")
    if not drawing.fits(answer):
        raise Infeasible(f"this answer of {kind} has nothing that {name} could show")
    figure = Figure(figsize=(_WIDTH, _HEIGHT), facecolor=PAPER)
    axes = figure.add_axes((0.13, 0.15, 0.84, 0.66))
    _style(axes)
    reading = drawing.paint(axes, answer, partial(say, lang))
    if drawing.named:
        axes.set_position((0.24, 0.15, 0.73, 0.66))
    return figure, reading


def figures_of(kind: str, answer: Answer) -> list[str]:
    """Names of the figures that an answer has something for."""
    return [n for n, each in FIGURES.items() if kind in each.kinds and each.fits(answer)]


def render(name: str, kind: str, answer: Answer, lang: str, form: str) -> tuple[bytes, str]:
    """A figure as a file's bytes, and its reading.

    Parameters
    ----------
    name, kind, answer, lang
        As for `draw`.
    form : str
        ``svg``, ``pdf`` or ``png``; letters of the first two are outlines, or embedded.

    Raises
    ------
    Infeasible
        If Chinese is asked for and no installed font has it.
    """
    font = _chinese()
    if lang == "zh" and font is None:
        raise Infeasible(
            "no installed font has Chinese characters; install one, such as fonts-noto-cjk, "
            "or draw with --lang en"
        )
    with _settings(font, outlines=True):
        figure, reading = draw(name, kind, answer, lang)
        return _saved(figure, form), reading


def inline(name: str, kind: str, answer: Answer, lang: str) -> tuple[str, str]:
    """A figure as SVG for a page, in the page's own fonts and colours, and its reading."""
    with _settings(_chinese(), outlines=False):
        figure, reading = draw(name, kind, answer, lang)
        text = _saved(figure, "svg").decode()
    text = text[text.index("<svg") :]
    for colour, role in ((INK, "ink"), (SOFT, "soft"), (RULE, "rule"), (PAPER, "paper")):
        text = text.replace(colour, f"var(--{role})")
    # Marks of one drawing must not be taken for those of another on the same page.
    for start in ('id="', 'href="#', "url(#"):
        text = text.replace(start, f"{start}{name}-")
    return text, reading


def _saved(figure: Figure, form: str) -> bytes:
    into = io.BytesIO()
    unmarked = {
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        "png": {"Software": None},
    }
    if form not in unmarked:
        raise BadInput(f"no figures as {form!r}; there are {', '.join(FORMATS)}")
    figure.savefig(into, format=form, dpi=200, metadata=unmarked[form])
    return into.getvalue()


def _chinese() -> str | None:
    """An installed font that has Chinese characters."""
    installed = {each.name for each in font_manager.fontManager.ttflist}
    return next((name for name in _CHINESE if name in installed), None)


@contextmanager
def _settings(font: str | None, *, outlines: bool) -> Iterator[None]:
    families = ["DejaVu Sans", *([font] if font else [])]
    with mpl.rc_context(
        {
            "font.family": families,
            "font.size": 9.5,
            "svg.hashsalt": "chipwise",
            "svg.fonttype": "path" if outlines else "none",
            "pdf.fonttype": 42,
            "axes.unicode_minus": False,
            "text.color": INK,
        }
    ):
        yield


def _style(axes: Axes) -> None:
    axes.set_facecolor(PAPER)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(SOFT)
    axes.tick_params(which="both", colors=SOFT, labelcolor=INK)
    axes.grid(color=RULE, lw=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def _plain(axes: Axes, *sides: str) -> None:
    """Plain numbers on a logarithmic axis, few of them."""
    for side in sides:
        axis = axes.xaxis if side == "x" else axes.yaxis
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        axis.set_minor_formatter(NullFormatter())


def _stacked_bars(axes: Axes, rows: Sequence[str], parts: Mapping[str, Sequence[float]]) -> None:
    places = list(range(len(rows)))
    start = [0.0] * len(rows)
    for at, (name, values) in enumerate(parts.items()):
        axes.barh(places, values, left=start, height=0.62, color=_COLOURS[at], label=name)
        start = [s + v for s, v in zip(start, values, strict=True)]
    axes.set_yticks(places, rows)
    axes.invert_yaxis()


def _named(axes: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Names beside points; where two would meet, the later one is left out."""
    taken: list[tuple[float, float]] = []
    for x, y, name in points:
        at, height = axes.transData.transform((x, y))
        if any(abs(at - a) < 62 and abs(height - h) < 11 for a, h in taken):
            continue
        taken.append((at, height))
        axes.annotate(
            name, (x, y), xytext=(5, 3), textcoords="offset points", fontsize=7.5, color=SOFT
        )


def _legend(axes: Axes) -> None:
    """A legend above the axes, where it hides nothing."""
    figure = axes.get_figure()
    assert figure is not None
    handles, labels = axes.get_legend_handles_labels()
    widest = max((sum(2 if ord(c) > 0x2E80 else 1 for c in text) for text in labels), default=1)
    columns = max(1, min(5, 92 // (widest + 8)))
    figure.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(0.02, 0.99),
        ncols=columns,
        frameon=False,
        fontsize=8,
        handlelength=1.3,
        columnspacing=1.2,
    )
