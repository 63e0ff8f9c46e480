"""Claims: the article's figures come out, faults are told, and nothing but sums is computed."""

from __future__ import annotations

import importlib.util
import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipwise import api, catalog
from chipwise.catalog.claims import Claim, claims
from chipwise.catalog.files import DATA
from chipwise.claims import judge, sentence
from chipwise.cli import main
from chipwise.errors import BadFact, BadInput, Infeasible
from tests.draws import draws

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def article():
    return {one.claim.id: one for one in api.claims()}


@pytest.fixture
def own(tmp_path):
    """Judge a claims file of one's own."""

    def judged(text):
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return {one.claim.id: one for one in api.claims(path)}

    return judged


def never(_):
    raise AssertionError("neither the model nor the rules were asked for")


# -- the article ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "name", "value"),
    [
        ("nearly-double", "memory", 141 / 80),
        ("nearly-double", "bandwidth", 4.8 / 3.35),
        ("ten-times", "over_1600", 15832 / 1600),
        ("ten-times", "over_4800", 15832 / 4800),
        ("ten-times", "over_h20", 15832 / 2368),
        ("h20-downgraded", "tpp", 2368 / 15832),
        ("h20-downgraded", "bandwidth", 4.0 / 3.35),
    ],
)
def test_a_sum_of_printed_figures_is_exact(article, claim, name, value):
    assert article[claim].computed[name] == pytest.approx(value, rel=1e-12)


def test_the_verdicts_are_those_of_the_sums(article):
    found = {name: one.verdict for name, one in article.items()}
    assert {n for n, v in found.items() if v == "holds_in_part"} == {
        "nearly-double",
        "llama2-70b",
        "h20-downgraded",
        "ten-times",
        "csp-rents-out",
        "dependence",
        "no-immediate-hit",
        "china-revenue",
    }
    assert {n for n, v in found.items() if v == "cannot_be_known"} == {
        "muted-reaction",
        "domestic-market",
    }
    assert set(found.values()) == {"holds", "holds_in_part", "cannot_be_known"}


def test_the_ratio_on_llama_depends_on_the_batch(article):
    """NVIDIA's 1.9 (batch 32 against 8) within the model's error; less where batches are equal."""
    found = article["llama2-70b"].computed
    assert found["printed"] == 1.9
    assert found["nvidia_batches"] == pytest.approx(1.9, rel=0.12)
    # Bandwidth alone bounds what equal batches can give.
    assert 1.0 < found["equal_batch"] < 4.8 / 3.35
    assert found["equal_batch"] < found["max_batch"] < found["nvidia_batches"]
    assert found["h100_max_batch"] >= 8
    assert found["h200_max_batch"] > found["h100_max_batch"]


def test_the_ratio_on_llama_is_that_of_estimate(article):
    load = api.workload(2048, 128)

    def rate(chip, batch):
        row = api.estimate(
            "llama-2-70b", chip, load, batch=batch, weights="fp8", kv="fp8", backend="trtllm"
        )
        return row.quantities["throughput"].value

    found = article["llama2-70b"].computed
    assert found["equal_batch"] == rate("h200", 8) / rate("h100", 8)
    assert found["max_batch"] == rate("h200", "max") / rate("h100", "max")
    setting = article["llama2-70b"].claim.setting["en"]
    for part in ("fp8", "TensorRT-LLM", "TP 1", "2048", "128", "batch 32", "batch 8"):
        assert part in setting


def test_renting_abroad_and_buying_differ(article):
    one = article["csp-rents-out"]
    assert any("us-2023-10-3A090a-dc" in source for source in one.sources)
    asked = one.claim.statuses
    status = {
        name: api.verdict(api.chip(s.chip), api.Ask(on=s.on, route=s.route)).status
        for name, s in asked.items()
    }
    assert asked["sold"].on == date(2025, 6, 1)
    assert status == {
        "sold": "licence_denial",
        "abroad": "free",
        "later": "free",
        "inside": "licence_denial",
    }


def test_dependence_is_the_sum_of_the_fleet(article):
    """A surprise cut-off over what serving costs, from the numbers that docs/fleet.md shows."""
    numbers = json.loads((ROOT / "docs" / "fleet.numbers.json").read_text("utf-8"))
    cut = numbers["cut_offs"][0]
    assert cut["asked"] == {"vendor": "NVIDIA", "from": "2027-Q1"}
    found = article["dependence"].computed
    assert found["dearer"] == pytest.approx((cut["low"] + cut["high"]) / 2 / cut["base"], rel=1e-5)
    assert found["share_2026"] == numbers["shares"][0]["shares"]["NVIDIA"]
    assert found["share_2030"] == numbers["shares"][-1]["shares"]["NVIDIA"]
    assert found["dearer"] < found["dearer_half_domestic"]
    bought = {name: by["2026"] for name, by in numbers["domestic_bought"].items()}
    fewer = article["no-immediate-hit"].computed["fewer"]
    assert fewer == pytest.approx(1 - bought["with_h200"] / bought["without_h200"], rel=1e-5)
    assert any("fleet-example" in source for source in article["dependence"].sources)


