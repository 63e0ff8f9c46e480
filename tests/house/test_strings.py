"""Words shown to people: the same in both languages, all used, none elsewhere."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from chipwise.words import say, strings, told

ROOT = Path(__file__).resolve().parents[2] / "chipwise"
TEXTS = [
    (f"{section}.{key}", text)
    for section, entries in strings().items()
    if section != "said"
    for key, text in entries.items()
]
SAID = strings()["said"]
CHINESE = re.compile("[一-鿿，。：；、（）]")
# Units, formats and proper names are the same in Chinese.
SAME = {"heading.bf16_tflops", "heading.fp8_tflops"}


def names(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


def test_every_text_is_in_both_languages():
    assert not [key for key, text in TEXTS if set(text) != {"en", "zh"} or not all(text.values())]
    assert not [key for key, text in TEXTS if CHINESE.search(text["en"])]
    assert not [key for key, text in TEXTS if not CHINESE.search(text["zh"]) and key not in SAME]


def test_both_languages_of_a_text_have_the_same_names():
    assert not [key for key, text in TEXTS if names(text["en"]) != names(text["zh"])]


def test_a_translated_sentence_keeps_its_values():
    for entry in SAID:
        assert set(names(entry["zh"])) == set(names(entry["en"])), entry["en"]
        values = {name: f"<{name}>" for name in names(entry["en"])}
        for lang in ("en", "zh"):
            said = told(lang, entry["en"].format(**values))
            assert said == entry[lang].format(**values), entry["en"]


def test_a_sentence_that_is_not_listed_stays_as_it_is():
    assert told("zh", "something else") == "something else"


def test_every_sentence_is_one_that_the_library_writes():
    """Each fixed piece of a sentence stands in the sources, so that none goes stale."""
    sources = "".join(p.read_text(encoding="utf-8") for p in ROOT.rglob("*.py"))
    written = re.sub(r'"\s*\n\s*f?"', "", sources)
    for entry in SAID:
        for piece in re.split(r"\{\w+\}", entry["en"]):
            assert piece.strip() in written, entry["en"]


@pytest.mark.slow
def test_every_text_is_used():
    """By its key, or by one that begins alike and is filled in, as `fleet.part_{name}`."""
    files = [*ROOT.rglob("*.py"), *ROOT.rglob("*.html")]
    sources = "".join(p.read_text(encoding="utf-8") for p in files)
    filled = tuple(set(re.findall(r"\"([a-z]\w*\.\w*)\{", sources)))
    filled += tuple(f"{found}." for found in re.findall(r"'([a-z_]+)\.' ~ ", sources))
    filled += ("kinds.", "field.", "load.", "mode.")  # named by a field of a form
    unused = [
        key
        for key, _ in TEXTS
        if not key.startswith(filled) and not re.search(rf"\b{key.partition('.')[2]}\b", sources)
    ]
    assert not unused


def test_no_chinese_outside_of_the_texts():
    for path in ROOT.rglob("*.py"):
        text = re.sub(r">>> .*?(?=\n\s*\n|\"\"\")", "", path.read_text("utf-8"), flags=re.DOTALL)
        assert not CHINESE.search(text), path


def test_a_text_is_filled_in():
    assert say("en", "title.chips", count=91) == "91 chips"
