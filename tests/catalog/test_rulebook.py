from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from chipwise import catalog, policy
from chipwise.catalog import rulebook
from chipwise.catalog.files import DATA, read_toml
from chipwise.errors import BadInput
from chipwise.policy.question import COUNTRIES

GOOD = {
    "id": '"a-rule"',
    "title": '{ en = "A rule", zh = "一条规则" }',
    "jurisdiction": '"US"',
    "kind": '"law"',
    "start": "2024-01-01",
    "review_by": "2027-01-01",
    "destinations": '["D:5", "MO", "-RU"]',
    "routes": '["sale"]',
    "condition": "\"dc_3A090a and chip != 'dc_3A090a'\"",
    "effect": '"control"',
    "outcome": '"licence_denial"',
    "confidence": '"source"',
    "citation": '"99 FR 1"',
}


def write(folder: Path, **changes: str | None) -> Path:
    path = folder / "a-rule.toml"
    content = {**GOOD, **changes}
    lines = [f"{key} = {value}" for key, value in content.items() if value is not None]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_rule_is_read(tmp_path: Path) -> None:
    rule = rulebook.read_rule(write(tmp_path))
    assert rule.destinations[:2] == ("AF", "BY")
    assert "RU" not in rule.destinations
    assert "MO" in rule.destinations
    # Terms are put in, but not within quotes.
    assert rule.condition.endswith("and chip != 'dc_3A090a'")
    assert rule.condition.startswith("(dc and (tpp >= 4800")
    policy.checked([rule])


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("id", '"another"', "the file's name, 'a-rule', was expected"),
        ("id", None, "id: is missing"),
        ("citation", None, "citation: is missing"),
        ("citation", '" "', "citation: is empty"),
        ("condition", '""', "condition: is empty"),
        ("review_by", None, "review_by: is missing"),
        ("jurisdiction", '"EU"', "one of US, CN was expected, not 'EU'"),
        ("kind", '"rumour"', "one of law, letter"),
        ("start", '"2024-01-01"', "a date such as 2026-11-23 without quotes"),
        ("start", "2024-01-01T00:00:00", "a date such as"),
        ("end", "2023-01-01", "a day after the start"),
        ("review_by", "2023-01-01", "a day after the start"),
        ("destinations", '"CN"', "a list was expected"),
        ("destinations", '["China"]', "a country's two letters"),
        ("destinations", '["CN", "CN"]', "the same text stands twice"),
        ("destinations", "[1]", "a list of texts"),
        ("origins", '["-US"]', "no country is left"),
        ("destinations", '["DE", "-A:5"]', "no country is left"),
        ("routes", '["ship"]', "one of sale, reexport"),
        ("end_users", '["army"]', "one of private, state, military"),
        ("effect", '"ban"', "one of control, relax, note"),
        ("outcome", None, "outcome: is missing"),
        ("outcome", '"forbidden"', "one of free, notify"),
        ("outcome", "5", "text in quotes was expected"),
        ("confidence", '"sure"', "one of source, reported"),
        ("items", '"all"', "one of us, any"),
        ("relaxes", '["x"]', "names the rules that it relaxes"),
        ("title", '{ en = "A rule" }', "a table with en and zh"),
        ("colour", '"red"', "unknown key; known are id"),
        ("case", '[{ outcome = "free", when = "x" }]', "case: outcome with destinations"),
        ("case", '[{ outcome = "gone" }]', "one of free"),
        ("doubt", '{ label = "x" }', "label, because"),
        ("doubt", '{ label = 3, because = "b" }', "a table of en and zh was expected, not 3"),
        ("needs", '["a", 3]', "a table of en and zh was expected, not 3"),
        ("needs", '[{ en = "a" }]', "a table of en and zh was expected"),
        ("needs", '[{ en = "a", zh = 1 }]', "a table of en and zh was expected"),
        ("needs", '["a", "a"]', "the same text stands twice"),
        ("reading", '[{ name = "die_area" }]', "chips is missing"),
        (
            "reading",
            '[{ name = "die_area", chips = ["a"], because = "b", value = 3, unit = "acre" }]',
            "unknown unit 'acre'",
        ),
        (
            "reading",
            '[{ name = "die_area", chips = ["a"], because = "b", value = true }]',
            "a text or a number above zero",
        ),
        ("duty", '"25 %"', "a number was expected"),
    ],
)
def test_a_broken_rule_names_file_key_and_what_was_expected(
    tmp_path: Path, key: str, value: str | None, said: str
) -> None:
    path = write(tmp_path, **{key: value})
    with pytest.raises(BadInput, match=said) as caught:
        rulebook.read_rule(path)
    text = str(caught.value)
    assert str(path) in text
    assert f"{key}: " in text
    if value is not None:
        number = [line.split(" =")[0] for line in path.read_text().splitlines()].index(key) + 1
        assert f"line {number}" in text


