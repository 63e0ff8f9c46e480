from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest

from chipwise import catalog, policy
from chipwise.catalog.rulebook import rule_terms
from chipwise.errors import BadFact, BadInput, UnknownName
from chipwise.policy.question import COUNTRIES
from chipwise.types import Doubt, Fact, Rule, RuleCase, Verdict
from tests.policy.cases import LAST, chips, rule, rules, verdict

DAY = timedelta(days=1)
RULE_2023 = date(2023, 11, 17)
LETTER_2023 = date(2023, 10, 23)
LETTERS_2025 = date(2025, 4, 9)
RULE_2026 = date(2026, 1, 15)


def export(chip: str, on: date, **asked: object) -> str:
    return verdict(chip, on, **asked).export.status


def fires(found: Verdict, name: str) -> bool | None:
    return next(t.fires for t in found.export.rules if t.id == name)


# -- the traps -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chip", "expected"),
    [
        ("h20", "licence_case_by_case"),
        ("h100", "licence_case_by_case"),
        ("h200", "licence_case_by_case"),
        ("mi300x", "licence_case_by_case"),
        ("b200", "licence_denial"),
        ("910c", "discouraged"),
    ],
)
def test_sale_to_china_on_the_catalog_day(chip: str, expected: str) -> None:
    assert export(chip, LAST) == expected


@pytest.mark.parametrize(
    ("chip", "day", "before", "after"),
    [
        # H20 lies between the prongs of 2023 and is free until the letter of April 2025.
        ("h20", RULE_2023, "free", "free"),
        ("h20", LETTERS_2025, "free", "licence_denial"),
        ("h20", date(2025, 8, 11), "licence_denial", "licence_case_by_case"),
        # L4 is caught by density alone.
        ("l4", RULE_2023, "free", "licence_denial"),
        # RTX 4090 is caught and may go with a notice; 4090D is not.
        ("rtx4090", RULE_2023, "free", "notify"),
        ("rtx4090d", RULE_2023, "free", "free"),
        # MI210 falls under 3A090.b; L20 and L2 do not.
        ("mi210", RULE_2023, "free", "notify"),
        ("l20", RULE_2023, "free", "free"),
        ("l2", RULE_2023, "free", "free"),
        ("l20", LETTERS_2025, "free", "free"),
        ("l2", LETTERS_2025, "free", "free"),
        # A800 and H800 by letter, before the rule.
        ("a800", LETTER_2023, "free", "licence_denial"),
        ("h800", LETTER_2023, "free", "licence_denial"),
        ("a800", RULE_2023, "licence_denial", "licence_denial"),
        ("rtx4090", LETTER_2023, "free", "free"),
        # The rule of October 2022 needs performance and interconnect.
        ("a100", date(2022, 10, 21), "licence_case_by_case", "licence_denial"),
        ("a800", date(2022, 10, 21), "free", "free"),
        # January 2026: inside and outside the envelope.
        ("h200-sxm", RULE_2026, "licence_denial", "licence_case_by_case"),
        ("h200-nvl", RULE_2026, "licence_denial", "licence_case_by_case"),
        ("mi325x", RULE_2026, "licence_denial", "licence_case_by_case"),
        ("b200", RULE_2026, "licence_denial", "licence_denial"),
        ("b30a", RULE_2026, "licence_denial", "licence_denial"),
        # Ascend: no US item; the guidance of May 2025.
        ("910c", date(2025, 5, 13), "free", "discouraged"),
        # The bandwidth letters: above and below 1,400 GB/s.
        ("rtx5090d", LETTERS_2025, "free", "licence_case_by_case"),
        ("rtx5090d-v2", LETTERS_2025, "free", "free"),
    ],
)
def test_the_day_before_and_the_day(chip: str, day: date, before: str, after: str) -> None:
    assert (export(chip, day - DAY), export(chip, day)) == (before, after)


@pytest.mark.parametrize(
    ("chip", "envelope", "band"),
    [
        ("h200-sxm", True, True),
        ("h200-nvl", True, False),
        ("mi325x", True, True),
        ("mi300x", True, False),
        ("b200", False, False),
        ("gaudi3", False, False),
    ],
)
def test_the_envelope_and_the_band_of_the_tariff(chip: str, envelope: bool, band: bool) -> None:
    found = verdict(chip, RULE_2026)
    assert fires(found, "us-2026-01-casebycase") is envelope
    assert fires(found, "us-2026-01-s232-25pct") is band
    assert any("25 %" in need for need in found.needs) is band


@pytest.mark.parametrize("chip", ["h200-sxm", "h200-nvl", "mi325x", "mi300x", "b200"])
def test_neither_envelope_nor_tariff_is_there_the_day_before(chip: str) -> None:
    found = verdict(chip, RULE_2026 - DAY)
    assert found.export.status == "licence_denial"
    assert {"us-2026-01-casebycase", "us-2026-01-s232-25pct"}.isdisjoint(
        t.id for t in found.export.rules
    )
    assert not any("25 %" in need for need in found.needs)


@pytest.mark.parametrize(
    ("chip", "tpp"),
    [
        ("h20", "2,368"),
        ("l4", "1,936"),
        ("rtx4090", "5,284.8"),
        ("rtx4090d", "4,707.2"),
        ("mi210", "2,896"),
    ],
)
def test_the_figures_of_the_traps(chip: str, tpp: str) -> None:
    shown = [line for t in verdict(chip, RULE_2023).export.rules for line in t.arithmetic]
    assert any(line.startswith("TPP = ") and line.endswith(f"= {tpp}") for line in shown)


