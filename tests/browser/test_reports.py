"""A report opens in Chromium without a network, asks for nothing, and shows its figures."""

from __future__ import annotations

import pytest

from chipwise.cli import main

pytestmark = pytest.mark.browser

ASKED = ["plan", "llama-2-70b", "--chips", "h100,h200", "--isl", "2048", "--osl", "128"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_report_opens_offline(browser, tmp_path, lang, scheme):
    out = tmp_path / "plan.html"
    assert main([*ASKED, "--no-simulate", "--report", str(out), "--lang", lang]) == 0
    context = browser.new_context(offline=True, color_scheme=scheme)
    page = context.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(out.as_uri())
    assert asked == [out.as_uri()]
    assert said == []
    figures = page.locator("figure svg")
    assert figures.count() == 3
    for at in range(3):
        assert figures.nth(at).bounding_box()["height"] > 200
    ink, paper = (
        page.evaluate(f"getComputedStyle(document.body).{name}")
        for name in ("color", "backgroundColor")
    )
    assert ink != paper
    label = page.locator("figure svg text").first
    assert label.evaluate("node => getComputedStyle(node).fill") == ink
    context.close()