def test_what_a_rule_does_fits_what_it_says(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="outcome: a note has no outcome"):
        rulebook.read_rule(write(tmp_path, effect='"note"'))
    with pytest.raises(BadInput, match="relaxes: a relaxation names the rules"):
        rulebook.read_rule(write(tmp_path, effect='"relax"'))


def test_broken_toml_names_line_and_column(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text("id = \n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"not valid TOML.*line 1, column"):
        rulebook.read_rule(path)


def test_a_condition_outside_the_language_is_found_before_it_is_used(tmp_path: Path) -> None:
    rule = rulebook.read_rule(write(tmp_path, condition="'open(\"x\")'"))
    with pytest.raises(BadInput, match=r"a-rule\.toml: line 9: condition: .* is not allowed"):
        policy.checked([rule])


def test_a_fault_in_a_case_names_the_line_of_the_case(tmp_path: Path) -> None:
    path = write(tmp_path)
    good = path.read_text(encoding="utf-8")
    path.write_text(good + '[[case]]\noutcome = "free"\ncondition = "weight > 1"\n', "utf-8")
    at = f"line {len(good.splitlines()) + 1}"
    with pytest.raises(BadInput, match=rf"a-rule\.toml: {at}: condition: unknown name 'weight'"):
        policy.checked([rulebook.read_rule(path)])
    path.write_text(good + '[[case]]\noutcome = "gone"\n', "utf-8")
    with pytest.raises(BadInput, match=rf"a-rule\.toml: {at}: case: one of free"):
        rulebook.read_rule(path)


def test_all_rules_come_by_day() -> None:
    found = catalog.rules()
    assert [r.start for r in found] == sorted(r.start for r in found)
    assert len({r.id for r in found}) == len(found) >= 50
    assert found is catalog.rules()


def test_what_is_reported_counts_where_it_is_asked_for() -> None:
    plain = {r.id: r.counted for r in catalog.rules()}
    asked = {r.id: r.counted for r in catalog.rules(include=("reported",))}
    changed = {name for name in plain if plain[name] != asked[name]}
    reported = {r.id for r in catalog.rules() if r.confidence == "reported"}
    assert changed
    assert changed <= reported
    with pytest.raises(BadInput, match="include is 'rumours'"):
        catalog.rules(include=("rumours",))


def test_the_rules_know_the_same_words_as_the_room_that_computes() -> None:
    assert set(policy.ROUTES) == {r for rule in catalog.rules() for r in rule.routes}
    assert set(policy.INCLUDE) < set(rulebook.CONFIDENCES)
    assert {u for rule in catalog.rules() for u in rule.end_users} == set(policy.END_USERS)


def test_texts_are_in_one_language_or_in_both(tmp_path: Path) -> None:
    rule = rulebook.read_rule(write(tmp_path, needs='["a test", { en = "a notice", zh = "通知" }]'))
    assert rule.needs == ("a test", "a notice")
    assert rule.chinese == {"a notice": "通知"}
    assert "发货前 25 天通知" in " ".join(rulebook.rules_in_chinese().values())


def test_all_countries_but_some(tmp_path: Path) -> None:
    rule = rulebook.read_rule(write(tmp_path, origins='["*", "-US", "-A:6"]'))
    assert "*" in rule.origins
    assert "-US" in rule.origins
    assert "-TW" in rule.origins
    assert "US" not in rule.origins


def test_groups_of_countries_say_where_they_are_from() -> None:
    raw = read_toml(DATA / "rule_terms.toml")["groups"]
    groups = rulebook.rule_terms()[1]
    for name, group in raw.items():
        assert set(group) == {"provenance", "source", "countries"}
        assert group["provenance"] in ("source", "reported", "unverified"), name
        assert len(set(groups[name])) == len(groups[name]), name
        assert set(groups[name]) <= COUNTRIES, name
    assert not set(groups["A:5"]) & set(groups["A:6"])
    assert not set(groups["D:5"]) & {*groups["A:5"], *groups["A:6"]}
    assert (len(groups["A:5"]), len(groups["A:6"]), len(groups["D:5"])) == (37, 8, 23)


def test_a_rule_knows_of_which_countries_a_source_tells(tmp_path: Path) -> None:
    assert rulebook.read_rule(write(tmp_path)).sure == frozenset()
    rule = rulebook.read_rule(write(tmp_path, destinations='["D:5", "MO", "D:4", "-A:5"]'))
    assert {"CN", "MO", "DE"} <= rule.sure
    assert "AE" in rule.destinations
    assert "AE" not in rule.sure


def test_hong_kong_goes_with_china() -> None:
    terms, groups = rulebook.rule_terms()
    assert "HK" in groups["D:5"]
    assert "TW" in groups["A:6"]
    assert "only_3A090b" in terms
    assert date(2023, 11, 17) in {r.start for r in catalog.rules()}