def test_the_arithmetic_is_shown() -> None:
    found = next(t for t in verdict("l4", RULE_2023).export.rules if t.id == "us-2023-10-3A090a-dc")
    assert found.arithmetic == (
        "TPP = 121 TFLOPS (fp16, dense) × 16 bit = 1,936",
        "PD = 1,936 / 294 mm² = 6.59",
        "dc: yes",
        "TPP 1,936 ≥ 4,800: no",
        "TPP 1,936 ≥ 1,600: yes",
        "PD 6.59 ≥ 5.92: yes",
    )
    assert found.fires is True


# -- who is asked about --------------------------------------------------------------------------


def test_a_us_control_is_evaluated_only_for_what_is_subject_to_it() -> None:
    home = verdict("910c", LAST)
    assert {t.id for t in home.export.rules if t.effect != "note"} == {"us-2025-05-gp10"}
    shipped = verdict("910c", LAST, origin="US")
    assert shipped.export.status == "licence_denial"
    assert fires(shipped, "us-2023-10-3A090a-dc") is True


@pytest.mark.parametrize(
    ("on", "after"), [(date(2022, 10, 21), "unknown"), (date(2023, 11, 17), "unknown")]
)
def test_what_us_technology_made_abroad_is_asked_about(on: date, after: str) -> None:
    """A foundry's export of another country's chip hangs on a fact that nobody publishes."""
    found = verdict("br100", on, origin="TW")
    assert found.export.status == after
    assert "us_technology" in found.unknown
    # At home, and before there was such a rule, it is not asked.
    assert export("br100", on) == "free"
    assert export("br100", date(2022, 10, 20), origin="TW") == "free"
    # What is below 3A090 need not tell, and a US vendor's part is subject in any case.
    assert export("mthreads-s4000", on, origin="TW") == "free"
    assert export("h100", RULE_2023, origin="TW") == "licence_denial"


@pytest.mark.parametrize(
    ("made", "to", "expected"),
    [
        (True, "CN", "licence_denial"),
        (False, "CN", "free"),
        (True, "AE", "licence_approval"),
        (True, "DE", "free"),
    ],
)
def test_a_file_that_tells_the_technology_decides(made: bool, to: str, expected: str) -> None:
    chip = catalog.chip("br100")
    told = {**chip.facts, "us_technology": Fact(made, "", "mine")}
    found = verdict(replace(chip, facts=told), date(2024, 6, 1), origin="TW", to=to)
    assert found.export.status == expected
    assert found.unknown == ()


def test_renting_abroad_and_buying_differ() -> None:
    on = date(2025, 6, 1)
    bought, rented = verdict("h200", on), verdict("h200", on, route="rent-abroad")
    assert (bought.status, rented.status) == ("licence_denial", "free")
    assert fires(bought, "us-2023-10-3A090a-dc") is True
    assert fires(rented, "us-iaas-no-licence") is True
    assert fires(rented, "us-2025-05-iaas-policy") is True
    assert any("red flag" in need for need in rented.needs)
    assert verdict("h200", on, route="rent-abroad", end_user="military").status == "licence_denial"


def test_a_subsidiary_abroad_buys_under_the_rule_of_headquarters() -> None:
    before, after = (
        verdict("h200", d, route="subsidiary-abroad") for d in (RULE_2023 - DAY, RULE_2023)
    )
    assert (before.export.status, after.export.status) == ("free", "licence_denial")
    # Not relaxed in January 2026.
    assert export("h200", LAST, route="subsidiary-abroad") == "licence_denial"
    assert export("mi210", RULE_2023, route="subsidiary-abroad") == "notify"
    assert export("h20", RULE_2023, route="subsidiary-abroad") == "free"


def test_re_exports_and_exports_from_elsewhere_stay_denied() -> None:
    assert export("h200", LAST, route="reexport") == "licence_denial"
    assert export("h200", LAST, origin="TW") == "licence_denial"
    assert export("h200", LAST, origin="US") == "licence_case_by_case"


def test_capacity_in_the_country_needs_what_a_sale_needs() -> None:
    assert export("h200", RULE_2026 - DAY, route="rent-in-country") == "licence_denial"
    assert export("h200", RULE_2026, route="rent-in-country") == "licence_case_by_case"


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("CN", "licence_denial"),
        ("HK", "licence_denial"),
        ("MO", "licence_denial"),
        ("RU", "licence_denial"),
        ("AE", "licence_approval"),
        ("IL", "free"),
        ("TW", "free"),
        ("DE", "free"),
        ("MY", "free"),
    ],
)
def test_destinations(to: str, expected: str) -> None:
    assert export("h100", date(2024, 6, 1), to=to) == expected


def test_a_country_that_hangs_on_groups_without_a_source_says_so() -> None:
    groups = rule_terms()[1]
    told = {c for name in ("A:5", "A:6", "D:5") for c in groups[name]} | {"MO"}
    day = date(2024, 6, 1)
    asked = {to: verdict("h100", day, to=to).rests_on_unverified for to in COUNTRIES}
    assert {to for to, rests_on in asked.items() if "country_groups" not in rests_on} == told


def test_a_question_of_china_hangs_on_no_group() -> None:
    for to in ("CN", "HK", "MO"):
        for on in (RULE_2023, LAST):
            assert "country_groups" not in verdict("h100", on, to=to).rests_on_unverified


def test_a_notice_is_for_embargoed_countries_only() -> None:
    assert export("rtx4090", LAST, to="CN") == "notify"
    assert export("rtx4090", LAST, to="SA") == "free"


def test_macau_was_added_later() -> None:
    day = date(2023, 1, 17)
    assert export("a100", day - DAY, to="MO") == "free"
    assert export("a100", day, to="MO") == "licence_denial"


def test_military_end_users() -> None:
    assert export("l20", LAST, end_user="military") == "licence_denial"
    assert export("h200", LAST, end_user="military") == "licence_denial"
    assert export("h200", LAST, end_user="state") == "licence_case_by_case"


# -- the other side of the border ----------------------------------------------------------------


