"""Charts → figures for papers and reports, a function for each shape of `chipwise.figures`.

All numbers and words come from the chart. A figure is drawn without global state, in colours that
the colour-blind tell apart (Okabe and Ito 2008), and the same answer gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter, YearLocator
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from chipwise import figures
from chipwise.errors import BadInput, Infeasible
from chipwise.figures import FIGURES, Chart
from chipwise.intervals import BASES
from chipwise.tables import number

__all__ = ["FORMATS", "draw", "inline", "render"]

Answer = Mapping[str, Any]
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
_SHAPES = "os^Dvp*"
_WIDTH, _HEIGHT = 6.4, 3.9  # [inch]
# Fonts that have Chinese, those made for it first.
_CHINESE = (
    *("Noto Sans CJK SC", "Source Han Sans SC", "Noto Sans SC", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "Microsoft YaHei", "PingFang SC", "SimHei", "Noto Sans CJK JP"),
)


# -- the shapes ----------------------------------------------------------------------------------


def _pareto(axes: Axes, of: Chart) -> None:
    """Points with interval bars in both directions, the front drawn through."""
    points = of["points"]
    for at, point in enumerate(p for p in points if not p["apart"]):
        x, y = point["x"], point["y"]
        axes.errorbar(
            x[0],
            y[0],
            xerr=[[x[0] - x[1]], [x[2] - x[0]]],
            yerr=[[y[0] - y[1]], [y[2] - y[0]]],
            fmt=_SHAPES[at % 7],
            color=_COLOURS[at % len(_COLOURS)],
            elinewidth=0.9,
            capsize=2.5,
            label=point["name"],
        )
    apart = [(p["x"][0], p["y"][0]) for p in points if p["apart"]]
    if apart:
        label = of["words"]["apart"]
        axes.plot(*zip(*apart, strict=True), "o", mfc=PAPER, mec=SOFT, ms=5, label=label)
    on = sorted((p["x"][0], p["y"][0]) for p in points if p["front"])
    if on:
        label = of["words"]["front"]
        axes.plot(*zip(*on, strict=True), color=SOFT, lw=1, ls="--", zorder=1, label=label)
    axes.set(xscale="log", yscale="log", xlabel=of["x"], ylabel=of["y"])
    _plain(axes, "x", "y")
    _legend(axes)


def _memory(axes: Axes, of: Chart) -> None:
    """A bar of parts for each row, with its capacity."""
    places, start = list(range(len(of["rows"]))), [0.0] * len(of["rows"])
    for at, part in enumerate(of["parts"]):
        style = {"height": 0.62, "color": _COLOURS[at], "label": part["name"]}
        axes.barh(places, part["values"], left=start, **style)
        start = [s + v for s, v in zip(start, part["values"], strict=True)]
    for at, size in enumerate(of["capacity"]):
        label = of["words"]["capacity"] if at == 0 else None
        axes.plot([size, size], [at - 0.42, at + 0.42], color=INK, lw=1.6, label=label)
    axes.set_yticks(places, of["rows"])
    axes.invert_yaxis()
    axes.set(xlabel=of["x"])
    _legend(axes)
    _for_names(axes)


def _bars(axes: Axes, of: Chart) -> None:
    """A bar for each row, with its interval where it has one."""
    for at, row in enumerate(of["rows"]):
        value, *bounds = row["values"]
        axes.barh(at, value, color=_COLOURS[0], height=0.62)
        if bounds:
            axes.plot(bounds, [at, at], color=INK, lw=1.4)
    axes.set_yticks(range(len(of["rows"])), [row["name"] for row in of["rows"]])
    axes.invert_yaxis()
    axes.set(xlabel=of["x"])
    _for_names(axes)


def _lines(axes: Axes, of: Chart) -> None:
    """Lines over numbers or named places."""
    stepped = of.get("step", False)
    for at, line in enumerate(of["lines"]):
        axes.plot(
            *zip(*line["points"], strict=True),
            "-" if stepped else f"{_SHAPES[at % 7]}-",
            color=_COLOURS[at],
            drawstyle="steps-post" if stepped else "default",
            ms=4.5,
            label=line["name"],
        )
    axes.set(xlabel=of["x"], ylabel=of["y"])
    if of.get("log"):
        axes.set(yscale="log")
        _plain(axes, "y")
    else:
        axes.set_ylim(bottom=0)
    _legend(axes)


def _roofline(axes: Axes, of: Chart) -> None:
    """Operators under the roof of their chip, a panel for each phase."""
    names = list(
        dict.fromkeys(point["name"] for panel in of["panels"] for point in panel["points"])
    )
    # Models of many kinds of operators have three rows of names.
    axes.set_position((0.13, 0.15, 0.84, 0.61))
    for at, (place, panel) in enumerate(zip(_beside(axes, 2), of["panels"], strict=True)):
        place.set_title(panel["title"], fontsize=9, loc="left", color=INK)
        for k, roof in enumerate(panel["roofs"]):
            x, y = zip(*roof["points"], strict=True)
            place.plot(x, y, color=SOFT, lw=1.3, ls=("-", "--", ":")[k % 3], zorder=1)
            style: dict[str, Any] = {"ha": "right", "fontsize": 7.5, "color": SOFT}
            place.annotate(
                roof["name"], (x[-1], y[-1]), xytext=(-8, 3), textcoords="offset points", **style
            )
        for point in panel["points"]:
            (x, y), k = point["at"], names.index(point["name"])
            look: dict[str, Any] = {"color": _COLOURS[k % len(_COLOURS)]}
            place.plot([x, x], [y, point["attainable"]], lw=0.9, ls=":", **look)
            shape = _SHAPES[k % 7] if point["bounded"] else ">"
            place.plot(x, y, shape, ms=6, clip_on=False, **look)
            if not point["bounded"]:
                look |= {"ha": "right", "va": "top", "fontsize": 7}
                note = of["words"]["unbounded"]
                place.annotate(note, (x, y), xytext=(4, -6), textcoords="offset points", **look)
        place.set(xscale="log", yscale="log", xlabel=of["x"], ylabel="" if at else of["y"])
        place.margins(x=0.0, y=0.12)
        _plain(place, "x", "y")
        place.xaxis.set_major_locator(LogLocator())
    for k, name in enumerate(names):
        mark: dict[str, Any] = {"color": _COLOURS[k % len(_COLOURS)], "label": name}
        axes.plot([], [], _SHAPES[k % 7], ls="", **mark)
    _legend(axes)


def _fleet(axes: Axes, of: Chart) -> None:
    """Areas that stack over the periods, a panel beside the other, and what is asked."""
    periods = of["periods"]
    places = list(range(len(periods)))
    for place, panel in zip(_beside(axes, len(of["panels"])), of["panels"], strict=True):
        names = [each["name"] for each in panel["series"]]
        colours = [_COLOURS[at % len(_COLOURS)] for at in range(len(names))]
        values = [each["values"] for each in panel["series"]]
        place.stackplot(places, *values, labels=names, colors=colours, lw=0)
        place.plot(places, of["asked"], color=INK, lw=1.1, ls="--", label=of["words"]["asked"])
        every = max(-(-len(periods) // 3), 1)
        place.set_xticks(places[::every], periods[::every])
        place.set_xlim(0, max(len(periods) - 1, 1))
        place.set_title(panel["title"], fontsize=9, loc="left", color=INK)
    axes.set(ylabel=of["y"])
    _legend(axes)


def _beside(axes: Axes, count: int) -> list[Axes]:
    """As many axes of one height beside one another, the given ones first."""
    figure, box = axes.get_figure(), axes.get_position()
    assert figure is not None
    width, found = box.width / count, [axes]
    axes.set_position((box.x0, box.y0, width * 0.94, box.height))
    for at in range(1, count):
        left = box.x0 + at * (width + box.width * 0.03 / (count - 1))
        one = figure.add_axes((left, box.y0, width * 0.94, box.height), sharey=axes)
        _style(one)
        one.tick_params(labelleft=False)
        found.append(one)
    return found


def _band(axes: Axes, of: Chart) -> None:
    """A value between two bounds, the upper one drawn."""
    x, low, high = zip(*of["points"], strict=True)
    axes.fill_between(x, low, high, color=_COLOURS[0], alpha=0.25, lw=0)
    axes.plot(x, high, "o-", color=_COLOURS[0])
    axes.set(xlabel=of["x"], ylabel=of["y"])


def _day(text: str) -> int:
    """A day as matplotlib's axes of dates count: from 1970 on."""
    return date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()


