"""The page as people meet it: in Chromium, in both languages, by mouse and by keyboard."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
PLAN = "/plan?model=llama-2-70b&chips=h200&chips=h20&isl=2048&osl=128&mode=agg"
COMPARE = (
    "/compare?model_1=llama-2-70b&chip_1=h200&tp_1=2&model_2=llama-2-70b&chip_2=910c&tp_2=2"
    "&isl=2048&osl=128&concurrency=32"
)
PAGES = {
    "home": "/",
    "plan": PLAN,
    "compare": COMPARE,
    "simulate": "/simulate",
    "train": "/train?model=llama-2-70b&chip=h100&chips=64&seq=4096&batch=64",
    "fleet": "/fleet",
    "policy": "/policy?chip=h20&on=2025-06-01",
    "claims": "/claims",
    "chips": "/catalog/chips",
    "chip": "/catalog/chips/nvidia-h200-sxm",
    "model": "/catalog/models/meta-llama/Llama-2-70b-hf",
    "prices": "/catalog/prices",
    "rules": "/catalog/rules",
    "sources": "/catalog/sources",
    "studies": "/studies",
}
SIMULATE = "/simulate?model=llama-3.1-8b&chip=h200&isl=512&osl=64&rate=5&requests=200"
LONG = "/simulate?model=llama-2-70b&chip=h200&tp=2&isl=2048&osl=9000&rate=50&requests=20000"


def spoken(path, lang):
    return f"{path}{'&' if '?' in path else '?'}lang={lang}"


def opened(page, path):
    """A page with its answer: a server that has just begun shows first that it computes."""
    answer = page.goto(path)
    page.locator("html:not(:has(#job)) footer").wait_for(timeout=300_000)
    page.wait_for_load_state()
    return answer


def serious(page):
    """What axe finds that would keep somebody from using the page."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (each["id"], [node["html"][:150] for node in each["nodes"][:3]])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_can_be_used_by_all(page, name, lang):
    answer = opened(page, spoken(PAGES[name], lang))
    assert answer.status == 200
    assert page.locator("html").get_attribute("lang") == {"en": "en", "zh": "zh-Hans"}[lang]
    assert serious(page) == []


@pytest.mark.parametrize("name", ["home", "plan", "compare", "chip"])
def test_a_page_in_the_dark_and_on_a_small_screen(page, name):
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 380, "height": 800})
    opened(page, PAGES[name])
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_plan_is_asked_and_its_address_shows_it_again(page):
    page.goto("/plan")
    page.get_by_label("Model", exact=True).fill("llama-3.1-8b")
    picked = page.locator(".chips input:checked")
    while picked.count():
        picked.first.uncheck()
    page.get_by_label("NVIDIA H200 SXM").check()
    page.get_by_label("Prompt tokens (ISL)").fill("1024")
    page.get_by_role("button", name="Compute").click()
    page.wait_for_url(re.compile(r"isl=1024"))
    row = page.locator("section.answer table").first.locator("tbody tr").first
    assert row.locator("th").inner_text() == "h200-sxm"
    assert "rate=" not in page.url, "empty fields stay out of the address"
    before = page.locator("section.answer table").first.inner_text()
    opened(page, page.url)
    assert page.locator("section.answer table").first.inner_text() == before
    assert page.locator("canvas").count() == 3


def test_the_other_language_tells_the_same_numbers(page):
    opened(page, PLAN)
    number = re.compile(r"\d[\d.,–]*")
    english = page.locator("section.answer table").first.locator("td.number").all_inner_texts()
    page.get_by_role("link", name="中文").click()
    page.wait_for_url(re.compile("lang=zh"))
    assert page.locator("h1").inner_text() == "部署方案"
    chinese = page.locator("section.answer table").first.locator("td.number").all_inner_texts()
    assert english == chinese
    assert any(number.search(text) for text in english)
    page.get_by_role("link", name="目录").click()
    assert "lang=zh" in page.url, "the language goes along"


def test_a_value_leads_to_its_source(page):
    page.goto("/plan?model=llama-2-70b&chips=h200&isl=2048&osl=128&mode=agg")
    page.get_by_role("link", name="h200-sxm").first.click()
    page.wait_for_url(re.compile("/catalog/chips/nvidia-h200-sxm"))
    row = page.locator("tr", has=page.get_by_role("rowheader", name="memory_bandwidth", exact=True))
    row.get_by_role("link").click()
    page.wait_for_url(re.compile("/catalog/sources/"))
    assert page.locator("a[rel~=external]").first.get_attribute("href").startswith("https://")