def test_reported_acts_are_left_out_unless_asked_for() -> None:
    plain = verdict("h20", LAST)
    assert "cn-2025-07-cac-summons" in plain.imports.not_evaluated
    assert "cn-2025-07-cac-summons" not in {t.id for t in plain.imports.rules}
    # A report that names the chip keeps its side from being called free.
    assert plain.imports.status == "unknown"
    assert "cn-2025-07-cac-summons" in plain.unknown
    asked = verdict("h20", LAST, include=("reported",))
    assert asked.imports.status == "discouraged"
    assert asked.status == "licence_case_by_case"
    assert asked.unknown == ()


def test_an_open_side_does_not_matter_where_the_other_is_stricter() -> None:
    assert verdict("h20", LAST).status == "licence_case_by_case"


@pytest.mark.parametrize(
    ("chip", "day", "before", "after", "asked"),
    [
        ("h20", date(2025, 7, 31), "free", "discouraged", {}),
        ("rtx6000d", date(2025, 9, 17), "free", "discouraged", {}),
        ("h100", date(2025, 10, 10), "free", "discouraged", {}),
        ("b200", date(2025, 11, 5), "discouraged", "prohibited", {"end_user": "state"}),
        ("b200", date(2025, 11, 5), "discouraged", "discouraged", {}),
        ("h200", date(2026, 1, 14), "discouraged", "prohibited", {}),
        ("h200", date(2026, 1, 28), "prohibited", "licence_case_by_case", {}),
        ("h200", date(2026, 7, 8), "licence_case_by_case", "licence_approval", {}),
        ("h200", date(2026, 8, 18), "licence_approval", "licence_case_by_case", {}),
        ("910c", date(2025, 11, 5), "free", "free", {"end_user": "state"}),
    ],
)
def test_the_chinese_side(
    chip: str, day: date, before: str, after: str, asked: dict[str, str]
) -> None:
    statuses = [
        verdict(chip, d, include=("reported",), **asked).imports.status for d in (day - DAY, day)
    ]
    if after == "licence_approval" or before == "licence_approval":
        # Customs go on discouraging what the planners allow.
        statuses = [s.replace("discouraged", "licence_approval") for s in statuses]
    assert statuses == [before, after]


def test_chinese_acts_do_not_reach_what_stays_abroad() -> None:
    for route in ("rent-abroad", "subsidiary-abroad"):
        assert verdict("h20", LAST, route=route, include=("reported",)).imports.status == "free"


def test_a_bill_is_no_law() -> None:
    l20 = verdict("l20", LAST)
    assert (l20.status, l20.export.status) == ("free", "free")
    assert "us-2026-03-draft-global" in l20.not_evaluated
    assert verdict("l20", LAST, include=("proposed",)).status == "licence_case_by_case"
    h20 = verdict("h20", LAST, include=("proposed",))
    assert h20.export.status == "licence_denial"
    assert verdict("b200", LAST, include=("proposed",)).export.status == "prohibited"


# -- what is unknown -----------------------------------------------------------------------------


def test_a_blank_die_area_is_unknown_not_free() -> None:
    l4 = replace(catalog.chip("l4"), die_area=None)
    found = verdict(l4, RULE_2023)
    assert found.status == "unknown"
    assert found.unknown == ("die_area",)


def test_a_blank_that_does_not_matter_does_not_matter() -> None:
    h100 = replace(catalog.chip("h100"), die_area=None)
    assert verdict(h100, RULE_2023).status == "licence_denial"
    assert verdict(h100, RULE_2023).unknown == ()


def test_mi308x_has_no_published_rates() -> None:
    found = verdict("mi308x", date(2024, 6, 1))
    assert found.status == "unknown"
    assert "flops" in found.unknown
    # While the letter is refused in practice, nothing stricter is left open.
    assert verdict("mi308x", date(2025, 6, 1)).status == "licence_denial"


@pytest.mark.parametrize(
    ("chip", "change", "on", "named"),
    [
        ("l4", {"market": ""}, RULE_2023, "market"),
        ("h200", {"memory_bandwidth": None}, LAST, "memory_bandwidth"),
        ("h200", {"sold_in_us": None}, LAST, "sold_in_us"),
        ("h100", {"flops": {}}, RULE_2023, "flops.fp8"),
        ("h100", {"flops": {}, "facts": {}}, RULE_2023, "flops"),
        ("mi210", {"die_area": None}, RULE_2023, "die_area"),
    ],
)
def test_a_missing_fact_is_named(
    chip: str, change: dict[str, object], on: date, named: str
) -> None:
    found = verdict(replace(catalog.chip(chip), **change), on)  # type: ignore[arg-type]
    assert found.status == "unknown"
    assert named in found.unknown


def test_the_facts_without_a_source_are_named() -> None:
    chip = catalog.chip("rtx4090")
    unverified = {n for n, f in chip.facts.items() if f.provenance == "unverified"}
    found = verdict(chip, LAST).rests_on_unverified
    assert set(found) <= unverified
    assert "pcie_bandwidth" in found


# -- what is disputed ----------------------------------------------------------------------------


def disputed(found: Verdict, name: str) -> str:
    return next(line for line in found.disputed if line.startswith(name))


def test_a_dispute_is_told_as_a_line_and_in_parts() -> None:
    found = verdict("rtxpro6000", date(2025, 3, 20))
    [part] = [d for d in found.disputes if d.name == "market"]
    assert (part.stated, part.other) == ("workstation", "datacenter")
    assert (part.stated_status, part.other_status) == ("notify", "licence_denial")
    assert len(found.disputes) == len(found.disputed)
    assert part.because in disputed(found, "market")


def test_a_die_area_in_dispute_is_shown_with_both_results() -> None:
    line = disputed(verdict("mi300x", LAST), "die_area")
    assert "1,017 mm² or 2,400 mm²: licence_case_by_case either way" in line


