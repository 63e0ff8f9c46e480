"""On whom a plan depends: who serves its tokens, by vendor, country, fab, memory, software."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chipwise.fleet.outcome import Fleet
from chipwise.fleet.problem import ATTRIBUTES
from chipwise.fleet.reading import attribute

__all__ = ["Dependence", "hhi", "shares"]


@dataclass(frozen=True, slots=True)
class Dependence:
    """Shares of the served tokens of a period by one attribute, and their concentration.

    Where several makers stand behind a chip its tokens count for each in equal parts; `unknown` is
    the share of chips whose maker the file does not name, which `hhi` bounds from both sides.
    """

    period: str
    scenario: str | None
    attribute: str
    shares: Mapping[str, float]
    unknown: float
    hhi: tuple[float, float]


def hhi(shares: Mapping[str, float], unknown: float = 0.0) -> tuple[float, float]:
    """Herfindahl–Hirschman index [1]_: sum of squared shares, 0 to 1, at least and at most.

    An unknown share is at least of makers too small to count, at most all of the largest one.

    Examples
    --------
    >>> hhi({"a": 0.5, "b": 0.5})
    (0.5, 0.5)

    References
    ----------
    .. [1] A. O. Hirschman, "The paternity of an index," American Economic Review 54(5), 1964.
    """
    low = sum(s**2 for s in shares.values())
    largest = max(shares.values(), default=0.0)
    return low, low - largest**2 + (largest + unknown) ** 2


def shares(of: Fleet) -> tuple[Dependence, ...]:
    """Shares of served tokens in each period, by each attribute."""
    choices = {c.id: c for c in of.problem.choices}
    found = []
    for stand in of.stands:
        tokens: dict[str, float] = {}
        for each in of.serve:
            if each.node == stand.node:
                tokens[each.choice] = tokens.get(each.choice, 0.0) + each.tokens
        whole = sum(tokens.values())
        for name in ATTRIBUTES:
            parts: dict[str, float] = {}
            unknown = 0.0
            for choice, count in tokens.items():
                makers = attribute(choices[choice], name)
                if makers is None:
                    unknown += count / whole
                    continue
                names = makers.split(" + ")
                for each_name in names:
                    parts[each_name] = parts.get(each_name, 0.0) + count / whole / len(names)
            found.append(
                Dependence(stand.period, stand.scenario, name, parts, unknown, hhi(parts, unknown))
            )
    return tuple(found)
