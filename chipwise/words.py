"""Words shown to people, in English and Chinese, from `pages/strings.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

__all__ = ["LANGUAGES", "say", "strings", "told"]

LANGUAGES = ("en", "zh")


@lru_cache(maxsize=1)
def strings() -> Mapping[str, Any]:
    """Every text by section and key, with its two languages."""
    file = resources.files("chipwise").joinpath("pages/strings.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def say(lang: str, key: str, **values: object) -> str:
    """A text by its dotted key, filled in.

    Examples
    --------
    >>> say("zh", "title.chips", count=91)
    '91 款芯片'
    """
    section, _, name = key.partition(".")
    text: str = strings()[section][name][lang]
    return text.format(**values) if values else text


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Sentences of results as patterns, with their translation."""
    return tuple((_pattern(entry["en"]), entry["zh"]) for entry in strings()["said"])


def _pattern(sentence: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", sentence)
    named = [f"(?P<{part}>.+?)" if at % 2 else re.escape(part) for at, part in enumerate(parts)]
    return re.compile("".join(named))


def told(lang: str, text: str) -> str:
    """A sentence of a result in another language; one that is not listed stays as it is.

    Examples
    --------
    >>> told("zh", "no legal number of these chips holds it")
    '该芯片任何合法数量都放不下'
    """
    if lang == "en":
        return text
    return say(lang, "word.next").join(_translated(part) or part for part in text.split("; "))


def _translated(text: str) -> str | None:
    for pattern, chinese in _patterns():
        if found := pattern.fullmatch(text):
            return chinese.format(**found.groupdict())
    return None