def test_a_workstation_part_sold_for_servers() -> None:
    on = date(2025, 3, 20)
    found = verdict("rtxpro6000", on)
    line = disputed(found, "market")
    assert "workstation gives notify, datacenter gives licence_denial" in line
    # What is in dispute never fails open.
    assert found.status == "licence_denial"
    assert "workstation gives free, datacenter gives notify" in disputed(
        verdict("rtx6000d", on), "market"
    )


def test_the_bits_of_tf32_where_they_decide() -> None:
    line = disputed(verdict("trainium3", LAST), "TF32")
    assert "20,136) gives licence_case_by_case" in line
    assert "21,472) gives licence_denial" in line
    assert not any(d.startswith("TF32") for d in verdict("h100", LAST).disputed)


def test_whether_a_letter_still_binds() -> None:
    line = disputed(verdict("h20", LAST), "letters of April 2025")
    assert "binding gives licence_case_by_case, not binding gives" in line
    assert "binding gives licence_case_by_case, not binding gives free" in disputed(
        verdict("rtx5090d", LAST), "letters of April 2025"
    )
    assert not verdict("l20", LAST).disputed


def test_a_bandwidth_in_dispute_around_the_threshold() -> None:
    line = disputed(verdict("rtx6000d", date(2025, 6, 1)), "memory_bandwidth")
    assert "1,568 GB/s gives licence_case_by_case, 1,398 GB/s gives free" in line


def test_ports_that_may_count_as_inputs_and_outputs() -> None:
    found = verdict("gaudi2", date(2023, 1, 1))
    assert "525 GB/s gives free, 600 GB/s gives licence_denial" in disputed(
        found, "scaleup_bandwidth"
    )
    assert found.status == "licence_denial"


# -- timeline ------------------------------------------------------------------------------------


def test_a_timeline_has_no_gaps_and_agrees_with_the_days() -> None:
    since, until = date(2022, 10, 1), LAST
    for name in ("h20", "h200", "a800", "rtx6000d", "910c"):
        chip = catalog.chip(name)
        found = policy.timeline(chip, rules(), since=since, until=until)
        assert found[0].start == since
        assert found[-1].end == until + DAY
        for one, after in pairwise(found):
            assert one.end == after.start
        for period in found:
            assert period.end is not None
            for on in (period.start, period.end - DAY):
                day = verdict(chip, on)
                assert (day.status, day.export.status, day.imports.status) == (
                    period.status,
                    period.export,
                    period.imports,
                )


def test_a_timeline_backwards_is_refused() -> None:
    with pytest.raises(BadInput, match="or later was expected"):
        policy.timeline(catalog.chip("h20"), rules(), since=LAST, until=LAST - DAY)


# -- questions and rules that are wrong ----------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"to": "XX"}, UnknownName, "unknown country 'XX'"),
        ({"to": "cn"}, UnknownName, "unknown country 'cn'"),
        ({"route": "gift"}, UnknownName, "unknown route 'gift'"),
        ({"origin": "UK"}, UnknownName, "unknown country 'UK'"),
        ({"end_user": "army"}, UnknownName, "unknown end user 'army'"),
        ({"include": ("rumour",)}, UnknownName, "unknown kind of rule to include 'rumour'"),
        ({"on": date(2021, 1, 1)}, BadInput, "begin on 2022-01-01"),
        ({"on": datetime(2025, 1, 1)}, BadInput, "a date was expected"),  # noqa: DTZ001
    ],
)
def test_a_question_that_cannot_be_asked(
    asked: dict[str, object], error: type[BadInput], said: str
) -> None:
    with pytest.raises(error, match=said):
        verdict("h20", **{"on": LAST, **asked})  # type: ignore[arg-type]


def test_a_condition_that_is_none_names_its_file() -> None:
    broken = replace(rule("us-2023-10-3A090b"), condition="tpp >= weight")
    with pytest.raises(
        BadFact, match=r"us-2023-10-3A090b\.toml: line \d+: condition: unknown name 'weight'"
    ):
        policy.check(catalog.chip("h20"), (*rules(), broken), on=LAST)


def test_inside_is_the_better_of_two_outcomes() -> None:
    letter, envelope = rule("us-2025-04-h20-letter-thresholds"), rule("us-2026-01-casebycase")
    assert policy.inside(letter, catalog.chip("l20")) is True
    assert policy.inside(letter, catalog.chip("h20")) is False
    assert policy.inside(envelope, catalog.chip("h200")) is True
    assert policy.inside(envelope, catalog.chip("b200")) is False
    assert policy.inside(rule("us-2023-10-3A090a-dc"), catalog.chip("mi308x")) is None


def test_rules_are_to_be_looked_at_again() -> None:
    assert policy.overdue(rules(), LAST) == ()
    assert set(policy.overdue(rules(), date(2030, 1, 1))) == {r.id for r in rules()}


@pytest.mark.parametrize(
    "first", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, 4))]
)
def test_a_relaxation_never_makes_anything_stricter(first: int) -> None:
    """Every fourth chip; the slow tests ask the others."""
    milder: list[Rule] = [r for r in rules() if r.effect == "relax"]
    without = tuple(r for r in rules() if r.effect != "relax")
    assert milder
    for chip in chips()[first::4]:
        for include in ((), ("reported",)):
            with_all = policy.check(chip, rules(), on=LAST, include=include).status
            bare = policy.check(chip, without, on=LAST, include=include).status
            if "unknown" not in (with_all, bare):
                assert policy.status_order(with_all) <= policy.status_order(bare)


# -- rules made for the purpose: what docs/rules.md says of how a verdict comes about ------------

SOON, THEN = date(2024, 1, 1), date(2024, 6, 1)


