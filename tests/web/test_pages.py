"""Pages made of answers that are there already, asked without a socket."""

from __future__ import annotations

import asyncio
from datetime import date

from chipwise import figures, questions, studies
from chipwise.web import application
from tests.web.asking import ask


def test_a_study_shows_the_figures_and_tables_of_its_answer(monkeypatch, tmp_path):
    monkeypatch.setenv("CHIPWISE_STUDIES", str(tmp_path / "studies.sqlite3"))
    found = questions.timeline({"chip": "h20"})
    studies.save("kept", "policy_timeline", ["policy", "h20"], found, day=date(2026, 11, 28))
    code, _, content = asyncio.run(ask(application(), b"/studies/kept", b"lang=zh"))
    page = content.decode()
    assert code == 200
    assert 'data-chart="spans"' in page
    assert figures.chart("status", found, "zh")["reading"] in page
    assert all(period["start"] in page for period in found["periods"])
