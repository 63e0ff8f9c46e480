"""Every example in the documents and docstrings runs, and what they print of runs is fresh."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])
SOURCES = sorted((ROOT / "chipwise").rglob("*.py"))
DOCTESTS = [p for p in SOURCES if ">>> " in p.read_text(encoding="utf-8")]


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class _Numbers(doctest.OutputChecker):
    """Numbers count, not the name of NumPy's type for them."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        want, got = (re.sub(r"np\.\w+\(([^()]*)\)", r"\1", text) for text in (want, got))
        return super().check_output(want, got, optionflags)


def _prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_code_of_a_page_runs(path: Path) -> None:
    document = Sybil(parsers=[PythonCodeBlockParser()], path=str(path.parent)).parse(path)
    for example in document.examples():
        example.evaluate()


@pytest.mark.parametrize("path", DOCTESTS, ids=_name)
def test_the_examples_of_a_module_hold(path: Path) -> None:
    module = importlib.import_module(_name(path))
    runner = doctest.DocTestRunner(_Numbers(), optionflags=doctest.NORMALIZE_WHITESPACE)
    for example in doctest.DocTestFinder().find(module):
        runner.run(example)
    found = runner.summarize(verbose=False)
    assert found.failed == 0
    # A doctest hidden behind a decorator would not be found: each prompt in the file is one tried.
    prompts = len(re.findall(r"^\s*>>> ", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert found.attempted == prompts


def test_pages_link_to_what_is_there() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", _prose(page))
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_every_source_that_a_page_names_is_there() -> None:
    """Paths in backticks, as `chipwise/perf/ops.py`, from the root or from the package."""
    missing = [
        f"{page.relative_to(ROOT)}: {path}"
        for page in PAGES
        if page.name != "CHANGELOG.md"
        for path in re.findall(r"`([\w/.-]+/[\w.-]+\.(?:py|toml|csv|json|md))`", _prose(page))
        if not any((base / path).exists() for base in (ROOT, ROOT / "chipwise", page.parent))
    ]
    assert not missing


def test_architecture_is_short() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.slow
def test_what_pages_show_of_runs_is_fresh() -> None:
    pages = [str(p) for p in PAGES if "[[[cog" in p.read_text(encoding="utf-8")]
    assert pages, "no page shows a run"
    done = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", "-r", *pages],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_two_readmes_say_the_same() -> None:
    """Equal commands, links and sections; the prose is another language's."""
    english, chinese = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md")
    )
    for pattern in (r"^#+ ", r"^\$ (.+?)(?: --lang zh)?(?:  +#.*)?$", r"^>>> (.*)$"):
        found = [re.findall(pattern, text, re.MULTILINE) for text in (english, chinese)]
        assert found[0] == found[1]
    assert len(found[0]) > 1
    links = [set(re.findall(r"\]\(([^)]+)\)", text)) for text in (english, chinese)]
    assert links[0] - {"README.zh.md"} == links[1] - {"README.md"}


@pytest.mark.slow
def test_the_site_is_built_and_no_link_of_it_leads_nowhere(tmp_path, monkeypatch) -> None:
    spec = importlib.util.spec_from_file_location("pages", ROOT / "tools" / "pages.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    monkeypatch.setattr(made, "SITE", ROOT / "build" / tmp_path.name)
    try:
        assert made.main() == 0
        known = {p.relative_to(made.SITE).as_posix() for p in made.SITE.rglob("*") if p.is_file()}
        assert known >= {made.place(p.relative_to(ROOT).as_posix()) for p in PAGES}
        text = (made.SITE / "docs" / "api.html").read_text(encoding="utf-8")
        assert "estimate" in text
    finally:
        shutil.rmtree(made.SITE)