def made(name: str = "mine", **changed: object) -> Rule:
    """A US control on every chip that goes to China: a notice, from 2024 on."""
    of = {
        "id": name,
        "jurisdiction": "US",
        "citation": "mine",
        "start": SOON,
        "end": None,
        "destinations": ("CN",),
        "routes": policy.ROUTES,
        "condition": "True",
        "outcome": "notify",
        "effect": "control",
        "confidence": "source",
    }
    return Rule(**{**of, **changed})  # type: ignore[arg-type]


def ruled(*by: Rule, on: date = THEN, chip: str = "h100", **asked: object) -> Verdict:
    return policy.check(catalog.chip(chip), by, on=on, **asked)  # type: ignore[arg-type]


# No file states it, so that a condition on it is open for every chip.
OPEN = "us_technology"


@pytest.mark.parametrize("turn", [1, -1])
def test_a_side_is_its_strictest_control_in_whatever_order(turn: int) -> None:
    by = (made("a"), made("b", outcome="licence_denial"), made("c", outcome="discouraged"))
    found = ruled(*by[::turn])
    assert (found.export.status, found.imports.status) == ("licence_denial", "free")
    assert found.status == "licence_denial"


def test_the_whole_is_the_stricter_of_both_sides() -> None:
    """A rule of the country of destination stands on the side of imports."""
    found = ruled(made("a"), made("b", jurisdiction="CN", outcome="prohibited"))
    assert (found.export.status, found.imports.status) == ("notify", "prohibited")
    assert found.status == "prohibited"
    assert [t.id for t in found.export.rules] == ["a"]
    assert [t.id for t in found.imports.rules] == ["b"]


@pytest.mark.parametrize(
    ("relaxes", "outcome", "condition", "expected"),
    [
        (("strict",), "notify", "True", "notify"),
        (("strict",), "prohibited", "True", "licence_denial"),
        (("other",), "notify", "True", "licence_denial"),
        (("strict",), "notify", "False", "licence_denial"),
        (("strict",), "notify", OPEN, "unknown"),
        # What it could do is nothing milder, so that nothing hangs on whether it does.
        (("strict",), "licence_denial", OPEN, "licence_denial"),
    ],
)
def test_a_relaxation_is_of_the_controls_that_it_names(
    relaxes: tuple[str, ...], outcome: str, condition: str, expected: str
) -> None:
    mild = made("mild", effect="relax", relaxes=relaxes, outcome=outcome, condition=condition)
    found = ruled(made("strict", outcome="licence_denial"), mild)
    assert found.export.status == expected
    assert found.unknown == ((OPEN,) if expected == "unknown" else ())


def test_a_relaxation_of_one_control_leaves_the_others() -> None:
    mild = made("mild", effect="relax", relaxes=("a",), outcome="free")
    by = made("a", outcome="prohibited"), made("b", outcome="discouraged"), mild
    assert ruled(*by).export.status == "discouraged"


@pytest.mark.parametrize(
    ("others", "expected", "unknown"),
    [
        ((), "unknown", (OPEN,)),
        # The known one is milder than what is open, or as strict.
        (("notify",), "unknown", (OPEN,)),
        (("licence_denial",), "licence_denial", ()),
        (("prohibited",), "prohibited", ()),
    ],
)
def test_what_is_open_matters_where_it_could_be_stricter(
    others: tuple[str, ...], expected: str, unknown: tuple[str, ...]
) -> None:
    known = [made(f"known-{each}", outcome=each) for each in others]
    found = ruled(made("open", condition=OPEN, outcome="licence_denial"), *known)
    assert (found.export.status, found.unknown) == (expected, unknown)


def test_only_what_would_decide_is_named_and_once() -> None:
    found = ruled(
        made("a", condition=OPEN, outcome="discouraged"),
        made("b", condition=OPEN, outcome="prohibited"),
        made("c", condition="hbm_stack and memory_density > 2", outcome="prohibited"),
    )
    assert found.unknown == (OPEN,)


def test_an_open_part_of_a_control_is_named_with_that_of_its_relaxation() -> None:
    mild = made("mild", effect="relax", relaxes=("strict",), condition="memory_bandwidth < 1")
    strict = made("strict", outcome="licence_denial", condition=OPEN)
    chip = replace(catalog.chip("h100"), memory_bandwidth=None)
    found = policy.check(chip, (strict, mild), on=THEN)
    assert found.export.status == "unknown"
    assert found.unknown == (OPEN, "memory_bandwidth")


def test_a_note_changes_nothing_but_is_shown_with_what_it_needs() -> None:
    note = made("note", effect="note", outcome="", needs=("a form",))
    found = ruled(note, made())
    assert found.export.status == "notify"
    assert found.needs == ("a form",)
    shown = {t.id: t for t in found.export.rules}
    assert (shown["note"].fires, shown["note"].outcome) == (True, "")
    assert shown["mine"].outcome == "notify"


def test_needs_are_of_rules_that_fire() -> None:
    by = [
        made("a", condition="True", needs=("a form", "a fee")),
        made("b", condition="False", needs=("a test",)),
        made("c", condition=OPEN, needs=("an oath",)),
        made("d", needs=("a fee",)),
    ]
    found = ruled(*by)
    assert found.needs == ("a form", "a fee")
    # Of one that could fire it is told with the rule; of one that does not, not at all.
    assert {t.id: t.needs for t in found.export.rules} == {
        "a": ("a form", "a fee"),
        "b": (),
        "c": ("an oath",),
        "d": ("a fee",),
    }