def _spans(axes: Axes, of: Chart) -> None:
    """Statuses from day to day, a row each."""
    for at, row in enumerate(of["rows"]):
        for first, last, status in row["spans"]:
            start, end = _day(first), _day(last)
            axes.barh(at, end - start, left=start, height=0.6, color=_STATUS[status])
    axes.set(yticks=range(len(of["rows"])), yticklabels=[row["name"] for row in of["rows"]])
    axes.xaxis_date()
    axes.xaxis.set_major_locator(YearLocator())  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(DateFormatter("%Y"))  # type: ignore[no-untyped-call]
    for status in sorted(of["statuses"], key=list(_STATUS).index):
        axes.fill_between([], [], color=_STATUS[status], label=of["statuses"][status])
    days = [_day(day) for row in of["rows"] for span in row["spans"] for day in span[:2]]
    axes.set_xlim(min(days), max(days))
    _legend(axes)


def _rules(axes: Axes, of: Chart) -> None:
    """Chips by status on a day, over the regions where a rule speaks."""
    at, day = of["at"], of["days"][of["at"]]
    (left, right), (low, high) = (
        (min(values) * 0.7, max(values) * 1.5)
        for values in zip(*(chip["at"] for chip in of["chips"]), strict=True)
    )
    for region in of["regions"]:
        if region["from"] > day or (region["to"] is not None and day >= region["to"]):
            continue
        colour = _COLOURS[2] if region["mild"] else _COLOURS[5]
        for x0, x1, y0, y1 in region["boxes"]:
            corner = max(x0, left), max(y0, low)
            size = min(x1, right) - corner[0], min(y1, high) - corner[1]
            if min(size) > 0:
                style: dict[str, Any] = {
                    "facecolor": colour,
                    "edgecolor": colour,
                    "alpha": 0.12,
                    "lw": 0.8,
                }
                axes.add_patch(Rectangle(corner, *size, **style))
    for k, status in enumerate(name for name in _STATUS if name in of["statuses"]):
        some = [chip["at"] for chip in of["chips"] if chip["statuses"][at] == status]
        if some:
            look: dict[str, Any] = {
                "color": _STATUS[status],
                "ms": 5,
                "mec": INK,
                "mew": 0.4,
                "ls": "",
            }
            shape = _SHAPES[k % 7]
            axes.plot(*zip(*some, strict=True), shape, label=of["statuses"][status], **look)
    asked = [chip for chip in of["chips"] if chip["name"] == of["asked"]]
    for chip in asked:
        axes.plot(*chip["at"], "o", ms=11, mfc="none", mec=INK, mew=1.4)
    axes.set(xscale="log", yscale="log", xlabel=of["x"], ylabel=of["y"])
    axes.set(xlim=(left, right), ylim=(low, high))
    _plain(axes, "x", "y")
    axes.xaxis.set_major_locator(LogLocator())
    # The one that was asked for has its name before all others.
    _named(axes, [(*chip["at"], chip["name"]) for chip in (*asked, *of["chips"])])
    _legend(axes)


