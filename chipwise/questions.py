"""A question in the words of the command line's options → its answer, as JSON holds it.

The command line, a page and a sweep word a question alike: a mapping with the names of the
options as keys. One that is absent takes the default of `api`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

from chipwise import answers, api, catalog
from chipwise.cost import parse_override
from chipwise.types import Workload

__all__ = ["asked", "day", "estimate", "load", "plan"]

_ASK = (
    *("cost", "region", "to", "route", "on", "origin", "end_user"),
    *("gpus", "simulate", "calibration", "seed"),
)
_LOAD = ("load", "rate", "ttft", "tpot", "percentile", "prefix_hit")
_DEGREES = ("tp", "pp", "ep", "dp")
_CHOICE = ("mode", "kv", "backend", "chunk", "link")


def _named(given: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The options among `names` that were given."""
    return {name: given[name] for name in names if given.get(name) is not None}


def asked(given: Mapping[str, Any]) -> api.Ask:
    """Money, law and place; ``prices`` are texts such as h200=2.5."""
    prices = dict(parse_override(text) for text in given.get("prices", ()))
    return api.Ask(prices=prices, **_named(given, _ASK))


def load(given: Mapping[str, Any]) -> Workload:
    """Lengths, rate and target."""
    return api.workload(given.get("isl"), given.get("osl"), **_named(given, _LOAD))


def day(ask: api.Ask) -> date:
    """The day asked for, or the catalog's own."""
    return ask.on or catalog.as_of()


def _calibration(ask: api.Ask) -> str:
    return catalog.calibration(ask.calibration).id


def estimate(given: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of `estimate`.

    Parameters
    ----------
    given : mapping
        ``model``, ``chip``, ``batch`` or ``concurrency``, and any other option of
        `chipwise estimate`.
    """
    ask, of, lengths = asked(given), api.model(given["model"]), load(given)
    clients = given.get("concurrency")
    row = api.estimate(
        of,
        given["chip"],
        lengths,
        batch=given.get("batch"),
        concurrency=clients,
        ask=ask,
        **_named(given, (*_DEGREES, "weights", "kv", "backend", "chunk")),
    )
    return answers.estimate(
        row,
        of,
        lengths,
        _calibration(ask),
        loop="static" if clients is None else "closed",
        to=ask.to,
        on=day(ask),
        route=ask.route,
    )


def plan(given: Mapping[str, Any], map: Callable[..., Iterable[Any]] = map) -> dict[str, Any]:
    """The answer of `plan`.

    Parameters
    ----------
    given : mapping
        ``model``, ``chips`` and any other option of `chipwise plan`.
    map : callable
        Like the built-in, for running chips side by side.

    Examples
    --------
    >>> of = {"model": "llama-2-70b", "chips": ["h200"], "isl": 2048, "osl": 128}
    >>> [row["feasible"] for row in plan({**of, "mode": "agg", "simulate": False})["chips"]]
    [True]
    """
    ask = asked(given)
    found = api.plan(
        given["model"],
        given["chips"],
        load(given),
        weights=given.get("weights") or (),
        degrees={name: given[name] for name in _DEGREES if given.get(name)},
        ask=ask,
        map=map,
        **_named(given, _CHOICE),
    )
    calibration = _calibration(ask)
    return answers.plan(
        found, calibration, to=ask.to, on=day(ask), route=ask.route, price_basis=ask.cost
    )