@pytest.mark.parametrize(
    ("changed", "status", "left"),
    [
        ({"condition": 'chip == "nvidia-h100-sxm"'}, "unknown", True),
        # What does not name the chip, or does not catch it, leaves nothing open.
        ({"condition": "tpp >= 1"}, "free", True),
        ({"condition": 'chip == "nvidia-h200-sxm"'}, "free", False),
        # A bill is no law, and a relaxation that was reported is no leave.
        ({"condition": 'chip == "nvidia-h100-sxm"', "confidence": "proposed"}, "free", True),
        ({"condition": 'chip == "nvidia-h100-sxm"', "effect": "relax"}, "free", True),
        ({"condition": 'chip == "nvidia-h100-sxm"', "effect": "note"}, "free", True),
    ],
)
def test_what_is_left_out_keeps_a_side_open_where_it_names_the_chip(
    changed: dict[str, object], status: str, left: bool
) -> None:
    report = made(
        "report", **{"counted": False, "confidence": "reported", "outcome": "prohibited", **changed}
    )
    found = ruled(report)
    assert found.status == status
    assert found.unknown == (("report",) if status == "unknown" else ())
    assert found.not_evaluated == found.export.not_evaluated == (("report",) if left else ())
    assert found.export.rules == ()
    asked = ruled(report, include=(report.confidence,))
    assert [t.id for t in asked.export.rules] == ["report"]
    assert asked.not_evaluated == ()
    strict = report.effect == "control" and left
    assert asked.status == ("prohibited" if strict else "free")


def test_what_is_left_out_is_open_only_above_what_is_known() -> None:
    named = 'chip == "nvidia-h100-sxm"'
    report = made("r", counted=False, confidence="reported", condition=named, outcome="discouraged")
    assert ruled(report, made(outcome="licence_denial")).status == "licence_denial"
    assert ruled(report, made(outcome="discouraged")).status == "discouraged"
    assert ruled(report, made(outcome="notify")).status == "unknown"


@pytest.mark.parametrize(
    ("cases", "expected"),
    [
        ((), "notify"),
        ((RuleCase("free", ("DE",)),), "notify"),
        ((RuleCase("free", ("DE", "CN")),), "free"),
        ((RuleCase("free", (), ("state",)),), "notify"),
        ((RuleCase("free", (), ("private", "state")),), "free"),
        ((RuleCase("free", condition="tpp < 1"),), "notify"),
        # The first that applies, and none after it.
        ((RuleCase("free", condition="tpp > 1"), RuleCase("prohibited")), "free"),
        ((RuleCase("free", ("DE",)), RuleCase("prohibited")), "prohibited"),
        # What may apply bounds the outcome, with what comes after it.
        ((RuleCase("prohibited", condition=OPEN),), "unknown"),
        ((RuleCase("licence_denial", condition=OPEN),), "unknown"),
        ((RuleCase("notify", condition=OPEN),), "notify"),
        ((RuleCase("prohibited", condition=OPEN), RuleCase("prohibited")), "prohibited"),
    ],
)
def test_the_first_case_that_applies_gives_the_outcome(
    cases: tuple[RuleCase, ...], expected: str
) -> None:
    found = ruled(made(cases=cases))
    assert found.status == expected
    assert found.export.rules[0].outcome == expected
    assert found.unknown == ((OPEN,) if expected == "unknown" else ())


def test_a_case_of_a_rule_that_does_not_fire_leaves_nothing_open() -> None:
    found = ruled(made(condition="False", cases=(RuleCase("prohibited", condition=OPEN),)))
    assert (found.status, found.unknown) == ("free", ())
    assert found.export.rules[0].missing == ()


@pytest.mark.parametrize(
    ("on", "expected"),
    [(SOON - DAY, "free"), (SOON, "notify"), (THEN - DAY, "notify"), (THEN, "free")],
)
def test_a_rule_binds_from_its_start_to_the_day_before_its_end(on: date, expected: str) -> None:
    assert ruled(made(end=THEN), on=on).status == expected


DOUBT = Doubt("whether it binds", THEN, "nobody has tried")


@pytest.mark.parametrize(("on", "disputed"), [(THEN - DAY, False), (THEN, True)])
def test_a_rule_in_doubt_is_read_both_ways_from_that_day(on: date, disputed: bool) -> None:
    found = ruled(made(doubt=DOUBT), on=on)
    # The stricter reading, in any case.
    assert found.status == "notify"
    assert [(d.name, d.stated_status, d.other_status, d.because) for d in found.disputes] == (
        [("whether it binds", "notify", "free", "nobody has tried")] if disputed else []
    )


def test_doubts_of_one_name_go_together_with_all_their_reasons() -> None:
    other = Doubt("whether it binds", THEN, "it was never published")
    by = made("a", doubt=DOUBT), made("b", doubt=other, outcome="prohibited")
    [one] = ruled(*by).disputes
    assert (one.stated_status, one.other_status) == ("prohibited", "free")
    assert one.because == "nobody has tried; it was never published"
    # Of a rule that catches nothing here no doubt is told.
    [one] = ruled(by[0], replace(by[1], condition="False")).disputes
    assert one.because == "nobody has tried"
    assert ruled(replace(by[0], condition="False")).disputes == ()


def test_a_dispute_is_shown_where_something_read_the_fact() -> None:
    """The MI300X's die has two areas; a rule on anything else does not ask."""
    dense = made("dense", condition="density >= 10")
    assert [d.name for d in ruled(dense, chip="mi300x").disputes] == ["die_area"]
    for unasked in (
        made("wide", condition="memory_bandwidth >= 1"),
        replace(dense, effect="note"),
        replace(dense, counted=False, confidence="reported"),
        replace(dense, start=THEN + DAY),
    ):
        assert ruled(unasked, chip="mi300x").disputes == (), unasked


def test_what_is_shown_of_a_dispute() -> None:
    """20,919 on 1,017 mm² are 20.6, on 2,400 mm² 8.7."""
    found = ruled(made(condition="density >= 10"), chip="mi300x")
    [line] = found.disputed
    assert line.startswith("die_area: 1,017 mm² gives notify, 2,400 mm² gives free (")
    assert found.status == "notify"
    [line] = ruled(made(condition="density >= 5"), chip="mi300x").disputed
    assert line.startswith("die_area: 1,017 mm² or 2,400 mm²: notify either way (")