def _frontier(axes: Axes, of: Chart) -> None:
    """A curve, and named points in groups beside it."""
    if of["curve"]:
        style = {"color": _COLOURS[0], "lw": 1.8, "label": of["words"]["edge"]}
        axes.plot(*zip(*of["curve"], strict=True), "-", **style)
    looks = (("o", _COLOURS[2]), ("X", _COLOURS[5]), ("D", _COLOURS[6]))
    named: list[tuple[float, float, str]] = []
    for (shape, colour), group in zip(looks, of["groups"], strict=True):
        if group["points"]:
            x, y = zip(*(point["at"] for point in group["points"]), strict=True)
            axes.plot(x, y, shape, color=colour, label=group["name"])
        named += [(*point["at"], point["name"]) for point in group["points"]]
    axes.set(xscale="log", yscale="log", xlabel=of["x"], ylabel=of["y"])
    axes.margins(0.14)
    _plain(axes, "x", "y")
    _named(axes, named)
    _legend(axes)


_MARKS = {"ttft_ms": "o", "tpot_ms": "^", "tokens_per_s": "s", "tokens_per_s_per_chip": "s"}
_MANY = 400  # pairs from which points are drawn as an image: a page of paths would be megabytes


def _fidelity(axes: Axes, of: Chart) -> None:
    """Predicted against measured with interval bars, colours by basis, shapes by quantity."""
    pairs, marks = of["pairs"], of["quantities"]
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
    for quantity, label in marks.items():
        axes.plot([], [], _MARKS[quantity], color=SOFT, label=label)
    ends = [f(p[k] for p in pairs for k in ("measured", "predicted")) for f in (min, max)]
    axes.plot(ends, ends, color=SOFT, lw=1, label=of["words"]["equal"])
    axes.set(xscale="log", yscale="log", xlabel=of["x"], ylabel=of["y"])
    _plain(axes, "x", "y")
    if ends[1] > 1e3 * ends[0]:
        axes.xaxis.set_major_locator(LogLocator())
        axes.yaxis.set_major_locator(LogLocator())
    _legend(axes)