def test_a_simulation_runs_and_shows_what_came_of_it(page):
    page.goto(SIMULATE)
    page.locator("section.answer table").wait_for()
    assert "200 requests" in page.locator("section.answer caption").inner_text()
    assert page.locator("canvas").count() == 3
    assert serious(page) == []


def test_a_simulation_can_be_cancelled(page):
    page.goto(LONG)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled.").wait_for()
    assert serious(page) == []
    assert page.get_by_role("button", name="Cancel").is_hidden()


def _kept(page, click):
    with page.expect_download() as waited:
        click()
    return waited.value.suggested_filename, Path(waited.value.path()).read_bytes()


def test_answers_and_pictures_can_be_kept(page):
    opened(page, PLAN)
    name, content = _kept(page, page.get_by_role("link", name="JSON").click)
    assert name == "chipwise-plan.json"
    rows = json.loads(content)["chips"]
    name, content = _kept(page, page.get_by_role("link", name="CSV").click)
    assert name == "chipwise-plan.csv"
    read = list(csv.DictReader(io.StringIO(content.decode())))
    assert [r["chip"] for r in read][: len(rows)] == [r["chip"] for r in rows]
    name, content = _kept(page, page.get_by_role("link", name="HTML").click)
    assert name == "chipwise-plan.html"
    assert b"http-equiv" in content or b"<html" in content
    name, content = _kept(page, page.get_by_role("button", name="PNG").first.click)
    assert (name, content[:4]) == ("chipwise-pareto.png", b"\x89PNG")
    name, content = _kept(page, page.get_by_role("button", name="SVG").first.click)
    assert name == "chipwise-pareto.svg"
    assert content.startswith(b"<svg")


def test_what_is_wrong_is_told_beside_the_form(page):
    page.goto("/plan?model=llama-2-70b&chips=h200&isl=2048&osl=128&weights=fp8&tp=7")
    assert page.locator("form.ask").count() == 1
    page.goto("/")
    assert page.locator("[role=alert]").count() == 0


def test_the_keyboard_reaches_the_content(page):
    page.goto("/plan")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_the_reader_chooses_light_or_dark(page):
    page.emulate_media(color_scheme="light")
    opened(page, PLAN)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(ground) != light
    page.reload()
    assert page.evaluate(ground) != light


def test_a_page_weighs_little(page):
    sizes = []
    page.on("requestfinished", lambda r: sizes.append(r.sizes()["responseBodySize"]))
    page.goto(PLAN, wait_until="networkidle")
    assert 0 < sum(sizes) <= 500_000


LOOK = """(name) => {
  for (const series of [...chipwise.charts.values()][0].getOption().series)
    for (const each of series.data ?? [])
      if (each.of?.name === name) return [series.name, series.itemStyle.color];
}"""


def test_a_chip_changes_its_colour_as_the_day_moves(page):
    opened(page, "/policy?on=2025-03-01&lang=en")
    before = page.evaluate(LOOK, "h20-96")
    assert before[0] == "free"
    told = page.locator("figcaption").first.inner_text()
    slider = page.get_by_role("slider")
    days = page.evaluate("JSON.parse(document.querySelector('[id$=-data]').textContent).days")
    slider.fill(str(days.index("2025-04-09")))
    after = page.evaluate(LOOK, "h20-96")
    assert after[0] == "licence: denial"
    assert after[1] != before[1]
    assert page.locator("#day-shown").inner_text() == "2025-04-09"
    assert page.locator("figcaption").first.inner_text() != told


def test_the_first_page_answers_with_numbers(page):
    opened(page, "/?lang=en")
    answer = page.locator("section.answer").inner_text()
    assert re.search(r"one h200-sxm gives [\d,]+ output tokens/s", answer)
    assert "rented abroad" in answer
    assert "NVIDIA" in answer


@pytest.mark.slow
def test_the_fleet_is_asked_and_its_cut_off_shown(page):
    page.goto("/fleet?cut_off=vendor%3DNVIDIA&since=2027-Q1&lang=en")
    page.locator("figure").first.wait_for()
    assert "2027-Q1" in page.locator("figcaption").first.inner_text()
