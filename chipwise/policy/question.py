"""What a verdict is asked for: where to, by which route, on which day, for whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from chipwise.errors import BadInput, UnknownName
from chipwise.types import END_USERS, INCLUDE, ROUTES, Chip, Rule

__all__ = [
    "COUNTRIES",
    "FIRST_DAY",
    "Question",
    "ask",
    "concerns",
    "day",
    "side_of",
]

# The catalog's rules begin here; before it their silence says nothing.
FIRST_DAY = date(2022, 1, 1)
# ISO 3166-1.
_CODES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR "
    "BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ "
    "EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW "
    "GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY "
    "KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV "
    "MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY "
    "QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG "
    "TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM "
    "ZW"
)
COUNTRIES = frozenset(_CODES.split())


@dataclass(frozen=True, slots=True)
class Question:
    """Where a chip is to go, from where, how, for whom; and what counts beside the law."""

    to: str
    route: str
    origin: str
    end_user: str
    include: frozenset[str]


def _known(kind: str, value: str, known: Iterable[str]) -> str:
    if value not in known:
        raise UnknownName(kind, value, known)
    return value


def ask(
    chip: Chip, to: str, route: str, origin: str | None, end_user: str, include: Iterable[str]
) -> Question:
    """The question in words that are known; without an origin, the country of the vendor."""
    return Question(
        _known("country", to, COUNTRIES),
        _known("route", route, ROUTES),
        _known("country", chip.country if origin is None else origin, COUNTRIES),
        _known("end user", end_user, END_USERS),
        frozenset(_known("kind of rule to include", each, INCLUDE) for each in include),
    )


def day(on: date) -> date:
    """A day on which the catalog's rules can be asked."""
    if isinstance(on, datetime) or not isinstance(on, date):
        raise BadInput(f"on is {on!r}; a date was expected")
    if on < FIRST_DAY:
        raise BadInput(f"on is {on}; the rules of the catalog begin on {FIRST_DAY}")
    return on


def _among(country: str, listed: tuple[str, ...]) -> bool:
    """Whether a list names a country: by its code, or by ``*`` without its code after a minus."""
    return country in listed or ("*" in listed and f"-{country}" not in listed)


def concerns(rule: Rule, chip: Chip, of: Question) -> bool:
    """Whether a rule speaks on such a question at all, whatever the day and the item's figures.

    A US rule on items speaks of those subject to it: of a US vendor, or exported from the US.
    """
    return (
        _among(of.to, rule.destinations)
        and of.route in rule.routes
        and of.end_user in rule.end_users
        and (not rule.origins or _among(of.origin, rule.origins))
        and (rule.items == "any" or "US" in (chip.country, of.origin))
    )


def side_of(rule: Rule, of: Question) -> str:
    """The side of the border on which a rule stands: ``export`` or ``imports``."""
    return "imports" if rule.jurisdiction == of.to else "export"
