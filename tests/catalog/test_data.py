"""The data as a whole: what a file says of itself agrees with where it lies and what others say."""

from __future__ import annotations

import subprocess
import sys
from urllib.parse import urlparse

from chipwise import catalog
from chipwise.catalog.files import DATA, read_toml

CHIPS = sorted((DATA / "chips").glob("*.toml"))
MODELS = sorted((DATA / "models").rglob("*.toml"))


def test_a_file_is_named_by_its_id() -> None:
    for path in CHIPS:
        assert read_toml(path)["id"] == path.stem
    for path in MODELS:
        assert read_toml(path)["id"] == path.relative_to(DATA / "models").with_suffix("").as_posix()


def test_no_alias_stands_twice() -> None:
    for paths in (CHIPS, MODELS):
        aliases = [a for path in paths for a in read_toml(path).get("aliases", [])]
        assert len(aliases) == len(set(aliases))


def test_sources_are_titled_dated_and_used() -> None:
    found = catalog.sources()
    for key, source in found.items():
        assert source["title"], key
        assert source["retrieved"] <= catalog.as_of(), key
        if "url" in source:
            parts = urlparse(source["url"])
            assert parts.scheme in ("http", "https"), key
            assert parts.netloc, key
    used = {fact.source for c in catalog.chip_ids() for fact in catalog.chip(c).facts.values()}
    used |= {fact.source for m in catalog.model_ids() for fact in catalog.model(m).facts.values()}
    used |= {fact.source for fact in catalog.economics().values()}
    used |= {p.source.rpartition("(")[2].removesuffix(")") for p in catalog.prices()}
    assert used <= set(found)
    text = "".join(p.read_text(encoding="utf-8") for p in DATA.glob("*.*") if p.suffix != ".json")
    spare = {k for k in found if k not in used and text.count(k) < 2}
    assert not spare, f"sources that nothing rests on: {sorted(spare)}"


def test_one_chip_is_read_without_the_others() -> None:
    code = (
        "import sys, builtins\n"
        "from pathlib import Path\n"
        "from chipwise import catalog\n"
        "seen = []\n"
        "whole = Path.read_text\n"
        "def spy(self, *a, **k):\n"
        "    seen.append(self.name)\n"
        "    return whole(self, *a, **k)\n"
        "Path.read_text = spy\n"
        "catalog.chip('h200'); catalog.model('llama-2-70b')\n"
        "print(*seen)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = {"index.json", "nvidia-h200-sxm.toml", "schema.csv", "Llama-2-70b-hf.toml"}
    assert set(run.stdout.split()) == names


def test_reading_again_costs_nothing() -> None:
    assert catalog.chip("h200") is catalog.chip("nvidia-h200-sxm")
    assert catalog.model("llama-2-70b") is catalog.model("meta-llama/Llama-2-70b-hf")