def test_the_figures_of_the_fleet_are_those_of_its_page():
    """Both are written by one run, and tests/fleet/test_numbers.py keeps the page fresh."""
    path = ROOT / "benchmarks" / "fleet_numbers.py"
    spec = importlib.util.spec_from_file_location("fleet_numbers", path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    numbers = json.loads((ROOT / "docs" / "fleet.numbers.json").read_text("utf-8"))
    kept = (DATA / "fleet_figures.toml").read_text("utf-8")
    assert kept == made.as_toml(numbers), "run benchmarks/fleet_numbers.py"


def test_every_sum_says_what_it_rests_on(article):
    sources = catalog.sources()
    for one in article.values():
        if one.claim.computed:
            assert one.sources
        for source in one.sources:
            key, _, where = source.partition(": ")
            assert where
            if not key.startswith(("rule.", "run.")) and not where.endswith(".toml"):
                assert where in sources or where.startswith(("us-", "cn-"))


def test_what_has_no_source_is_named(article):
    assert set(article["china-revenue"].rests_on_unverified) == {
        "china-revenue.china_2025",
        "china-revenue.revenue_2025",
    }
    assert not article["ten-times"].rests_on_unverified


def test_what_cannot_be_known_says_what_would_settle_it(article):
    for one in article.values():
        if one.verdict == "cannot_be_known":
            assert one.claim.settled_by["en"]
            assert one.claim.settled_by["zh"]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_sentence_holds_its_figures(article, lang):
    for one in article.values():
        text = sentence(one, lang)
        assert text
        assert not set("{}?") & set(text)
    assert "9.9" in sentence(article["ten-times"], lang)
    assert "13.1 %" in sentence(article["china-revenue"], lang)


# -- a file of one's own -------------------------------------------------------------------------


def test_a_claim_of_ones_own(own):
    found = own(
        """
[more]
claim = "The H200 has more than twice the memory of the H100."
computed = { ratio = "h200.memory / h100.memory" }
holds = "ratio > 2"
[tpp]
claim = "Its TPP is above 15,000."
chips = { chip = "nvidia-h200-sxm" }
holds = 'chip.tpp > 15000 and chip.vendor == "NVIDIA" and not chip.tpp >= 16000'
"""
    )
    assert found["more"].verdict == "does_not_hold"
    assert found["more"].computed == {"ratio": 141 / 80}
    assert found["tpp"].verdict == "holds"


def test_claims_can_share_a_file_of_figures(own, tmp_path):
    shared = 'sold = { value = 12, unit = "1", source = "ledger" }'
    (tmp_path / "figures.toml").write_text(shared, encoding="utf-8")
    text = """
[x]
claim = "a"
figures = "figures.toml"
holds = "sold > 10"
"""
    one = own(text)["x"]
    assert one.verdict == "holds"
    assert one.sources == ("x.sold: ledger",)


@pytest.mark.parametrize("name", ["none.toml", "../mine.toml", "/etc/hostname", ".", ""])
def test_a_file_of_figures_lies_beside_the_claims(own, name):
    with pytest.raises(BadInput, match=r"x\.figures: the name of a file beside mine\.toml"):
        own(f'[x]\nclaim = "a"\nholds = "1 > 2"\nfigures = "{name}"')


def test_an_unknown_fact_is_named_and_settles_nothing(own):
    one = own('[x]\nclaim = "a"\ncomputed = { r = "mi308x.tpp / 2" }\nholds = "r > 1"')["x"]
    assert one.verdict == "cannot_be_known"
    assert one.computed == {}
    assert any(fact.startswith("amd-mi308x.flops") for fact in one.missing)


def test_a_part_can_settle_what_another_leaves_open(own):
    one = own('[x]\nclaim = "a"\nholds = "mi308x.tpp > 1 or h200.memory == 141"')["x"]
    assert one.verdict == "holds"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[x]\nclaim = "a"', "x.holds: either a condition"),
        ("[x]\nholds = 'h200.memory > 1'", "claim is missing"),
        ('[x]\nclaim = 3\nverdict = "holds"', "x.claim: text in quotes, or a table"),
        ('[x]\nclaim = "a"\nverdict = "true"', "x.verdict: one of holds"),
        ('[x]\nclaim = "a"\nhold = "1 > 2"', "unknown key 'hold'"),
        ('[x]\nclaim = "a"\nholds = "h200.mem > 1"', "x.holds: a chip has no 'mem'"),
        ('[x]\nclaim = "a"\nholds = "h999.memory > 1"', "x.holds: unknown chip 'h999'"),
        ('[x]\nclaim = "a"\nholds = "nothing > 1"', "x.holds: unknown name 'nothing'"),
        ('[x]\nclaim = "a"\nholds = "h200.memory"', "x.holds: a comparison was expected"),
        ('[x]\nclaim = "a"\nholds = "h200.memory >"', "x.holds: no sum"),
        ('[x]\nclaim = "a"\nholds = "h200.memory / 0 > 1"', "divides by zero"),
        ('[x]\nclaim = "a"\nholds = "h200.vendor > 1"', "is compared with"),
        ('[x]\nclaim = "a"\nholds = "h200.memory + h200.vendor > 1"', "a number was expected"),
        ('[x]\nclaim = "a"\nholds = "1 > 2"\nrules = ["us-0"]', "there is no rule 'us-0'"),
        ('[x]\nclaim = "a"\nholds = "1 > 2"\nruns.r = {model = "m"}', "x.runs.r: chip, isl"),
        (
            '[x]\nclaim = "a"\nholds = "f > 2"\nfacts.f = {value = -1, unit = "1"}',
            "x.facts.f: value must be above zero",
        ),
        (
            (
                '[x]\nclaim = "a"\nholds = "s.status == \'free\'"\n'
                'statuses.s = {chip = "h200", on = "2025-01-01", route = "sale"}'
            ),
            "x.statuses.s.on: a day",
        ),
        ('x = 3\n[y]\nclaim = "a"\nholds = "1 > 2"', "a table was expected"),
        ("", "no claim is in it"),
        ("[x", "not valid TOML"),
    ],
)
def test_a_fault_says_where_and_what_was_expected(own, text, said):
    with pytest.raises(BadInput) as caught:
        own(text)
    assert said in str(caught.value)
    assert "mine.toml" in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "__import__('os').system('true') == 0",
        "h200.__class__ == 1",
        "h200.memory.real > 1",
        "(lambda: 1)() == 1",
        "[1][0] == 1",
        "h200.memory if 1 else 2",
        "f'{h200}' == ''",
        "2 ** 99 > 1",
        "'a' * 9 == 'b'",
        "(x := 3) > 2",
    ],
)
def test_a_sum_reaches_nothing_but_its_names(source):
    one = Claim("x", {"en": "a", "zh": "a"}, {}, {}, holds=source, place="mine.toml")
    with pytest.raises(BadFact):
        judge([one], estimate=never, verdict=never)


