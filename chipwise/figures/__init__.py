"""Answers → what a figure shows, words and numbers, and the sentence to read under it.

To add a figure is to add one function in a module of this package and its name to `FIGURES`; if
its shape is new, a function that draws it in `chipwise.plot`, and one in ``static/charts.js`` for
a page.
"""

from __future__ import annotations

from collections.abc import Mapping

from chipwise.figures import fidelity, fleets, law, serving, training
from chipwise.figures.chart import Answer, Chart, Figure

__all__ = ["FIGURES", "Chart", "Figure", "chart", "charts"]

FIGURES: Mapping[str, Figure] = {
    "pareto": Figure(("plan",), serving.pareto),
    "memory": Figure(
        ("plan", "estimate", "train"),
        lambda found, lang: (training if "step_s" in found else serving).memory(found, lang),
    ),
    "roofline": Figure(("plan", "estimate"), serving.roofline, ("--roofline",)),
    "compared": Figure(("compare",), serving.compared),
    "step": Figure(("train",), training.step),
    "latency": Figure(("simulate",), serving.latency),
    "loads": Figure(("simulate",), serving.loads, ("--loads",)),
    "timeline": Figure(("simulate",), serving.timeline, ("--moments",)),
    "status": Figure(("policy_timeline",), law.status),
    "density": Figure(("landscape",), law.density),
    "bandwidth": Figure(("landscape",), law.bandwidth),
    "frontier": Figure(("frontier",), law.frontier),
    "fleet": Figure(("fleet",), fleets.fleet),
    "diversification": Figure(("fleet",), fleets.diversification),
    "fidelity": Figure(("validate",), fidelity.fidelity),
}


def chart(name: str, found: Answer, lang: str) -> Chart | None:
    """What a figure shows of an answer; None where it has nothing for it.

    Parameters
    ----------
    name : str
        One of `FIGURES`.
    found : dict
        An answer of its kinds, as JSON holds it.
    lang : str
        ``en`` or ``zh``.
    """
    made = FIGURES[name].make(found, lang)
    return made and {"name": name, **made}


def charts(kind: str, found: Answer, lang: str) -> list[Chart]:
    """All that an answer has something for.

    Parameters
    ----------
    kind : str
        Of the answer, as in `docs/schema.json`.
    found, lang
        As for `chart`.
    """
    made = (chart(name, found, lang) for name, of in FIGURES.items() if kind in of.kinds)
    return [each for each in made if each]