_PAINT: Mapping[str, Callable[[Axes, Chart], None]] = {
    "pareto": _pareto,
    "memory": _memory,
    "bars": _bars,
    "lines": _lines,
    "roofline": _roofline,
    "fleet": _fleet,
    "band": _band,
    "spans": _spans,
    "rules": _rules,
    "frontier": _frontier,
    "fidelity": _fidelity,
}


# Commands whose answers have a kind of another name.
_COMMANDS = {
    "policy_timeline": "policy --timeline",
    "policy_all": "policy --all",
    "landscape": "policy --map",
    "train_mixed": "train --mix",
    "compare": "the page that compares",
}

# -- drawing -------------------------------------------------------------------------------------


def draw(name: str, kind: str, answer: Answer, lang: str) -> tuple[Figure, str]:
    """A figure of an answer, and the sentence to read under it.

    Parameters
    ----------
    name : str
        One of `chipwise.figures.FIGURES`.
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
    kinds = FIGURES[name].kinds
    if kind not in kinds:
        asked = " or ".join(_COMMANDS.get(each, each) for each in kinds)
        raise BadInput(f"{name} is drawn of answers of {asked}, not of {_COMMANDS.get(kind, kind)}")
    chart = figures.chart(name, answer, lang)
    if chart is None:
        answered = _COMMANDS.get(kind, kind)
        raise Infeasible(f"this answer of {answered} has nothing that {name} could show")
    return _painted(chart), chart["reading"]


def _painted(chart: Chart) -> Figure:
    figure = Figure(figsize=(_WIDTH, _HEIGHT), facecolor=PAPER)
    axes = figure.add_axes((0.13, 0.15, 0.84, 0.66))
    _style(axes)
    _PAINT[chart["draw"]](axes, chart)
    return figure


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


def inline(chart: Chart) -> str:
    """A chart as SVG for a page, in the page's own fonts and colours."""
    with _settings(_chinese(), outlines=False):
        text = _saved(_painted(chart), "svg").decode()
    text = text[text.index("<svg") :]
    for colour, role in ((INK, "ink"), (SOFT, "soft"), (RULE, "rule"), (PAPER, "paper")):
        text = text.replace(colour, f"var(--{role})")
    # Marks of one drawing must not be taken for those of another on the same page.
    for start in ('id="', 'href="#', "url(#"):
        text = text.replace(start, f"{start}{chart['name']}-")
    return text


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


def _for_names(axes: Axes) -> None:
    """Room for rows with long names."""
    axes.set_position((0.24, 0.15, 0.73, 0.66))


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