# Split at blanks; a blank of its own is the last.
WORDS = (
    *[
        "h200",
        ".",
        "memory",
        "tpp",
        "vendor",
        "'NVIDIA'",
        "1",
        "0",
        "2.5",
        "1e308",
        "nan",
        "x",
        "+",
        "-",
        "*",
        "/",
        "**",
        "%",
        "<",
        "==",
        ">=",
        "(",
        ")",
        "[",
        "]",
    ],
    *[
        "{",
        "}",
        ",",
        ":",
        "=",
        "lambda",
        "__import__",
        "__class__",
        "open",
        "and",
        "or",
        "not",
        "if",
        "else",
        "\\",
    ],
    " ",
)


@draws(300)
@given(st.lists(st.sampled_from(WORDS), max_size=12).map("".join))
def test_whatever_is_written_is_a_verdict_or_a_fault_that_names_its_place(source):
    one = Claim("x", {"en": "a", "zh": "a"}, {}, {}, holds=source, place="mine.toml")
    try:
        [found] = judge([one], estimate=never, verdict=never)
        told = found.verdict
    except BadFact as error:
        told = str(error)
    assert told.startswith(("mine.toml: x.holds: ", "holds", "does_not_hold", "cannot_be_known"))


def test_a_run_that_does_not_fit_leaves_the_claim_open():
    def refused(_):
        raise Infeasible("16 GB missing")

    [one] = [c for c in claims() if c.id == "llama2-70b"]
    [found] = judge([one], estimate=refused, verdict=never)
    assert found.verdict == "cannot_be_known"
    assert any("16 GB missing" in each for each in found.missing)


def test_a_run_is_made_once_for_all_claims():
    asked = []

    def counted(run):
        asked.append(run)
        load = api.workload(run.isl, run.osl)
        form = {"weights": run.weights, "kv": run.kv, "backend": run.backend}
        return api.estimate(run.model, run.chip, load, batch=run.batch, tp=run.tp, **form)

    [one] = [c for c in claims() if c.id == "llama2-70b"]
    judge([one, one], estimate=counted, verdict=never)
    assert len(asked) == len(set(asked)) == 5


# -- the command ---------------------------------------------------------------------------------


def test_the_command_in_both_languages(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["claims"]) == 0
    english = capsys.readouterr().out
    assert main(["claims", "--lang", "zh"]) == 0
    chinese = capsys.readouterr().out
    assert "holds in part" in english
    assert "部分成立" in chinese
    assert "holds in part" not in chinese


def test_the_json_has_the_keys_that_others_rely_on(capsys):
    assert main(["claims", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for one in found:
        assert {"id", "claim", "computed", "verdict", "setting", "sources"} <= set(one)
    assert [one["id"] for one in found] == [one.id for one in claims()]
