"""What is read under a chart is what its numbers say, the same in both languages."""

import re
from pathlib import Path

import pytest

from chipwise import figures, questions
from chipwise.web import work

NUMBER = re.compile(r"\d[\d,.]*\d|\d")


def _quiet(done, total):
    pass


@pytest.fixture(scope="module")
def plan():
    asked = {"model": "llama-2-70b", "chips": ["h200", "h20"], "isl": 2048, "osl": 128}
    return questions.plan({**asked, "mode": "agg", "simulate": False, "roofline": True})


@pytest.fixture(scope="module")
def compared():
    sides = {"model_1": "llama-2-70b", "chip_1": "h200", "model_2": "llama-2-70b", "chip_2": "b200"}
    asked = {**sides, "tp_1": 2, "tp_2": 2, "isl": 2048, "osl": 128, "concurrency": 8}
    return work.WORK["compare"](asked, _quiet)


def _same(name, found):
    english, chinese = (figures.chart(name, found, lang) for lang in ("en", "zh"))
    numbers = [sorted(NUMBER.findall(each["reading"])) for each in (english, chinese)]
    assert numbers[0] == numbers[1]
    return english


def test_the_cheapest_and_the_quickest_are_told(plan):
    chart = _same("pareto", plan)
    usd = {r["chip"]: r["usd_per_million_output_tokens"]["value"] for r in plan["chips"]}
    cheapest = min(usd, key=usd.get)
    assert chart["reading"].startswith(cheapest.partition("-")[2])
    for point in chart["points"]:
        assert point["x"][1] <= point["x"][0] <= point["x"][2]
        assert point["y"][1] <= point["y"][0] <= point["y"][2]


def test_the_parts_of_the_memory_add_up(plan):
    chart = _same("memory", plan)
    for at, row in enumerate(plan["chips"]):
        whole = sum(part["values"][at] for part in chart["parts"])
        assert whole == pytest.approx(row["memory_bytes"]["total"] / 1e9)


def test_operators_stand_under_the_roof_of_the_cheapest_chip(plan):
    chart = _same("roofline", plan)
    usd = {r["chip"]: r["usd_per_million_output_tokens"]["value"] for r in plan["chips"]}
    cheapest = min(usd, key=usd.get).partition("-")[2]
    assert all(cheapest in panel["title"] for panel in chart["panels"])
    for panel in chart["panels"]:
        assert panel["points"]
        for point in panel["points"]:
            assert 0 < point["at"][1] <= point["attainable"]
        for roof in panel["roofs"]:
            (x0, y0), (x1, y1), (_, y2) = roof["points"]
            assert y1 == y2
            assert y1 / x1 == pytest.approx(y0 / x0)


def test_no_chart_is_drawn_of_nothing(plan):
    none = {**plan, "chips": [{**r, "feasible": False} for r in plan["chips"]], "apart": []}
    assert figures.chart("pareto", none, "en") is None
    assert figures.chart("memory", none, "en") is None


def test_the_ratio_of_two_deployments_is_told(compared):
    chart = _same("compared", compared)
    rates = sorted(s["output_tokens_per_s_per_chip"]["value"] for s in compared["sides"])
    assert f"{rates[-1] / rates[0]:.3g} times" in chart["reading"]


def test_a_side_that_is_not_possible_says_why():
    sides = {"model_1": "llama-2-70b", "chip_1": "h200", "model_2": "llama-2-70b", "chip_2": "h20"}
    asked = {**sides, "tp_1": 2, "tp_2": 3, "isl": 2048, "osl": 128, "concurrency": 8}
    found = work.WORK["compare"](asked, _quiet)
    assert [side["feasible"] for side in found["sides"]] == [True, False]
    assert "tp 3 does not divide" in found["sides"][1]["why"]


@pytest.mark.slow
def test_a_timeline_counts_every_request():
    asked = {"model": "llama-3.1-8b", "chip": "h200", "isl": 512, "osl": 64, "rate": 5.0}
    told = []
    found = work.WORK["simulate"](
        {**asked, "requests": 60}, lambda done, total: told.append((done, total))
    )
    last = found["timeline"][-1]
    assert (last["waiting"], last["running"], last["done"]) == (0, 0, 60)
    assert all(m["waiting"] >= 0 and m["running"] >= 0 for m in found["timeline"])
    assert [done for done, _ in told] == list(range(len(told)))
    assert told[-1][0] == told[-1][1]
    _same("loads", found)
    _same("timeline", found)


def test_a_step_is_told_by_its_largest_part():
    asked = {"model": "llama-3.1-8b", "chip": "h100", "chips": 8, "seq": 4096, "batch": 64}
    found = work.WORK["train"](asked, _quiet)
    chart = _same("step", found)
    largest = max(found["parts_s"].values())
    assert f"{largest:.3g}" in chart["reading"]
    _same("memory", found)


def test_every_shape_is_drawn_for_papers_and_for_pages():
    room = Path(figures.__file__).parent
    shapes = {s for p in room.glob("*.py") for s in re.findall(r'"draw": "(\w+)"', p.read_text())}
    scripts = "".join(p.read_text() for p in (room.parent / "pages/static").glob("*.js"))
    assert len(shapes) > 8
    assert shapes <= set(re.findall(r"(?:draw\.|^    )(\w+)(?: = \(|\()of", scripts, re.MULTILINE))
    assert shapes <= set(re.findall(r'"(\w+)": _\w+,', (room.parent / "plot.py").read_text()))
