"""Figures: in both languages, the same each time, no glyph missing; reports that hold them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from chipwise import figures, plot, report
from chipwise.cli import main
from chipwise.errors import BadInput, Infeasible
from chipwise.figures import FIGURES
from chipwise.tables.kinds import KINDS

LOAD = ["--isl", "2048", "--osl", "128"]
ASKED = {
    "plan": ["plan", "llama-2-70b", "--chips", "h100,mi300x,910c", "--no-simulate", *LOAD],
    "estimate": ["estimate", "llama-2-70b", "--chip", "h200", "--weights", "fp8", "--batch", "8"],
    "train": ["train", "llama-2-70b", "--chip", "h200", "--chips", "128", "--seq", "4096"],
    "simulate": ["simulate", "--step-time", "0.01,5e-5,5e-5,2e-8", "--kv-blocks", "3000", *LOAD],
    "landscape": ["policy", "h20", "--map", "--on", "2025-06-01"],
    "policy_timeline": ["policy", "h20", "--timeline"],
    "fleet": [
        "fleet",
        "FILE",
        *("--gap", "0.05", "--cut-off", "vendor=NVIDIA,from=2026-Q3", "--curve", "vendor=NVIDIA"),
    ],
    "frontier": ["frontier", "--rule", "us-2023-10-3A090a-dc", "--model", "llama-2-70b", *LOAD],
    "validate": ["validate", str(Path(__file__).parent / "validation" / "runs.csv")],
}
ASKED["estimate"] += LOAD
ASKED["train"] += ["--global-batch", "256"]
ASKED["simulate"] += ["--rate", "1", "--requests", "50", "--loads", "--moments"]
ASKED["plan"] += ["--roofline"]
ASKED["estimate"] += ["--roofline"]
ASKED["frontier"] += ["--chips", "h20,h100,rtx5090d"]
# Comparisons are asked on pages alone.
PAIRS = [(name, kind) for name, each in FIGURES.items() for kind in each.kinds if kind != "compare"]
FIRST = list({name: (name, kind) for name, kind in reversed(PAIRS)}.values())


@pytest.fixture(scope="session")
def answered(short_fleet):
    """Answers by kind, each asked once."""
    kept = {}

    def ask(kind, capsys):
        if kind not in kept:
            asked = [short_fleet if word == "FILE" else word for word in ASKED[kind]]
            assert main([*asked, "--format", "json"]) == 0
            kept[kind] = json.loads(capsys.readouterr().out)
        return kept[kind]

    return ask


@pytest.fixture
def answer(answered, capsys):
    return lambda kind: answered(kind, capsys)


@pytest.fixture(scope="session")
def reported(answered):
    """Reports by kind and language, each made once."""
    kept = {}

    def make(kind, lang, capsys):
        if (kind, lang) not in kept:
            command = "chipwise <x> & 'y'"
            kept[kind, lang] = report.html(kind, answered(kind, capsys), lang, command=command)
        return kept[kind, lang]

    return make


@pytest.fixture
def without_chinese(monkeypatch):
    monkeypatch.setattr(plot, "_chinese", lambda: None)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), FIRST)
def test_a_figure_has_every_glyph_and_reads_in_both_languages(answer, name, kind):
    """Warnings are errors: a glyph that no font has would end this. Reports draw the English."""
    lang = "en" if plot._chinese() is None else "zh"
    drawn, reading = plot.render(name, kind, answer(kind), lang, "svg")
    assert b"<svg" in drawn
    readings = {each: figures.chart(name, answer(kind), each)["reading"] for each in ("en", "zh")}
    assert reading == readings[lang]
    for each, text in readings.items():
        assert bool(re.search("[一-鿿]", text)) == (each == "zh")
        assert "nan" not in text


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_figure_is_drawn_the_same_each_time(answer, name, kind, lang):
    """Warnings are errors: a glyph that no font has would end this."""
    if lang == "zh" and plot._chinese() is None:
        pytest.skip("no installed font has Chinese")
    first, reading = plot.render(name, kind, answer(kind), lang, "svg")
    again, _ = plot.render(name, kind, answer(kind), lang, "svg")
    assert first == again
    assert b"<svg" in first
    assert b"<dc:date>" not in first
    assert bool(re.search("[一-鿿]", reading)) == (lang == "zh")
    assert "nan" not in reading


@pytest.mark.parametrize(
    ("form", "start"),
    [("svg", b"<?xml"), pytest.param("pdf", b"%PDF", marks=pytest.mark.slow), ("png", b"\x89PNG")],
)
def test_every_form_is_the_same_each_time(answer, form, start):
    made = [plot.render("memory", "plan", answer("plan"), "en", form)[0] for _ in range(2)]
    assert made[0] == made[1]
    assert made[0].startswith(start)


def test_readings_tell_the_numbers_of_the_answer(answer):
    _, reading = plot.render("pareto", "plan", answer("plan"), "en", "svg")
    able = [
        r
        for r in (*answer("plan")["chips"], *(p for p in answer("plan")["pareto"]))
        if r.get("usd_per_million_output_tokens")
    ]
    least = min(r["usd_per_million_output_tokens"]["value"] for r in able)
    assert f"{least:.3g} USD" in reading


def test_chinese_without_a_font_is_refused_with_a_way_out(answer, without_chinese):
    with pytest.raises(Infeasible, match="fonts-noto-cjk"):
        plot.render("memory", "plan", answer("plan"), "zh", "svg")


def test_what_cannot_be_drawn_is_told(answer):
    with pytest.raises(BadInput, match="unknown figure 'pie'"):
        plot.draw("pie", "plan", answer("plan"), "en")
    with pytest.raises(BadInput, match="fleet is drawn of answers of fleet, not of plan"):
        plot.draw("fleet", "plan", answer("plan"), "en")
    with pytest.raises(Infeasible, match="nothing that diversification could show"):
        plot.draw("diversification", "fleet", {"diversification": []}, "en")


# -- reports -------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """Tags, texts of cells and addresses of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.open, self.asked, self.cells, self.within = [], [], [], [], False

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data", "action", "poster"):
                self.asked.append(value)
            if name.endswith("href") and tag != "a" and not value.startswith("#"):
                self.asked.append(value)
        if tag == "td":
            self.within = True
            self.cells.append("")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.within = self.within and tag != "td"

    def handle_data(self, data):
        if self.within:
            self.cells[-1] += data


