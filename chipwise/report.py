"""An answer → one HTML file that needs nothing else: tables, figures, grounds, sources.

What the command line writes with ``--report`` and a page offers to download. The file opens
offline, asks for nothing from anywhere, follows the reader's light or dark setting, and prints
well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from chipwise import catalog, figures, plot
from chipwise.errors import BadInput, ChipwiseError
from chipwise.tables import Sheet
from chipwise.tables.kinds import KINDS
from chipwise.words import say

__all__ = ["REPORTED", "html", "templates"]

# Kinds of answers of which a report can be made.
REPORTED = ("estimate", "plan", "simulate", "train", "train_mixed", "fleet", "validate")
# Keys under which an answer names a chip.
_CHIP_KEYS = ("chip", "like")


@dataclass(frozen=True, slots=True)
class _Ground:
    """A source, and the facts that were taken from it, by chip."""

    title: str
    url: str
    retrieved: str
    facts: tuple[str, ...]


def html(kind: str, answer: Mapping[str, Any], lang: str, *, command: str = "") -> str:
    """A report of an answer as one HTML page.

    Parameters
    ----------
    kind : str
        Of the answer, one of `REPORTED`.
    answer : dict
        As JSON holds it.
    lang : str
        ``en`` or ``zh``.
    command : str
        The command line that gives this answer again, shown if given.

    Raises
    ------
    BadInput
        If there are no reports of this kind.
    """
    if kind not in REPORTED:
        raise BadInput(f"no report of {kind!r}; there are reports of {', '.join(REPORTED)}")
    document = KINDS[kind].document(answer, lang)
    sheets = [part for part in document if isinstance(part, Sheet)]
    lines = [part for part in document if isinstance(part, str)]
    page: str = _template().render(
        lang={"en": "en", "zh": "zh-Hans"}[lang],
        say=partial(say, lang),
        title=say(lang, f"report_title.{kind}"),
        about=sheets[0].title if sheets else "",
        figures=[_figure(chart) for chart in figures.charts(kind, answer, lang)],
        sheets=sheets,
        lines=lines,
        grounds=tuple(_grounds(answer)),
        command=command,
        answer=answer,
    )
    return page


def _figure(chart: figures.Chart) -> tuple[str, str]:
    """A figure as SVG that the page takes as it is, and the sentence under it."""
    # Drawn here, its texts escaped by the writer.
    return Markup(plot.inline(chart)), chart["reading"]  # noqa: S704


def templates(folder: str) -> Environment:
    """Pages of a folder; text is escaped, and a name that is missing is an error.

    Parameters
    ----------
    folder : str
        Of the package.
    """
    return Environment(
        loader=PackageLoader("chipwise", folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache(maxsize=1)
def _template() -> Any:
    return templates("pages").get_template("report.html")


def _grounds(answer: Any) -> Iterator[_Ground]:
    """Sources of the facts of every chip that an answer names, each once."""
    known = catalog.sources()
    taken: dict[str, list[str]] = {}
    for name in dict.fromkeys(_chips(answer)):
        try:
            facts = catalog.chip(name).facts
        except ChipwiseError:  # a chip of the user's own, or another table's name for one
            continue
        for field, fact in facts.items():
            if fact.source in known:
                taken.setdefault(fact.source, []).append(f"{name} {field}")
    for key, found in sorted(taken.items()):
        of = known[key]
        yield _Ground(
            str(of["title"]), str(of.get("url", "")), str(of.get("retrieved", "")), tuple(found)
        )


def _chips(answer: Any) -> Iterator[str]:
    """Every chip that an answer names, however deep."""
    if isinstance(answer, Mapping):
        for key, value in answer.items():
            if key in _CHIP_KEYS and isinstance(value, str):
                yield value
            else:
                yield from _chips(value)
    elif isinstance(answer, list):
        for each in answer:
            yield from _chips(each)
