"""On whom chips depend: shares by country of design, fab, memory, packaging and software."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chipwise.errors import BadInput, UnknownName
from chipwise.types import Chip, Fact

__all__ = ["ATTRIBUTES", "Shares", "makers", "shares"]

ATTRIBUTES = (
    *("vendor", "design", "fab", "fab_country", "memory", "memory_country"),
    *("packaging", "packaging_country", "software", "software_country"),
)
_JOIN = " + "


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of a whole by one attribute; with `unknown` they add up to 1.

    `unverified` is the part that rests on facts without a source.
    """

    attribute: str
    shares: Mapping[str, float]
    unknown: float
    unverified: float


def makers(
    chip: Chip, origins: Mapping[str, Mapping[str, Fact]], attribute: str
) -> tuple[tuple[str, ...], bool]:
    """Who stands behind a chip by one attribute, and whether that has a source.

    Parameters
    ----------
    chip : Chip
        Whose makers are asked for.
    origins : mapping
        Facts by chip and name, as the catalog gives them.
    attribute : str
        One of `ATTRIBUTES`.

    Returns
    -------
    tuple
        Names, none where it is unknown; whether they are verified.
    """
    if attribute not in ATTRIBUTES:
        raise UnknownName("attribute", attribute, ATTRIBUTES)
    if attribute in ("vendor", "design"):
        name = chip.vendor if attribute == "vendor" else chip.country
        return ((name,) if name else ()), True
    fact = origins.get(chip.id, {}).get(attribute)
    if fact is None or not isinstance(fact.value, str):
        return (), True
    return tuple(fact.value.split(_JOIN)), fact.provenance != "unverified"


def shares(
    weights: Iterable[tuple[Chip, float]],
    origins: Mapping[str, Mapping[str, Fact]],
    attribute: str,
) -> Shares:
    """Shares by one attribute of chips that each weigh something: tokens served, dollars, watts.

    Where several makers stand behind a chip, its weight counts for each in equal parts.

    Examples
    --------
    >>> from chipwise import catalog
    >>> both = [(catalog.chip("h200"), 3.0), (catalog.chip("910c"), 1.0)]
    >>> dict(shares(both, catalog.origins(), "fab").shares)
    {'TSMC': 0.875, 'SMIC': 0.125}
    """
    given = list(weights)
    whole = sum(weight for _, weight in given)
    if not given or whole <= 0 or any(weight < 0 for _, weight in given):
        raise BadInput("weights must not be negative, and one must be above zero")
    found: dict[str, float] = {}
    unknown = unverified = 0.0
    for chip, weight in given:
        names, sure = makers(chip, origins, attribute)
        share = weight / whole
        unverified += 0.0 if sure else share
        unknown += 0.0 if names else share
        for name in names:
            found[name] = found.get(name, 0.0) + share / len(names)
    return Shares(attribute, found, unknown, unverified)