@pytest.mark.parametrize("lang", ["en", pytest.param("zh", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "kind",
    [
        *("train", "fleet"),
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("plan", "estimate", "simulate", "validate")
        ),
    ],
)
def test_a_report_needs_nothing_else_and_has_the_numbers_of_the_answer(
    answer, reported, capsys, kind, lang
):
    made = reported(kind, lang, capsys)
    page = _Page()
    page.feed(made)
    page.close()
    assert page.open == []
    assert page.asked == []
    assert not {"script", "link", "iframe", "object", "img"} & set(page.tags)
    assert not re.search(r"url\((?!#)|@import", made)
    assert "chipwise &lt;x&gt; &amp; &#39;y&#39;" in made
    assert page.tags.count("figure") == len(figures.charts(kind, answer(kind), lang))
    sheets = [s for s in KINDS[kind].document(answer(kind), lang) if not isinstance(s, str)]
    expected = [f"{c.text}{c.beside}" for s in sheets for row in s.rows for c in row]
    assert page.cells[: len(expected)] == expected


def test_a_report_in_chinese_needs_no_font_here(answer, without_chinese, recwarn):
    assert "<svg" in report.html("train", answer("train"), "zh")


def test_marks_of_figures_on_one_page_are_not_mixed_up(reported, capsys):
    marks = re.findall(r'<[^>]*\bid="([^"]+)"', reported("fleet", "en", capsys))
    assert len(marks) > 20
    assert len(marks) == len(set(marks))


def test_there_is_no_report_of_a_list():
    with pytest.raises(BadInput, match="no report of 'chips'"):
        report.html("chips", {}, "en")


# -- the command ---------------------------------------------------------------------------------


def test_plot_asks_the_command_and_writes_the_file(capsys, tmp_path):
    out = tmp_path / "a" / "h20.svg"
    code = main(["plot", "status", "--out", str(out), "policy", "h20", "--timeline"])
    assert code == 0
    assert "h20-96 changed" in capsys.readouterr().out
    assert out.read_bytes().startswith(b"<?xml")


def test_plot_draws_a_study(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("CHIPWISE_STUDIES", str(tmp_path / "studies.sqlite3"))
    main(["policy", "h20", "--timeline", "--save", "one"])
    capsys.readouterr()
    out = tmp_path / "h20.png"
    asked = ["plot", "status", "--out", str(out), "--study", "one", "--format", "json"]
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out)["figure"] == "status"
    assert out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pie", "--out", "x.svg"], "unknown figure 'pie'"),
        (["status", "--out", "x.gif", "policy", "h20"], "name it .svg, .pdf, .png"),
        (["status", "--out", "x.svg"], "name either a command that answers"),
        (["status", "--out", "x.svg", "polcy", "h20"], "unknown command 'polcy'"),
        (["status", "--out", "x.svg", "policy", "h20"], "not of policy"),
    ],
)
def test_plot_refuses_in_one_line_and_writes_nothing(
    capsys, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["plot", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_written_with_the_command_that_asks_again(capsys, tmp_path):
    out = tmp_path / "plan.html"
    assert main([*ASKED["train"], "--report", str(out), "--lang", "zh"]) == 0
    text = out.read_text("utf-8")
    assert "chipwise train llama-2-70b --chip h200" in text
    assert "--report" not in text
    assert '<html lang="zh-Hans">' in text