@pytest.mark.parametrize(
    ("condition", "shown", "rests_on"),
    [
        ('vendor == "NVIDIA"', ("vendor NVIDIA = NVIDIA: yes",), ()),
        ('chip in {"a", "b"}', ("chip nvidia-h100-sxm in a, b: no",), ()),
        ("sold_in_us", ("sold_in_us: yes",), ("sold_in_us",)),
        ("not dc", ("dc: yes",), ("market",)),
        ("process <= 4", ("process = 4 nm", "process 4 ≤ 4: yes"), ("process",)),
        (
            "transistors >= 50",
            ("transistors = 80 bn", "transistors 80 ≥ 50: yes"),
            ("transistors",),
        ),
        ("link_bandwidth < 900", ("link 900 GB/s", "link 900 < 900: no"), ("scaleup_bandwidth",)),
        (
            "io_bandwidth >= 1100",
            ("I/O = link 900 GB/s + PCIe 128 GB/s = 1,028 GB/s", "I/O 1,028 ≥ 1,100: no"),
            ("scaleup_bandwidth", "pcie_bandwidth"),
        ),
        (
            "hbm_stack and memory_density > 2",
            ("hbm_stack: no", "memory_density unknown > 2: unknown"),
            (),
        ),
    ],
)
def test_what_was_read_is_shown_and_named(
    condition: str, shown: tuple[str, ...], rests_on: tuple[str, ...]
) -> None:
    found = policy.trace(made(condition=condition), catalog.chip("h100"))
    assert (found.arithmetic, found.rests_on, found.missing) == (shown, rests_on, ())


@pytest.mark.parametrize(
    ("condition", "shown", "missing"),
    [
        ('vendor == "NVIDIA"', "vendor unknown = NVIDIA: unknown", ("vendor",)),
        ("tpp >= 1", "TPP unknown ≥ 1: unknown", ("flops",)),
        ("density >= 1", "PD unknown ≥ 1: unknown", ("flops", "die_area")),
        ("transistors >= 50", "transistors unknown ≥ 50: unknown", ("transistors",)),
        ("dc", "dc: unknown", ("market",)),
        ("sold_in_us", "sold_in_us: unknown", ("sold_in_us",)),
        # Of a chip it is never known, whatever the bound; the flag beside it decides.
        ("memory_density >= 0.5", "memory_density unknown ≥ 0.5: unknown", ("memory_density",)),
        (
            "not memory_density >= 1e9",
            "memory_density unknown ≥ 1,000,000,000: unknown",
            ("memory_density",),
        ),
    ],
)
def test_what_is_unknown_is_shown_and_named(
    condition: str, shown: str, missing: tuple[str, ...]
) -> None:
    bare = {"vendor": "", "flops": {}, "facts": {}, "market": "", "sold_in_us": None}
    chip = replace(catalog.chip("h100"), die_area=None, **bare)  # type: ignore[arg-type]
    found = policy.trace(made(condition=condition), chip)
    assert found.fires is None
    assert found.arithmetic[-1] == shown
    assert found.missing == missing


def test_what_is_known_from_below_says_so_and_may_decide() -> None:
    h100 = catalog.chip("h100")
    facts = {**h100.facts, "flops.fp8": Fact(None, "TFLOPS", "mine")}
    chip = replace(h100, flops={"fp16": h100.flops["fp16"]}, facts=facts)
    found = policy.trace(made(condition="tpp >= 4800"), chip)
    assert found.fires is True
    assert found.arithmetic[-1] == "TPP of at least 15,832 ≥ 4,800: yes"
    found = policy.trace(made(condition="tpp >= 21000"), chip)
    assert found.fires is None
    assert "flops.fp8" in found.missing


def test_a_verdict_says_what_was_asked() -> None:
    found = ruled(made(), route="reexport", origin="TW", end_user="state")
    assert (found.chip, found.to, found.on) == ("nvidia-h100-sxm", "CN", THEN)
    assert (found.route, found.origin, found.end_user) == ("reexport", "TW", "state")
    assert ruled(made()).origin == "US"
    [trace] = ruled(made(confidence="unverified")).export.rules
    assert (trace.id, trace.effect, trace.confidence) == ("mine", "control", "unverified")


def test_facts_that_a_note_read_are_nothing_to_rest_on() -> None:
    read = made(condition="io_bandwidth >= 1")
    assert "pcie_bandwidth" in ruled(read, chip="rtx4090").rests_on_unverified
    assert ruled(replace(read, effect="note"), chip="rtx4090").rests_on_unverified == ()


def test_of_what_is_open_only_the_stricter_is_named() -> None:
    chip = replace(catalog.chip("h100"), memory_bandwidth=None)
    wide = "memory_bandwidth >= 1"
    named = 'chip == "nvidia-h100-sxm"'

    def unknown(*by: Rule) -> tuple[str, ...]:
        found = policy.check(chip, by, on=THEN)
        assert found.status == "unknown"
        return found.unknown

    strict = made("strict", condition=wide, outcome="prohibited")
    known = made("known", outcome="discouraged")
    assert unknown(known, made("as-strict", condition=OPEN, outcome="discouraged"), strict) == (
        "memory_bandwidth",
    )
    report = {"counted": False, "confidence": "reported"}
    as_strict = made("report", condition=named, outcome="discouraged", **report)
    assert unknown(known, as_strict, strict) == ("memory_bandwidth",)
    # A report is looked at after what counts, and only where it could catch the chip.
    stricter = replace(as_strict, outcome="prohibited")
    assert unknown(known, stricter) == ("report",)
    spared = replace(stricter, condition=f"{named} and tpp < 1")
    assert policy.check(chip, (known, spared), on=THEN).status == "discouraged"
    # Each open case is named; a relaxation that could change nothing is not.
    cases = (RuleCase("prohibited", condition=OPEN), RuleCase("discouraged", condition=wide))
    assert unknown(made(cases=cases)) == (OPEN, "memory_bandwidth")
    mild = made("m", effect="relax", relaxes=("mine",), condition=wide, outcome="prohibited")
    assert unknown(made(cases=cases[:1]), mild) == (OPEN,)
    # Of several relaxations that could change something each is.
    each = (
        made(name, effect="relax", relaxes=("strict",), condition=condition, outcome=outcome)
        for name, condition, outcome in (("a", OPEN, "discouraged"), ("b", wide, "notify"))
    )
    assert unknown(made("strict", outcome="prohibited"), *each) == (OPEN, "memory_bandwidth")


def test_a_doubt_is_judged_by_the_facts_as_stated() -> None:
    """By the other area of the MI300X the rule in doubt would not catch it."""
    found = ruled(made(condition="density >= 10", doubt=DOUBT), chip="mi300x")
    assert {d.name: d.because for d in found.disputes}["whether it binds"] == "nobody has tried"


def test_a_country_without_a_source_counts_where_the_rule_does() -> None:
    sure = made(sure=frozenset({"DE"}), doubt=DOUBT)
    assert ruled(sure).rests_on_unverified == ("country_groups",)
    left = replace(sure, counted=False, confidence="reported", condition="False")
    assert ruled(left).rests_on_unverified == ()


# -- over time -----------------------------------------------------------------------------------


def periods(*by: Rule, since: date = SOON - DAY, until: date = THEN, **asked: object):
    found = policy.timeline(catalog.chip("h100"), by, since=since, until=until, **asked)  # type: ignore[arg-type]
    return [(p.start, p.end, p.status, p.rules) for p in found]


def test_a_period_ends_with_a_rule_and_begins_with_one() -> None:
    assert periods(made(end=date(2024, 3, 1))) == [
        (SOON - DAY, SOON, "free", ()),
        (SOON, date(2024, 3, 1), "notify", ("mine",)),
        (date(2024, 3, 1), THEN + DAY, "free", ()),
    ]


def test_the_last_day_counts_and_one_day_is_a_timeline() -> None:
    assert periods(made(start=THEN))[-1] == (THEN, THEN + DAY, "notify", ("mine",))
    assert periods(made(start=THEN + DAY)) == [(SOON - DAY, THEN + DAY, "free", ())]
    assert periods(made(), since=THEN) == [(THEN, THEN + DAY, "notify", ("mine",))]


def test_a_turn_that_changes_nothing_makes_no_period() -> None:
    note = made("note", effect="note", outcome="", start=date(2024, 2, 1))
    far = made("far", destinations=("DE",), start=date(2024, 3, 1))
    milder = made("milder", condition="False", start=date(2024, 4, 1))
    assert periods(made(), note, far, milder, since=SOON) == [
        (SOON, THEN + DAY, "notify", ("mine",))
    ]


def test_a_doubt_opens_a_side_on_its_day() -> None:
    """From then on it may not bind, and another rule alone decides."""
    kept = made("kept", condition=OPEN, outcome="discouraged")
    doubted = made("doubted", outcome="discouraged", doubt=replace(DOUBT, since=date(2024, 3, 1)))
    assert [p[:3] for p in periods(kept, doubted, since=SOON)] == [
        (SOON, THEN + DAY, "discouraged")
    ]
    mild = made("mild", effect="relax", relaxes=("strict",), outcome="free")
    strict = made("strict", outcome="prohibited")
    in_doubt = replace(mild, doubt=replace(DOUBT, since=date(2024, 3, 1)))
    assert [p[:3] for p in periods(strict, in_doubt, since=SOON)] == [
        (SOON, date(2024, 3, 1), "free"),
        (date(2024, 3, 1), THEN + DAY, "prohibited"),
    ]


def test_a_timeline_asks_what_a_verdict_asks() -> None:
    by = made(origins=("TW",), items="any"), made("b", end_users=("state",), outcome="prohibited")
    assert periods(*by, since=THEN)[0][2] == "free"
    assert periods(*by, since=THEN, origin="TW")[0][2] == "notify"
    assert periods(*by, since=THEN, end_user="state")[0][2] == "prohibited"
    assert periods(made(routes=("reexport",)), since=THEN, route="reexport")[0][2] == "notify"
    assert periods(made(destinations=("DE",)), since=THEN, to="DE")[0][2] == "notify"
    left = made(counted=False, confidence="reported", condition="tpp > 1")
    assert periods(left, since=THEN)[0][2] == "free"
    assert periods(left, since=THEN, include=("reported",))[0][2] == "notify"


def test_two_periods_that_touch_differ_in_more_than_their_days() -> None:
    for name in ("h20", "h200", "910c"):
        found = policy.timeline(catalog.chip(name), rules(), since=date(2022, 10, 1), until=LAST)
        for one, after in pairwise(found):
            assert replace(one, start=after.start, end=after.end) != after
        named = {each for period in found for each in period.rules}
        assert "note" not in {rule(each).effect for each in named}


# -- faults and days -----------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "said"), [("my.toml: line 9", "my.toml: line 9"), ("", "mine")])
def test_a_case_that_is_none_names_its_place(place: str, said: str) -> None:
    broken = made(cases=(RuleCase("free", condition="tpp >= weight", place=place),))
    with pytest.raises(BadFact, match=rf"^{said}: condition: unknown name 'weight'"):
        ruled(broken)


def test_a_rule_is_overdue_after_its_day_and_not_on_it() -> None:
    by = made(review_by=THEN), made("never", review_by=None)
    assert policy.overdue(by, THEN) == ("never",)
    assert policy.overdue(by, THEN + DAY) == ("mine", "never")
